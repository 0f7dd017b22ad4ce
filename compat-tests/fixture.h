/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fixture
 *
 * What it is     One bus under test: a directory of its own, a configuration file, the daemon's
 *                process, and what must be true of it when it goes.
 * Which          BUS_UNDER_TEST is the program, /usr/bin/dbus-daemon by default; BUS_WRAPPER is a
 *                command put before it (valgrind, say). BUS_WORKERS adds `--workers N`,
 *                BUS_SPREAD the `--spread` that goes with it: by default all run always.
 * Promise        bus_stop() fails the test if the daemon was gone before, kept descriptors of
 *                connections that are closed, did not end with status 0 at SIGTERM, or printed what
 *                a sanitizer or valgrind prints.
 * Expansion      Everywhere in a scenario's texts: ${dir} the bus's directory, ${service} the
 *                program of service.c, ${address} and ${guid} what the bus printed, ${pid}, ${uid},
 *                ${gid}, ${hexuid} (as EXTERNAL wants it), ${x*N} the character x N times,
 *                ${env:NAME}.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct bus_options {
        const char *config;             /* the whole file; all up to `extra` is then unused */
        const char *type;               /* "session" */
        const char *listen;             /* "unix:path=${dir}/bus"; a list is cut at `;` */
        const char *auth;               /* "EXTERNAL"; words; "" leaves the elements out */
        const char *limits;             /* "name=value name=value" */
        const char *policy;             /* elements of the default policy; all is allowed if NULL */
        const char *extra;              /* more elements, at the end */
        const char *const *files;       /* name, content, name, content, NULL; below ${dir} */
        const char *const *arguments;   /* more of them, NULL at the end */
        const char *const *environment; /* NAME=VALUE, NULL at the end */
        unsigned int sockets;           /* pass so many, listening at ${dir}/socket0 and on */
        bool no_address;                /* do not ask for one, nor wait */
        bool no_fd_check;               /* descriptors may stay open (activated services) */
        bool own_arguments;             /* `arguments` is all that is given */
};

struct bus {
        pid_t pid;
        char *dir;
        char *address;          /* as printed, without the newline */
        unsigned int n_fds;     /* open in the daemon before any client came */
        const struct bus_options *options;
        bool told_to_end;       /* by the scenario, with SIGTERM */
        bool ended;             /* its end has been seen and judged by the scenario */
};

const char *bus_program(void);
void bus_prepare(struct bus *bus, const struct bus_options *options);
void bus_spawn(struct bus *bus);
void bus_start(struct bus *bus, const struct bus_options *options);
void bus_stop(struct bus *bus);
int bus_wait(struct bus *bus);
unsigned int bus_count_fds(const struct bus *bus); /* open in the daemon, and two */
void bus_forget(struct bus *bus);

char *bus_expand(const struct bus *bus, const char *text);
char *bus_path(const struct bus *bus, const char *name);
void bus_write(const struct bus *bus, const char *name, const char *content);
char *bus_read(const struct bus *bus, const char *name);
char *bus_log(const struct bus *bus);
bool bus_log_has(const struct bus *bus, const char *text);

void sleep_ms(unsigned int ms);
_Noreturn void bus_fail(const struct bus *bus, const char *format, ...)
        __attribute__((__format__(__printf__, 2, 3)));
