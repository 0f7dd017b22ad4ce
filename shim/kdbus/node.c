/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/kdbus-abi.h"
#include "shim/kdbus/node.h"

static mode_t mode_for(mode_t owner, uint64_t access)
{
        mode_t mode = owner;

        if (access & (KDBUS_MAKE_ACCESS_GROUP | KDBUS_MAKE_ACCESS_WORLD))
                mode |= owner >> 3;
        if (access & KDBUS_MAKE_ACCESS_WORLD)
                mode |= owner >> 6;
        return mode;
}

/* directories are not writable, not even for their owner, except while we change them */
static mode_t dir_unlock(int fd)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return 0555;
        (void)!fchmod(fd, (st.st_mode & 07777) | 0700);
        return st.st_mode & 07777;
}

static void dir_lock(int fd, mode_t mode)
{
        (void)!fchmod(fd, mode);
}

/* owner and mode of something just made; only root can give it away */
static int own(int fd, mode_t mode, uid_t uid, gid_t gid)
{
        if (geteuid() == 0 && fchown(fd, uid, gid) < 0)
                return error_origin(-errno);
        if (fchmod(fd, mode) < 0)
                return error_origin(-errno);
        return 0;
}

static struct node *node_free(struct node *node)
{
        if (node) {
                free(node->dir);
                free(node->name);
        }
        free(node);
        return NULL;
}

DEFINE_FREEP(struct node, node_free)

static int open_dir(struct node_tree *tree, const char *dir)
{
        if (!dir)
                return fcntl(tree->fd, F_DUPFD_CLOEXEC, 3);
        return openat(tree->fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/**
 * node_make_file() - make the file of an endpoint, or of the domain
 * @dir:        the bus directory, or NULL
 *
 * Return: 0, -EEXIST, or what the file system says.
 */
int node_make_file(struct node_tree *tree, struct node **nodep, const char *dir, const char *name,
                   uint64_t access, uid_t uid, gid_t gid)
{
        _cleanup_(node_freep) struct node *node = calloc(1, sizeof(*node));
        _cleanup_(closep) int dir_fd = open_dir(tree, dir), fd = -1;
        struct stat st;
        mode_t mode;
        int r;

        if (!node || dir_fd < 0)
                return error_origin(node ? -errno : -ENOMEM);
        node->name = strdup(name);
        node->dir = dir ? strdup(dir) : NULL;
        if (!node->name || (dir && !node->dir))
                return error_origin(-ENOMEM);

        mode = dir_unlock(dir_fd);
        fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        r = fd < 0 ? -errno : own(fd, mode_for(0600, access), uid, gid);
        if (!r && fstat(fd, &st) < 0)
                r = -errno;
        if (!r) {
                node->key = (struct node_key){.dev = st.st_dev, .ino = st.st_ino};
                HASH_ADD(hh, tree->nodes, key, sizeof(node->key), node);
                r = node->hh.tbl ? 0 : -ENOMEM;
        }
        if (r && fd >= 0)
                unlinkat(dir_fd, name, 0);
        dir_lock(dir_fd, mode);
        if (r)
                return error_origin(r);
        *nodep = steal(&node);
        return 0;
}

struct node *node_remove_file(struct node_tree *tree, struct node *node)
{
        _cleanup_(closep) int dir_fd = -1;

        if (!node)
                return NULL;
        HASH_DEL(tree->nodes, node);
        dir_fd = open_dir(tree, node->dir);
        if (dir_fd >= 0) {
                mode_t mode = dir_unlock(dir_fd);

                unlinkat(dir_fd, node->name, 0);
                dir_lock(dir_fd, mode);
        }
        return node_free(node);
}

/**
 * node_make_dir() - make the directory of a bus
 */
int node_make_dir(struct node_tree *tree, const char *name, uint64_t access, uid_t uid, gid_t gid)
{
        _cleanup_(closep) int fd = -1;
        mode_t mode = dir_unlock(tree->fd);
        int r;

        r = mkdirat(tree->fd, name, 0700) < 0 ? -errno : 0;
        if (!r) {
                fd = open_dir(tree, name);
                r = fd < 0 ? -errno : own(fd, mode_for(0500, access), uid, gid);
                if (r)
                        unlinkat(tree->fd, name, AT_REMOVEDIR);
        }
        dir_lock(tree->fd, mode);
        return r ? error_origin(r) : 0;
}

void node_remove_dir(struct node_tree *tree, const char *name)
{
        mode_t mode = dir_unlock(tree->fd);

        unlinkat(tree->fd, name, AT_REMOVEDIR);
        dir_lock(tree->fd, mode);
}

/* what an earlier daemon left behind: files of ours, one directory deep */
static void clear(int dir_fd, bool top)
{
        mode_t mode = dir_unlock(dir_fd);
        int copy = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
        DIR *dir = copy < 0 ? NULL : fdopendir(copy);
        struct dirent *e;

        while (dir && (e = readdir(dir))) {
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                        continue;
                if (top && e->d_type == DT_DIR) {
                        _cleanup_(closep) int sub = openat(dir_fd, e->d_name,
                                                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
                                                                   O_CLOEXEC);
                        if (sub >= 0)
                                clear(sub, false);
                        unlinkat(dir_fd, e->d_name, AT_REMOVEDIR);
                } else {
                        unlinkat(dir_fd, e->d_name, 0);
                }
        }
        if (dir)
                closedir(dir);
        dir_lock(dir_fd, mode);
}

/**
 * node_tree_init() - make the directory of a domain, with its control file
 * @path:       made if missing; emptied
 */
int node_tree_init(struct node_tree *tree, const char *path)
{
        struct stat st;
        int r;

        *tree = (struct node_tree){.fd = -1};
        tree->path = strdup(path);
        if (!tree->path)
                return error_origin(-ENOMEM);
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
                return error_origin(-errno);
        tree->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (tree->fd < 0 || fstat(tree->fd, &st) < 0)
                return error_origin(-errno);
        if (st.st_uid != geteuid())
                return error_origin(-EPERM);
        clear(tree->fd, true);
        if (fchmod(tree->fd, 0555) < 0)
                return error_origin(-errno);
        r = node_make_file(tree, &tree->control, NULL, "control", KDBUS_MAKE_ACCESS_WORLD, geteuid(),
                           getegid());
        return r ? error_fold(r) : 0;
}

void node_tree_deinit(struct node_tree *tree)
{
        tree->control = node_remove_file(tree, tree->control);
        closep(&tree->fd);
        if (tree->path)
                rmdir(tree->path);
        free(tree->path);
        *tree = (struct node_tree){.fd = -1};
}

/**
 * node_find() - which node a program opened
 * @fd:         its descriptor of the file
 *
 * Return: 0; -ESHUTDOWN if the file is no node (any more).
 */
int node_find(struct node_tree *tree, int fd, struct node **nodep)
{
        struct node_key key;
        struct stat st;
        int flags = fcntl(fd, F_GETFL);

        /* O_PATH needs no permission, so it proves none */
        if (flags < 0 || (flags & O_PATH) || fstat(fd, &st) < 0)
                return -EINVAL;
        key = (struct node_key){.dev = st.st_dev, .ino = st.st_ino};
        HASH_FIND(hh, tree->nodes, &key, sizeof(key), *nodep);
        return *nodep ? 0 : -ESHUTDOWN;
}
