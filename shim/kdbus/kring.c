/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/client/proto.h"
#include "shim/kdbus/kring.h"
#include "shim/kdbus/pool.h"
#include "shim/kdbus/shared.h"

/**
 * kring_new() - make a ring, closed in both directions
 * @id:         the connection's
 * @bloom_size: of its bus
 */
int kring_new(struct kring **ringp, uint64_t pool_size, uint64_t id, uint64_t bloom_size)
{
        struct kring *ring = calloc(1, sizeof(*ring));
        void *map;
        int r;

        if (!ring)
                return error_origin(-ENOMEM);
        r = shared_map("kdbus-ring", sizeof(*ring->map), &ring->fd, &map);
        ring->map = map;
        if (r) {
                kring_free(ring);
                return r;
        }
        ring->map->pool_size = pool_size;
        ring->map->id = id;
        ring->map->bloom_size = bloom_size;
        kdp_store(&ring->map->sends, KDP_SENDS_CLOSED);
        kdp_store(&ring->map->head, KDP_RING_CLOSED);
        *ringp = ring;
        return 0;
}

/**
 * kring_free() - the programs that have it mapped are told
 */
struct kring *kring_free(struct kring *ring)
{
        if (!ring)
                return NULL;
        if (ring->map) {
                kring_close(ring);
                __atomic_store_n(&ring->map->dead, 1, __ATOMIC_SEQ_CST);
                munmap(ring->map, sizeof(*ring->map));
        }
        closep(&ring->fd);
        free(ring);
        return NULL;
}

/**
 * kring_open() - let the program take what is put from here on; nothing that was put is left
 */
void kring_open(struct kring *ring)
{
        ring->taken = ring->tail;
        ring->more = false;
        __atomic_store_n(&ring->map->more, 0, __ATOMIC_SEQ_CST);
        kdp_store(&ring->map->head, ring->taken);
        ring->open = true;
}

/**
 * kring_close() - nothing more is taken; kring_take() still tells what was
 */
void kring_close(struct kring *ring)
{
        if (ring->open)
                __atomic_fetch_or(&ring->map->head, KDP_RING_CLOSED, __ATOMIC_SEQ_CST);
        ring->open = false;
}

/**
 * kring_put() - show a message at the end of the queue
 * @ask:        the program has to ask for it
 */
void kring_put(struct kring *ring, uint64_t offset, uint64_t size, bool ask)
{
        uint64_t at = ring->tail % KDP_RING_ENTRIES;

        if (!ring->open)
                return;
        if (ring->more || ring->tail - ring->taken >= KDP_RING_ENTRIES) {
                ring->more = true;
                __atomic_store_n(&ring->map->more, 1, __ATOMIC_SEQ_CST);
                return;
        }
        __atomic_store_n(&ring->map->entries[at].offset, offset, __ATOMIC_RELAXED);
        __atomic_store_n(&ring->map->entries[at].size, size | (ask ? KDP_RING_ASK : 0),
                         __ATOMIC_RELAXED);
        __atomic_store_n(&ring->map->tail, ++ring->tail, __ATOMIC_RELEASE);
}

/**
 * kring_peek_freed() - what the program freed; to be asked before kring_take()
 * @freed:      KDP_RING_GIVEN bits
 *
 * What was freed was taken before.
 */
void kring_peek_freed(struct kring *ring, uint64_t freed[])
{
        for (size_t i = 0; i < KDP_RING_GIVEN / 64; i++) {
                freed[i] = __atomic_load_n(&ring->map->freed[i], __ATOMIC_RELAXED);
                if (freed[i])
                        freed[i] = __atomic_exchange_n(&ring->map->freed[i], 0, __ATOMIC_SEQ_CST);
        }
}

/**
 * kring_take() - how many messages the program took since this was asked last
 */
size_t kring_take(struct kring *ring)
{
        uint64_t n = (kdp_load(&ring->map->head) & ~KDP_RING_CLOSED) - ring->taken;

        if (n > ring->tail - ring->taken)
                return 0; /* a lie */
        ring->taken += n;
        return n;
}

/**
 * kring_release() - free the slices
 * @freed:      from kring_peek_freed(); what was taken since is known to the pool
 */
void kring_release(struct kring *ring, struct pool *pool, const uint64_t freed[])
{
        for (size_t i = 0; i < KDP_RING_GIVEN / 64; i++)
                for (uint64_t bits = freed[i]; bits; bits &= bits - 1) {
                        uint64_t given = kdp_load(&ring->map->given[i * 64 + __builtin_ctzll(bits)]);

                        __atomic_store_n(&ring->map->given[i * 64 + __builtin_ctzll(bits)], 0,
                                         __ATOMIC_RELEASE);
                        if (given & KDP_FREED)
                                (void)pool_release_offset(pool, given & ~(uint64_t)7);
                }
}

/**
 * kring_forget() - a slice was freed by a request
 */
void kring_forget(struct kring *ring, uint64_t offset)
{
        for (unsigned i = 0; i < KDP_RING_PROBES; i++) {
                uint64_t given = offset | KDP_GIVEN;

                __atomic_compare_exchange_n(&ring->map->given[kdp_ring_place(offset, i)], &given, 0,
                                            false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
        }
}

/**
 * kring_tighten() - whether what is under way may get lost
 */
void kring_tighten(struct kring *ring, bool tight)
{
        if (ring->tight != tight)
                kdp_store(&ring->map->tight, tight);
        ring->tight = tight;
}

/**
 * kring_ring() - the byte that poll sees is due
 *
 * Return: whether none is out; it counts as sent then.
 */
bool kring_ring(struct kring *ring)
{
        kdp_store(&ring->map->tail, ring->tail); /* what was put is there before this looks */
        if (kdp_load(&ring->map->heard) != ring->rung)
                return false;
        kdp_store(&ring->map->rung, ++ring->rung);
        return true;
}

/**
 * kring_hush() - the byte counts as taken: it could not be sent, or someone without the ring will
 *
 * Return: whether one was out.
 */
bool kring_hush(struct kring *ring)
{
        uint64_t heard = ring->rung - 1;

        return __atomic_compare_exchange_n(&ring->map->heard, &heard, ring->rung, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}
