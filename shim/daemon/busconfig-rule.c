/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/daemon/busconfig-private.h"
#include "shim/daemon/userdb.h"

enum attribute {
        SEND_INTERFACE,
        SEND_MEMBER,
        SEND_ERROR,
        SEND_PATH,
        SEND_TYPE,
        SEND_DESTINATION,
        SEND_DESTINATION_PREFIX,
        SEND_BROADCAST,
        SEND_REQUESTED_REPLY,
        RECEIVE_INTERFACE,
        RECEIVE_MEMBER,
        RECEIVE_ERROR,
        RECEIVE_PATH,
        RECEIVE_TYPE,
        RECEIVE_SENDER,
        RECEIVE_REQUESTED_REPLY,
        EAVESDROP,
        MIN_FDS,
        MAX_FDS,
        OWN,
        OWN_PREFIX,
        USER,
        GROUP,
        LOG,
        N_ATTRIBUTES,
};

static const char *const names[N_ATTRIBUTES] = {
        [SEND_INTERFACE] = "send_interface",
        [SEND_MEMBER] = "send_member",
        [SEND_ERROR] = "send_error",
        [SEND_PATH] = "send_path",
        [SEND_TYPE] = "send_type",
        [SEND_DESTINATION] = "send_destination",
        [SEND_DESTINATION_PREFIX] = "send_destination_prefix",
        [SEND_BROADCAST] = "send_broadcast",
        [SEND_REQUESTED_REPLY] = "send_requested_reply",
        [RECEIVE_INTERFACE] = "receive_interface",
        [RECEIVE_MEMBER] = "receive_member",
        [RECEIVE_ERROR] = "receive_error",
        [RECEIVE_PATH] = "receive_path",
        [RECEIVE_TYPE] = "receive_type",
        [RECEIVE_SENDER] = "receive_sender",
        [RECEIVE_REQUESTED_REPLY] = "receive_requested_reply",
        [EAVESDROP] = "eavesdrop",
        [MIN_FDS] = "min_fds",
        [MAX_FDS] = "max_fds",
        [OWN] = "own",
        [OWN_PREFIX] = "own_prefix",
        [USER] = "user",
        [GROUP] = "group",
        [LOG] = "log",
};

/* the attributes of one element as they are being turned into a rule */
struct reading {
        const char *element;
        const char *value[N_ATTRIBUTES];
        char *text; /* BUSCONFIG_TEXT_MAX bytes: what is wrong */
};

#define refuse(rd, ...) (snprintf((rd)->text, BUSCONFIG_TEXT_MAX, __VA_ARGS__), RULE_E_INVALID)

static size_t n_given(const struct reading *rd, enum attribute first, enum attribute last)
{
        size_t i, n = 0;

        for (i = first; i <= last; ++i)
                n += rd->value[i] != NULL;
        return n;
}

static int collect(struct reading *rd, const char *const *attributes)
{
        size_t i;

        for (; *attributes; attributes += 2) {
                for (i = 0; i < N_ATTRIBUTES; ++i)
                        if (strcmp(names[i], attributes[0]) == 0)
                                break;
                if (i == N_ATTRIBUTES)
                        return refuse(rd, "<%s> has no attribute \"%s\"", rd->element,
                                      attributes[0]);
                rd->value[i] = attributes[1];
        }
        return 0;
}

/* fields that only some messages have; @first is the interface of either direction */
static int check_fields(struct reading *rd, const char *interface, const char *member,
                        const char *error, const char *path, const char *direction)
{
        if (member && !interface && !path)
                return refuse(rd,
                              "<%s %s_member=\"%s\"> needs %s_interface or %s_path as well",
                              rd->element, direction, member, direction, direction);
        if (error && (interface || member))
                return refuse(rd,
                              "<%s %s_error=\"%s\"> goes with neither %s_interface nor %s_member",
                              rd->element, direction, error, direction, direction);
        return 0;
}

/* which attributes may stand together */
static int check_combination(struct reading *rd)
{
        size_t send = n_given(rd, SEND_INTERFACE, SEND_REQUESTED_REPLY);
        size_t receive = n_given(rd, RECEIVE_INTERFACE, RECEIVE_REQUESTED_REPLY);
        size_t shared = n_given(rd, EAVESDROP, MAX_FDS);
        size_t alone = n_given(rd, OWN, GROUP);
        const char **v = rd->value;
        int r;

        if (alone > 1 || (alone && (send || receive || shared)))
                return refuse(rd, "own, own_prefix, user and group of <%s> stand alone",
                              rd->element);
        if (send && receive)
                return refuse(rd, "<%s> is about sending or about receiving, not both",
                              rd->element);
        if (!send && !receive && !alone && !v[EAVESDROP])
                return refuse(rd, "<%s> does not say what it is about", rd->element);
        if (v[SEND_DESTINATION] && v[SEND_DESTINATION_PREFIX])
                return refuse(rd, "<%s> has both send_destination and send_destination_prefix",
                              rd->element);
        r = check_fields(rd, v[SEND_INTERFACE], v[SEND_MEMBER], v[SEND_ERROR], v[SEND_PATH],
                         "send");
        if (r)
                return r;
        return check_fields(rd, v[RECEIVE_INTERFACE], v[RECEIVE_MEMBER], v[RECEIVE_ERROR],
                            v[RECEIVE_PATH], "receive");
}

static int read_bool(struct reading *rd, bool *to, enum attribute which)
{
        const char *value = rd->value[which];

        if (!value)
                return 0;
        *to = strcmp(value, "true") == 0;
        if (!*to && strcmp(value, "false") != 0)
                return refuse(rd, "%s=\"%s\" is neither true nor false", names[which], value);
        return 0;
}

static int read_type(struct reading *rd, uint8_t *to, enum attribute which)
{
        static const char *const types[] = { "*", "method_call", "method_return", "error",
                                             "signal" };
        const char *value = rd->value[which];
        size_t i;

        if (!value)
                return 0;
        for (i = 0; i < ARRAY_SIZE(types); ++i) {
                if (strcmp(value, types[i]) == 0) {
                        *to = i;
                        return 0;
                }
        }
        return refuse(rd, "%s=\"%s\" is no type of message", names[which], value);
}

/* a number in C's notation; what follows it is ignored, as dbus-daemon does */
static int read_fds(struct reading *rd, uint32_t *to, enum attribute which)
{
        const char *value = rd->value[which];
        char *end;
        long n;

        if (!value)
                return 0;
        errno = 0;
        n = strtol(value, &end, 0);
        if (errno || end == value || n < 0 || n > (long)POLICY_MAX_FDS)
                return refuse(rd, "%s=\"%s\" is not a number from 0 to %u", names[which], value,
                              POLICY_MAX_FDS);
        *to = n;
        return 0;
}

static void read_text(const struct reading *rd, struct policy_text *to, enum attribute which)
{
        const char *value = rd->value[which];

        if (value && strcmp(value, "*") != 0)
                *to = policy_text(value);
}

static int read_message(struct reading *rd, struct policy_rule *rule)
{
        int r;

        r = read_bool(rd, &rule->eavesdrop, EAVESDROP);
        if (!r)
                r = read_fds(rd, &rule->min_fds, MIN_FDS);
        if (!r)
                r = read_fds(rd, &rule->max_fds, MAX_FDS);
        rule->requested_reply = rule->allow;
        return r;
}

static int read_send(struct reading *rd, struct policy_rule *rule)
{
        bool broadcast = false;
        int r;

        rule->kind = POLICY_SEND;
        read_text(rd, &rule->interface, SEND_INTERFACE);
        read_text(rd, &rule->member, SEND_MEMBER);
        read_text(rd, &rule->error, SEND_ERROR);
        read_text(rd, &rule->path, SEND_PATH);
        read_text(rd, &rule->name, SEND_DESTINATION);
        if (rd->value[SEND_DESTINATION_PREFIX]) { /* here a "*" is a name like any other */
                rule->name = policy_text(rd->value[SEND_DESTINATION_PREFIX]);
                rule->prefix = true;
        }
        r = read_message(rd, rule);
        if (!r)
                r = read_type(rd, &rule->type, SEND_TYPE);
        if (!r)
                r = read_bool(rd, &rule->requested_reply, SEND_REQUESTED_REPLY);
        if (!r)
                r = read_bool(rd, &broadcast, SEND_BROADCAST);
        if (r)
                return r;
        if (rd->value[SEND_BROADCAST])
                rule->broadcast = broadcast ? POLICY_BROADCAST_ONLY : POLICY_BROADCAST_NOT;
        if (broadcast && rule->name.ptr && !rule->prefix)
                return refuse(rd, "no broadcast has a destination such as \"%s\"", rule->name.ptr);
        return 0;
}

static int read_receive(struct reading *rd, struct policy_rule *rule)
{
        int r;

        rule->kind = POLICY_RECEIVE;
        read_text(rd, &rule->interface, RECEIVE_INTERFACE);
        read_text(rd, &rule->member, RECEIVE_MEMBER);
        read_text(rd, &rule->error, RECEIVE_ERROR);
        read_text(rd, &rule->path, RECEIVE_PATH);
        read_text(rd, &rule->name, RECEIVE_SENDER);
        r = read_message(rd, rule);
        if (!r)
                r = read_type(rd, &rule->type, RECEIVE_TYPE);
        if (!r)
                r = read_bool(rd, &rule->requested_reply, RECEIVE_REQUESTED_REPLY);
        return r;
}

static int read_own(struct reading *rd, struct policy_rule *rule)
{
        rule->kind = POLICY_OWN;
        read_text(rd, &rule->name, OWN);
        if (rd->value[OWN_PREFIX]) {
                rule->name = policy_text(rd->value[OWN_PREFIX]);
                rule->prefix = true;
        }
        return 0;
}

static int read_connect(struct reading *rd, struct policy_rule *rule, bool ask_userdb)
{
        bool user = rd->value[USER];
        const char *name = rd->value[user ? USER : GROUP];
        int r = USERDB_E_UNKNOWN;

        rule->kind = user ? POLICY_CONNECT_USER : POLICY_CONNECT_GROUP;
        rule->id = POLICY_ANY_ID;
        if (strcmp(name, "*") == 0)
                return 0;
        if (ask_userdb)
                r = user ? userdb_user(&rule->id, NULL, name) : userdb_group(&rule->id, name);
        if (r != USERDB_E_UNKNOWN)
                return error_fold(r);
        snprintf(rd->text, BUSCONFIG_TEXT_MAX, "no %s \"%s\": the rule is left out",
                 user ? "user" : "group", name);
        return RULE_E_DROPPED;
}

/**
 * busconfig_rule() - the rule that an <allow> or <deny> element stands for
 * @rule:       its texts point into @attributes; context and origin are left to the caller
 * @attributes: name, value, name, value, NULL
 * @text:       the reason, for RULE_E_*
 */
int busconfig_rule(struct policy_rule *rule, const char *element, const char *const *attributes,
                   bool ask_userdb, char text[static BUSCONFIG_TEXT_MAX])
{
        struct reading rd = { .element = element, .text = text };
        int r;

        *rule = (struct policy_rule)POLICY_RULE_NULL;
        rule->allow = strcmp(element, "allow") == 0;
        r = collect(&rd, attributes);
        if (!r)
                r = check_combination(&rd);
        if (r)
                return r;
        rule->log = rd.value[LOG] && strcmp(rd.value[LOG], "true") == 0;
        if (n_given(&rd, OWN, OWN_PREFIX))
                return read_own(&rd, rule);
        if (n_given(&rd, USER, GROUP))
                return read_connect(&rd, rule, ask_userdb);
        if (n_given(&rd, SEND_INTERFACE, SEND_REQUESTED_REPLY))
                return read_send(&rd, rule);
        return read_receive(&rd, rule);
}
