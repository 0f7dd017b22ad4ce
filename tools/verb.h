/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Verbs
 *
 * What it is     What lambusctl can do. Each verb is one file verb-*.c with one function here and
 *                one row in the table of lambusctl.c.
 * How            argv[0] is the program, the verb itself is left out. The return value is the exit
 *                status: 0 it is as it should be, 1 something was found, 2 it could not be done.
 */

#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus-core/util/cleanup.h"

enum {
        VERB_OK = 0,
        VERB_FOUND = 1,
        VERB_FAILED = 2,
};

int verb_status(int argc, char **argv);
int verb_top(int argc, char **argv);
int verb_record(int argc, char **argv);
int verb_replay(int argc, char **argv);
int verb_compare(int argc, char **argv);
int verb_conformance(int argc, char **argv);
int verb_check_migration(int argc, char **argv);
int verb_check_config(int argc, char **argv);
int verb_why(int argc, char **argv);
int verb_switch(int argc, char **argv);
int verb_kdbus_run(int argc, char **argv);

/* verb_fail() - say what went wrong, in the manner of all tools; returns VERB_FAILED */
_printf_(1, 2) int verb_fail(const char *format, ...);

/* What options a verb takes. Those that several take have one number each; its own come after. */
enum {
        OPT_HELP = 256,
        OPT_SYSTEM,
        OPT_SESSION,
        OPT_ADDRESS,
        OPT_CONFIG,
        OPT_PACE,
        OPT_JSON,
        OPT_OWN,
};

#define VERB_DONE (-1) /* the help was asked for, and shown */

struct verb_options {
        const struct option *options; /* --help, OPT_HELP, is among them */
        const char *letters;          /* of those that have one, as in getopt() */
        const char *help;
        int max_words; /* that may come beside options */
        int (*take)(void *verb, int option); /* with optarg; 0 or VERB_FAILED */
};

/**
 * verb_read_options() - give a verb the options that it was called with
 *
 * Return:      0 and optind is at the first of its words; VERB_DONE; or VERB_FAILED, with the
 *              reason printed.
 */
int verb_read_options(const struct verb_options *options, void *verb, int argc, char **argv);

/* verb_pace() - for OPT_PACE: "recorded" or "fast"; 0 or VERB_FAILED */
int verb_pace(bool *recorded);

/* verb_duration() - "90", "90s", "5m", "1h" in nanoseconds; false if it is none */
bool verb_duration(const char *text, uint64_t *out);

/* verb_size() - "4096", "64K", "16M", "2G" in bytes */
bool verb_size(const char *text, uint64_t *out);

/* verb_warn_recording() - say what is known to be amiss with a recording that can be used */
struct recording;
void verb_warn_recording(const struct recording *rec);

/* verb_stop_at_signals() - an interrupt or a request to end sets verb_stop, the second one ends */
extern volatile sig_atomic_t verb_stop;
void verb_stop_at_signals(void);

/* verb_progress() - rewrite the progress line on a terminal; NULL: wipe it */
void verb_progress(const char *text);
