/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Poller
 *
 * What it is     An epoll set with what is to be done for each descriptor, and its timers.
 * How            One thread runs a poller: poller_wait() collects what is ready and calls each
 *                watch. Watches may be changed by any thread; they are called, and removed, by the
 *                thread that runs the poller only.
 * Who is first   A watch whose turn did not suffice (watch_more()) is busy until one does. Of those
 *                only one is called each time, the one that has waited longest, and after all that
 *                are not busy: who says little waits for one turn of those who say much, however
 *                many they are. Turns are short while such a one is about.
 * Floods         Who has been busy for long (patience) floods. Each turn lets such a client write on,
 *                and that takes a processor from those between whom the bus carries little messages.
 *                So it waits for a moment (grace) after one who is not busy was called: most likely
 *                its peer answers. That it gets a turn all the same is a matter of pace. Meanwhile
 *                the processor is yielded: a client that was woken may be waiting for this one.
 * Waiting        To be woken costs a thread more than all it does with a message, the more so where
 *                an idle processor sleeps deeply. A wakeful poller looks again for AWAKE_USEC
 *                before it sleeps, as long as that pays. Each time that it was in vain it sleeps
 *                through twice as many waits as before, of those that prove short enough; so a bus that is
 *                seldom spoken to just sleeps.
 * Moving         A watch and its timers may go to another poller: watch_leave() in the thread of the one,
 *                watch_enter() in the thread of the other. What is changed in between is remembered,
 *                and epoll is level-triggered: what was ready is told again.
 * Why level      Level-triggered, and EPOLLOUT only while a write is blocked: an edge-triggered
 *                EPOLLOUT would wake us each time a client reads what we wrote to it.
 */

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <urcu/list.h>

struct poller;
struct turn;

struct watch {
        int fd; /* borrowed; -1: not watched */
        struct poller *poller; /* NULL: on its way to another; its thread reads it, @lock writes it */
        void (*fn)(struct watch *watch, uint32_t events, struct turn *turn);
        unsigned int busy; /* turns on end that did not suffice; poller's thread */
        uint64_t called; /* when it had its last turn, in calls of poller_wait() */

        pthread_mutex_t lock;
        uint32_t events; /* what epoll was told */
};

/*
 * A moment at which something is to be done, in the poller's thread. Any thread may set it; one
 * that clears it from elsewhere must allow for its being called at that very moment: a timer
 * that something counted owns is cleared by the poller's thread.
 */
struct timer {
        uint64_t due; /* CLOCK_MONOTONIC, in microseconds; 0: not set */
        void (*fn)(struct timer *timer, struct turn *turn);
        struct poller *poller; /* NULL: none yet, or on its way to another */
        struct cds_list_head link; /* in the poller, earliest first */
};

struct poller {
        int epoll_fd;
        pthread_t thread; /* that runs it */
        int wake_fd; /* a timer was set that is due before all others */
        uint64_t calls;    /* of poller_wait() */
        bool yields; /* before the next busy one's turn, since others were called */
        uint64_t quiet_at; /* when one who is not busy came while others were, in microseconds */
        uint64_t flood_at; /* when one who floods had its last turn */
        unsigned int patience; /* after so many turns one who is busy floods */
        uint64_t grace; /* for so long after one who is not busy came, those who flood wait, */
        uint64_t pace;  /* but each so many microseconds one of them has a turn */
        _Atomic bool wakeful; /* set by its owner: there is a processor to spare */
        _Atomic uint64_t awake_usec; /* time waited without sleeping; any thread reads it */
        unsigned int doubt;  /* the next time in vain doubles it: so many short waits to sleep through */
        unsigned int asleep; /* how many of them are left */
        pthread_mutex_t lock;
        struct cds_list_head timers; /* by due */
};

int poller_init(struct poller *poller);
void poller_deinit(struct poller *poller);

/* poller_enter() - from now on this thread runs it */
void poller_enter(struct poller *poller);

/**
 * poller_wait() - wait once and call what is ready
 * @max_usec:   longest wait; UINT64_MAX: until something happens
 *
 * Return:      number of watches called, or a negative errno.
 */
int poller_wait(struct poller *poller, struct turn *turn, uint64_t max_usec);

/* watch_more() - its turn took all that it may: there is more, or none (for fn) */
static inline void watch_more(struct watch *watch, bool more)
{
        watch->busy = more ? watch->busy + (watch->busy < UINT_MAX) : 0;
}

/* watch_start() - begin to watch @fd for @events (EPOLLIN, EPOLLOUT) */
int watch_start(struct watch *watch, struct poller *poller, int fd, uint32_t events,
                void (*fn)(struct watch *, uint32_t, struct turn *));

/*
 * watch_change() - from now on wait for (events & ~clear) | set; any thread. A watch that waits for
 * nothing is not told of a hang-up either.
 */
void watch_change(struct watch *watch, uint32_t clear, uint32_t set);

/*
 * watch_stop() - poller's thread only, and not from inside the call of another watch's fn, unless it
 * was started there
 */
void watch_stop(struct watch *watch);

/*
 * watch_leave() - its poller forgets it; it may be given to another thread. Poller's thread, and not
 * from inside the call of any watch's fn.
 */
void watch_leave(struct watch *watch);

/*
 * watch_enter() - from now on @poller calls it, whose thread this is. If that fails (-ENOMEM,
 * -ENOSPC) nothing is waited for: the watch is to be stopped.
 */
int watch_enter(struct watch *watch, struct poller *poller);

/* timer_set() - in @usec from now; replaces an earlier setting */
void timer_set(struct timer *timer, struct poller *poller, uint64_t usec);
void timer_clear(struct timer *timer);

/* timer_leave(), timer_enter() - the same for a timer: if it was set, it is due when it was */
void timer_leave(struct timer *timer);
void timer_enter(struct timer *timer, struct poller *poller);

/* now_usec() - CLOCK_MONOTONIC in microseconds */
uint64_t now_usec(void);
