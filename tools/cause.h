/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Causes
 *
 * What it is     Differences grouped by what most likely brought them about, each group with a
 *                sentence for a person and a stable key for a file of known differences.
 * How            The differences which belong to one recorded message are looked at together: a
 *                reply that is missing at one peer and surplus at another went astray; a call that
 *                is surplus where the reference has an error was refused by the reference only.
 *                What merely follows from another difference (no reply to a call that never came)
 *                is counted in that one's group.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "tools/diff.h"
#include "tools/recording.h"
#include "tools/replay.h"

#define CAUSE_EXAMPLES 4U
#define CAUSE_KEY_MAX 600U
#define CAUSE_TITLE_MAX 1600U

enum cause_kind {
        CAUSE_LOST,            /* a message did not arrive */
        CAUSE_RULE_IGNORED,    /* none of the signals that a rule asks for arrives */
        CAUSE_UNASKED,         /* a signal arrives which no rule asks for */
        CAUSE_MISDELIVERED,    /* a message went to another peer */
        CAUSE_DUPLICATED,      /* a message arrives twice */
        CAUSE_REORDERED,       /* messages of one sender arrive in another order */
        CAUSE_TOTAL_ORDER,     /* two receivers get two broadcasts in different orders */
        CAUSE_CAUSALITY,       /* a message arrives before the signal that prompted it */
        CAUSE_SENDER,          /* the sender is not the true one */
        CAUSE_CONTENTS,        /* a field or an argument was changed */
        CAUSE_REFUSED,         /* only the candidate refuses it */
        CAUSE_ALLOWED,         /* only the reference refuses it */
        CAUSE_ERROR,           /* both refuse, with other errors */
        CAUSE_ANSWER,          /* the bus answers a call with another value */
        CAUSE_NO_ANSWER,       /* the bus does not answer a call */
        CAUSE_SURPLUS_ANSWER,  /* the bus answers where the reference does not */
        CAUSE_UNWANTED_ANSWER, /* only one of both answers a call that expects no reply */
        CAUSE_UNREQUESTED,     /* only one of both delivers a reply that no call waits for */
        CAUSE_OWNER,           /* another peer owns a name */
        CAUSE_BUS_SIGNAL,      /* a signal of the bus itself is missing or surplus */
        CAUSE_BUS_ORDER,       /* the bus's own messages come in another order */
        CAUSE_DISCONNECTED,    /* only one of both closes a connection */
        CAUSE_DESCRIPTORS,     /* descriptors are missing or surplus */
        CAUSE_SURPLUS,         /* a message arrives that the reference does not deliver */
        CAUSE_KINDS_,
};

struct cause {
        enum cause_kind kind;
        char *key;         /* what a file of known differences names: "kind:what" */
        char *title;       /* one sentence */
        uint64_t n;
        uint64_t n_consequences;
        char *examples[CAUSE_EXAMPLES];
        size_t n_examples;
        const char *reason; /* why it is known and intended; NULL: it is not. Borrowed */
        UT_hash_handle hh;
};

struct cause_list {
        struct cause *by_key; /* in order of weight */
        size_t n;
        uint64_t n_unlisted;
};

/* cause_kind_name() - "lost", "rule-ignored", ...: what keys begin with */
const char *cause_kind_name(enum cause_kind kind);

int cause_find(struct cause_list *out, const struct recording *rec, struct diff_list *diffs,
               struct replay_result *reference, struct replay_result *candidate);
void cause_list_deinit(struct cause_list *list);
