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

static void set_wanted(struct guard *guard, bool wanted)
{
        for (unsigned int i = 0; i < guard->n; i++)
                atomic_store_explicit(&guard->slot[i].wanted, wanted, memory_order_relaxed);
}

/* --- the guard ------------------------------------------------------------------------------- */

void guard_init(struct guard *guard, unsigned int n)
{
        assert(n > 0 && n <= GUARD_MAX_SLOTS);
        guard->n = n;
        guard->queue.next = guard->queue.serving = 0;
        pthread_mutex_init(&guard->queue.lock, NULL);
        pthread_cond_init(&guard->queue.moved, NULL);
        for (unsigned int i = 0; i < n; i++) {
                atomic_init(&guard->slot[i].wanted, false);
                pthread_mutex_init(&guard->slot[i].lock, NULL);
        }
}

void guard_deinit(struct guard *guard)
{
        for (unsigned int i = 0; i < guard->n; i++)
                pthread_mutex_destroy(&guard->slot[i].lock);
        pthread_cond_destroy(&guard->queue.moved);
        pthread_mutex_destroy(&guard->queue.lock);
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
        if (guard->n > 1) {
                queue_enter(guard);
                set_wanted(guard, true);
        }
        for (unsigned int i = 0; i < guard->n; i++)
                pthread_mutex_lock(&guard->slot[i].lock);
}

void guard_unwrite(struct guard *guard)
{
        if (guard->n > 1)
                set_wanted(guard, false);
        for (unsigned int i = guard->n; i > 0; i--)
                pthread_mutex_unlock(&guard->slot[i - 1].lock);
        if (guard->n > 1)
                queue_leave(guard);
}
