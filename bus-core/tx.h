/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Transaction
 *
 * What it is     One send of one peer to any number of inboxes, with any number of messages.
 * Promise        1. All of it is delivered at one point of the bus's order: two receivers of
 *                   any two transactions see them in the same order.
 *                2. Within one transaction an inbox keeps the order of tx_add().
 *                3. All or nothing: what can fail fails in tx_add(); tx_commit() cannot.
 * How            stage   an entry with an odd stamp goes into every inbox;
 *                stamp   the largest stamp seen becomes the stamp of all;
 *                sync    every receiver's clock moves to it, before anyone can read;
 *                commit  every entry takes it.
 *                Between stage and commit nothing is allocated, nothing sleeps, and no lock but
 *                one data.lock at a time is held: a staged entry blocks an inbox for just so
 *                long.
 * States
 *                  tx_init()     tx_add()        tx_commit()
 *                  ---------> OPEN ----> OPEN ----------------> DONE
 *                               \------------- tx_abort() ----> DONE
 * Guard          A transaction belongs to one thread, on its stack.
 */

#include "bus-core/peer.h"

struct tx {
        struct peer *from;
        struct inbox_entry *first, **last; /* in the order of tx_add() */
        struct message *message;           /* the last one added, and its sequence */
        uint64_t seq;
        size_t n;
};

void tx_init(struct tx *tx, struct peer *from);

/**
 * tx_add() - one more message for one more inbox
 * @to:         counted until the transaction ends
 * @message:    counted. The copies of one message must be added one after another, so that
 *              they share one place in the order.
 *
 * Return:      0, PEER_E_FULL, PEER_E_QUOTA, -ENOMEM; on failure the transaction is unchanged.
 */
int tx_add(struct tx *tx, struct peer *to, struct message *message);

/**
 * tx_commit() - deliver
 * @touched:    called for each receiver after the last commit, without locks; may be NULL
 *
 * Receivers which are closed by now are passed over.
 */
void tx_commit(struct tx *tx, void (*touched)(void *data, struct peer *to), void *data);

/* tx_abort() - forget everything that was added; nothing happens after tx_commit() */
void tx_abort(struct tx *tx);
