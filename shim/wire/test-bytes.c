/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Text: what is UTF-8, wherever in a string it stands. */

#include <string.h>

#include "bus-core/util/cleanup.h"
#include "shim/wire/bytes.h"
#include "shim/wire/error.h"
#include "shim/wire/test-wire.h"

static const struct {
        const char *bytes;
        int error;
} sequences[] = {
        {"\x01", 0},
        {"\x7f", 0},
        {"\xc2\x80", 0},
        {"\xdf\xbf", 0},
        {"\xe0\xa0\x80", 0},
        {"\xed\x9f\xbf", 0},
        {"\xee\x80\x80", 0},
        {"\xef\xbf\xbe", 0}, /* U+FFFE is no character, but text */
        {"\xef\xbf\xbf", 0},
        {"\xf0\x90\x80\x80", 0},
        {"\xf4\x8f\xbf\xbf", 0},
        {"\x80", WIRE_E_UTF8},
        {"\xbf", WIRE_E_UTF8},
        {"\xc0\x80", WIRE_E_UTF8}, /* longer than needed */
        {"\xc1\xbf", WIRE_E_UTF8},
        {"\xe0\x9f\xbf", WIRE_E_UTF8},
        {"\xf0\x8f\xbf\xbf", WIRE_E_UTF8},
        {"\xed\xa0\x80", WIRE_E_UTF8}, /* surrogates */
        {"\xed\xbf\xbf", WIRE_E_UTF8},
        {"\xf4\x90\x80\x80", WIRE_E_UTF8}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", WIRE_E_UTF8},
        {"\xff", WIRE_E_UTF8},
        {"\xc3", WIRE_E_UTF8}, /* cut off */
        {"\xe2\x82", WIRE_E_UTF8},
        {"\xf0\x9f\x98", WIRE_E_UTF8},
        {"\xc3\x28", WIRE_E_UTF8},
        {"\xe2\x28\xa1", WIRE_E_UTF8},
        {"\xe2\x82\x28", WIRE_E_UTF8},
        {"\xf0\x28\x98\x80", WIRE_E_UTF8},
        {"\xf0\x9f\x98\x28", WIRE_E_UTF8},
};

START_TEST(sequences_count_wherever_they_stand)
{
        uint8_t buf[200];

        for (size_t i = 0; i < ARRAY_SIZE(sequences); i++) {
                size_t n = strlen(sequences[i].bytes);

                for (size_t len = n; len < 150; len += 1 + len / 8)
                        for (size_t at = 0; at + n <= len; at++) {
                                memset(buf, 'a', sizeof(buf));
                                memcpy(buf + at, sequences[i].bytes, n);
                                ck_assert_msg(bytes_text(buf, len) == sequences[i].error,
                                              "row %zu at %zu of %zu", i, at, len);
                        }
        }
}
END_TEST

START_TEST(a_nul_is_found_wherever_it_stands)
{
        uint8_t buf[200];

        for (size_t len = 1; len < sizeof(buf); len++)
                for (size_t at = 0; at < len; at++) {
                        memset(buf, 'a', sizeof(buf));
                        buf[at] = 0;
                        ck_assert_int_eq(bytes_text(buf, len), WIRE_E_NUL);
                }
}
END_TEST

START_TEST(what_lies_behind_the_end_does_not_count)
{
        uint8_t buf[200];

        for (size_t len = 0; len < 150; len++) {
                memset(buf, 0xff, sizeof(buf));
                memset(buf, 'a', len);
                ck_assert_int_eq(bytes_text(buf, len), 0);
        }
}
END_TEST

static size_t encode(uint8_t *out, uint32_t c)
{
        if (c < 0x80) {
                out[0] = c;
                return 1;
        }
        if (c < 0x800) {
                out[0] = 0xc0 | c >> 6;
                out[1] = 0x80 | (c & 0x3f);
                return 2;
        }
        if (c < 0x10000) {
                out[0] = 0xe0 | c >> 12;
                out[1] = 0x80 | (c >> 6 & 0x3f);
                out[2] = 0x80 | (c & 0x3f);
                return 3;
        }
        out[0] = 0xf0 | c >> 18;
        out[1] = 0x80 | (c >> 12 & 0x3f);
        out[2] = 0x80 | (c >> 6 & 0x3f);
        out[3] = 0x80 | (c & 0x3f);
        return 4;
}

START_TEST(every_code_point_but_surrogates_is_text)
{
        uint8_t buf[4];

        for (uint32_t c = 1; c < 0x1fffff; c++) {
                bool legal = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);

                ck_assert_int_eq(bytes_text(buf, encode(buf, c)), legal ? 0 : WIRE_E_UTF8);
        }
}
END_TEST

START_TEST(text_of_mixed_scripts_is_text)
{
        uint8_t buf[1000];
        size_t n = 0;

        for (uint32_t c = 0x41; n + 4 < sizeof(buf); c = c * 7 % 0xd700 + 1)
                n += encode(buf + n, c);
        ck_assert_int_eq(bytes_text(buf, n), 0);
        n = strlen(strcpy((char *)buf, "a\xc3\xa4 and then a long run of plain letters, blocks"));
        ck_assert_int_eq(bytes_text(buf, n), 0);
}
END_TEST

START_TEST(integers_swap)
{
        static const uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
        bool big = bytes_native() == 'B';
        uint8_t out[8];

        ck_assert_uint_eq(bytes_load16(bytes, big), 0x0201);
        ck_assert_uint_eq(bytes_load32(bytes, big), 0x04030201);
        ck_assert_uint_eq(bytes_load64(bytes, big), 0x0807060504030201);
        ck_assert_uint_eq(bytes_load32(bytes, !big), 0x01020304);
        bytes_store64(out, 0x0102030405060708, !big);
        ck_assert_mem_eq(out, bytes, 8);
}
END_TEST

int main(void)
{
        return WIRE_RUN("bytes", sequences_count_wherever_they_stand,
                        a_nul_is_found_wherever_it_stands, what_lies_behind_the_end_does_not_count,
                        every_code_point_but_surrogates_is_text, text_of_mixed_scripts_is_text,
                        integers_swap);
}
