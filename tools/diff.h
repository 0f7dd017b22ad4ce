/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Differences
 *
 * What it is     What one transcript has and the other has not, message by message.
 * How            Streams with equal digests are equal. Of each other stream the entries of both
 *                sides are matched by their keys; of the matched ones, those that do not lie on the
 *                longest common order are out of order.
 * Not promised   Meaning: why they differ is for cause.c to say.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/transcript.h"

#define DIFF_MAX 200000U /* differences that are looked at one by one; more are only counted */

enum diff_kind {
        DIFF_MISSING,   /* only the reference has it */
        DIFF_EXTRA,     /* only the candidate */
        DIFF_CHANGED,   /* both, with other contents */
        DIFF_REORDERED, /* both, at another place among the messages of that sender */
};

struct diff {
        enum diff_kind kind;
        struct transcript_entry reference; /* not if extra */
        struct transcript_entry candidate; /* not if missing */
        bool again;     /* extra: the reference has this message too, but not so often */
        bool none;      /* missing: nothing of this topic arrives in this stream */
};

struct diff_list {
        struct diff *list;
        size_t n, size;
        uint64_t n_unlisted;
};

int diff_transcripts(struct diff_list *out, struct transcript *reference,
                     struct transcript *candidate);
void diff_list_deinit(struct diff_list *list);

/* diff_entry() - the entry of a difference that is there, the reference's if both are */
static inline const struct transcript_entry *diff_entry(const struct diff *d)
{
        return d->kind == DIFF_EXTRA ? &d->candidate : &d->reference;
}
