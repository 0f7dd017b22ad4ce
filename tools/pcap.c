/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <byteswap.h>
#include <errno.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "tools/pcap.h"

#define NSEC_PER_SEC UINT64_C(1000000000)
#define READ_STEP (1U << 20) /* memory follows what was really read */

/* the first four bytes of a classic file, in the writer's byte order */
#define MAGIC_USEC 0xa1b2c3d4U
#define MAGIC_NSEC 0xa1b23c4dU

/* pcapng: blocks, and the word that tells a section's byte order */
#define BLOCK_SECTION 0x0a0d0d0aU
#define BLOCK_INTERFACE 1U
#define BLOCK_OLD_PACKET 2U
#define BLOCK_SIMPLE_PACKET 3U
#define BLOCK_PACKET 6U
#define BYTE_ORDER_MAGIC 0x1a2b3c4dU
#define OPTION_END 0
#define OPTION_TSRESOL 9
#define OPTION_TSOFFSET 14
#define N_INTERFACES_MAX 256

struct interface {
        uint64_t units_per_sec;
        int64_t offset_sec;
        bool dbus;
};

struct pcap_reader {
        FILE *file; /* borrowed */
        bool ng, swap, nsec;
        uint64_t offset; /* of the block being read */
        uint64_t position;
        uint8_t *buffer;
        size_t n_buffer;
        struct interface interfaces[N_INTERFACES_MAX];
        size_t n_interfaces;
};

struct pcap_writer {
        FILE *file; /* borrowed */
        uint64_t size;
};

const char *pcap_strerror(int r)
{
        static const char *const texts[] = {
                [PCAP_E_END] = "no more packets",
                [PCAP_E_EMPTY] = "the file is empty",
                [PCAP_E_FORMAT] = "neither a pcap nor a pcapng file",
                [PCAP_E_VERSION] = "unknown version of the file format",
                [PCAP_E_LINKTYPE] = "a capture, but not of D-Bus messages (link type 231)",
                [PCAP_E_TRUNCATED] = "the file ends in the middle of a packet",
                [PCAP_E_TOO_LONG] = "a packet claims to be longer than 128 MiB",
                [PCAP_E_CUT] = "a packet was shortened when it was captured (snap length)",
                [PCAP_E_BLOCK] = "a block contradicts its own length",
                [PCAP_E_INTERFACE] = "a packet refers to an interface that was not declared",
        };

        if (r < 0)
                return strerror(-r);
        if ((size_t)r < ARRAY_SIZE(texts) && texts[r])
                return texts[r];
        return "no error";
}

static uint32_t get32(const struct pcap_reader *r, const uint8_t *p)
{
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return r->swap ? bswap_32(v) : v;
}

static uint16_t get16(const struct pcap_reader *r, const uint8_t *p)
{
        uint16_t v;

        memcpy(&v, p, sizeof(v));
        return r->swap ? bswap_16(v) : v;
}

/* 0, or PCAP_E_END when not one byte is left, or PCAP_E_TRUNCATED */
static int read_exactly(struct pcap_reader *r, uint8_t *to, size_t n)
{
        size_t got = fread(to, 1, n, r->file);

        r->position += got;
        if (got == n)
                return 0;
        if (ferror(r->file))
                return error_origin(-EIO);
        return got ? PCAP_E_TRUNCATED : PCAP_E_END;
}

/* reads n bytes into the buffer; grows it only as far as the file really goes */
static int read_body(struct pcap_reader *r, size_t n)
{
        size_t done = 0;
        int e;

        while (done < n) {
                size_t step = MIN(n - done, (size_t)READ_STEP);

                if (r->n_buffer < done + step) {
                        size_t want = MAX(done + step, MIN(n, 2 * r->n_buffer));
                        uint8_t *p = realloc(r->buffer, want);

                        if (!p)
                                return error_origin(-ENOMEM);
                        r->buffer = p;
                        r->n_buffer = want;
                }
                e = read_exactly(r, r->buffer + done, step);
                if (e)
                        return e == PCAP_E_END ? PCAP_E_TRUNCATED : e;
                done += step;
        }
        return 0;
}

/* ---- classic pcap ---- */

static int classic_open(struct pcap_reader *r, uint32_t magic)
{
        uint8_t head[20];
        int e;

        r->swap = magic == bswap_32(MAGIC_USEC) || magic == bswap_32(MAGIC_NSEC);
        r->nsec = magic == MAGIC_NSEC || magic == bswap_32(MAGIC_NSEC);
        e = read_exactly(r, head, sizeof(head));
        if (e)
                return e == PCAP_E_END ? PCAP_E_TRUNCATED : e;
        if (get16(r, head) != 2)
                return PCAP_E_VERSION;
        if ((get32(r, head + 16) & 0xffff) != PCAP_LINKTYPE_DBUS)
                return PCAP_E_LINKTYPE;
        return 0;
}

static int classic_next(struct pcap_reader *r, struct pcap_packet *out)
{
        uint8_t head[16];
        uint32_t captured, original;
        int e;

        r->offset = r->position;
        e = read_exactly(r, head, sizeof(head));
        if (e)
                return e;
        captured = get32(r, head + 8);
        original = get32(r, head + 12);
        if (captured > PCAP_PACKET_MAX)
                return PCAP_E_TOO_LONG;
        if (captured < original)
                return PCAP_E_CUT;
        e = read_body(r, captured);
        if (e)
                return e;
        out->time_ns = get32(r, head) * NSEC_PER_SEC + get32(r, head + 4) * (r->nsec ? 1 : 1000);
        out->data = r->buffer;
        out->n = captured;
        return 0;
}

/* ---- pcapng ---- */

/* reads what follows the type and length of a block; *n: bytes of the block's body */
static int ng_body(struct pcap_reader *r, uint32_t total, size_t done, size_t *n)
{
        int e;

        if (total < 12 + done || total % 4)
                return PCAP_E_BLOCK;
        if (total > PCAP_PACKET_MAX + READ_STEP)
                return PCAP_E_TOO_LONG;
        e = read_body(r, total - 8 - done);
        if (e)
                return e;
        *n = total - 12 - done;
        return get32(r, r->buffer + *n) == total ? 0 : PCAP_E_BLOCK;
}

/* after the type of a section header: finds the byte order, forgets the interfaces */
static int ng_section(struct pcap_reader *r)
{
        uint8_t head[8];
        uint32_t order;
        size_t n;
        int e;

        e = read_exactly(r, head, sizeof(head));
        if (e)
                return e == PCAP_E_END ? PCAP_E_TRUNCATED : e;
        memcpy(&order, head + 4, sizeof(order));
        if (order != BYTE_ORDER_MAGIC && order != bswap_32(BYTE_ORDER_MAGIC))
                return PCAP_E_FORMAT;
        r->swap = order != BYTE_ORDER_MAGIC;
        r->n_interfaces = 0;
        e = ng_body(r, get32(r, head), 4, &n);
        if (e)
                return e;
        if (n < 12)
                return PCAP_E_BLOCK;
        return get16(r, r->buffer) == 1 ? 0 : PCAP_E_VERSION;
}

static int ng_resolution(struct interface *iface, uint8_t v)
{
        unsigned int exponent = v & 0x7f;

        if (exponent > ((v & 0x80) ? 30 : 9))
                return PCAP_E_BLOCK;
        iface->units_per_sec = 1;
        while (exponent--)
                iface->units_per_sec *= (v & 0x80) ? 2 : 10;
        return 0;
}

static int ng_interface(struct pcap_reader *r, size_t n)
{
        struct interface iface = { .units_per_sec = 1000000 };
        size_t at = 8;
        int e;

        if (n < 8 || r->n_interfaces == N_INTERFACES_MAX)
                return PCAP_E_BLOCK;
        iface.dbus = get16(r, r->buffer) == PCAP_LINKTYPE_DBUS;
        while (n - at >= 4) {
                uint16_t code = get16(r, r->buffer + at), len = get16(r, r->buffer + at + 2);

                at += 4;
                if (code == OPTION_END)
                        break;
                if (ALIGN_TO((size_t)len, 4) > n - at)
                        return PCAP_E_BLOCK;
                if (code == OPTION_TSRESOL && len == 1) {
                        e = ng_resolution(&iface, r->buffer[at]);
                        if (e)
                                return e;
                } else if (code == OPTION_TSOFFSET && len == 8) {
                        uint64_t lo = get32(r, r->buffer + at + (r->swap ? 4 : 0));
                        uint64_t hi = get32(r, r->buffer + at + (r->swap ? 0 : 4));

                        iface.offset_sec = (int64_t)(hi << 32 | lo);
                }
                at += ALIGN_TO((size_t)len, 4);
        }
        r->interfaces[r->n_interfaces++] = iface;
        return 0;
}

static uint64_t ng_time(const struct interface *iface, uint64_t units)
{
        uint64_t sec = units / iface->units_per_sec, rest = units % iface->units_per_sec;

        return (sec + (uint64_t)iface->offset_sec) * NSEC_PER_SEC +
               (uint64_t)((__uint128_t)rest * NSEC_PER_SEC / iface->units_per_sec);
}

/* a packet block of any kind; *skip: it is of an interface that carries no D-Bus */
static int ng_packet(struct pcap_reader *r, uint32_t type, size_t n, struct pcap_packet *out,
                     bool *skip)
{
        size_t head = type == BLOCK_SIMPLE_PACKET ? 4 : 20, captured, original;
        uint32_t index = 0;
        uint64_t units = 0;

        if (n < head)
                return PCAP_E_BLOCK;
        if (type == BLOCK_SIMPLE_PACKET) {
                original = get32(r, r->buffer);
                captured = MIN(original, n - head);
        } else {
                index = type == BLOCK_PACKET ? get32(r, r->buffer) : get16(r, r->buffer);
                units = (uint64_t)get32(r, r->buffer + 4) << 32 | get32(r, r->buffer + 8);
                captured = get32(r, r->buffer + 12);
                original = get32(r, r->buffer + 16);
        }
        if (index >= r->n_interfaces)
                return PCAP_E_INTERFACE;
        *skip = !r->interfaces[index].dbus;
        if (*skip)
                return 0;
        if (captured > n - head)
                return PCAP_E_BLOCK;
        if (captured < original)
                return PCAP_E_CUT;
        out->time_ns = ng_time(&r->interfaces[index], units);
        out->data = r->buffer + head;
        out->n = captured;
        return 0;
}

/* reads one block; *found: it was a D-Bus packet */
static int ng_block(struct pcap_reader *r, struct pcap_packet *out, bool *found)
{
        uint8_t head[8];
        uint32_t type;
        bool skip = false;
        size_t n;
        int e;

        *found = false;
        r->offset = r->position;
        e = read_exactly(r, head, 4);
        if (e)
                return e;
        type = get32(r, head);
        if (type == BLOCK_SECTION)
                return ng_section(r);
        e = read_exactly(r, head + 4, 4);
        if (!e)
                e = ng_body(r, get32(r, head + 4), 0, &n);
        if (e)
                return e == PCAP_E_END ? PCAP_E_TRUNCATED : e;
        if (type == BLOCK_INTERFACE)
                return ng_interface(r, n);
        if (type != BLOCK_PACKET && type != BLOCK_SIMPLE_PACKET && type != BLOCK_OLD_PACKET)
                return 0;
        e = ng_packet(r, type, n, out, &skip);
        *found = !e && !skip;
        return e;
}

static int ng_next(struct pcap_reader *r, struct pcap_packet *out)
{
        bool found;
        int e;

        do {
                e = ng_block(r, out, &found);
        } while (!e && !found);
        if (e == PCAP_E_END && r->n_interfaces) {
                for (size_t i = 0; i < r->n_interfaces; i++)
                        if (r->interfaces[i].dbus)
                                return e;
                return PCAP_E_LINKTYPE;
        }
        return e;
}

/* ---- reader ---- */

static int reader_open(struct pcap_reader *r)
{
        uint8_t word[4];
        uint32_t magic;
        int e;

        e = read_exactly(r, word, sizeof(word));
        if (e)
                return e == PCAP_E_END ? PCAP_E_EMPTY : e == PCAP_E_TRUNCATED ? PCAP_E_FORMAT : e;
        memcpy(&magic, word, sizeof(magic));
        if (magic == BLOCK_SECTION) {
                r->ng = true;
                return ng_section(r);
        }
        if (magic == MAGIC_USEC || magic == bswap_32(MAGIC_USEC) || magic == MAGIC_NSEC ||
            magic == bswap_32(MAGIC_NSEC))
                return classic_open(r, magic);
        return PCAP_E_FORMAT;
}

/**
 * pcap_reader_new() - begin to read a capture
 * @out:        set on success
 * @file:       at its first byte; need not be seekable; borrowed until pcap_reader_free()
 *
 * Return:      0, PCAP_E_*, or a negative errno.
 */
int pcap_reader_new(struct pcap_reader **out, FILE *file)
{
        _cleanup_(pcap_reader_freep) struct pcap_reader *r = calloc(1, sizeof(*r));
        int e;

        if (!r)
                return error_origin(-ENOMEM);
        r->file = file;
        e = reader_open(r);
        if (e)
                return error_fold(e);
        *out = steal(&r);
        return 0;
}

struct pcap_reader *pcap_reader_free(struct pcap_reader *r)
{
        if (r) {
                free(r->buffer);
                free(r);
        }
        return NULL;
}

/**
 * pcap_reader_next() - read one packet
 * @out:        filled on success; its data are good until the next call
 *
 * Return:      0, PCAP_E_END at the end, another PCAP_E_*, or a negative errno. After an error the
 *              position in the file is undefined.
 */
int pcap_reader_next(struct pcap_reader *r, struct pcap_packet *out)
{
        return error_fold(r->ng ? ng_next(r, out) : classic_next(r, out));
}

/**
 * pcap_reader_offset() - where in the file the packet or block begins that was read last
 */
uint64_t pcap_reader_offset(const struct pcap_reader *r)
{
        return r->offset;
}

/* ---- writer ---- */

static int write_exactly(struct pcap_writer *w, const void *data, size_t n)
{
        errno = EIO;
        if (fwrite(data, 1, n, w->file) != n)
                return error_origin(-errno);
        w->size += n;
        return 0;
}

/**
 * pcap_writer_new() - begin a capture file
 * @file:       empty; borrowed until pcap_writer_free()
 */
int pcap_writer_new(struct pcap_writer **out, FILE *file)
{
        const struct {
                uint32_t magic;
                uint16_t major, minor;
                uint32_t zone, accuracy, snaplen, linktype;
        } head = { MAGIC_USEC, 2, 4, 0, 0, PCAP_PACKET_MAX, PCAP_LINKTYPE_DBUS };
        _cleanup_(pcap_writer_freep) struct pcap_writer *w = calloc(1, sizeof(*w));
        int r;

        if (!w)
                return error_origin(-ENOMEM);
        w->file = file;
        r = write_exactly(w, &head, sizeof(head));
        if (r)
                return error_fold(r);
        *out = steal(&w);
        return 0;
}

struct pcap_writer *pcap_writer_free(struct pcap_writer *w)
{
        free(w);
        return NULL;
}

/**
 * pcap_writer_put() - append one message
 * @time_ns:    since 1970; kept to the microsecond
 */
int pcap_writer_put(struct pcap_writer *w, uint64_t time_ns, const void *data, size_t n)
{
        const uint32_t head[4] = {
                (uint32_t)(time_ns / NSEC_PER_SEC),
                (uint32_t)(time_ns % NSEC_PER_SEC / 1000),
                (uint32_t)n,
                (uint32_t)n,
        };
        int r;

        r = write_exactly(w, head, sizeof(head));
        if (!r)
                r = write_exactly(w, data, n);
        return error_fold(r);
}

/**
 * pcap_writer_size() - bytes in the file so far
 */
uint64_t pcap_writer_size(const struct pcap_writer *w)
{
        return w->size;
}
