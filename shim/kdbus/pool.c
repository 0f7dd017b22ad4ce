/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "bus-core/util/cache.h"
#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/pool.h"

#define SMALL_BINS 128 /* sizes 0..1016, exactly */

static unsigned bin_of(uint64_t size)
{
        unsigned log, bin;

        if (size < SMALL_BINS * 8)
                return size / 8;
        log = 63 - __builtin_clzll(size); /* 10 and up */
        bin = SMALL_BINS + (log - 10) * 4 + ((size >> (log - 2)) & 3);
        return MIN(bin, (unsigned)POOL_BINS - 1);
}

static void bin_add(struct pool_slice *s)
{
        unsigned bin = bin_of(s->size);

        s->free = true;
        cds_list_add(&s->in_bin, &s->pool->bins[bin]);
        s->pool->filled[bin / 64] |= 1ULL << (bin % 64);
}

static void bin_del(struct pool_slice *s)
{
        unsigned bin = bin_of(s->size);

        s->free = false;
        cds_list_del(&s->in_bin);
        if (cds_list_empty(&s->pool->bins[bin]))
                s->pool->filled[bin / 64] &= ~(1ULL << (bin % 64));
}

static struct pool_slice *slice_new(struct pool *pool, uint64_t offset, uint64_t size)
{
        struct pool_slice *s = cache_alloc(sizeof(*s));

        if (!s)
                return NULL;
        *s = (struct pool_slice){.pool = pool, .offset = offset, .size = size};
        CDS_INIT_LIST_HEAD(&s->by_offset);
        CDS_INIT_LIST_HEAD(&s->in_bin);
        return s;
}

/* --- slices that are not free, by offset --- */

static struct pool_slice **bucket_of(struct pool *pool, uint64_t offset)
{
        return &pool->busy[(offset >> 3) * 0x9e3779b97f4a7c15ULL >> 56];
}

static void busy_add(struct pool_slice *s)
{
        struct pool_slice **bucket = bucket_of(s->pool, s->offset);

        s->next_busy = *bucket;
        *bucket = s;
}

static struct pool_slice **busy_find(struct pool *pool, uint64_t offset)
{
        struct pool_slice **at = bucket_of(pool, offset);

        while (*at && (*at)->offset != offset)
                at = &(*at)->next_busy;
        return at;
}

/* the memory: written through @map here, sealed against any other writer */
static int pool_map(struct pool *pool)
{
        _cleanup_(closep) int fd = -1;
        char path[32];

        fd = memfd_create("kdbus-pool", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0 || ftruncate(fd, pool->size) < 0)
                return error_origin(-errno);
        pool->map = mmap(NULL, pool->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (pool->map == MAP_FAILED) {
                pool->map = NULL;
                return error_origin(-errno);
        }
        if (fcntl(fd, F_ADD_SEALS,
                  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
                return error_origin(-errno);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        pool->fd = open(path, O_RDONLY | O_CLOEXEC);
        return pool->fd < 0 ? error_origin(-errno) : 0;
}

/**
 * pool_new() - make a pool
 * @size:       bytes, a multiple of the page size
 */
int pool_new(struct pool **poolp, uint64_t size)
{
        struct pool *pool = calloc(1, sizeof(*pool));
        struct pool_slice *all;
        int r;

        if (!pool)
                return error_origin(-ENOMEM);
        pool->size = size;
        pool->fd = -1;
        CDS_INIT_LIST_HEAD(&pool->slices);
        for (unsigned i = 0; i < POOL_BINS; i++)
                CDS_INIT_LIST_HEAD(&pool->bins[i]);
        r = pool_map(pool);
        all = r ? NULL : slice_new(pool, 0, size);
        if (!all) {
                pool_free(pool);
                return r ? error_fold(r) : error_origin(-ENOMEM);
        }
        cds_list_add(&all->by_offset, &pool->slices);
        bin_add(all);
        *poolp = pool;
        return 0;
}

struct pool *pool_free(struct pool *pool)
{
        struct pool_slice *s, *next;

        if (!pool)
                return NULL;
        cds_list_for_each_entry_safe(s, next, &pool->slices, by_offset)
                cache_free(s);
        if (pool->map)
                munmap(pool->map, pool->size);
        closep(&pool->fd);
        free(pool);
        return NULL;
}

static struct pool_slice *find_in_bin(struct pool *pool, unsigned bin, uint64_t size)
{
        struct pool_slice *s;
        int budget = 16; /* a longer search would let a fragmented pool cost time */

        cds_list_for_each_entry(s, &pool->bins[bin], in_bin) {
                if (s->size >= size)
                        return s;
                if (--budget == 0)
                        break;
        }
        return NULL;
}

static struct pool_slice *find_free(struct pool *pool, uint64_t size)
{
        unsigned bin = bin_of(size);
        struct pool_slice *s = find_in_bin(pool, bin, size);

        for (unsigned word = (bin + 1) / 64, bit = (bin + 1) % 64; !s && word < POOL_BINS / 64;
             word++, bit = 0) {
                uint64_t set = pool->filled[word] & (~0ULL << bit);

                if (set)
                        s = find_in_bin(pool, word * 64 + __builtin_ctzll(set), size);
        }
        return s;
}

/* grow @s over its neighbour to the right, if that is free */
static bool merge_right(struct pool_slice *s)
{
        struct pool_slice *next;

        if (s->by_offset.next == &s->pool->slices)
                return false;
        next = cds_list_entry(s->by_offset.next, struct pool_slice, by_offset);
        if (!next->free)
                return false;
        bin_del(next);
        cds_list_del(&next->by_offset);
        s->size += next->size;
        cache_free(next);
        return true;
}

/* join all that is free and adjacent */
static void gather(struct pool *pool)
{
        struct pool_slice *s;

        cds_list_for_each_entry(s, &pool->slices, by_offset) {
                if (!s->free)
                        continue;
                bin_del(s);
                while (merge_right(s))
                        ;
                bin_add(s);
        }
        pool->scattered = false;
}

static struct pool_slice *find_or_gather(struct pool *pool, uint64_t size)
{
        struct pool_slice *s;

        if (pool->scattered && !pool->hasty)
                gather(pool);
        s = find_free(pool, size);
        if (s || !pool->scattered)
                return s;
        gather(pool);
        return find_free(pool, size);
}

/**
 * pool_alloc() - cut a slice, held by the queue's reference
 *
 * Return: 0, -EXFULL if no gap is large enough, -ENOMEM.
 */
int pool_alloc(struct pool *pool, struct pool_slice **slicep, uint64_t size)
{
        struct pool_slice *s, *rest = NULL;

        if (size > pool->size)
                return -EXFULL;
        size = ALIGN_TO(MAX(size, (uint64_t)8), 8);
        s = find_or_gather(pool, size);
        if (!s)
                return -EXFULL;
        if (s->size > size) {
                rest = slice_new(pool, s->offset + size, s->size - size);
                if (!rest)
                        return error_origin(-ENOMEM);
        }
        bin_del(s);
        busy_add(s);
        s->size = size;
        s->queued = true;
        s->published = false;
        if (rest) {
                cds_list_add(&rest->by_offset, &s->by_offset);
                bin_add(rest);
        }
        *slicep = s;
        return 0;
}

void *pool_slice_data(struct pool_slice *slice)
{
        return slice->pool->map + slice->offset;
}

/**
 * pool_slice_publish() - the program learns of the slice and must free it
 */
void pool_slice_publish(struct pool_slice *slice)
{
        slice->published = true;
}

static struct pool_slice *free_left(struct pool_slice *s)
{
        struct pool_slice *prev;

        if (s->by_offset.prev == &s->pool->slices)
                return NULL;
        prev = cds_list_entry(s->by_offset.prev, struct pool_slice, by_offset);
        return prev->free ? prev : NULL;
}

static void slice_put(struct pool_slice *s)
{
        struct pool *pool = s->pool;
        struct pool_slice *prev;

        if (s->queued || s->published)
                return;
        *busy_find(pool, s->offset) = s->next_busy;
        pool->scattered |= pool->hasty;
        if (!pool->hasty)
                (void)merge_right(s);
        bin_add(s);
        prev = pool->hasty ? NULL : free_left(s);
        if (prev) {
                bin_del(prev);
                (void)merge_right(prev);
                bin_add(prev);
        }
}

/**
 * pool_slice_release() - drop the queue's reference
 */
struct pool_slice *pool_slice_release(struct pool_slice *slice)
{
        if (slice) {
                slice->queued = false;
                slice_put(slice);
        }
        return NULL;
}

/**
 * pool_release_offset() - drop the program's reference, as FREE does
 *
 * Return: 0, -ENXIO if no published slice starts there.
 */
int pool_release_offset(struct pool *pool, uint64_t offset)
{
        struct pool_slice *s = *busy_find(pool, offset);

        if (!s || !s->published)
                return -ENXIO;
        s->published = false;
        slice_put(s);
        return 0;
}
