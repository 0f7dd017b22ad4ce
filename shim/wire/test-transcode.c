/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whole messages: a known one byte by byte, then any, both ways. */

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/test-run.h"
#include "shim/wire/test-transcode-kit.h"
#include "shim/wire/transcode.h"
#include "shim/wire/writer.h"

/* a call of Ping(s "hi") on /a, cookie 5: laid out by hand from the description of version 2 */
static const uint8_t ping[] = {
        'l', 1, 0, 2, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0,
        /* path, at 16 */
        1, 0, 0, 0, 0, 0, 0, 0, '/', 'a', 0, 0, 'o', 0, 0, 0,
        /* member, at 32: ends at 47, which is 31 from the start of the array */
        3, 0, 0, 0, 0, 0, 0, 0, 'P', 'i', 'n', 'g', 0, 0, 's',
        /* ends of both entries: 13 and 31 */
        13, 31,
        /* padding to 56, then the body: value, NUL, type */
        0, 0, 0, 0, 0, 0, 0, 'h', 'i', 0, 0, '(', 's', ')',
        /* the array ended at 49 */
        49,
};

static uint8_t *make(struct header *h, const char *sig)
{
        struct writer w;
        uint8_t *msg;
        size_t n;

        writer_init(&w, HEADER_CALL, 0, 5);
        writer_field(&w, FIELD_PATH, "/a");
        writer_field(&w, FIELD_MEMBER, "Ping");
        writer_body(&w, sig);
        if (*sig)
                writer_string(&w, "hi");
        ck_assert_int_eq(writer_finish(&w, &msg, &n, h), 0);
        return msg;
}

START_TEST(a_known_message_is_laid_out_as_described)
{
        struct gvariant_buf out = GVARIANT_BUF_NULL, back = GVARIANT_BUF_NULL;
        struct transcode_info info;
        struct header h;
        uint8_t *msg = make(&h, "s");

        ck_assert_int_eq(transcode_to_v2(&out, &h, msg, msg + h.size, TRANSCODE_PARENTHESES, false), 0);
        ck_assert_uint_eq(out.n, sizeof(ping));
        ck_assert_mem_eq(out.data, ping, sizeof(ping));
        ck_assert_int_eq(transcode_from_v2(&back, &info, TRANSCODE_PARENTHESES, out.data, out.n, NULL, NULL), 0);
        ck_assert_uint_eq(back.n, h.size + h.body_size);
        ck_assert_mem_eq(back.data, msg, back.n);
        ck_assert_uint_eq(info.cookie, 5);
        ck_assert_int_eq(info.style, TRANSCODE_PARENTHESES);
        free(msg);
        gvariant_buf_deinit(&out);
        gvariant_buf_deinit(&back);
}
END_TEST

START_TEST(both_ways_to_write_the_type_of_the_body_are_read)
{
        static const char *const sigs[] = {"s", ""};
        struct gvariant_buf out = GVARIANT_BUF_NULL, back = GVARIANT_BUF_NULL;
        struct transcode_info info;
        struct header h;
        uint8_t *msg = make(&h, sigs[_i / 2]);

        ck_assert_int_eq(transcode_to_v2(&out, &h, msg, msg + h.size, _i % 2, false), 0);
        ck_assert_int_eq(transcode_from_v2(&back, &info, TRANSCODE_PARENTHESES, out.data, out.n, NULL, NULL), 0);
        ck_assert_int_eq(info.style, _i % 2);
        ck_assert_uint_eq(back.n, h.size + h.body_size);
        ck_assert_mem_eq(back.data, msg, back.n);
        free(msg);
        gvariant_buf_deinit(&out);
        gvariant_buf_deinit(&back);
}
END_TEST

/* a call of Two(ty): as sd-bus of systemd 222 writes it, without padding after the y */
static const uint8_t two[] = {
        'l', 1, 0, 2, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0, 0, 0, 0, 0, '/', 'a', 0, 0, 'o', 0, 0, 0,
        3, 0, 0, 0, 0, 0, 0, 0, 'T', 'w', 'o', 0, 0, 's',
        13, 30,
        7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 't', 'y',
        48,
};

START_TEST(a_body_of_fixed_size_may_lack_its_padding_in_the_old_style)
{
        static const uint8_t body[] = {7, 0, 0, 0, 0, 0, 0, 0, 9};
        struct gvariant_buf back = GVARIANT_BUF_NULL;
        struct transcode_info info;
        struct header h;

        ck_assert_int_eq(transcode_from_v2(&back, &info, TRANSCODE_PARENTHESES, two, sizeof(two), NULL,
                                           NULL), 0);
        ck_assert_int_eq(header_parse(&h, back.data, back.n), 0);
        ck_assert_str_eq(header_text(back.data, h.signature), "ty");
        ck_assert_uint_eq(h.body_size, sizeof(body));
        ck_assert_mem_eq(back.data + h.size, body, sizeof(body));
        gvariant_buf_deinit(&back);
}
END_TEST

START_TEST(a_lone_struct_is_told_from_the_new_style_by_who_writes)
{
        static const char *const expected[] = {"s", "(s)"};
        struct gvariant_buf out = GVARIANT_BUF_NULL, back = GVARIANT_BUF_NULL;
        struct transcode_info info;
        struct header h;
        uint8_t *msg = make(&h, "s");

        ck_assert_int_eq(transcode_to_v2(&out, &h, msg, msg + h.size, TRANSCODE_PARENTHESES, false), 0);
        ck_assert_int_eq(transcode_from_v2(&back, &info, _i, out.data, out.n, NULL, NULL), 0);
        ck_assert_int_eq(info.style, _i);
        ck_assert_int_eq(header_parse(&h, back.data, back.n), 0);
        ck_assert_str_eq(header_text(back.data, h.signature), expected[_i]);
        free(msg);
        gvariant_buf_deinit(&out);
        gvariant_buf_deinit(&back);
}
END_TEST

START_TEST(the_sender_is_what_the_bus_says)
{
        struct gvariant_buf back = GVARIANT_BUF_NULL;
        struct transcode_info info;
        struct header h;

        ck_assert_int_eq(transcode_from_v2(&back, &info, TRANSCODE_PARENTHESES, ping, sizeof(ping), ":1.7", NULL), 0);
        ck_assert_int_eq(header_parse(&h, back.data, back.n), 0);
        ck_assert_str_eq(header_text(back.data, h.sender), ":1.7");
        gvariant_buf_deinit(&back);
}
END_TEST

START_TEST(every_changed_byte_is_refused_or_read_as_something_valid)
{
        for (size_t i = 0; i < sizeof(ping); i++) {
                for (unsigned bit = 0; bit < 8; bit++) {
                        struct gvariant_buf back = GVARIANT_BUF_NULL;
                        struct transcode_info info;
                        uint8_t copy[sizeof(ping)];
                        struct header h;

                        memcpy(copy, ping, sizeof(ping));
                        copy[i] ^= 1 << bit;
                        if (transcode_from_v2(&back, &info, TRANSCODE_PARENTHESES, copy, sizeof(copy), NULL, NULL) == 0)
                                ck_assert_int_eq(header_parse(&h, back.data, back.n), 0);
                        gvariant_buf_deinit(&back);
                }
        }
}
END_TEST

START_TEST(every_truncation_is_refused)
{
        for (size_t n = 0; n < sizeof(ping); n++) {
                struct gvariant_buf back = GVARIANT_BUF_NULL;
                struct transcode_info info;
                uint8_t *copy = malloc(n + 1);

                ck_assert_ptr_nonnull(copy);
                memcpy(copy, ping, n);
                ck_assert_int_eq(transcode_from_v2(&back, &info, TRANSCODE_PARENTHESES, copy, n, NULL, NULL), -EBADMSG);
                free(copy);
                gvariant_buf_deinit(&back);
        }
}
END_TEST

START_TEST(a_cookie_beyond_32_bits_cannot_be_told_in_d_bus)
{
        struct gvariant_buf back = GVARIANT_BUF_NULL;
        struct transcode_info info;
        uint8_t copy[sizeof(ping)];

        memcpy(copy, ping, sizeof(ping));
        copy[12] = 1;
        ck_assert_int_eq(transcode_from_v2(&back, &info, TRANSCODE_PARENTHESES, copy, sizeof(copy), NULL, NULL), -EOVERFLOW);
        gvariant_buf_deinit(&back);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("transcode");
        TCase *tcase = tcase_create("transcode");

        tcase_add_test(tcase, a_known_message_is_laid_out_as_described);
        tcase_add_loop_test(tcase, both_ways_to_write_the_type_of_the_body_are_read, 0, 4);
        tcase_add_test(tcase, a_body_of_fixed_size_may_lack_its_padding_in_the_old_style);
        tcase_add_loop_test(tcase, a_lone_struct_is_told_from_the_new_style_by_who_writes, 0, 2);
        tcase_add_test(tcase, the_sender_is_what_the_bus_says);
        tcase_add_test(tcase, every_changed_byte_is_refused_or_read_as_something_valid);
        tcase_add_test(tcase, every_truncation_is_refused);
        tcase_add_test(tcase, a_cookie_beyond_32_bits_cannot_be_told_in_d_bus);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
