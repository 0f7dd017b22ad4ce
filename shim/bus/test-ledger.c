/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus-core/util/test-fault.h"
#include "bus-core/util/test-run.h"
#include "shim/bus/creds.h"
#include "shim/bus/ledger.h"

static struct ledger ledger;

/* A client as far as the ledger knows: whose it is, and what it has counted. */
struct guest {
        struct ledger_entry *entries[LEDGER_N];
        struct counts counts;
};

static void setup(void)
{
        ledger_init(&ledger);
}

static void teardown(void)
{
        ledger_deinit(&ledger);
}

/* The pids are nobody's, beyond what the kernel gives out, unless they are real. */
static void come(struct guest *guest, uid_t uid, pid_t pid)
{
        struct creds creds = { .has_uid = uid != (uid_t)-1, .uid = uid, .pid = pid };

        *guest = (struct guest){};
        ledger_enter(&ledger, &creds, guest->entries);
        for (size_t i = 0; i < LEDGER_N; i++)
                ck_assert_ptr_nonnull(guest->entries[i]);
}

static void go(struct guest *guest, bool forced)
{
        ledger_leave(&ledger, guest->entries, &guest->counts, forced);
}

START_TEST(what_who_has_left_did_stays_with_process_unit_and_user)
{
        struct ledger_entry *process, *user, *unit;
        struct guest a, b;

        come(&a, 1000, 5000001);
        come(&b, 1000, 5000002);
        user = a.entries[LEDGER_USERS];
        unit = a.entries[LEDGER_UNITS];
        process = a.entries[LEDGER_PROCESSES];
        ck_assert_ptr_eq(b.entries[LEDGER_USERS], user);
        ck_assert_ptr_ne(b.entries[LEDGER_PROCESSES], process);
        ck_assert_str_eq(user->name, "1000");
        ck_assert_str_eq(process->name, "5000001");
        ck_assert_uint_eq(user->n_clients, 2);
        counts_add(&a.counts, COUNT_MESSAGES_IN, 7);
        counts_add(&b.counts, COUNT_MESSAGES_IN, 100);
        go(&a, true);
        ck_assert_ptr_null(a.entries[LEDGER_USERS]);
        go(&a, true); /* changes nothing */
        go(&b, false);
        ck_assert_uint_eq(counts_get(&process->gone, COUNT_MESSAGES_IN), 7);
        ck_assert_uint_eq(counts_get(&user->gone, COUNT_MESSAGES_IN), 107);
        ck_assert_uint_eq(counts_get(&unit->gone, COUNT_MESSAGES_IN), 107);
        ck_assert_uint_eq(user->connects, 2);
        ck_assert_uint_eq(user->forced, 1);
        ck_assert_uint_eq(user->n_clients, 0);
        ck_assert_uint_eq(user->peak_clients, 2);
}
END_TEST

START_TEST(who_comes_again_goes_on_where_it_was)
{
        struct ledger_entry *user;
        struct guest a;

        for (int i = 0; i < 3; i++) {
                come(&a, 1000, 5000001);
                counts_add(&a.counts, COUNT_BYTES_IN, 10);
                user = a.entries[LEDGER_USERS];
                go(&a, false);
        }
        ck_assert_uint_eq(counts_get(&user->gone, COUNT_BYTES_IN), 30);
        ck_assert_uint_eq(user->connects, 3);
        ck_assert_uint_eq(user->peak_clients, 1);
}
END_TEST

START_TEST(the_anonymous_are_a_user)
{
        struct guest a;

        come(&a, -1, 5000001);
        ck_assert_str_eq(a.entries[LEDGER_USERS]->name, "anonymous");
        go(&a, false);
}
END_TEST

START_TEST(who_has_been_away_for_longest_gives_way_and_is_counted_as_other)
{
        struct ledger_book *users = &ledger.book[LEDGER_USERS];
        struct guest stays, a;

        come(&stays, 1, 5000001);
        for (uid_t uid = 2; uid <= LEDGER_MAX + 1; uid++) {
                come(&a, uid, 5000001);
                counts_add(&a.counts, COUNT_MESSAGES_IN, uid);
                go(&a, uid == 2);
        }
        ck_assert_uint_eq(HASH_COUNT(users->entries), LEDGER_MAX);
        ck_assert_uint_eq(users->other.connects, 1);
        ck_assert_uint_eq(users->other.forced, 1);
        ck_assert_uint_eq(counts_get(&users->other.gone, COUNT_MESSAGES_IN), 2);
        come(&a, 1, 5000001);
        ck_assert_ptr_eq(a.entries[LEDGER_USERS], stays.entries[LEDGER_USERS]);
        go(&a, false);
        go(&stays, false);
}
END_TEST

START_TEST(who_is_here_never_gives_way)
{
        static struct guest guests[LEDGER_MAX + 2];
        struct ledger_book *users = &ledger.book[LEDGER_USERS];

        for (uid_t uid = 0; uid < LEDGER_MAX + 2; uid++)
                come(&guests[uid], uid, 5000001);
        ck_assert_uint_eq(HASH_COUNT(users->entries), LEDGER_MAX);
        ck_assert_ptr_eq(guests[LEDGER_MAX].entries[LEDGER_USERS], &users->other);
        ck_assert_uint_eq(users->other.n_clients, 2);
        for (uid_t uid = 0; uid < LEDGER_MAX + 2; uid++) {
                counts_add(&guests[uid].counts, COUNT_LOST, 1);
                go(&guests[uid], false);
        }
        ck_assert_uint_eq(counts_get(&users->other.gone, COUNT_LOST), 2);
        ck_assert_uint_eq(users->other.n_clients, 0);
}
END_TEST

START_TEST(without_memory_everybody_is_other)
{
        bool failed = true;
        size_t n;

        for (n = 0; failed; n++) {
                struct creds creds = { .has_uid = true, .uid = 1000 + n, .pid = 5000000 + n };
                struct guest a = {};

                fault_after(n + 1);
                ledger_enter(&ledger, &creds, a.entries);
                failed = !fault_is_due();
                fault_after(0);
                for (size_t i = 0; i < LEDGER_N; i++)
                        ck_assert_ptr_nonnull(a.entries[i]);
                go(&a, false);
        }
        ck_assert_uint_gt(n, 3);
        for (size_t i = 0; i < LEDGER_N; i++)
                ck_assert_uint_eq(ledger.book[i].other.n_clients, 0);
        ck_assert_uint_gt(ledger.book[LEDGER_USERS].other.connects, 0);
}
END_TEST

/* What a process calls itself goes into messages, and into the text of metrics. */
START_TEST(a_strange_name_of_a_process_becomes_plain)
{
        static const char strange[] = "a\nb\"c\\d\033[2J\303\244";
        struct guest a;
        pid_t pid = fork();

        if (!pid) {
                execl("/bin/sleep", strange, "10", (char *)NULL);
                _exit(1);
        }
        for (int i = 0; i < 500; i++) { /* until it is that program */
                come(&a, 1000, pid);
                go(&a, false);
                if (strstr(ledger.book[LEDGER_PROCESSES].entries->comm, "2J"))
                        break;
                ledger_deinit(&ledger);
                ledger_init(&ledger);
                usleep(10000);
        }
        for (const char *p = ledger.book[LEDGER_PROCESSES].entries->comm; *p; p++)
                ck_assert(*p >= ' ' && *p <= '~');
        ck_assert_ptr_nonnull(strstr(ledger.book[LEDGER_PROCESSES].entries->comm, "b\"c\\d"));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("ledger");
        TCase *tcase = tcase_create("ledger");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, what_who_has_left_did_stays_with_process_unit_and_user);
        tcase_add_test(tcase, who_comes_again_goes_on_where_it_was);
        tcase_add_test(tcase, the_anonymous_are_a_user);
        tcase_add_test(tcase, who_has_been_away_for_longest_gives_way_and_is_counted_as_other);
        tcase_add_test(tcase, who_is_here_never_gives_way);
        tcase_add_test(tcase, without_memory_everybody_is_other);
        tcase_add_test(tcase, a_strange_name_of_a_process_becomes_plain);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
