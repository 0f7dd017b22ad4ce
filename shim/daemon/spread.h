/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Spread
 *
 * What it is     The decision how many workers a bus needs, and whose connections are to move.
 * How            Time is cut into windows of SPREAD_WINDOW_USEC. For each one is known what part of
 *                it every worker worked, how much of the machine nobody used, and how much was read
 *                from all connections.
 *
 *                grow    all workers were saturated for SPREAD_GROW windows in a row, and in each
 *                        half a processor and more was idle
 *                move    one is saturated and another works much less: half of the difference
 *                shrink  for SPREAD_RELAX windows one worker less would have had it easy; or for
 *                        SPREAD_CROWD windows no processor was idle: the workers may take them
 *                        from the clients
 *
 * Trials         An idle processor is only a sign: there are quotas, threads that share a core, and
 *                loads that one connection makes alone. So growing, and shrinking among the crowd,
 *                is on trial. If in most of some later windows it has not paid (5 % more was read; not
 *                5 % less) it is undone, and not tried again for a while, twice as long each time.
 * Unknown        Where nobody tells how idle the machine is (a sandbox without /proc/stat), it takes
 *                two processors more than there are workers, and the trial.
 * Why no flap    A worker is given up only if the others will have less to do than two thirds of what
 *                makes them saturated. What moves is at most three quarters of a difference (pick.h).
 * Guard          None: values in, values out.
 */

#include <stdbool.h>
#include <stdint.h>

#define SPREAD_WINDOW_USEC 100000
#define SPREAD_GROW 5
#define SPREAD_RELAX 20
#define SPREAD_CROWD 50
#define SPREAD_SETTLE 5 /* windows at the beginning of a trial that do not count */
#define SPREAD_TRIAL 10 /* those that do */

#define SPREAD_SATURATED 900 /* permille of a window */
#define SPREAD_EASY 600
#define SPREAD_ROOM 500 /* idle time that another worker needs, in permille of a processor */
#define SPREAD_CROWDED 100

#define SPREAD_BACKOFF_USEC 10000000
#define SPREAD_BACKOFF_MAX 600000000

#define SPREAD_UNKNOWN UINT32_MAX

struct spread_window {
        uint64_t now;            /* its end; CLOCK_MONOTONIC, microseconds */
        unsigned int n, max;     /* workers that run; that may */
        unsigned int processors; /* that this process may use */
        const unsigned int *busy; /* of each worker: permille of the window that it worked */
        unsigned int idle;       /* permille of one processor, of all together; SPREAD_UNKNOWN */
        uint64_t rate;           /* bytes read per second */
};

enum spread_verdict {
        SPREAD_STAY,
        SPREAD_GROW_NOW,
        SPREAD_WEIGH, /* from now on it counts who has how much work: @from may have to give */
        SPREAD_MOVE,  /* @share permille of the work of @from to @to */
        SPREAD_SHRINK,
};

struct spread_step {
        enum spread_verdict verdict;
        unsigned int from, to, share;
};

enum spread_trial { SPREAD_NO_TRIAL, SPREAD_HAS_GROWN, SPREAD_HAS_SHRUNK };

/* A number of windows in a row that have something in common, and their rates. */
struct spread_streak {
        unsigned int n;
        uint64_t sum;
};

struct spread {
        struct spread_streak saturated, crowded;
        unsigned int n_relaxed, n_uneven;
        unsigned int rest; /* windows before the next move */

        struct {
                enum spread_trial what;
                unsigned int n; /* windows so far */
                uint64_t before, rates[SPREAD_TRIAL];
        } trial;

        uint64_t not_before; /* the next trial */
        uint64_t backoff;
};

#define SPREAD_NULL ((struct spread){ .backoff = SPREAD_BACKOFF_USEC })

/* spread_is_saturated() - do all of them work nearly all the time? Else idle need not be known. */
bool spread_is_saturated(const struct spread_window *window);

/* spread_decide() - what to do after one more window; assumes that it is done */
struct spread_step spread_decide(struct spread *spread, const struct spread_window *window);
