/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reload: by SIGHUP, by ReloadConfig(), and when files have changed and then come to rest. */

#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#include "shim/bus/log.h"
#include "shim/bus/notice.h"
#include "shim/bus/service-file.h"
#include "shim/daemon/daemon.h"
#include "shim/daemon/service.h"

#define SETTLE_USEC 100000 /* so long without a change, then the files are read */
#define CHANGES (IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE)

static void watch_dirs(struct daemon *d)
{
        const struct busconfig *config = d->config;

        for (size_t i = 0; i < config->n_dirs; i++)
                inotify_add_watch(d->inotify_fd, config->dirs[i], CHANGES);
        for (size_t i = 0; i < config->n_servicedirs; i++)
                if (!(config->servicedirs[i].flags & SERVICE_DIR_UNWATCHED))
                        inotify_add_watch(d->inotify_fd, config->servicedirs[i].path, CHANGES);
}

static void announce_services(struct turn *turn)
{
        struct writer w;

        notice_begin(&w, turn, HEADER_SIGNAL, NULL);
        writer_field(&w, FIELD_PATH, BUS_PATH);
        writer_field(&w, FIELD_INTERFACE, BUS_INTERFACE);
        writer_field(&w, FIELD_MEMBER, "ActivatableServicesChanged");
        writer_body(&w, "");
        notice_broadcast(&w, turn);
}

int daemon_reload(struct daemon *d, struct turn *turn, char *why, size_t size)
{
        struct busconfig_note note = BUSCONFIG_NOTE_NULL;
        struct busconfig *config;
        int r;

        service_notify_reloading();
        r = busconfig_read(&config, d->options.config_file, 0, &note);
        if (r) {
                snprintf(why, size, "%s line %u: %s", note.file ? note.file : d->options.config_file,
                         note.line, note.text ? note.text : strerror(r < 0 ? -r : ENOENT));
                busconfig_note_deinit(&note);
                service_notify("READY=1");
                return -EINVAL;
        }
        r = daemon_apply(d, turn, config);
        if (r) {
                busconfig_free(config);
                snprintf(why, size, "%s", strerror(-r));
                service_notify("READY=1");
                return error_fold(r);
        }
        busconfig_free(d->config);
        d->config = config;
        if (d->inotify_fd >= 0)
                watch_dirs(d);
        announce_services(turn);
        log_line(LOG_NOTICE, "Reloaded configuration");
        service_notify("READY=1");
        return 0;
}

static void settled(struct timer *timer, struct turn *turn)
{
        struct daemon *d = container_of(timer, struct daemon, settle);
        char why[1024];

        turn_write(turn);
        if (daemon_reload(d, turn, why, sizeof(why)))
                log_line(LOG_ERR, "the old configuration is kept: %s", why);
        turn_commit(turn);
        turn_release(turn);
}

static void changed(struct watch *watch, uint32_t events, struct turn *turn)
{
        struct daemon *d = container_of(watch, struct daemon, changes);
        _Alignas(struct inotify_event) char buf[4096];

        while (read(d->inotify_fd, buf, sizeof(buf)) > 0)
                ;
        timer_set(&d->settle, &d->workers[0].poller, SETTLE_USEC);
}

int daemon_watch_files(struct daemon *d)
{
        d->settle.fn = settled;
        d->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (d->inotify_fd < 0) {
                log_line(LOG_WARNING, "changed files will not be noticed: %m");
                return 0;
        }
        watch_dirs(d);
        return error_fold(watch_start(&d->changes, &d->workers[0].poller, d->inotify_fd, EPOLLIN,
                                      changed));
}

void daemon_unwatch_files(struct daemon *d)
{
        timer_clear(&d->settle);
        watch_stop(&d->changes);
        closep(&d->inotify_fd);
        d->inotify_fd = -1;
}
