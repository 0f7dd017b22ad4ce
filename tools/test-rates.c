/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tests of rates, of their order, and of the table's lines */

#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/test-run.h"
#include "tools/rates.h"

#define N_ROWS 3

static struct stats_row before_rows[RATES_ALL_TOLD], now_rows[RATES_ALL_TOLD];
static struct stats_message before_messages[2], now_messages[2];
static struct view before, now;
static struct rates rates;

static void set_row(struct stats_row *row, const char *name, uint64_t in, uint64_t queued)
{
        snprintf(row->name, sizeof(row->name), "%s", name);
        row->count[COUNT_MESSAGES_IN] = in;
        row->gauge[GAUGE_QUEUED_BYTES] = queued;
}

/* Two seconds: :1.2 sent 10, :1.10 sent 10, :1.3 sent 4 and keeps most, :1.9 came and sent 30. */
static void setup(void)
{
        static const enum stats_kind kind = STATS_CONNECTIONS;

        memset(before_rows, 0, sizeof(before_rows));
        memset(now_rows, 0, sizeof(now_rows));
        before = now = VIEW_NULL;
        rates = RATES_NULL;
        set_row(&before_rows[0], ":1.10", 100, 0);
        set_row(&before_rows[1], ":1.2", 50, 0);
        set_row(&before_rows[2], ":1.3", 7, 9000);
        set_row(&now_rows[0], ":1.3", 11, 9000);
        set_row(&now_rows[1], ":1.10", 110, 0);
        set_row(&now_rows[2], ":1.2", 60, 5);
        set_row(&now_rows[3], ":1.9", 30, 0);
        snprintf(now_rows[3].comm, sizeof(now_rows[3].comm), "org.example.New");
        before.at = 1000000;
        now.at = 3000000;
        before.has_counts = now.has_counts = true;
        before.has_stats = now.has_stats = true;
        before.stats.list[kind] = (struct stats_list){ before_rows, 3, 3 };
        now.stats.list[kind] = (struct stats_list){ now_rows, 4, 4 };
        before_messages[0] = (struct stats_message){ .text = "a.B", .messages = 5, .bytes = 50 };
        now_messages[0] = (struct stats_message){ .text = "c.D", .messages = 8, .bytes = 80 };
        now_messages[1] = (struct stats_message){ .text = "a.B", .messages = 9, .bytes = 90 };
        before.stats.messages = before_messages;
        before.stats.n_messages = 1;
        now.stats.messages = now_messages;
        now.stats.n_messages = 2;
        now.stats.total.count[COUNT_MESSAGES_IN] = 24;
        now.missing = json_array();
}

static void teardown(void)
{
        rates_deinit(&rates);
        json_decref(now.missing);
}

static void make(enum rates_by by, enum rates_sort sort)
{
        ck_assert_int_eq(rates_make(&rates, &before, &now, by, sort), 0);
}

static void check_order(const char *const *names, size_t n)
{
        ck_assert_uint_eq(rates.n, n);
        for (size_t i = 0; i < n; i++)
                ck_assert_str_eq(rates.rows[i].row ? rates.rows[i].row->name
                                                   : rates.rows[i].message->text, names[i]);
}

START_TEST(rates_are_what_was_done_in_between_per_second)
{
        static const char *const order[] = { ":1.9", ":1.2", ":1.10", ":1.3" };

        make(RATES_CONNECTIONS, RATES_BY_MESSAGES);
        check_order(order, 4);
        ck_assert_double_eq(rates.seconds, 2);
        ck_assert_double_eq(rates.rows[0].per_second[COUNT_MESSAGES_IN], 15);
        ck_assert_double_eq(rates.rows[1].per_second[COUNT_MESSAGES_IN], 5);
        ck_assert_double_eq(rates.rows[3].per_second[COUNT_MESSAGES_IN], 2);
        ck_assert_double_eq(rates.total.per_second[COUNT_MESSAGES_IN], 12);
}
END_TEST

START_TEST(another_order_is_by_what_was_asked_for)
{
        static const char *const order[] = { ":1.3", ":1.2", ":1.9", ":1.10" };

        make(RATES_CONNECTIONS, RATES_BY_QUEUE);
        check_order(order, 4);
}
END_TEST

START_TEST(members_have_rates_too)
{
        static const char *const order[] = { "c.D", "a.B" };

        make(RATES_MEMBERS, RATES_BY_MESSAGES);
        check_order(order, 2);
        ck_assert_double_eq(rates.rows[0].per_second[COUNT_MESSAGES_IN], 4);
        ck_assert_double_eq(rates.rows[1].per_second[COUNT_MESSAGES_IN], 2);
        ck_assert_double_eq(rates.rows[1].per_second[COUNT_BYTES_IN], 20);
}
END_TEST

START_TEST(without_an_earlier_view_there_are_no_rates)
{
        ck_assert_int_eq(rates_make(&rates, NULL, &now, RATES_CONNECTIONS, RATES_BY_MESSAGES), 0);
        ck_assert_double_eq(rates.seconds, 0);
        for (size_t i = 0; i < rates.n; i++)
                ck_assert_double_eq(rates.rows[i].per_second[COUNT_MESSAGES_IN], 0);
}
END_TEST

START_TEST(one_that_was_not_among_those_told_has_no_rates)
{
        for (size_t i = 3; i < RATES_ALL_TOLD; i++)
                snprintf(before_rows[i].name, sizeof(before_rows[i].name), ":1.%zu", 1000 + i);
        before.stats.list[STATS_CONNECTIONS].n = RATES_ALL_TOLD;
        make(RATES_CONNECTIONS, RATES_BY_MESSAGES);
        for (size_t i = 0; i < rates.n; i++)
                if (!strcmp(rates.rows[i].row->name, ":1.9"))
                        ck_assert_double_eq(rates.rows[i].per_second[COUNT_MESSAGES_IN], 0);
        ck_assert_str_eq(rates.rows[0].row->name, ":1.2");
}
END_TEST

START_TEST(a_counter_that_began_anew_is_not_negative)
{
        before_rows[0].count[COUNT_MESSAGES_IN] = 1000;
        make(RATES_CONNECTIONS, RATES_BY_MESSAGES);
        for (size_t i = 0; i < rates.n; i++)
                ck_assert_double_ge(rates.rows[i].per_second[COUNT_MESSAGES_IN], 0);
}
END_TEST

START_TEST(lines_are_as_wide_as_asked_and_under_their_heads)
{
        static const size_t widths[] = { 1, 20, 26, 40, 80, 100, 200 };
        char head[1024], line[1024];

        make(RATES_CONNECTIONS, RATES_BY_MESSAGES);
        for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
                rates_head(&rates, head, sizeof(head), widths[i]);
                ck_assert_uint_eq(strlen(head), widths[i]);
                for (size_t j = 0; j < rates.n; j++) {
                        rates_line(&rates, j, line, sizeof(line), widths[i]);
                        ck_assert_uint_eq(strlen(line), widths[i]);
                }
        }
        rates_head(&rates, head, sizeof(head), 80);
        rates_line(&rates, 0, line, sizeof(line), 80);
        ck_assert_int_eq(strncmp(line, ":1.9 org.example.New ", 21), 0);
        /* the number ends where its head does */
        ck_assert_int_eq(strncmp(line + (strstr(head, "SENT/S") - head) + 4, "15", 2), 0);
}
END_TEST

START_TEST(a_bus_that_does_not_count_has_dashes)
{
        char line[256];

        now.has_counts = false;
        make(RATES_CONNECTIONS, RATES_BY_QUEUE);
        rates_line(&rates, 0, line, sizeof(line), 80);
        ck_assert_ptr_nonnull(strstr(line, " - "));
        ck_assert_ptr_nonnull(strstr(line, "8.8K")); /* 9000 bytes in its queue */
}
END_TEST

START_TEST(json_can_be_parsed_and_is_bounded)
{
        const char *by, *sort, *name;
        json_t *object, *again;
        double rate, seconds;
        char *text;

        make(RATES_CONNECTIONS, RATES_BY_MESSAGES);
        object = rates_json(&rates, 2);
        text = json_dumps(object, JSON_COMPACT);
        ck_assert_ptr_null(strchr(text, '\n'));
        again = json_loads(text, 0, NULL);
        ck_assert_int_eq(json_unpack(again, "{s:s,s:s,s:F,s:[{s:s,s:{s:F}}]}", "by", &by, "sort",
                                     &sort, "seconds", &seconds, "rows", "name", &name,
                                     "per_second", "messages_in", &rate), 0);
        ck_assert_str_eq(by, "connection");
        ck_assert_str_eq(sort, "messages");
        ck_assert_double_eq(seconds, 2);
        ck_assert_str_eq(name, ":1.9");
        ck_assert_double_eq(rate, 15);
        ck_assert_uint_eq(json_array_size(json_object_get(again, "rows")), 2);
        json_decref(object);
        json_decref(again);
        free(text);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("rates");
        TCase *t = tcase_create("rates");

        suite_add_tcase(suite, t);
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, rates_are_what_was_done_in_between_per_second);
        tcase_add_test(t, another_order_is_by_what_was_asked_for);
        tcase_add_test(t, members_have_rates_too);
        tcase_add_test(t, without_an_earlier_view_there_are_no_rates);
        tcase_add_test(t, one_that_was_not_among_those_told_has_no_rates);
        tcase_add_test(t, a_counter_that_began_anew_is_not_negative);
        tcase_add_test(t, lines_are_as_wide_as_asked_and_under_their_heads);
        tcase_add_test(t, a_bus_that_does_not_count_has_dashes);
        tcase_add_test(t, json_can_be_parsed_and_is_bounded);
        return test_run(suite);
}
