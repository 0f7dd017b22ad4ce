/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/kdbus/client/proto.h"
#include "shim/kdbus/client/ring.h"

#define SLOTS  1024 /* as many as a user has connections */
#define PROBES 16
#define BUSY   (-1)

static struct ring rings[SLOTS];

static struct ring *place(uint64_t cookie, unsigned probe)
{
        return &rings[(cookie + probe) % SLOTS];
}

static uint64_t load(const uint64_t *p)
{
        return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static bool swap(uint64_t *p, uint64_t from, uint64_t to)
{
        return __atomic_compare_exchange_n(p, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static bool swap_users(struct ring *r, int from, int to)
{
        return __atomic_compare_exchange_n(&r->users, &from, to, false, __ATOMIC_ACQ_REL,
                                           __ATOMIC_RELAXED);
}

/* --- the table --- */

static bool use(struct ring *r, uint64_t cookie)
{
        int n = __atomic_load_n(&r->users, __ATOMIC_RELAXED);

        while (n >= 0 && !swap_users(r, n, n + 1))
                n = __atomic_load_n(&r->users, __ATOMIC_RELAXED);
        if (n < 0)
                return false;
        if (load(&r->cookie) == cookie)
                return true;
        ring_put(r);
        return false;
}

/**
 * ring_get() - the ring of a handle, for the length of a command
 *
 * Return: NULL if there is none (yet).
 */
struct ring *ring_get(uint64_t cookie)
{
        for (unsigned i = 0; cookie && i < PROBES; i++) {
                struct ring *r = place(cookie, i);

                if (load(&r->cookie) == cookie && use(r, cookie))
                        return r;
        }
        return NULL;
}

struct ring *ring_put(struct ring *ring)
{
        if (ring)
                __atomic_sub_fetch(&ring->users, 1, __ATOMIC_RELEASE);
        return NULL;
}

static void drop_dead(void)
{
        for (unsigned i = 0; i < SLOTS; i++) {
                struct ring *r = &rings[i];

                if (!load(&r->cookie) || !swap_users(r, 0, BUSY))
                        continue;
                if (r->cookie && __atomic_load_n(&r->map->dead, __ATOMIC_ACQUIRE)) {
                        syscall(SYS_munmap, r->map, sizeof(*r->map));
                        __atomic_store_n(&r->cookie, 0, __ATOMIC_SEQ_CST);
                }
                __atomic_store_n(&r->users, 0, __ATOMIC_RELEASE);
        }
}

static struct ring *claim(uint64_t cookie)
{
        for (unsigned i = 0; i < PROBES; i++) {
                struct ring *r = place(cookie, i);

                if (load(&r->cookie) || !swap_users(r, 0, BUSY))
                        continue;
                if (!load(&r->cookie))
                        return r;
                __atomic_store_n(&r->users, 0, __ATOMIC_RELEASE);
        }
        return NULL;
}

/**
 * ring_add() - map the ring of a handle, and use it
 * @fd:         the ring, from the daemon; consumed
 *
 * Return: NULL if there is no room.
 */
struct ring *ring_add(uint64_t cookie, int fd)
{
        struct ring *r;
        long p;

        drop_dead();
        r = claim(cookie);
        if (!r) {
                syscall(SYS_close, fd);
                return NULL;
        }
        p = syscall(SYS_mmap, NULL, sizeof(*r->map), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
        syscall(SYS_close, fd);
        if (p == -1) {
                __atomic_store_n(&r->users, 0, __ATOMIC_RELEASE);
                return NULL;
        }
        r->map = (struct kdp_ring *)p;
        r->closes = 0;
        __atomic_store_n(&r->cookie, cookie, __ATOMIC_SEQ_CST);
        __atomic_store_n(&r->users, 1, __ATOMIC_RELEASE);
        return r;
}

/* --- one ring --- */

static bool is_empty(const struct kdp_ring *m)
{
        return load(&m->head) == load(&m->tail) && !__atomic_load_n(&m->more, __ATOMIC_SEQ_CST);
}

static bool is_silent(const struct kdp_ring *m)
{
        return load(&m->rung) == load(&m->heard);
}

/**
 * ring_silence() - if there is nothing to receive, poll is to say so
 *
 * Return: whether something came meanwhile, and the daemon must be told.
 */
bool ring_silence(struct ring *ring, int handle)
{
        struct kdp_ring *m = ring->map;
        char byte;

        if (!is_empty(m) || is_silent(m))
                return false;
        if (syscall(SYS_recvfrom, handle, &byte, 1L, (long)MSG_DONTWAIT, NULL, NULL) != 1)
                return false; /* on its way: for whoever it wakes */
        __atomic_add_fetch(&m->heard, 1, __ATOMIC_SEQ_CST);
        return !is_empty(m) && is_silent(m);
}

/**
 * ring_receive() - take the next message
 *
 * Return: 0, RING_E_ASK, RING_E_BELL, RING_E_EMPTY.
 */
int ring_receive(struct ring *ring, int handle, uint64_t *offset, uint64_t *size)
{
        struct kdp_ring *m = ring->map;

        for (;;) {
                uint64_t head = load(&m->head);

                if (head & KDP_RING_CLOSED)
                        return RING_E_ASK;
                if (is_empty(m)) {
                        if (load(&m->head) != head)
                                continue;
                        return ring_silence(ring, handle) ? RING_E_BELL : RING_E_EMPTY;
                }
                if (head == load(&m->tail))
                        return RING_E_ASK; /* there is more */
                *offset = __atomic_load_n(&m->entries[head % KDP_RING_ENTRIES].offset,
                                          __ATOMIC_RELAXED);
                *size = __atomic_load_n(&m->entries[head % KDP_RING_ENTRIES].size, __ATOMIC_RELAXED);
                if (*size & KDP_RING_ASK)
                        return RING_E_ASK;
                if (!swap(&m->head, head, head + 1))
                        continue;
                ring_give(ring, *offset);
                return ring_silence(ring, handle) ? RING_E_BELL : 0;
        }
}

/**
 * ring_give() - the program was told of a slice; if there is no room, freeing it is a request
 */
void ring_give(struct ring *ring, uint64_t offset)
{
        struct kdp_ring *m = ring->map;

        for (unsigned i = 0; i < KDP_RING_PROBES; i++) {
                uint64_t *given = &m->given[kdp_ring_place(offset, i)];

                if (!__atomic_load_n(given, __ATOMIC_RELAXED) && swap(given, 0, offset | KDP_GIVEN))
                        return;
        }
}

/**
 * ring_free() - free a slice
 *
 * Return: whether it is one that is known to be the program's; what others are, the daemon knows.
 */
bool ring_free(struct ring *ring, uint64_t offset)
{
        struct kdp_ring *m = ring->map;

        if (load(&m->head) & KDP_RING_CLOSED)
                return false; /* also when the connection has ended */
        for (unsigned i = 0; i < KDP_RING_PROBES; i++) {
                unsigned at = kdp_ring_place(offset, i);

                if (!swap(&m->given[at], offset | KDP_GIVEN, offset | KDP_FREED))
                        continue;
                __atomic_fetch_or(&m->freed[at / 64], 1ULL << (at % 64), __ATOMIC_SEQ_CST);
                return true;
        }
        return false;
}
