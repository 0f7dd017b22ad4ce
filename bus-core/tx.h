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
 * How            stage   an entry with an odd stamp goes into every inbox, and the largest
 *                        stamp seen becomes the stamp of all;
 *                sync    every clock moves to it, before anyone can read;
 *                settle  every entry takes it.
 *                Between stage and settle nothing is allocated or freed, nothing sleeps, no hook
 *                is called, and no lock but one data.lock at a time is held: a staged entry
 *                blocks an inbox for just so long.
 *                A process with one thread goes from OPEN to DONE at once, to the same end.
 * States
 *                  tx_add()
 *                    v  |   tx_step()            tx_step()            tx_step()
 *                   OPEN -----------> STAGING -----------> SYNCING -----------> SETTLING
 *                    ^                 n times              1 + n times          n times
 *                    |  tx_finish(), the end of tx_commit()                        |
 *                    '--------------------------- DONE <---------------------------'
 *                                                               tx_step()
 *                In OPEN all entries belong to the transaction, and tx_abort() drops them. In
 *                SETTLING those before @at belong to their readers, unless the inbox was closed.
 * Guard          A transaction belongs to one thread, on its stack.
 */

#include <stdbool.h>

#include "bus-core/peer.h"

/* So many receivers need no memory but the transaction itself. */
#define TX_FEW 16

enum tx_state {
        TX_OPEN,
        TX_STAGING,
        TX_SYNCING,
        TX_SETTLING,
        TX_DONE,
};

struct tx_slot {
        struct peer *to;           /* counted */
        struct inbox_entry *entry; /* NULL once it belongs to its reader */
};

struct tx {
        struct peer *from;
        enum tx_state state;
        uint64_t floor;          /* the sender's clock at the start */
        uint64_t stamp;          /* the largest seen; from SYNCING on, that of all entries */
        struct message *message; /* the last one added, and its sequence */
        uint64_t seq;
        unsigned owed;        /* references of @message that its entries have yet to get */
        size_t n, at;         /* slots in use; the next one of this round */
        struct tx_slot *many; /* instead of @few, when those are not enough */
        struct tx_slot few[TX_FEW];
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
 * Receivers which are closed by now are passed over, and not @touched. The transaction is empty
 * afterwards and may be used again.
 */
void tx_commit(struct tx *tx, void (*touched)(void *data, struct peer *to), void *data);

/* tx_abort() - forget everything that was added; nothing happens after tx_commit() */
void tx_abort(struct tx *tx);
