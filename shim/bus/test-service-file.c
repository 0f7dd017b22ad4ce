/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Service files: which files name a service, and into which words a command falls, was asked of
 * dbus-daemon 1.14.10 by ListActivatableNames and by a program that tells its arguments.
 */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bus-core/util/test-fault.h"
#include "bus-core/util/test-run.h"
#include "shim/bus/service-file.h"

#define N(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define GROUP    "[D-BUS Service]\n"
#define GOOD     "Name=a.b\nExec=/bin/true\n"

/* ---- the problems that were reported ---- */

static struct {
        int n, skipped;
        unsigned int line;
        char file[200], text[600];
} told;

static void tell(void *arg, const struct service_problem *problem)
{
        ck_assert_ptr_eq(arg, &told);
        told.n++;
        told.skipped += problem->skipped;
        told.line = problem->line;
        snprintf(told.file, sizeof(told.file), "%s", problem->file);
        snprintf(told.text, sizeof(told.text), "%s", problem->text);
}

/* ---- one file ---- */

static const struct {
        const char *text;
        bool good;
        unsigned int line; /* of the complaint; 0: the whole */
} files[] = {
        { GROUP GOOD, true, 0 },
        { "\n\n# c\n" GROUP GOOD, true, 0 },
        { GROUP "Name = a.b\nExec = /bin/true\n", true, 0 },
        { "[D-BUS Service]\r\nName=a.b\r\nExec=/bin/true\r\n", true, 0 },
        { GROUP "Name=a.b\rExec=/bin/true\n", true, 0 },
        { GROUP "Name=a.b\nExec=/bin/true", true, 0 },
        { GROUP GOOD "Foo=\n", true, 0 },
        { GROUP GOOD "Foo[de]=x\nFoo[de=x\nFoo[de]y=x\nFoo[de] =x\n", true, 0 },
        { GROUP GOOD "F-oo=x\nF8=x\nX=\xc3\xa4\n", true, 0 },
        { GROUP GOOD "X=\\s\\n\\t\\r\\\\\n", true, 0 },
        { GROUP GOOD "Name=c.d\n", true, 0 },
        { GROUP "Name=a.b\nName=c.d\nExec=/bin/true\n", true, 0 },
        { GROUP GOOD GROUP "Name=c.d\nExec=/bin/false\n", true, 0 },
        { "[Other]\nX=y\n" GROUP GOOD "[a b]\nX=y\n", true, 0 },
        { GROUP "Name[de]=c.d\n" GOOD, true, 0 },
        { GROUP GOOD "   \n\t\n \t \n", true, 0 },
        { GROUP GOOD "[D-BUS Service2]\nName=x.y\n", true, 0 },
        { GROUP GOOD "SystemdService=\nUser=\n", true, 0 },
        { "", false, 0 },
        { GROUP, false, 0 },
        { "# only\n", false, 0 },
        { " " GROUP GOOD, false, 1 },
        { "[D-Bus Service]\n" GOOD, false, 0 },
        { "[D-BUS Service] \n" GOOD, false, 1 },
        { "[D-BUS Service]x\n" GOOD, false, 1 },
        { GROUP " Name=a.b\nExec=/bin/true\n", false, 2 },
        { GROUP "\tName=a.b\nExec=/bin/true\n", false, 2 },
        { GROUP "Name\t=a.b\nExec=/bin/true\n", false, 2 },
        { GROUP "Name=a.b\n", false, 0 },
        { GROUP "Exec=/bin/true\n", false, 0 },
        { GROUP "name=a.b\nExec=/bin/true\n", false, 0 },
        { GROUP "Name=org.freedesktop.DBus\nExec=/bin/true\n", false, 0 },
        { GROUP GOOD "Foo\n", false, 4 },
        { GROUP GOOD "=x\n", false, 4 },
        { GROUP GOOD "Foo Bar=x\n", false, 4 },
        { GROUP GOOD "F_oo=x\n", false, 4 },
        { GROUP GOOD "F.oo=x\n", false, 4 },
        { GROUP GOOD "N\xc3\xa4me=x\n", false, 4 },
        { GROUP GOOD "X=\xff\n", false, 0 },
        { GROUP GOOD "#\xff\n", false, 0 },
        { GROUP GOOD "X=\\q\n", false, 4 },
        { GROUP GOOD "X=\\\n", false, 4 },
        { GROUP GOOD "X=y\\", false, 4 },
        { GROUP GOOD "[Other\n", false, 4 },
        { GROUP GOOD "[]\n", false, 4 },
        { GROUP GOOD "[a[b]\n", false, 4 },
        { GROUP GOOD "[ab]c]\n", false, 4 },
        { GROUP GOOD "[\xc3\xa4]\n", false, 4 },
        { GOOD GROUP, false, 1 },
        { GROUP GOOD ";comment\n", false, 4 },
        { GROUP GOOD " # c\n", false, 4 },
        { GROUP GOOD "\v\n", false, 4 },
        { GROUP "\\Name=x\n" GOOD, false, 2 },
        { "\xef\xbb\xbf" GROUP GOOD, false, 1 },
        { "[D-BUS Service]\nName=q.r\n" GROUP GOOD, false, 0 },
        /* names that dbus-daemon lists, but that nobody can ask for */
        { GROUP "Name=notvalid\nExec=/bin/true\n", false, 0 },
        { GROUP "Name=:1.1\nExec=/bin/true\n", false, 0 },
        { GROUP "Name=\nExec=/bin/true\n", false, 0 },
};

START_TEST(a_file_names_a_service_or_is_left_out_with_its_line)
{
        struct service *service = NULL;
        int r;

        r = service_parse(&service, files[_i].text, strlen(files[_i].text), "x.service", tell,
                          &told);
        ck_assert_msg(r == (files[_i].good ? 0 : SERVICE_E_INVALID), "%s", files[_i].text);
        ck_assert_int_eq(told.skipped, !files[_i].good);
        ck_assert_msg(told.line == files[_i].line, "%s: line %u", files[_i].text, told.line);
        if (files[_i].good)
                ck_assert_str_eq(service->name, "a.b");
        service_unref(service);
}
END_TEST

START_TEST(a_nul_byte_is_no_text)
{
        static const char text[] = GROUP GOOD "X=a\0b\n";
        struct service *service;

        ck_assert_int_eq(service_parse(&service, text, sizeof(text) - 1, "x", NULL, NULL),
                         SERVICE_E_INVALID);
}
END_TEST

START_TEST(all_keys_are_kept)
{
        static const char text[] = GROUP "Name=a.b \nExec=/bin/x 'y z'\nUser=u\n"
                                   "SystemdService=s.service\nAssumedAppArmorLabel=/l\n";
        struct service *service;

        ck_assert_int_eq(service_parse(&service, text, strlen(text), "/f", tell, &told), 0);
        ck_assert_int_eq(told.n, 0);
        ck_assert_str_eq(service->name, "a.b");
        ck_assert_str_eq(service->exec, "/bin/x 'y z'");
        ck_assert_uint_eq(service->argc, 2);
        ck_assert_str_eq(service->argv[1], "y z");
        ck_assert_ptr_null(service->argv[2]);
        ck_assert_str_eq(service->user, "u");
        ck_assert_str_eq(service->systemd_service, "s.service");
        ck_assert_str_eq(service->apparmor_label, "/l");
        ck_assert_str_eq(service->file, "/f");
        service_unref(service);
}
END_TEST

START_TEST(a_service_that_systemd_knows_needs_no_command)
{
        static const char text[] = GROUP "Name=a.b\nSystemdService=s.service\n";
        struct service *service;

        ck_assert_int_eq(service_parse(&service, text, strlen(text), "/f", tell, &told), 0);
        ck_assert_ptr_null(service->exec);
        ck_assert_ptr_null(service->argv);
        service_unref(service);
}
END_TEST

START_TEST(a_command_that_is_none_is_remarked_upon)
{
        static const char text[] = GROUP "Name=a.b\nExec=\"x\n";
        struct service *service;

        ck_assert_int_eq(service_parse(&service, text, strlen(text), "/f", tell, &told), 0);
        ck_assert_int_eq(told.n, 1);
        ck_assert_int_eq(told.skipped, 0);
        ck_assert_ptr_null(service->argv);
        service_unref(service);
}
END_TEST

/* words joined by "|"; NULL: no command. The escapes of the file's values are resolved already */
static const struct {
        const char *exec, *words;
} commands[] = {
        { "a b", "a|b" },
        { "a  b\tc", "a|b|c" },
        { "a\nb", "a|b" },
        { "  lead", "lead" },
        { "trail  ", "trail" },
        { "'a b' c", "a b|c" },
        { "\"a b\" c", "a b|c" },
        { "'a\\b'", "a\\b" },
        { "\"a\\b\"", "a\\b" },
        { "\"a\\$b\\`c\\\"d\\\\e\"", "a$b`c\"d\\e" },
        { "\"a\\\nb\"", "a\nb" },
        { "a\\\nb", "ab" },
        { "a\\ b", "a b" },
        { "a\\\\b", "a\\b" },
        { "\\q", "q" },
        { "a'b c'd", "ab cd" },
        { "a\"b\"c", "abc" },
        { "'a'\"b\"c", "abc" },
        { "'a'\\''b'", "a'b" },
        { "\"a'b\"", "a'b" },
        { "a \"\"", "a|" },
        { "''", "" },
        { "a#b", "a" },
        { "a #b", "a" },
        { "a #b\nc", "a|c" },
        { "a\"#b\"", "a#b" },
        { "a\\#b c", "a#b|c" },
        { "$HOME `x` * ~ a;b a|b", "$HOME|`x`|*|~|a;b|a|b" },
        { "a=b %u {a,b} (x) !x >x", "a=b|%u|{a,b}|(x)|!x|>x" },
        { "\xc3\xa4", "\xc3\xa4" },
        { "\"unterminated", NULL },
        { "'unterminated", NULL },
        { "a\\", NULL },
        { "", NULL },
        { "  ", NULL },
        { "# x", NULL },
};

START_TEST(a_command_falls_into_words_as_in_a_shell)
{
        char **argv = NULL, joined[200] = "";
        size_t argc = 0, i;
        int r;

        r = service_split_exec(&argv, &argc, commands[_i].exec);
        ck_assert_msg(r == (commands[_i].words ? 0 : SERVICE_E_INVALID), "%s", commands[_i].exec);
        for (i = 0; i < argc; i++) {
                strcat(strcat(joined, i ? "|" : ""), argv[i]);
                free(argv[i]);
        }
        if (argv)
                ck_assert_ptr_null(argv[argc]);
        free(argv);
        if (commands[_i].words)
                ck_assert_str_eq(joined, commands[_i].words);
}
END_TEST

/* ---- the table ---- */

static char dir[64];
static struct service_table *table;

static void setup(void)
{
        memset(&told, 0, sizeof(told));
        strcpy(dir, "/tmp/test-service-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(dir));
        ck_assert_int_eq(chdir(dir), 0);
        mkdir("1", 0700);
        mkdir("2", 0700);
        ck_assert_int_eq(service_table_new(&table, tell, &told), 0);
}

static void teardown(void)
{
        char command[100];

        table = service_table_free(table);
        ck_assert_int_eq(chdir("/"), 0);
        snprintf(command, sizeof(command), "rm -rf %s", dir);
        ck_assert_int_eq(system(command), 0);
}

static void put(const char *path, const char *name, const char *exec)
{
        FILE *f = fopen(path, "we");

        ck_assert_ptr_nonnull(f);
        fprintf(f, GROUP "Name=%s\nExec=%s\n", name, exec);
        fclose(f);
}

/* what starts the service; NULL: unknown */
static const char *exec_of(const char *name)
{
        static char text[100];
        struct service *service;
        int r;

        r = service_table_find(table, &service, name);
        if (r == SERVICE_E_UNKNOWN)
                return NULL;
        ck_assert_int_eq(r, 0);
        ck_assert_str_eq(service->name, name);
        snprintf(text, sizeof(text), "%s", service->exec);
        service_unref(service);
        return text;
}

static void scan(unsigned int flags)
{
        ck_assert_int_eq(service_table_add_dir(table, "1", flags), 0);
        ck_assert_int_eq(service_table_add_dir(table, "2", 0), 0);
        ck_assert_int_eq(service_table_add_dir(table, "none", 0), 0);
        ck_assert_int_eq(service_table_scan(table), 0);
}

START_TEST(the_first_directory_wins_then_the_first_file)
{
        put("1/z.service", "a.b", "1z");
        put("1/y.service", "a.b", "1y");
        put("2/a.b.service", "a.b", "2");
        put("2/c.d.service", "c.d", "2");
        put("2/c.d.service.bak", "e.f", "2");
        scan(0);
        ck_assert_uint_eq(service_table_n(table), 2);
        ck_assert_str_eq(service_table_at(table, 0)->name, "a.b");
        ck_assert_str_eq(service_table_at(table, 1)->name, "c.d");
        ck_assert_ptr_null(service_table_at(table, 2));
        ck_assert_str_eq(exec_of("a.b"), "1y");
        ck_assert_str_eq(exec_of("c.d"), "2");
        ck_assert_ptr_null(exec_of("e.f"));
        ck_assert_int_eq(told.n, 2); /* both that lost */
        ck_assert_int_eq(told.skipped, 0);
}
END_TEST

START_TEST(a_bad_file_is_told_once_and_does_no_harm)
{
        FILE *f = fopen("1/bad.service", "we");

        fputs("nonsense", f);
        fclose(f);
        fclose(fopen("1/empty.service", "we"));
        mkdir("1/dir.service", 0700);
        ck_assert_int_eq(symlink("nosuch", "1/link.service"), 0);
        put("1/good.service", "a.b", "x");
        scan(0);
        ck_assert_int_eq(told.n, 4);
        ck_assert_int_eq(told.skipped, 4);
        ck_assert_int_eq(service_table_scan(table), 0);
        ck_assert_int_eq(told.n, 4);
        ck_assert_str_eq(exec_of("a.b"), "x");
}
END_TEST

START_TEST(a_strict_directory_refuses_files_with_other_names)
{
        put("1/a.b.service", "a.b", "x");
        put("1/other.service", "c.d", "x");
        put("2/other.service", "e.f", "x");
        scan(SERVICE_DIR_STRICT);
        ck_assert_str_eq(exec_of("a.b"), "x");
        ck_assert_ptr_null(exec_of("c.d"));
        ck_assert_str_eq(exec_of("e.f"), "x");
        ck_assert_int_eq(told.skipped, 1);
}
END_TEST

START_TEST(a_remarking_directory_takes_them)
{
        put("1/other.service", "c.d", "x");
        scan(SERVICE_DIR_REMARK);
        ck_assert_str_eq(exec_of("c.d"), "x");
        ck_assert_int_eq(told.n, 1);
        ck_assert_int_eq(told.skipped, 0);
}
END_TEST

/* as if a second had passed */
static void age(void)
{
        struct timespec second = { 1, 100000000 };

        nanosleep(&second, NULL);
}

START_TEST(a_lookup_sees_files_as_they_are)
{
        static const struct timespec past[2] = { { 1000, 0 }, { 1000, 0 } };

        put("2/a.b.service", "a.b", "old");
        ck_assert_int_eq(utimensat(AT_FDCWD, "2/a.b.service", past, 0), 0);
        scan(0);
        ck_assert_str_eq(exec_of("a.b"), "old");
        put("2/a.b.service", "a.b", "new");
        ck_assert_str_eq(exec_of("a.b"), "new"); /* changed */
        put("1/c.d.service", "c.d", "x");
        age();
        ck_assert_str_eq(exec_of("c.d"), "x"); /* unknown so far */
        ck_assert_int_eq(unlink("2/a.b.service"), 0);
        ck_assert_ptr_null(exec_of("a.b")); /* gone */
}
END_TEST

START_TEST(a_reference_survives_its_file_and_its_table)
{
        struct service *service;

        put("1/a.b.service", "a.b", "x");
        scan(0);
        ck_assert_int_eq(service_table_find(table, &service, "a.b"), 0);
        unlink("1/a.b.service");
        ck_assert_int_eq(service_table_scan(table), 0);
        table = service_table_free(table);
        ck_assert_str_eq(service->exec, "x");
        service_unref(service);
}
END_TEST

static int build(void)
{
        _cleanup_(service_table_freep) struct service_table *t = NULL;
        _cleanup_(service_unrefp) struct service *service = NULL;
        int r;

        r = service_table_new(&t, NULL, NULL);
        if (!r)
                r = service_table_add_dir(t, "1", SERVICE_DIR_REMARK);
        if (!r)
                r = service_table_scan(t);
        if (!r)
                r = service_table_find(t, &service, "a.b");
        return r;
}

START_TEST(each_allocation_may_fail)
{
        bool failed = true;
        size_t n = 0;
        int r;

        put("1/a.service", "a.b", "x 'y z'");
        put("1/b.service", "a.b", "x");
        while (failed) {
                fault_after(++n);
                r = build();
                failed = !fault_is_due();
                fault_after(0); /* the test's own library allocates, too */
                ck_assert_int_eq(r, failed ? -ENOMEM : 0);
        }
        ck_assert_uint_gt(n, 15);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("service-file");
        TCase *tcase = tcase_create("service-file");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, a_file_names_a_service_or_is_left_out_with_its_line, 0,
                            N(files));
        tcase_add_test(tcase, a_nul_byte_is_no_text);
        tcase_add_test(tcase, all_keys_are_kept);
        tcase_add_test(tcase, a_service_that_systemd_knows_needs_no_command);
        tcase_add_test(tcase, a_command_that_is_none_is_remarked_upon);
        tcase_add_loop_test(tcase, a_command_falls_into_words_as_in_a_shell, 0, N(commands));
        tcase_add_test(tcase, the_first_directory_wins_then_the_first_file);
        tcase_add_test(tcase, a_bad_file_is_told_once_and_does_no_harm);
        tcase_add_test(tcase, a_strict_directory_refuses_files_with_other_names);
        tcase_add_test(tcase, a_remarking_directory_takes_them);
        tcase_add_test(tcase, a_lookup_sees_files_as_they_are);
        tcase_add_test(tcase, a_reference_survives_its_file_and_its_table);
        tcase_add_test(tcase, each_allocation_may_fail);
        suite_add_tcase(suite, tcase);

        return test_run(suite);
}
