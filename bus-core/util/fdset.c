/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <string.h>

#include "bus-core/util/error.h"
#include "bus-core/util/fdset.h"

int fdset_new(struct fdset **out, const int *fds, size_t n)
{
        struct fdset *set;

        set = malloc(sizeof(*set) + n * sizeof(int));
        if (!set)
                return error_origin(-ENOMEM);
        set->n = n;
        if (n)
                memcpy(set->fds, fds, n * sizeof(int));
        *out = set;
        return 0;
}

struct fdset *fdset_free(struct fdset *set)
{
        if (!set)
                return NULL;
        fdset_close(set->fds, set->n);
        free(set);
        return NULL;
}

void fdset_close(const int *fds, size_t n)
{
        int saved = errno;

        for (size_t i = 0; i < n; i++)
                close(fds[i]);
        errno = saved;
}
