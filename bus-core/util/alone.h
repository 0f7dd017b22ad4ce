/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Alone
 *
 * What it is     Counting on numbers that several threads share, at the price of a plain addition as
 *                long as there is only one thread: a bus with one worker pays nothing for having
 *                been built for many.
 * How            libc knows whether a second thread was ever started; glibc (tried: 2.36) never takes
 *                that back. So whoever keeps the threads of a process says when the last of them
 *                has been joined: alone_again(). A thread that is alone reads and writes; no
 *                other can see the moment between. Its writes are seen by each thread that it
 *                starts later, as all that it did before.
 * Guard          The orders named are those between threads; alone, program order is all there is.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

extern bool alone_declared; /* written while there is one thread only */

/*
 * alone_again() - all threads that touch what is counted here have been joined, but this one;
 * alone_no_more() - before it starts the next
 */
static inline void alone_again(void)
{
        alone_declared = true;
}

static inline void alone_no_more(void)
{
        if (alone_declared)
                alone_declared = false;
}

#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define ALONE (__libc_single_threaded != 0 || alone_declared)
#endif
#endif
#ifndef ALONE
#define ALONE false
#endif

/* add_relaxed() - atomic_fetch_add_explicit(at, n, memory_order_relaxed) */
static inline uint64_t add_relaxed(_Atomic uint64_t *at, uint64_t n)
{
        uint64_t old;

        if (!ALONE)
                return atomic_fetch_add_explicit(at, n, memory_order_relaxed);
        old = atomic_load_explicit(at, memory_order_relaxed);
        atomic_store_explicit(at, old + n, memory_order_relaxed);
        return old;
}

/*
 * move_relaxed() - from @*old, just read, to @n, unless another thread moved it or for no reason;
 * then false, and @*old is what it is now
 */
static inline bool move_relaxed(_Atomic uint64_t *at, uint64_t *old, uint64_t n)
{
        if (!ALONE)
                return atomic_compare_exchange_weak_explicit(at, old, n, memory_order_relaxed,
                                                             memory_order_relaxed);
        atomic_store_explicit(at, n, memory_order_relaxed);
        return true;
}

/* peak_relaxed() - the most that a number has been, now @n; nearly, among several threads */
static inline void peak_relaxed(_Atomic uint64_t *at, uint64_t n)
{
        if (n > atomic_load_explicit(at, memory_order_relaxed))
                atomic_store_explicit(at, n, memory_order_relaxed);
}

/*
 * lock_enter(), lock_leave() - for a few lines between which nothing is called that could start a
 * thread
 */
static inline void lock_enter(pthread_mutex_t *lock)
{
        if (!ALONE)
                pthread_mutex_lock(lock);
}

static inline void lock_leave(pthread_mutex_t *lock)
{
        if (!ALONE)
                pthread_mutex_unlock(lock);
}
