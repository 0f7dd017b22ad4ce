/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Tests of the links that make lambus the bus: there and back, done twice, interrupted before each
 * step, and what is refused.
 */

#include "config.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus-core/util/test-run.h"
#include "tools/switch.h"

#define UNITS "/usr/lib/systemd/system/"

static char root[64], outside[80];
static int left = -1; /* steps until the power goes; negative: it stays */

/* --- the power goes --------------------------------------------------------------------------- */

static bool is_dark(void)
{
        if (left < 0)
                return false;
        if (left > 0) {
                left--;
                return false;
        }
        errno = EIO;
        return true;
}

int __real_linkat(int a, const char *b, int c, const char *d, int e);
int __real_symlinkat(const char *a, int b, const char *c);
int __real_renameat(int a, const char *b, int c, const char *d);
int __real_unlinkat(int a, const char *b, int c);
int __real_fsync(int a);
int __wrap_linkat(int a, const char *b, int c, const char *d, int e);
int __wrap_symlinkat(const char *a, int b, const char *c);
int __wrap_renameat(int a, const char *b, int c, const char *d);
int __wrap_unlinkat(int a, const char *b, int c);
int __wrap_fsync(int a);

int __wrap_linkat(int a, const char *b, int c, const char *d, int e)
{
        return is_dark() ? -1 : __real_linkat(a, b, c, d, e);
}
int __wrap_symlinkat(const char *a, int b, const char *c)
{
        return is_dark() ? -1 : __real_symlinkat(a, b, c);
}
int __wrap_renameat(int a, const char *b, int c, const char *d)
{
        return is_dark() ? -1 : __real_renameat(a, b, c, d);
}
int __wrap_unlinkat(int a, const char *b, int c)
{
        return is_dark() ? -1 : __real_unlinkat(a, b, c);
}
int __wrap_fsync(int a)
{
        return is_dark() ? -1 : __real_fsync(a);
}

/* --- a system --------------------------------------------------------------------------------- */

static const char *in_root(const char *path)
{
        static char buf[2][256];
        static int i;

        i = !i;
        snprintf(buf[i], sizeof(buf[i]), "%s%s", root, path);
        return buf[i];
}

static void write_file(const char *path, const char *text)
{
        FILE *f = fopen(in_root(path), "w");

        ck_assert_ptr_nonnull(f);
        fputs(text, f);
        fclose(f);
}

static void setup(void)
{
        static const char *const dirs[] = {
                "", "/etc", "/etc/systemd", "/etc/systemd/system", "/usr", "/usr/lib",
                "/usr/lib/systemd", "/usr/lib/systemd/system", "/usr/lib/systemd/user",
        };

        left = -1;
        strcpy(root, "/tmp/lambus-switch-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(root));
        snprintf(outside, sizeof(outside), "%s.outside", root);
        ck_assert_int_eq(mkdir(outside, 0700), 0);
        for (size_t i = 1; i < ARRAY_SIZE(dirs); i++)
                ck_assert_int_eq(mkdir(in_root(dirs[i]), 0755), 0);
        write_file(UNITS "dbus.service", "[Service]\n");
        write_file(UNITS "dbus-broker.service", "[Service]\n");
        write_file(UNITS "lambus.service", "[Service]\n");
        write_file("/usr/lib/systemd/user/dbus.service", "[Service]\n");
        write_file("/usr/lib/systemd/user/lambus.service", "[Service]\n");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
        return remove(path);
}

static void teardown(void)
{
        left = -1;
        nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        nftw(outside, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* What is in the directory, each with what it says, in order. */
static void describe(char buf[4096])
{
        struct dirent **entries;
        char path[600], text[256];
        size_t at = 0;
        ssize_t n;
        int count, fd;

        count = scandir(in_root("/etc/systemd/system"), &entries, NULL, alphasort);
        ck_assert_int_ge(count, 2);
        for (int i = 0; i < count; i++) {
                snprintf(path, sizeof(path), "%s/etc/systemd/system/%s", root, entries[i]->d_name);
                n = readlink(path, text, sizeof(text) - 1);
                fd = n < 0 && entries[i]->d_type == DT_REG ? open(path, O_RDONLY) : -1;
                if (fd >= 0) {
                        n = read(fd, text, sizeof(text) - 1);
                        close(fd);
                }
                text[MAX(n, (ssize_t)0)] = 0;
                at += snprintf(buf + at, 4096 - at, "%s %d '%s'\n", entries[i]->d_name,
                               entries[i]->d_type, text);
                free(entries[i]);
        }
        free(entries);
}

/* What is there before; the first is nothing. */
static const struct {
        const char *link, *file;
} befores[] = {
        { NULL, NULL },
        { UNITS "dbus-broker.service", NULL },
        { "../../../usr/lib/systemd/system/dbus-broker.service", NULL },
        { NULL, "[Service]\nExecStart=/opt/my-own-bus\n" },
};

static void set_before(int i)
{
        if (befores[i].link)
                ck_assert_int_eq(symlink(befores[i].link, in_root("/etc/systemd/system/dbus.service")),
                                 0);
        if (befores[i].file)
                write_file("/etc/systemd/system/dbus.service", befores[i].file);
}

static int run(int (*what)(struct switch_place *))
{
        struct switch_place place;
        int r;

        r = switch_open(&place, root, SWITCH_SYSTEM);
        if (!r)
                r = what(&place);
        switch_close(&place);
        return r;
}

static enum switch_state state(void)
{
        char target[SWITCH_PATH_MAX];
        struct switch_place place;
        enum switch_state now;

        ck_assert_int_eq(switch_open(&place, root, SWITCH_SYSTEM), 0);
        now = switch_state(&place, target);
        switch_close(&place);
        return now;
}

/* --- the tests -------------------------------------------------------------------------------- */

START_TEST(back_leaves_what_was_there_before)
{
        char before[4096], after[4096];

        set_before(_i);
        describe(before);
        ck_assert_int_eq(run(switch_on), 0);
        ck_assert_int_eq(state(), SWITCH_LAMBUS);
        ck_assert_int_eq(run(switch_back), 0);
        describe(after);
        ck_assert_str_eq(after, before);
}
END_TEST

START_TEST(what_is_done_twice_is_done_once)
{
        char before[4096], on[4096], again[4096];

        set_before(_i);
        describe(before);
        ck_assert_int_eq(run(switch_on), 0);
        describe(on);
        ck_assert_int_eq(run(switch_on), 0);
        describe(again);
        ck_assert_str_eq(again, on);
        ck_assert_int_eq(run(switch_back), 0);
        ck_assert_int_eq(run(switch_back), 0);
        describe(again);
        ck_assert_str_eq(again, before);
}
END_TEST

/* A bus is there at each moment: the one before, or lambus. */
static void check_bootable(int i, const char *before)
{
        char now[4096], line[256];

        describe(now);
        if (state() == SWITCH_LAMBUS)
                return;
        if (!befores[i].link && !befores[i].file) {
                ck_assert_int_eq(state(), SWITCH_NONE);
                return;
        }
        snprintf(line, sizeof(line), "%s", strstr(before, "dbus.service "));
        ck_assert_ptr_nonnull(strstr(now, line));
}

START_TEST(an_interrupted_switch_can_be_undone_or_done_again)
{
        char before[4096], after[4096];
        int steps, r = -EIO;

        set_before(_i);
        describe(before);
        for (steps = 0; r; steps++) {
                left = steps;
                r = run(switch_on);
                left = -1;
                ck_assert(!r || r == -EIO);
                check_bootable(_i, before);
                ck_assert_int_eq(run(switch_back), 0);
                describe(after);
                ck_assert_str_eq(after, before);

                left = steps;
                run(switch_on);
                left = -1;
                ck_assert_int_eq(run(switch_on), 0);
                ck_assert_int_eq(state(), SWITCH_LAMBUS);
                ck_assert_int_eq(run(switch_back), 0);
                describe(after);
                ck_assert_str_eq(after, before);
        }
        ck_assert_int_ge(steps, 5);
}
END_TEST

START_TEST(an_interrupted_way_back_can_be_gone_again)
{
        char before[4096], after[4096];
        int r = -EIO;

        set_before(_i);
        describe(before);
        for (int steps = 0; r; steps++) {
                ck_assert_int_eq(run(switch_on), 0);
                left = steps;
                r = run(switch_back);
                left = -1;
                check_bootable(_i, before);
                ck_assert_int_eq(run(switch_back), 0);
                describe(after);
                ck_assert_str_eq(after, before);
        }
}
END_TEST

START_TEST(what_was_kept_of_an_earlier_time_is_not_put_back)
{
        char before[4096], after[4096];

        describe(before);
        write_file("/etc/systemd/system/" SWITCH_KEPT, "old\n");
        ck_assert_int_eq(run(switch_on), 0);
        ck_assert_int_eq(run(switch_back), 0);
        describe(after);
        ck_assert_str_eq(after, before);
}
END_TEST

START_TEST(a_unit_that_has_gone_meanwhile_is_not_put_back)
{
        set_before(1);
        ck_assert_int_eq(run(switch_on), 0);
        ck_assert_int_eq(unlink(in_root(UNITS "dbus-broker.service")), 0);
        ck_assert_int_eq(run(switch_back), 0);
        ck_assert_int_eq(state(), SWITCH_NONE);
}
END_TEST

START_TEST(there_is_no_way_back_to_no_bus_at_all)
{
        ck_assert_int_eq(run(switch_on), 0);
        ck_assert_int_eq(unlink(in_root(UNITS "dbus.service")), 0);
        ck_assert_int_eq(run(switch_back), SWITCH_E_NOTHING_LEFT);
        ck_assert_int_eq(state(), SWITCH_LAMBUS);
}
END_TEST

START_TEST(a_masked_bus_stays_masked)
{
        ck_assert_int_eq(symlink("/dev/null", in_root("/etc/systemd/system/dbus.service")), 0);
        ck_assert_int_eq(run(switch_on), SWITCH_E_MASKED);
        ck_assert_int_eq(state(), SWITCH_MASKED);
}
END_TEST

START_TEST(without_a_unit_nothing_is_changed)
{
        char before[4096], after[4096];

        ck_assert_int_eq(unlink(in_root(UNITS "lambus.service")), 0);
        describe(before);
        ck_assert_int_eq(run(switch_on), SWITCH_E_NO_UNIT);
        describe(after);
        ck_assert_str_eq(after, before);
        write_file(UNITS "lambus.service", "[Service]\n");
        ck_assert_int_eq(symlink("/dev/null", in_root("/etc/systemd/system/lambus.service")), 0);
        ck_assert_int_eq(run(switch_on), SWITCH_E_NO_UNIT);
}
END_TEST

START_TEST(a_directory_for_users_is_made_if_it_is_missing)
{
        char target[SWITCH_PATH_MAX];
        struct switch_place place;

        ck_assert_int_eq(switch_open(&place, root, SWITCH_USERS), 0);
        ck_assert_int_eq(switch_back(&place), 0);
        ck_assert_int_eq(switch_on(&place), 0);
        ck_assert_int_eq(switch_state(&place, target), SWITCH_LAMBUS);
        ck_assert_str_eq(target, "/usr/lib/systemd/user/lambus.service");
        ck_assert_int_eq(switch_back(&place), 0);
        ck_assert_int_eq(switch_state(&place, target), SWITCH_NONE);
        switch_close(&place);
}
END_TEST

static const struct {
        const char *link, *target;
} ways[] = {
        { "/usr/lib/systemd/system/lambus.service", "/usr/lib/real.service" },
        { "/usr/lib/systemd/system/lambus.service", "../../real.service" },
        { "/usr/lib/systemd/system/lambus.service", "../../../../../../../usr/lib/real.service" },
        { "/usr/lib/systemd/system/lambus.service", ".././../..//lib/real.service" },
};

START_TEST(links_are_followed_below_the_root)
{
        char path[SWITCH_PATH_MAX];
        struct switch_place place;

        ck_assert_int_eq(rename(in_root(ways[_i].link), in_root("/usr/lib/real.service")), 0);
        ck_assert_int_eq(symlink(ways[_i].target, in_root(ways[_i].link)), 0);
        ck_assert_int_eq(switch_open(&place, root, SWITCH_SYSTEM), 0);
        ck_assert(switch_find(&place, SWITCH_UNIT, path));
        ck_assert_str_eq(path, ways[_i].link);
        ck_assert_int_eq(unlink(in_root(ways[_i].link)), 0);
        ck_assert_int_eq(symlink(SWITCH_UNIT, in_root(ways[_i].link)), 0); /* to itself */
        ck_assert(!switch_find(&place, SWITCH_UNIT, path));
        switch_close(&place);
}
END_TEST

START_TEST(no_link_of_an_image_leads_out_of_it)
{
        struct switch_place place;
        char path[256];

        ck_assert_int_eq(rmdir(in_root("/etc/systemd/system")), 0);
        ck_assert_int_eq(symlink(outside, in_root("/etc/systemd/system")), 0);
        ck_assert_int_ne(switch_open(&place, root, SWITCH_SYSTEM), 0);
        switch_close(&place);
        ck_assert_int_eq(unlink(in_root("/etc/systemd/system")), 0);
        ck_assert_int_eq(rmdir(in_root("/etc/systemd")), 0);
        ck_assert_int_eq(symlink(outside, in_root("/etc/systemd")), 0);
        ck_assert_int_eq(switch_open(&place, root, SWITCH_SYSTEM), SWITCH_E_NO_SYSTEMD);
        switch_close(&place);
        snprintf(path, sizeof(path), "%s/dbus.service", outside);
        ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

int main(void)
{
        const int n = ARRAY_SIZE(befores);
        Suite *suite = suite_create("switch");
        TCase *t = tcase_create("switch");

        suite_add_tcase(suite, t);
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_loop_test(t, back_leaves_what_was_there_before, 0, n);
        tcase_add_loop_test(t, what_is_done_twice_is_done_once, 0, n);
        tcase_add_loop_test(t, an_interrupted_switch_can_be_undone_or_done_again, 0, n);
        tcase_add_loop_test(t, an_interrupted_way_back_can_be_gone_again, 0, n);
        tcase_add_test(t, what_was_kept_of_an_earlier_time_is_not_put_back);
        tcase_add_test(t, a_unit_that_has_gone_meanwhile_is_not_put_back);
        tcase_add_test(t, there_is_no_way_back_to_no_bus_at_all);
        tcase_add_test(t, a_masked_bus_stays_masked);
        tcase_add_test(t, without_a_unit_nothing_is_changed);
        tcase_add_test(t, a_directory_for_users_is_made_if_it_is_missing);
        tcase_add_loop_test(t, links_are_followed_below_the_root, 0, ARRAY_SIZE(ways));
        tcase_add_test(t, no_link_of_an_image_leads_out_of_it);
        return test_run(suite);
}
