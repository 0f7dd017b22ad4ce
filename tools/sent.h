/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Sent messages
 *
 * What it is     What is still of interest of the messages that a replay has sent: to say, when one
 *                arrives or is answered, which it was and how long it took.
 * How            A table of fixed size, indexed by sender and serial, in rows of a few places; in a
 *                full row the oldest makes room. Messages that are never answered thus cost nothing.
 */

#include <stdbool.h>
#include <stdint.h>

struct sent {
        uint32_t sender; /* actor */
        uint32_t serial; /* 0: place is free */
        uint64_t index;  /* of the recorded message */
        uint64_t time_ns;
        uint32_t destination; /* actor, or RECORDING_NO_PEER */
        uint32_t method;      /* id for latencies */
        uint8_t type;
        uint8_t answer; /* enum normal_answer: what its reply must be normalised for */
        bool to_bus;
        bool unaddressed; /* no destination: the bus may answer it without saying who it is */
        bool late; /* what the bus answers has no place in the order of what it says */
        bool fails; /* wants a program started that will not start */
        bool delivered;
        bool no_reply;    /* a call that expects none */
        bool answered;    /* a call that its callee has replied to */
        bool bus_answered; /* a call that the bus has replied to */
        bool unrequested; /* a reply that no call waits for */
};

struct sent_table {
        struct sent *places;
};

int sent_init(struct sent_table *t);
void sent_deinit(struct sent_table *t);
void sent_add(struct sent_table *t, const struct sent *s);

/* sent_find() - NULL if it is not there any more; good until the next sent_add() */
struct sent *sent_find(struct sent_table *t, uint32_t sender, uint32_t serial);
