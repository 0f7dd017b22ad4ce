/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Misbehave
 *
 * What it is     One bus, the crowd on it, and somebody who misbehaves: what the crowd must not
 *                notice.
 * Length         Some seconds for each in `make check`. `--seconds N`, or MISBEHAVE_SECONDS, makes
 *                it as long as one likes; from TIMED_SECONDS on, the pings are judged, too.
 */

#include "compat-tests/fixture.h"
#include "compat-tests/misbehave/crowd.h"
#include "compat-tests/misbehave/witness.h"

#define TIMED_SECONDS 10

/* seconds() - how long somebody misbehaves; @preset if nothing is said */
double seconds(double preset);

#define SAME_USER ((uid_t)-1)

/* run_child() - a process of the user @uid that does @run until it is killed */
pid_t run_child(void (*run)(const char *address), const char *address, uid_t uid);

/* become() - this process is the user's, who is in no group but his own; SAME_USER: as it is */
void become(uid_t uid);
void end_child(pid_t pid);

/* show() - one row of what is printed: the crowd has stopped */
void show(const char *who, const struct crowd *crowd, const char *format, ...)
        __attribute__((__format__(__printf__, 3, 4)));

void malformed(struct bus *bus);            /* malformed.c */
void few_descriptors(struct bus *bus);      /* scarcity.c */
void little_memory(struct bus *bus);
void famine(struct bus *bus);
