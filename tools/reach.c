/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/reach.h"
#include "tools/verb.h"

#define SYSTEM_ADDRESS "unix:path=/run/dbus/system_bus_socket"
#define ANSWER_USEC    10000000 /* for the bus to answer one call */
#define ADDRESS_SIZE   4096

/* NULL if nobody says where it is */
static const char *session_address(char buf[ADDRESS_SIZE])
{
        const char *address = getenv("DBUS_SESSION_BUS_ADDRESS");
        const char *dir = getenv("XDG_RUNTIME_DIR");

        if (address && *address)
                return address;
        if (!dir || !*dir)
                return NULL;
        snprintf(buf, ADDRESS_SIZE, "unix:path=%s/bus", dir);
        return buf;
}

static const char *address_of(const struct reach *which, char buf[ADDRESS_SIZE])
{
        const char *address;

        if (which->address)
                return which->address;
        if (which->session)
                return session_address(buf);
        address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
        return address && *address ? address : SYSTEM_ADDRESS;
}

static const char *advice(const struct reach *which, int error)
{
        if (error == EINVAL)
                return "an address is written as unix:path=/run/dbus/system_bus_socket";
        if (error == EACCES || error == EPERM)
                return "this user may not connect to it: ask as root, or as the bus's own user";
        if (which->address)
                return "is a bus running there?";
        if (which->session)
                return "has the session that set DBUS_SESSION_BUS_ADDRESS ended? For the "
                       "system's bus, use --system";
        return "is it running? See 'systemctl status dbus.service'. For your session's bus, use "
               "--session";
}

static int start(sd_bus **out, const char *address)
{
        sd_bus *bus = NULL;
        const char *name;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, ANSWER_USEC);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_get_unique_name(bus, &name); /* waits for Hello */
        if (r < 0) {
                sd_bus_close_unref(bus);
                return r;
        }
        *out = bus;
        return 0;
}

bool reach_take(struct reach *which, int option)
{
        switch (option) {
        case OPT_SYSTEM:
                *which = (struct reach){ 0 };
                return true;
        case OPT_SESSION:
                *which = (struct reach){ .session = true };
                return true;
        case OPT_ADDRESS:
                *which = (struct reach){ .address = optarg };
                return true;
        default:
                return false;
        }
}

int reach_connect(sd_bus **out, const struct reach *which)
{
        char buf[ADDRESS_SIZE];
        const char *address = address_of(which, buf);

        if (!address)
                return -ENOENT;
        return strchr(address, ':') ? start(out, address) : -EINVAL;
}

int reach_open(sd_bus **out, const struct reach *which)
{
        char buf[ADDRESS_SIZE];
        const char *address = address_of(which, buf);
        int r;

        if (!address)
                return verb_fail("no session bus is known here: neither DBUS_SESSION_BUS_ADDRESS nor "
                                 "XDG_RUNTIME_DIR is set. Ask from within the session, or name the "
                                 "bus by --address=ADDRESS, or use --system");
        r = reach_connect(out, which);
        if (r < 0)
                return verb_fail("no bus can be reached at %s: %s\n%s", address, strerror(-r),
                                 advice(which, -r));
        return VERB_OK;
}
