/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <urcu/arch.h>

#include "shim/kdbus/client/memory.h"
#include "shim/kdbus/client/proto.h"
#include "shim/kdbus/client/ring.h"
#include "shim/kdbus/kdbus-abi.h"

#define SLOTS  1024 /* as many as a user has connections */
#define PROBES 16
#define NUMBERS   4096 /* descriptors beyond are asked for each time */
#define SLOT_BITS 16
#define BUSY   (-1)
#define PATIENCE 500 /* looks before the daemon is asked; ten microseconds */

#define ALIGN8(n) (((n) + 7) & ~(size_t)7)

static struct ring rings[SLOTS];

/* what a descriptor's number means: a slot and one, or 0; and above that, how often it changed */
static uint64_t known[NUMBERS];

static struct ring *place(uint64_t cookie, unsigned probe)
{
        return &rings[(cookie + probe) % SLOTS];
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
        if (kdp_load(&r->cookie) == cookie)
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

                if (kdp_load(&r->cookie) == cookie && use(r, cookie))
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

/* --- numbers --- */

static bool forget_word(uint64_t *word, uint64_t was)
{
        return swap(word, was, ((was >> SLOT_BITS) + 1) << SLOT_BITS);
}

/**
 * ring_forget() - these numbers may mean something else from now on
 */
void ring_forget(unsigned first, unsigned last)
{
        for (unsigned fd = first; fd <= last && fd < NUMBERS; fd++)
                while (!forget_word(&known[fd], kdp_load(&known[fd])))
                        ;
}

static void forget_ring(const struct ring *r)
{
        uint64_t slot = r - rings + 1;

        for (unsigned fd = 0; fd < NUMBERS; fd++) {
                uint64_t was = kdp_load(&known[fd]);

                if ((was & ((1 << SLOT_BITS) - 1)) == slot)
                        (void)forget_word(&known[fd], was); /* or somebody else has */
        }
}

/**
 * ring_of() - the ring of a handle, by its number alone, not counted
 *
 * If another thread closes the handle meanwhile, there still is memory: a closed ring, or that of
 * whatever has the number now.
 *
 * Return: NULL if there is none, or the number has to be asked about.
 */
struct ring *ring_of(int fd)
{
        uint64_t slot = fd >= 0 && fd < NUMBERS ? kdp_load(&known[fd]) & ((1 << SLOT_BITS) - 1) : 0;

        return slot ? &rings[slot - 1] : NULL;
}

/**
 * ring_mark() - before the kernel is asked what a number means; ring_know() - what it said
 *
 * If the number changed hands in between, that is not remembered.
 */
uint64_t ring_mark(int fd)
{
        return fd >= 0 && fd < NUMBERS ? kdp_load(&known[fd]) : 0;
}

void ring_know(int fd, const struct ring *ring, uint64_t mark)
{
        if (ring && fd >= 0 && fd < NUMBERS)
                (void)swap(&known[fd], mark,
                           (mark >> SLOT_BITS << SLOT_BITS) | (ring - rings + 1));
}

/* where something was mapped, something always is; returns what is there now, or NULL */
static void *map_over(void *old, size_t n, int flags, int fd)
{
        long p = syscall(SYS_mmap, old, n, (long)(PROT_READ | PROT_WRITE),
                         (long)(flags | (old ? MAP_FIXED : 0)), (long)fd, 0L);

        return p == -1 ? NULL : (void *)p;
}

static void empty(struct ring *r)
{
        if (r->map && map_over(r->map, sizeof(*r->map), MAP_PRIVATE | MAP_ANONYMOUS, -1)) {
                __atomic_store_n(&r->map->head, KDP_RING_CLOSED, __ATOMIC_SEQ_CST);
                __atomic_store_n(&r->map->sends, KDP_SENDS_CLOSED, __ATOMIC_SEQ_CST);
        }
        if (r->flow)
                (void)map_over(r->flow, sizeof(*r->flow), MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static bool fill_in(struct ring *r, int ring_fd, int flow_fd)
{
        void *map = map_over(r->map, sizeof(*r->map), MAP_SHARED, ring_fd);
        void *flow = map_over(r->flow, sizeof(*r->flow), MAP_SHARED, flow_fd);

        r->map = map ?: r->map;
        r->flow = flow ?: r->flow;
        if (map && flow)
                return true;
        empty(r);
        return false;
}

static void drop_dead(void)
{
        for (unsigned i = 0; i < SLOTS; i++) {
                struct ring *r = &rings[i];

                if (!kdp_load(&r->cookie) || !swap_users(r, 0, BUSY))
                        continue;
                if (r->cookie && __atomic_load_n(&r->map->dead, __ATOMIC_ACQUIRE)) {
                        forget_ring(r);
                        empty(r);
                        __atomic_store_n(&r->cookie, 0, __ATOMIC_SEQ_CST);
                }
                __atomic_store_n(&r->users, 0, __ATOMIC_RELEASE);
        }
}

static struct ring *claim(uint64_t cookie)
{
        for (unsigned i = 0; i < PROBES; i++) {
                struct ring *r = place(cookie, i);

                if (kdp_load(&r->cookie) || !swap_users(r, 0, BUSY))
                        continue;
                if (!kdp_load(&r->cookie))
                        return r;
                __atomic_store_n(&r->users, 0, __ATOMIC_RELEASE);
        }
        return NULL;
}

/**
 * ring_add() - map the ring of a handle, and use it
 * @ring_fd:    the ring, from the daemon; consumed
 * @flow_fd:    and its user's flow
 *
 * Return: NULL if there is no room.
 */
struct ring *ring_add(uint64_t cookie, int ring_fd, int flow_fd)
{
        struct ring *r;
        bool ok;

        drop_dead();
        r = claim(cookie);
        ok = r && fill_in(r, ring_fd, flow_fd);
        syscall(SYS_close, ring_fd);
        syscall(SYS_close, flow_fd);
        if (!ok) {
                if (r)
                        __atomic_store_n(&r->users, 0, __ATOMIC_RELEASE);
                return NULL;
        }
        r->closes = 0;
        __atomic_store_n(&r->cookie, cookie, __ATOMIC_SEQ_CST);
        __atomic_store_n(&r->users, 1, __ATOMIC_RELEASE);
        return r;
}

/* --- one ring --- */

static bool is_empty(const struct kdp_ring *m)
{
        return kdp_load(&m->head) == kdp_load(&m->tail) && !__atomic_load_n(&m->more, __ATOMIC_SEQ_CST);
}

static bool is_silent(const struct kdp_ring *m)
{
        return kdp_load(&m->rung) == kdp_load(&m->heard);
}

/*
 * Whether all that anybody has broadcast has been delivered: what was sent before this is asked
 * and is not in the ring afterwards, is not for it.
 */
static bool is_quiet(const struct kdp_flow *f)
{
        uint64_t who = kdp_load(&f->who);

        return who == KDP_FLOW_NONE || (who == KDP_FLOW_OWN && kdp_load(&f->sent) == kdp_load(&f->seen));
}

/* to ask and to be answered takes longer than the daemon does for what it is at */
static bool wait_for_news(const struct ring *r)
{
        for (int i = 0; i < PATIENCE && kdp_load(&r->flow->who) == KDP_FLOW_OWN; i++) {
                if (!is_empty(r->map) || is_quiet(r->flow))
                        return true;
                caa_cpu_relax();
        }
        return false;
}

/*
 * How far this process has got in its flow. What it sent itself shows at once, also in what was
 * lost: as long as that is on its way, and may get lost, the daemon is asked.
 */
static uint64_t sent_here;

static void note_sent(uint64_t sent)
{
        uint64_t was = kdp_load(&sent_here);

        while ((int64_t)(sent - was) > 0 && !swap(&sent_here, was, sent))
                was = kdp_load(&sent_here);
}

static bool is_sending(const struct kdp_flow *f)
{
        uint64_t sent = __atomic_load_n(&sent_here, __ATOMIC_RELAXED);

        return sent && (int64_t)(sent - kdp_load(&f->seen)) > 0 && kdp_load(&f->who) != KDP_FLOW_NONE;
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
        bool bell = false;

        for (;;) {
                uint64_t head = kdp_load(&m->head);

                if ((head & KDP_RING_CLOSED) || (kdp_load(&m->tight) && is_sending(ring->flow)))
                        return RING_E_ASK;
                if (is_empty(m)) {
                        if (!is_quiet(ring->flow) && !wait_for_news(ring))
                                return RING_E_ASK;
                        if (!is_empty(m) || kdp_load(&m->head) != head)
                                continue;
                        if (!ring_silence(ring, handle))
                                return RING_E_EMPTY;
                        bell = true;
                        continue;
                }
                if (head == kdp_load(&m->tail))
                        return RING_E_ASK; /* there is more */
                *offset = __atomic_load_n(&m->entries[head % KDP_RING_ENTRIES].offset,
                                          __ATOMIC_RELAXED);
                *size = __atomic_load_n(&m->entries[head % KDP_RING_ENTRIES].size, __ATOMIC_RELAXED);
                if (*size & KDP_RING_ASK)
                        return RING_E_ASK;
                if (!swap(&m->head, head, head + 1))
                        continue;
                ring_give(ring, *offset);
                /* if more is on its way, poll may as well say so */
                bell |= is_quiet(ring->flow) && ring_silence(ring, handle);
                return bell ? RING_E_BELL : 0;
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

        if (kdp_load(&m->head) & KDP_RING_CLOSED)
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

/* --- broadcasts --- */

/* returns whether the program's memory could be read */
static bool fill(struct kdp_send *out, const struct kdbus_msg *msg, const struct iovec *payload,
                 size_t n_payload)
{
        uint8_t *at = (uint8_t *)out->data + ALIGN8(msg->size);

        memcpy(out->data, msg, ALIGN8(msg->size));
        out->n_msg = msg->size;
        out->n_payload = 0;
        for (size_t i = 0; i < n_payload; i++) {
                if (memory_read(at + out->n_payload, payload[i].iov_base, payload[i].iov_len))
                        return false;
                out->n_payload += payload[i].iov_len;
        }
        return true;
}

/* with the lock; the daemon may close the ring at any point, and then it was not sent */
static bool append(struct kdp_ring *m, const struct kdbus_msg *msg, const struct iovec *payload,
                   size_t n_payload)
{
        uint64_t at = kdp_load(&m->sends);

        return !(at & KDP_SENDS_CLOSED) && at - kdp_load(&m->sends_taken) < KDP_SENDS &&
               fill(&m->out[at % KDP_SENDS], msg, payload, n_payload) &&
               swap(&m->sends, at, at + 1);
}

/* whether this is who rings: the first that finds the daemon asleep, or if that one did not do so */
static bool must_ring(struct kdp_ring *m, uint64_t now)
{
        uint64_t asleep = kdp_load(&m->asleep);

        if (!asleep || (asleep != KDP_ASLEEP && now - asleep < KDP_BELL_NS))
                return false;
        return swap(&m->asleep, asleep, now);
}

/**
 * ring_send() - broadcast without waiting for the daemon
 * @msg:        a copy, padded; with its payload at most KDP_SEND_MAX bytes
 * @now:        monotonic, ns
 *
 * Return: 0, RING_E_BELL, RING_E_ASK.
 */
int ring_send(struct ring *ring, const struct kdbus_msg *msg, const struct iovec *payload,
              size_t n_payload, uint64_t now)
{
        struct kdp_ring *m = ring->map;
        bool done;

        if ((kdp_load(&m->sends) & KDP_SENDS_CLOSED) || !swap(&m->sends_lock, 0, 1))
                return RING_E_ASK;
        done = append(m, msg, payload, n_payload);
        __atomic_store_n(&m->sends_lock, 0, __ATOMIC_SEQ_CST);
        if (!done)
                return RING_E_ASK;
        note_sent(__atomic_add_fetch(&ring->flow->sent, 1, __ATOMIC_SEQ_CST));
        return must_ring(m, now) ? RING_E_BELL : 0;
}
