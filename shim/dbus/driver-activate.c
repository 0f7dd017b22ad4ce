/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Driver: services that can be started, the environment they get, and the configuration. */

#include "config.h"

#include "shim/bus/activate.h"
#include "shim/dbus/driver.h"

void driver_start_service_by_name(struct call *call)
{
        const char *name = driver_string(call, NULL);

        driver_error(call, OUTCOME_SERVICE_UNKNOWN,
                     "The name %s was not provided by any .service files", name);
}

void driver_list_activatable_names(struct call *call)
{
        struct writer w;

        driver_reply(&w, call, "as");
        writer_open(&w, 'a', NULL);
        writer_string(&w, BUS_NAME);
        writer_close(&w);
        driver_send(&w, call);
}

void driver_update_activation_environment(struct call *call)
{
        driver_reply_empty(call);
}

void driver_reload_config(struct call *call)
{
        struct bus *bus = call->bus;
        char why[1024];

        if (bus->keeper->reload(bus, call->turn, why, sizeof(why)))
                driver_error(call, OUTCOME_FAILED, "%s", why);
        else
                driver_reply_empty(call);
}

void driver_activation_signal(struct call *call)
{
}
