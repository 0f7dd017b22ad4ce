/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Slice: what the kernel says of this thread, and of one that has another policy. */

#define _GNU_SOURCE
#include <check.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bus-core/util/test-run.h"
#include "shim/daemon/slice.h"

static uint64_t slice(void)
{
        struct {
                uint32_t size, policy;
                uint64_t flags;
                int32_t nice;
                uint32_t priority;
                uint64_t runtime, deadline, period;
        } attr = { .size = sizeof(attr) };

        ck_assert_int_eq(syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0), 0);
        return attr.runtime;
}

START_TEST(a_short_slice_is_shorter_than_that_of_others_and_can_be_given_back)
{
        uint64_t common = slice();

        if (!common) {
                puts("skipped: this kernel has one slice for all");
                return;
        }
        slice_shorten();
        ck_assert_uint_lt(slice(), common);
        slice_reset();
        ck_assert_uint_eq(slice(), common);
}
END_TEST

START_TEST(who_was_given_another_policy_keeps_it)
{
        const struct sched_param param = { 0 };

        ck_assert_int_eq(sched_setscheduler(0, SCHED_BATCH, &param), 0);
        slice_shorten();
        ck_assert_int_eq(sched_getscheduler(0), SCHED_BATCH);
        slice_reset();
        ck_assert_int_eq(sched_getscheduler(0), SCHED_BATCH);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("slice");
        TCase *tcase = tcase_create("slice");

        tcase_add_test(tcase, a_short_slice_is_shorter_than_that_of_others_and_can_be_given_back);
        tcase_add_test(tcase, who_was_given_another_policy_keeps_it);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
