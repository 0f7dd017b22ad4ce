/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Driver: services that can be started, the environment they get, and the configuration. */

#include "config.h"

#include <stdio.h>
#include <string.h>

#include "shim/bus/activate.h"
#include "shim/bus/environment.h"
#include "shim/bus/log.h"
#include "shim/bus/service-file.h"
#include "shim/dbus/driver.h"

#define ACTIVATOR_INTERFACE "org.freedesktop.systemd1.Activator"

void driver_start_service_by_name(struct call *call)
{
        const char *name;
        size_t n;

        name = driver_string(call, &n);
        if (driver_level(call, name, n) < CONTAINER_TALK)
                driver_error(call, OUTCOME_SERVICE_UNKNOWN,
                             "The name %s was not provided by any .service files", name);
        else
                activation_start(call->turn, call->sender, call->e, name);
}

static bool has_file(const struct service_table *services, const char *name)
{
        const struct service *service;

        for (size_t i = 0; services && (service = service_table_at(services, i)); i++)
                if (strcmp(service->name, name) == 0)
                        return true;
        return false;
}

/* those at another door, unless a service file has the name as well */
static void write_stand_ins(struct writer *w, struct call *call,
                            const struct service_table *services)
{
        const struct bus *bus = call->bus;
        const char *name;

        for (size_t i = 0; bus->stand_ins && (name = bus->stand_ins->at(bus->stand_ins_data, i)); i++)
                if (!has_file(services, name) &&
                    driver_level(call, name, strlen(name)) >= CONTAINER_SEE)
                        writer_string(w, name);
}

void driver_list_activatable_names(struct call *call)
{
        const struct service_table *services = NULL;
        const struct service *service;
        struct writer w;

        if (call->bus->activator)
                services = activator_services(call->bus->activator);
        driver_reply(&w, call, "as");
        writer_open(&w, 'a', NULL);
        writer_string(&w, BUS_NAME);
        for (size_t i = 0; services && (service = service_table_at(services, i)); i++)
                if (driver_level(call, service->name, strlen(service->name)) >= CONTAINER_SEE)
                        writer_string(&w, service->name);
        write_stand_ins(&w, call, services);
        writer_close(&w);
        driver_send(&w, call);
}

static int read_variables(struct environment *env, struct reader *args)
{
        const char *name, *value;
        int r = 0;

        reader_enter(args, 'a');
        while (!r && reader_peek(args)) {
                reader_enter(args, '{');
                reader_string(args, &name, NULL);
                reader_string(args, &value, NULL);
                reader_leave(args);
                r = environment_set(env, name, value);
        }
        return error_fold(r);
}

void driver_update_activation_environment(struct call *call)
{
        _cleanup_(environment_deinit) struct environment env = ENVIRONMENT_NULL;
        struct activator *activator = call->bus->activator;
        int r;

        if (activator_has_helper(activator)) {
                driver_error(call, OUTCOME_ACCESS_DENIED,
                             "Cannot change activation environment on a system bus.");
                return;
        }
        r = read_variables(&env, &call->args);
        if (!r)
                r = activator_update_environment(activator, call->turn, env.entry);
        if (r)
                driver_error(call, OUTCOME_NO_MEMORY, "Not enough memory");
        else
                driver_reply_empty(call);
}

void driver_reload_config(struct call *call)
{
        struct bus *bus = call->bus;
        char why[1024];
        int r;

        r = bus->keeper->reload(bus, call->turn, why, sizeof(why));
        if (r)
                driver_error(call, r == -ENOENT ? OUTCOME_FILE_NOT_FOUND : OUTCOME_FAILED, "%s", why);
        else
                driver_reply_empty(call);
}

static bool is(const struct envelope *e, struct span span, const char *text)
{
        return span.off && strcmp(envelope_text(e, span), text) == 0;
}

void driver_activation_signal(struct call *call)
{
        const struct envelope *e = call->e;
        const struct header *h = &e->header;
        struct client *systemd;
        char who[CLIENT_DESCRIBE_MAX];
        const char *unit, *name, *text;

        if (!is(e, h->interface, ACTIVATOR_INTERFACE) || !is(e, h->member, "ActivationFailure"))
                return;
        turn_write(call->turn);
        systemd = bus_find(call->bus, SYSTEMD_NAME, strlen(SYSTEMD_NAME));
        if (call->sender != systemd || !bus_is_privileged(call->bus, call->sender)) {
                log_limited(LOG_WARNING, "forged", call->sender->peer.id,
                            "Ignoring forged ActivationFailure message from connection %s",
                            client_describe(call->sender, who, sizeof(who)));
                return;
        }
        if (!is(e, h->signature, "sss")) {
                log_limited(LOG_WARNING, "not sss", call->sender->peer.id,
                            "Ignoring an ActivationFailure of systemd with wrong arguments");
                return;
        }
        reader_init_message(&call->args, h, e->data);
        unit = driver_string(call, NULL);
        name = driver_string(call, NULL);
        text = driver_string(call, NULL);
        activation_unit_failed(call->turn, unit, name, text);
}
