/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Poller: who is called, in what order, with how long a turn, and by whom after it has moved. */

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/test-run.h"
#include "shim/bus/poller.h"
#include "shim/bus/turn.h"

#define MANY 200
#define FOR_EVER UINT64_MAX

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
        for (uint64_t end = now_usec() + 5000000; a->budget == TURN_SHORT && now_usec() < end;)
                rounds(1);
        ck_assert_uint_eq(a->budget, TURN_BUFFER);
}
END_TEST

START_TEST(who_floods_waits_for_a_moment_after_one_who_says_little)
{
        struct speaker *c;

        add('A', true);
        rounds(t.poller.patience);
        c = add('c', false);
        t.poller.grace = t.poller.pace = FOR_EVER;
        forget_calls();
        rounds(3);
        be_silent(c);
        rounds(3);
        ck_assert_str_eq(t.calls, "ccc");
        t.poller.grace = 0; /* the moment is over */
        rounds(2);
        ck_assert_str_eq(t.calls, "cccAA");
}
END_TEST

START_TEST(who_is_busy_but_for_a_while_does_not_wait)
{
        struct speaker *a = add('A', true), *b;

        rounds(t.poller.patience);
        b = add('B', true);
        add('c', false);
        t.poller.grace = t.poller.pace = FOR_EVER;
        rounds(1); /* nobody knows that B is busy */
        forget_calls();
        rounds(3);
        ck_assert_str_eq(t.calls, "cBcBcB");
        b->says_much = false;
        a->says_much = false;
        rounds(1);
        t.poller.grace = 0; /* A has its turn, and proves not to flood any more */
        rounds(1);
        t.poller.grace = FOR_EVER;
        forget_calls();
        rounds(1);
        ck_assert_uint_eq(t.n_calls, 3);
}
END_TEST

START_TEST(who_floods_gets_its_turns_however_often_others_say_little)
{
        struct speaker *a = add('A', true);

        rounds(t.poller.patience);
        a->n_calls = 0;
        add('c', false);
        t.poller.grace = FOR_EVER;
        t.poller.pace = 1;
        for (uint64_t end = now_usec() + 5000000; a->n_calls < 100 && now_usec() < end;)
                rounds(1);
        ck_assert_uint_ge(a->n_calls, 100);
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

/* --- moving ---------------------------------------------------------------------------------- */

START_TEST(a_watch_that_moved_is_called_by_its_new_poller_alone)
{
        struct speaker *a = add('A', true), *b = add('B', true);
        struct poller other = {};

        ck_assert_int_eq(poller_init(&other), 0);
        rounds(2);
        watch_leave(&a->watch);
        forget_calls();
        rounds(2);
        ck_assert_str_eq(t.calls, "BB");
        ck_assert_int_eq(watch_enter(&a->watch, &other), 0);
        rounds(1);
        ck_assert_str_eq(t.calls, "BBB");
        ck_assert_int_eq(poller_wait(&other, &t.turn, 0), 1);
        ck_assert_str_eq(t.calls, "BBBA");
        be_silent(a);
        ck_assert_int_eq(poller_wait(&other, &t.turn, 0), 0);
        be_silent(b);
        watch_stop(&a->watch);
        poller_deinit(&other);
}
END_TEST

START_TEST(what_is_changed_on_the_way_holds_on_arrival)
{
        struct speaker *a = add('A', false), *b = add('B', false);
        struct poller other = {};

        ck_assert_int_eq(poller_init(&other), 0);
        be_silent(b);
        watch_leave(&a->watch);
        watch_leave(&b->watch);
        be_silent(a);
        watch_change(&b->watch, 0, EPOLLIN);
        ck_assert_int_eq(watch_enter(&a->watch, &other), 0);
        ck_assert_int_eq(watch_enter(&b->watch, &other), 0);
        ck_assert_int_eq(poller_wait(&other, &t.turn, 0), 1);
        ck_assert_str_eq(t.calls, "B");
        watch_change(&a->watch, 0, EPOLLIN);
        ck_assert_int_eq(poller_wait(&other, &t.turn, 0), 2);
        watch_stop(&a->watch);
        watch_stop(&b->watch);
        poller_deinit(&other);
}
END_TEST

START_TEST(a_watch_that_cannot_enter_can_be_stopped)
{
        struct speaker *a = add('A', false);
        struct poller none = { .epoll_fd = -1 };

        watch_leave(&a->watch);
        ck_assert_int_lt(watch_enter(&a->watch, &none), 0);
        watch_change(&a->watch, EPOLLIN, 0);
        watch_stop(&a->watch);
        ck_assert_int_eq(a->watch.fd, -1);
}
END_TEST

static uint64_t rang_at;

static void rings(struct timer *timer, struct turn *turn)
{
        (void)timer;
        (void)turn;
        rang_at = now_usec();
}

START_TEST(a_timer_that_moved_is_due_when_it_was)
{
        struct timer timer = { .fn = rings }, idle = { .fn = rings };
        struct poller other = {};
        uint64_t due;

        rang_at = 0;
        ck_assert_int_eq(poller_init(&other), 0);
        poller_enter(&other);
        timer_set(&timer, &t.poller, 30000);
        due = timer.due;
        timer_leave(&timer);
        timer_leave(&idle);
        ck_assert_int_eq(poller_wait(&t.poller, &t.turn, 60000), 0);
        ck_assert_uint_eq(rang_at, 0);
        timer_enter(&timer, &other);
        timer_enter(&idle, &other);
        ck_assert_uint_eq(timer.due, due);
        while (!rang_at)
                ck_assert_int_ge(poller_wait(&other, &t.turn, UINT64_MAX), 0);
        ck_assert_uint_ge(rang_at, due);
        ck_assert_uint_eq(idle.due, 0);
        timer_set(&timer, &other, 1000000);
        timer_leave(&timer);
        timer_clear(&timer);
        timer_enter(&timer, &other);
        ck_assert_uint_eq(timer.due, 0);
        poller_deinit(&other);
}
END_TEST

/* Bytes for a traveller, who goes from one thread to the other every few reads. */
#define N_TRAVELLERS 8
#define N_BYTES 20000

struct home {
        struct poller poller;
        struct turn turn;
        struct watch door;
        int door_fd;
        pthread_mutex_t lock;
        struct cds_list_head coming;
        struct cds_list_head here; /* its thread's */
        pthread_t thread;
};

struct traveller {
        struct watch watch;
        struct timer timer;
        struct cds_list_head link;
        struct home *home; /* whose thread it is in */
        int fd, other_end;
        unsigned int since_arrival;
        unsigned int n_rung;
        _Atomic unsigned int n_read;
};

static struct {
        struct home homes[2];
        struct traveller travellers[N_TRAVELLERS];
        _Atomic bool stop;
        _Atomic unsigned int n_moved;
} j;

static void reads(struct watch *watch, uint32_t events, struct turn *turn)
{
        struct traveller *who = container_of(watch, struct traveller, watch);
        char buf[7];
        ssize_t n;

        (void)turn;
        ck_assert(pthread_equal(who->home->poller.thread, pthread_self()));
        who->since_arrival++;
        if (events & EPOLLOUT)
                watch_change(watch, EPOLLOUT, 0);
        if (!(events & EPOLLIN))
                return;
        n = read(who->fd, buf, sizeof(buf));
        if (n > 0)
                atomic_fetch_add(&who->n_read, n);
        watch_more(watch, n == sizeof(buf));
}

static void ticks(struct timer *timer, struct turn *turn)
{
        struct traveller *who = container_of(timer, struct traveller, timer);

        (void)turn;
        ck_assert(pthread_equal(who->home->poller.thread, pthread_self()));
        who->n_rung++;
        timer_set(timer, &who->home->poller, 300);
}

static void arrive(struct home *home, struct traveller *who)
{
        who->home = home;
        who->since_arrival = 0;
        cds_list_add(&who->link, &home->here);
        timer_enter(&who->timer, &home->poller);
        ck_assert_int_eq(watch_enter(&who->watch, &home->poller), 0);
}

static void somebody_comes(struct watch *watch, uint32_t events, struct turn *turn)
{
        struct home *home = container_of(watch, struct home, door);
        struct traveller *who, *next;
        CDS_LIST_HEAD(list);
        eventfd_t n;

        (void)events;
        (void)turn;
        eventfd_read(home->door_fd, &n);
        pthread_mutex_lock(&home->lock);
        cds_list_splice(&home->coming, &list);
        CDS_INIT_LIST_HEAD(&home->coming);
        pthread_mutex_unlock(&home->lock);
        cds_list_for_each_entry_safe(who, next, &list, link)
                arrive(home, who);
}

static void depart(struct traveller *who, struct home *to)
{
        cds_list_del(&who->link);
        timer_leave(&who->timer);
        watch_leave(&who->watch);
        pthread_mutex_lock(&to->lock);
        cds_list_add_tail(&who->link, &to->coming);
        pthread_mutex_unlock(&to->lock);
        eventfd_write(to->door_fd, 1);
        atomic_fetch_add(&j.n_moved, 1);
}

static void *live(void *data)
{
        struct home *home = data, *other = &j.homes[home == &j.homes[0]];
        struct traveller *who, *next;

        poller_enter(&home->poller);
        while (!atomic_load(&j.stop)) {
                ck_assert_int_ge(poller_wait(&home->poller, &home->turn, 1000), 0);
                cds_list_for_each_entry_safe(who, next, &home->here, link)
                        if (who->since_arrival >= 3)
                                depart(who, other);
        }
        return NULL;
}

static void *meddle(void *data)
{
        unsigned int seed = 7;

        (void)data;
        while (!atomic_load(&j.stop)) {
                struct traveller *who = &j.travellers[rand_r(&seed) % N_TRAVELLERS];

                watch_change(&who->watch, EPOLLIN, 0);
                watch_change(&who->watch, 0, EPOLLOUT);
                watch_change(&who->watch, 0, EPOLLIN);
        }
        return NULL;
}

static void *feed(void *data)
{
        for (int i = 0; i < N_BYTES; i++)
                for (int k = 0; k < N_TRAVELLERS; k++)
                        if (write(j.travellers[k].other_end, "x", 1) != 1)
                                return (void *)1;
        return data;
}

static void settle(void)
{
        memset(&j, 0, sizeof(j));
        for (int i = 0; i < 2; i++) {
                struct home *home = &j.homes[i];

                CDS_INIT_LIST_HEAD(&home->coming);
                CDS_INIT_LIST_HEAD(&home->here);
                pthread_mutex_init(&home->lock, NULL);
                ck_assert_int_eq(poller_init(&home->poller), 0);
                home->door_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                ck_assert_int_eq(watch_start(&home->door, &home->poller, home->door_fd, EPOLLIN,
                                             somebody_comes), 0);
        }
        for (int i = 0; i < N_TRAVELLERS; i++) {
                struct traveller *who = &j.travellers[i];
                int fds[2];

                ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
                who->fd = fds[0];
                who->other_end = fds[1];
                who->home = &j.homes[0];
                who->timer.fn = ticks;
                cds_list_add(&who->link, &who->home->here);
                ck_assert_int_eq(watch_start(&who->watch, &who->home->poller, who->fd, EPOLLIN,
                                             reads), 0);
                timer_set(&who->timer, &who->home->poller, 300);
        }
}

static void unsettle(void)
{
        for (int i = 0; i < N_TRAVELLERS; i++) {
                watch_stop(&j.travellers[i].watch);
                timer_clear(&j.travellers[i].timer);
                close(j.travellers[i].fd);
                close(j.travellers[i].other_end);
        }
        for (int i = 0; i < 2; i++) {
                watch_stop(&j.homes[i].door);
                close(j.homes[i].door_fd);
                poller_deinit(&j.homes[i].poller);
        }
}

static bool all_is_read(void)
{
        for (int i = 0; i < N_TRAVELLERS; i++)
                if (atomic_load(&j.travellers[i].n_read) < N_BYTES)
                        return false;
        return true;
}

START_TEST(nothing_is_lost_while_watches_move_and_others_change_them)
{
        pthread_t feeder, meddler;
        void *failed;

        settle();
        for (int i = 0; i < 2; i++)
                ck_assert_int_eq(pthread_create(&j.homes[i].thread, NULL, live, &j.homes[i]), 0);
        ck_assert_int_eq(pthread_create(&meddler, NULL, meddle, NULL), 0);
        ck_assert_int_eq(pthread_create(&feeder, NULL, feed, NULL), 0);
        pthread_join(feeder, &failed);
        ck_assert_ptr_null(failed);
        while (!all_is_read())
                usleep(1000);
        atomic_store(&j.stop, true);
        for (int i = 0; i < 2; i++) {
                eventfd_write(j.homes[i].door_fd, 1);
                pthread_join(j.homes[i].thread, NULL);
        }
        pthread_join(meddler, NULL);
        ck_assert_uint_gt(j.n_moved, 100);
        for (int i = 0; i < N_TRAVELLERS; i++) {
                ck_assert_uint_eq(j.travellers[i].n_read, N_BYTES);
                ck_assert_uint_gt(j.travellers[i].n_rung, 0);
        }
        unsettle();
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("poller");
        TCase *tcase = tcase_create("poller"), *moving = tcase_create("moving");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, who_says_little_is_called_between_any_two_who_say_much);
        tcase_add_test(tcase, who_said_much_and_says_little_now_is_not_busy);
        tcase_add_test(tcase, of_many_who_say_much_each_has_its_turns);
        tcase_add_test(tcase, turns_are_short_while_one_who_says_little_is_about);
        tcase_add_test(tcase, who_floods_waits_for_a_moment_after_one_who_says_little);
        tcase_add_test(tcase, who_is_busy_but_for_a_while_does_not_wait);
        tcase_add_test(tcase, who_floods_gets_its_turns_however_often_others_say_little);
        tcase_add_test(tcase, where_nothing_comes_soon_a_wakeful_poller_sleeps);
        tcase_add_test(tcase, where_all_comes_at_once_a_wakeful_poller_is_awake_again);
        suite_add_tcase(suite, tcase);
        tcase_add_checked_fixture(moving, setup, teardown);
        tcase_add_test(moving, a_watch_that_moved_is_called_by_its_new_poller_alone);
        tcase_add_test(moving, what_is_changed_on_the_way_holds_on_arrival);
        tcase_add_test(moving, a_watch_that_cannot_enter_can_be_stopped);
        tcase_add_test(moving, a_timer_that_moved_is_due_when_it_was);
        tcase_add_test(moving, nothing_is_lost_while_watches_move_and_others_change_them);
        tcase_set_timeout(moving, 60);
        suite_add_tcase(suite, moving);

        return test_run(suite);
}
