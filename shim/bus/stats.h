/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Statistics
 *
 * What it is     A report of who does how much on a bus, and who troubles it: by connection,
 *                process, unit and user, and by kind of message.
 * How            stats_take() copies numbers under the guard's write side, so that they fit
 *                together; sorting and writing is done without it.
 * Pressure       What orders the rows of a report: the largest of a row's shares, 1.0 being all
 *                there is. How full its queues are, how many rules, names and open calls it has of
 *                those it may have; how much of what the bus was busy with lately was its doing
 *                (messages, bytes, connections made, connections that had to be ended), which
 *                weighs only as far as the bus was busy. The culprit comes first.
 * Guard          A report belongs to its caller.
 */

#include "shim/bus/bus.h"

#define STATS_VERSION 1
#define STATS_LIMITS  16 /* that are nearest to full */

enum gauge {
        GAUGE_CONNECTIONS,
        GAUGE_PEAK_CONNECTIONS,
        GAUGE_CONNECTS, /* ever */
        GAUGE_FORCED,   /* of them, sent away */
        GAUGE_QUEUED_BYTES,
        GAUGE_PEAK_QUEUED_BYTES,
        GAUGE_QUEUED_FDS,
        GAUGE_PARTIAL_BYTES, /* received of messages that are not complete */
        GAUGE_PARTIAL_FDS,
        GAUGE_MATCH_RULES,
        GAUGE_NAMES,
        GAUGE_CALLS_WAITING, /* calls of its that wait for an answer */
        GAUGE_N,
};

/* gauge_name() - "connections" and so on */
const char *gauge_name(enum gauge what);

enum stats_kind {
        STATS_USERS = LEDGER_USERS,
        STATS_UNITS = LEDGER_UNITS,
        STATS_PROCESSES = LEDGER_PROCESSES,
        STATS_CONNECTIONS,
        STATS_N,
};

struct stats_row {
        char name[LEDGER_NAME]; /* uid, unit, pid, or unique name */
        char comm[64];          /* of a process; a well-known name of a connection */
        char owner[LEDGER_NAME]; /* the unit of a process, the pid of a connection */
        double pressure;
        uint64_t count[COUNT_N];
        uint64_t gauge[GAUGE_N];
};

struct stats_message {
        char text[KINDS_TEXT];
        uint64_t messages, bytes;
};

struct stats_list {
        struct stats_row *rows; /* the most troubling first */
        size_t n, room;
};

/* How full something is that is limited. */
struct stats_limit {
        size_t limit; /* LIMIT_INDEX() */
        uint64_t now, max;
        const struct client *client; /* whose; NULL: of the whole bus. While the guard is held */
        char who[LEDGER_NAME];       /* unique name; "uid 7" for a user; "" for the bus */
        char text[BUS_LIMIT_MAX];    /* value, and where it was set */
};

struct stats {
        struct stats_list list[STATS_N];
        struct stats_message *messages; /* the most frequent first */
        size_t n_messages;
        uint64_t other_messages, other_bytes;
        struct stats_limit limits[STATS_LIMITS]; /* the fullest first */
        size_t n_limits;
        struct stats_row total;
        uint64_t n_rules, n_names, n_incomplete, n_monitors;
        uint64_t n_workers, n_moved; /* threads; connections that went from one to another */
};

#define STATS_NULL ((struct stats){})

/**
 * stats_take() - a report as of now
 * @out:        STATS_NULL; stats_deinit() also after a failure
 * @turn:       holds the guard's write side
 */
int stats_take(struct stats *out, struct turn *turn);

/* stats_count_client() - the numbers of one connection; the guard is held, either side */
void stats_count_client(struct stats_row *row, const struct client *client);

/* stats_sort() - put it in order; needs no guard */
void stats_sort(struct stats *stats);
void stats_deinit(struct stats *stats);
