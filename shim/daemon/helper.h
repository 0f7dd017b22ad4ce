/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Helper
 *
 * What it is     What lambus-daemon-launch-helper does: the small program, setuid to root, by
 *                which a system bus that runs as a user of its own starts services as theirs.
 * Trust          Its caller is the bus's user, and may have been taken over: of what it hands in,
 *                only the name is used, and that only to find a file. Everything else comes from
 *                the system bus's configuration and from the service file in one of its
 *                directories that is called exactly <name>.service.
 * Promise        1. It does nothing for anyone but the configuration's <user>, or root, who needs no
 *                   helper to do the same: systemd's unit lambus-service@.service runs it so.
 *                2. The service gets an empty environment but for the address and type of the bus,
 *                   descriptors 0 to 2, no group or privilege but those of User, directory /,
 *                   umask 022, and no blocked signals.
 *                3. The exit status tells the bus what went wrong (enum helper_status).
 * How            main() in launch-helper.c clears the environment before anything reads it, then:
 *                helper_find() the service, helper_check_caller(), helper_become() its user,
 *                helper_exec().
 */

#include "shim/bus/service-file.h"

struct busconfig;

/* Exit statuses: those of dbus-daemon-launch-helper, which activate-launch.c explains. */
enum helper_status {
        HELPER_OK,
        HELPER_FAILED,
        HELPER_NO_MEMORY,
        HELPER_CONFIG_INVALID,
        HELPER_SETUP_FAILED,
        HELPER_NAME_INVALID,
        HELPER_SERVICE_NOT_FOUND,
        HELPER_PERMISSIONS_INVALID,
        HELPER_FILE_INVALID,
        HELPER_EXEC_FAILED,
        HELPER_INVALID_ARGS,
};

/* helper_configure() - read the bus's configuration, which must say who its user is */
enum helper_status helper_configure(struct busconfig **out, const char *file);

/* helper_check_caller() - are we root, by ourselves or on behalf of the bus's user? */
enum helper_status helper_check_caller(const struct busconfig *config, uid_t uid, uid_t euid);

/* helper_find() - the service that has a file of its name, a user and a command */
enum helper_status helper_find(struct service **out, const struct busconfig *config,
                               const char *name);

/* helper_become() - that user, for good */
enum helper_status helper_become(const char *user);

/* helper_exec() - returns only if there is no such program */
enum helper_status helper_exec(const struct service *service);
