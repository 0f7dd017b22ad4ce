/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Peer
 *
 * What it is     A participant of a bus: a Lamport clock, an inbox, and the account of its user.
 * Promise        A message is in the inbox of every peer it was sent to, or of none; whoever
 *                reads two messages reads them in the order that every other reader does.
 * How            The clock is never behind a stamp in the inbox. A unicast reads both clocks,
 *                moves both to one more than the larger and places the entry, all under the
 *                receiver's data.lock. A multicast is a transaction (tx.h).
 * Lifetime       Counted. peer_close() empties the inbox and refuses what comes after; the
 *                memory stays until the last reference is dropped.
 * Guard          See the groups of struct peer. No data.lock is ever taken under another.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <urcu/list.h>

#include "bus-core/account.h"
#include "bus-core/inbox.h"
#include "bus-core/message.h"
#include "bus-core/util/ref.h"

/* What a queue may hold before the accounts of users are asked: bytes. */
#define PEER_ALLOWANCE (64 * 1024)

enum {
        PEER_E_OK,
        PEER_E_CLOSED, /* the receiver is gone */
        PEER_E_FULL,   /* the receiver's queue is over its own ceiling */
        PEER_E_QUOTA,  /* the sender's share of the receiver's account is used up */
};

/*
 * The ceilings of one queue. A queue is full when it holds more than this already; for messages of
 * the bus itself (no account), when it holds more than twice this.
 */
struct peer_limits {
        uint64_t bytes;
        uint64_t fds;
};

struct peer {
        ref_t refs;
        uint64_t id;               /* constant; unique on the bus, never used again */
        struct account *account;   /* constant; counted */
        struct peer_limits limits; /* set before the peer is reachable, or by the bus's writer */
        void (*free)(struct peer *peer);

        /* any thread */
        _Atomic uint64_t clock; /* even; never behind a stamp in the inbox */
        _Atomic uint64_t seq;   /* last sequence given to a message; breaks ties */
        _Atomic uint64_t queued_bytes;
        _Atomic uint64_t queued_fds;
        _Atomic uint64_t peak_bytes; /* the most that queued_bytes has been, nearly */
        _Atomic uint64_t peak_fds;

        struct { /* any thread may take this, briefly; nothing is taken under it */
                pthread_mutex_t lock;
                struct inbox inbox;
        } data;
};

/**
 * peer_init() - make a peer inside something larger
 * @account:    of the peer's user; borrowed and counted
 * @free:       called by the last unref; calls peer_deinit()
 */
void peer_init(struct peer *peer, uint64_t id, struct account *account,
               const struct peer_limits *limits, void (*free)(struct peer *));
void peer_deinit(struct peer *peer);
struct peer *peer_ref(struct peer *peer);
struct peer *peer_unref(struct peer *peer);
DEFINE_FREEP(struct peer, peer_unref)

/* peer_is_shared() - does anyone but the caller refer to it? "No" stays true. */
static inline bool peer_is_shared(struct peer *peer)
{
        return atomic_load(&peer->refs) > 1;
}

/* peer_close() - refuse everything from now on and drop what waits. May be called again. */
void peer_close(struct peer *peer);

/**
 * peer_send() - unicast
 * @from:       the sender; its sends are made one after another
 * @to:         the receiver
 * @message:    counted by the receiver's inbox
 *
 * Lock:        takes to->data.lock
 * Return:      0; PEER_E_*, or -ENOMEM, and then nothing was changed.
 */
int peer_send(struct peer *from, struct peer *to, struct message *message);

/**
 * peer_receive() - take entries from the front of the inbox
 * @out:        list that receives them, in order
 * @max:        how many at the most
 *
 * The peer's clock already covers what it reads. Taken entries count in the queue until
 * peer_release().
 *
 * Lock:        takes data.lock
 * Return:      the number taken.
 */
size_t peer_receive(struct peer *peer, struct cds_list_head *out, size_t max);

/**
 * peer_look() - show what waits, in order, without taking it
 * @fn:         returns false to see no more; takes no lock and must be quick
 *
 * Staged entries are shown as well.
 *
 * Lock:        takes data.lock; @fn is called under it
 */
void peer_look(struct peer *peer, bool (*fn)(void *data, const struct inbox_entry *e), void *data);

/* peer_n_waiting() - how many entries peer_receive() has yet to take; takes data.lock */
size_t peer_n_waiting(struct peer *peer);

/* peer_release() - give back an entry that was taken: its charge, its message, its memory */
void peer_release(struct peer *peer, struct inbox_entry *entry);

/* peer_release_all() - the same for a list of them */
void peer_release_all(struct peer *peer, struct cds_list_head *entries);

/* peer_now() - the clock: even, never behind anything the peer has sent or been sent */
uint64_t peer_now(const struct peer *peer);

/* peer_next_seq() - the sequence of the next message that @peer sends (for tx.c) */
uint64_t peer_next_seq(struct peer *peer);

/* peer_sync() - move the clock to @stamp, unless it is there or ahead */
void peer_sync(struct peer *peer, uint64_t stamp);

/**
 * peer_charge() - make an entry for @to and charge it (for tx.c)
 * @out:        the entry; it owns a reference of @message, which the caller has yet to take
 *
 * Return:      0, PEER_E_FULL, PEER_E_QUOTA, -ENOMEM.
 */
int peer_charge(struct inbox_entry **out, struct peer *to, struct message *message);

/* peer_tick_locked() - the next stamp for an entry of @peer: even, above its clock and @floor */
uint64_t peer_tick_locked(struct peer *peer, uint64_t floor);
