/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/entry.h"
#include "shim/kdbus/serve.h"

static int status_of(int status)
{
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int serve(struct entry *entry, int signals, pid_t child)
{
        struct pollfd p[2] = {{.fd = entry_fd(entry), .events = POLLIN},
                              {.fd = signals, .events = POLLIN}};
        struct signalfd_siginfo si;
        int status, r;

        for (;;) {
                if (poll(p, 2, -1) < 0 && errno != EINTR)
                        return error_origin(-errno);
                r = p[0].revents ? entry_dispatch(entry) : 0;
                if (r)
                        return error_fold(r);
                if (!p[1].revents || read(signals, &si, sizeof(si)) != sizeof(si))
                        continue;
                if (si.ssi_signo != SIGCHLD && child > 0)
                        kill(child, si.ssi_signo); /* it decides */
                else if (si.ssi_signo != SIGCHLD)
                        return 0;
                if (child > 0 && waitpid(child, &status, WNOHANG) == child)
                        return status_of(status);
        }
}

static pid_t spawn(char *const *argv, const sigset_t *mask, const struct rlimit *files)
{
        pid_t pid = fork();

        if (pid)
                return pid;
        setrlimit(RLIMIT_NOFILE, files);
        sigprocmask(SIG_SETMASK, mask, NULL);
        execvp(argv[0], argv);
        fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
}

/* many handles, each with a pool */
static void raise_files(struct rlimit *old)
{
        struct rlimit more;

        getrlimit(RLIMIT_NOFILE, old);
        more = (struct rlimit){old->rlim_max, old->rlim_max};
        setrlimit(RLIMIT_NOFILE, &more);
}

int serve_program(const char *state_dir, char *const *argv)
{
        _cleanup_(closep) int signals = -1;
        struct entry *entry = NULL;
        struct rlimit files;
        sigset_t mask, old;
        pid_t child = -1;
        int r;

        raise_files(&files);
        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        sigprocmask(SIG_BLOCK, &mask, &old);
        signals = signalfd(-1, &mask, SFD_CLOEXEC);
        r = signals < 0 ? error_origin(-errno) : entry_new(&entry, state_dir);
        if (!r && argv) {
                child = spawn(argv, &old, &files);
                r = child < 0 ? error_origin(-errno) : 0;
        }
        if (!r)
                r = serve(entry, signals, child);
        entry_free(entry);
        return r;
}
