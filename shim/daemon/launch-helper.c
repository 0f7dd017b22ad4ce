/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* lambus-daemon-launch-helper NAME: see helper.h. Short, because it runs as root. */

#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/daemon/busconfig.h"
#include "shim/daemon/helper.h"

/* Nothing of the caller's reaches us or the service but descriptors 0 to 2. */
static enum helper_status clean_up(void)
{
        int fd;

        if (clearenv())
                return HELPER_SETUP_FAILED;
        do {
                fd = open("/dev/null", O_RDWR);
        } while (fd >= 0 && fd <= 2);
        if (fd < 0)
                return HELPER_SETUP_FAILED;
        return syscall(SYS_close_range, 3u, ~0u, 0u) < 0 ? HELPER_SETUP_FAILED : HELPER_OK;
}

int main(int argc, char **argv)
{
        struct busconfig *config;
        struct service *service;
        enum helper_status status;

        status = clean_up();
        if (!status && argc != 2)
                status = HELPER_INVALID_ARGS;
        if (!status)
                status = helper_configure(&config, DBUS_DATADIR "/dbus-1/system.conf");
        if (!status)
                status = helper_check_caller(config, getuid(), geteuid());
        if (!status)
                status = helper_find(&service, config, argv[1]);
        if (!status)
                status = helper_become(service->user);
        if (!status)
                status = helper_exec(service);
        return status;
}
