/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reload: by SIGHUP, by ReloadConfig(), and when files have changed and then come to rest. */

#include "config.h"

#include <stdio.h>
#include <string.h>

#include "shim/bus/log.h"
#include "shim/bus/notice.h"
#include "shim/daemon/daemon.h"
#include "shim/daemon/service.h"

#define SETTLE_USEC 100000 /* so long without a change, then the files are read */
#define NOTES_MAX   32     /* of a configuration, that are told */

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

static int reload(struct daemon *d, struct turn *turn, char *why, size_t size)
{
        struct busconfig_note note = BUSCONFIG_NOTE_NULL;
        struct busconfig *config;
        int r;

        service_notify_reloading();
        r = daemon_read_config(d, &config, &note);
        if (r) {
                daemon_describe_note(d, &note, r, why, size);
                busconfig_note_deinit(&note);
                service_notify("READY=1");
                return r == BUSCONFIG_E_MISSING ? -ENOENT : -EINVAL;
        }
        d->fell_back = false;
        r = daemon_apply(d, turn, config);
        if (r) {
                busconfig_free(config);
                snprintf(why, size, "%s", strerror(-r));
                service_notify("READY=1");
                return error_fold(r);
        }
        busconfig_free(d->config);
        d->config = config;
        places_watch(&d->places, config, d->options.config_file);
        announce_services(turn);
        service_notify("READY=1");
        return 0;
}

int daemon_reload(struct daemon *d, struct turn *turn, char *why, size_t size)
{
        int r = reload(d, turn, why, size);

        if (r)
                log_line(LOG_ERR, "Unable to reload configuration, the old one is kept: %s", why);
        else
                d->told.read = now_usec();
        d->told.n_again++;
        snprintf(d->told.failure, sizeof(d->told.failure), "%s", r ? why : "");
        return r;
}

static void write_notes(const struct daemon *d, struct writer *w,
                        const struct busconfig_note *notes, size_t n, const char *consequence)
{
        char note[1024], text[1280];

        for (size_t i = 0; i < MIN(n, (size_t)NOTES_MAX); i++) {
                daemon_describe_note(d, &notes[i], 0, note, sizeof(note));
                snprintf(text, sizeof(text), "%s%s", note, consequence);
                writer_string(w, text);
        }
}

void daemon_describe_config(const struct daemon *d, struct writer *w)
{
        writer_open(w, '(', NULL);
        writer_string(w, d->fell_back ? "(built in)" : d->options.config_file);
        writer_u64(w, now_usec() - d->told.read);
        writer_u32(w, d->told.n_again);
        writer_string(w, d->told.failure);
        writer_open(w, 'a', NULL);
        if (d->fell_back)
                writer_string(w, "the configuration file cannot be used: the built-in one holds");
        write_notes(d, w, d->config->skipped, d->config->n_skipped, ": the file is left out");
        write_notes(d, w, d->config->warnings, d->config->n_warnings, "");
        writer_close(w);
        writer_close(w);
}

static void settled(struct timer *timer, struct turn *turn)
{
        struct daemon *d = container_of(timer, struct daemon, settle);
        char why[1024];

        turn_write(turn);
        daemon_reload(d, turn, why, sizeof(why));
        turn_commit(turn);
        turn_release(turn);
}

static void changed(struct watch *watch, uint32_t events, struct turn *turn)
{
        struct daemon *d = container_of(watch, struct daemon, changes);
        bool matters;

        turn_read(turn); /* a client of another worker may ask for a reload now */
        matters = places_changed(&d->places, d->config, d->options.config_file);
        turn_release(turn);
        if (matters)
                timer_set(&d->settle, &d->workers[0].poller, SETTLE_USEC);
}

int daemon_watch_files(struct daemon *d)
{
        int r;

        d->settle.fn = settled;
        r = places_init(&d->places);
        if (r) {
                log_line(LOG_WARNING, "changed files will not be noticed: %s", strerror(-r));
                return 0;
        }
        places_watch(&d->places, d->config, d->options.config_file);
        return error_fold(watch_start(&d->changes, &d->workers[0].poller, d->places.fd, EPOLLIN,
                                      changed));
}

void daemon_unwatch_files(struct daemon *d)
{
        timer_clear(&d->settle);
        watch_stop(&d->changes);
        places_deinit(&d->places);
}
