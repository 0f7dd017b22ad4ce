/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/daemon/userdb.h"

#define RECORD_MAX 65536 /* room for one entry with all its members */

DEFINE_FREEP(FILE, fclose)

/* is @name a number as the C library reads it, to its last character? */
static bool parse_id(uint32_t *idp, const char *name)
{
        unsigned long id;
        char *end;

        errno = 0;
        id = strtoul(name, &end, 0);
        if (errno || end == name || *end || id >= UINT32_MAX)
                return false;
        *idp = id;
        return true;
}

/* @name NULL: by number. 0, USERDB_E_UNKNOWN or an error */
static int passwd_find(struct passwd **foundp, struct passwd *entry, char *buf, const char *name,
                       uid_t uid)
{
        _cleanup_(fclosep) FILE *file = NULL;
        struct passwd *found;
        int r;

        file = fopen("/etc/passwd", "re");
        while (file && fgetpwent_r(file, entry, buf, RECORD_MAX, &found) == 0) {
                if (name ? strcmp(found->pw_name, name) == 0 : found->pw_uid == uid) {
                        *foundp = found;
                        return 0;
                }
        }
        r = name ? getpwnam_r(name, entry, buf, RECORD_MAX, &found)
                 : getpwuid_r(uid, entry, buf, RECORD_MAX, &found);
        if (r == ENOMEM)
                return error_origin(-ENOMEM);
        if (r || !found)
                return USERDB_E_UNKNOWN;
        *foundp = found;
        return 0;
}

static int group_find(struct group **foundp, struct group *entry, char *buf, const char *name,
                      gid_t gid)
{
        _cleanup_(fclosep) FILE *file = NULL;
        struct group *found;
        int r;

        file = fopen("/etc/group", "re");
        while (file && fgetgrent_r(file, entry, buf, RECORD_MAX, &found) == 0) {
                if (name ? strcmp(found->gr_name, name) == 0 : found->gr_gid == gid) {
                        *foundp = found;
                        return 0;
                }
        }
        r = name ? getgrnam_r(name, entry, buf, RECORD_MAX, &found)
                 : getgrgid_r(gid, entry, buf, RECORD_MAX, &found);
        if (r == ENOMEM)
                return error_origin(-ENOMEM);
        if (r || !found)
                return USERDB_E_UNKNOWN;
        *foundp = found;
        return 0;
}

/**
 * userdb_user() - find a user by name or number
 * @gidp:       the primary group, or NULL
 *
 * A number that no user has is unknown, as for dbus-daemon.
 *
 * Return:      0, USERDB_E_UNKNOWN, or an error.
 */
int userdb_user(uid_t *uidp, gid_t *gidp, const char *name)
{
        _cleanup_(freep) char *buf = malloc(RECORD_MAX);
        struct passwd entry, *found;
        uint32_t id = 0;
        int r;

        if (!buf)
                return error_origin(-ENOMEM);
        r = parse_id(&id, name) ? passwd_find(&found, &entry, buf, NULL, id)
                                : passwd_find(&found, &entry, buf, name, 0);
        if (r)
                return error_fold(r);
        *uidp = found->pw_uid;
        if (gidp)
                *gidp = found->pw_gid;
        return 0;
}

/**
 * userdb_group() - find a group by name or number
 *
 * Return:      0, USERDB_E_UNKNOWN, or an error.
 */
int userdb_group(gid_t *gidp, const char *name)
{
        _cleanup_(freep) char *buf = malloc(RECORD_MAX);
        struct group entry, *found;
        uint32_t id = 0;
        int r;

        if (!buf)
                return error_origin(-ENOMEM);
        r = parse_id(&id, name) ? group_find(&found, &entry, buf, NULL, id)
                                : group_find(&found, &entry, buf, name, 0);
        if (r)
                return error_fold(r);
        *gidp = found->gr_gid;
        return 0;
}
