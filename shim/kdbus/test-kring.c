/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The daemon's side of a ring, beside a program that plays by the rules and one that does not. */

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/test-run.h"
#include "shim/kdbus/client/proto.h"
#include "shim/kdbus/kring.h"
#include "shim/kdbus/pool.h"

#define SIZE (64 * 1024)

static struct kring *ring;
static struct pool *pool;
static struct kdp_ring *seen; /* as the program has it mapped */

static void setup(void)
{
        ck_assert_int_eq(pool_new(&pool, SIZE), 0);
        ck_assert_int_eq(kring_new(&ring, SIZE, 7, 64), 0);
        seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
        ck_assert_ptr_ne(seen, MAP_FAILED);
}

static void teardown(void)
{
        ring = kring_free(ring);
        ck_assert_uint_eq(seen->dead, 1);
        munmap(seen, sizeof(*seen));
        pool = pool_free(pool);
}

/* the program's side, by hand: a slice that it was given, and freed */
static uint64_t freed_slice(void)
{
        struct pool_slice *s;
        unsigned at;

        ck_assert_int_eq(pool_alloc(pool, &s, 64), 0);
        pool_slice_publish(s);
        at = kdp_ring_place(s->offset, 0);
        seen->given[at] = s->offset | KDP_FREED;
        seen->freed[at / 64] |= 1ULL << (at % 64);
        pool_slice_release(s);
        return s->offset;
}

static void collect(void)
{
        uint64_t freed[KDP_RING_GIVEN / 64];

        kring_peek_freed(ring, freed);
        (void)kring_take(ring);
        kring_release(ring, pool, freed);
}

START_TEST(it_is_closed_until_opened)
{
        ck_assert_uint_eq(seen->head, KDP_RING_CLOSED);
        kring_put(ring, 8, 16, false);
        ck_assert_uint_eq(seen->tail, 0);
        kring_open(ring);
        ck_assert_uint_eq(seen->head, 0);
        kring_put(ring, 8, 16, false);
        ck_assert_uint_eq(seen->tail, 1);
        ck_assert_uint_eq(seen->entries[0].offset, 8);
        ck_assert_uint_eq(seen->entries[0].size, 16);
}
END_TEST

START_TEST(what_was_taken_is_told_once)
{
        kring_open(ring);
        for (int i = 0; i < 3; i++)
                kring_put(ring, i * 8, 8, false);
        ck_assert_uint_eq(kring_take(ring), 0);
        seen->head = 2;
        ck_assert_uint_eq(kring_take(ring), 2);
        ck_assert_uint_eq(kring_take(ring), 0);
        seen->head = 3;
        kring_close(ring);
        ck_assert_uint_eq(seen->head, 3 | KDP_RING_CLOSED);
        ck_assert_uint_eq(kring_take(ring), 1);
}
END_TEST

START_TEST(a_head_that_cannot_be_has_not_moved)
{
        static const uint64_t heads[] = {2, 1000, -1ULL >> 1, -1ULL, KDP_RING_CLOSED | 7};

        kring_open(ring);
        kring_put(ring, 0, 8, false);
        seen->head = 1;
        ck_assert_uint_eq(kring_take(ring), 1);
        for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
                seen->head = heads[i];
                ck_assert_uint_eq(kring_take(ring), 0);
        }
        seen->head = 0; /* back */
        ck_assert_uint_eq(kring_take(ring), 0);
        kring_close(ring);
        kring_open(ring);
        ck_assert_uint_eq(seen->head, 1);
}
END_TEST

START_TEST(a_full_ring_says_that_there_is_more)
{
        kring_open(ring);
        for (int i = 0; i < KDP_RING_ENTRIES; i++)
                kring_put(ring, i * 8, 8, false);
        ck_assert_uint_eq(seen->more, 0);
        kring_put(ring, 0, 8, false);
        ck_assert_uint_eq(seen->more, 1);
        ck_assert_uint_eq(seen->tail, KDP_RING_ENTRIES);
        seen->head = KDP_RING_ENTRIES;
        ck_assert_uint_eq(kring_take(ring), KDP_RING_ENTRIES);
        kring_put(ring, 0, 8, false); /* not before what is waiting */
        ck_assert_uint_eq(seen->tail, KDP_RING_ENTRIES);
        kring_close(ring);
        kring_open(ring);
        ck_assert_uint_eq(seen->more, 0);
}
END_TEST

START_TEST(what_was_freed_goes_back_to_the_pool)
{
        struct pool_slice *s;

        for (int i = 0; i < 5; i++)
                freed_slice();
        ck_assert_int_eq(pool_alloc(pool, &s, SIZE), -EXFULL);
        collect();
        ck_assert_int_eq(pool_alloc(pool, &s, SIZE), 0);
}
END_TEST

START_TEST(freeing_what_is_not_its_own_does_nothing)
{
        struct pool_slice *s;
        uint64_t offset;

        ck_assert_int_eq(pool_alloc(pool, &s, 64), 0); /* queued, not published */
        offset = s->offset;
        for (unsigned i = 0; i < KDP_RING_GIVEN; i++)
                seen->given[i] = (i % 2 ? offset : i * 8) | KDP_FREED;
        memset(seen->freed, 0xff, sizeof(seen->freed));
        collect();
        ck_assert(s->queued);
        ck_assert(!s->free);
        for (unsigned i = 0; i < KDP_RING_GIVEN; i++)
                ck_assert_uint_eq(seen->given[i], 0);
}
END_TEST

START_TEST(the_program_cannot_shrink_it)
{
        ck_assert_int_lt(ftruncate(ring->fd, 0), 0);
}
END_TEST

START_TEST(a_byte_is_out_until_it_was_heard)
{
        ck_assert(kring_ring(ring));
        ck_assert_uint_eq(seen->rung, 1);
        ck_assert(!kring_ring(ring));
        seen->heard = 1;
        ck_assert(kring_ring(ring));
        ck_assert_uint_eq(seen->rung, 2);
        ck_assert(kring_hush(ring));
        ck_assert(!kring_hush(ring));
        ck_assert_uint_eq(seen->heard, 2);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("kring");
        TCase *tcase = tcase_create("kring");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, it_is_closed_until_opened);
        tcase_add_test(tcase, what_was_taken_is_told_once);
        tcase_add_test(tcase, a_head_that_cannot_be_has_not_moved);
        tcase_add_test(tcase, a_full_ring_says_that_there_is_more);
        tcase_add_test(tcase, what_was_freed_goes_back_to_the_pool);
        tcase_add_test(tcase, freeing_what_is_not_its_own_does_nothing);
        tcase_add_test(tcase, the_program_cannot_shrink_it);
        tcase_add_test(tcase, a_byte_is_out_until_it_was_heard);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
