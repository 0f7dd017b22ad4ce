/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus-core/util/error.h"
#include "tools/switch.h"

#define NEW "dbus.service.lambus-new" /* becomes the link */
#define LINKS_MAX 40                  /* on one way */

static const char *const scope_dirs[SWITCH_SCOPE_N] = {
        [SWITCH_SYSTEM] = "system",
        [SWITCH_USERS] = "user",
};

/* where systemd looks for units, the strongest first; what is below /run is of this boot only */
static const char *const unit_dirs[] = {
        "/etc/systemd/",
        "/usr/local/lib/systemd/",
        "/usr/lib/systemd/",
        "/lib/systemd/",
};

/* A path on its way to one without links. */
struct walk {
        char done[SWITCH_PATH_MAX]; /* without links, and without a slash at its start */
        char rest[SWITCH_PATH_MAX]; /* still to come */
        unsigned int n_links;
};

/* A link: its target comes before the rest. */
static int follow(struct walk *walk, const char *target)
{
        char rest[2 * SWITCH_PATH_MAX];

        if (++walk->n_links > LINKS_MAX)
                return -ELOOP;
        if (*target == '/')
                *walk->done = 0;
        snprintf(rest, sizeof(rest), "%s/%s", target, walk->rest);
        if (strlen(rest) >= sizeof(walk->rest))
                return -ENAMETOOLONG;
        strcpy(walk->rest, rest);
        return 0;
}

/* The first name of the rest, unless it is a link to be followed, joins what is done. */
static int step(struct walk *walk, int root, bool follow_last)
{
        size_t skip = strspn(walk->rest, "/"), n = strcspn(walk->rest + skip, "/");
        char name[SWITCH_PATH_MAX], at[2 * SWITCH_PATH_MAX], target[SWITCH_PATH_MAX];
        bool is_last;
        ssize_t r;

        snprintf(name, sizeof(name), "%.*s", (int)n, walk->rest + skip);
        memmove(walk->rest, walk->rest + skip + n, strlen(walk->rest + skip + n) + 1);
        is_last = !walk->rest[strspn(walk->rest, "/")];
        if (!*name || !strcmp(name, "."))
                return 0;
        if (!strcmp(name, "..")) {
                char *slash = strrchr(walk->done, '/');

                *(slash ? slash : walk->done) = 0;
                return 0;
        }
        snprintf(at, sizeof(at), "%s%s%s", walk->done, *walk->done ? "/" : "", name);
        r = is_last && !follow_last ? -1 : readlinkat(root, at, target, sizeof(target) - 1);
        if (r >= 0) {
                target[r] = 0;
                return follow(walk, target);
        }
        if (strlen(at) >= sizeof(walk->done))
                return -ENAMETOOLONG;
        strcpy(walk->done, at);
        return 0;
}

/* Links are followed as if @root were the root of all. (openat2() is not known to valgrind.) */
static int open_below(int root, const char *path, int flags)
{
        struct walk walk = { .n_links = 0 };
        int fd, r = 0;

        snprintf(walk.rest, sizeof(walk.rest), "%s", path);
        while (!r && *walk.rest)
                r = step(&walk, root, !(flags & O_NOFOLLOW));
        if (r)
                return r;
        fd = openat(root, *walk.done ? walk.done : ".", flags | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

int switch_look(const struct switch_place *place, const char *path, int flags)
{
        return open_below(place->root, path, flags);
}

int switch_open(struct switch_place *place, const char *root, enum switch_scope scope)
{
        _cleanup_(closep) int above = -1;

        *place = SWITCH_PLACE_NULL;
        place->scope = scope;
        place->root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (place->root < 0)
                return -errno;
        above = open_below(place->root, "/etc/systemd", O_RDONLY | O_DIRECTORY);
        if (above == -ENOENT || above == -ENOTDIR)
                return SWITCH_E_NO_SYSTEMD;
        if (above < 0)
                return above;
        place->dir = openat(above, scope_dirs[scope],
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (place->dir < 0 && errno != ENOENT)
                return -errno;
        return 0;
}

void switch_close(struct switch_place *place)
{
        closep(&place->root);
        closep(&place->dir);
        *place = SWITCH_PLACE_NULL;
}

static const char *base_of(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

enum switch_state switch_state(const struct switch_place *place, char *target)
{
        struct stat st;
        ssize_t n;

        *target = 0;
        if (place->dir < 0 || fstatat(place->dir, SWITCH_NAME, &st, AT_SYMLINK_NOFOLLOW))
                return SWITCH_NONE;
        if (!S_ISLNK(st.st_mode))
                return S_ISREG(st.st_mode) && !st.st_size ? SWITCH_MASKED : SWITCH_OTHER;
        n = readlinkat(place->dir, SWITCH_NAME, target, SWITCH_PATH_MAX - 1);
        target[MAX(n, (ssize_t)0)] = 0;
        if (!strcmp(base_of(target), SWITCH_UNIT))
                return SWITCH_LAMBUS;
        return strcmp(target, "/dev/null") ? SWITCH_OTHER : SWITCH_MASKED;
}

/* Is it a unit that can be started? An empty file, or /dev/null, is none; an image has no /dev. */
static int look_at_unit(const struct switch_place *place, const char *path)
{
        _cleanup_(closep) int link = switch_look(place, path, O_PATH | O_NOFOLLOW);
        _cleanup_(closep) int fd = switch_look(place, path, O_PATH);
        char target[SWITCH_PATH_MAX];
        struct stat st;
        ssize_t n;

        n = link < 0 ? -1 : readlinkat(link, "", target, sizeof(target) - 1);
        target[MAX(n, (ssize_t)0)] = 0;
        if (!strcmp(target, "/dev/null"))
                return -EINVAL;
        if (fd < 0 || fstat(fd, &st))
                return -ENOENT;
        return S_ISREG(st.st_mode) && st.st_size ? 0 : -EINVAL;
}

bool switch_find(const struct switch_place *place, const char *name, char path[SWITCH_PATH_MAX])
{
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(unit_dirs); i++) {
                snprintf(path, SWITCH_PATH_MAX, "%s%s/%s", unit_dirs[i], scope_dirs[place->scope],
                         name);
                r = look_at_unit(place, path);
                if (r != -ENOENT)
                        return !r;
        }
        return false;
}

/* --- the links -------------------------------------------------------------------------------- */

static int forget(const struct switch_place *place, const char *name)
{
        return unlinkat(place->dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* On the disk, before the next step counts on it. */
static int settle(const struct switch_place *place)
{
        return fsync(place->dir) < 0 && errno != EINVAL && errno != EROFS ? -errno : 0;
}

/* What is there gets a second name. */
static int keep(const struct switch_place *place, const char *target)
{
        struct stat st;
        int r;

        r = forget(place, SWITCH_KEPT);
        if (r)
                return r;
        if (fstatat(place->dir, SWITCH_NAME, &st, AT_SYMLINK_NOFOLLOW))
                return errno == ENOENT ? 0 : -errno;
        if (S_ISLNK(st.st_mode))
                r = symlinkat(target, place->dir, SWITCH_KEPT);
        else if (S_ISREG(st.st_mode))
                r = linkat(place->dir, SWITCH_NAME, place->dir, SWITCH_KEPT, 0);
        else
                return SWITCH_E_ODD;
        return r < 0 ? -errno : settle(place);
}

static int make_dir(struct switch_place *place)
{
        _cleanup_(closep) int above = -1;

        above = open_below(place->root, "/etc/systemd", O_RDONLY | O_DIRECTORY);
        if (above < 0)
                return above;
        if (mkdirat(above, scope_dirs[place->scope], 0755) < 0 && errno != EEXIST)
                return -errno;
        place->dir = openat(above, scope_dirs[place->scope],
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        return place->dir < 0 ? -errno : 0;
}

int switch_on(struct switch_place *place)
{
        char target[SWITCH_PATH_MAX], unit[SWITCH_PATH_MAX];
        enum switch_state state;
        int r = 0;

        if (!switch_find(place, SWITCH_UNIT, unit))
                return SWITCH_E_NO_UNIT;
        if (place->dir < 0)
                r = make_dir(place);
        if (r)
                return r;
        if (flock(place->dir, LOCK_EX) < 0)
                return -errno;
        state = switch_state(place, target);
        if (state == SWITCH_LAMBUS)
                return 0;
        if (state == SWITCH_MASKED)
                return SWITCH_E_MASKED;
        r = keep(place, target);
        if (!r)
                r = forget(place, NEW);
        if (!r && symlinkat(unit, place->dir, NEW) < 0)
                r = -errno;
        if (!r && renameat(place->dir, NEW, place->dir, SWITCH_NAME) < 0)
                r = -errno;
        return r ? r : settle(place);
}

/* Is there a bus if the link is taken away? */
static bool is_anything_left(const struct switch_place *place)
{
        char path[SWITCH_PATH_MAX];

        for (size_t i = 1; i < ARRAY_SIZE(unit_dirs); i++) {
                snprintf(path, sizeof(path), "%s%s/" SWITCH_NAME, unit_dirs[i],
                         scope_dirs[place->scope]);
                if (!look_at_unit(place, path))
                        return true;
        }
        return false;
}

/* What was kept, unless it is a link to a unit that has gone meanwhile: that would be no bus. */
static bool can_be_put_back(const struct switch_place *place)
{
        char path[SWITCH_PATH_MAX];
        int r;

        snprintf(path, sizeof(path), "/etc/systemd/%s/" SWITCH_KEPT, scope_dirs[place->scope]);
        r = switch_look(place, path, O_PATH);
        if (r >= 0)
                close(r);
        return r >= 0;
}

int switch_back(struct switch_place *place)
{
        char target[SWITCH_PATH_MAX];
        int r = 0;

        if (place->dir < 0)
                return 0;
        if (flock(place->dir, LOCK_EX) < 0)
                return -errno;
        if (switch_state(place, target) != SWITCH_LAMBUS)
                r = forget(place, SWITCH_KEPT); /* of a switch that was interrupted */
        else if (can_be_put_back(place))
                r = renameat(place->dir, SWITCH_KEPT, place->dir, SWITCH_NAME) < 0 ? -errno : 0;
        else if (is_anything_left(place))
                r = forget(place, SWITCH_NAME) ?: forget(place, SWITCH_KEPT);
        else
                return SWITCH_E_NOTHING_LEFT;
        if (!r)
                r = forget(place, NEW);
        return r ? r : settle(place);
}
