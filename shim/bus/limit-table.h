/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Limit table
 *
 * What it is     The limits of a bus as configured: those that hold for everyone, and overrides for
 *                users, units and executables. limits_for() makes of it the set that holds for one
 *                connection.
 * Promise        1. Overrides are asked in the order in which they were read; the last that matches
 *                   wins, as with policy.
 *                2. Each number of a set says where it was written. A set keeps its table alive, so
 *                   a new table can replace the old one at any time.
 *                3. Connections for which no override matches share one set.
 * How            A user is the kernel's word. A unit is a pattern for any part of the control
 *                group's path: a slice stands for all units in it. An executable is a pattern for
 *                what /proc/PID/exe shows, which only root and the same user may read; where it
 *                cannot be read, no pattern matches. Unit and executable are looked up only if some
 *                override asks for them. They are no credentials: a process may become another
 *                program once it has connected.
 * Guard          A table is filled by one thread and immutable from then on. Counts are atomic.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "bus-core/util/cleanup.h"
#include "shim/bus/limits.h"

struct creds;
struct limit_table;

struct limit_override {
        size_t limit; /* LIMIT_INDEX() of one whose scope is not LIMIT_OF_BUS */
        uint64_t value;
        bool has_user;
        uid_t user;
        const char *unit;       /* pattern, as for fnmatch(); NULL: any */
        const char *executable; /* likewise */
        struct limit_origin origin;
};

struct limit_set {
        atomic_uint refs;
        struct limit_table *table; /* counted, except in the set that the table itself holds */
        struct limits limits;
        struct limit_origin origin[LIMITS_N];
};

/* whom limits are for */
struct limit_subject {
        bool has_uid;
        uid_t uid;
        const char *executable; /* NULL: not known */
        const char *cgroup;     /* path; NULL: not known */
};

/**
 * limit_table_new() - a table without overrides
 * @limits:     copied, and so is @origin with its texts
 */
int limit_table_new(struct limit_table **tablep, const struct limits *limits,
                    const struct limit_origin origin[LIMITS_N]);
struct limit_table *limit_table_ref(struct limit_table *table);
struct limit_table *limit_table_unref(struct limit_table *table);
DEFINE_FREEP(struct limit_table, limit_table_unref)

/* limit_table_common() - the limits of everyone; lives as the table */
const struct limit_set *limit_table_common(const struct limit_table *table);

/* limit_table_append() - one more override, copied with its texts */
int limit_table_append(struct limit_table *table, const struct limit_override *override);
size_t limit_table_n(const struct limit_table *table);
const struct limit_override *limit_table_at(const struct limit_table *table, size_t i);

/**
 * limits_for() - the limits of a connection
 * @creds:      whose
 *
 * Reads /proc if an override asks for it.
 */
int limits_for(struct limit_set **setp, struct limit_table *table, const struct creds *creds);

/* limits_of() - the same for a subject that is known already */
int limits_of(struct limit_set **setp, struct limit_table *table,
              const struct limit_subject *subject);

/* limit_override_matches() - does it speak of @subject? */
bool limit_override_matches(const struct limit_override *override,
                            const struct limit_subject *subject);

struct limit_set *limit_set_ref(struct limit_set *set);
struct limit_set *limit_set_unref(struct limit_set *set);
DEFINE_FREEP(struct limit_set, limit_set_unref)
