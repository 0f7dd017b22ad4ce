/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/daemon/slice.h"

#define SHORTEST_NSEC 100000 /* that the kernel grants */

/* struct sched_attr of linux/sched/types.h in its first version, which each kernel takes */
struct attr {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
};

/* Whoever was given another policy by the administrator keeps it. */
static void slice_set(uint64_t nsec)
{
        struct attr attr = { .size = sizeof(attr) };

        if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) < 0 ||
            attr.policy != SCHED_OTHER || attr.runtime == nsec)
                return;
        attr.size = sizeof(attr);
        attr.runtime = nsec;
        syscall(SYS_sched_setattr, 0, &attr, 0);
}

void slice_shorten(void)
{
        slice_set(SHORTEST_NSEC);
}

void slice_reset(void)
{
        slice_set(0);
}
