/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Mediation: a bus of two clients whose security module is played by the test: what it is asked on
 * the road of a message, and what its no does.
 */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/test-run.h"
#include "shim/bus/mediate.h"
#include "shim/bus/notice.h"
#include "shim/bus/route.h"
#include "shim/bus/test-hall.h"

static struct {
        bool refuse;
        size_t asked;
        struct mediate_question question;
        struct mediate_message message;
        char object[64], context[64];
        bool has_context;
} module;

static int start(struct mediate_bus *bus)
{
        bus->label = strdup("bus_label");
        return 0;
}

static int start_absent(struct mediate_bus *bus)
{
        return MEDIATOR_E_ABSENT;
}

static bool answer(const struct mediate_question *q)
{
        module.asked++;
        module.question = *q;
        module.has_context = q->context != NULL;
        snprintf(module.object, sizeof(module.object), "%s", q->object.label ? q->object.label : "");
        snprintf(module.context, sizeof(module.context), "%s", q->context ? q->context : "");
        if (q->message)
                module.message = *q->message;
        return !module.refuse;
}

static bool may(const struct mediate_bus *bus, const struct mediate_question *q)
{
        return answer(q);
}

static const struct mediator ours = {
        .name = "Ours",
        .start = start,
        .may_send = may,
        .may_own = may,
        .may_eavesdrop = may,
};
static const struct mediator absent = { .name = "Absent", .start = start_absent };
static const struct mediator *const both[] = { &absent, &ours };

/* --- a bus and two clients ------------------------------------------------------------------- */

static const struct door door = { .drain = no_drain, .close = no_drain, .free = no_free };

static struct bus bus;
static struct turn turn;
static struct client a, b;

static void join(struct client *client, const char *label, pid_t pid)
{
        struct creds *creds;

        ck_assert_int_eq(creds_of_self(&creds), 0);
        creds->label = strdup(label);
        creds->label_len = strlen(label);
        creds->pid = pid;
        ck_assert_int_eq(client_init(client, &bus, &door, creds), 0);
        creds_unref(creds);
        ck_assert_int_eq(client_hello(&turn, client), 0);
}

static void setup(void)
{
        static const struct policy_rule all[] = {
                { .kind = POLICY_SEND, .allow = true, .max_fds = POLICY_MAX_FDS },
                { .kind = POLICY_RECEIVE, .allow = true, .max_fds = POLICY_MAX_FDS },
        };
        struct policy *policy;

        memset(&module, 0, sizeof(module));
        ck_assert_int_eq(bus_init(&bus, 1, &local), 0);
        ck_assert_int_eq(turn_init(&turn, &bus, 0), 0);
        ck_assert_int_eq(policy_new(&policy), 0);
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                ck_assert_int_eq(policy_append(policy, &all[i]), 0);
        ck_assert_int_eq(policy_seal(policy), 0);
        ck_assert_int_eq(bus_set_policy(&bus, policy), 0);
        policy_unref(policy);
        ck_assert_int_eq(mediation_of(&bus.mediation, "system", both, ARRAY_SIZE(both)), 0);
        turn_write(&turn);
        join(&a, "a_label", 11);
        join(&b, "b_label", 12);
}

static void teardown(void)
{
        client_disconnect(&turn, &a);
        client_disconnect(&turn, &b);
        turn_commit(&turn);
        turn_release(&turn);
        turn_drain(&turn);
        client_unref(&a);
        client_unref(&b);
        turn_deinit(&turn);
        bus_deinit(&bus);
}

static void send_from_a(uint8_t type, const char *destination)
{
        const struct envelope_sender sender = {
                .id = a.peer.id,
                .name = a.name,
                .name_len = a.name_len,
                .account = a.peer.account,
        };
        struct envelope *e;
        struct writer w;
        struct header h;
        uint8_t *bytes;
        size_t n;

        writer_init(&w, type, 0, 5);
        writer_field(&w, FIELD_PATH, "/o");
        writer_field(&w, FIELD_INTERFACE, "a.I");
        writer_field(&w, FIELD_MEMBER, "M");
        if (destination)
                writer_field(&w, FIELD_DESTINATION, destination);
        writer_body(&w, "");
        ck_assert_int_eq(writer_finish(&w, &bytes, &n, &h), 0);
        ck_assert_int_eq(envelope_copy(&e, &h, bytes, &sender), 0);
        client_send(&turn, &a, e);
        turn_commit(&turn);
        envelope_unref(e);
        free(bytes);
}

/* What is in an inbox: the type of its only message, or 0. */
static uint8_t received(struct client *client)
{
        CDS_LIST_HEAD(entries);
        struct inbox_entry *entry;
        uint8_t type = 0;

        if (peer_receive(&client->peer, &entries, 8)) {
                ck_assert_ptr_eq(entries.next->next, &entries);
                entry = cds_list_first_entry(&entries, struct inbox_entry, link);
                type = container_of(entry->message, struct envelope, message)->header.type;
        }
        peer_release_all(&client->peer, &entries);
        return type;
}

/* --- tests ----------------------------------------------------------------------------------- */

START_TEST(a_message_is_asked_about_with_both_ends)
{
        send_from_a(HEADER_CALL, b.name);
        ck_assert_uint_eq(module.asked, 1);
        ck_assert_str_eq(module.question.subject.label, "a_label");
        ck_assert_int_eq(module.question.subject.pid, 11);
        ck_assert_str_eq(module.object, "b_label");
        ck_assert_int_eq(module.question.object.pid, 12);
        ck_assert_int_eq(module.message.type, HEADER_CALL);
        ck_assert(!module.message.requested_reply);
        ck_assert_int_eq(received(&b), HEADER_CALL);
}
END_TEST

START_TEST(a_call_that_is_refused_is_answered_with_an_error)
{
        module.refuse = true;
        send_from_a(HEADER_CALL, b.name);
        ck_assert_int_eq(received(&b), 0);
        ck_assert_int_eq(received(&a), HEADER_ERROR);
}
END_TEST

START_TEST(a_message_to_the_bus_meets_the_label_of_the_bus)
{
        send_from_a(HEADER_CALL, BUS_NAME);
        ck_assert_uint_eq(module.asked, 1);
        ck_assert_str_eq(module.object, "bus_label");
}
END_TEST

START_TEST(a_broadcast_is_asked_about_for_each_receiver_and_refused_in_silence)
{
        char reason[MATCH_REASON_MAX];
        struct match_rule *rule;

        ck_assert_int_eq(match_rule_new(&rule, reason, "type='signal'", 13), 0);
        ck_assert_int_eq(match_add(&bus.rules, &b.rules, rule), 0);
        send_from_a(HEADER_SIGNAL, NULL);
        ck_assert_uint_eq(module.asked, 1);
        ck_assert_str_eq(module.object, "b_label");
        ck_assert_int_eq(received(&b), HEADER_SIGNAL);
        module.refuse = true;
        send_from_a(HEADER_SIGNAL, NULL);
        ck_assert_int_eq(received(&b), 0);
        ck_assert_int_eq(received(&a), 0);
}
END_TEST

START_TEST(a_name_is_owned_with_the_context_that_the_configuration_gives_it)
{
        const char *by = NULL;

        ck_assert(mediation_own(bus.mediation, &a, "a.name", &by));
        ck_assert(!module.has_context);
        ck_assert_str_eq(module.object, "bus_label");
        ck_assert_int_eq(mediation_associate(bus.mediation, "a.name", "old_t"), 0);
        ck_assert_int_eq(mediation_associate(bus.mediation, "a.name", "name_t"), 0);
        ck_assert(mediation_own(bus.mediation, &a, "a.name", &by));
        ck_assert_str_eq(module.context, "name_t");
        ck_assert(mediation_own(bus.mediation, &a, "a.name.below", &by));
        ck_assert(!module.has_context);
        mediation_forget_associations(bus.mediation);
        module.refuse = true;
        ck_assert(!mediation_own(bus.mediation, &a, "a.name", &by));
        ck_assert(!module.has_context);
        ck_assert_str_eq(by, "Ours");
}
END_TEST

START_TEST(eavesdropping_may_be_refused)
{
        const char *by = NULL;

        ck_assert(mediation_eavesdrop(bus.mediation, &a, &by));
        module.refuse = true;
        ck_assert(!mediation_eavesdrop(bus.mediation, &a, &by));
        ck_assert_str_eq(by, "Ours");
}
END_TEST

START_TEST(only_modules_that_are_there_are_on)
{
        static const struct mediator *const none[] = { &absent };
        struct mediation *m = NULL;

        ck_assert_ptr_eq(mediation_at(bus.mediation, 0), &ours);
        ck_assert_ptr_null(mediation_at(bus.mediation, 1));
        ck_assert_str_eq(mediation_label(bus.mediation, "Ours"), "bus_label");
        ck_assert_ptr_null(mediation_label(bus.mediation, "Absent"));
        ck_assert_int_eq(mediation_of(&m, "system", none, 1), 0);
        ck_assert_ptr_null(m);
        ck_assert(mediate_off(m));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("mediate");
        TCase *tcase = tcase_create("mediate");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_message_is_asked_about_with_both_ends);
        tcase_add_test(tcase, a_call_that_is_refused_is_answered_with_an_error);
        tcase_add_test(tcase, a_message_to_the_bus_meets_the_label_of_the_bus);
        tcase_add_test(tcase, a_broadcast_is_asked_about_for_each_receiver_and_refused_in_silence);
        tcase_add_test(tcase, a_name_is_owned_with_the_context_that_the_configuration_gives_it);
        tcase_add_test(tcase, eavesdropping_may_be_refused);
        tcase_add_test(tcase, only_modules_that_are_there_are_on);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
