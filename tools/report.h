/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Report
 *
 * What it is     The result of one comparison, and the four forms in which it is told: text for a
 *                terminal, JSON for programs, JUnit for continuous integration, HTML as one page
 *                that needs nothing else.
 */

#include <stdio.h>

#include "tools/cause.h"
#include "tools/recording.h"
#include "tools/replay.h"

#define REPORT_METHODS 40U /* rows in the tables of latencies */

struct report_side {
        const char *command;
        struct replay_result result;
};

struct report {
        const struct recording *rec;
        struct report_side reference, candidate;
        struct cause_list causes;
        size_t n_unexplained; /* groups without a reason */
};

/* one row of the table of latencies, both sides of it found */
struct report_method {
        const char *name;
        const struct latency_method *reference, *candidate;
        uint64_t n;
};

/* report_methods() - the methods called most, most first; returns how many were written */
size_t report_methods(const struct report *report, struct report_method *out, size_t max);

/* report_rate() - messages received a second */
double report_rate(const struct replay_result *result);

int report_text(const struct report *report, FILE *to);
int report_json(const struct report *report, FILE *to);
int report_junit(const struct report *report, FILE *to);
int report_html(const struct report *report, FILE *to);
