/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Witness
 *
 * What it is     What can be seen of a bus from outside while somebody misbehaves: its memory,
 *                whom its statistics name first, and whom its log says it has disconnected.
 * Bound          The memory that the configured limits allow. Starting from what the quiet bus has,
 *                each connection that the culprits may have open adds
 *
 *                  its queue   max_outgoing_bytes, once for what others send and once more for
 *                              what the bus itself must say; and one message over it
 *                  its input   max_message_size, for a message that is not complete
 *                  the rest    rules, names and calls, as many as it may have, at their largest
 *
 *                and each message in a queue costs KEPT bytes beside its own.
 * Report         GetStats() of org.freedesktop.DBus.Debug.Stats, its org.lambus.Processes: the
 *                first row is the process that troubles the bus most.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "compat-tests/client.h"
#include "compat-tests/fixture.h"
#include "compat-tests/misbehave/culprit.h"

#define WITNESS_FIRST 16 /* rows of a report that are looked at */

struct witness {
        const struct bus *bus;
        struct client *client; /* that asks for reports */
        uint64_t quiet, peak;  /* resident memory, bytes */
        pid_t first[WITNESS_FIRST];
        double pressure[WITNESS_FIRST];
        size_t n_first;
};

void witness_start(struct witness *witness, const struct bus *bus);
void witness_stop(struct witness *witness);

/* witness_look() - its memory now; the first look is the quiet bus */
void witness_look(struct witness *witness);

/* witness_ask() - a report: pids, the most troubling first */
void witness_ask(struct witness *witness);

/* witness_bound() - the most memory that the bus may have beside these culprits */
uint64_t witness_bound(const struct witness *witness, const struct culprit *const *who, size_t n);

/* witness_memory_counts() - or is there a tool below that needs more than the bus? */
bool witness_memory_counts(void);

/* witness_disconnected() - the pid of somebody else than these whom the log says was disconnected */
pid_t witness_disconnected(const struct witness *witness, const pid_t *culprits, size_t n);

/* witness_log_lines() - how many lines of the log have this text */
unsigned int witness_log_lines(const struct bus *bus, const char *text);
