/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Guard
 *
 * What it is     The lock over everything on a bus that many read and few change: names, match
 *                rules, policies, the set of clients.
 * Promise        Any number of readers, each in a slot of its own, or one writer. A reader
 *                touches only the cache line of its slot, so reading costs the same with one
 *                thread and with sixty-four. Nobody waits for somebody who came later.
 * How            A mutex per slot. A reader locks its own; a writer locks all, in order. A
 *                worker reads in its own slot for a batch of messages and lets go before it
 *                waits, drains or writes. A writer says in each slot that it is wanted, and a
 *                reader that sees this gets in line behind it: a mutex alone goes to whoever is
 *                awake, again and again to a worker that some client keeps busy.
 *                Slots that nobody reads in are not in use, and cost a writer nothing.
 * Not promised   Upgrading: whoever reads must let go before it writes.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define GUARD_MAX_SLOTS 64

struct guard_slot {
        _Alignas(64) pthread_mutex_t lock;
        _Atomic bool wanted; /* by a writer: a hint, nothing is read because of it */
};

struct guard {
        struct guard_slot slot[GUARD_MAX_SLOTS];
        _Atomic unsigned int n; /* slots in use: the first ones; see guard_resize() */

        struct { /* writers, and readers that found one there; taken before any slot */
                pthread_mutex_t lock;
                pthread_cond_t moved;
                uint64_t next, serving; /* tickets */
        } queue;
};

void guard_init(struct guard *guard, unsigned int n);
void guard_deinit(struct guard *guard);

/*
 * guard_resize() - from now on the first @n slots are in use: a writer takes no others. By the only
 * thread that does this, which holds nothing; before the thread of a new slot starts, after that of
 * an old one has ended.
 */
void guard_resize(struct guard *guard, unsigned int n);
void guard_read(struct guard *guard, unsigned int slot);
void guard_unread(struct guard *guard, unsigned int slot);
void guard_write(struct guard *guard);
void guard_unwrite(struct guard *guard);
