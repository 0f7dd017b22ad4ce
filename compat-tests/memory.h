/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Memory: of a process, as the kernel counts it. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

/* process_memory() - bytes: "VmRSS:" now, "VmHWM:" at the most; 0 if there is no such process */
static inline uint64_t process_memory(pid_t pid, const char *what)
{
        char path[64], line[256];
        uint64_t kib = 0;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/status", pid);
        f = fopen(path, "re");
        if (!f)
                return 0;
        while (fgets(line, sizeof(line), f))
                if (!strncmp(line, what, strlen(what)) &&
                    sscanf(line + strlen(what), "%" SCNu64, &kib) == 1)
                        break;
        fclose(f);
        return kib << 10;
}
