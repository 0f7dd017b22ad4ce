/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>

#include "shim/bus/log.h"
#include "shim/daemon/console.h"
#include "shim/daemon/daemon.h"
#include "shim/daemon/userdb.h"

#define SETTLE_USEC 100000 /* a login changes several files */

static int seats(uid_t uid)
{
        return sd_uid_get_seats(uid, 0, NULL);
}

struct console_library console_library = { .booted = sd_booted, .seats = seats };

static bool in_directory(uid_t uid, const char *path)
{
        struct dirent *entry;
        bool found = false;
        uid_t id;
        gid_t gid;
        DIR *dir;

        dir = opendir(path);
        if (!dir)
                return false;
        while (!found && (entry = readdir(dir)))
                found = entry->d_name[0] != '.' &&
                        userdb_user(&id, &gid, entry->d_name) == 0 && id == uid;
        closedir(dir);
        return found;
}

bool console_has(uid_t uid, const char *dir)
{
        int r;

        if (console_library.booted() <= 0)
                return in_directory(uid, dir);
        r = console_library.seats(uid);
        if (r < 0 && r != -ENXIO && r != -ENOENT && r != -ENODATA)
                log_limited(LOG_WARNING, "console", uid,
                            "logind does not say whether uid %u is at the console: %s", uid,
                            strerror(-r));
        return r > 0;
}

/* --- changes --------------------------------------------------------------------------------- */

static void review(struct timer *timer, struct turn *turn)
{
        turn_write(turn);
        if (bus_review_console(turn->bus))
                log_line(LOG_ERR, "not enough memory to see who is at the console");
        turn_release(turn);
}

static void seats_changed(struct watch *watch, uint32_t events, struct turn *turn)
{
        struct daemon *d = container_of(watch, struct daemon, seats.watch);

        sd_login_monitor_flush(d->seats.monitor);
        if (!d->seats.settle.due)
                timer_set(&d->seats.settle, &d->workers[0].poller, SETTLE_USEC);
}

int daemon_watch_console(struct daemon *d)
{
        bool want = policy_asks_console(d->bus.policy);
        int r;

        if (!want)
                daemon_unwatch_console(d);
        if (!want || d->seats.monitor || console_library.booted() <= 0)
                return 0;
        d->seats.settle.fn = review;
        r = sd_login_monitor_new(NULL, &d->seats.monitor);
        if (r < 0) {
                log_line(LOG_WARNING, "changes of seats will not be noticed: %s", strerror(-r));
                return 0;
        }
        return error_fold(watch_start(&d->seats.watch, &d->workers[0].poller,
                                      sd_login_monitor_get_fd(d->seats.monitor), EPOLLIN,
                                      seats_changed));
}

void daemon_unwatch_console(struct daemon *d)
{
        timer_clear(&d->seats.settle);
        watch_stop(&d->seats.watch);
        d->seats.watch.fd = -1;
        d->seats.monitor = sd_login_monitor_unref(d->seats.monitor);
}
