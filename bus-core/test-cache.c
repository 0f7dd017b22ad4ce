/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <pthread.h>
#include <string.h>

#include "bus-core/test-kit.h"

static const size_t sizes[] = {0, 1, 64, 65, 4096, 4097, 70000, 300000, 1049000, 5000000};

/* Under a sanitizer, and with LAMBUS_NO_CACHE, everything goes to malloc at once. */
static bool cache_is_off(void)
{
        uint64_t misses;

        cache_free(cache_alloc(1));
        misses = cache_misses();
        cache_free(cache_alloc(1));
        return cache_misses() != misses;
}

START_TEST(a_block_can_be_used_to_its_end)
{
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                void *p = cache_alloc(sizes[i]);

                ck_assert_ptr_nonnull(p);
                ck_assert_uint_eq((uintptr_t)p % 16, 0);
                ck_assert_uint_ge(cache_size(p), sizes[i]);
                memset(p, 0xa5, cache_size(p));
                ck_assert_ptr_null(cache_free(p));
        }
        ck_assert_ptr_null(cache_free(NULL));
        cache_trim();
}
END_TEST

/* Messages are charged with their blocks. */
START_TEST(a_block_is_at_most_about_twice_what_was_asked_for)
{
        for (size_t n = 64; n < 1100000; n += n / 50 + 1) {
                void *p = cache_alloc(n);

                ck_assert_ptr_nonnull(p);
                ck_assert_uint_le(cache_size(p), 2 * n + 1024);
                cache_free(p);
        }
        cache_trim();
}
END_TEST

START_TEST(a_freed_block_is_used_again)
{
        uint64_t misses;
        void *p;

        if (cache_is_off())
                return;
        for (size_t i = 0; i < ARRAY_SIZE(sizes) - 1; i++) { /* the last has no class */
                p = cache_alloc(sizes[i]);
                cache_free(p);
                misses = cache_misses();
                ck_assert_ptr_eq(cache_alloc(sizes[i]), p);
                ck_assert_uint_eq(cache_misses(), misses);
                ck_assert_uint_ge(cache_size(p), sizes[i]);
                cache_free(p);
        }
        cache_trim();
}
END_TEST

START_TEST(a_trimmed_cache_keeps_nothing)
{
        uint64_t misses;

        cache_free(cache_alloc(100));
        cache_trim();
        misses = cache_misses();
        cache_free(cache_alloc(100));
        ck_assert_uint_eq(cache_misses(), misses + 1);
        cache_trim();
}
END_TEST

START_TEST(no_more_is_kept_than_promised)
{
        enum { N = CACHE_KEEP / 4096 + 50 };
        uint64_t misses;
        void *p[N];

        if (cache_is_off())
                return;
        for (int i = 0; i < N; i++)
                p[i] = cache_alloc(4096);
        for (int i = 0; i < N; i++)
                cache_free(p[i]);
        misses = cache_misses();
        for (int i = 0; i < N; i++)
                p[i] = cache_alloc(4096);
        ck_assert_uint_eq(cache_misses(), misses + 50);
        for (int i = 0; i < N; i++)
                cache_free(p[i]);
        cache_trim();
}
END_TEST

START_TEST(absurd_sizes_and_missing_memory_give_null)
{
        ck_assert_ptr_null(cache_alloc(SIZE_MAX));
        ck_assert_ptr_null(cache_alloc(SIZE_MAX - 15));
        kit_fail_alloc(1);
        ck_assert_ptr_null(cache_alloc(10));
}
END_TEST

static void *free_here(void *p)
{
        cache_free(p);
        cache_trim();
        return NULL;
}

START_TEST(a_block_may_be_freed_by_another_thread)
{
        pthread_t thread;
        void *p = cache_alloc(10);

        memset(p, 1, 10);
        ck_assert_int_eq(pthread_create(&thread, NULL, free_here, p), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

int main(void)
{
        return KIT_RUN("cache", {a_block_can_be_used_to_its_end},
                       {a_block_is_at_most_about_twice_what_was_asked_for},
                       {a_freed_block_is_used_again},
                       {a_trimmed_cache_keeps_nothing}, {no_more_is_kept_than_promised},
                       {absurd_sizes_and_missing_memory_give_null},
                       {a_block_may_be_freed_by_another_thread});
}
