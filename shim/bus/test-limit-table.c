/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus-core/util/test-run.h"
#include "shim/bus/creds.h"
#include "shim/bus/limit-table.h"

#define NAMES LIMIT_INDEX(max_names_per_connection)
#define RULES LIMIT_INDEX(max_match_rules_per_connection)

static struct limit_table *table;

static void setup(void)
{
        struct limit_origin origin[LIMITS_N] = { [NAMES] = { "base.conf", 3 } };
        struct limits limits;

        limits_init(&limits);
        limits.max_names_per_connection = 7;
        ck_assert_int_eq(limit_table_new(&table, &limits, origin), 0);
}

static void teardown(void)
{
        table = limit_table_unref(table);
}

static void add(struct limit_override o)
{
        ck_assert_int_eq(limit_table_append(table, &o), 0);
}

static struct limit_set *set_of(struct limit_subject subject)
{
        struct limit_set *set;

        ck_assert_int_eq(limits_of(&set, table, &subject), 0);
        return set;
}

static uint64_t names_of(struct limit_subject subject)
{
        struct limit_set *set = set_of(subject);
        uint64_t n = set->limits.max_names_per_connection;

        limit_set_unref(set);
        return n;
}

#define USER(n) ((struct limit_subject){ .has_uid = true, .uid = (n) })
#define GROUP(path) ((struct limit_subject){ .cgroup = (path) })
#define PROGRAM(path) ((struct limit_subject){ .executable = (path) })

START_TEST(those_whom_no_override_matches_share_one_set)
{
        struct limit_set *a, *b;

        add((struct limit_override){ NAMES, 9, .has_user = true, .user = 5 });
        a = set_of(USER(1));
        b = set_of(USER(2));
        ck_assert_ptr_eq(a, b);
        ck_assert_uint_eq(a->limits.max_names_per_connection, 7);
        ck_assert_str_eq(a->origin[NAMES].file, "base.conf");
        limit_set_unref(a);
        limit_set_unref(b);
}
END_TEST

START_TEST(the_last_override_that_matches_wins)
{
        add((struct limit_override){ NAMES, 9, .has_user = true, .user = 5 });
        add((struct limit_override){ NAMES, 10 });
        add((struct limit_override){ NAMES, 11, .has_user = true, .user = 6 });
        ck_assert_uint_eq(names_of(USER(5)), 10);
        ck_assert_uint_eq(names_of(USER(6)), 11);
        ck_assert_uint_eq(names_of((struct limit_subject){ 0 }), 10);
}
END_TEST

START_TEST(an_override_changes_its_limit_only_and_says_where_it_stands)
{
        struct limit_set *set;

        add((struct limit_override){ RULES, 1, .origin = { "over.conf", 12 } });
        set = set_of(USER(1));
        teardown(); /* the set keeps what it needs */
        ck_assert_uint_eq(set->limits.max_match_rules_per_connection, 1);
        ck_assert_uint_eq(set->limits.max_names_per_connection, 7);
        ck_assert_str_eq(set->origin[RULES].file, "over.conf");
        ck_assert_uint_eq(set->origin[RULES].line, 12);
        ck_assert_str_eq(set->origin[NAMES].file, "base.conf");
        limit_set_unref(set);
}
END_TEST

START_TEST(a_unit_is_any_part_of_the_path)
{
        add((struct limit_override){ NAMES, 1, .unit = "user.slice" });
        add((struct limit_override){ NAMES, 2, .unit = "app-*.scope" });
        add((struct limit_override){ NAMES, 3, .unit = "cgroup.service" });
        ck_assert_uint_eq(names_of(GROUP("/user.slice/user-1.slice")), 1);
        ck_assert_uint_eq(names_of(GROUP("/user.slice/app-x.scope")), 2);
        ck_assert_uint_eq(names_of(GROUP("/system.slice/_cgroup.service")), 3);
        ck_assert_uint_eq(names_of(GROUP("/system.slice/x.service")), 7);
        ck_assert_uint_eq(names_of(GROUP("/superuser.slice")), 7);
        ck_assert_uint_eq(names_of(GROUP("")), 7);
        ck_assert_uint_eq(names_of(GROUP(NULL)), 7);
}
END_TEST

START_TEST(an_executable_is_matched_by_its_whole_path)
{
        add((struct limit_override){ NAMES, 1, .executable = "/usr/bin/*" });
        ck_assert_uint_eq(names_of(PROGRAM("/usr/bin/x")), 1);
        ck_assert_uint_eq(names_of(PROGRAM("/usr/bin/x/y")), 7);
        ck_assert_uint_eq(names_of(PROGRAM(NULL)), 7);
}
END_TEST

START_TEST(all_that_an_override_asks_for_must_hold)
{
        add((struct limit_override){ NAMES, 1, .has_user = true, .user = 5, .unit = "a.service",
                                     .executable = "/bin/x" });
        ck_assert_uint_eq(names_of((struct limit_subject){ true, 5, "/bin/x", "/a.service" }), 1);
        ck_assert_uint_eq(names_of((struct limit_subject){ true, 6, "/bin/x", "/a.service" }), 7);
        ck_assert_uint_eq(names_of((struct limit_subject){ true, 5, "/bin/y", "/a.service" }), 7);
        ck_assert_uint_eq(names_of((struct limit_subject){ true, 5, "/bin/x", "/b.service" }), 7);
        ck_assert_uint_eq(names_of((struct limit_subject){ false, 5, "/bin/x", "/a.service" }), 7);
}
END_TEST

START_TEST(a_process_is_found_by_what_it_runs)
{
        struct limit_set *set;
        struct creds *creds;
        char self[4096];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

        ck_assert_int_gt(n, 0);
        self[n] = '\0';
        add((struct limit_override){ NAMES, 1, .executable = self });
        ck_assert_int_eq(creds_of_self(&creds), 0);
        ck_assert_int_eq(limits_for(&set, table, creds), 0);
        ck_assert_uint_eq(set->limits.max_names_per_connection, 1);
        limit_set_unref(set);
        creds_unref(creds);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("limit-table");
        TCase *tcase = tcase_create("limit-table");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, those_whom_no_override_matches_share_one_set);
        tcase_add_test(tcase, the_last_override_that_matches_wins);
        tcase_add_test(tcase, an_override_changes_its_limit_only_and_says_where_it_stands);
        tcase_add_test(tcase, a_unit_is_any_part_of_the_path);
        tcase_add_test(tcase, an_executable_is_matched_by_its_whole_path);
        tcase_add_test(tcase, all_that_an_override_asks_for_must_hold);
        tcase_add_test(tcase, a_process_is_found_by_what_it_runs);
        suite_add_tcase(suite, tcase);

        return test_run(suite);
}
