/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Poller: who is called, in what order, and with how long a turn. */

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/test-run.h"
#include "shim/bus/poller.h"
#include "shim/bus/turn.h"

#define MANY 200

/* One that always has something to say; how much decides whether it is busy. */
struct speaker {
        struct watch watch;
        int fd;
        char name;
        bool says_much;
        unsigned int n_calls;
        size_t budget; /* of its last turn */
};

static struct {
        struct poller poller;
        struct turn turn;
        struct speaker speakers[MANY];
        size_t n;
        char calls[1024]; /* the names of those called */
        size_t n_calls;
} t;

static void called(struct watch *watch, uint32_t events, struct turn *turn)
{
        struct speaker *s = container_of(watch, struct speaker, watch);

        (void)events;
        s->n_calls++;
        s->budget = turn->budget;
        watch_more(watch, s->says_much);
        if (t.n_calls < sizeof(t.calls) - 1)
                t.calls[t.n_calls++] = s->name;
}

static struct speaker *add(char name, bool says_much)
{
        struct speaker *s = &t.speakers[t.n++];

        s->name = name;
        s->says_much = says_much;
        s->fd = eventfd(1, EFD_CLOEXEC);
        ck_assert_int_ge(s->fd, 0);
        ck_assert_int_eq(watch_start(&s->watch, &t.poller, s->fd, EPOLLIN, called), 0);
        return s;
}

static void be_silent(struct speaker *s)
{
        watch_change(&s->watch, EPOLLIN, 0);
}

static void rounds(size_t n)
{
        while (n--)
                ck_assert_int_ge(poller_wait(&t.poller, &t.turn, 0), 0);
}

static void forget_calls(void)
{
        memset(t.calls, 0, sizeof(t.calls));
        t.n_calls = 0;
}

static void setup(void)
{
        memset(&t, 0, sizeof(t));
        ck_assert_int_eq(poller_init(&t.poller), 0);
        poller_enter(&t.poller);
}

static void teardown(void)
{
        for (size_t i = 0; i < t.n; i++) {
                watch_stop(&t.speakers[i].watch);
                close(t.speakers[i].fd);
        }
        poller_deinit(&t.poller);
}

START_TEST(who_says_little_is_called_between_any_two_who_say_much)
{
        add('A', true);
        add('B', true);
        add('c', false);
        rounds(1); /* nobody is known yet */
        forget_calls();
        rounds(6);
        ck_assert_str_eq(t.calls, "cAcBcAcBcAcB");
}
END_TEST

START_TEST(who_said_much_and_says_little_now_is_not_busy)
{
        struct speaker *a = add('A', true);

        add('B', true);
        rounds(1);
        a->says_much = false;
        rounds(2);
        forget_calls();
        rounds(3);
        ck_assert_str_eq(t.calls, "ABABAB");
}
END_TEST

START_TEST(of_many_who_say_much_each_has_its_turns)
{
        for (size_t i = 0; i < MANY; i++)
                add('A', true);
        rounds(8 + 4 * MANY); /* the first ones call all that epoll tells of at once */
        for (size_t i = 0; i < MANY; i++) {
                ck_assert_uint_ge(t.speakers[i].n_calls, 1 + 2);
                ck_assert_uint_le(t.speakers[i].n_calls, 1 + 6);
        }
}
END_TEST

START_TEST(turns_are_short_while_one_who_says_little_is_about)
{
        struct speaker *a = add('A', true), *c;

        rounds(3);
        ck_assert_uint_eq(a->budget, TURN_BUFFER);
        c = add('c', false);
        rounds(2);
        ck_assert_uint_eq(a->budget, TURN_SHORT);
        be_silent(c);
        rounds(2);
        ck_assert_uint_eq(a->budget, TURN_SHORT);
        rounds(100);
        ck_assert_uint_eq(a->budget, TURN_BUFFER);
}
END_TEST

START_TEST(where_nothing_comes_soon_a_wakeful_poller_sleeps)
{
        t.poller.wakeful = true;
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(poller_wait(&t.poller, &t.turn, 1000), 0);
        /* awake once, in vain; since then no wait was short, so that it sleeps through all of them */
        ck_assert_uint_eq(t.poller.doubt, 1);
        ck_assert_uint_eq(t.poller.asleep, 1);
}
END_TEST

START_TEST(where_all_comes_at_once_a_wakeful_poller_is_awake_again)
{
        t.poller.wakeful = true;
        t.poller.doubt = t.poller.asleep = 10;
        add('c', false);
        /* 20 times suffice, where no wait takes long because another program runs */
        for (int i = 0; t.poller.doubt && i < 100000; i++)
                ck_assert_int_eq(poller_wait(&t.poller, &t.turn, 1000000), 1);
        ck_assert_uint_eq(t.poller.asleep, 0);
        ck_assert_uint_eq(t.poller.doubt, 0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("poller");
        TCase *tcase = tcase_create("poller");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, who_says_little_is_called_between_any_two_who_say_much);
        tcase_add_test(tcase, who_said_much_and_says_little_now_is_not_busy);
        tcase_add_test(tcase, of_many_who_say_much_each_has_its_turns);
        tcase_add_test(tcase, turns_are_short_while_one_who_says_little_is_about);
        tcase_add_test(tcase, where_nothing_comes_soon_a_wakeful_poller_sleeps);
        tcase_add_test(tcase, where_all_comes_at_once_a_wakeful_poller_is_awake_again);
        suite_add_tcase(suite, tcase);

        return test_run(suite);
}
