/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/kdbus/client/paths.h"

static char mount_point[PATH_MAX], root[PATH_MAX], socket_path[PATH_MAX];

/**
 * paths_setup() - read the environment once, before main()
 */
void paths_setup(void)
{
        const char *state = getenv("LAMBUS_KDBUS");
        const char *mount = getenv("LAMBUS_KDBUS_MOUNT");
        size_t n = state ? strlen(state) : 0;

        if (!n || state[0] != '/' || n > PATH_MAX - 16)
                return;
        if (!mount || mount[0] != '/' || strlen(mount) > PATH_MAX - 16)
                mount = "/sys/fs/kdbus";
        snprintf(mount_point, sizeof(mount_point), "%s", mount);
        snprintf(root, sizeof(root), "%.*s/root", PATH_MAX - 16, state);
        snprintf(socket_path, sizeof(socket_path), "%.*s/socket", PATH_MAX - 16, state);
}

/**
 * paths_socket() - the daemon's socket; NULL if this program has none
 */
const char *paths_socket(void)
{
        return socket_path[0] ? socket_path : NULL;
}

static const char *below(const char *path, const char *dir)
{
        size_t n = strlen(dir);

        if (!n || strncmp(path, dir, n) != 0 || (path[n] != '/' && path[n]))
                return NULL;
        return path + n;
}

/**
 * paths_map() - where a path that does not exist may be found
 *
 * Return: @buf, or NULL if it is no path of ours.
 */
const char *paths_map(const char *path, char buf[PATH_MAX])
{
        const char *rest = below(path, mount_point);
        size_t n = strlen(root);

        if (!rest || n + strlen(rest) >= PATH_MAX)
                return NULL;
        memcpy(buf, root, n);
        strcpy(buf + n, rest);
        return buf;
}

/**
 * paths_may_be_node() - whether it is worth asking paths_is_node(), by the look of the name
 */
bool paths_may_be_node(const char *path)
{
        const char *name = strrchr(path, '/');

        if (!root[0])
                return false;
        name = name ? name + 1 : path;
        return strcmp(name, "bus") == 0 || strcmp(name, "control") == 0 ||
               (name[0] >= '0' && name[0] <= '9');
}

/**
 * paths_is_node() - whether an open file lies in the daemon's tree
 */
bool paths_is_node(int fd)
{
        char link[32], path[PATH_MAX];
        const char *rest;
        struct stat st;
        long n;

        if (!root[0] || syscall(SYS_newfstatat, fd, "", &st, 0x1000 /* AT_EMPTY_PATH */) < 0 ||
            !S_ISREG(st.st_mode) || st.st_size)
                return false;
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = syscall(SYS_readlink, link, path, sizeof(path) - 1);
        if (n < 0)
                return false;
        path[n] = '\0';
        rest = below(path, root);
        return rest && rest[0] == '/';
}
