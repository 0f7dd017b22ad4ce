/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "bus-core/util/cache.h"
#include "bus-core/util/cleanup.h"

/* Above 4096: a body of a power of two, with its header. */
#define LARGE(body) ((body) + 1024)

/*
 * The classes: everything on the road of a small message, and the buffers of large ones. A message
 * is charged with its block: no more than about twice what was sent.
 */
static const uint32_t class_size[] = {
        64, 128, 256, 512, 1024, 2048, 4096,
        LARGE(8192), LARGE(16384), LARGE(32768), LARGE(65536), LARGE(131072), LARGE(262144),
        LARGE(524288), LARGE(1048576),
};

/* How many of each a thread keeps. */
#define KEEP(size) (CACHE_KEEP / (size))
static const uint32_t class_keep[] = {
        KEEP(64), KEEP(128), KEEP(256), KEEP(512), KEEP(1024), KEEP(2048), KEEP(4096),
        KEEP(8192), KEEP(16384), KEEP(32768), KEEP(65536), 8, 8, 8, 8,
};

#define N_CLASSES ARRAY_SIZE(class_size)
#define UNCACHED  UINT32_MAX

struct block {
        union {
                struct {
                        uint32_t cls;
                        uint32_t pad;
                        size_t size;
                };
                struct block *next; /* while kept */
                _Alignas(16) char align[16];
        };
};

struct kept {
        struct block *first;
        uint32_t n;
};

static _Thread_local struct kept kept[N_CLASSES];
static _Thread_local uint64_t misses;
static _Atomic int enabled = -1;

/* gcc defines a macro per sanitizer, clang a feature. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
        __has_feature(memory_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#endif

static bool cache_enabled(void)
{
        int e = atomic_load_explicit(&enabled, memory_order_relaxed);

        if (__builtin_expect(e < 0, 0)) {
#if defined(UNDER_SANITIZER) || defined(LAMBUS_DEBUG)
                e = 0;
#else
                e = !getenv("LAMBUS_NO_CACHE");
#endif
                atomic_store_explicit(&enabled, e, memory_order_relaxed);
        }
        return e;
}

static uint32_t class_of(size_t n)
{
        /* what nearly all are: the first classes double from 64 to 4096 */
        if (n <= 64)
                return 0;
        if (n <= 4096)
                return 64 - __builtin_clzll(n - 1) - 6;
        for (uint32_t i = 7; i < N_CLASSES; i++)
                if (n <= class_size[i])
                        return i;
        return UNCACHED;
}

void *cache_alloc(size_t n)
{
        uint32_t cls = cache_enabled() ? class_of(n) : UNCACHED;
        struct block *b;
        size_t size;

        if (cls != UNCACHED && kept[cls].first) {
                b = kept[cls].first;
                kept[cls].first = b->next;
                kept[cls].n--;
                b->cls = cls;
                b->size = class_size[cls];
                return b + 1;
        }

        size = cls == UNCACHED ? n : class_size[cls];
        if (size > SIZE_MAX - sizeof(*b))
                return NULL;
        b = malloc(sizeof(*b) + size);
        if (!b)
                return NULL;
        misses++;
        b->cls = cls;
        b->size = size;
        return b + 1;
}

void *cache_free(void *p)
{
        struct block *b = p;
        uint32_t cls;

        if (!p)
                return NULL;
        b--;
        cls = b->cls;
        if (cls == UNCACHED || kept[cls].n >= class_keep[cls]) {
                free(b);
                return NULL;
        }
        b->next = kept[cls].first;
        kept[cls].first = b;
        kept[cls].n++;
        return NULL;
}

size_t cache_size(const void *p)
{
        return ((const struct block *)p - 1)->size;
}

void cache_trim(void)
{
        for (size_t i = 0; i < N_CLASSES; i++) {
                while (kept[i].first) {
                        struct block *b = kept[i].first;

                        kept[i].first = b->next;
                        free(b);
                }
                kept[i].n = 0;
        }
}

uint64_t cache_misses(void)
{
        return misses;
}
