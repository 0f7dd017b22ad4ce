/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Spread: how many workers, and what moves, from numbers alone. And where the numbers come from. */

#include "config.h"

#include <check.h>
#include <string.h>

#include "bus-core/core.h"
#include "bus-core/util/test-run.h"
#include "shim/daemon/idle.h"
#include "shim/daemon/spread.h"

static struct {
        struct spread spread;
        struct spread_window w;
        unsigned int busy[4];
} t;

static void setup(void)
{
        t.spread = SPREAD_NULL;
        memset(t.busy, 0, sizeof(t.busy));
        t.busy[0] = 980;
        t.w = (struct spread_window){
                .now = 1000000000, .n = 1, .max = 4, .processors = 4, .busy = t.busy,
                .idle = 2000, .rate = 100000,
        };
}

/* Windows like this one until there is something to do, or @n; returns how many it took. */
static unsigned int windows(unsigned int n, struct spread_step *step)
{
        for (unsigned int i = 1; i <= n; i++) {
                t.w.now += SPREAD_WINDOW_USEC;
                *step = spread_decide(&t.spread, &t.w);
                if (step->verdict)
                        return i;
        }
        return n;
}

static void expect(unsigned int n, enum spread_verdict verdict)
{
        struct spread_step step;

        ck_assert_uint_eq(windows(n, &step), n);
        ck_assert_int_eq(step.verdict, verdict);
}

/* Another one runs, and both have half of what there is. */
static void grow(void)
{
        expect(SPREAD_GROW, SPREAD_GROW_NOW);
        t.w.n = 2;
        t.busy[0] = t.busy[1] = 950;
}

START_TEST(saturated_beside_an_idle_processor_grows)
{
        expect(SPREAD_GROW, SPREAD_GROW_NOW);
}
END_TEST

START_TEST(saturated_without_an_idle_processor_stays)
{
        t.w.idle = SPREAD_ROOM - 1;
        expect(1000, SPREAD_STAY);
}
END_TEST

START_TEST(who_waits_now_and_then_stays)
{
        t.busy[0] = SPREAD_SATURATED - 1;
        expect(1000, SPREAD_STAY);
}
END_TEST

START_TEST(one_window_in_which_it_waits_begins_anew)
{
        for (int i = 0; i < 100; i++) {
                t.busy[0] = 980;
                expect(SPREAD_GROW - 1, SPREAD_STAY);
                t.busy[0] = 700;
                expect(1, SPREAD_STAY);
        }
}
END_TEST

START_TEST(no_more_than_allowed_and_no_more_than_processors)
{
        t.w.max = 1;
        expect(1000, SPREAD_STAY);
        t.w.max = 4;
        t.w.processors = 1;
        expect(1000, SPREAD_STAY);
}
END_TEST

START_TEST(where_idle_is_not_known_it_takes_two_processors_more)
{
        t.w.idle = SPREAD_UNKNOWN;
        t.w.processors = 2;
        expect(1000, SPREAD_STAY);
        t.w.processors = 3;
        expect(SPREAD_GROW, SPREAD_GROW_NOW);
}
END_TEST

START_TEST(what_has_paid_stays)
{
        grow();
        t.w.rate = 150000;
        t.w.idle = 300;
        expect(1000, SPREAD_STAY);
}
END_TEST

START_TEST(what_has_not_paid_is_undone_and_tried_again_later_and_later)
{
        uint64_t pause = SPREAD_BACKOFF_USEC / SPREAD_WINDOW_USEC;
        struct spread_step step;

        for (int i = 0; i < 12; i++) {
                grow();
                t.w.rate = 104000;
                expect(SPREAD_SETTLE + SPREAD_TRIAL, SPREAD_SHRINK);
                t.w.n = 1;
                t.w.rate = 100000;
                ck_assert_uint_eq(windows(pause - 1, &step), pause - 1);
                ck_assert_int_eq(step.verdict, SPREAD_STAY);
                pause = MIN(2 * pause, (uint64_t)SPREAD_BACKOFF_MAX / SPREAD_WINDOW_USEC);
        }
}
END_TEST

START_TEST(a_good_beginning_is_no_pay)
{
        grow();
        t.w.rate = 200000;
        t.w.idle = 300;
        expect(SPREAD_SETTLE + SPREAD_TRIAL / 3, SPREAD_STAY);
        t.w.rate = 100000;
        expect(SPREAD_TRIAL - SPREAD_TRIAL / 3, SPREAD_SHRINK);
}
END_TEST

START_TEST(a_load_that_goes_away_during_the_trial_proves_nothing)
{
        uint64_t before = t.spread.not_before;

        grow();
        t.busy[0] = t.busy[1] = 10;
        t.w.rate = 10;
        expect(SPREAD_RELAX, SPREAD_SHRINK);
        ck_assert_uint_eq(t.spread.not_before, before);
}
END_TEST

START_TEST(of_two_that_one_could_do_easily_one_goes)
{
        grow();
        t.w.rate = 200000;
        t.w.idle = 300;
        expect(100, SPREAD_STAY);
        t.busy[0] = 400;
        t.busy[1] = 190;
        expect(SPREAD_RELAX, SPREAD_SHRINK);
        t.w.n = 1;
        t.busy[0] = 590;
        expect(1000, SPREAD_STAY);
}
END_TEST

START_TEST(a_little_less_to_do_is_no_reason_to_go)
{
        grow();
        t.w.rate = 200000;
        t.w.idle = 300;
        expect(100, SPREAD_STAY);
        t.busy[0] = 400;
        t.busy[1] = 250;
        expect(1000, SPREAD_STAY);
}
END_TEST

START_TEST(among_a_crowd_it_is_tried_with_one_less)
{
        grow();
        t.w.rate = 200000;
        expect(SPREAD_SETTLE + SPREAD_TRIAL, SPREAD_STAY);
        t.w.idle = 20;
        expect(SPREAD_CROWD, SPREAD_SHRINK);
        t.w.n = 1;
        t.w.rate = _i ? 195000 : 150000;
        if (_i) /* no loss: it stays with one, even beside an idle processor */
                expect(SPREAD_SETTLE + SPREAD_TRIAL + 20, SPREAD_STAY);
        else
                expect(SPREAD_SETTLE + SPREAD_TRIAL, SPREAD_GROW_NOW);
}
END_TEST

START_TEST(from_a_saturated_one_half_of_the_difference_moves)
{
        struct spread_step step;

        t.w.n = 3;
        t.busy[0] = 500;
        t.busy[1] = 1000;
        t.busy[2] = 200;
        ck_assert_uint_eq(windows(10, &step), 1);
        ck_assert_int_eq(step.verdict, SPREAD_WEIGH);
        ck_assert_uint_eq(step.from, 1);
        ck_assert_uint_eq(windows(10, &step), 2);
        ck_assert_int_eq(step.verdict, SPREAD_MOVE);
        ck_assert_uint_eq(step.from, 1);
        ck_assert_uint_eq(step.to, 2);
        ck_assert_uint_eq(step.share, 400);
        t.busy[1] = 600;
        t.busy[2] = 600;
        expect(1000, SPREAD_STAY);
}
END_TEST

START_TEST(what_moves_has_a_rest)
{
        struct spread_step step;
        unsigned int n = 0;

        t.w.n = 2;
        t.busy[1] = 0;
        for (int i = 0; i < 80; i++) {
                t.busy[0] = 600 + 400 * (i % 40 < 20); /* easy or not, never for long */
                t.w.now += SPREAD_WINDOW_USEC;
                step = spread_decide(&t.spread, &t.w);
                n += step.verdict == SPREAD_MOVE;
        }
        ck_assert_uint_ge(n, 2);
        ck_assert_uint_le(n, 80 / 8);
}
END_TEST

/* --- idle ------------------------------------------------------------------------------------ */

static const char stat[] = "cpu  10 20 30 4000 50 0 0 0 0 0\n"
                           "cpu0 1 2 3 1000 7 0 0 0 0 0\n"
                           "cpu1 1 2 3 2000 8 0 0 0 0 0\n"
                           "cpu3 1 2 3 3000 9 0 0 0 0 0\n"
                           "intr 1 2 3\nctxt 1\n";

static uint64_t idle_of(const char *text, unsigned int bits)
{
        cpu_set_t set;

        CPU_ZERO(&set);
        for (int i = 0; i < 8; i++)
                if (bits & 1U << i)
                        CPU_SET(i, &set);
        return idle_parse(text, &set);
}

START_TEST(idle_is_that_of_the_processors_that_may_be_used)
{
        ck_assert_uint_eq(idle_of(stat, 1), 1007);
        ck_assert_uint_eq(idle_of(stat, 1 | 8), 1007 + 3009);
        ck_assert_uint_eq(idle_of(stat, 1 | 2 | 8), 1007 + 2008 + 3009);
}
END_TEST

START_TEST(idle_is_unknown_where_not_all_of_them_are_told_of)
{
        ck_assert_uint_eq(idle_of(stat, 4), IDLE_UNKNOWN);
        ck_assert_uint_eq(idle_of(stat, 1 | 4), IDLE_UNKNOWN);
        ck_assert_uint_eq(idle_of("", 1), IDLE_UNKNOWN);
        ck_assert_uint_eq(idle_of("cpu0 1 2", 1), IDLE_UNKNOWN);
        ck_assert_uint_eq(idle_of("intr 5\ncpu0 1 2 3 4 5\n", 1), IDLE_UNKNOWN);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("spread");
        TCase *tcase = tcase_create("spread");

        tcase_add_checked_fixture(tcase, setup, NULL);
        tcase_add_test(tcase, saturated_beside_an_idle_processor_grows);
        tcase_add_test(tcase, saturated_without_an_idle_processor_stays);
        tcase_add_test(tcase, who_waits_now_and_then_stays);
        tcase_add_test(tcase, one_window_in_which_it_waits_begins_anew);
        tcase_add_test(tcase, no_more_than_allowed_and_no_more_than_processors);
        tcase_add_test(tcase, where_idle_is_not_known_it_takes_two_processors_more);
        tcase_add_test(tcase, what_has_paid_stays);
        tcase_add_test(tcase, what_has_not_paid_is_undone_and_tried_again_later_and_later);
        tcase_add_test(tcase, a_good_beginning_is_no_pay);
        tcase_add_test(tcase, a_load_that_goes_away_during_the_trial_proves_nothing);
        tcase_add_test(tcase, of_two_that_one_could_do_easily_one_goes);
        tcase_add_test(tcase, a_little_less_to_do_is_no_reason_to_go);
        tcase_add_loop_test(tcase, among_a_crowd_it_is_tried_with_one_less, 0, 2);
        tcase_add_test(tcase, from_a_saturated_one_half_of_the_difference_moves);
        tcase_add_test(tcase, what_moves_has_a_rest);
        tcase_add_test(tcase, idle_is_that_of_the_processors_that_may_be_used);
        tcase_add_test(tcase, idle_is_unknown_where_not_all_of_them_are_told_of);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
