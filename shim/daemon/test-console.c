/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Console: logind's part is played by the test; without it, files of a directory count. */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus-core/util/test-run.h"
#include "shim/daemon/console.h"

static int booted, n_seats;
static uid_t asked;
static char dir[] = "/tmp/test-console.XXXXXX";

static int is_booted(void)
{
        return booted;
}

static int seats(uid_t uid)
{
        asked = uid;
        return n_seats;
}

static void setup(void)
{
        console_library = (struct console_library){ is_booted, seats };
        ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void touch(const char *name, int do_remove)
{
        char path[64];
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        if (do_remove) {
                ck_assert_int_eq(unlink(path), 0);
                return;
        }
        f = fopen(path, "w");
        ck_assert_ptr_nonnull(f);
        fclose(f);
}

static void teardown(void)
{
        rmdir(dir);
}

START_TEST(whoever_has_a_session_on_a_seat_is_there)
{
        booted = 1;
        n_seats = 1;
        ck_assert(console_has(1000, dir));
        ck_assert_uint_eq(asked, 1000);
        n_seats = 0;
        ck_assert(!console_has(1000, dir));
        n_seats = -ENXIO;
        ck_assert(!console_has(1000, dir));
}
END_TEST

START_TEST(logind_alone_decides_where_it_runs)
{
        booted = 1;
        n_seats = 0;
        touch("1000", 0);
        ck_assert(!console_has(1000, dir));
        touch("1000", 1);
}
END_TEST

START_TEST(without_systemd_a_file_by_name_or_number_counts)
{
        booted = 0;
        n_seats = 1;
        ck_assert(!console_has(1, dir));
        touch("1", 0);
        ck_assert(console_has(1, dir));
        ck_assert(!console_has(0, dir));
        touch("root", 0);
        ck_assert(console_has(0, dir));
        touch("root", 1);
        touch("1", 1);
        ck_assert(!console_has(0, "/nonexistent"));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("console");
        TCase *tcase = tcase_create("console");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, whoever_has_a_session_on_a_seat_is_there);
        tcase_add_test(tcase, logind_alone_decides_where_it_runs);
        tcase_add_test(tcase, without_systemd_a_file_by_name_or_number_counts);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
