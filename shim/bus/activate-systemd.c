/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The protocol by which systemd starts units for a bus, and learns of their environment. */

#include "config.h"

#include <stdio.h>
#include <string.h>

#include "shim/bus/activate-private.h"
#include "shim/bus/log.h"
#include "shim/bus/notice.h"
#include "shim/wire/type.h"

#define ACTIVATOR_INTERFACE "org.freedesktop.systemd1.Activator"
#define MANAGER_INTERFACE   "org.freedesktop.systemd1.Manager"
#define MANAGER_PATH        "/org/freedesktop/systemd1"

static struct client *find_systemd(const struct bus *bus)
{
        return bus_find(bus, SYSTEMD_NAME, strlen(SYSTEMD_NAME));
}

/* The unit that the service file names, or the instance for its name of our template. */
int systemd_choose(struct activation *a)
{
        const char *template = a->activator->bus->service_unit, *at;

        if (!a->activator->bus->systemd_activation || !a->service)
                return 0;
        if (a->service->systemd_service) {
                a->unit = strdup(a->service->systemd_service);
                return a->unit ? 0 : error_origin(-ENOMEM);
        }
        if (!template || !a->activator->helper || !a->service->user)
                return 0;
        at = strchr(template, '@') + 1;
        if (asprintf(&a->unit, "%.*s%s%s", (int)(at - template), template, a->name->text, at) < 0) {
                a->unit = NULL;
                return error_origin(-ENOMEM);
        }
        a->by_helper = true;
        return 0;
}

static void write_request(struct writer *w, struct turn *turn, const struct activation *a)
{
        notice_begin(w, turn, HEADER_SIGNAL, NULL);
        writer_field(w, FIELD_DESTINATION, SYSTEMD_NAME);
        writer_field(w, FIELD_PATH, BUS_PATH);
        writer_field(w, FIELD_INTERFACE, ACTIVATOR_INTERFACE);
        writer_field(w, FIELD_MEMBER, "ActivationRequest");
        writer_body(w, "s");
        writer_string(w, a->unit);
}

/* Asked again, systemd does nothing more: so whoever takes its place is asked again. */
static void ask(struct turn *turn, struct activation *a, struct client *systemd)
{
        struct writer w;

        write_request(&w, turn, a);
        if (a->shown)
                notice_send_unseen(&w, turn, systemd);
        else
                notice_send(&w, turn, systemd);
        a->state = ACTIVATION_ASKED;
        job_asked(turn, a, systemd);
}

/* Monitors see the request when it is made, not when systemd comes to hear it. */
static void show(struct turn *turn, struct activation *a)
{
        struct writer w;

        write_request(&w, turn, a);
        notice_show(&w, turn, NULL);
        a->shown = true;
}

void systemd_begin(struct turn *turn, struct activation *a, struct client *who)
{
        struct client *systemd = find_systemd(turn->bus);
        char describe[CLIENT_DESCRIBE_MAX];

        log_limited(LOG_INFO, "activating", activation_subject(a),
                    "%s: service name='%s' unit='%s' requested by %s",
                    systemd ? "Activating via systemd" : "Activating systemd to hand-off",
                    a->name->text, a->unit,
                    client_describe(who, describe, sizeof(describe)));
        a->state = ACTIVATION_UNASKED;
        if (systemd)
                ask(turn, a, systemd);
        else
                show(turn, a);
}

/* As the reference does, the destination is the name only if it was waited for. */
static void set_environment(struct turn *turn, char *const *entries, const char *destination,
                            struct client *systemd)
{
        struct writer w;

        notice_begin(&w, turn, HEADER_CALL, NULL);
        writer_field(&w, FIELD_DESTINATION, destination);
        writer_field(&w, FIELD_PATH, MANAGER_PATH);
        writer_field(&w, FIELD_INTERFACE, MANAGER_INTERFACE);
        writer_field(&w, FIELD_MEMBER, "SetEnvironment");
        writer_body(&w, "as");
        writer_open(&w, 'a', NULL);
        for (; entries && *entries; entries++)
                writer_string(&w, *entries);
        writer_close(&w);
        notice_send(&w, turn, systemd);
}

int systemd_update_environment(struct turn *turn, struct activator *activator,
                               char *const *entries)
{
        struct client *systemd = find_systemd(turn->bus);

        if (systemd) {
                set_environment(turn, entries, systemd->name, systemd);
                return 0;
        }
        activator->tell = true;
        return error_fold(environment_merge(&activator->untold, entries));
}

void systemd_arrived(struct turn *turn, struct activator *activator, struct client *systemd)
{
        struct activation *a;

        job_manager_is(turn, activator, systemd);
        if (activator->tell)
                set_environment(turn, activator->untold.entry, SYSTEMD_NAME, systemd);
        activator->tell = false;
        environment_deinit(&activator->untold);
        cds_list_for_each_entry(a, &activator->pending, link)
                if (a->state == ACTIVATION_UNASKED || a->state == ACTIVATION_ASKED)
                        ask(turn, a, systemd);
}

void activation_unit_failed(struct turn *turn, const char *unit, const char *error_name,
                            const char *text)
{
        struct activator *activator = turn->bus->activator;
        struct activation *a, *next;

        log_line(LOG_WARNING, "Activation via systemd failed for unit '%s': %s", unit, text);
        if (!valid_error_name(error_name, strlen(error_name)))
                error_name = outcome_error_name(OUTCOME_SPAWN_FAILED);
        cds_list_for_each_entry_safe(a, next, &activator->pending, link)
                if ((a->state == ACTIVATION_UNASKED || a->state == ACTIVATION_ASKED) &&
                    strcmp(a->unit, unit) == 0)
                        activation_fail(turn, a, error_name, text, false);
}
