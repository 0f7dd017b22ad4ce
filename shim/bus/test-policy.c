/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Policy: single verdicts are those that dbus-daemon 1.14.10 gives to the same rules; the index is
 * compared with a walk over all rules on random lists and messages.
 */

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/test-fault.h"
#include "bus-core/util/test-run.h"
#include "shim/bus/policy.h"

#define T(s) { s, sizeof(s) - 1 }
#define BUS  "org.freedesktop.DBus"

#define N(array) ((int)(sizeof(array) / sizeof((array)[0])))

enum { CALL = 1, RETURN, ERROR, SIGNAL };

/* ---- making lists ---- */

/* rules up to the first without a bound on descriptors; all others need .max_fds */
#define RULE(...) { .max_fds = POLICY_MAX_FDS, __VA_ARGS__ }
#define ALLOW(...) RULE(.allow = true, .requested_reply = true, __VA_ARGS__)
#define DENY(...)  RULE(__VA_ARGS__)

static struct policy *policy_of(const struct policy_rule *rules, size_t n)
{
        struct policy *policy;
        size_t i;

        ck_assert_int_eq(policy_new(&policy), 0);
        for (i = 0; i < n && rules[i].max_fds; i++)
                ck_assert_int_eq(policy_append(policy, &rules[i]), 0);
        ck_assert_int_eq(policy_seal(policy), 0);
        return policy;
}

static struct policy_list *list_for(struct policy *policy, uid_t uid, bool at_console)
{
        static const gid_t gids[] = { 100, 20, 30 };
        struct policy_creds creds = { .uid = uid, .gids = gids, .n_gids = 3,
                                      .at_console = at_console };
        struct policy_list *list;

        ck_assert_int_eq(policy_list_new(&list, policy, &creds), 0);
        return list;
}

static struct policy_list *list_of(const struct policy_rule *rules, size_t n)
{
        struct policy *policy = policy_of(rules, n);
        struct policy_list *list = list_for(policy, 1000, false);

        policy_unref(policy);
        return list;
}

/* ---- one message, one list ---- */

struct sending {
        const char *what;
        struct policy_rule rules[4];
        struct policy_query query;
        bool allow;
        int rule; /* that decides; -1 none */
};

static const struct policy_text service_names[] = { T(":1.7"), T("a.b"), T("a.b.c") };
static const struct policy_peer service = { .names = service_names, .n_names = 3 };
static const struct policy_text bus_names[] = { T(BUS) };
static const struct policy_peer bus = { .names = bus_names, .n_names = 1 };
static const struct policy_peer nobody;

#define PLAIN .type = CALL, .interface = T("i.f"), .member = T("M"), .path = T("/p"), .peer = &service

static const struct sending sendings[] = {
        { "no rule", { { 0 } }, { PLAIN }, false, -1 },
        { "the last match", { ALLOW(), DENY(), ALLOW() }, { PLAIN }, true, 2 },
        { "a later rule that does not match", { DENY(), ALLOW(), DENY(.type = SIGNAL) }, { PLAIN },
          true, 1 },
        { "a rule that forgets, and matches", { ALLOW(.type = CALL), DENY() }, { PLAIN }, false, 1 },
        { "a rule that forgets, for broadcasts", { ALLOW(), DENY(.broadcast = POLICY_BROADCAST_ONLY) },
          { PLAIN }, false, -1 },
        { "a rule that forgets, for descriptors", { ALLOW(), DENY(.min_fds = 1) }, { PLAIN }, false,
          -1 },
        { "a rule that forgets, for unrequested replies", { ALLOW(), DENY() },
          { .type = RETURN, .is_reply = true, .requested_reply = true, .peer = &service }, false,
          -1 },
        { "a rule that does not forget, for its type", { ALLOW(), DENY(.type = CALL, .min_fds = 1) },
          { PLAIN }, true, 0 },
        { "other kinds of rules", { ALLOW(), DENY(.kind = POLICY_RECEIVE), DENY(.kind = POLICY_OWN) },
          { PLAIN }, true, 0 },
        { "type", { ALLOW(), DENY(.type = CALL) }, { PLAIN }, false, 1 },
        { "interface", { ALLOW(), DENY(.interface = T("i.f")) }, { PLAIN }, false, 1 },
        { "another interface", { ALLOW(), DENY(.interface = T("i.g")) }, { PLAIN }, true, 0 },
        { "a longer interface", { ALLOW(), DENY(.interface = T("i.ff")) }, { PLAIN }, true, 0 },
        { "a denied interface, none said", { ALLOW(), DENY(.interface = T("i.g")) },
          { .type = CALL, .member = T("M"), .peer = &service }, false, 1 },
        { "an allowed interface, none said", { DENY(), ALLOW(.interface = T("i.g")) },
          { .type = CALL, .member = T("M"), .peer = &service }, false, 0 },
        { "a denied interface at a name, none said",
          { ALLOW(), DENY(.interface = T("i.g"), .name = T("a.b")) },
          { .type = CALL, .member = T("M"), .peer = &service }, false, 1 },
        { "an allowed interface at a name, none said",
          { DENY(), ALLOW(.interface = T("i.g"), .name = T("a.b")) },
          { .type = CALL, .member = T("M"), .peer = &service }, false, 0 },
        { "member", { ALLOW(), DENY(.path = T("/p"), .member = T("M")) }, { PLAIN }, false, 1 },
        { "another member", { ALLOW(), DENY(.path = T("/p"), .member = T("N")) }, { PLAIN }, true,
          0 },
        { "a member, none said", { DENY(), ALLOW(.path = T("/p"), .member = T("N")) },
          { .type = RETURN, .peer = &service }, true, 1 },
        { "path", { ALLOW(), DENY(.path = T("/p")) }, { PLAIN }, false, 1 },
        { "another path", { ALLOW(), DENY(.path = T("/p/q")) }, { PLAIN }, true, 0 },
        { "an error's name", { ALLOW(), DENY(.error = T("e.x")) },
          { .type = ERROR, .error = T("e.x"), .peer = &service }, false, 1 },
        { "another error's name", { ALLOW(), DENY(.error = T("e.y")) },
          { .type = ERROR, .error = T("e.x"), .peer = &service }, true, 0 },
        { "an error's name, none said", { DENY(), ALLOW(.error = T("e.y")) }, { PLAIN }, true, 1 },
        { "a name owned", { DENY(), ALLOW(.name = T("a.b.c")) }, { PLAIN }, true, 1 },
        { "a unique name", { DENY(), ALLOW(.name = T(":1.7")) }, { PLAIN }, true, 1 },
        { "a name not owned", { DENY(), ALLOW(.name = T("a.b.d")) }, { PLAIN }, false, 0 },
        { "the empty name", { DENY(), ALLOW(.name = T("")) }, { PLAIN }, false, 0 },
        { "the start of a name", { DENY(), ALLOW(.name = T("a")) }, { PLAIN }, false, 0 },
        { "a prefix that is a name", { DENY(), ALLOW(.name = T("a.b.c"), .prefix = true) },
          { PLAIN }, true, 1 },
        { "a prefix", { DENY(), ALLOW(.name = T("a"), .prefix = true) }, { PLAIN }, true, 1 },
        { "half a word as prefix",
          { DENY(), ALLOW(.name = T("org.freedeskto"), .prefix = true) },
          { .type = CALL, .peer = &bus }, false, 0 },
        { "the empty prefix", { DENY(), ALLOW(.name = T(""), .prefix = true) }, { PLAIN }, false,
          0 },
        { "a prefix of the bus", { DENY(), ALLOW(.name = T("org.freedesktop"), .prefix = true) },
          { .type = CALL, .peer = &bus }, true, 1 },
        { "a name, to someone without", { ALLOW(), DENY(.name = T("a.b")) },
          { .type = SIGNAL, .broadcast = true, .peer = &nobody }, true, 0 },
        { "broadcasts only, a broadcast",
          { ALLOW(), DENY(.type = SIGNAL, .broadcast = POLICY_BROADCAST_ONLY) },
          { .type = SIGNAL, .broadcast = true, .peer = &service }, false, 1 },
        { "broadcasts only, a signal to one",
          { ALLOW(), DENY(.type = SIGNAL, .broadcast = POLICY_BROADCAST_ONLY) },
          { .type = SIGNAL, .peer = &service }, true, 0 },
        { "no broadcasts, a broadcast",
          { ALLOW(), DENY(.type = SIGNAL, .broadcast = POLICY_BROADCAST_NOT) },
          { .type = SIGNAL, .broadcast = true, .peer = &service }, true, 0 },
        { "no broadcasts, a signal to one",
          { ALLOW(), DENY(.type = SIGNAL, .broadcast = POLICY_BROADCAST_NOT) },
          { .type = SIGNAL, .peer = &service }, false, 1 },
        { "enough descriptors", { ALLOW(), DENY(.type = CALL, .min_fds = 2) },
          { PLAIN, .n_fds = 2 }, false, 1 },
        { "too few descriptors", { ALLOW(), DENY(.type = CALL, .min_fds = 2) },
          { PLAIN, .n_fds = 1 }, true, 0 },
        { "more than the bound of a rule",
          { DENY(), { .allow = true, .requested_reply = true, .type = CALL, .max_fds = 3 } },
          { PLAIN, .n_fds = 4 }, false, 0 },
        { "as many as the bound of a rule",
          { DENY(), { .allow = true, .requested_reply = true, .type = CALL, .max_fds = 3 } },
          { PLAIN, .n_fds = 3 }, true, 1 },
};

START_TEST(sending_is_judged_by_the_last_rule_that_matches)
{
        const struct sending *s = &sendings[_i];
        struct policy_list *list = list_of(s->rules, 4);
        struct policy_verdict verdict;

        ck_assert_msg(policy_can_send(list, &s->query, &verdict) == s->allow, "%s", s->what);
        ck_assert(verdict.allow == s->allow);
        ck_assert_msg(verdict.rule ? (int)verdict.rule->place == s->rule : s->rule == -1,
                      "%s: rule %d", s->what, verdict.rule ? (int)verdict.rule->place : -1);
        policy_list_unref(list);
}
END_TEST

/* a rule's flags against a reply's: does the rule apply? Asked for send and for receive. */
static const struct {
        bool allow, rule_requested, eavesdrop;
        bool requested;
        bool applies;
} replies[] = {
        { true, true, false, true, true },    { true, true, false, false, false },
        { true, true, true, false, true },    { true, false, false, false, true },
        { true, false, false, true, true },   { false, false, false, false, true },
        { false, false, false, true, false }, { false, true, false, true, true },
        { false, true, false, false, true },
};

START_TEST(a_reply_meets_rules_for_requested_or_for_unrequested_replies)
{
        struct policy_query query = { .type = RETURN, .is_reply = true,
                                      .requested_reply = replies[_i].requested,
                                      .peer = &service };
        struct policy_verdict verdict;
        struct policy_list *list;
        int kind;

        for (kind = POLICY_SEND; kind <= POLICY_RECEIVE; kind++) {
                struct policy_rule rules[] = {
                        RULE(.kind = kind, .allow = !replies[_i].allow, .eavesdrop = false,
                             .type = RETURN, .requested_reply = replies[_i].allow),
                        RULE(.kind = kind, .type = RETURN, .allow = replies[_i].allow,
                             .requested_reply = replies[_i].rule_requested,
                             .eavesdrop = replies[_i].eavesdrop),
                };

                /* the first rule applies always: an allowing one to unrequested replies too */
                rules[0].requested_reply = !rules[0].allow;
                list = list_of(rules, 2);
                if (kind == POLICY_SEND)
                        policy_can_send(list, &query, &verdict);
                else
                        policy_can_receive(list, &query, &verdict);
                ck_assert_ptr_nonnull(verdict.rule);
                ck_assert_int_eq(verdict.rule->place, replies[_i].applies);
                policy_list_unref(list);
        }
}
END_TEST

static const struct {
        bool allow, eavesdrop;
        bool eavesdropping;
        bool applies;
} eavesdroppings[] = {
        { true, false, false, true },  { true, false, true, false },
        { true, true, false, true },   { true, true, true, true },
        { false, false, false, true }, { false, false, true, true },
        { false, true, false, false }, { false, true, true, true },
};

START_TEST(who_is_not_addressed_needs_a_rule_with_eavesdrop)
{
        struct policy_rule rules[] = {
                RULE(.kind = POLICY_RECEIVE, .type = CALL, .allow = !eavesdroppings[_i].allow,
                     .requested_reply = true, .eavesdrop = !eavesdroppings[_i].allow),
                RULE(.kind = POLICY_RECEIVE, .type = CALL, .allow = eavesdroppings[_i].allow,
                     .requested_reply = true, .eavesdrop = eavesdroppings[_i].eavesdrop),
        };
        struct policy_list *list = list_of(rules, 2);
        struct policy_query query = { PLAIN, .eavesdropping = eavesdroppings[_i].eavesdropping };
        struct policy_verdict verdict;

        policy_can_receive(list, &query, &verdict);
        ck_assert_ptr_nonnull(verdict.rule);
        ck_assert_int_eq(verdict.rule->place, eavesdroppings[_i].applies);
        policy_list_unref(list);
}
END_TEST

START_TEST(a_denial_that_wants_eavesdropping_does_not_touch_others)
{
        const struct policy_rule rules[] = {
                ALLOW(.kind = POLICY_RECEIVE, .eavesdrop = true),
                DENY(.kind = POLICY_RECEIVE, .type = CALL, .eavesdrop = true),
        };
        struct policy_list *list = list_of(rules, 2);
        struct policy_query query = { PLAIN };
        struct policy_verdict verdict;

        ck_assert(policy_can_receive(list, &query, &verdict));
        query.eavesdropping = true;
        ck_assert(!policy_can_receive(list, &query, &verdict));
        policy_list_unref(list);
}
END_TEST

static const struct {
        struct policy_rule rules[3];
        const char *name;
        bool allow;
} ownings[] = {
        { { { 0 } }, "a.b", false },
        { { ALLOW(.kind = POLICY_OWN) }, "a.b", true },
        { { ALLOW(.kind = POLICY_OWN, .name = T("a.b")) }, "a.b", true },
        { { ALLOW(.kind = POLICY_OWN, .name = T("a.b")) }, "a.b.c", false },
        { { ALLOW(.kind = POLICY_OWN, .name = T("a.b"), .prefix = true) }, "a.b", true },
        { { ALLOW(.kind = POLICY_OWN, .name = T("a.b"), .prefix = true) }, "a.b.c.d", true },
        { { ALLOW(.kind = POLICY_OWN, .name = T("a.b"), .prefix = true) }, "a.bc", false },
        { { ALLOW(.kind = POLICY_OWN, .name = T("a.b"), .prefix = true) }, "a", false },
        { { ALLOW(.kind = POLICY_OWN, .name = T("*"), .prefix = true) }, "a.b", false },
        { { ALLOW(.kind = POLICY_OWN), DENY(.kind = POLICY_OWN, .name = T("a"), .prefix = true) },
          "a.b", false },
        { { ALLOW(.kind = POLICY_OWN), DENY(.kind = POLICY_OWN, .name = T("a"), .prefix = true),
            ALLOW(.kind = POLICY_OWN, .name = T("a.b")) },
          "a.b", true },
        { { ALLOW(.kind = POLICY_OWN, .name = T("a.b")), DENY(.kind = POLICY_OWN) }, "a.b", false },
};

START_TEST(owning_is_judged_by_name_and_by_prefix)
{
        struct policy_list *list = list_of(ownings[_i].rules, 3);
        struct policy_verdict verdict;

        ck_assert(policy_can_own(list, policy_text(ownings[_i].name), &verdict) ==
                  ownings[_i].allow);
        policy_list_unref(list);
}
END_TEST

/* who may connect; the bus runs as 500, the groups are 100, 20 and 30 */
static const struct {
        struct policy_rule rules[3];
        uid_t uid;
        bool allow;
} connectings[] = {
        { { { 0 } }, 500, true },
        { { { 0 } }, 0, false },
        { { { 0 } }, 1000, false },
        { { ALLOW(.kind = POLICY_CONNECT_USER, .id = POLICY_ANY_ID) }, 1000, true },
        { { ALLOW(.kind = POLICY_CONNECT_USER, .id = 1000) }, 1000, true },
        { { ALLOW(.kind = POLICY_CONNECT_USER, .id = 1000) }, 1001, false },
        { { DENY(.kind = POLICY_CONNECT_USER, .id = 500) }, 500, false },
        { { ALLOW(.kind = POLICY_CONNECT_GROUP, .id = 30) }, 1000, true },
        { { ALLOW(.kind = POLICY_CONNECT_GROUP, .id = 31) }, 1000, false },
        { { ALLOW(.kind = POLICY_CONNECT_GROUP, .id = POLICY_ANY_ID) }, 1000, true },
        { { DENY(.kind = POLICY_CONNECT_USER, .id = 1000, .context = POLICY_MANDATORY),
            ALLOW(.kind = POLICY_CONNECT_USER, .id = POLICY_ANY_ID) },
          1000, false },
        { { ALLOW(.kind = POLICY_CONNECT_USER, .id = 1000, .context = POLICY_AT_CONSOLE) }, 1000,
          false },
};

START_TEST(connecting_is_judged_by_user_and_group)
{
        static const gid_t gids[] = { 100, 20, 30 };
        const struct policy_creds creds = { .uid = connectings[_i].uid, .gids = gids, .n_gids = 3 };
        struct policy *policy = policy_of(connectings[_i].rules, 3);
        struct policy_verdict verdict;

        ck_assert(policy_can_connect(policy, &creds, 500, &verdict) == connectings[_i].allow);
        policy_unref(policy);
}
END_TEST

/* ---- lists ---- */

START_TEST(contexts_are_merged_in_their_order_not_the_files)
{
        static const struct {
                enum policy_context context;
                uint32_t id;
        } order[] = {
                { POLICY_MANDATORY, 0 }, { POLICY_AT_CONSOLE, 1 }, { POLICY_AT_CONSOLE, 0 },
                { POLICY_USER, 1000 },   { POLICY_USER, 1001 },    { POLICY_GROUP, 30 },
                { POLICY_GROUP, 100 },   { POLICY_GROUP, 99 },     { POLICY_DEFAULT, 0 },
        };
        /* default; the groups that the user has, by number; user; console; mandatory */
        static const uint32_t expected[] = { 8, 5, 6, 3, 1, 0 };
        struct policy_rule rules[9];
        struct policy *policy;
        struct policy_list *list;
        size_t i;

        for (i = 0; i < 9; i++)
                rules[i] = (struct policy_rule)ALLOW(.type = CALL, .context = order[i].context,
                                                     .context_id = order[i].id);
        policy = policy_of(rules, 9);
        ck_assert(policy_asks_console(policy));
        list = list_for(policy, 1000, true);
        for (i = 0; i < 6; i++)
                ck_assert_uint_eq(policy_list_at(list, POLICY_SEND, i)->place, expected[i]);
        ck_assert_ptr_null(policy_list_at(list, POLICY_SEND, 6));
        policy_list_unref(list);
        list = list_for(policy, 1001, false);
        ck_assert_uint_eq(policy_list_at(list, POLICY_SEND, 3)->place, 4);
        ck_assert_uint_eq(policy_list_at(list, POLICY_SEND, 4)->place, 2);
        policy_list_unref(list);
        policy_unref(policy);
}
END_TEST

START_TEST(users_whom_no_rule_tells_apart_share_a_list)
{
        static const struct policy_rule rules[] = {
                ALLOW(), DENY(.context = POLICY_USER, .context_id = 7) };
        struct policy *policy = policy_of(rules, 2);
        struct policy_list *a = list_for(policy, 1000, false), *b = list_for(policy, 1001, true);
        struct policy_list *c = list_for(policy, 7, false);

        ck_assert_ptr_eq(a, b);
        ck_assert_ptr_ne(a, c);
        policy_list_unref(a);
        policy_list_unref(b);
        policy_list_unref(c);
        policy_unref(policy);
}
END_TEST

START_TEST(a_list_outlives_its_policy)
{
        static const struct policy_rule rules[] = { DENY(.type = CALL, .file = "test.conf", .line = 12) };
        struct policy *policy = policy_of(rules, 1);
        struct policy_list *list = list_for(policy, 1000, false);
        struct policy_query query = { PLAIN };
        struct policy_verdict verdict;
        char text[200];

        policy_unref(policy);
        ck_assert(!policy_can_send(list, &query, &verdict));
        ck_assert_int_eq(policy_rule_describe(verdict.rule, text, sizeof(text)), 0);
        ck_assert_str_eq(text, "<deny send_type=\"method_call\"/> in <policy context=\"default\"> "
                               "(test.conf:12)");
        policy_list_unref(list);
}
END_TEST

START_TEST(a_thousand_kinds_of_users_come_and_go)
{
        struct policy_rule rules[1000];
        struct policy_list *kept[1000], *list;
        struct policy *policy;
        size_t i;

        for (i = 0; i < 1000; i++)
                rules[i] = (struct policy_rule)ALLOW(.context = POLICY_USER, .context_id = i);
        policy = policy_of(rules, 1000);
        for (i = 0; i < 1000; i++)
                kept[i] = list_for(policy, i, false);
        for (i = 0; i < 1000; i++) {
                list = list_for(policy, i, false);
                ck_assert_ptr_eq(list, kept[i]);
                policy_list_unref(list);
                policy_list_unref(kept[i]);
        }
        policy_unref(policy);
}
END_TEST

START_TEST(rules_that_are_forgotten_are_left_out)
{
        const struct policy_rule rules[] = {
                DENY(.type = CALL), DENY(.name = T("a.b")), ALLOW(.eavesdrop = true),
        };
        struct policy_list *list = list_of(rules, 3);

        ck_assert_uint_eq(policy_list_at(list, POLICY_SEND, 0)->place, 2);
        ck_assert_ptr_null(policy_list_at(list, POLICY_SEND, 1));
        policy_list_unref(list);
}
END_TEST

static const struct {
        struct policy_rule rules[3];
        bool open;
} openings[] = {
        { { { 0 } }, false },
        { { ALLOW(.eavesdrop = true) }, true },
        { { DENY(), ALLOW(.eavesdrop = true) }, true },
        { { ALLOW(.eavesdrop = true), DENY(.name = T("a.b")) }, false },
        { { ALLOW(.eavesdrop = true), ALLOW(.name = T("a.b")) }, false },
        { { DENY(.eavesdrop = true) }, false },
        { { ALLOW() }, false },
        { { ALLOW(.eavesdrop = true, .log = true) }, false },
        { { ALLOW(.eavesdrop = true, .broadcast = POLICY_BROADCAST_NOT) }, false },
        { { ALLOW(.eavesdrop = true, .min_fds = 1) }, false },
        { { { .allow = true, .eavesdrop = true, .max_fds = 1 } }, false },
        { { ALLOW(.eavesdrop = true, .type = CALL) }, false },
};

START_TEST(a_list_is_open_if_all_it_says_is_yes)
{
        struct policy_list *list = list_of(openings[_i].rules, N(openings[_i].rules));

        ck_assert(policy_is_open(list, POLICY_SEND) == openings[_i].open);
        ck_assert(!policy_is_open(list, POLICY_RECEIVE)); /* no rule for it */
        policy_list_unref(list);
}
END_TEST

static void remember(void *arg, const struct policy_rule *rule)
{
        uint32_t **next = arg;

        *(*next)++ = rule->place;
}

START_TEST(all_rules_that_match_can_be_named_in_order)
{
        const struct policy_rule rules[] = {
                ALLOW(), DENY(.name = T("a.b")), DENY(.name = T("x.y")),
                ALLOW(.name = T("a"), .prefix = true), DENY(.interface = T("i.f"), .log = true),
        };
        struct policy_list *list = list_of(rules, 5);
        struct policy_query query = { PLAIN };
        struct policy_verdict verdict;
        uint32_t places[5], *next = places;

        ck_assert_uint_eq(policy_explain(list, POLICY_SEND, &query, remember, &next), 4);
        ck_assert_uint_eq(places[0], 0);
        ck_assert_uint_eq(places[1], 1);
        ck_assert_uint_eq(places[2], 3);
        ck_assert_uint_eq(places[3], 4);
        ck_assert(!policy_can_send(list, &query, &verdict));
        ck_assert(verdict.log);
        policy_list_unref(list);
}
END_TEST

START_TEST(merged_rules_stand_behind_and_keep_their_origin)
{
        struct policy_rule rule = ALLOW(.type = CALL, .file = "a.conf", .line = 1);
        struct policy *into, *from;

        ck_assert_int_eq(policy_new(&into), 0);
        ck_assert_int_eq(policy_new(&from), 0);
        ck_assert_int_eq(policy_append(into, &rule), 0);
        rule.file = "b.conf";
        ck_assert_int_eq(policy_append(from, &rule), 0);
        ck_assert_int_eq(policy_merge(into, from), 0);
        ck_assert_uint_eq(policy_n_rules(from), 0);
        policy_unref(from);
        ck_assert_uint_eq(policy_n_rules(into), 2);
        ck_assert_str_eq(policy_rule_at(into, 0)->file, "a.conf");
        ck_assert_str_eq(policy_rule_at(into, 1)->file, "b.conf");
        ck_assert_uint_eq(policy_rule_at(into, 1)->place, 1);
        policy_unref(into);
}
END_TEST

static const struct {
        struct policy_rule rule;
        const char *text;
} descriptions[] = {
        { ALLOW(.eavesdrop = true), "<allow send_type=\"*\" eavesdrop=\"true\"/>" },
        { DENY(.kind = POLICY_RECEIVE), "<deny receive_type=\"*\"/>" },
        { ALLOW(.kind = POLICY_OWN), "<allow own=\"*\"/>" },
        { DENY(.kind = POLICY_OWN, .name = T("a"), .prefix = true), "<deny own_prefix=\"a\"/>" },
        { ALLOW(.kind = POLICY_CONNECT_USER, .id = POLICY_ANY_ID), "<allow user=\"*\"/>" },
        { DENY(.kind = POLICY_CONNECT_GROUP, .id = 4), "<deny group=\"4\"/>" },
        { RULE(.allow = true, .name = T("a.\"b"), .prefix = true, .interface = T("i"),
               .member = T("M"), .path = T("/<&"), .type = SIGNAL,
               .broadcast = POLICY_BROADCAST_NOT, .min_fds = 1, .log = true),
          "<allow send_destination_prefix=\"a.&quot;b\" send_interface=\"i\" send_member=\"M\" "
          "send_path=\"/&lt;&amp;\" send_type=\"signal\" send_broadcast=\"false\" "
          "send_requested_reply=\"false\" min_fds=\"1\" log=\"true\"/>" },
        { { .kind = POLICY_RECEIVE, .name = T("s"), .error = T("e"), .max_fds = 2 },
          "<deny receive_sender=\"s\" receive_error=\"e\" max_fds=\"2\"/>" },
};

START_TEST(a_rule_prints_as_it_is_written)
{
        char *text = NULL;
        size_t n;
        FILE *out = open_memstream(&text, &n);

        ck_assert_int_eq(policy_rule_print(&descriptions[_i].rule, out), 0);
        fclose(out);
        ck_assert_str_eq(text, descriptions[_i].text);
        free(text);
}
END_TEST

START_TEST(a_description_is_cut_to_its_room)
{
        struct policy_rule rule = ALLOW(.type = CALL);
        char text[8];

        ck_assert_int_eq(policy_rule_describe(&rule, text, sizeof(text)), 0);
        ck_assert_str_eq(text, "<allow ");
        ck_assert_int_eq(policy_rule_describe(NULL, text, sizeof(text)), 0);
        ck_assert_str_eq(text, "no rule");
}
END_TEST

/* ---- the index against a walk ---- */

static uint32_t draw_state = 1;

static uint32_t draw(uint32_t n)
{
        draw_state = draw_state * 1664525 + 1013904223;
        return (draw_state >> 8) % n;
}

static struct policy_text draw_text(const char *const *from, size_t n, unsigned int none)
{
        return draw(100) < none ? (struct policy_text){ 0 } : policy_text(from[draw(n)]);
}

static const char *const some_names[] = { "a", "a.b", "a.b.c", "a.c", "x.y", "x.yz", ":1.7" };
static const char *const some_interfaces[] = { "i.a", "i.b", "i.ab", "i.c" };
static const char *const some_members[] = { "M", "N", "MN", "NM", "" };
static const char *const some_paths[] = { "/", "/p", "/q" };

static struct policy_rule draw_rule(void)
{
        struct policy_rule rule = {
                .allow = draw(2),
                .kind = draw(2) ? POLICY_SEND : POLICY_RECEIVE,
                .type = draw(2) ? 0 : 1 + draw(4),
                .requested_reply = draw(2),
                .eavesdrop = draw(4) == 0,
                .broadcast = draw(8) ? 0 : draw(3),
                .min_fds = draw(8) ? 0 : draw(3),
                .max_fds = draw(8) ? POLICY_MAX_FDS : draw(3),
                .name = draw_text(some_names, 7, 40),
                .prefix = draw(4) == 0,
                .interface = draw_text(some_interfaces, 4, 50),
                .member = draw_text(some_members, 5, 60),
                .path = draw_text(some_paths, 3, 80),
        };

        return rule;
}

static struct policy_query draw_query(struct policy_peer *peer, struct policy_text *names)
{
        size_t i;

        *peer = (struct policy_peer){ .names = names, .n_names = draw(4) };
        for (i = 0; i < peer->n_names; i++)
                names[i] = policy_text(some_names[draw(7)]);
        return (struct policy_query){
                .type = 1 + draw(4),
                .broadcast = draw(4) == 0,
                .is_reply = draw(2),
                .requested_reply = draw(2),
                .eavesdropping = draw(4) == 0,
                .n_fds = draw(3),
                .interface = draw_text(some_interfaces, 4, 30),
                .member = draw_text(some_members, 5, 20),
                .path = draw_text(some_paths, 3, 20),
                .peer = peer,
        };
}

static bool same(struct policy_text a, struct policy_text b)
{
        return a.n == b.n && !memcmp(a.ptr, b.ptr, a.n);
}

static bool walk_name(const struct policy_rule *rule, const struct policy_query *q)
{
        size_t i;

        for (i = 0; i < q->peer->n_names; i++) {
                struct policy_text name = q->peer->names[i];

                if (rule->prefix && name.n > rule->name.n && name.ptr[rule->name.n] == '.')
                        name.n = rule->name.n;
                if (same(name, rule->name))
                        return true;
        }
        return false;
}

/* one rule after the other, each condition on its own, as the reference's manual has them */
static bool walk_rule(const struct policy_rule *rule, const struct policy_query *q)
{
        if (rule->type && rule->type != q->type)
                return false;
        if (rule->name.ptr && !walk_name(rule, q))
                return false;
        if (rule->interface.ptr && !q->interface.ptr && rule->allow)
                return false;
        if (rule->interface.ptr && q->interface.ptr && !same(rule->interface, q->interface))
                return false;
        if (rule->member.ptr && q->member.ptr && !same(rule->member, q->member))
                return false;
        if (rule->path.ptr && q->path.ptr && !same(rule->path, q->path))
                return false;
        if (rule->broadcast == POLICY_BROADCAST_ONLY && !q->broadcast)
                return false;
        if (rule->broadcast == POLICY_BROADCAST_NOT && q->broadcast)
                return false;
        if (q->n_fds < rule->min_fds || q->n_fds > rule->max_fds)
                return false;
        if (q->is_reply && rule->allow && !q->requested_reply && rule->requested_reply &&
            !rule->eavesdrop)
                return false;
        if (q->is_reply && !rule->allow && q->requested_reply && !rule->requested_reply)
                return false;
        if (rule->kind == POLICY_RECEIVE && q->eavesdropping && rule->allow && !rule->eavesdrop)
                return false;
        if (rule->kind == POLICY_RECEIVE && !q->eavesdropping && !rule->allow && rule->eavesdrop)
                return false;
        return true;
}

static int walk(const struct policy_rule *rules, size_t n, enum policy_kind kind,
                const struct policy_query *q)
{
        int last = -1;
        size_t i;

        for (i = 0; i < n; i++) {
                const struct policy_rule *rule = &rules[i];

                if (rule->kind != kind)
                        continue;
                if (!rule->type && !rule->name.ptr && !rule->interface.ptr && !rule->member.ptr &&
                    !rule->path.ptr)
                        last = -1;
                if (walk_rule(rule, q))
                        last = i;
        }
        return last;
}

START_TEST(the_index_finds_what_a_walk_over_all_rules_finds)
{
        struct policy_rule rules[60];
        struct policy_text names[4];
        struct policy_peer peer;
        struct policy_verdict verdict;
        struct policy_list *list;
        struct policy *policy;
        size_t i, n;

        draw_state = _i;
        n = draw(60);
        ck_assert_int_eq(policy_new(&policy), 0);
        for (i = 0; i < n; i++) {
                rules[i] = draw_rule();
                ck_assert_int_eq(policy_append(policy, &rules[i]), 0);
        }
        ck_assert_int_eq(policy_seal(policy), 0);
        list = list_for(policy, 1, false);
        for (i = 0; i < 2000; i++) {
                struct policy_query q = draw_query(&peer, names);

                policy_can_send(list, &q, &verdict);
                ck_assert_int_eq(verdict.rule ? (int)verdict.rule->place : -1,
                                 walk(rules, n, POLICY_SEND, &q));
                ck_assert(verdict.allow || !policy_is_open(list, POLICY_SEND));
                policy_can_receive(list, &q, &verdict);
                ck_assert_int_eq(verdict.rule ? (int)verdict.rule->place : -1,
                                 walk(rules, n, POLICY_RECEIVE, &q));
                ck_assert(verdict.allow || !policy_is_open(list, POLICY_RECEIVE));
        }
        policy_list_unref(list);
        policy_unref(policy);
}
END_TEST

static bool next_name(const struct policy_peer *peer, void **pos, struct policy_text *name)
{
        if (*pos)
                return false;
        *name = policy_text(peer->data);
        *pos = (void *)peer;
        return true;
}

START_TEST(the_names_of_a_peer_may_come_from_a_function)
{
        const struct policy_rule rules[] = { DENY(), ALLOW(.name = T("a.b")) };
        struct policy_peer peer = { .next = next_name, .data = "a.b" };
        struct policy_query query = { .type = CALL, .peer = &peer };
        struct policy_list *list = list_of(rules, 2);
        struct policy_verdict verdict;

        ck_assert(policy_can_send(list, &query, &verdict));
        peer.data = "a.c";
        ck_assert(!policy_can_send(list, &query, &verdict));
        policy_list_unref(list);
}
END_TEST

/* ---- out of memory ---- */

static int build(void)
{
        static const gid_t gid = 20;
        const struct policy_creds creds = { .uid = 1, .gids = &gid, .n_gids = 1 };
        const struct policy_rule rule = ALLOW(.name = T("a.b"), .interface = T("i"));
        _cleanup_(policy_unrefp) struct policy *policy = NULL, *more = NULL;
        _cleanup_(policy_list_unrefp) struct policy_list *list = NULL;
        int r;

        r = policy_new(&policy);
        if (!r)
                r = policy_new(&more);
        if (!r)
                r = policy_append(policy, &rule);
        if (!r)
                r = policy_append(more, &rule);
        if (!r)
                r = policy_merge(policy, more);
        if (!r)
                r = policy_seal(policy);
        if (!r)
                r = policy_list_new(&list, policy, &creds);
        return r;
}

START_TEST(each_allocation_may_fail)
{
        bool failed = true;
        size_t n = 0;
        int r;

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
        Suite *suite = suite_create("policy");
        TCase *tcase = tcase_create("policy");

        tcase_add_loop_test(tcase, sending_is_judged_by_the_last_rule_that_matches, 0,
                            N(sendings));
        tcase_add_loop_test(tcase, a_reply_meets_rules_for_requested_or_for_unrequested_replies, 0,
                            N(replies));
        tcase_add_loop_test(tcase, who_is_not_addressed_needs_a_rule_with_eavesdrop, 0,
                            N(eavesdroppings));
        tcase_add_test(tcase, a_denial_that_wants_eavesdropping_does_not_touch_others);
        tcase_add_loop_test(tcase, owning_is_judged_by_name_and_by_prefix, 0, N(ownings));
        tcase_add_loop_test(tcase, connecting_is_judged_by_user_and_group, 0, N(connectings));
        tcase_add_test(tcase, contexts_are_merged_in_their_order_not_the_files);
        tcase_add_test(tcase, users_whom_no_rule_tells_apart_share_a_list);
        tcase_add_test(tcase, a_list_outlives_its_policy);
        tcase_add_test(tcase, a_thousand_kinds_of_users_come_and_go);
        tcase_add_test(tcase, rules_that_are_forgotten_are_left_out);
        tcase_add_loop_test(tcase, a_list_is_open_if_all_it_says_is_yes, 0, N(openings));
        tcase_add_test(tcase, all_rules_that_match_can_be_named_in_order);
        tcase_add_test(tcase, merged_rules_stand_behind_and_keep_their_origin);
        tcase_add_loop_test(tcase, a_rule_prints_as_it_is_written, 0, N(descriptions));
        tcase_add_test(tcase, a_description_is_cut_to_its_room);
        tcase_add_loop_test(tcase, the_index_finds_what_a_walk_over_all_rules_finds, 0, 100);
        tcase_add_test(tcase, the_names_of_a_peer_may_come_from_a_function);
        tcase_add_test(tcase, each_allocation_may_fail);
        suite_add_tcase(suite, tcase);

        return test_run(suite);
}
