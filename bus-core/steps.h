/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Steps
 *
 * What it is     What peer_send() and tx_commit() are made of. A step is one locked section, or
 *                one atomic operation on one clock: all that other threads can tell apart.
 * How            The two functions do nothing but take their steps in turn, unless tx_commit() is
 *                sure that no other thread could see them. test-order.c takes the steps of several
 *                sends in every interleaving. Nobody else includes this.
 */

#include "bus-core/tx.h"

/**
 * peer_place() - the locked section of a unicast
 * @e:          charged entry; belongs to its reader on success
 * @stamp:      set on success: what the sender's clock must be moved to, the second step
 *
 * Lock:        takes to->data.lock
 * Return:      0 or PEER_E_CLOSED.
 */
int peer_place(struct peer *from, struct peer *to, struct inbox_entry *e, uint64_t *stamp);

/**
 * tx_step() - the next step of tx_commit()
 *
 * Return:      false when the last one is done: the state is TX_DONE, and tx_finish() must follow.
 */
bool tx_step(struct tx *tx);

/* tx_finish() - what tx_commit() does when nothing of the transaction blocks an inbox any more */
void tx_finish(struct tx *tx, void (*touched)(void *data, struct peer *to), void *data);
