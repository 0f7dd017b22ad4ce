/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/trace.h"

int trace_on;

/**
 * trace_setup() - read LAMBUS_TRACE once, before any thread starts
 */
void trace_setup(void)
{
        const char *e = getenv("LAMBUS_TRACE");

        trace_on = e && strchr(e, '1');
}

void trace_print(const char *station, const char *format, ...)
{
        char line[512];
        va_list ap;
        int n;

        n = snprintf(line, sizeof(line), "%-8s ", station);
        va_start(ap, format);
        vsnprintf(line + n, sizeof(line) - n, format, ap);
        va_end(ap);
        fprintf(stderr, "%s\n", line);
}
