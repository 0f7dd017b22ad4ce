/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bus-core/tx.h"
#include "bus-core/util/error.h"

void tx_init(struct tx *tx, struct peer *from)
{
        *tx = (struct tx){ .from = from };
        tx->last = &tx->first;
}

int tx_add(struct tx *tx, struct peer *to, struct message *message)
{
        struct inbox_entry *e;
        int r;

        r = peer_charge(&e, to, message);
        if (r)
                return r < 0 ? error_fold(r) : r;
        if (tx->message != message) {
                tx->message = message;
                tx->seq = atomic_fetch_add_explicit(&tx->from->seq, 1, memory_order_relaxed) + 1;
        }
        e->receiver = peer_ref(to);
        e->sender = tx->from->id;
        e->seq = tx->seq;
        e->next = NULL;
        *tx->last = e;
        tx->last = &e->next;
        tx->n++;
        return 0;
}

/* First round: reserve a place everywhere. Returns the largest stamp that any clock reached. */
static uint64_t tx_stage(struct tx *tx)
{
        uint64_t floor = atomic_load(&tx->from->clock);
        uint64_t largest = floor + 2;

        for (struct inbox_entry *e = tx->first; e; e = e->next) {
                struct peer *to = e->receiver;
                uint64_t stamp;

                pthread_mutex_lock(&to->data.lock);
                if (!to->data.inbox.closed) {
                        stamp = peer_tick_locked(to, floor);
                        inbox_place(&to->data.inbox, e, stamp - 1);
                        largest = MAX(largest, stamp);
                }
                pthread_mutex_unlock(&to->data.lock);
        }
        return largest;
}

/*
 * Second round: before anyone can read, no clock may be behind. Otherwise a reader could tell a
 * third peer by other means, and what that one sends might overtake the rest of this round.
 */
static void tx_sync(struct tx *tx, uint64_t stamp)
{
        peer_sync(tx->from, stamp);
        for (struct inbox_entry *e = tx->first; e; e = e->next)
                peer_sync(e->receiver, stamp);
}

/* Third round: the entry takes its place, unless its inbox was closed since (stamp 0). */
static void tx_settle(struct inbox_entry *e, uint64_t stamp)
{
        struct peer *to = e->receiver;
        bool placed;

        pthread_mutex_lock(&to->data.lock);
        placed = e->stamp != 0;
        if (placed)
                inbox_commit(&to->data.inbox, e, stamp);
        pthread_mutex_unlock(&to->data.lock);
        if (!placed)
                peer_release(to, e);
}

void tx_commit(struct tx *tx, void (*touched)(void *data, struct peer *to), void *data)
{
        struct inbox_entry *e, *next;
        uint64_t stamp;

        stamp = tx_stage(tx);
        tx_sync(tx, stamp);
        for (e = tx->first; e; e = next) {
                struct peer *to = e->receiver;

                next = e->next; /* @e belongs to its reader once it is committed */
                tx_settle(e, stamp);
                if (touched)
                        touched(data, to);
                peer_unref(to);
        }
        tx_init(tx, tx->from);
}

void tx_abort(struct tx *tx)
{
        struct inbox_entry *e, *next;

        for (e = tx->first; e; e = next) {
                struct peer *to = e->receiver;

                next = e->next;
                peer_release(to, e);
                peer_unref(to);
        }
        tx_init(tx, tx->from);
}
