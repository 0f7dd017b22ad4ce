/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a process shows of how its sd-bus writes bodies: a directory plays its /proc. */

#include "config.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/test-run.h"
#include "shim/kdbus/dialect.h"

#define MAP "7f0000000000-7f0000001000 r-xp 00000000 08:01 1234   "

static char dir[32];

static void setup(void)
{
        strcpy(dir, "/tmp/lambus-dialect-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void path_of(char path[static 64], const char *name)
{
        snprintf(path, 64, "%s/%s", dir, name);
}

static void teardown(void)
{
        char path[64];

        path_of(path, "environ");
        unlink(path);
        path_of(path, "maps");
        unlink(path);
        rmdir(dir);
}

static void put_file(const char *name, const char *data, size_t n)
{
        char path[64];
        FILE *f;

        path_of(path, name);
        f = fopen(path, "w");
        ck_assert_ptr_nonnull(f);
        ck_assert_uint_eq(fwrite(data, 1, n, f), n);
        ck_assert_int_eq(fclose(f), 0);
}

enum verdict {
        UNKNOWN,
        BARE,
        PARENTHESES,
};

static enum verdict verdict_of(bool known, enum transcode_style style)
{
        return !known ? UNKNOWN : style == TRANSCODE_BARE ? BARE : PARENTHESES;
}

/* by the library's version: that of systemd 223 is 0.10.0, that of 224 is 0.10.1 */
static const struct {
        const char *path;
        enum verdict expect;
} libraries[] = {
        {"/lib/x86_64-linux-gnu/libsystemd.so.0.9.0", BARE},
        {"/lib/x86_64-linux-gnu/libsystemd.so.0.10.0", BARE},
        {"/lib/x86_64-linux-gnu/libsystemd.so.0.10.1", PARENTHESES},
        {"/usr/lib/libsystemd.so.0.17.0", PARENTHESES},
        {"/usr/lib/libsystemd.so.0.35.0", PARENTHESES},
        {"/usr/lib/libsystemd.so.0.35.0 (deleted)", PARENTHESES},
        {"/usr/lib/libsystemd.so.0", UNKNOWN},
        {"/usr/lib/libsystemd.so.0.new", UNKNOWN},
        {"/usr/lib/libsystemd.so.0.35", UNKNOWN},
        {"/usr/lib/systemd/libsystemd-shared-252.so", UNKNOWN},
        {"/usr/lib/libdbus-1.so.3.32.4", UNKNOWN},
        {"", UNKNOWN},
};

START_TEST(a_library_is_known_by_its_version)
{
        enum transcode_style style = TRANSCODE_BARE;
        bool known = dialect_of_library(&style, libraries[_i].path);

        ck_assert_msg(verdict_of(known, style) == libraries[_i].expect, "%s", libraries[_i].path);
}
END_TEST

#define TEXT(s) s, sizeof(s) - 1

static const struct {
        const char *environ;
        size_t n_environ;
        const char *maps;
        size_t n_maps;
        enum verdict expect;
} processes[] = {
        {TEXT(""), TEXT(""), UNKNOWN},
        {TEXT("A=b\0"), TEXT(MAP "/usr/bin/cat\n"), UNKNOWN},
        {TEXT("LAMBUS_KDBUS_BODY=bare\0"), TEXT(""), BARE},
        {TEXT("A=b\0LAMBUS_KDBUS_BODY=parentheses\0C=d\0"), TEXT(""), PARENTHESES},
        {TEXT("LAMBUS_KDBUS_BODY=barely\0"), TEXT(""), UNKNOWN},
        {TEXT("LAMBUS_KDBUS_BODY=\0"), TEXT(""), UNKNOWN},
        {TEXT("XLAMBUS_KDBUS_BODY=bare\0"), TEXT(""), UNKNOWN},
        {TEXT("A=b\0"),
         TEXT(MAP "/usr/bin/cat\n" MAP "/lib/libsystemd.so.0.10.0\n"), BARE},
        {TEXT("A=b\0"),
         TEXT(MAP "/lib/libc.so.6\n" MAP "/lib/libsystemd.so.0.17.0\n"), PARENTHESES},
        /* what the user says goes before what is seen; nonsense does not */
        {TEXT("LAMBUS_KDBUS_BODY=bare\0"), TEXT(MAP "/lib/libsystemd.so.0.17.0\n"), BARE},
        {TEXT("LAMBUS_KDBUS_BODY=other\0"), TEXT(MAP "/lib/libsystemd.so.0.10.0\n"), BARE},
};

START_TEST(a_process_shows_it_in_its_environment_or_its_maps)
{
        enum transcode_style style = TRANSCODE_BARE;
        struct task task = {.proc_fd = -1, .pidfd = -1};
        bool known;

        put_file("environ", processes[_i].environ, processes[_i].n_environ);
        put_file("maps", processes[_i].maps, processes[_i].n_maps);
        task.proc_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        known = dialect_of(&style, &task);
        closep(&task.proc_fd);
        ck_assert_int_eq(verdict_of(known, style), processes[_i].expect);
}
END_TEST

START_TEST(a_process_that_is_gone_shows_nothing)
{
        enum transcode_style style = TRANSCODE_BARE;
        struct task task = {.proc_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};

        ck_assert(!dialect_of(&style, &task));
        closep(&task.proc_fd);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("dialect");
        TCase *tcase = tcase_create("dialect");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, a_library_is_known_by_its_version, 0, ARRAY_SIZE(libraries));
        tcase_add_loop_test(tcase, a_process_shows_it_in_its_environment_or_its_maps, 0,
                            ARRAY_SIZE(processes));
        tcase_add_test(tcase, a_process_that_is_gone_shows_nothing);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
