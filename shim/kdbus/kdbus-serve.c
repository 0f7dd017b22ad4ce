/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * kdbus-serve DIRECTORY [PROGRAM ARGS...]
 *
 * A kdbus domain without a bus daemon around it: serves until PROGRAM ends, and then with its
 * status; without one, until it is killed. The tests' own way in.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus-core/util/error.h"
#include "shim/kdbus/entry.h"

static int serve(struct entry *entry, int signals, pid_t child)
{
        struct pollfd p[2] = {{.fd = entry_fd(entry), .events = POLLIN},
                              {.fd = signals, .events = POLLIN}};
        struct signalfd_siginfo si;
        int status;

        for (;;) {
                if (poll(p, 2, -1) < 0 && errno != EINTR)
                        return 1;
                if (p[0].revents && entry_dispatch(entry))
                        return 1;
                if (!p[1].revents || read(signals, &si, sizeof(si)) != sizeof(si))
                        continue;
                if (si.ssi_signo != SIGCHLD)
                        return 0;
                if (waitpid(child, &status, WNOHANG) == child)
                        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
}

static pid_t spawn(char **argv, const sigset_t *mask, const struct rlimit *files)
{
        pid_t pid = fork();

        if (pid)
                return pid;
        setrlimit(RLIMIT_NOFILE, files);
        sigprocmask(SIG_SETMASK, mask, NULL);
        execvp(argv[0], argv);
        fprintf(stderr, "kdbus-serve: %s: %s\n", argv[0], strerror(errno));
        _exit(127);
}

int main(int argc, char **argv)
{
        struct entry *entry = NULL;
        struct rlimit files, more;
        sigset_t mask, old;
        pid_t child = -1;
        int r, signals;

        if (argc < 2) {
                fprintf(stderr, "usage: kdbus-serve DIRECTORY [PROGRAM ARGS...]\n");
                return 2;
        }
        error_setup();
        getrlimit(RLIMIT_NOFILE, &files);
        more = (struct rlimit){files.rlim_max, files.rlim_max};
        setrlimit(RLIMIT_NOFILE, &more);
        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        sigprocmask(SIG_BLOCK, &mask, &old);
        signals = signalfd(-1, &mask, SFD_CLOEXEC);
        r = entry_new(&entry, argv[1]);
        if (r) {
                fprintf(stderr, "kdbus-serve: %s: %s\n", argv[1], strerror(-r));
                return 1;
        }
        if (argc > 2)
                child = spawn(argv + 2, &old, &files);
        r = serve(entry, signals, child);
        entry_free(entry);
        return r;
}
