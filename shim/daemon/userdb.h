/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * User database
 *
 * What it is     Names of users and groups, as configuration files give them, to numbers.
 * How            /etc/passwd and /etc/group are read first: a bus must come up although the
 *                services behind nsswitch.conf need a bus to answer. Only names that are not
 *                there go to the C library.
 */

#include <sys/types.h>

enum { USERDB_E_UNKNOWN = 1 };

int userdb_user(uid_t *uidp, gid_t *gidp, const char *name);
int userdb_group(gid_t *gidp, const char *name);
