/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "bus-core/util/test-fault.h"

static _Atomic size_t due, n_allocations;

/* weak: a program wraps those of them that only the code under test uses */
#define WEAK __attribute__((__weak__))

WEAK void *__real_malloc(size_t size);
WEAK void *__real_calloc(size_t n, size_t size);
WEAK void *__real_realloc(void *p, size_t size);
WEAK void *__real_reallocarray(void *p, size_t n, size_t size);
WEAK char *__real_strdup(const char *s);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);

static bool fails(void)
{
        atomic_fetch_add_explicit(&n_allocations, 1, memory_order_relaxed);
        if (!atomic_load_explicit(&due, memory_order_relaxed))
                return false;
        return atomic_fetch_sub_explicit(&due, 1, memory_order_relaxed) == 1;
}

void *__wrap_malloc(size_t size)
{
        return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
        return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
        return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
        return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
        return fails() ? NULL : __real_strdup(s);
}

void fault_after(size_t n)
{
        atomic_store(&due, n);
}

bool fault_is_due(void)
{
        return atomic_load(&due) > 0;
}

size_t fault_allocations(void)
{
        return atomic_load(&n_allocations);
}
