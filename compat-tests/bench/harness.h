/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Harness
 *
 * What it is     Processes that load a bus together, and one that watches.
 * How            A role is prepared in a process of its own; when all are ready, all get the same
 *                times: begin, from when on to count, end. The parent reads the bus's CPU time at
 *                the second and the third, and adds what the roles report.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct phase {
        uint64_t begin, count_from, end; /* CLOCK_MONOTONIC, ns */
};

struct report {
        uint64_t count;    /* units of work done between count_from and end */
        uint64_t p50, p99; /* ns, of roles that measure it */
};

struct role {
        void (*prepare)(void *arg);
        void (*run)(void *arg, const struct phase *phase, struct report *report);
        void *arg;
};

struct result {
        struct report sum; /* counts added; p50 and p99 of the last role that has them */
        double seconds;
        uint64_t bus_cpu; /* ns, all threads of the bus */
};

#define ROLES_MAX 64

void harness_run(struct result *result, const struct role *roles, size_t n_roles, double warm_up,
                 double seconds, pid_t bus);

uint64_t now(void);
void sleep_until(uint64_t time);
uint64_t bus_cpu(pid_t bus);
uint64_t bus_resident(pid_t bus); /* bytes */
