/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Log
 *
 * What it is     One place through which the bus speaks to its administrator.
 * Promise        A cause that repeats is counted, not repeated: within LOG_WINDOW seconds one
 *                line per (topic, subject), and then how many more there were.
 * Memory         The last LOG_RECALL lines that are worth a notice are kept, for whoever asks the
 *                bus instead of looking for its log.
 * How            The daemon sets the sink (stderr, syslog or the journal); without one, lines go
 *                to stderr.
 * Guard          Any thread.
 */

#include <stddef.h>
#include <stdint.h>
#include <syslog.h>

#include "bus-core/util/cleanup.h"

#define LOG_WINDOW 5 /* seconds in which a repeated cause is only counted */

#define LOG_RECALL 16
#define LOG_RECALL_MAX 480 /* bytes that are kept of a line */

struct log_memory {
        uint64_t at;  /* CLOCK_MONOTONIC, microseconds */
        int priority; /* LOG_NOTICE or worse */
        char text[LOG_RECALL_MAX];
};

typedef void log_sink_fn(int priority, const char *line);

/* log_set_sink() - before any thread starts */
void log_set_sink(log_sink_fn *sink, const char *prefix);

/* log_line() - one line at a syslog priority (LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO) */
void log_line(int priority, const char *format, ...) _printf_(2, 3);

/**
 * log_limited() - one line per cause
 * @topic:      what went wrong; a string constant, by its address
 * @subject:    who, a peer id or uid
 */
void log_limited(int priority, const char *topic, uint64_t subject, const char *format, ...)
        _printf_(4, 5);

/* log_recall() - what was said lately, the latest first; returns how much that is */
size_t log_recall(struct log_memory memory[LOG_RECALL]);
