/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pool
 *
 * What it is     The memory a kdbus connection receives into: one memfd that the daemon writes and
 *                the program can only map read-only, cut into slices.
 * Promise        1. A slice handed out stays untouched until the program frees its offset.
 *                2. An offset is freed once; anything else is ENXIO.
 *                3. Allocation and release cost the same however fragmented the pool is.
 * How            Slices are kept in the order of their offsets, so that neighbours merge, and free
 *                ones also in bins: one bin per size below 1 KiB, four per power of two above. The
 *                smallest bin that must fit is taken; within one, the first that does.
 *                Two references hold a slice: the queue's and the program's.
 */

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#define POOL_BINS    320
#define POOL_BUCKETS 256

struct pool;

struct pool_slice {
        struct pool *pool;
        uint64_t offset;
        uint64_t size; /* a multiple of 8 */
        bool free;
        bool queued;    /* held by the queue, or by whoever writes it */
        bool published; /* held by the program */
        struct cds_list_head by_offset;
        struct cds_list_head in_bin;
        struct pool_slice *next_busy; /* in the same bucket */
};

struct pool {
        uint64_t size;
        int fd;          /* read-only: what the program maps */
        uint8_t *map;
        struct cds_list_head slices;
        struct cds_list_head bins[POOL_BINS];
        uint64_t filled[POOL_BINS / 64]; /* which bins are not empty */
        bool hasty;     /* the next slice will be like the last: freed ones are not joined */
        bool scattered; /* free slices may have free neighbours */
        struct pool_slice *busy[POOL_BUCKETS]; /* by offset */
};

int pool_new(struct pool **poolp, uint64_t size);
struct pool *pool_free(struct pool *pool);

int pool_alloc(struct pool *pool, struct pool_slice **slicep, uint64_t size);
void *pool_slice_data(struct pool_slice *slice);
void pool_slice_publish(struct pool_slice *slice);
struct pool_slice *pool_slice_release(struct pool_slice *slice);
int pool_release_offset(struct pool *pool, uint64_t offset);
