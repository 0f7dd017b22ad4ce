/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bus-core/core.h"
#include "shim/daemon/idle.h"

uint64_t idle_parse(const char *text, const cpu_set_t *set)
{
        unsigned long long idle, iowait;
        const char *line = text;
        unsigned int cpu;
        uint64_t sum = 0;
        int n = 0;

        while (line && strncmp(line, "cpu", 3) == 0) {
                if (isdigit((unsigned char)line[3]) && /* the line without is of all there are */
                    sscanf(line, "cpu%u %*u %*u %*u %llu %llu", &cpu, &idle, &iowait) == 3 &&
                    cpu < CPU_SETSIZE && CPU_ISSET(cpu, set)) {
                        sum += idle + iowait;
                        n++;
                }
                line = strchr(line, '\n');
                line = line ? line + 1 : NULL;
        }
        return n && n == CPU_COUNT(set) ? sum : IDLE_UNKNOWN;
}

uint64_t idle_now(const cpu_set_t *set)
{
        static char text[64 * 1024]; /* processors come first; more than these hold are not known */
        _cleanup_(closep) int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
        uint64_t ticks;
        ssize_t n;

        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return IDLE_UNKNOWN;
        text[n] = 0;
        ticks = idle_parse(text, set);
        return ticks == IDLE_UNKNOWN ? ticks : ticks * (1000000 / sysconf(_SC_CLK_TCK));
}
