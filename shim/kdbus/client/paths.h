/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Paths
 *
 * What it is     Where kdbus is for this program: the daemon's state directory (LAMBUS_KDBUS) and
 *                the place where the program looks for it (LAMBUS_KDBUS_MOUNT, /sys/fs/kdbus).
 * How            A path below the mount point that does not exist is looked up in the daemon's
 *                tree. The real file system comes first, so a kernel that has kdbus keeps it.
 */

#include <limits.h>
#include <stdbool.h>

void paths_setup(void);
const char *paths_socket(void);
const char *paths_map(const char *path, char buf[PATH_MAX]);
bool paths_may_be_node(const char *path);
bool paths_is_node(int fd);
