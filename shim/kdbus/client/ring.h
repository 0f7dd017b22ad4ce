/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ring
 *
 * What it is     The rings (struct kdp_ring) of the handles of this process, found by the cookie of
 *                the handle's socket, and what can be done with one without asking the daemon.
 * How            A fixed table without locks: threads, forked children and signal handlers use it
 *                at any point. A ring is unmapped once its handle is gone and nobody uses it. When
 *                the table is full, a handle has no ring, and its commands are requests.
 */

#include <stdbool.h>
#include <stdint.h>

struct kdp_ring;

struct ring {
        uint64_t cookie;
        struct kdp_ring *map;
        uint64_t closes; /* how many descriptors had been closed when the daemon said EAGAIN */
        int users;       /* -1: being filled or emptied */
};

enum {
        RING_E_ASK = 1, /* only the daemon knows */
        RING_E_BELL,    /* RECV: done, but the byte may be missing: tell the daemon */
        RING_E_EMPTY,   /* RECV: as far as the ring tells */
};

struct ring *ring_get(uint64_t cookie);
struct ring *ring_add(uint64_t cookie, int fd);
struct ring *ring_put(struct ring *ring);

int ring_receive(struct ring *ring, int handle, uint64_t *offset, uint64_t *size);
bool ring_silence(struct ring *ring, int handle);
void ring_give(struct ring *ring, uint64_t offset);
bool ring_free(struct ring *ring, uint64_t offset);
