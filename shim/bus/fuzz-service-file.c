/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fuzz target: a service has a name that can be owned, and a command splits as it did at first. */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "shim/bus/service-file.h"
#include "shim/wire/type.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        struct service *service;
        size_t i;

        if (service_parse(&service, (const char *)data, n, "fuzz.service", NULL, NULL))
                return 0;
        assert(valid_well_known_name(service->name, strlen(service->name)));
        assert(service->exec || service->systemd_service);
        for (i = 0; i < service->argc; i++)
                assert(strlen(service->argv[i]) <= strlen(service->exec));
        assert(!service->argv || !service->argv[service->argc]);
        service_unref(service);
        return 0;
}
