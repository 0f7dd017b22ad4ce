/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>

#include "shim/bus/guard.h"

/* --- the queue ------------------------------------------------------------------------------- */

static void queue_enter(struct guard *guard)
{
        uint64_t ticket;

        pthread_mutex_lock(&guard->queue.lock);
        ticket = guard->queue.next++;
        while (ticket != guard->queue.serving)
                pthread_cond_wait(&guard->queue.moved, &guard->queue.lock);
        pthread_mutex_unlock(&guard->queue.lock);
}

static void queue_leave(struct guard *guard)
{
        pthread_mutex_lock(&guard->queue.lock);
        guard->queue.serving++;
        if (guard->queue.serving != guard->queue.next)
                pthread_cond_broadcast(&guard->queue.moved);
        pthread_mutex_unlock(&guard->queue.lock);
}

/* Settled for whoever is in the queue, or alone; others may see an older number that is more than one. */
static unsigned int n_slots(const struct guard *guard)
{
        return atomic_load_explicit(&guard->n, memory_order_relaxed);
}

static void set_wanted(struct guard *guard, bool wanted)
{
        for (unsigned int i = 0; i < n_slots(guard); i++)
                atomic_store_explicit(&guard->slot[i].wanted, wanted, memory_order_relaxed);
}

/* --- the guard ------------------------------------------------------------------------------- */

void guard_init(struct guard *guard, unsigned int n)
{
        assert(n > 0 && n <= GUARD_MAX_SLOTS);
        atomic_init(&guard->n, 0);
        guard->queue.next = guard->queue.serving = 0;
        pthread_mutex_init(&guard->queue.lock, NULL);
        pthread_cond_init(&guard->queue.moved, NULL);
        guard_resize(guard, n);
}

void guard_deinit(struct guard *guard)
{
        guard_resize(guard, 0);
        pthread_cond_destroy(&guard->queue.moved);
        pthread_mutex_destroy(&guard->queue.lock);
}

void guard_resize(struct guard *guard, unsigned int n)
{
        unsigned int old;

        assert(n <= GUARD_MAX_SLOTS);
        queue_enter(guard); /* no writer is in, nor on its way from slot to slot */
        old = n_slots(guard);
        for (unsigned int i = old; i < n; i++) {
                atomic_init(&guard->slot[i].wanted, false);
                pthread_mutex_init(&guard->slot[i].lock, NULL);
        }
        for (unsigned int i = n; i < old; i++)
                pthread_mutex_destroy(&guard->slot[i].lock);
        atomic_store_explicit(&guard->n, n, memory_order_relaxed);
        queue_leave(guard);
}

void guard_read(struct guard *guard, unsigned int slot)
{
        if (atomic_load_explicit(&guard->slot[slot].wanted, memory_order_relaxed)) {
                queue_enter(guard);
                pthread_mutex_lock(&guard->slot[slot].lock);
                queue_leave(guard);
        } else {
                pthread_mutex_lock(&guard->slot[slot].lock);
        }
}

void guard_unread(struct guard *guard, unsigned int slot)
{
        pthread_mutex_unlock(&guard->slot[slot].lock);
}

void guard_write(struct guard *guard)
{
        if (n_slots(guard) > 1) {
                queue_enter(guard);
                set_wanted(guard, true);
        }
        for (unsigned int i = 0; i < n_slots(guard); i++)
                pthread_mutex_lock(&guard->slot[i].lock);
}

void guard_unwrite(struct guard *guard)
{
        unsigned int n = n_slots(guard);

        if (n > 1)
                set_wanted(guard, false);
        for (unsigned int i = n; i > 0; i--)
                pthread_mutex_unlock(&guard->slot[i - 1].lock);
        if (n > 1)
                queue_leave(guard);
}
