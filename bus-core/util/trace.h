/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Trace
 *
 * What it is     One line per station of a message's road, with its serial: the log is the road.
 * How            LAMBUS_TRACE=1 in the environment switches it on; off, a station costs one
 *                predicted branch.
 */

#include "bus-core/util/cleanup.h"

extern int trace_on; /* set once by trace_setup(); read only afterwards */

void trace_setup(void);
void trace_print(const char *station, const char *format, ...) _printf_(2, 3);

#define trace(station, ...)                                                                        \
        do {                                                                                       \
                if (__builtin_expect(trace_on, 0))                                                 \
                        trace_print(station, __VA_ARGS__);                                         \
        } while (0)
