/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tests of the capture file: layouts are those of the pcap and pcapng specifications */

#include "config.h"

#include <check.h>
#include <string.h>

#include "bus-core/util/test-run.h"
#include "tools/pcap.h"

#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

#define LE32(v) (v) & 0xff, (v) >> 8 & 0xff, (v) >> 16 & 0xff, (v) >> 24 & 0xff
#define BE32(v) (v) >> 24 & 0xff, (v) >> 16 & 0xff, (v) >> 8 & 0xff, (v) & 0xff
#define LE16(v) (v) & 0xff, (v) >> 8 & 0xff
#define BE16(v) (v) >> 8 & 0xff, (v) & 0xff

#define CLASSIC_LE LE32(0xa1b2c3d4), LE16(2), LE16(4), LE32(0), LE32(0), LE32(65535), LE32(231)
#define SECTION_LE LE32(0x0a0d0d0a), LE32(28), LE32(0x1a2b3c4d), LE16(1), LE16(0), LE32(-1), \
                   LE32(-1), LE32(28)
#define IFACE_LE(link) LE32(1), LE32(20), LE16(link), LE16(0), LE32(0), LE32(20)
#define PACKET_LE(iface, cap, orig) LE32(6), LE32(36), LE32(iface), LE32(0), LE32(7), LE32(cap), \
                                    LE32(orig), 'a', 'b', 'c', 0, LE32(36)

struct row {
        const char *name;
        const uint8_t *data;
        size_t n;
        int n_packets; /* read before the end */
        int end;       /* what the reader says then */
        uint64_t time_ns;
};

static const struct row rows[] = {
        { "empty file", (const uint8_t *)"", 0, 0, PCAP_E_EMPTY },
        { "three bytes", BYTES(1, 2, 3), 0, PCAP_E_FORMAT },
        { "not a capture", BYTES('h', 'e', 'l', 'l', 'o', ' ', 'w'), 0, PCAP_E_FORMAT },
        { "header only", BYTES(CLASSIC_LE), 0, PCAP_E_END },
        { "header cut", BYTES(LE32(0xa1b2c3d4), LE16(2)), 0, PCAP_E_TRUNCATED },
        { "other link type",
          BYTES(LE32(0xa1b2c3d4), LE16(2), LE16(4), LE32(0), LE32(0), LE32(65535), LE32(1)), 0,
          PCAP_E_LINKTYPE },
        { "unknown version",
          BYTES(LE32(0xa1b2c3d4), LE16(3), LE16(0), LE32(0), LE32(0), LE32(65535), LE32(231)), 0,
          PCAP_E_VERSION },
        { "one packet", BYTES(CLASSIC_LE, LE32(5), LE32(7), LE32(3), LE32(3), 'a', 'b', 'c'), 1,
          PCAP_E_END, 5000007000 },
        { "nanoseconds, other byte order",
          BYTES(BE32(0xa1b23c4d), BE16(2), BE16(4), BE32(0), BE32(0), BE32(65535), BE32(231),
                BE32(5), BE32(7), BE32(3), BE32(3), 'a', 'b', 'c'),
          1, PCAP_E_END, 5000000007 },
        { "packet cut", BYTES(CLASSIC_LE, LE32(5), LE32(7), LE32(3), LE32(3), 'a'), 0,
          PCAP_E_TRUNCATED },
        { "packet head cut", BYTES(CLASSIC_LE, LE32(5)), 0, PCAP_E_TRUNCATED },
        { "huge claim", BYTES(CLASSIC_LE, LE32(5), LE32(7), LE32(0xffffffff), LE32(3)), 0,
          PCAP_E_TOO_LONG },
        { "largest claim, no data", BYTES(CLASSIC_LE, LE32(5), LE32(7), LE32(128 << 20), LE32(3)),
          0, PCAP_E_TRUNCATED },
        { "shortened", BYTES(CLASSIC_LE, LE32(5), LE32(7), LE32(3), LE32(9), 'a', 'b', 'c'), 0,
          PCAP_E_CUT },
        { "ng: packet", BYTES(SECTION_LE, IFACE_LE(231), PACKET_LE(0, 3, 3)), 1, PCAP_E_END, 7000 },
        { "ng: unknown block skipped",
          BYTES(SECTION_LE, IFACE_LE(231), LE32(0xbad), LE32(12), LE32(12), PACKET_LE(0, 3, 3)), 1,
          PCAP_E_END, 7000 },
        { "ng: simple packet",
          BYTES(SECTION_LE, IFACE_LE(231), LE32(3), LE32(20), LE32(3), 'a', 'b', 'c', 0, LE32(20)),
          1, PCAP_E_END, 0 },
        { "ng: nanosecond resolution",
          BYTES(SECTION_LE, LE32(1), LE32(32), LE16(231), LE16(0), LE32(0), LE16(9), LE16(1), 9, 0,
                0, 0, LE16(0), LE16(0), LE32(32), PACKET_LE(0, 3, 3)),
          1, PCAP_E_END, 7 },
        { "ng: other interface skipped",
          BYTES(SECTION_LE, IFACE_LE(1), IFACE_LE(231), PACKET_LE(0, 3, 3), PACKET_LE(1, 3, 3)), 1,
          PCAP_E_END, 7000 },
        { "ng: nothing but other interfaces", BYTES(SECTION_LE, IFACE_LE(1), PACKET_LE(0, 3, 3)), 0,
          PCAP_E_LINKTYPE },
        { "ng: undeclared interface", BYTES(SECTION_LE, IFACE_LE(231), PACKET_LE(1, 3, 3)), 0,
          PCAP_E_INTERFACE },
        { "ng: packet longer than block", BYTES(SECTION_LE, IFACE_LE(231), PACKET_LE(0, 99, 99)), 0,
          PCAP_E_BLOCK },
        { "ng: lengths differ", BYTES(SECTION_LE, LE32(0xbad), LE32(12), LE32(16)), 0,
          PCAP_E_BLOCK },
        { "ng: block of no length", BYTES(SECTION_LE, LE32(0xbad), LE32(0)), 0, PCAP_E_BLOCK },
        { "ng: section order unknown", BYTES(LE32(0x0a0d0d0a), LE32(28), LE32(0x11223344)), 0,
          PCAP_E_FORMAT },
        { "ng: option runs out of its block",
          BYTES(SECTION_LE, LE32(1), LE32(24), LE16(231), LE16(0), LE32(0), LE16(9), LE16(200),
                LE32(24)),
          0, PCAP_E_BLOCK },
};

/* reads all; returns what ended it */
static int drain(const struct row *row, int *n_packets, uint64_t *time_ns)
{
        _cleanup_(pcap_reader_freep) struct pcap_reader *reader = NULL;
        struct pcap_packet packet;
        FILE *file = row->n ? fmemopen((void *)row->data, row->n, "r") : fopen("/dev/null", "r");
        int r;

        ck_assert_ptr_nonnull(file);
        *n_packets = 0;
        r = pcap_reader_new(&reader, file);
        while (!r) {
                r = pcap_reader_next(reader, &packet);
                if (r)
                        break;
                ck_assert_uint_eq(packet.n, 3);
                ck_assert_mem_eq(packet.data, "abc", 3);
                *time_ns = packet.time_ns;
                ++*n_packets;
        }
        fclose(file);
        return r;
}

START_TEST(each_layout_is_read_or_refused_with_its_reason)
{
        const struct row *row = &rows[_i];
        uint64_t time_ns = 0;
        int n_packets, r;

        r = drain(row, &n_packets, &time_ns);
        ck_assert_msg(r == row->end, "%s: %s, expected %s", row->name, pcap_strerror(r),
                      pcap_strerror(row->end));
        ck_assert_msg(n_packets == row->n_packets, "%s: %d packets", row->name, n_packets);
        ck_assert_msg(time_ns == row->time_ns, "%s: at %llu", row->name,
                      (unsigned long long)time_ns);
}
END_TEST

START_TEST(a_file_cut_anywhere_ends_with_a_reason)
{
        struct row row = rows[_i];
        uint64_t time_ns;
        int n_packets, r;

        if (row.end != PCAP_E_END)
                return;
        for (row.n--; row.n > 0; row.n--) {
                r = drain(&row, &n_packets, &time_ns);
                ck_assert_msg(r > 0, "%s cut to %zu: %d", row.name, row.n, r);
                ck_assert_int_le(n_packets, row.n_packets);
        }
}
END_TEST

START_TEST(what_is_written_is_read_back)
{
        _cleanup_(pcap_writer_freep) struct pcap_writer *writer = NULL;
        _cleanup_(pcap_reader_freep) struct pcap_reader *reader = NULL;
        struct pcap_packet packet;
        FILE *file = tmpfile();

        ck_assert_int_eq(pcap_writer_new(&writer, file), 0);
        ck_assert_int_eq(pcap_writer_put(writer, 1700000000123456789, "first", 5), 0);
        ck_assert_int_eq(pcap_writer_put(writer, 1700000001000000000, "", 0), 0);
        ck_assert_uint_eq(pcap_writer_size(writer), 24 + 16 + 5 + 16);
        rewind(file);
        ck_assert_int_eq(pcap_reader_new(&reader, file), 0);
        ck_assert_int_eq(pcap_reader_next(reader, &packet), 0);
        ck_assert_uint_eq(packet.time_ns, 1700000000123456000);
        ck_assert_uint_eq(packet.n, 5);
        ck_assert_mem_eq(packet.data, "first", 5);
        ck_assert_uint_eq(pcap_reader_offset(reader), 24);
        ck_assert_int_eq(pcap_reader_next(reader, &packet), 0);
        ck_assert_uint_eq(packet.n, 0);
        ck_assert_int_eq(pcap_reader_next(reader, &packet), PCAP_E_END);
        fclose(file);
}
END_TEST

START_TEST(a_full_disk_is_an_error)
{
        _cleanup_(pcap_writer_freep) struct pcap_writer *writer = NULL;
        FILE *file = fopen("/dev/full", "w");

        ck_assert_ptr_nonnull(file);
        setvbuf(file, NULL, _IONBF, 0);
        ck_assert_int_eq(pcap_writer_new(&writer, file), -ENOSPC);
        fclose(file);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("pcap");
        TCase *t = tcase_create("pcap");

        suite_add_tcase(suite, t);
        tcase_add_loop_test(t, each_layout_is_read_or_refused_with_its_reason, 0, ARRAY_SIZE(rows));
        tcase_add_loop_test(t, a_file_cut_anywhere_ends_with_a_reason, 0, ARRAY_SIZE(rows));
        tcase_add_test(t, what_is_written_is_read_back);
        tcase_add_test(t, a_full_disk_is_an_error);
        return test_run(suite);
}
