/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Busconfig
 *
 * What it is     A `<busconfig>` file and all that it includes, read into one value.
 * Promise        1. Whatever dbus-daemon accepts is accepted, with the same meaning.
 *                2. A file is taken as a whole or not at all. A bad file in an included
 *                   directory is left out, and listed in `skipped` with line and reason;
 *                   with BUSCONFIG_LENIENT so is every other included file. A bad root file
 *                   fails, and leaves nothing behind.
 *                   When it was good the last time, busconfig_read_again() takes it as it was.
 *                3. Every rule and limit knows the file and line it came from.
 *                4. Directories are read in sorted order.
 * Ours alone     <?lambus-limit name="max_names_per_connection" value="9" user="backup"?> is an
 *                override for a user, unit or executable (limit-table.h). Being a processing
 *                instruction it may stand anywhere in any file, and other buses pass over it.
 *                A mistake in one is a warning.
 * Not promised   Addresses, paths and services are not looked at here, only read.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "bus-core/util/cleanup.h"
#include "shim/bus/limit-table.h"
#include "shim/bus/limits.h"
#include "shim/bus/policy.h"

/* a remark on a file; line 0: the file as a whole */
struct busconfig_note {
        char *file;
        unsigned int line;
        char *text;
};

#define BUSCONFIG_NOTE_NULL { 0 }

enum busconfig_apparmor {
        BUSCONFIG_APPARMOR_DEFAULT, /* not said: enabled */
        BUSCONFIG_APPARMOR_ENABLED, /* if the kernel has it */
        BUSCONFIG_APPARMOR_DISABLED,
        BUSCONFIG_APPARMOR_REQUIRED,
};

struct busconfig_servicedir {
        char *path;
        unsigned int flags; /* SERVICE_DIR_* */
};

struct busconfig_association { /* <associate own= context=> of <selinux> */
        char *own;
        char *context;
};

struct busconfig_text { /* a file as it was read */
        char *path;
        char *data;
        size_t n;
};

struct busconfig {
        char *type;          /* NULL: not given */
        char *user;          /* NULL: stay who we are */
        char *pidfile;       /* NULL: none */
        char *servicehelper; /* NULL: none */
        bool fork;
        bool keep_umask;
        bool syslog;
        bool allow_anonymous;
        enum busconfig_apparmor apparmor;

        char **listen; /* each list in the order written; NULL if it is empty, else NULL-terminated */
        size_t n_listen;
        char **auth; /* names of mechanisms; empty: every mechanism */
        size_t n_auth;
        struct busconfig_servicedir *servicedirs;
        size_t n_servicedirs;
        struct busconfig_association *associations;
        size_t n_associations;

        struct limits limits;
        struct limit_origin limit_origin[LIMITS_N];
        struct limit_override *overrides; /* of <?lambus-limit?>; texts are owned, files are not */
        size_t n_overrides;
        struct policy *policy; /* sealed */

        char **files; /* read or tried, the root first */
        size_t n_files;
        char **dirs; /* <includedir>s, present or not */
        size_t n_dirs;
        struct busconfig_note *skipped; /* files left out, each with its reason */
        size_t n_skipped;
        struct busconfig_text *texts; /* of included files that are good; BUSCONFIG_KEEP */
        size_t n_texts;
        struct busconfig_note *warnings; /* things passed over in files that were taken */
        size_t n_warnings;
};

enum { /* foreseen outcomes */
        BUSCONFIG_E_INVALID = 1, /* the note says where and why */
        BUSCONFIG_E_MISSING,     /* a file that must be there is not; so too */
};

enum {
        BUSCONFIG_LENIENT = 1 << 0, /* a bad <include>d file is left out like one in a directory, and
                                       one that a login needs has a stand-in */
        BUSCONFIG_KEEP = 1 << 2,    /* keep the text of files, for busconfig_read_again() */
        BUSCONFIG_ALONE = 1 << 1,   /* no other file is read, and no user database asked */
};

int busconfig_read(struct busconfig **configp, const char *path, unsigned int flags,
                   struct busconfig_note *error);
int busconfig_read_again(struct busconfig **configp, const struct busconfig *last,
                         const char *path, unsigned int flags, struct busconfig_note *error);
int busconfig_parse(struct busconfig **configp, const char *path, const char *data, size_t n,
                    unsigned int flags, struct busconfig_note *error);
struct busconfig *busconfig_free(struct busconfig *config);
DEFINE_FREEP(struct busconfig, busconfig_free)
void busconfig_note_deinit(struct busconfig_note *note);

const char *busconfig_builtin(bool system);
const char *busconfig_stand_in(const char *path);

typedef void busconfig_change_fn(void *arg, const char *text);
int busconfig_diff(const struct busconfig *from, const struct busconfig *to,
                   busconfig_change_fn *fn, void *arg);
int busconfig_diff_texts(const char *what, char **from, size_t n_from, char **to, size_t n_to,
                         busconfig_change_fn *fn, void *arg);

int busconfig_print(const struct busconfig *config, FILE *out);
