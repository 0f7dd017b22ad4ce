/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>
#include <string.h>

#include "bus-core/steps.h"
#include "bus-core/tx.h"
#include "bus-core/util/alone.h"
#include "bus-core/util/cache.h"
#include "bus-core/util/error.h"

static struct tx_slot *tx_slots(struct tx *tx)
{
        return tx->many ? tx->many : tx->few;
}

/* One atomic for all entries of a message, before anyone can drop one. */
static void tx_pay(struct tx *tx)
{
        if (tx->owed)
                ref_add(&tx->message->refs, tx->owed);
        tx->owed = 0;
}

static void tx_clear(struct tx *tx)
{
        tx->many = cache_free(tx->many);
        tx_init(tx, tx->from);
}

/* Makes room for one more slot. */
static int tx_reserve(struct tx *tx)
{
        size_t room = tx->many ? cache_size(tx->many) / sizeof(*tx->many) : TX_FEW;
        struct tx_slot *more;

        if (tx->n < room)
                return 0;
        more = cache_alloc(2 * room * sizeof(*more));
        if (!more)
                return error_origin(-ENOMEM);
        memcpy(more, tx_slots(tx), tx->n * sizeof(*more));
        cache_free(tx->many);
        tx->many = more;
        return 0;
}

void tx_init(struct tx *tx, struct peer *from)
{
        tx->from = from;
        tx->state = TX_OPEN;
        tx->message = NULL;
        tx->owed = 0;
        tx->n = 0;
        tx->many = NULL;
}

int tx_add(struct tx *tx, struct peer *to, struct message *message)
{
        struct inbox_entry *e;
        int r;

        assert(tx->state == TX_OPEN);
        r = tx_reserve(tx);
        if (r)
                return error_fold(r);
        r = peer_charge(&e, to, message);
        if (r)
                return r < 0 ? error_fold(r) : r;
        if (tx->message != message) {
                tx_pay(tx);
                tx->message = message_ref(message);
                tx->seq = peer_next_seq(tx->from);
        } else {
                tx->owed++;
        }
        e->sender = tx->from->id;
        e->seq = tx->seq;
        tx_slots(tx)[tx->n++] = (struct tx_slot){.to = peer_ref(to), .entry = e};
        return 0;
}

/* Reserves a place. The stamp of all will be the largest that any clock reached. */
static void tx_stage(struct tx *tx, struct tx_slot *slot)
{
        struct peer *to = slot->to;
        uint64_t stamp;

        lock_enter(&to->data.lock);
        if (!to->data.inbox.closed) {
                stamp = peer_tick_locked(to, tx->floor);
                inbox_place(&to->data.inbox, slot->entry, stamp - 1);
                tx->stamp = MAX(tx->stamp, stamp);
        }
        lock_leave(&to->data.lock);
}

/* The entry takes its place, unless its inbox was closed before or since (stamp 0). */
static void tx_settle(struct tx *tx, struct tx_slot *slot)
{
        struct peer *to = slot->to;

        lock_enter(&to->data.lock);
        if (slot->entry->stamp) {
                inbox_commit(&to->data.inbox, slot->entry, tx->stamp);
                slot->entry = NULL;
        }
        lock_leave(&to->data.lock);
}

static inline bool tx_step_inline(struct tx *tx)
{
        struct tx_slot *slots = tx_slots(tx);
        bool last = false;

        switch (tx->state) {
        case TX_OPEN:
                tx_pay(tx);
                tx->at = 0;
                tx->floor = peer_now(tx->from);
                tx->stamp = tx->floor + 2;
                last = true;
                break;
        case TX_STAGING:
                if (tx->at < tx->n)
                        tx_stage(tx, &slots[tx->at]);
                last = ++tx->at >= tx->n;
                break;
        case TX_SYNCING:
                /*
                 * Before anyone can read, no clock may be behind. Otherwise a reader could tell a
                 * third peer by other means, and what that one sends might overtake the rest.
                 */
                peer_sync(tx->at < tx->n ? slots[tx->at].to : tx->from, tx->stamp);
                last = ++tx->at > tx->n;
                break;
        case TX_SETTLING:
                if (tx->at < tx->n)
                        tx_settle(tx, &slots[tx->at]);
                last = ++tx->at >= tx->n;
                break;
        case TX_DONE:
                break;
        }
        if (last) {
                tx->state++;
                tx->at = 0;
        }
        return tx->state != TX_DONE;
}

bool tx_step(struct tx *tx)
{
        return tx_step_inline(tx);
}

void tx_finish(struct tx *tx, void (*touched)(void *data, struct peer *to), void *data)
{
        struct tx_slot *slots = tx_slots(tx);

        assert(tx->state == TX_DONE);
        for (size_t i = 0; i < tx->n; i++) {
                if (slots[i].entry)
                        peer_release(slots[i].to, slots[i].entry);
                else if (touched)
                        touched(data, slots[i].to);
        }
        for (size_t i = 0; i < tx->n; i++)
                peer_unref(slots[i].to);
        tx_clear(tx);
}

/* Puts an entry where it belongs at once, unless the inbox was closed. */
static void tx_put(struct tx *tx, struct tx_slot *slot)
{
        struct peer *to = slot->to;

        lock_enter(&to->data.lock);
        if (!to->data.inbox.closed) {
                inbox_put(&to->data.inbox, slot->entry, tx->stamp);
                slot->entry = NULL;
        }
        lock_leave(&to->data.lock);
}

/*
 * Where there is no other thread nobody comes between, and no place need be held: what the steps
 * lead to, without them.
 */
static void tx_commit_alone(struct tx *tx)
{
        struct tx_slot *slots = tx_slots(tx);

        tx_pay(tx);
        tx->stamp = peer_now(tx->from);
        for (size_t i = 0; i < tx->n; i++)
                tx->stamp = MAX(tx->stamp, peer_now(slots[i].to));
        tx->stamp += 2;
        peer_sync(tx->from, tx->stamp);
        for (size_t i = 0; i < tx->n; i++) {
                peer_sync(slots[i].to, tx->stamp);
                tx_put(tx, &slots[i]);
        }
        tx->state = TX_DONE;
}

void tx_commit(struct tx *tx, void (*touched)(void *data, struct peer *to), void *data)
{
        if (ALONE)
                tx_commit_alone(tx);
        else
                while (tx_step_inline(tx))
                        ;
        tx_finish(tx, touched, data);
}

void tx_abort(struct tx *tx)
{
        struct tx_slot *slots = tx_slots(tx);

        assert(tx->state == TX_OPEN);
        tx_pay(tx);
        for (size_t i = 0; i < tx->n; i++) {
                peer_release(slots[i].to, slots[i].entry);
                peer_unref(slots[i].to);
        }
        tx_clear(tx);
}
