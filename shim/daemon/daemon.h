/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Daemon
 *
 * What it is     One bus with its configuration, listeners and workers, from start to end.
 *
 *                daemon_configure()   read the configuration
 *                daemon_listen()      sockets, and the addresses they are printed as
 *                daemon_serve()       fork, pid file, user; workers; until SIGTERM
 *                daemon_reload()      read the configuration again (reload.c)
 */

#include <systemd/sd-login.h>

#include "shim/bus/bus.h"
#include "shim/daemon/busconfig.h"
#include "shim/daemon/crew.h"
#include "shim/daemon/listen.h"
#include "shim/daemon/metrics.h"
#include "shim/daemon/options.h"
#include "shim/daemon/places.h"
#include "shim/daemon/spawn.h"
#include "shim/daemon/worker.h"
#include "shim/kdbus/bridge.h"
#include "shim/wire/auth-cookie.h"

struct daemon {
        struct options options;
        struct bus bus;
        struct busconfig *config;
        struct {        /* what is told of it; the guard's write side */
                uint64_t read;        /* CLOCK_MONOTONIC, microseconds */
                unsigned int n_again; /* times it was read again */
                char failure[1024];   /* why that failed the last time; "": it did not */
        } told;
        bool fell_back; /* that is the built-in one, for the file is broken */
        struct cookie_ring cookies;
        struct listeners listeners;
        struct metrics metrics;
        struct worker *workers; /* the first is the main thread's */
        unsigned int n_workers; /* at most */
        struct crew crew;
        bool bus_is_up, listeners_are_up;

        struct spawner spawner;
        struct bridge *kdbus; /* NULL unless asked for */
        int signal_fd;
        struct watch signals;
        struct places places;
        struct watch changes;
        struct watch policy_events; /* of a security module */
        struct { /* who is at the console (console.c) */
                sd_login_monitor *monitor;
                struct watch watch;
                struct timer settle;
        } seats;
        struct timer settle; /* set while files are still changing */
        struct timer expire; /* set while replies can come too late */
        char *pidfile; /* ours to remove; NULL: none */
        int tell; /* parent of a fork waits here; -1: none */
        bool logs;         /* standard error may be gone: what is to be said goes to the log */
        char failure[768]; /* why it cannot start; "": its error number says it all */
};

int daemon_init(struct daemon *d, const struct options *options);
void daemon_deinit(struct daemon *d);
int daemon_configure(struct daemon *d);
int daemon_listen(struct daemon *d);
int daemon_serve(struct daemon *d);

/* daemon_fail() - note why it cannot start; the first reason counts. Returns @error */
_printf_(3, 4) int daemon_fail(struct daemon *d, int error, const char *format, ...);

/* daemon_tell_failure() - say so, once: nothing ends without a word */
void daemon_tell_failure(const struct daemon *d, int error);

/* daemon_read_config() - the configuration as it is written now; not applied */
int daemon_read_config(struct daemon *d, struct busconfig **configp, struct busconfig_note *note);

/* daemon_describe_note() - file, line and text of what is wrong */
void daemon_describe_note(const struct daemon *d, const struct busconfig_note *note, int r,
                          char *buf, size_t size);

/* daemon_apply() - what a configuration says about a running bus: limits, policy, services */
int daemon_apply(struct daemon *d, struct turn *turn, struct busconfig *config);

/**
 * daemon_reload() - read the configuration again and apply it as a whole, or keep the old one
 * @turn:       holds the write side
 * @why:        @size bytes for the reason of a failure, which the log has as well
 *
 * Return:      0; -ENOENT if a file is not there; another negative errno.
 */
int daemon_reload(struct daemon *d, struct turn *turn, char *why, size_t size);

/* daemon_describe_config() - the configuration in force, as a value of type BUS_CONFIG_TYPE */
void daemon_describe_config(const struct daemon *d, struct writer *w);

/* daemon_watch_files() - reload when configuration or service files change */
int daemon_watch_files(struct daemon *d);
void daemon_unwatch_files(struct daemon *d);

/* daemon_mediate() - see which security modules are on (security.c) */
int daemon_mediate(struct daemon *d);

/* daemon_associate() - the contexts that the configuration gives to names; write side */
int daemon_associate(struct daemon *d, const struct busconfig *config);

/* daemon_watch_mediation() - reload when a module loads a new policy */
int daemon_watch_mediation(struct daemon *d);
void daemon_unwatch_mediation(struct daemon *d);

/* daemon_watch_console() - notice changes of seats, if the policy asks who is at the console */
int daemon_watch_console(struct daemon *d);
void daemon_unwatch_console(struct daemon *d);
