/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Options
 *
 * What it is     The command line: dbus-daemon's, and a few words of our own.
 * Promise        Whatever starts dbus-daemon can start this, with the same words; a word that
 *                follows a bare --print-address, --print-pid, --config-file or --address is its
 *                value, as there.
 */

#include <stdbool.h>

enum options_log {
        OPTIONS_LOG_AS_CONFIGURED,
        OPTIONS_LOG_STDERR, /* --nosyslog */
        OPTIONS_LOG_BOTH,   /* --syslog */
        OPTIONS_LOG_SYSLOG, /* --syslog-only */
};

enum options_action {
        OPTIONS_RUN,
        OPTIONS_VERSION,
        OPTIONS_INTROSPECT,
        OPTIONS_USAGE,  /* what was said cannot be understood: usage, exit 1 */
        OPTIONS_FAILED, /* the reason is printed */
};

enum options_bus { /* which configuration */
        OPTIONS_BUS_OTHER,   /* --config-file */
        OPTIONS_BUS_SESSION, /* --session */
        OPTIONS_BUS_SYSTEM,  /* --system */
};

enum options_spread { /* when more than one worker runs; see crew.h */
        SPREAD_ON_DEMAND,
        SPREAD_ALWAYS,
        SPREAD_RANDOM,
};

struct options {
        const char *config_file;
        enum options_bus bus;
        const char *address; /* instead of every <listen>; NULL: as configured */
        int print_address;   /* descriptor; -1: do not */
        int print_pid;
        int fork; /* 1 --fork, 0 --nofork, -1 as configured */
        bool nopidfile;
        bool systemd_activation;
        const char *service_unit; /* template of systemd's; NULL: none */
        enum options_log log;
        unsigned int workers; /* 0: choose */
        enum options_spread spread;
        const char *metrics;     /* address where to report; NULL: nowhere */
        const char *console_dir; /* who has a file there is at the console; NULL: CONSOLE_DIR */
        const char *kdbus;    /* state directory of a kdbus domain to serve beside; NULL: none */
        char **args;          /* owned; the texts above lie in it */
};

enum options_action options_parse(struct options *options, int argc, char **argv);
void options_deinit(struct options *options);
void options_usage(void);
