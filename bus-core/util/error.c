/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"

int error_tracing;

/**
 * error_setup() - read LAMBUS_TRACE once, before any thread starts
 */
void error_setup(void)
{
        const char *e = getenv("LAMBUS_TRACE");

        error_tracing = e && strstr(e, "errors");
}

int error_print(int r, const char *what, const char *file, int line, const char *func)
{
        fprintf(stderr, "lambus: %s %s:%d %s(): %s\n", what, file, line, func, strerror(-r));
        return r;
}
