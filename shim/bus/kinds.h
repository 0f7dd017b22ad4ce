/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kinds of messages
 *
 * What it is     How many calls and signals of each interface and member one thread has routed.
 * How            A table of fixed size, KINDS_WAYS places for each hash. A kind without a place
 *                wears down the rarest one there, and takes its place when nothing is left of it:
 *                whatever is frequent stays, whatever a client makes up comes and goes. What has
 *                lost its place is counted as "other".
 * Guard          Written by the thread of the turn it belongs to, which holds the bus's guard;
 *                read by whoever holds the write side.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct envelope;

#define KINDS_SETS 256
#define KINDS_WAYS 4
#define KINDS_TEXT 96

struct kind {
        uint64_t hash; /* 0: free */
        uint64_t messages, bytes;
        uint64_t life; /* how often it may be passed over */
        char text[KINDS_TEXT]; /* "interface.member" */
};

struct kinds {
        struct kind kind[KINDS_SETS][KINDS_WAYS];
        uint64_t other_messages, other_bytes;
};

/* kinds_count() - one more message; replies, which have no member, are not counted */
void kinds_count(struct kinds *kinds, const struct envelope *e);

/* kinds_add() - what another thread counted, before it ended; write side */
void kinds_add(struct kinds *kinds, const struct kinds *other);
