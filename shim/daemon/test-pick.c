/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Pick: who goes, who stays, and who goes together. */

#include <check.h>

#include "bus-core/core.h"
#include "bus-core/util/test-run.h"
#include "shim/daemon/pick.h"

static char names[8]; /* their addresses */

static struct pick one(int name, uint64_t weight, int partner)
{
        struct pick p = { .who = &names[name], .weight = weight };

        if (partner >= 0)
                p.partners[p.n_partners++] = &names[partner];
        return p;
}

/* Who goes, as bits. */
static unsigned int gone(const struct pick *list, size_t n)
{
        unsigned int bits = 0;

        for (size_t i = 0; i < n; i++)
                if (list[i].goes)
                        bits |= 1U << ((const char *)list[i].who - names);
        return bits;
}

START_TEST(the_busiest_go_first_until_it_is_enough)
{
        struct pick list[] = { one(0, 10, -1), one(1, 40, -1), one(2, 30, -1), one(3, 20, -1) };

        ck_assert_int_eq(pick_some(list, ARRAY_SIZE(list), 50), 70);
        ck_assert_uint_eq(gone(list, ARRAY_SIZE(list)), 1 << 1 | 1 << 2);
}
END_TEST

START_TEST(who_alone_is_too_much_stays)
{
        struct pick list[] = { one(0, 90, -1), one(1, 4, -1), one(2, 6, -1) };

        ck_assert_int_eq(pick_some(list, ARRAY_SIZE(list), 50), 10);
        ck_assert_uint_eq(gone(list, ARRAY_SIZE(list)), 1 << 1 | 1 << 2);
}
END_TEST

START_TEST(of_two_that_weigh_the_same_one_goes)
{
        struct pick list[] = { one(0, 50, -1), one(1, 50, -1) };

        ck_assert_int_eq(pick_some(list, ARRAY_SIZE(list), 50), 50);
}
END_TEST

START_TEST(those_who_talk_to_each_other_go_together)
{
        struct pick list[] = { one(0, 10, 3), one(1, 10, 2), one(2, 10, 1), one(3, 10, 0) };
        unsigned int bits;

        ck_assert_int_eq(pick_some(list, ARRAY_SIZE(list), 20), 20);
        bits = gone(list, ARRAY_SIZE(list));
        ck_assert(bits == (1 << 0 | 1 << 3) || bits == (1 << 1 | 1 << 2));
}
END_TEST

START_TEST(a_service_that_all_call_does_not_keep_them_all)
{
        struct pick list[] = { one(0, 40, -1), one(1, 10, 0), one(2, 10, 0), one(3, 10, 0),
                               one(4, 10, 0) };

        for (int i = 1; i <= 4; i++)
                list[0].partners[list[0].n_partners++] = &names[i];
        ck_assert_int_eq(pick_some(list, ARRAY_SIZE(list), 40), 50); /* it goes, with one of them */
}
END_TEST

START_TEST(who_does_nothing_and_who_is_elsewhere_does_not_matter)
{
        struct pick list[] = { one(0, 0, -1), one(1, 0, 7), one(2, 5, 7) };

        ck_assert_int_eq(pick_some(list, ARRAY_SIZE(list), 5), 5);
        ck_assert_uint_eq(gone(list, ARRAY_SIZE(list)), 1 << 2);
        ck_assert_int_eq(pick_some(NULL, 0, 100), 0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("pick");
        TCase *tcase = tcase_create("pick");

        tcase_add_test(tcase, the_busiest_go_first_until_it_is_enough);
        tcase_add_test(tcase, who_alone_is_too_much_stays);
        tcase_add_test(tcase, of_two_that_weigh_the_same_one_goes);
        tcase_add_test(tcase, those_who_talk_to_each_other_go_together);
        tcase_add_test(tcase, a_service_that_all_call_does_not_keep_them_all);
        tcase_add_test(tcase, who_does_nothing_and_who_is_elsewhere_does_not_matter);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
