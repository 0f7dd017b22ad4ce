/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "shim/bus/bus.h"
#include "shim/bus/log.h"
#include "shim/daemon/service.h"
#include "shim/daemon/slice.h"
#include "shim/daemon/spawn.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

struct launch {
        struct activation *activation; /* NULL: abandoned */
        char *name;
        pid_t pid;
        int pidfd;
        int error_fd; /* what the child says of execve(); -1 once that is clear */
        struct watch watch;
        struct cds_list_head link; /* in the spawner */
};

/* --- the child -------------------------------------------------------------------------------- */

/* Everything that the child needs, so that it allocates nothing. */
struct child {
        char *const *argv;
        char *const *envp;
        int out, err; /* to be descriptors 1 and 2; -1: as they are */
        int error_fd;
};

/* The bus may be protected from the OOM killer; its services are not. */
static void reset_oom_score(void)
{
        char sign = 0;
        int fd;

        fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return;
        if (read(fd, &sign, 1) == 1 && sign == '-' && write(fd, "0", 1) < 0)
                sign = 0; /* then it stays */
        close(fd);
}

static void reset_signals(void)
{
        struct sigaction action = { .sa_handler = SIG_DFL }, old;
        sigset_t none;

        for (int i = 1; i < NSIG; i++)
                if (sigaction(i, NULL, &old) == 0 && old.sa_handler != SIG_IGN &&
                    old.sa_handler != SIG_DFL)
                        sigaction(i, &action, NULL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Async-signal-safe calls only, on the way to execve(). */
static _Noreturn void become(const struct child *child)
{
        int error;

        if (child->out >= 0)
                dup2(child->out, 1);
        if (child->err >= 0)
                dup2(child->err, 2);
        syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);
        service_restore_fds();
        reset_oom_score();
        slice_reset();
        reset_signals();
        execve(child->argv[0], child->argv, child->envp);
        error = errno;
        if (write(child->error_fd, &error, sizeof(error)) < 0)
                _exit(126);
        _exit(127);
}

/* --- its end ---------------------------------------------------------------------------------- */

static void launch_free(struct launch *launch)
{
        watch_stop(&launch->watch);
        cds_list_del(&launch->link);
        closep(&launch->pidfd);
        closep(&launch->error_fd);
        free(launch->name);
        free(launch);
}

static enum launch_end judge(const struct launch *launch, const siginfo_t *info, int *number)
{
        int error;

        if (launch->error_fd >= 0 &&
            read(launch->error_fd, &error, sizeof(error)) == sizeof(error)) {
                *number = error;
                return LAUNCH_FAILED;
        }
        *number = info->si_status;
        return info->si_code == CLD_EXITED ? LAUNCH_EXITED : LAUNCH_SIGNALED;
}

static void log_end(const struct launch *launch, enum launch_end how, int number)
{
        log_line(LOG_INFO, "service '%s' (pid %d) %s %d", launch->name, (int)launch->pid,
                 how == LAUNCH_EXITED ? "exited with status" : "was ended by signal", number);
}

static void on_end(struct watch *watch, uint32_t events, struct turn *turn)
{
        struct launch *launch = container_of(watch, struct launch, watch);
        siginfo_t info = {};
        enum launch_end how;
        int number;

        if (waitid(P_PIDFD, launch->pidfd, &info, WEXITED | WNOHANG) < 0 || !info.si_pid)
                return;
        turn_write(turn);
        how = judge(launch, &info, &number);
        if (launch->activation)
                activation_ended(turn, steal(&launch->activation), how, number);
        else if (how != LAUNCH_EXITED || number)
                log_end(launch, how, number);
        launch_free(launch);
        turn_commit(turn);
        turn_release(turn);
}

/* --- the bus's side ---------------------------------------------------------------------------- */

void spawner_init(struct spawner *spawner, struct poller *poller, bool journal)
{
        *spawner = (struct spawner){ .poller = poller, .journal = journal };
        CDS_INIT_LIST_HEAD(&spawner->launches);
}

void spawner_deinit(struct spawner *spawner)
{
        struct launch *launch, *next;

        if (!spawner->poller)
                return;
        cds_list_for_each_entry_safe(launch, next, &spawner->launches, link)
                launch_free(launch);
}

static int pidfd_of(pid_t pid)
{
        int fd = syscall(SYS_pidfd_open, pid, 0);

        return fd < 0 ? error_origin(-errno) : fd;
}

/* A process; errors of execve() come by @launch->error_fd */
static int run(struct launch *launch, struct child *child)
{
        _cleanup_(closep) int say = -1;
        sigset_t all, old;
        int fds[2];

        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return error_origin(-errno);
        launch->error_fd = fds[0];
        child->error_fd = say = fds[1];
        sigfillset(&all); /* no handler runs in the child before it is itself */
        pthread_sigmask(SIG_SETMASK, &all, &old);
        launch->pid = fork();
        if (launch->pid == 0)
                become(child);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (launch->pid < 0)
                return error_origin(-errno);
        launch->pidfd = pidfd_of(launch->pid);
        return launch->pidfd < 0 ? launch->pidfd : 0;
}

/* It runs, but cannot be watched. */
static void give_up(struct launch *launch)
{
        if (launch->pid > 0) {
                kill(launch->pid, SIGKILL);
                waitpid(launch->pid, NULL, 0);
        }
        launch_free(launch);
}

int spawn_launch(struct spawner *spawner, struct launch **out, struct activation *activation,
                 const char *name, char *const *argv, char *const *envp)
{
        _cleanup_(closep) int stdout_fd = -1, stderr_fd = -1;
        struct child child = { .argv = argv, .envp = envp };
        struct launch *launch;
        int r;

        launch = calloc(1, sizeof(*launch));
        if (!launch)
                return error_origin(-ENOMEM);
        launch->activation = activation;
        launch->watch.fd = launch->pidfd = launch->error_fd = -1;
        cds_list_add_tail(&launch->link, &spawner->launches);
        if (spawner->journal) {
                stdout_fd = sd_journal_stream_fd(name, LOG_INFO, false);
                stderr_fd = sd_journal_stream_fd(name, LOG_WARNING, false);
        }
        child.out = stdout_fd;
        child.err = stderr_fd;
        launch->name = strdup(name);
        r = launch->name ? run(launch, &child) : error_origin(-ENOMEM);
        if (!r)
                r = watch_start(&launch->watch, spawner->poller, launch->pidfd, EPOLLIN, on_end);
        if (r) {
                give_up(launch);
                return error_fold(r);
        }
        *out = launch;
        return 0;
}

void spawn_abandon(struct launch *launch, bool kill)
{
        launch->activation = NULL;
        if (kill)
                syscall(SYS_pidfd_send_signal, launch->pidfd, SIGKILL, NULL, 0);
        closep(&launch->error_fd);
        launch->error_fd = -1;
}
