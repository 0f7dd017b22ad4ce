/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * SELinux: the library's part is played by the test, which gives the verdicts and writes down what
 * it was asked. What is asked, of whom, is what dbus-daemon asks.
 */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/test-run.h"
#include "shim/bus/selinux.h"

#define BUS_CONTEXT "system_u:system_r:system_dbusd_t:s0"

static struct {
        bool enabled, enforcing, allow;
        char question[512]; /* subject object class permission */
        char explained[512];
        int asked;
} lib;

static int is_enabled(void)
{
        return lib.enabled;
}

static int get_own(char **context)
{
        *context = strdup(BUS_CONTEXT);
        return 0;
}

static int enforcing(void)
{
        return lib.enforcing;
}

static int check_access(const char *subject, const char *object, const char *class,
                        const char *permission, void *question)
{
        lib.asked++;
        snprintf(lib.question, sizeof(lib.question), "%s %s %s %s", subject, object, class,
                 permission);
        selinux_explain(question, lib.explained, sizeof(lib.explained));
        return lib.allow ? 0 : -1;
}

static int open_events(void)
{
        return 7;
}

static int take_events(void)
{
        return 1;
}

static struct mediate_bus bus;

static void setup(void)
{
        lib.enabled = lib.enforcing = true;
        lib.allow = false;
        lib.asked = 0;
        lib.question[0] = lib.explained[0] = 0;
        selinux_library = (struct selinux_library){ is_enabled,   get_own,     enforcing,
                                                    check_access, open_events, take_events };
        bus = (struct mediate_bus){ .type = "system" };
        ck_assert_int_eq(mediator_selinux.start(&bus), 0);
}

static void teardown(void)
{
        free(bus.label);
}

static const struct mediate_message call = {
        .type = 1,
        .path = "/o",
        .interface = "a.I",
        .member = "M",
        .destination = "a.name",
        .sender = ":1.7",
};

START_TEST(it_is_absent_where_the_kernel_has_it_not)
{
        struct mediate_bus other = { .type = "" };

        lib.enabled = false;
        ck_assert_int_eq(mediator_selinux.start(&other), MEDIATOR_E_ABSENT);
}
END_TEST

START_TEST(sending_asks_for_send_msg_from_sender_to_receiver)
{
        const struct mediate_question q = {
                .subject = { "a_t", 11 },
                .object = { "b_t", 12 },
                .message = &call,
        };

        ck_assert(!mediator_selinux.may_send(&bus, &q));
        ck_assert_str_eq(lib.question, "a_t b_t dbus send_msg");
        lib.allow = true;
        ck_assert(mediator_selinux.may_send(&bus, &q));
}
END_TEST

START_TEST(owning_asks_for_acquire_svc_on_the_bus_or_on_the_names_context)
{
        struct mediate_question q = { .subject = { "a_t", 11 }, .name = "a.name" };

        ck_assert(!mediator_selinux.may_own(&bus, &q));
        ck_assert_str_eq(lib.question, "a_t " BUS_CONTEXT " dbus acquire_svc");
        q.context = "name_t";
        lib.allow = true;
        ck_assert(mediator_selinux.may_own(&bus, &q));
        ck_assert_str_eq(lib.question, "a_t name_t dbus acquire_svc");
}
END_TEST

START_TEST(who_has_no_context_is_refused_unless_permissive)
{
        struct mediate_question q = { .object = { "b_t", 12 }, .message = &call };

        lib.allow = true;
        ck_assert(!mediator_selinux.may_send(&bus, &q));
        q.subject.label = "a_t";
        q.object.label = NULL;
        ck_assert(!mediator_selinux.may_send(&bus, &q));
        ck_assert_int_eq(lib.asked, 0);
        lib.enforcing = false;
        ck_assert(mediator_selinux.may_send(&bus, &q));
}
END_TEST

START_TEST(eavesdropping_and_starting_are_not_asked_about)
{
        const struct mediate_question q = { .starting = true, .message = &call };

        ck_assert(mediator_selinux.may_eavesdrop(&bus, &q));
        ck_assert(mediator_selinux.may_send(&bus, &q));
        ck_assert_int_eq(lib.asked, 0);
}
END_TEST

START_TEST(a_denial_says_which_message_and_which_processes)
{
        struct mediate_question q = {
                .subject = { "a_t", 11 },
                .object = { "b_t", 12 },
                .message = &call,
        };
        const struct mediate_message error = { .type = 3, .error = "a.Error", .destination = ":1.2" };

        mediator_selinux.may_send(&bus, &q);
        ck_assert_str_eq(lib.explained, "msgtype=method_call interface=a.I member=M dest=a.name "
                                        "spid=11 tpid=12");
        q.message = &error;
        mediator_selinux.may_send(&bus, &q);
        ck_assert_str_eq(lib.explained, "msgtype=error error_name=a.Error dest=:1.2 spid=11 tpid=12");
        q.message = NULL;
        q.name = "a.name";
        mediator_selinux.may_own(&bus, &q);
        ck_assert_str_eq(lib.explained, "service=a.name spid=11");
}
END_TEST

START_TEST(an_explanation_is_cut_to_its_room)
{
        const struct mediate_question q = { .subject = { "a_t", 11 }, .message = &call };
        char buf[16];

        ck_assert_int_gt(selinux_explain(&q, buf, sizeof(buf)), (int)sizeof(buf));
        ck_assert_str_eq(buf, "msgtype=method_");
}
END_TEST

START_TEST(a_policy_load_is_an_event)
{
        ck_assert_int_eq(mediator_selinux.event_fd(), 7);
        ck_assert(mediator_selinux.happened());
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("selinux");
        TCase *tcase = tcase_create("selinux");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, it_is_absent_where_the_kernel_has_it_not);
        tcase_add_test(tcase, sending_asks_for_send_msg_from_sender_to_receiver);
        tcase_add_test(tcase, owning_asks_for_acquire_svc_on_the_bus_or_on_the_names_context);
        tcase_add_test(tcase, who_has_no_context_is_refused_unless_permissive);
        tcase_add_test(tcase, eavesdropping_and_starting_are_not_asked_about);
        tcase_add_test(tcase, a_denial_says_which_message_and_which_processes);
        tcase_add_test(tcase, an_explanation_is_cut_to_its_room);
        tcase_add_test(tcase, a_policy_load_is_an_event);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
