/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Crowd
 *
 * What it is     The well-behaved: a caller that pings, its callee, a publisher, and a subscriber
 *                that reads. Each is a process of its own and does little: a ping and a signal
 *                each millisecond.
 * Promise        crowd_stop() fails the test unless every ping was answered in time, the
 *                subscriber got every signal once and in order, broadcast or sent to it alone, and
 *                nobody was disconnected.
 */

#include <stdint.h>
#include <sys/types.h>

#include "compat-tests/fixture.h"

enum {
        CROWD_CALLER,
        CROWD_CALLEE,
        CROWD_PUBLISHER,
        CROWD_SUBSCRIBER,
        CROWD_N,
};

enum crowd_phase {
        CROWD_QUIET,  /* nobody else is there */
        CROWD_BESIDE, /* somebody is */
        CROWD_AFTER,  /* nobody any more */
        CROWD_PHASES,
};

struct crowd {
        pid_t pid[CROWD_N];
        struct crowd_state *state; /* shared by all of them */
};

struct latency { /* of pings in one phase, in microseconds */
        size_t n;
        double p50, p99, max;
};

/* crowd_start() - they are the user's; SAME_USER: as the test */
void crowd_start(struct crowd *crowd, const struct bus *bus, uid_t uid);
void crowd_enter(struct crowd *crowd, enum crowd_phase phase);
void crowd_stop(struct crowd *crowd, const struct bus *bus);
void crowd_free(struct crowd *crowd);

/* crowd_failed() - what is wrong so far, or NULL */
const char *crowd_failed(const struct crowd *crowd);

/* crowd_latency() - after crowd_stop() */
struct latency crowd_latency(const struct crowd *crowd, enum crowd_phase phase);
uint32_t crowd_signals(const struct crowd *crowd);
