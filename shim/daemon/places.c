/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/bus/service-file.h"
#include "shim/daemon/busconfig.h"
#include "shim/daemon/places.h"

#define CHANGES (IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | \
                 IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)
#define ARRIVALS (IN_CREATE | IN_MOVED_TO)

int places_init(struct places *places)
{
        *places = (struct places){ .fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK) };
        return places->fd < 0 ? error_origin(-errno) : 0;
}

static void forget(struct place *v, size_t n)
{
        for (size_t i = 0; i < n; i++)
                free(v[i].dir);
        free(v);
}

void places_deinit(struct places *places)
{
        forget(places->v, places->n);
        closep(&places->fd);
        *places = (struct places){ .fd = -1 };
}

/* -ENOENT is told from other failures, which leave the place unwatched */
static int add(struct places *places, const char *dir, uint32_t mask)
{
        struct place *grown;
        int wd;

        wd = inotify_add_watch(places->fd, dir, mask | IN_ONLYDIR | IN_MASK_ADD);
        if (wd < 0)
                return errno == ENOENT || errno == ENOTDIR ? -ENOENT : 0;
        grown = reallocarray(places->v, places->n + 1, sizeof(*grown));
        if (!grown)
                return 0;
        places->v = grown;
        grown[places->n] = (struct place){ wd, strdup(dir) };
        if (grown[places->n].dir)
                places->n++;
        return 0;
}

/* cut the last part off; false at the root or at a name without a directory */
static bool to_parent(char *path)
{
        char *slash = strrchr(path, '/');

        if (!slash || !slash[1])
                return false;
        slash[slash == path] = '\0';
        return true;
}

/* a directory, or else the nearest above it that is there */
static void add_dir(struct places *places, const char *dir)
{
        _cleanup_(freep) char *path = strdup(dir);
        uint32_t mask = CHANGES;

        while (path && add(places, path, mask) == -ENOENT && to_parent(path))
                mask = ARRIVALS;
}

static void add_dir_of(struct places *places, const char *file)
{
        _cleanup_(freep) char *path = NULL;

        if (asprintf(&path, "%s%s", strchr(file, '/') ? "" : "./", file) < 0) {
                path = NULL;
                return;
        }
        if (to_parent(path))
                add_dir(places, path);
}

static bool has_wd(const struct places *places, int wd)
{
        for (size_t i = 0; i < places->n; i++)
                if (places->v[i].wd == wd)
                        return true;
        return false;
}

void places_watch(struct places *places, const struct busconfig *config, const char *root)
{
        struct place *old = places->v;
        size_t n_old = places->n;

        if (places->fd < 0)
                return;
        places->v = NULL;
        places->n = 0;
        add_dir_of(places, root);
        for (size_t i = 0; i < config->n_files; i++)
                if (config->files[i][0] == '/')
                        add_dir_of(places, config->files[i]);
        for (size_t i = 0; i < config->n_dirs; i++)
                add_dir(places, config->dirs[i]);
        for (size_t i = 0; i < config->n_servicedirs; i++)
                if (!(config->servicedirs[i].flags & SERVICE_DIR_UNWATCHED))
                        add_dir(places, config->servicedirs[i].path);
        for (size_t i = 0; i < n_old; i++)
                if (!has_wd(places, old[i].wd))
                        inotify_rm_watch(places->fd, old[i].wd);
        forget(old, n_old);
}

static bool ends_with(const char *s, const char *end)
{
        size_t n = strlen(s), k = strlen(end);

        return n > k && strcmp(s + n - k, end) == 0;
}

/* is @path this directory, or one that it lies in? */
static bool leads_to(const char *path, const char *dir)
{
        size_t n = strlen(path);

        return strncmp(path, dir, n) == 0 && (dir[n] == '/' || !dir[n]);
}

/* does what is called @path matter, @name being its last part? */
static bool matters(const struct busconfig *config, const char *root, const char *dir,
                    const char *path, const char *name)
{
        if (strcmp(path, root) == 0)
                return true;
        for (size_t i = 0; i < config->n_files; i++)
                if (strcmp(path, config->files[i]) == 0)
                        return true;
        for (size_t i = 0; i < config->n_dirs; i++)
                if (leads_to(path, config->dirs[i]) ||
                    (strcmp(dir, config->dirs[i]) == 0 && ends_with(name, ".conf")))
                        return true;
        for (size_t i = 0; i < config->n_servicedirs; i++)
                if (leads_to(path, config->servicedirs[i].path) ||
                    (strcmp(dir, config->servicedirs[i].path) == 0 &&
                     ends_with(name, ".service")))
                        return true;
        return false;
}

static bool event_matters(const struct places *places, const struct busconfig *config,
                          const char *root, const struct inotify_event *event)
{
        bool yes = false;

        if (event->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF))
                return true;
        for (size_t i = 0; !yes && event->len && i < places->n; i++) {
                const char *dir = places->v[i].dir;
                _cleanup_(freep) char *path = NULL;

                if (places->v[i].wd != event->wd)
                        continue;
                if (strcmp(dir, ".") == 0)
                        path = strdup(event->name);
                else if (asprintf(&path, "%s/%s", strcmp(dir, "/") ? dir : "", event->name) < 0)
                        path = NULL;
                yes = !path || matters(config, root, dir, path, event->name);
        }
        return yes;
}

bool places_changed(struct places *places, const struct busconfig *config, const char *root)
{
        _Alignas(struct inotify_event) char buf[8192];
        const struct inotify_event *event;
        bool yes = false;
        ssize_t n;

        while ((n = read(places->fd, buf, sizeof(buf))) > 0) {
                for (char *at = buf; at < buf + n; at += sizeof(*event) + event->len) {
                        event = (const struct inotify_event *)at;
                        yes |= event_matters(places, config, root, event);
                }
        }
        return yes;
}
