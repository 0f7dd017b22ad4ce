/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tests of comparing transcripts: what is missing, surplus, changed, out of order; and latencies */

#include "config.h"

#include <check.h>
#include <string.h>

#include "bus-core/util/test-run.h"
#include "tools/diff.h"
#include "tools/latency.h"

/* a transcript is written as text: each letter is a message with that key; a capital letter is the
 * same message with other contents */
static void fill(struct transcript *t, uint32_t receiver, const char *messages)
{
        for (; *messages; messages++) {
                struct transcript_entry e = {
                        .key = (uint64_t)(*messages | 0x20),
                        .receiver = receiver,
                        .sender = 1,
                        .topic = (uint32_t)(*messages | 0x20),
                };

                ck_assert_int_eq(transcript_put(t, &e, messages, 1), 0);
        }
}

struct row {
        const char *reference, *candidate;
        const char *expected; /* per difference its kind and key */
};

static const struct row rows[] = {
        { "", "", "" },
        { "abcdef", "abcdef", "" },
        { "abcdef", "abdef", "-c" },
        { "abcdef", "abxcdef", "+x" },
        { "abcdef", "abCdef", "!c" },
        { "abcdef", "abdcef", "~c" },
        { "abcdef", "bcdefa", "~a" },
        { "abcdef", "", "-a-b-c-d-e-f" },
        { "", "ab", "+a+b" },
        { "aab", "aaab", "=a" },
        { "aaab", "ab", "-a-a" },
        { "abc", "xyz", "-a-b-c+x+y+z" },
        { "abcd", "aCbd", "~b!c" },
};

static char sign(const struct diff *d)
{
        if (d->kind == DIFF_EXTRA && d->again)
                return '=';
        return "-+!~"[d->kind];
}

START_TEST(differences_are_named_by_kind_and_message)
{
        const struct row *row = &rows[_i];
        struct transcript a, b;
        struct diff_list list;
        char got[64] = "";

        ck_assert_int_eq(transcript_init(&a), 0);
        ck_assert_int_eq(transcript_init(&b), 0);
        fill(&a, 5, "same");
        fill(&b, 5, "same");
        fill(&a, 7, row->reference);
        fill(&b, 7, row->candidate);
        ck_assert_int_eq(diff_transcripts(&list, &a, &b), 0);
        for (size_t i = 0; i < list.n; i++) {
                ck_assert_uint_eq(diff_entry(&list.list[i])->receiver, 7);
                got[2 * i] = sign(&list.list[i]);
                got[2 * i + 1] = (char)diff_entry(&list.list[i])->key;
        }
        ck_assert_msg(!strcmp(got, row->expected), "%s / %s: %s, expected %s", row->reference,
                      row->candidate, got, row->expected);
        diff_list_deinit(&list);
        transcript_deinit(&a);
        transcript_deinit(&b);
}
END_TEST

START_TEST(missing_says_whether_any_of_its_kind_arrives)
{
        struct transcript a, b;
        struct diff_list list;

        ck_assert_int_eq(transcript_init(&a), 0);
        ck_assert_int_eq(transcript_init(&b), 0);
        fill(&a, 7, "aaab");
        fill(&b, 7, "aa");
        ck_assert_int_eq(diff_transcripts(&list, &a, &b), 0);
        ck_assert_uint_eq(list.n, 2);
        ck_assert(!list.list[0].none);
        ck_assert(list.list[1].none);
        diff_list_deinit(&list);
        transcript_deinit(&a);
        transcript_deinit(&b);
}
END_TEST

START_TEST(an_entry_is_loaded_with_its_bytes)
{
        struct transcript_entry e = { .receiver = 1 }, again;
        struct transcript t;
        uint8_t *data;

        ck_assert_int_eq(transcript_init(&t), 0);
        ck_assert_int_eq(transcript_put(&t, &e, "first", 5), 0);
        ck_assert_int_eq(transcript_put(&t, &e, "second", 6), 0);
        ck_assert_int_eq(transcript_rewind(&t), 0);
        ck_assert_int_eq(transcript_next(&t, &again), 0);
        ck_assert_int_eq(transcript_next(&t, &again), 0);
        ck_assert_int_eq(transcript_load(&t, &again, &data), 0);
        ck_assert_mem_eq(data, "second", 6);
        free(data);
        transcript_deinit(&t);
}
END_TEST

START_TEST(quantiles_are_right_to_an_eighth)
{
        struct histogram h = { 0 };

        ck_assert_uint_eq(histogram_quantile(&h, 0.5), 0);
        for (uint64_t us = 1; us <= 10000; us++)
                histogram_add(&h, us * 1000);
        for (int percent = 1; percent < 100; percent++) {
                double right = percent * 100.0 * 1000;
                double got = (double)histogram_quantile(&h, percent / 100.0);

                ck_assert_msg(got > right * 0.87 && got < right * 1.13, "%d %%: %g", percent, got);
        }
        histogram_add(&h, UINT64_MAX);
        ck_assert_uint_eq(h.n, 10001);
}
END_TEST

START_TEST(the_rate_keeps_its_sum_however_long_it_gets)
{
        struct latency l = { 0 };
        uint64_t sum = 0;

        for (uint64_t i = 0; i < 1000; i++)
                latency_delivered(&l, i * 7000000);
        for (uint32_t i = 0; i < l.n_slots; i++)
                sum += l.slots[i];
        ck_assert_uint_eq(sum, 1000);
        ck_assert_uint_ge(l.n_slots * l.slot_ns, UINT64_C(6993000000));
        latency_deinit(&l);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("diff");
        TCase *t = tcase_create("diff");

        suite_add_tcase(suite, t);
        tcase_add_loop_test(t, differences_are_named_by_kind_and_message, 0, ARRAY_SIZE(rows));
        tcase_add_test(t, missing_says_whether_any_of_its_kind_arrives);
        tcase_add_test(t, an_entry_is_loaded_with_its_bytes);
        tcase_add_test(t, quantiles_are_right_to_an_eighth);
        tcase_add_test(t, the_rate_keeps_its_sum_however_long_it_gets);
        return test_run(suite);
}
