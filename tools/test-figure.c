/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tests of how numbers, times and foreign texts are written */

#include "config.h"

#include <check.h>
#include <stdlib.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/test-run.h"
#include "tools/figure.h"

static const struct {
        double n;
        const char *count, *bytes, *size;
} numbers[] = {
        { 0, "0", "0", "0 B" },
        { 0.01, "<0.1", "0", "0 B" },
        { 0.3, "0.3", "0", "0 B" },
        { 1, "1", "1", "1 B" },
        { 2.04, "2", "2", "2 B" },
        { 9.5, "9.5", "10", "10 B" },
        { 999, "999", "999", "999 B" },
        { 1023, "1023", "1023", "1023 B" },
        { 1024, "1024", "1.0K", "1.0 KiB" },
        { 9999, "9999", "9.8K", "9.8 KiB" },
        { 10000, "10.0k", "9.8K", "9.8 KiB" },
        { 12345, "12.3k", "12.1K", "12.1 KiB" },
        { 123456, "123k", "121K", "121 KiB" },
        { 999600, "1.0M", "976K", "976 KiB" },
        { 1048575, "1.0M", "1.0M", "1.0 MiB" },
        { 18446744073709551615.0, "18.4E", "16.0E", "16.0 EiB" },
};

START_TEST(numbers_have_few_digits_and_a_unit)
{
        char buf[FIGURE_MAX];

        ck_assert_str_eq(figure_count(buf, numbers[_i].n), numbers[_i].count);
        ck_assert_str_eq(figure_bytes(buf, numbers[_i].n), numbers[_i].bytes);
        ck_assert_str_eq(figure_size(buf, numbers[_i].n), numbers[_i].size);
}
END_TEST

static const struct {
        uint64_t seconds;
        const char *text;
} times[] = {
        { 0, "0 s" },           { 59, "59 s" },          { 60, "1 min" },
        { 3599, "59 min" },     { 3600, "1 h 0 min" },   { 7500, "2 h 5 min" },
        { 86399, "23 h 59 min" }, { 86400, "1 d 0 h" },  { 273600, "3 d 4 h" },
};

START_TEST(times_have_two_units_at_most)
{
        char buf[FIGURE_MAX];

        ck_assert_str_eq(figure_time(buf, times[_i].seconds * 1000000 + 999999), times[_i].text);
}
END_TEST

static const struct {
        const char *text;
        size_t width;
        const char *shown;
        size_t n;
} texts[] = {
        { "plain", 10, "plain", 5 },
        { "plain", 3, "pla", 3 },
        { "", 3, "", 0 },
        { "a\033[2Jb", 10, "a?[2Jb", 6 },
        { "tab\tline\n\177", 20, "tab?line??", 10 },
        { "\xc3\xa4\xc3\xb6", 1, "\xc3\xa4", 1 },           /* two characters of two bytes */
        { "\xc2\x9b" "2J", 10, "??2J", 4 },                  /* CSI of eight bits, in UTF-8 */
        { "\x9b" "2J", 10, "?2J", 3 },                       /* and by itself */
        { "\xe2\x82\xac", 10, "\xe2\x82\xac", 1 },
        { "\xe2\x82", 10, "??", 2 },                         /* cut short */
        { "\xff\xfe", 10, "??", 2 },
};

START_TEST(foreign_texts_do_not_steer_the_terminal)
{
        char buf[64];

        ck_assert_uint_eq(figure_text(buf, sizeof(buf), texts[_i].text, texts[_i].width),
                          texts[_i].n);
        ck_assert_str_eq(buf, texts[_i].shown);
}
END_TEST

START_TEST(a_text_never_outgrows_its_buffer)
{
        const char *text = "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac";
        char buf[16];

        for (size_t size = 1; size < sizeof(buf); size++) {
                memset(buf, 'x', sizeof(buf));
                ck_assert_uint_eq(figure_text(buf, size, text, 99), MIN((size - 1) / 3, (size_t)3));
                ck_assert_uint_lt(strlen(buf), size);
                ck_assert_int_eq(buf[size], 'x');
        }
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("figure");
        TCase *t = tcase_create("figure");

        suite_add_tcase(suite, t);
        tcase_add_loop_test(t, numbers_have_few_digits_and_a_unit, 0, ARRAY_SIZE(numbers));
        tcase_add_loop_test(t, times_have_two_units_at_most, 0, ARRAY_SIZE(times));
        tcase_add_loop_test(t, foreign_texts_do_not_steer_the_terminal, 0, ARRAY_SIZE(texts));
        tcase_add_test(t, a_text_never_outgrows_its_buffer);
        return test_run(suite);
}
