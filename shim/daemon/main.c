/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdio.h>

#include "bus-core/core.h"
#include "shim/daemon/daemon.h"
#include "shim/daemon/options.h"
#include "shim/daemon/service.h"
#include "shim/dbus/driver.h"

static int introspect(void)
{
        _cleanup_(freep) char *text = driver_introspect(BUS_PATH);

        if (!text)
                return 1;
        fputs(text, stdout);
        return 0;
}

static int run(const struct options *options)
{
        struct daemon d;
        int r;

        r = daemon_init(&d, options);
        if (!r)
                r = daemon_configure(&d);
        if (!r)
                r = daemon_listen(&d);
        if (!r)
                r = daemon_serve(&d);
        if (r)
                daemon_tell_failure(&d, r);
        daemon_deinit(&d);
        return r ? 1 : 0;
}

static int act(const struct options *options, enum options_action action)
{
        switch (action) {
        case OPTIONS_RUN:
                return run(options);
        case OPTIONS_VERSION:
                printf("lambus-daemon %s\n"
                       "A D-Bus message bus. Licence: LGPL-2.1-or-later. No warranty.\n",
                       PACKAGE_VERSION);
                return 0;
        case OPTIONS_INTROSPECT:
                return introspect();
        case OPTIONS_USAGE:
                options_usage();
                return 1;
        default:
                return 1;
        }
}

int main(int argc, char **argv)
{
        struct options options;
        int r;

        error_setup();
        trace_setup();
        service_std_fds();
        service_lonely_nss();
        r = act(&options, options_parse(&options, argc, argv));
        options_deinit(&options);
        return r;
}
