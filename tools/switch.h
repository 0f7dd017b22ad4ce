/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Switch
 *
 * What it is     Which bus systemd starts: /etc/systemd/system/dbus.service, and the same below
 *                user/, as a link to lambus.service or not.
 * Promise        1. Back leaves what was there before: what on() replaces is kept beside it, as
 *                   dbus.service.before-lambus, a name that systemd does not look at.
 *                2. Each step leaves a system that boots: the link is replaced by rename(), and
 *                   what is to be kept has been kept before. Whatever was interrupted can be done
 *                   again, or undone.
 *                3. Nothing runs and nothing is asked: neither systemd nor a bus has to be there,
 *                   and the root may be an image's. No link in it leads out of it.
 * Not promised   That lambus serves there: see verb-switch.c.
 */

#include <stdbool.h>
#include <stddef.h>

#include "bus-core/util/cleanup.h"

#define SWITCH_UNIT "lambus.service"
#define SWITCH_NAME "dbus.service"
#define SWITCH_KEPT "dbus.service.before-lambus"

enum switch_scope {
        SWITCH_SYSTEM,
        SWITCH_USERS,
        SWITCH_SCOPE_N,
};

enum switch_state {
        SWITCH_NONE,    /* no link: what the packages brought */
        SWITCH_LAMBUS,  /* a link to lambus.service */
        SWITCH_OTHER,   /* something else of this machine's own */
        SWITCH_MASKED,  /* a link to /dev/null */
};

enum switch_error {
        SWITCH_E_NO_SYSTEMD = 1, /* no /etc/systemd */
        SWITCH_E_NO_UNIT,        /* no lambus.service, or it is masked */
        SWITCH_E_MASKED,         /* someone does not want a bus there */
        SWITCH_E_ODD,            /* neither a link nor a file */
        SWITCH_E_NOTHING_LEFT,   /* without lambus, there would be no bus */
};

struct switch_place {
        int root;          /* the root's directory */
        int dir;           /* where the link is, or is to be; -1: there is no such directory */
        enum switch_scope scope;
};

#define SWITCH_PLACE_NULL ((struct switch_place){ .root = -1, .dir = -1 })
#define SWITCH_PATH_MAX 4096

/* switch_open() - where the link of a scope is, below @root; 0, SWITCH_E_*, or a negative errno */
int switch_open(struct switch_place *place, const char *root, enum switch_scope scope);
void switch_close(struct switch_place *place);

/* switch_state() - which it is now; @target, SWITCH_PATH_MAX bytes, is what the link says, or "" */
enum switch_state switch_state(const struct switch_place *place, char *target);

/* switch_find() - where systemd finds the unit @name; false: nowhere, or it is masked */
bool switch_find(const struct switch_place *place, const char *name, char path[SWITCH_PATH_MAX]);

/* switch_look() - a file below the root, opened with these flags of open(); a negative errno */
int switch_look(const struct switch_place *place, const char *path, int flags);

/* switch_on(), switch_back() - 0, also if it is so already; SWITCH_E_*, or a negative errno */
int switch_on(struct switch_place *place);
int switch_back(struct switch_place *place);
