/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * kdbus-serve DIRECTORY [PROGRAM ARGS...]
 *
 * A kdbus domain without a bus daemon around it: serves until PROGRAM ends, and then with its
 * status; without one, until it is killed. The tests' own way in.
 */

#include <stdio.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/kdbus/serve.h"

int main(int argc, char **argv)
{
        int r;

        if (argc < 2) {
                fprintf(stderr, "usage: kdbus-serve DIRECTORY [PROGRAM ARGS...]\n");
                return 2;
        }
        error_setup();
        r = serve_program(argv[1], argc > 2 ? argv + 2 : NULL);
        if (r < 0)
                fprintf(stderr, "kdbus-serve: %s: %s\n", argv[1], strerror(-r));
        return r < 0 ? 1 : r;
}
