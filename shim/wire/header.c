/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Header: see header.h.
 *
 * A known field starts with its code and a variant's signature of one letter, which makes four
 * bytes: they are compared as one word. What follows is a u32 or a string's length, already
 * aligned. Only unknown fields need the general walker of body.c.
 */

#include <string.h>

#include "bus-core/util/cleanup.h"
#include "shim/wire/body.h"
#include "shim/wire/bytes.h"
#include "shim/wire/error.h"
#include "shim/wire/header.h"
#include "shim/wire/type.h"

#define FIELDS_MAX TYPE_ARRAY_MAX

/* The array, its struct and its variant: containers around the value of a field. */
#define FIELD_DEPTH 3

#define LOCAL_PATH      "/org/freedesktop/DBus/Local"
#define LOCAL_INTERFACE "org.freedesktop.DBus.Local"

const char header_field_types[FIELD_CONTAINER_INSTANCE + 1] = {
        [FIELD_PATH] = 'o',        [FIELD_INTERFACE] = 's',    [FIELD_MEMBER] = 's',
        [FIELD_ERROR_NAME] = 's',  [FIELD_REPLY_SERIAL] = 'u', [FIELD_DESTINATION] = 's',
        [FIELD_SENDER] = 's',      [FIELD_SIGNATURE] = 'g',    [FIELD_UNIX_FDS] = 'u',
        [FIELD_CONTAINER_INSTANCE] = 'o',
};

struct span *header_span(struct header *h, uint8_t code)
{
        switch (code) {
        case FIELD_PATH:
                return &h->path;
        case FIELD_INTERFACE:
                return &h->interface;
        case FIELD_MEMBER:
                return &h->member;
        case FIELD_ERROR_NAME:
                return &h->error_name;
        case FIELD_DESTINATION:
                return &h->destination;
        case FIELD_SENDER:
                return &h->sender;
        case FIELD_SIGNATURE:
                return &h->signature;
        case FIELD_CONTAINER_INSTANCE:
                return &h->container;
        }
        return NULL;
}

struct span header_container_field(const struct header *h)
{
        struct span field = {0, 0};

        if (h->container.off) {
                field.off = h->container.off - 8; /* code, signature and length */
                field.len = ALIGN_TO(h->container.off + h->container.len + 1, 8) - field.off;
        }
        return field;
}

void header_without_container(uint8_t fixed[static HEADER_FIXED], const struct header *h,
                              const uint8_t *msg)
{
        memcpy(fixed, msg, HEADER_FIXED);
        bytes_store32(fixed + 12, h->fields_size - header_container_field(h).len, h->swap);
}

/* Where the parse stands; kept apart from the result, which is written on success only. */
struct parse {
        const uint8_t *msg;
        uint32_t pos, end; /* in the field array */
        uint32_t seen;     /* bit per known field */
        uint32_t reply_at; /* where REPLY_SERIAL's value stands; 0: absent */
        struct header h;
};

/*
 * is_local() - may this path or interface not cross a bus, as it stands for "no bus"? The reference
 * library judges by the beginning; it would drop the connection to a bus that passed the rest on.
 */
static bool is_local(const uint8_t *msg, struct span span, const char *local, size_t n)
{
        return span.len >= n && !memcmp(msg + span.off, local, n);
}

static int frame(struct header *h, const uint8_t *msg, uint32_t max_message)
{
        uint64_t total;

        if (msg[0] != 'l' && msg[0] != 'B')
                return WIRE_E_ENDIAN;
        if (!msg[1])
                return WIRE_E_TYPE;
        if (msg[3] != 1)
                return WIRE_E_VERSION;
        h->endian = msg[0];
        h->swap = msg[0] != bytes_native();
        h->type = msg[1];
        h->flags = msg[2];
        h->body_size = bytes_load32(msg + 4, h->swap);
        h->serial = bytes_load32(msg + 8, h->swap);
        h->fields_size = bytes_load32(msg + 12, h->swap);
        if (h->fields_size > FIELDS_MAX)
                return WIRE_E_FIELDS_SIZE;
        h->size = ALIGN_TO(HEADER_FIXED + h->fields_size, 8);
        total = (uint64_t)h->size + h->body_size;
        if (total > MIN(max_message, TYPE_MESSAGE_MAX))
                return WIRE_E_MESSAGE_SIZE;
        return 0;
}

int header_frame(const uint8_t fixed[static HEADER_FIXED], uint32_t max_message,
                 uint32_t *out_header, uint32_t *out_total)
{
        struct header h;
        int r;

        r = frame(&h, fixed, max_message);
        if (r)
                return r;
        if (out_header)
                *out_header = h.size;
        *out_total = h.size + h.body_size;
        return 0;
}

/* --- parse -------------------------------------------------------------------------------- */

static int take_u32(struct parse *p, uint32_t *out)
{
        if (p->end - p->pos < 4)
                return WIRE_E_TRUNCATED;
        *out = bytes_load32(p->msg + p->pos, p->h.swap);
        p->pos += 4;
        return 0;
}

/* take_span() - a string or object path whose contents are still to be judged */
static int take_span(struct parse *p, struct span *out)
{
        uint32_t len;
        int r;

        r = take_u32(p, &len);
        if (r)
                return r;
        if (len >= p->end - p->pos)
                return WIRE_E_TRUNCATED;
        if (p->msg[p->pos + len])
                return WIRE_E_UNTERMINATED;
        *out = (struct span){p->pos, len};
        p->pos += len + 1;
        return 0;
}

static int take_signature(struct parse *p, struct span *out)
{
        uint32_t len;

        if (p->end - p->pos < 2 || (len = p->msg[p->pos]) > p->end - p->pos - 2)
                return WIRE_E_TRUNCATED;
        if (p->msg[p->pos + 1 + len])
                return WIRE_E_UNTERMINATED;
        *out = (struct span){p->pos + 1, len};
        p->pos += len + 2;
        return signature_validate((const char *)p->msg + out->off, len);
}

static int take_name(struct parse *p, struct span *out, bool (*valid)(const char *, size_t),
                     int error)
{
        int r = take_span(p, out);

        if (r)
                return r;
        return valid((const char *)p->msg + out->off, out->len) ? 0 : error;
}

static int take_path(struct parse *p, struct span *out)
{
        int r = take_name(p, out, valid_path, WIRE_E_PATH);

        if (r)
                return r;
        return is_local(p->msg, *out, LOCAL_PATH, sizeof(LOCAL_PATH) - 1) ? WIRE_E_LOCAL_PATH : 0;
}

static int take_interface(struct parse *p, struct span *out)
{
        int r = take_name(p, out, valid_interface, WIRE_E_INTERFACE);

        if (r)
                return r;
        return is_local(p->msg, *out, LOCAL_INTERFACE, sizeof(LOCAL_INTERFACE) - 1)
                       ? WIRE_E_LOCAL_INTERFACE
                       : 0;
}

/* take_unknown() - step over a field of any type; @p stands at its variant */
static int take_unknown(struct parse *p)
{
        p->h.unfiltered = true;
        return body_skip("v", 1, p->h.swap, p->msg, &p->pos, p->end, FIELD_DEPTH - 1);
}

static int take_known(struct parse *p, unsigned code)
{
        struct header *h = &p->h;
        int r;

        switch (code) {
        case FIELD_PATH:
                return take_path(p, &h->path);
        case FIELD_INTERFACE:
                return take_interface(p, &h->interface);
        case FIELD_MEMBER:
                return take_name(p, &h->member, valid_member, WIRE_E_MEMBER);
        case FIELD_ERROR_NAME:
                return take_name(p, &h->error_name, valid_error_name, WIRE_E_ERROR_NAME);
        case FIELD_REPLY_SERIAL:
                p->reply_at = p->pos;
                r = take_u32(p, &h->reply_serial);
                return r ? r : h->reply_serial ? 0 : WIRE_E_REPLY_SERIAL;
        case FIELD_DESTINATION:
                return take_name(p, &h->destination, valid_bus_name, WIRE_E_BUS_NAME);
        case FIELD_SENDER:
                h->unfiltered = true;
                return take_name(p, &h->sender, valid_bus_name, WIRE_E_BUS_NAME);
        case FIELD_SIGNATURE:
                return take_signature(p, &h->signature);
        case FIELD_UNIX_FDS:
                return take_u32(p, &h->n_fds);
        }
        h->unfiltered = true; /* CONTAINER_INSTANCE */
        return take_name(p, &p->h.container, valid_path, WIRE_E_PATH);
}

static int take_field(struct parse *p)
{
        uint8_t code;

        if (p->end - p->pos < 4)
                return WIRE_E_TRUNCATED;
        code = p->msg[p->pos];
        if (!code)
                return WIRE_E_FIELD_CODE;
        if (code > FIELD_CONTAINER_INSTANCE) {
                p->pos++;
                return take_unknown(p);
        }
        const uint8_t expected[4] = {code, 1, (uint8_t)header_field_types[code], 0};
        if (memcmp(p->msg + p->pos, expected, 4))
                return WIRE_E_FIELD_TYPE;
        if (p->seen & 1U << code)
                return WIRE_E_FIELD_DUPLICATE;
        p->seen |= 1U << code;
        p->pos += 4;
        return take_known(p, code);
}

/* take_padding() - up to the next multiple of 8, which lies inside the header as its size is one */
static inline int take_padding(struct parse *p)
{
        uint32_t used = p->pos & 7;

        if (!used)
                return 0;
        p->pos += 8 - used;
        for (uint32_t i = p->pos - (8 - used); i < p->pos; i++)
                if (p->msg[i])
                        return WIRE_E_PADDING;
        return 0;
}

static int take_fields(struct parse *p)
{
        int r;

        while (p->pos < p->end) {
                r = take_field(p);
                if (r)
                        return r;
                if (p->pos == p->end)
                        break;
                r = take_padding(p);
                if (r)
                        return r;
                if (p->pos >= p->end) /* padding belongs between fields, not behind them */
                        return WIRE_E_FIELD_LENGTH;
        }
        return take_padding(p);
}

/* require() - what each message type must have; types from the future need nothing */
static int require(const struct header *h)
{
        bool call = h->type == HEADER_CALL, signal = h->type == HEADER_SIGNAL;
        bool error = h->type == HEADER_ERROR;

        if ((call || signal) && !h->path.off)
                return WIRE_E_NO_PATH;
        if ((call || signal) && !h->member.off)
                return WIRE_E_NO_MEMBER;
        if (signal && !h->interface.off)
                return WIRE_E_NO_INTERFACE;
        if (error && !h->error_name.off)
                return WIRE_E_NO_ERROR_NAME;
        if ((error || h->type == HEADER_RETURN) && !h->reply_serial)
                return WIRE_E_NO_REPLY_SERIAL;
        return 0;
}

static int parse(struct parse *p, size_t n)
{
        int r;

        if (n < HEADER_FIXED)
                return WIRE_E_TRUNCATED;
        r = frame(&p->h, p->msg, TYPE_MESSAGE_MAX);
        if (r)
                return r;
        if (!p->h.serial)
                return WIRE_E_SERIAL;
        if (n < p->h.size)
                return WIRE_E_TRUNCATED;
        p->end = HEADER_FIXED + p->h.fields_size;
        r = take_fields(p);
        if (r)
                return r;
        return require(&p->h);
}

int header_parse(struct header *out, const uint8_t *msg, size_t n)
{
        struct parse p = {.msg = msg, .pos = HEADER_FIXED};
        int r;

        r = parse(&p, n);
        if (r)
                return r;
        *out = p.h;
        return 0;
}

/* --- parse one of many ---------------------------------------------------------------------- */

/* fits() - is all but serial, reply serial and body size as it was? */
static bool fits(const struct header_memo *memo, const uint8_t *msg, size_t n)
{
        uint32_t size = memo->header.size, hole = memo->reply_at ? memo->reply_at : size - 4;

        return n >= size && memcmp(msg, memo->msg, 4) == 0 &&
               memcmp(msg + 12, memo->msg + 12, hole - 12) == 0 &&
               memcmp(msg + hole + 4, memo->msg + hole + 4, size - hole - 4) == 0 &&
               (memo->reply_at || memcmp(msg + hole, memo->msg + hole, 4) == 0);
}

/* refill() - the memo's header with the numbers of this message; false if they are not legal */
static bool refill(struct header *h, const struct header_memo *memo, const uint8_t *msg)
{
        *h = memo->header;
        h->body_size = bytes_load32(msg + 4, h->swap);
        h->serial = bytes_load32(msg + 8, h->swap);
        if (memo->reply_at)
                h->reply_serial = bytes_load32(msg + memo->reply_at, h->swap);
        return h->serial && (h->reply_serial || !memo->reply_at) &&
               (uint64_t)h->size + h->body_size <= TYPE_MESSAGE_MAX;
}

int header_parse_like(struct header *out, struct header_memo *memo, const uint8_t *msg, size_t n)
{
        struct parse p = {.msg = msg, .pos = HEADER_FIXED};
        int r;

        if (memo->msg && fits(memo, msg, n) && refill(&p.h, memo, msg)) {
                *out = p.h;
                return 0;
        }
        p.h = (struct header){};
        r = parse(&p, n);
        if (r)
                return r;
        *memo = (struct header_memo){.msg = msg, .reply_at = p.reply_at, .header = p.h};
        *out = p.h;
        return 0;
}

/* --- stamp -------------------------------------------------------------------------------- */

/* The most a field can take beside its text: padding before, code, signature, length, NUL. */
#define FIELD_OVERHEAD (7U + 4 + 4 + 1)

/* Where the writing stands. */
struct stamp {
        uint8_t *out;
        uint32_t pos;
        bool swap;
};

static void put_code(struct stamp *s, uint8_t code)
{
        static const uint8_t zero[8];
        const uint8_t head[4] = {code, 1, (uint8_t)header_field_types[code], 0};

        memcpy(s->out + s->pos, zero, -s->pos & 7);
        s->pos = ALIGN_TO(s->pos, 8);
        memcpy(s->out + s->pos, head, 4);
        s->pos += 4;
}

static void put_u32(struct stamp *s, uint8_t code, uint32_t v)
{
        put_code(s, code);
        bytes_store32(s->out + s->pos, v, s->swap);
        s->pos += 4;
}

/* put_text() - a field of type s, o or g; says where the text went */
static struct span put_text(struct stamp *s, uint8_t code, const void *text, size_t n)
{
        struct span span;

        put_code(s, code);
        if (code == FIELD_SIGNATURE) {
                s->out[s->pos++] = n;
        } else {
                bytes_store32(s->out + s->pos, n, s->swap);
                s->pos += 4;
        }
        span = (struct span){s->pos, n};
        memcpy(s->out + s->pos, text, n);
        s->pos += n;
        s->out[s->pos++] = 0;
        return span;
}

/* copy_known() - write the fields which a client may set, one by one */
static void copy_known(struct stamp *s, struct header *h, const uint8_t *msg)
{
        for (uint8_t code = FIELD_PATH; code <= FIELD_UNIX_FDS; code++) {
                struct span *span = header_span(h, code);

                if (code == FIELD_REPLY_SERIAL && h->reply_serial)
                        put_u32(s, code, h->reply_serial);
                else if (code == FIELD_UNIX_FDS && h->n_fds)
                        put_u32(s, code, h->n_fds);
                else if (span && span->off && code != FIELD_SENDER)
                        *span = put_text(s, code, msg + span->off, span->len);
        }
}

size_t header_stamp_size(const struct header *h, size_t sender_len, size_t container_len)
{
        return h->size + 2 * FIELD_OVERHEAD + sender_len + container_len + 7;
}

size_t header_stamp(uint8_t *out, struct header *h, const uint8_t *msg, const char *sender,
                    size_t sender_len, const char *container, size_t container_len)
{
        struct stamp s = {.out = out, .pos = HEADER_FIXED, .swap = h->swap};

        if (h->unfiltered) {
                memcpy(out, msg, HEADER_FIXED);
                copy_known(&s, h, msg);
        } else {
                s.pos += h->fields_size;
                memcpy(out, msg, s.pos);
        }
        h->sender = h->container = (struct span){0, 0};
        if (container)
                h->container = put_text(&s, FIELD_CONTAINER_INSTANCE, container, container_len);
        if (sender)
                h->sender = put_text(&s, FIELD_SENDER, sender, sender_len);

        h->unfiltered = false;
        h->fields_size = s.pos - HEADER_FIXED;
        h->size = ALIGN_TO(s.pos, 8);
        memset(out + s.pos, 0, h->size - s.pos);
        bytes_store32(out + 12, h->fields_size, h->swap);
        return h->size;
}
