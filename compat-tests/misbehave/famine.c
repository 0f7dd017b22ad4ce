/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Famine: memory that runs out by chance
 *
 * A library that is preloaded into the bus under test. While the number in the file FAMINE is not
 * zero, one in so many allocations fails, wherever in the program it is made.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static _Atomic uint32_t *one_in;
static _Atomic uint64_t state = 20261122;

__attribute__((constructor)) static void begin(void)
{
        const char *path = getenv("FAMINE");
        int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
        void *map;

        if (fd < 0)
                return;
        map = mmap(NULL, sizeof(*one_in), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (map != MAP_FAILED)
                one_in = map;
}

static bool fails(void)
{
        uint32_t n = one_in ? atomic_load_explicit(one_in, memory_order_relaxed) : 0;
        uint64_t x;

        if (!n)
                return false;
        x = atomic_fetch_add_explicit(&state, UINT64_C(0x9e3779b97f4a7c15), memory_order_relaxed);
        x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
        if ((x ^ x >> 31) % n)
                return false;
        errno = ENOMEM;
        return true;
}

void *malloc(size_t n)
{
        return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
        return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
        return fails() ? NULL : __libc_realloc(p, n);
}
