/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Cache
 *
 * What it is     Freed blocks of a few sizes, kept by each thread for its next allocation.
 * Promise        In the steady state neither cache_alloc() nor cache_free() calls malloc.
 * How            Blocks carry their class in front of them, so a block may be freed by another
 *                thread than the one that allocated it. A thread keeps at most CACHE_KEEP bytes
 *                of each class, and a few blocks of the largest; the rest goes back to malloc.
 *                Under a sanitizer, or with LAMBUS_NO_CACHE in the environment, everything goes to
 *                malloc at once, so that use after free is found.
 * Not promised   Zeroed memory. And a thread that allocates what others free always misses: who
 *                sends should drain.
 */

#include <stdint.h>
#include <stddef.h>

#define CACHE_KEEP (2 * 1024 * 1024) /* bytes per class and thread */

/* cache_alloc() - @n bytes aligned for anything, or NULL; at least @n of them may be used */
void *cache_alloc(size_t n);
void *cache_free(void *p);

/* cache_size() - how many bytes of the block at @p may be used */
size_t cache_size(const void *p);

/* cache_trim() - give all that this thread keeps back to malloc; also before a thread ends */
void cache_trim(void);

/* cache_misses() - calls of malloc made by cache_alloc() in this thread so far */
uint64_t cache_misses(void);
