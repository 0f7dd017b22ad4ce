/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>

#include "shim/bus/guard.h"

void guard_init(struct guard *guard, unsigned int n)
{
        assert(n > 0 && n <= GUARD_MAX_SLOTS);
        guard->n = n;
        for (unsigned int i = 0; i < n; i++)
                pthread_mutex_init(&guard->slot[i].lock, NULL);
}

void guard_deinit(struct guard *guard)
{
        for (unsigned int i = 0; i < guard->n; i++)
                pthread_mutex_destroy(&guard->slot[i].lock);
}

void guard_read(struct guard *guard, unsigned int slot)
{
        pthread_mutex_lock(&guard->slot[slot].lock);
}

void guard_unread(struct guard *guard, unsigned int slot)
{
        pthread_mutex_unlock(&guard->slot[slot].lock);
}

void guard_write(struct guard *guard)
{
        for (unsigned int i = 0; i < guard->n; i++)
                pthread_mutex_lock(&guard->slot[i].lock);
}

void guard_unwrite(struct guard *guard)
{
        for (unsigned int i = guard->n; i > 0; i--)
                pthread_mutex_unlock(&guard->slot[i - 1].lock);
}
