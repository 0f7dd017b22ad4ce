/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inbox
 *
 * What it is     The ordered set of messages that one peer has yet to read.
 * Promise        1. Entries leave in the order of their stamp; equal stamps by sender, then by
 *                   the sender's sequence. That order is the same in every inbox.
 *                2. An entry leaves only when it is at the front and committed: a staged entry
 *                   holds back all behind it.
 *                3. Nothing enters before an entry that has left.
 * How            A stamp counts in twos: even is committed, odd is staged. A staged entry is
 *                placed with an odd stamp, which reserves its place, and placed again with the
 *                even stamp on which its transaction settles. The peer's clock is at least as
 *                large as every stamp in here, so what is new goes to the end: a list suffices,
 *                and only a commit has to walk, past the entries that arrived in the meantime.
 * Not promised   A committed entry may still wait for a staged one ahead of it.
 * Guard          Everything here: peer->data.lock of the owning peer.
 */

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#include "bus-core/account.h"
#include "bus-core/message.h"

/* One message on its way into one inbox. */
struct inbox_entry {
        struct cds_list_head link; /* in an inbox, or in a list of entries taken from one */
        uint64_t stamp;            /* 0: in no inbox */
        uint64_t sender;           /* peer id; breaks ties */
        uint64_t seq;              /* the sender's; breaks ties of one sender */
        struct message *message;   /* counted */
        struct charge charge;
        uint32_t bytes; /* what it counts in the receiver's queue */
        uint32_t fds;
};

struct inbox {
        struct cds_list_head entries; /* by stamp, smallest first */
        uint64_t n_staged;
        uint64_t n_committed;
        bool closed;
};

static inline bool stamp_is_staged(uint64_t stamp)
{
        return stamp & 1;
}

void inbox_init(struct inbox *in);
void inbox_deinit(struct inbox *in);

/**
 * inbox_place() - put an entry at the end
 * @stamp:      larger than every stamp in the inbox; odd: staged, even: committed
 */
void inbox_place(struct inbox *in, struct inbox_entry *e, uint64_t stamp);

/**
 * inbox_put() - put an entry where it belongs, committed
 * @stamp:      even; not smaller than any in the inbox
 */
void inbox_put(struct inbox *in, struct inbox_entry *e, uint64_t stamp);

/**
 * inbox_commit() - give a staged entry its final place
 * @stamp:      even, larger than the staged one
 */
void inbox_commit(struct inbox *in, struct inbox_entry *e, uint64_t stamp);

/* inbox_remove() - take one entry out, wherever it stands */
void inbox_remove(struct inbox *in, struct inbox_entry *e);

/* inbox_front() - the entry that may leave next, or NULL */
struct inbox_entry *inbox_front(struct inbox *in);

/**
 * inbox_flush() - close the inbox
 * @out:        list that receives all committed entries
 *
 * Staged entries stay with their transactions, which find the inbox closed.
 */
void inbox_flush(struct inbox *in, struct cds_list_head *out);

/* inbox_compare() - the order of promise 1: <0, 0 or >0 */
int inbox_compare(const struct inbox_entry *a, const struct inbox_entry *b);
