/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Service files
 *
 * What it is     The `.service` files that say how a name is brought to life, and the table of
 *                them over all service directories.
 * Promise        The first directory that names a service wins, within a directory the first
 *                file in sorted order. A file that is broken is skipped and reported, never
 *                fatal. A lookup sees the file as it is now: a changed one is read again, and an
 *                unknown name makes the directories be read again (if they changed, else at most once
 *                per second).
 * How            service-file.c reads one file; service-table.c keeps the table.
 * Guard          A table belongs to one thread at a time. A `service` is counted and immutable.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "bus-core/util/cleanup.h"

struct service_table;

struct service {
        atomic_uint refs;
        char *name;
        char **argv; /* the words of Exec, NULL at the end; NULL if it has none or is no command */
        size_t argc;
        char *exec;            /* Exec as written; NULL: not given, then systemd must know */
        char *user;            /* NULL: not given */
        char *systemd_service; /* NULL: not given */
        char *apparmor_label;  /* AssumedAppArmorLabel; NULL: not given */
        char *file;            /* path it was read from */
        struct timespec mtime; /* of that file */
};

enum { /* foreseen outcomes */
        SERVICE_E_INVALID = 1, /* the file or value breaks the format; the report says how */
        SERVICE_E_UNKNOWN,     /* no file names this service */
};

/* what is wrong with a file; text is for people; line 0: the file as a whole */
struct service_problem {
        const char *file; /* or directory */
        unsigned int line;
        const char *text;
        bool skipped; /* the file was left out, not only remarked upon */
};
typedef void service_report_fn(void *arg, const struct service_problem *problem);

enum {
        SERVICE_DIR_STRICT = 1 << 0,   /* file names must be <Name>.service: others are refused */
        SERVICE_DIR_REMARK = 1 << 1,   /* such files are reported, but taken (system bus) */
        SERVICE_DIR_UNWATCHED = 1 << 2 /* a transient directory: nobody watches it for changes */
};

int service_parse(struct service **servicep, const char *data, size_t n, const char *file,
                  service_report_fn *report, void *arg);
struct service *service_ref(struct service *service);
struct service *service_unref(struct service *service);
DEFINE_FREEP(struct service, service_unref)

int service_split_exec(char ***argvp, size_t *argcp, const char *exec);

int service_table_new(struct service_table **tablep, service_report_fn *report, void *arg);
struct service_table *service_table_free(struct service_table *table);
DEFINE_FREEP(struct service_table, service_table_free)
int service_table_add_dir(struct service_table *table, const char *path, unsigned int flags);
int service_table_scan(struct service_table *table);
int service_table_find(struct service_table *table, struct service **servicep, const char *name);
bool service_table_may_have(const struct service_table *table, const char *name);
size_t service_table_n(const struct service_table *table);
const struct service *service_table_at(const struct service_table *table, size_t i);
