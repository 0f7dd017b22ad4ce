/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rates
 *
 * What it is     Two views of a bus held side by side: who did how much per second in between, in
 *                an order that was asked for, and as lines of a table.
 * Promise        1. Whoever came in between has all that it did counted; whoever went has gone.
 *                2. Of a list that is not told as a whole, one that was not in it before has no
 *                   rates, since what it did before is not known.
 *                3. A line is never wider than it was asked to be.
 */

#include "tools/view.h"

enum rates_by {
        RATES_USERS = STATS_USERS,
        RATES_UNITS = STATS_UNITS,
        RATES_PROCESSES = STATS_PROCESSES,
        RATES_CONNECTIONS = STATS_CONNECTIONS,
        RATES_MEMBERS, /* interface.member */
        RATES_N,
};

enum rates_sort {
        RATES_BY_MESSAGES,
        RATES_BY_BYTES,
        RATES_BY_QUEUE,
        RATES_BY_FDS,
        RATES_BY_WAKEUPS,
        RATES_BY_PRESSURE,
        RATES_SORT_N,
};

struct rates_row {
        const struct stats_row *row;         /* of the later view, borrowed; or */
        const struct stats_message *message; /* of RATES_MEMBERS */
        double per_second[COUNT_N];
};

struct rates {
        enum rates_by by;
        enum rates_sort sort;
        const struct view *view; /* the later one, borrowed */
        double seconds;          /* between the two; 0: there was no earlier one */
        struct rates_row *rows;
        size_t n;
        struct rates_row total;
};

#define RATES_NULL ((struct rates){})
#define RATES_ALL_TOLD 256 /* rows of a sort that lambus tells: a list as long as that may be cut */

/* rates_make() - @before NULL: there is none yet; 0 or -ENOMEM; @out is RATES_NULL */
int rates_make(struct rates *out, const struct view *before, const struct view *now,
               enum rates_by by, enum rates_sort sort);
void rates_deinit(struct rates *rates);

/* rates_head(), rates_line() - one line of the table, at most @width characters */
void rates_head(const struct rates *rates, char *buf, size_t size, size_t width);
void rates_line(const struct rates *rates, size_t i, char *buf, size_t size, size_t width);

/* rates_json() - as an object, with at most @max rows */
json_t *rates_json(const struct rates *rates, size_t max);

/* rates_by_name(), rates_sort_name() - "connection"; "messages" */
const char *rates_by_name(enum rates_by by);
const char *rates_sort_name(enum rates_sort sort);
