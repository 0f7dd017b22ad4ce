/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ring
 *
 * What it is     The rings (struct kdp_ring) of the handles of this process, found by the cookie of
 *                the handle's socket, and what can be done with one without asking the daemon.
 *                Which number means which is known without asking the kernel until the program
 *                closes it, or puts something else there.
 * How            A fixed table without locks: threads, forked children and signal handlers use it
 *                at any point. A ring's memory is given back once its handle is gone. When
 *                the table is full, a handle has no ring, and its commands are requests.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct iovec;
struct kdbus_msg;
struct kdp_flow;
struct kdp_ring;

struct ring {
        uint64_t cookie;
        struct kdp_ring *map;
        struct kdp_flow *flow;
        uint64_t closes; /* how many descriptors had been closed when the daemon said EAGAIN */
        int users;       /* -1: being filled or emptied */
};

enum {
        RING_E_ASK = 1, /* only the daemon knows */
        RING_E_BELL,    /* done, but the daemon must be told to look */
        RING_E_EMPTY,   /* RECV: as far as the ring tells */
        RING_E_UNKNOWN, /* what the number means has to be asked */
};

struct ring *ring_get(uint64_t cookie);
struct ring *ring_add(uint64_t cookie, int ring_fd, int flow_fd);
struct ring *ring_put(struct ring *ring);

struct ring *ring_of(int fd);
uint64_t ring_mark(int fd);
void ring_know(int fd, const struct ring *ring, uint64_t mark);
void ring_forget(unsigned first, unsigned last);

int ring_receive(struct ring *ring, int handle, uint64_t *offset, uint64_t *size);
bool ring_silence(struct ring *ring, int handle);
void ring_give(struct ring *ring, uint64_t offset);
bool ring_free(struct ring *ring, uint64_t offset);
int ring_send(struct ring *ring, const struct kdbus_msg *msg, const struct iovec *payload,
              size_t n_payload, uint64_t now);
