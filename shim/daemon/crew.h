/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Crew
 *
 * What it is     The workers of one daemon: how many run, and who has which connections.
 * How            The main thread is the first worker, and keeps the others: it starts and joins
 *                them, and orders connections from one to another. Workers run in the order of
 *                their slots, and end in the opposite one. When the last of the others has been
 *                joined, one thread is alone again (bus-core/util/alone.h).
 * Modes          SPREAD_ON_DEMAND  as many run as there is work and room for (spread.h). While it is
 *                                  one, it looks at the clock every few turns and no more; while
 *                                  there are several, all are looked at ten times a second.
 *                SPREAD_ALWAYS     all run from the beginning; new connections go round, and stay
 *                SPREAD_RANDOM     workers come and go and connections move all the time, for tests
 * Guard          The main thread.
 */

#include <sched.h>

#include "shim/bus/poller.h"
#include "shim/daemon/options.h"
#include "shim/daemon/spread.h"
#include "shim/daemon/worker.h"

struct crew_clock { /* of a worker, in microseconds */
        uint64_t cpu;
        uint64_t awake; /* that it waited without sleeping */
};

struct crew {
        struct bus *bus;
        struct worker *workers; /* borrowed: @max of them */
        unsigned int max;
        unsigned int n;        /* that run */
        unsigned int n_taking; /* that are given connections: one less while the last one retires */
        unsigned int next;     /* who is given the next one */
        enum options_spread mode;
        struct timer timer;
        bool shrink; /* the last one is to go as soon as no order is outstanding */
        struct spread spread;
        cpu_set_t processors; /* that may be used */

        struct { /* at the end of the last window */
                uint64_t at; /* CLOCK_MONOTONIC, microseconds */
                uint64_t idle;
                uint64_t read;                    /* bytes, by all workers */
                struct crew_clock clocks[GUARD_MAX_SLOTS];
        } last;
};

/* crew_default() - how many may run if nobody says so */
unsigned int crew_default(void);

/* crew_init() - the first worker can be used from now on */
int crew_init(struct crew *crew, struct bus *bus, struct worker *workers, unsigned int max,
              enum options_spread mode);

/* crew_start() - the others that run from the beginning */
int crew_start(struct crew *crew);

/* crew_adopt() - an accepted socket goes to one of them; consumes @fd, see conn_new() */
int crew_adopt(struct crew *crew, const struct conn_config *config, int fd);

/* crew_stop() - all but the main thread end; crew_deinit() ends their connections, and the main thread's */
void crew_stop(struct crew *crew);
void crew_deinit(struct crew *crew);
