/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "compat-tests/bench/harness.h"
#include "compat-tests/bench/client.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "compat-tests/memory.h"

uint64_t now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void sleep_until(uint64_t time)
{
        struct timespec t = { (time_t)(time / 1000000000), (long)(time % 1000000000) };

        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
                ;
}

/* The first number in a file of /proc; 0 if there is none. */
static uint64_t first_number(const char *path)
{
        uint64_t value = 0;
        FILE *f = fopen(path, "re");

        if (!f)
                return 0;
        if (fscanf(f, "%" SCNu64, &value) != 1)
                value = 0;
        fclose(f);
        return value;
}

uint64_t bus_cpu(pid_t bus)
{
        char path[320];
        struct dirent *entry;
        uint64_t sum = 0;
        DIR *dir;

        snprintf(path, sizeof(path), "/proc/%d/task", bus);
        dir = opendir(path);
        if (!dir)
                return 0;
        while ((entry = readdir(dir))) {
                if (entry->d_name[0] == '.') /* ".." has the main thread's again */
                        continue;
                snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", bus, entry->d_name);
                sum += first_number(path);
        }
        closedir(dir);
        return sum;
}

uint64_t bus_resident(pid_t bus)
{
        uint64_t bytes = process_memory(bus, "VmRSS:");

        if (!bytes)
                die("no process %d to look at (--pid)", bus);
        return bytes;
}

struct process {
        pid_t pid;
        int from, to; /* pipes, seen from the parent */
};

static void must_read(int fd, void *to, size_t size)
{
        if (read(fd, to, size) != (ssize_t)size)
                die("a process of the load ended early");
}

static void must_write(int fd, const void *from, size_t size)
{
        if (write(fd, from, size) != (ssize_t)size)
                die("cannot write to a process of the load");
}

static void play(const struct role *role, int from, int to)
{
        struct report report = {};
        struct phase phase;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        role->prepare(role->arg);
        must_write(to, "", 1);
        must_read(from, &phase, sizeof(phase));
        sleep_until(phase.begin);
        role->run(role->arg, &phase, &report);
        must_write(to, &report, sizeof(report));
        _exit(0);
}

static void spawn(struct process *p, const struct role *role)
{
        int down[2], up[2];
        char ready;

        if (pipe(down) < 0 || pipe(up) < 0)
                die("cannot make a pipe: %s", strerror(errno));
        p->pid = fork();
        if (p->pid < 0)
                die("cannot fork: %s", strerror(errno));
        if (!p->pid) {
                close(down[1]);
                close(up[0]);
                play(role, down[0], up[1]);
        }
        close(down[0]);
        close(up[1]);
        p->to = down[1];
        p->from = up[0];
        must_read(p->from, &ready, 1);
}

void harness_run(struct result *result, const struct role *roles, size_t n_roles, double warm_up,
                 double seconds, pid_t bus)
{
        struct process processes[ROLES_MAX];
        struct phase phase;
        uint64_t cpu;
        size_t i;

        if (n_roles > ROLES_MAX)
                die("too many processes");

        /* in order: a later role may want what an earlier one has set up */
        for (i = 0; i < n_roles; i++)
                spawn(&processes[i], &roles[i]);

        phase.begin = now() + 2000000;
        phase.count_from = phase.begin + (uint64_t)(warm_up * 1e9);
        phase.end = phase.count_from + (uint64_t)(seconds * 1e9);
        for (i = 0; i < n_roles; i++)
                must_write(processes[i].to, &phase, sizeof(phase));

        sleep_until(phase.count_from);
        cpu = bus_cpu(bus);
        sleep_until(phase.end);
        *result = (struct result){ .seconds = seconds, .bus_cpu = bus_cpu(bus) - cpu };

        for (i = 0; i < n_roles; i++) {
                struct report r;

                must_read(processes[i].from, &r, sizeof(r));
                result->sum.count += r.count;
                if (r.p50) {
                        result->sum.p50 = r.p50;
                        result->sum.p99 = r.p99;
                }
                close(processes[i].from);
                close(processes[i].to);
        }
        for (i = 0; i < n_roles; i++)
                waitpid(processes[i].pid, NULL, 0);
}
