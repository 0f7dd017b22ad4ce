/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Culprit
 *
 * What it is     A program that misbehaves, in one of the ways that a bus has to bear. It is a
 *                process of its own, goes on until it is killed, and comes again if it is thrown
 *                out.
 */

#include <stddef.h>

struct culprit {
        const char *name;
        void (*run)(const char *address);
        unsigned int connections; /* that it has at a time, at most */
        unsigned int message;     /* bytes of the smallest message that it makes the bus keep */
};

extern const struct culprit culprits[];
extern const size_t n_culprits;
