/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <string.h>

#include "bus-core/peer.h"
#include "bus-core/steps.h"
#include "bus-core/util/cache.h"
#include "bus-core/util/error.h"

void peer_init(struct peer *peer, uint64_t id, struct account *account,
               const struct peer_limits *limits, void (*free)(struct peer *))
{
        peer->refs = 1;
        peer->id = id;
        peer->account = account_ref(account);
        peer->limits = *limits;
        peer->free = free;
        peer->clock = 0;
        peer->seq = 0;
        peer->queued_bytes = 0;
        peer->queued_fds = 0;
        peer->peak_bytes = 0;
        peer->peak_fds = 0;
        pthread_mutex_init(&peer->data.lock, NULL);
        inbox_init(&peer->data.inbox);
}

void peer_deinit(struct peer *peer)
{
        peer_close(peer);
        inbox_deinit(&peer->data.inbox);
        pthread_mutex_destroy(&peer->data.lock);
        peer->account = account_unref(peer->account);
}

struct peer *peer_ref(struct peer *peer)
{
        ref_inc(&peer->refs);
        return peer;
}

struct peer *peer_unref(struct peer *peer)
{
        if (peer && ref_dec(&peer->refs))
                peer->free(peer);
        return NULL;
}

void peer_close(struct peer *peer)
{
        CDS_LIST_HEAD(dropped);

        lock_enter(&peer->data.lock);
        inbox_flush(&peer->data.inbox, &dropped);
        lock_leave(&peer->data.lock);
        peer_release_all(peer, &dropped);
}

/*
 * Clocks are relaxed. A value that somebody has to see was written before a data.lock was let go,
 * under which the entry that tells of it became readable; one atomic never runs backwards for
 * those who learn of it that way.
 */
uint64_t peer_now(const struct peer *peer)
{
        return atomic_load_explicit(&peer->clock, memory_order_relaxed);
}

static bool clock_move(struct peer *peer, uint64_t *now, uint64_t next)
{
        return move_relaxed(&peer->clock, now, next);
}

void peer_sync(struct peer *peer, uint64_t stamp)
{
        uint64_t now = peer_now(peer);

        while (now < stamp && !clock_move(peer, &now, stamp))
                ;
}

uint64_t peer_tick_locked(struct peer *peer, uint64_t floor)
{
        uint64_t now = peer_now(peer);
        uint64_t next;

        do {
                next = MAX(now, floor) + 2;
        } while (!clock_move(peer, &now, next));
        return next;
}

uint64_t peer_next_seq(struct peer *peer)
{
        return add_relaxed(&peer->seq, 1) + 1;
}

/* Beyond the allowance the receiver's user pays, and the sender's user uses up its share. */
static int charge_beyond_allowance(struct inbox_entry *e, struct peer *to, uint64_t queued)
{
        const uint64_t amount[ACCOUNT_N_SLOTS] = {
                [ACCOUNT_BYTES] = e->bytes,
                [ACCOUNT_FDS] = e->fds,
                [ACCOUNT_ENTRIES] = 1,
        };
        int r;

        if (!e->message->account || (queued <= PEER_ALLOWANCE && !e->fds))
                return 0;
        r = charge_take(&e->charge, to->account, e->message->account, amount);
        return r == ACCOUNT_E_QUOTA ? PEER_E_QUOTA : r;
}

static void uncount(struct peer *peer, uint64_t bytes, uint64_t fds)
{
        add_relaxed(&peer->queued_bytes, -bytes);
        if (fds)
                add_relaxed(&peer->queued_fds, -fds);
}

/*
 * Others stop at the ceiling. The bus itself, whom nobody charges, stops at twice that: a client
 * that does not read cannot make it keep signals without end, and nobody else can fill a queue so
 * far that the bus is refused.
 */
static bool is_full(const struct peer *to, bool for_bus)
{
        uint64_t bytes = atomic_load_explicit(&to->queued_bytes, memory_order_relaxed);
        uint64_t fds = atomic_load_explicit(&to->queued_fds, memory_order_relaxed);

        return bytes >> for_bus > to->limits.bytes || fds >> for_bus > to->limits.fds;
}

int peer_charge(struct inbox_entry **out, struct peer *to, struct message *message)
{
        uint32_t fds = message_n_fds(message);
        struct inbox_entry *e;
        uint64_t before;
        int r;

        if (is_full(to, !message->account))
                return PEER_E_FULL;
        e = cache_alloc(sizeof(*e));
        if (!e)
                return error_origin(-ENOMEM);
        e->stamp = 0;
        e->message = message;
        e->charge.share = NULL;
        e->bytes = message->size;
        e->fds = fds;
        before = add_relaxed(&to->queued_bytes, e->bytes);
        peak_relaxed(&to->peak_bytes, before + e->bytes);
        if (fds)
                peak_relaxed(&to->peak_fds, add_relaxed(&to->queued_fds, fds) + fds);
        r = charge_beyond_allowance(e, to, before + e->bytes);
        if (r) {
                uncount(to, e->bytes, fds);
                cache_free(e);
                return r < 0 ? error_fold(r) : r;
        }
        *out = e;
        return 0;
}

int peer_place(struct peer *from, struct peer *to, struct inbox_entry *e, uint64_t *stamp)
{
        bool closed;

        e->sender = from->id;
        e->seq = peer_next_seq(from);
        lock_enter(&to->data.lock);
        closed = to->data.inbox.closed;
        if (!closed) {
                *stamp = peer_tick_locked(to, peer_now(from));
                inbox_place(&to->data.inbox, e, *stamp);
        }
        lock_leave(&to->data.lock);
        return closed ? PEER_E_CLOSED : 0;
}

int peer_send(struct peer *from, struct peer *to, struct message *message)
{
        struct inbox_entry *e;
        uint64_t stamp;
        int r;

        r = peer_charge(&e, to, message);
        if (r)
                return r < 0 ? error_fold(r) : r;
        message_ref(message);
        r = peer_place(from, to, e, &stamp);
        if (r) {
                peer_release(to, e);
                return r;
        }
        peer_sync(from, stamp);
        return 0;
}

size_t peer_receive(struct peer *peer, struct cds_list_head *out, size_t max)
{
        struct inbox_entry *e;
        size_t n = 0;

        lock_enter(&peer->data.lock);
        while (n < max && (e = inbox_front(&peer->data.inbox))) {
                inbox_remove(&peer->data.inbox, e);
                cds_list_add_tail(&e->link, out);
                n++;
        }
        lock_leave(&peer->data.lock);
        return n;
}

void peer_look(struct peer *peer, bool (*fn)(void *data, const struct inbox_entry *e), void *data)
{
        struct inbox_entry *e;

        lock_enter(&peer->data.lock);
        cds_list_for_each_entry(e, &peer->data.inbox.entries, link) {
                if (!fn(data, e))
                        break;
        }
        lock_leave(&peer->data.lock);
}

size_t peer_n_waiting(struct peer *peer)
{
        size_t n;

        lock_enter(&peer->data.lock);
        n = peer->data.inbox.n_staged + peer->data.inbox.n_committed;
        lock_leave(&peer->data.lock);
        return n;
}

static void entry_free(struct inbox_entry *e)
{
        charge_drop(&e->charge);
        message_unref(e->message);
        cache_free(e);
}

void peer_release(struct peer *peer, struct inbox_entry *e)
{
        uncount(peer, e->bytes, e->fds);
        entry_free(e);
}

void peer_release_all(struct peer *peer, struct cds_list_head *entries)
{
        struct inbox_entry *e, *next;
        uint64_t bytes = 0, fds = 0;

        cds_list_for_each_entry_safe(e, next, entries, link) {
                bytes += e->bytes;
                fds += e->fds;
                entry_free(e);
        }
        CDS_INIT_LIST_HEAD(entries);
        uncount(peer, bytes, fds);
}
