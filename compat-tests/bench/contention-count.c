/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * contention-count.so: which locks a program takes, and who had them before
 *
 * Preloaded into a bus by the script `contention` beside this file. For each place that locks a
 * mutex it counts
 *
 *   taken    how often
 *   moved    how often another thread had been the last to lock the same mutex: its cache line
 *            comes from another processor
 *   waited   how often somebody held it at that moment
 *
 * At the end of the program one line for each place goes to the file $CONTENTION_OUT: its address
 * in the file of the program, taken, moved, waited.
 */

#include "config.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PLACES  512        /* call sites, by a hash of their address */
#define MUTEXES (1U << 20) /* the last thread of each, by a hash of its address */

struct place {
        _Atomic uintptr_t address;
        _Atomic uint64_t taken, moved, waited;
};

static struct place places[PLACES];
static _Atomic uint32_t last[MUTEXES];
static _Atomic uint32_t n_threads;
static _Thread_local uint32_t self;

static int (*real_lock)(pthread_mutex_t *);
static int (*real_trylock)(pthread_mutex_t *);

int pthread_mutex_lock(pthread_mutex_t *mutex);

static void resolve(void)
{
        if (real_lock)
                return;
        *(void **)&real_trylock = dlsym(RTLD_NEXT, "pthread_mutex_trylock");
        *(void **)&real_lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
}

static size_t hash(uintptr_t x, size_t size)
{
        return (x * UINT64_C(0x9e3779b97f4a7c15)) >> 40 & (size - 1);
}

static struct place *place_of(uintptr_t address)
{
        for (size_t n = 0, i = hash(address, PLACES); n < PLACES; n++, i = (i + 1) % PLACES) {
                uintptr_t seen = atomic_load_explicit(&places[i].address, memory_order_relaxed);

                if (seen == address ||
                    (!seen && atomic_compare_exchange_strong(&places[i].address, &seen, address)) ||
                    seen == address)
                        return &places[i];
        }
        return NULL;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
        struct place *place = place_of((uintptr_t)__builtin_return_address(0));
        int r;

        resolve();
        if (!self)
                self = atomic_fetch_add(&n_threads, 1) + 1;
        r = real_trylock(mutex);
        if (place) {
                uint32_t before = atomic_exchange_explicit(&last[hash((uintptr_t)mutex, MUTEXES)],
                                                           self, memory_order_relaxed);

                place->taken++;
                place->moved += before && before != self;
                place->waited += r != 0;
        }
        return r ? real_lock(mutex) : 0;
}

/* Where the program itself, the first that is told, was loaded. */
static int find_base(struct dl_phdr_info *info, size_t size, void *data)
{
        (void)size;
        *(uintptr_t *)data = info->dlpi_addr;
        return 1;
}

__attribute__((__destructor__)) static void report(void)
{
        const char *path = getenv("CONTENTION_OUT");
        uintptr_t base = 0;
        FILE *f;

        f = path ? fopen(path, "we") : NULL;
        if (!f)
                return;
        dl_iterate_phdr(find_base, &base);
        for (size_t i = 0; i < PLACES; i++)
                if (places[i].address)
                        fprintf(f, "%#jx %ju %ju %ju\n", (uintmax_t)(places[i].address - base - 1),
                                (uintmax_t)places[i].taken, (uintmax_t)places[i].moved,
                                (uintmax_t)places[i].waited);
        fclose(f);
}
