/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bus-core/util/error.h"
#include "shim/kdbus/shared.h"

int shared_map(const char *name, size_t n, int *fdp, void **mapp)
{
        void *map;

        *mapp = NULL;
        *fdp = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (*fdp < 0 || ftruncate(*fdp, n) < 0 ||
            fcntl(*fdp, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                return error_origin(-errno);
        map = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, *fdp, 0);
        if (map == MAP_FAILED)
                return error_origin(-errno);
        *mapp = map;
        return 0;
}
