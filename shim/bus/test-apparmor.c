/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * AppArmor: the test plays the library's part, reads the queries, and gives the verdicts. The
 * bytes of a query are what the kernel matches profiles on: label, NUL, class, then the parts of a
 * D-Bus rule in their order, each after a NUL.
 */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/apparmor.h>

#include "bus-core/util/test-run.h"
#include "shim/bus/apparmor.h"
#include "shim/bus/audit.h"

struct query {
        uint32_t mask;
        char text[512];
        size_t n;
};

static struct {
        bool enabled;
        uint32_t allow; /* masks that profiles allow */
        uint32_t quiet; /* masks whose denial is not to be told */
        uint32_t loud;  /* masks that are told of though allowed */
        int error;
        struct query query[4];
        size_t n;
        char record[2048]; /* the last */
        size_t n_records;
} lib;

static bool is_enabled(void)
{
        return lib.enabled;
}

static int get_own(char **label, char **mode)
{
        *label = strdup("unconfined");
        *mode = NULL;
        return 0;
}

static int query(uint32_t mask, char *text, size_t size, int *allow, int *audit)
{
        struct query *q = &lib.query[lib.n++];

        ck_assert_uint_le(lib.n, 4);
        ck_assert_uint_le(size, sizeof(q->text));
        q->mask = mask;
        memcpy(q->text, text, size);
        q->n = size;
        if (lib.error) {
                errno = lib.error;
                return -1;
        }
        *allow = (lib.allow & mask) != 0;
        *audit = *allow ? (lib.loud & mask) != 0 : !(lib.quiet & mask);
        return 0;
}

static int open_audit(void)
{
        return 3;
}

static int write_audit(int fd, enum audit_kind kind, const char *text)
{
        ck_assert_int_eq(fd, 3);
        ck_assert_int_eq(kind, AUDIT_DENIAL);
        snprintf(lib.record, sizeof(lib.record), "%s", text);
        lib.n_records++;
        return 1;
}

static struct mediate_bus bus;

static void setup(void)
{
        memset(&lib, 0, sizeof(lib));
        lib.enabled = true;
        apparmor_library = (struct apparmor_library){ is_enabled, get_own, query };
        audit_library = (struct audit_library){ open_audit, write_audit };
        audit_start();
        bus = (struct mediate_bus){ .type = "system" };
        ck_assert_int_eq(mediator_apparmor.start(&bus), 0);
}

static void teardown(void)
{
        free(bus.label);
}

static void was_asked(size_t i, uint32_t mask, const char *expected, size_t n)
{
        ck_assert_uint_lt(i, lib.n);
        ck_assert_uint_eq(lib.query[i].mask, mask);
        ck_assert_uint_eq(lib.query[i].n, AA_QUERY_CMD_LABEL_SIZE + n);
        ck_assert(!memcmp(lib.query[i].text + AA_QUERY_CMD_LABEL_SIZE, expected, n));
}
#define WAS_ASKED(i, mask, text) was_asked(i, mask, text, sizeof(text) - 1)

static const struct mediate_message call = {
        .type = 1,
        .path = "/o",
        .interface = "a.I",
        .member = "M",
        .destination = "a.name",
        .sender = ":1.7",
};

#define FROM_A_TO_B                                                                                \
        {                                                                                          \
                .subject = { "/bin/a (enforce)", 11 }, .object = { "/bin/b (enforce)", 12 },      \
                .message = &call                                                                   \
        }

START_TEST(it_is_absent_where_the_kernel_does_not_mediate_dbus)
{
        struct mediate_bus other = { .type = "" };

        lib.enabled = false;
        ck_assert_int_eq(mediator_apparmor.start(&other), MEDIATOR_E_ABSENT);
}
END_TEST

START_TEST(both_ends_of_a_message_are_asked)
{
        const struct mediate_question q = FROM_A_TO_B;

        lib.allow = AA_DBUS_SEND | AA_DBUS_RECEIVE;
        ck_assert(mediator_apparmor.may_send(&bus, &q));
        WAS_ASKED(0, AA_DBUS_SEND, "/bin/a\0\x20system\0a.name\0/bin/b\0/o\0a.I\0M");
        WAS_ASKED(1, AA_DBUS_RECEIVE, "/bin/b\0\x20system\0:1.7\0/bin/a\0/o\0a.I\0M");
        ck_assert_uint_eq(lib.n_records, 0);
}
END_TEST

START_TEST(either_end_may_refuse)
{
        const struct mediate_question q = FROM_A_TO_B;

        lib.allow = AA_DBUS_SEND;
        ck_assert(!mediator_apparmor.may_send(&bus, &q));
        ck_assert_str_eq(lib.record,
                         "apparmor=\"DENIED\" operation=\"dbus_method_call\" bus=\"system\" "
                         "path=\"/o\" interface=\"a.I\" member=\"M\" mask=\"receive\" "
                         "name=\":1.7\" pid=12 label=\"/bin/b\" peer_pid=11 peer_label=\"/bin/a\"");
        lib.n = 0;
        lib.allow = AA_DBUS_RECEIVE;
        ck_assert(!mediator_apparmor.may_send(&bus, &q));
        ck_assert_str_eq(lib.record,
                         "apparmor=\"DENIED\" operation=\"dbus_method_call\" bus=\"system\" "
                         "path=\"/o\" interface=\"a.I\" member=\"M\" mask=\"send\" "
                         "name=\"a.name\" pid=11 label=\"/bin/a\" peer_pid=12 peer_label=\"/bin/b\"");
}
END_TEST

START_TEST(who_is_unconfined_is_not_asked)
{
        struct mediate_question q = {
                .subject = { "unconfined", 11 },
                .object = { "/bin/b (unconfined)", 12 },
                .message = &call,
        };

        ck_assert(mediator_apparmor.may_send(&bus, &q));
        ck_assert(mediator_apparmor.may_eavesdrop(&bus, &q));
        q.name = "a.name";
        ck_assert(mediator_apparmor.may_own(&bus, &q));
        ck_assert_uint_eq(lib.n, 0);
}
END_TEST

START_TEST(who_may_call_may_be_answered)
{
        const struct mediate_message reply = { .type = 2, .requested_reply = true };
        struct mediate_question q = FROM_A_TO_B;

        q.message = &reply;
        ck_assert(mediator_apparmor.may_send(&bus, &q));
        ck_assert_uint_eq(lib.n, 0);
}
END_TEST

START_TEST(an_answer_that_nobody_asked_for_is_judged)
{
        const struct mediate_message reply = { .type = 2, .destination = ":1.2", .sender = ":1.7" };
        struct mediate_question q = FROM_A_TO_B;

        q.message = &reply;
        ck_assert(!mediator_apparmor.may_send(&bus, &q));
        WAS_ASKED(0, AA_DBUS_SEND, "/bin/a\0\x20system\0:1.2\0/bin/b\0\0\0");
}
END_TEST

START_TEST(owning_a_name_binds_it)
{
        const struct mediate_question q = { .subject = { "/bin/a (enforce)", 11 }, .name = "a.name" };

        ck_assert(!mediator_apparmor.may_own(&bus, &q));
        WAS_ASKED(0, AA_DBUS_BIND, "/bin/a\0\x20system\0a.name");
        ck_assert_str_eq(lib.record, "apparmor=\"DENIED\" operation=\"dbus_bind\" bus=\"system\" "
                                     "mask=\"bind\" name=\"a.name\" pid=11 label=\"/bin/a\"");
        lib.allow = AA_DBUS_BIND;
        ck_assert(mediator_apparmor.may_own(&bus, &q));
}
END_TEST

START_TEST(eavesdropping_is_asked_with_the_bus_alone)
{
        const struct mediate_question q = { .subject = { "/bin/a (enforce)", 11 } };

        ck_assert(!mediator_apparmor.may_eavesdrop(&bus, &q));
        WAS_ASKED(0, AA_DBUS_EAVESDROP, "/bin/a\0\x20system");
        lib.allow = AA_DBUS_EAVESDROP;
        ck_assert(mediator_apparmor.may_eavesdrop(&bus, &q));
}
END_TEST

START_TEST(a_profile_that_complains_refuses_nothing_and_is_heard_of)
{
        const struct mediate_question q = { .subject = { "/bin/a (complain)", 11 }, .name = "a.name" };

        ck_assert(mediator_apparmor.may_own(&bus, &q));
        ck_assert_str_eq(lib.record, "apparmor=\"ALLOWED\" operation=\"dbus_bind\" bus=\"system\" "
                                     "mask=\"bind\" name=\"a.name\" pid=11 label=\"/bin/a\"");
}
END_TEST

START_TEST(a_profile_may_want_to_hear_of_what_it_allows_or_not_of_what_it_denies)
{
        const struct mediate_question q = { .subject = { "/bin/a (enforce)", 11 }, .name = "a.name" };

        lib.allow = lib.loud = AA_DBUS_BIND;
        ck_assert(mediator_apparmor.may_own(&bus, &q));
        ck_assert(!strncmp(lib.record, "apparmor=\"AUDIT\" ", 17));
        lib.allow = lib.loud = 0;
        lib.quiet = AA_DBUS_BIND;
        ck_assert(!mediator_apparmor.may_own(&bus, &q));
        ck_assert_uint_eq(lib.n_records, 1);
}
END_TEST

START_TEST(who_has_no_label_and_whose_profile_is_gone_are_refused)
{
        struct mediate_question q = { .name = "a.name" };

        lib.allow = AA_DBUS_BIND;
        ck_assert(!mediator_apparmor.may_own(&bus, &q));
        ck_assert_uint_eq(lib.n, 0);
        q.subject.label = "/bin/a (enforce)";
        lib.error = ENOENT;
        ck_assert(!mediator_apparmor.may_own(&bus, &q));
}
END_TEST

START_TEST(a_service_that_does_not_run_yet_has_the_label_that_its_file_assumes)
{
        struct mediate_question q = {
                .subject = { "/bin/a (enforce)", 11 },
                .object.label = "/bin/assumed",
                .starting = true,
                .message = &call,
        };

        lib.allow = AA_DBUS_SEND | AA_DBUS_RECEIVE;
        ck_assert(mediator_apparmor.may_send(&bus, &q));
        WAS_ASKED(0, AA_DBUS_SEND, "/bin/a\0\x20system\0a.name\0/bin/assumed\0/o\0a.I\0M");
        WAS_ASKED(1, AA_DBUS_RECEIVE, "/bin/assumed\0\x20system\0:1.7\0/bin/a\0/o\0a.I\0M");
        lib.n = 0;
        q.object.label = NULL;
        ck_assert(mediator_apparmor.may_send(&bus, &q));
        ck_assert_uint_eq(lib.n, 1);
        WAS_ASKED(0, AA_DBUS_SEND, "/bin/a\0\x20system\0a.name\0unconfined\0/o\0a.I\0M");
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("apparmor");
        TCase *tcase = tcase_create("apparmor");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, it_is_absent_where_the_kernel_does_not_mediate_dbus);
        tcase_add_test(tcase, both_ends_of_a_message_are_asked);
        tcase_add_test(tcase, either_end_may_refuse);
        tcase_add_test(tcase, who_is_unconfined_is_not_asked);
        tcase_add_test(tcase, who_may_call_may_be_answered);
        tcase_add_test(tcase, an_answer_that_nobody_asked_for_is_judged);
        tcase_add_test(tcase, owning_a_name_binds_it);
        tcase_add_test(tcase, eavesdropping_is_asked_with_the_bus_alone);
        tcase_add_test(tcase, a_profile_that_complains_refuses_nothing_and_is_heard_of);
        tcase_add_test(tcase, a_profile_may_want_to_hear_of_what_it_allows_or_not_of_what_it_denies);
        tcase_add_test(tcase, who_has_no_label_and_whose_profile_is_gone_are_refused);
        tcase_add_test(tcase, a_service_that_does_not_run_yet_has_the_label_that_its_file_assumes);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
