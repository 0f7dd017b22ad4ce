/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Match rule
 *
 * What it is     One parsed rule of AddMatch or BecomeMonitor, and the question it answers: is
 *                this message wanted?
 * Promise        1. What is a rule, and which of two errors an input is, is exactly what
 *                   dbus-daemon takes it for: its quoting, its numbers ("arg+1", "arg0x10"), its
 *                   stop at a '=' without a key, its sixteen keys of which the rest is not read.
 *                2. Two rules are equal exactly if they ask for the same; how they were written
 *                   does not matter. Each rule has one canonical text.
 * How            The keys are rows of one table: name, grammar, place in @fields. The text is
 *                unquoted into one buffer, checked, written out canonically, and then all of it
 *                moves into one allocation.
 * Not promised   Names are compared as text here. That a sender or destination stands for the
 *                present owner of a name is the business of match.h.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus-core/util/cleanup.h"

#define MATCH_RULE_MAX   1024U /* bytes of a rule's text */
#define MATCH_KEYS_MAX   16U   /* keys read of a rule; more are ignored */
#define MATCH_ARGS_MAX   64U   /* arguments of a message that rules can ask for */
#define MATCH_REASON_MAX (MATCH_RULE_MAX + 128U) /* bytes of a refusal's reason, with its NUL */

enum {
        MATCH_E_OK_,
        MATCH_E_INVALID,   /* not a rule */
        MATCH_E_TOO_LONG,  /* longer than MATCH_RULE_MAX */
        MATCH_E_NOT_FOUND, /* nobody added that rule */
};

/* some bytes; @s is NULL if there is no such field, which is not the same as an empty one */
struct match_text {
        const char *s;
        size_t n;
};

enum match_field {
        MATCH_INTERFACE,
        MATCH_MEMBER,
        MATCH_PATH,
        MATCH_PATH_NAMESPACE,
        MATCH_SENDER,
        MATCH_DESTINATION,
        MATCH_FIELDS_,
};

enum match_arg_kind {
        MATCH_ARG_EQUAL,     /* a string, equal */
        MATCH_ARG_PATH,      /* a string or path; equal, or either is the other's directory */
        MATCH_ARG_NAMESPACE, /* a string; equal or below, by dots */
};

struct match_arg {
        uint8_t index;
        uint8_t kind;
        struct match_text value;
};

struct match_rule {
        uint64_t hash;                           /* of @canonical */
        struct match_text canonical;             /* ends in a NUL */
        struct match_text fields[MATCH_FIELDS_]; /* s is NULL where any value will do */
        uint8_t type;                            /* of the message; 0 for any */
        bool eavesdrop;                          /* asks for messages to others, too */
        uint8_t n_args;
        struct match_arg args[]; /* ordered by index, no index twice */
};

/* an argument of a message; basic types but 's' and 'o' need no text */
struct match_value {
        char type;
        uint32_t n;
        const char *s;
};

/* What there is to match of a message. All of it is borrowed. */
struct match_query {
        uint8_t type;
        bool eavesdrop;            /* only rules that eavesdrop: the message has one receiver */
        uint64_t sender;           /* peer ids, or MATCH_NO_OWNER */
        uint64_t destination;
        struct match_text interface;
        struct match_text member;
        struct match_text path;
        const struct match_value *args; /* at least as many as match_index_wants_args() says */
        size_t n_args;                  /* or as many as the message has, if those are fewer */
};

/**
 * match_rule_new() - parse a rule
 * @out:        the rule
 * @reason:     NULL, or MATCH_REASON_MAX bytes for what is wrong with the text
 * @text:       UTF-8, as in a message
 * @n:          bytes of it
 *
 * Return:      0, MATCH_E_INVALID, MATCH_E_TOO_LONG, -ENOMEM.
 */
int match_rule_new(struct match_rule **out, char *reason, const char *text, size_t n);
struct match_rule *match_rule_free(struct match_rule *rule);
DEFINE_FREEP(struct match_rule, match_rule_free)

/* match_rule_equal() - do both ask for the same? eavesdrop='false' asks for nothing */
bool match_rule_equal(const struct match_rule *a, const struct match_rule *b);

/* match_rule_format() - the canonical text, as GetAllMatchRules shows it; lives as long as @rule */
const char *match_rule_format(const struct match_rule *rule);

/* match_rule_accepts() - is all true that @rule asks for, but for sender and destination? */
bool match_rule_accepts(const struct match_rule *rule, const struct match_query *query);
