/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Replay
 *
 * What it is     A recording acted out on a live bus, and the transcript of it.
 * Promise        1. The messages of one peer go out in the recorded order.
 *                2. Causality: a peer sends a message only after it has received all that it had
 *                   received at that point of the recording: the call that a reply answers, the
 *                   reply it waited for, the signal that one of its rules asks for.
 *                3. What changes the state of the bus (connections, names, match rules) happens
 *                   at the same place among the messages as in the recording: all before it have
 *                   been handled by the bus, none after it has been sent.
 *                4. What is said to be missing is missing. It is no time-out that decides: a ping
 *                   through the bus went behind it, and its answer came.
 *                5. Memory is bounded by the number of peers, names and rules and by a window of
 *                   messages under way, whatever the length of the recording.
 * How            Two replays therefore differ in nothing but the order in which messages of
 *                unrelated peers cross, and a transcript is compared per sender and receiver.
 *
 *                    recording -> admit -> actor's queue -> send -> bus -> receive -> transcript
 *                                   |                        |                |
 *                         waits for changes of state   waits for awaited   settles, arrives
 * Not promised   Monitors are not recreated: they would see the pings. Descriptors are stand-ins.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus-core/util/cleanup.h"
#include "tools/latency.h"
#include "tools/recording.h"
#include "tools/transcript.h"

struct replay_options {
        const char *address;
        bool recorded_pace;    /* else as fast as possible */
        unsigned int stall_ms; /* without a sign of life the bus is taken for dead; 0: a default */
        const volatile sig_atomic_t *stop; /* ends early when this is set; may be NULL */
        void (*progress)(void *context, uint64_t done, uint64_t total);
        void *context;
};

struct replay_result {
        struct transcript transcript;
        struct latency latency;
        uint64_t n_sent, n_received, duration_ns;
        uint64_t n_lost;    /* deliveries that the recording shows and that did not happen */
        uint64_t n_skipped; /* replies not sent since their calls never came */
        uint64_t n_ignored; /* messages of monitors and of peers that cannot be recreated */
        char error[1024];   /* why the replay ended early; empty: it did not */
};

int replay_result_init(struct replay_result *result);
void replay_result_deinit(struct replay_result *result);

/**
 * replay_run() - act out a recording
 * @result:     filled; also when the bus died on the way, with result->error set
 *
 * Return:      0, 1 if it ended early, or a negative errno.
 */
int replay_run(struct replay_result *result, struct recording *rec,
               const struct replay_options *options);
