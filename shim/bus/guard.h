/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Guard
 *
 * What it is     The lock over everything on a bus that many read and few change: names, match
 *                rules, policies, the set of clients.
 * Promise        Any number of readers, each in a slot of its own, or one writer. A reader
 *                touches only the cache line of its slot, so reading costs the same with one
 *                thread and with sixty-four.
 * How            A mutex per slot. A reader locks its own; a writer locks all, in order. A
 *                worker reads in its own slot for a batch of messages and lets go before it
 *                waits, drains or writes.
 * Not promised   Upgrading: whoever reads must let go before it writes.
 */

#include <pthread.h>
#include <stdint.h>

#define GUARD_MAX_SLOTS 64

struct guard_slot {
        _Alignas(64) pthread_mutex_t lock;
};

struct guard {
        struct guard_slot slot[GUARD_MAX_SLOTS];
        unsigned int n; /* slots in use; set before any thread starts */
};

void guard_init(struct guard *guard, unsigned int n);
void guard_deinit(struct guard *guard);
void guard_read(struct guard *guard, unsigned int slot);
void guard_unread(struct guard *guard, unsigned int slot);
void guard_write(struct guard *guard);
void guard_unwrite(struct guard *guard);
