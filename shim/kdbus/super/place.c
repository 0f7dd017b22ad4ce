/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "shim/kdbus/super/place.h"

static int failed(struct place_error *error, const char *what)
{
        *error = (struct place_error){what, errno};
        return -1;
}

static int write_file(const char *path, const char *text)
{
        _cleanup_(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

static int map_ids(uid_t uid, gid_t gid)
{
        char text[64];

        if (write_file("/proc/self/setgroups", "deny"))
                return -1;
        snprintf(text, sizeof(text), "%u %u 1", uid, uid);
        if (write_file("/proc/self/uid_map", text))
                return -1;
        snprintf(text, sizeof(text), "%u %u 1", gid, gid);
        return write_file("/proc/self/gid_map", text);
}

static int enter_namespace(struct place_error *error)
{
        uid_t uid = geteuid();
        gid_t gid = getegid();

        if (uid != 0) {
                if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                        return failed(error, "no user namespace");
                if (map_ids(uid, gid))
                        return failed(error, "no ids in the user namespace");
        } else if (unshare(CLONE_NEWNS) < 0) {
                return failed(error, "no mount namespace");
        }
        /* what is mounted outside shows up here, and not the other way round */
        if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
                return failed(error, "cannot detach mounts");
        return 0;
}

/* show one entry of the covered directory in the one that covers it */
static int bring(int covered, const char *parent, const struct dirent *e)
{
        char from[64 + NAME_MAX], to[PATH_MAX], target[PATH_MAX];
        ssize_t n;
        int fd;

        snprintf(from, sizeof(from), "/proc/self/fd/%d/%s", covered, e->d_name);
        if ((size_t)snprintf(to, sizeof(to), "%s/%s", parent, e->d_name) >= sizeof(to))
                return -1;
        if (e->d_type == DT_LNK) {
                n = readlink(from, target, sizeof(target) - 1);
                if (n < 0)
                        return -1;
                target[n] = '\0';
                return symlink(target, to);
        }
        if (e->d_type == DT_DIR) {
                if (mkdir(to, 0755) < 0)
                        return -1;
        } else {
                fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
                if (fd < 0)
                        return -1;
                close(fd);
        }
        return mount(from, to, NULL, MS_BIND | MS_REC, NULL);
}

static int bring_all(int covered, const char *parent)
{
        int copy = fcntl(covered, F_DUPFD_CLOEXEC, 3), r = 0;
        DIR *dir = copy < 0 ? NULL : fdopendir(copy);
        struct dirent *e;

        if (!dir)
                return -1;
        while (!r && (e = readdir(dir)))
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        r = bring(covered, parent, e);
        closedir(dir);
        return r;
}

static int make_directory(const char *path, struct place_error *error)
{
        _cleanup_(closep) int covered = -1;
        char parent[PATH_MAX];
        struct stat st;
        char *slash;

        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
                return 0;
        snprintf(parent, sizeof(parent), "%s", path);
        slash = strrchr(parent, '/');
        if (!slash || slash == parent)
                return errno = ENOENT, failed(error, path);
        *slash = '\0';
        covered = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (covered < 0)
                return failed(error, "no directory to mount in");
        if (mount("tmpfs", parent, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755") < 0)
                return failed(error, "cannot cover the directory to mount in");
        if (bring_all(covered, parent))
                return failed(error, "cannot keep what is beside the mount");
        return mkdir(path, 0755) < 0 ? failed(error, path) : 0;
}

int place_mount(const char *path, struct place_error *error)
{
        char options[128];
        int fd;

        if (enter_namespace(error) || make_directory(path, error))
                return -1;
        fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return failed(error, "/dev/fuse");
        /* in a user namespace of one user, "other" would leave out the supervisor outside */
        snprintf(options, sizeof(options),
                 "fd=%d,rootmode=40755,user_id=%u,group_id=%u,default_permissions%s", fd,
                 geteuid(), getegid(), geteuid() == 0 ? ",allow_other" : "");
        if (mount("kdbusfs", path, "fuse.kdbusfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0) {
                failed(error, "cannot mount FUSE");
                close(fd);
                return -1;
        }
        return fd;
}
