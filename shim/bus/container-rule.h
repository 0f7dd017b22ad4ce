/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Container rules
 *
 * What it is     What the programs of a container may reach on the bus, in the words of
 *                xdg-dbus-proxy, one text for each rule:
 *
 *                    see=NAME             the name exists for them
 *                    talk=NAME            and they may send to it, and hear its broadcasts
 *                    own=NAME             and they may own it
 *                    call=NAME=RULE       the name exists, and they may make these calls to it
 *                    broadcast=NAME=RULE  the name exists, and they may hear these broadcasts
 *
 *                "--" before a rule is passed over, as it stands on that program's command line.
 *                NAME is a well-known name, and with ".*" behind it all names below it as well.
 *                RULE is [METHOD][@PATH]: METHOD is "*", "INTERFACE.*" or "INTERFACE.MEMBER";
 *                PATH is an object path, and with "/" and "*" behind it all paths below it as well.
 * Promise        What no rule names is hidden: it is answered as if it were not there.
 * Guard          Immutable; counted by whoever has it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus-core/util/cleanup.h"

enum container_level { /* each includes those before it */
        CONTAINER_HIDDEN,
        CONTAINER_SEE,
        CONTAINER_TALK,
        CONTAINER_OWN,
};

enum container_kind {
        CONTAINER_NAME, /* see, talk, own */
        CONTAINER_CALL,
        CONTAINER_BROADCAST,
};

enum { CONTAINER_RULE_E_INVALID = 1 };
#define CONTAINER_WHY_MAX 512

struct container_rules;

/**
 * container_rules_new() - no rules yet: all is hidden
 */
int container_rules_new(struct container_rules **out);
struct container_rules *container_rules_free(struct container_rules *rules);
DEFINE_FREEP(struct container_rules, container_rules_free)

/**
 * container_rules_add() - one more rule
 * @why:        CONTAINER_WHY_MAX bytes for what is wrong with the text
 *
 * Return:      0, CONTAINER_RULE_E_INVALID or -ENOMEM.
 */
int container_rules_add(struct container_rules *rules, const char *text, char *why);

size_t container_rules_n(const struct container_rules *rules);

/* container_rules_at() - the text of a rule, as it was given */
const char *container_rules_at(const struct container_rules *rules, size_t i);

/* container_rules_level() - what may be done with a name */
enum container_level container_rules_level(const struct container_rules *rules, const char *name,
                                           size_t n);

/* container_rules_match() - does a call or broadcast rule for this name allow a message? */
bool container_rules_match(const struct container_rules *rules, enum container_kind kind,
                           const char *name, size_t n, const char *interface, const char *member,
                           const char *path);
