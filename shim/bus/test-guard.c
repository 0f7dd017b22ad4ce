/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <check.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "bus-core/util/test-run.h"
#include "shim/bus/guard.h"

#define N_READERS 3
#define ROUNDS    40

static struct guard guard;
static _Atomic bool stop;
static _Atomic uint64_t n_done[N_READERS]; /* by each of those who go on and on */
static uint64_t value; /* written under the write side only */

static void busy(unsigned int usec)
{
        struct timespec begin, now;

        clock_gettime(CLOCK_MONOTONIC, &begin);
        do {
                clock_gettime(CLOCK_MONOTONIC, &now);
        } while ((now.tv_sec - begin.tv_sec) * 1000000 + (now.tv_nsec - begin.tv_nsec) / 1000 < usec);
}

/* Holds its slot nearly always, as a worker does that a client floods. */
static void *read_on(void *data)
{
        unsigned int slot = (uintptr_t)data;

        while (!atomic_load(&stop)) {
                uint64_t seen;

                guard_read(&guard, slot);
                seen = value;
                busy(50);
                ck_assert_uint_eq(seen, value);
                guard_unread(&guard, slot);
                atomic_fetch_add(&n_done[slot], 1);
        }
        return NULL;
}

static int by_size(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static uint64_t sum_done(size_t n)
{
        uint64_t sum = 0;

        for (size_t i = 0; i < n; i++)
                sum += atomic_load(&n_done[i]);
        return sum;
}

/* All of them are at it again. */
static void wait_for_all(size_t n)
{
        for (size_t i = 0; i < n; i++) {
                uint64_t before = atomic_load(&n_done[i]);

                while (atomic_load(&n_done[i]) < before + 2)
                        sched_yield();
        }
}

static void write_once(void)
{
        guard_write(&guard);
        value++;
}

static void read_once(void)
{
        guard_read(&guard, 2);
}

static void unread_once(void)
{
        guard_unread(&guard, 2);
}

static void unwrite_once(void)
{
        guard_unwrite(&guard);
}

/* What @n threads got done between a wish and its turn: the median. */
static uint64_t done_meanwhile(size_t n, void (*enter)(void), void (*leave)(void))
{
        uint64_t passed[ROUNDS];

        for (size_t i = 0; i < ROUNDS; i++) {
                uint64_t before;

                wait_for_all(n);
                before = sum_done(n);
                enter();
                passed[i] = sum_done(n) - before;
                leave();
        }
        qsort(passed, ROUNDS, sizeof(*passed), by_size);
        return passed[ROUNDS / 2];
}

START_TEST(a_writer_waits_for_those_who_are_in_and_for_nobody_else)
{
        pthread_t thread[N_READERS];

        guard_init(&guard, N_READERS + 1);
        for (uintptr_t i = 0; i < N_READERS; i++)
                ck_assert_int_eq(pthread_create(&thread[i], NULL, read_on, (void *)i), 0);
        ck_assert_uint_le(done_meanwhile(N_READERS, write_once, unwrite_once), 2 * N_READERS);
        atomic_store(&stop, true);
        for (size_t i = 0; i < N_READERS; i++)
                pthread_join(thread[i], NULL);
        guard_deinit(&guard);
}
END_TEST

static void *write_on(void *data)
{
        while (!atomic_load(&stop)) {
                guard_write(&guard);
                value++;
                busy(50);
                atomic_fetch_add(&n_done[(uintptr_t)data], 1);
                guard_unwrite(&guard);
        }
        return NULL;
}

START_TEST(a_reader_waits_for_writers_that_came_before_it_and_for_nobody_else)
{
        pthread_t thread[2];

        guard_init(&guard, 3);
        for (uintptr_t i = 0; i < 2; i++)
                ck_assert_int_eq(pthread_create(&thread[i], NULL, write_on, (void *)i), 0);
        ck_assert_uint_le(done_meanwhile(2, read_once, unread_once), 4);
        atomic_store(&stop, true);
        for (size_t i = 0; i < 2; i++)
                pthread_join(thread[i], NULL);
        guard_deinit(&guard);
}
END_TEST

START_TEST(one_slot_needs_no_queue)
{
        guard_init(&guard, 1);
        for (int i = 0; i < 3; i++) {
                guard_write(&guard);
                guard_unwrite(&guard);
                guard_read(&guard, 0);
                guard_unread(&guard, 0);
        }
        guard_deinit(&guard);
}
END_TEST

static void *read_once_there(void *data)
{
        uint64_t before;

        guard_read(&guard, 2);
        before = value;
        busy(20);
        ck_assert_uint_eq(value, before);
        guard_unread(&guard, 2);
        return data;
}

START_TEST(slots_come_and_go_while_others_write)
{
        pthread_t writers[2], reader;

        guard_init(&guard, 2);
        for (uintptr_t i = 0; i < 2; i++)
                ck_assert_int_eq(pthread_create(&writers[i], NULL, write_on, (void *)i), 0);
        for (int round = 0; round < 50; round++) {
                guard_resize(&guard, 3);
                ck_assert_int_eq(pthread_create(&reader, NULL, read_once_there, NULL), 0);
                guard_write(&guard);
                value++;
                guard_unwrite(&guard);
                pthread_join(reader, NULL);
                guard_resize(&guard, 2);
        }
        atomic_store(&stop, true);
        for (size_t i = 0; i < 2; i++)
                pthread_join(writers[i], NULL);
        guard_resize(&guard, 1);
        guard_write(&guard);
        guard_unwrite(&guard);
        guard_deinit(&guard);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("guard");
        TCase *tcase = tcase_create("guard");

        tcase_add_test(tcase, a_writer_waits_for_those_who_are_in_and_for_nobody_else);
        tcase_add_test(tcase, a_reader_waits_for_writers_that_came_before_it_and_for_nobody_else);
        tcase_add_test(tcase, one_slot_needs_no_queue);
        tcase_add_test(tcase, slots_come_and_go_while_others_write);
        tcase_set_timeout(tcase, 20);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
