/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kdbus ring
 *
 * What it is     The daemon's side of a connection's struct kdp_ring (client/proto.h): what lets a
 *                program receive and free without a request.
 * How            The truth is the connection's queue; the ring shows the first of it. Before the
 *                queue is looked at, kring_take() tells how many the program has taken meanwhile.
 *                Before anything but its end is changed, the ring is closed, and afterwards
 *                shown anew.
 *
 *      kring_new()                     closed
 *      kring_open()                    open: kring_put() appends, the program takes
 *      kring_close()                   closed
 *
 * Trust          The memory is writable for the program. A head that cannot be counts as not moved;
 *                what is said to be freed is checked by the pool.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kdp_ring;
struct pool;

struct kring {
        int fd;
        struct kdp_ring *map;
        uint64_t tail;  /* put */
        uint64_t taken; /* known to be taken */
        uint64_t rung;  /* bytes sent for poll to see */
        bool open;
        bool more;
        bool tight;
};

int kring_new(struct kring **ringp, uint64_t pool_size, uint64_t id, uint64_t bloom_size);
struct kring *kring_free(struct kring *ring);

void kring_open(struct kring *ring);
void kring_close(struct kring *ring);
void kring_put(struct kring *ring, uint64_t offset, uint64_t size, bool ask);

void kring_peek_freed(struct kring *ring, uint64_t freed[]);
size_t kring_take(struct kring *ring);
void kring_release(struct kring *ring, struct pool *pool, const uint64_t freed[]);
void kring_forget(struct kring *ring, uint64_t offset);

void kring_tighten(struct kring *ring, bool tight);
bool kring_ring(struct kring *ring);
bool kring_hush(struct kring *ring);
