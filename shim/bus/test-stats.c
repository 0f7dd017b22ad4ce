/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Statistics: a bus of three clients of two processes, and two threads that route for them
 */

#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus-core/util/test-run.h"
#include "shim/bus/stats.h"
#include "shim/bus/test-hall.h"
#include "shim/wire/writer.h"

/* --- a bus and its clients ------------------------------------------------------------------- */

static const struct door door = { .drain = no_drain, .close = no_drain, .free = no_free };

static struct bus bus;
static struct turn turn, other_turn;
static struct client a, b, c; /* a and b are one process */

static void join(struct client *client, pid_t pid)
{
        struct creds *creds;

        ck_assert_int_eq(creds_of_self(&creds), 0);
        creds->pid = pid;
        bus_expect_client(&bus);
        ck_assert_int_eq(client_init(client, &bus, &door, creds), 0);
        creds_unref(creds);
        ck_assert_int_eq(client_hello(&turn, client), 0);
}

static void setup(void)
{
        ck_assert_int_eq(bus_init(&bus, 2, &local), 0);
        ck_assert_int_eq(turn_init(&turn, &bus, 0), 0);
        ck_assert_int_eq(turn_init(&other_turn, &bus, 1), 0);
        turn_write(&turn);
        join(&a, 5000001);
        join(&b, 5000001);
        join(&c, 5000002);
}

static void leave(struct client *client)
{
        client_disconnect(&turn, client);
        turn_commit(&turn);
        turn_release(&turn);
        turn_drain(&turn);
        client_unref(client);
        turn_write(&turn);
}

static void teardown(void)
{
        leave(&a);
        leave(&b);
        leave(&c);
        turn_release(&turn);
        turn_deinit(&turn);
        turn_deinit(&other_turn);
        bus_deinit(&bus);
}

static void see(struct turn *by, uint8_t type, const char *interface, const char *member)
{
        struct envelope *e;
        struct writer w;
        struct header h;
        uint8_t *bytes;
        size_t n;

        writer_init(&w, type, 0, 5);
        writer_field(&w, FIELD_SENDER, a.name);
        if (type == HEADER_RETURN) {
                writer_field_u32(&w, FIELD_REPLY_SERIAL, 1);
        } else {
                writer_field(&w, FIELD_PATH, "/o");
                writer_field(&w, FIELD_INTERFACE, interface);
                writer_field(&w, FIELD_MEMBER, member);
        }
        writer_body(&w, "");
        ck_assert_int_eq(writer_finish(&w, &bytes, &n, &h), 0);
        ck_assert_int_eq(envelope_of_bus(&e, &h, bytes), 0);
        kinds_count(by->kinds, e);
        envelope_unref(e);
        free(bytes);
}

static void report(struct stats *stats)
{
        *stats = STATS_NULL;
        ck_assert_int_eq(stats_take(stats, &turn), 0);
        stats_sort(stats);
}

static const struct stats_message *kind(const struct stats *stats, const char *text)
{
        const struct stats_message *found = NULL;

        for (size_t i = 0; i < stats->n_messages; i++) {
                if (strcmp(stats->messages[i].text, text))
                        continue;
                ck_assert_msg(!found, "%s is there twice", text);
                found = &stats->messages[i];
        }
        return found;
}

/* --- who ------------------------------------------------------------------------------------- */

START_TEST(a_process_has_done_what_its_connections_did_and_those_that_left)
{
        struct client gone;
        struct stats stats;

        counts_add(&a.count, COUNT_MESSAGES_IN, 1);
        counts_add(&b.count, COUNT_MESSAGES_IN, 20);
        counts_add(&c.count, COUNT_MESSAGES_IN, 300);
        join(&gone, 5000001);
        counts_add(&gone.count, COUNT_MESSAGES_IN, 4000);
        leave(&gone);
        report(&stats);
        ck_assert_uint_eq(stats.list[STATS_CONNECTIONS].n, 3);
        ck_assert_uint_eq(stats.list[STATS_PROCESSES].n, 2);
        ck_assert_uint_eq(stats.list[STATS_USERS].n, 1);
        for (size_t i = 0; i < 2; i++) {
                const struct stats_row *row = &stats.list[STATS_PROCESSES].rows[i];
                bool first = !strcmp(row->name, "5000001");

                ck_assert_uint_eq(row->count[COUNT_MESSAGES_IN], first ? 4021 : 300);
                ck_assert_uint_eq(row->gauge[GAUGE_CONNECTIONS], first ? 2 : 1);
                ck_assert_uint_eq(row->gauge[GAUGE_CONNECTS], first ? 3 : 1);
        }
        ck_assert_uint_eq(stats.list[STATS_USERS].rows[0].count[COUNT_MESSAGES_IN], 4321);
        ck_assert_uint_eq(stats.total.count[COUNT_MESSAGES_IN], 4321);
        stats_deinit(&stats);
}
END_TEST

START_TEST(who_is_nearest_to_a_limit_comes_first)
{
        struct stats stats;

        c.partial.bytes = c.limits.max_message_size / 2;
        a.partial.fds = a.limits.max_message_unix_fds / 4;
        report(&stats);
        ck_assert_str_eq(stats.list[STATS_CONNECTIONS].rows[0].name, c.name);
        ck_assert_str_eq(stats.list[STATS_CONNECTIONS].rows[1].name, a.name);
        ck_assert_double_eq_tol(stats.list[STATS_CONNECTIONS].rows[0].pressure, 0.5, 0.001);
        ck_assert_str_eq(stats.list[STATS_PROCESSES].rows[0].name, "5000002");
        stats_deinit(&stats);
        a.partial.fds = a.limits.max_message_unix_fds;
        report(&stats);
        ck_assert_str_eq(stats.list[STATS_PROCESSES].rows[0].name, "5000001");
        stats_deinit(&stats);
}
END_TEST

START_TEST(who_has_done_most_of_the_work_lately_comes_first)
{
        struct stats stats;

        counts_add(&a.count, COUNT_MESSAGES_IN, 1000000); /* long ago */
        report(&stats);
        stats_deinit(&stats);
        usleep(1050000);
        report(&stats);
        stats_deinit(&stats);
        counts_add(&c.count, COUNT_MESSAGES_IN, 50000);
        usleep(1050000);
        report(&stats);
        ck_assert_str_eq(stats.list[STATS_PROCESSES].rows[0].name, "5000002");
        ck_assert_double_gt(stats.list[STATS_PROCESSES].rows[0].pressure, 0.5);
        ck_assert_double_lt(stats.list[STATS_PROCESSES].rows[1].pressure, 0.1);
        stats_deinit(&stats);
}
END_TEST

/* --- what ------------------------------------------------------------------------------------ */

START_TEST(what_two_threads_have_seen_is_one_row)
{
        struct stats stats;

        see(&turn, HEADER_SIGNAL, "a.I", "M");
        see(&turn, HEADER_SIGNAL, "a.I", "M");
        see(&other_turn, HEADER_CALL, "a.I", "M");
        see(&other_turn, HEADER_CALL, NULL, "M");
        see(&turn, HEADER_RETURN, NULL, NULL);
        report(&stats);
        ck_assert_uint_eq(stats.n_messages, 2);
        ck_assert_str_eq(stats.messages[0].text, "a.I.M");
        ck_assert_uint_eq(stats.messages[0].messages, 3);
        ck_assert_uint_eq(kind(&stats, "M")->messages, 1);
        stats_deinit(&stats);
}
END_TEST

/* A name may be longer than what is kept of it. */
START_TEST(two_names_that_begin_alike_for_long_are_one_row)
{
        char interface[200], one[220], two[220];
        struct stats stats;

        memset(interface, 'a', sizeof(interface));
        strcpy(interface + sizeof(interface) - 3, ".b");
        snprintf(one, sizeof(one), "%s.One", interface);
        snprintf(two, sizeof(two), "%s.Two", interface);
        see(&turn, HEADER_SIGNAL, one, "M");
        see(&turn, HEADER_SIGNAL, two, "M");
        see(&other_turn, HEADER_SIGNAL, two, "M");
        report(&stats);
        ck_assert_uint_eq(stats.n_messages, 1);
        ck_assert_uint_eq(stats.messages[0].messages, 3);
        stats_deinit(&stats);
}
END_TEST

START_TEST(what_is_frequent_stays_whatever_a_client_makes_up)
{
        enum { MADE_UP = 50000, FREQUENT = 1000 };
        struct stats stats;
        uint64_t sum = 0;
        char member[32];

        for (unsigned int i = 0; i < MADE_UP; i++) {
                snprintf(member, sizeof(member), "M%u", i);
                see(&turn, HEADER_SIGNAL, "x.Y", member);
                if (i % (MADE_UP / FREQUENT) == 0)
                        see(&turn, HEADER_SIGNAL, "a.I", "Frequent");
        }
        report(&stats);
        ck_assert_ptr_nonnull(kind(&stats, "a.I.Frequent"));
        ck_assert_uint_eq(kind(&stats, "a.I.Frequent")->messages, FREQUENT);
        ck_assert_ptr_eq(kind(&stats, "a.I.Frequent"), &stats.messages[0]);
        for (size_t i = 0; i < stats.n_messages; i++)
                sum += stats.messages[i].messages;
        ck_assert_uint_eq(sum + stats.other_messages, MADE_UP + FREQUENT);
        ck_assert_uint_le(stats.n_messages, KINDS_SETS * KINDS_WAYS);
        stats_deinit(&stats);
}
END_TEST

START_TEST(what_a_thread_has_counted_is_not_lost_with_it)
{
        struct turn third;
        struct stats stats;

        turn_release(&turn);
        guard_resize(&bus.guard, 3);
        ck_assert_int_eq(turn_init(&third, &bus, 2), 0);
        see(&turn, HEADER_SIGNAL, "com.example.A", "One");
        see(&third, HEADER_SIGNAL, "com.example.A", "One");
        see(&third, HEADER_CALL, "com.example.A", "Two");
        third.kinds->other_messages = 7;
        turn_deinit(&third);
        guard_resize(&bus.guard, 2);
        turn_write(&turn);
        report(&stats);
        ck_assert_uint_eq(kind(&stats, "com.example.A.One")->messages, 2);
        ck_assert_uint_eq(kind(&stats, "com.example.A.Two")->messages, 1);
        ck_assert_uint_eq(stats.other_messages, 7);
        stats_deinit(&stats);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("stats");
        TCase *tcase = tcase_create("stats");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_process_has_done_what_its_connections_did_and_those_that_left);
        tcase_add_test(tcase, who_is_nearest_to_a_limit_comes_first);
        tcase_add_test(tcase, who_has_done_most_of_the_work_lately_comes_first);
        tcase_add_test(tcase, what_two_threads_have_seen_is_one_row);
        tcase_add_test(tcase, two_names_that_begin_alike_for_long_are_one_row);
        tcase_add_test(tcase, what_is_frequent_stays_whatever_a_client_makes_up);
        tcase_add_test(tcase, what_a_thread_has_counted_is_not_lost_with_it);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
