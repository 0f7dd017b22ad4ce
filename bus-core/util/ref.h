/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ref
 *
 * What it is     A shared-ownership counter. Whoever drops the last reference destroys.
 * Promise        Everything done to the object before ref_dec() is seen by the destroyer.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "bus-core/util/alone.h"

typedef _Atomic unsigned ref_t;

/* ref_add() - @n more references, by a holder of one */
static inline void ref_add(ref_t *r, unsigned n)
{
        unsigned old = atomic_load_explicit(r, memory_order_relaxed);

        assert(old > 0);
        if (ALONE)
                atomic_store_explicit(r, old + n, memory_order_relaxed);
        else
                atomic_fetch_add_explicit(r, n, memory_order_relaxed);
}

static inline void ref_inc(ref_t *r)
{
        ref_add(r, 1);
}

/* ref_dec() - drop one reference; true if it was the last */
static inline bool ref_dec(ref_t *r)
{
        unsigned old;

        if (!ALONE)
                return atomic_fetch_sub_explicit(r, 1, memory_order_acq_rel) == 1;
        old = atomic_load_explicit(r, memory_order_relaxed);
        atomic_store_explicit(r, old - 1, memory_order_relaxed);
        return old == 1;
}
