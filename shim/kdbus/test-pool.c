/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The pool's promises: slices do not overlap, neighbours merge, offsets are freed once. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/test-run.h"
#include "shim/kdbus/pool.h"

#define SIZE (64 * 1024)

static struct pool *pool;

static void setup(void)
{
        ck_assert_int_eq(pool_new(&pool, SIZE), 0);
}

static void teardown(void)
{
        pool = pool_free(pool);
}

static struct pool_slice *get(uint64_t size)
{
        struct pool_slice *s;

        ck_assert_int_eq(pool_alloc(pool, &s, size), 0);
        return s;
}

START_TEST(the_first_slice_is_at_the_start)
{
        struct pool_slice *s = get(20);

        ck_assert_uint_eq(s->offset, 0);
        ck_assert_uint_eq(s->size, 24);
        ck_assert_uint_eq(get(8)->offset, 24);
}
END_TEST

START_TEST(what_does_not_fit_is_exfull)
{
        struct pool_slice *s;

        ck_assert_int_eq(pool_alloc(pool, &s, SIZE + 8), -EXFULL);
        get(SIZE);
        ck_assert_int_eq(pool_alloc(pool, &s, 8), -EXFULL);
}
END_TEST

START_TEST(neighbours_merge_in_any_order)
{
        struct pool_slice *a = get(1000), *b = get(2000), *c = get(SIZE - 3000);

        pool_slice_release(a);
        pool_slice_release(c);
        pool_slice_release(b);
        ck_assert_uint_eq(get(SIZE)->offset, 0);
}
END_TEST

START_TEST(the_smallest_gap_that_fits_is_taken)
{
        struct pool_slice *a = get(4000), *b, *c;

        get(8);
        b = get(400);
        get(8);
        c = get(40);
        get(8);
        pool_slice_release(a);
        pool_slice_release(b);
        pool_slice_release(c);
        ck_assert_uint_eq(get(40)->offset, 4000 + 8 + 400 + 8);
        ck_assert_uint_eq(get(400)->offset, 4000 + 8);
        ck_assert_uint_eq(get(4000)->offset, 0);
}
END_TEST

START_TEST(an_offset_is_freed_once)
{
        struct pool_slice *s = get(64);
        uint64_t offset = s->offset;

        ck_assert_int_eq(pool_release_offset(pool, offset), -ENXIO); /* nobody was told of it */
        pool_slice_publish(s);
        pool_slice_release(s);
        ck_assert_int_eq(pool_release_offset(pool, offset + 8), -ENXIO);
        ck_assert_int_eq(pool_release_offset(pool, offset), 0);
        ck_assert_int_eq(pool_release_offset(pool, offset), -ENXIO);
        ck_assert_uint_eq(get(SIZE)->offset, 0);
}
END_TEST

START_TEST(a_queued_slice_outlives_the_free_of_its_offset)
{
        struct pool_slice *s = get(SIZE), *other;

        pool_slice_publish(s); /* as PEEK does */
        ck_assert_int_eq(pool_release_offset(pool, 0), 0);
        ck_assert_int_eq(pool_alloc(pool, &other, 8), -EXFULL);
        pool_slice_release(s);
        get(SIZE);
}
END_TEST

START_TEST(slices_never_overlap)
{
        struct pool_slice *live[64] = {};
        unsigned seed = 1;

        for (unsigned i = 0; i < 20000; i++) {
                unsigned n = rand_r(&seed) % 64;
                size_t size = 1 + rand_r(&seed) % 4000;

                if (live[n]) {
                        uint8_t *p = pool_slice_data(live[n]);

                        /* all bytes equal the first, and that one is ours */
                        ck_assert_uint_eq(p[0], n);
                        ck_assert_int_eq(memcmp(p, p + 1, live[n]->size - 1), 0);
                        live[n] = pool_slice_release(live[n]);
                } else if (pool_alloc(pool, &live[n], size) == 0) {
                        memset(pool_slice_data(live[n]), n, live[n]->size);
                }
        }
        for (unsigned n = 0; n < 64; n++)
                pool_slice_release(live[n]);
        get(SIZE);
}
END_TEST

START_TEST(nobody_but_the_daemon_can_write)
{
        void *p;

        ck_assert_ptr_eq(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, pool->fd, 0), MAP_FAILED);
        p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, pool->fd, 0);
        ck_assert_ptr_ne(p, MAP_FAILED);
        ck_assert_int_lt(mprotect(p, SIZE, PROT_READ | PROT_WRITE), 0);
        memset(pool_slice_data(get(8)), 0x5a, 8);
        ck_assert_uint_eq(*(uint8_t *)p, 0x5a);
        munmap(p, SIZE);
}
END_TEST

/* slices of one size come and go, and then one is needed that takes all */
START_TEST(what_was_freed_in_haste_is_joined_when_needed)
{
        struct pool_slice *s[SIZE / 256], *all;

        pool->hasty = true;
        for (int round = 0; round < 3; round++) {
                for (int i = 0; i < SIZE / 256; i++)
                        ck_assert_int_eq(pool_alloc(pool, &s[i], 256), 0);
                ck_assert_int_eq(pool_alloc(pool, &all, 8), -EXFULL);
                for (int i = 0; i < SIZE / 256; i++)
                        pool_slice_release(s[(i * 7) % (SIZE / 256)]);
        }
        ck_assert_int_eq(pool_alloc(pool, &all, SIZE), 0);
        pool_slice_release(all);
        ck_assert_int_eq(pool_alloc(pool, &s[0], 256), 0);
        ck_assert_int_eq(pool_alloc(pool, &s[1], 256), 0);
        pool_slice_release(s[0]);
        pool->hasty = false;
        ck_assert_int_eq(pool_alloc(pool, &all, 512), 0); /* beyond the gap that was left */
        ck_assert_uint_eq(all->offset, 512);
        pool_slice_release(all);
        pool_slice_release(s[1]);
        ck_assert_int_eq(pool_alloc(pool, &all, SIZE), 0);
        ck_assert_uint_eq(all->offset, 0);
        pool_slice_release(all);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("pool");
        TCase *tcase = tcase_create("pool");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, the_first_slice_is_at_the_start);
        tcase_add_test(tcase, what_does_not_fit_is_exfull);
        tcase_add_test(tcase, neighbours_merge_in_any_order);
        tcase_add_test(tcase, the_smallest_gap_that_fits_is_taken);
        tcase_add_test(tcase, an_offset_is_freed_once);
        tcase_add_test(tcase, a_queued_slice_outlives_the_free_of_its_offset);
        tcase_add_test(tcase, slices_never_overlap);
        tcase_add_test(tcase, nobody_but_the_daemon_can_write);
        tcase_add_test(tcase, what_was_freed_in_haste_is_joined_when_needed);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
