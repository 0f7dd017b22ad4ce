/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Policy
 *
 * What it is     The rules of `<policy>` elements, and the judgement over them: who may connect,
 *                own, send and receive. Pure data: no I/O, no clock, no user database.
 * Objects        A `policy` holds all rules of a configuration in file order; it is filled, then
 *                sealed and never changes. A `policy_list` is the view that one kind of
 *                connection has of it: the rules which apply to its credentials, merged in the
 *                order default, groups, user, console, mandatory. Connections with equal
 *                credentials share a list. A list keeps its rules alive, so a new policy can
 *                replace the old one at any time.
 * Promise        1. The last rule of the list that matches decides; if none does, the answer is
 *                   no.
 *                2. The verdict names the rule that decided, and the rule knows its file and line.
 *                3. The verdicts are those of dbus-daemon 1.14, so also this: a rule about sending
 *                   or receiving that asks for no name, type or header field makes all such
 *                   rules before it forgotten, even for messages that it does not match itself
 *                   (for it asks for a broadcast, descriptors, eavesdropping, or a reply that
 *                   was or was not requested).
 * How            policy.c keeps the rules, policy-list.c judges. Each rule has its place in the
 *                list as a number. A list is sorted once into buckets by what a rule asks for:
 *                destination name, destination prefix, interface, or nothing of these. A message
 *                meets only the buckets of the names its peer owns, of its interface, and the
 *                general one; the match with the highest number over all buckets decides. Rules
 *                that stand before one that always matches are left out, so a list that allows
 *                everything is one comparison.
 * Guard          A sealed policy and a list are immutable and may be asked by any thread. Counts
 *                are atomic; the cache of lists has a lock of its own, taken last.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "bus-core/util/cleanup.h"

#define POLICY_ANY_ID UINT32_MAX /* user="*", group="*" */
#define POLICY_MAX_FDS 33554432U /* the largest number of descriptors that a rule may name */

struct policy;
struct policy_list;

/* a piece of text; ptr NULL: there is none */
struct policy_text {
        const char *ptr;
        size_t n;
};

enum policy_context { /* in the order in which they are merged */
        POLICY_DEFAULT,
        POLICY_GROUP,      /* context_id is the gid */
        POLICY_USER,       /* context_id is the uid */
        POLICY_AT_CONSOLE, /* context_id is 1 for true, 0 for false */
        POLICY_MANDATORY,
};

enum policy_kind {
        POLICY_SEND,
        POLICY_RECEIVE,
        POLICY_OWN,
        POLICY_CONNECT_USER,  /* id is the uid or POLICY_ANY_ID */
        POLICY_CONNECT_GROUP, /* id is the gid or POLICY_ANY_ID */
};

enum policy_broadcast {
        POLICY_BROADCAST_ANY,
        POLICY_BROADCAST_ONLY,
        POLICY_BROADCAST_NOT,
};

/*
 * One rule. A text with ptr NULL asks for nothing ("*" or absent). policy_append() copies the
 * texts and fills in the fields marked (policy).
 */
struct policy_rule {
        enum policy_kind kind;
        bool allow;
        bool log;             /* send: log when this rule decides */
        bool requested_reply; /* as the attribute; its default is @allow */
        bool eavesdrop;
        bool prefix;       /* @name stands for itself and all names below it */
        uint8_t type;      /* message type 1..4, 0 any */
        uint8_t broadcast; /* enum policy_broadcast */
        uint32_t min_fds;
        uint32_t max_fds; /* POLICY_MAX_FDS: no bound */
        uint32_t id;      /* connect: uid or gid */
        struct policy_text interface;
        struct policy_text member;
        struct policy_text path;
        struct policy_text error;
        struct policy_text name; /* send: destination; receive: sender; own: the name */

        enum policy_context context;
        uint32_t context_id;
        const char *file; /* where it was written; (policy) keeps a copy */
        unsigned int line;
        uint32_t place; /* (policy) number in the policy, in reading order */
};

#define POLICY_RULE_NULL { .max_fds = POLICY_MAX_FDS }

int policy_new(struct policy **policyp);
struct policy *policy_ref(struct policy *policy);
struct policy *policy_unref(struct policy *policy);
DEFINE_FREEP(struct policy, policy_unref)

int policy_append(struct policy *policy, const struct policy_rule *rule);
int policy_merge(struct policy *into, struct policy *from);
int policy_seal(struct policy *policy);
size_t policy_n_rules(const struct policy *policy);
const struct policy_rule *policy_rule_at(const struct policy *policy, size_t i);
const struct policy_rule *policy_merged_at(const struct policy *policy, size_t i);
bool policy_asks_console(const struct policy *policy);

/* what a connection is judged by */
struct policy_creds {
        uid_t uid;
        const gid_t *gids; /* all groups, the primary one among them, in any order */
        size_t n_gids;
        bool at_console;
};

int policy_list_new(struct policy_list **listp, struct policy *policy,
                    const struct policy_creds *creds);
struct policy_list *policy_list_ref(struct policy_list *list);
struct policy_list *policy_list_unref(struct policy_list *list);
DEFINE_FREEP(struct policy_list, policy_list_unref)

/*
 * The other side of a message: the receiver for sending, the sender for receiving. Its names are
 * those that it owns or is queued for, its unique name included, read by next() or else from
 * the array. For the bus itself, and for a service that is not yet running, it is the one name
 * that the message says.
 */
struct policy_peer {
        /* next() - true and a name as long as there is one; *@pos is NULL at first */
        bool (*next)(const struct policy_peer *peer, void **pos, struct policy_text *name);
        const void *data; /* for next() */
        const struct policy_text *names;
        size_t n_names;
};

struct policy_query {
        uint8_t type;         /* message type 1..4 */
        bool broadcast;       /* a signal without a destination */
        bool is_reply;        /* the message has a reply serial */
        bool requested_reply; /* and it answers a call that waits for it */
        bool eavesdropping;   /* receive: the message is addressed to someone else */
        uint32_t n_fds;
        struct policy_text interface;
        struct policy_text member;
        struct policy_text path;
        struct policy_text error;
        const struct policy_peer *peer;
};

struct policy_verdict {
        const struct policy_rule *rule; /* that decided; NULL: none matched. Lives as the list */
        bool allow;
        bool log; /* the rule wants to be heard of */
};

bool policy_can_send(const struct policy_list *list, const struct policy_query *query,
                     struct policy_verdict *verdict);
bool policy_can_receive(const struct policy_list *list, const struct policy_query *query,
                        struct policy_verdict *verdict);
bool policy_is_open(const struct policy_list *list, enum policy_kind kind);
bool policy_can_own(const struct policy_list *list, struct policy_text name,
                    struct policy_verdict *verdict);
bool policy_can_connect(const struct policy *policy, const struct policy_creds *creds,
                        uid_t bus_uid, struct policy_verdict *verdict);

typedef void policy_explain_fn(void *arg, const struct policy_rule *rule);
size_t policy_explain(const struct policy_list *list, enum policy_kind kind,
                      const struct policy_query *query, policy_explain_fn *fn, void *arg);
const struct policy_rule *policy_list_at(const struct policy_list *list, enum policy_kind kind,
                                         size_t i);

int policy_rule_print(const struct policy_rule *rule, FILE *out);
int policy_rule_print_context(const struct policy_rule *rule, FILE *out);
int policy_rule_describe(const struct policy_rule *rule, char *buf, size_t n);

/* policy_text() - a C string, or NULL, as text */
static inline struct policy_text policy_text(const char *s)
{
        return (struct policy_text){ s, s ? strlen(s) : 0 };
}
