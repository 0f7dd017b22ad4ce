/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "shim/kdbus/super/answer.h"
#include "shim/kdbus/super/filter.h"
#include "shim/kdbus/super/kdbusfs.h"
#include "shim/kdbus/super/line.h"
#include "shim/kdbus/super/place.h"
#include "shim/kdbus/super/supervise.h"

/* the program says to the supervisor, with a descriptor: first the mount, then the listener */
struct news {
        int error; /* 0, or an errno; then what is what failed */
        dev_t dev;
        char what[128];
};

/* the supervisor says to who waits: first the pid, then the status */
struct outcome {
        pid_t pid;
        int status;
};

/* --- the program --- */

static int tell(int link, const struct news *news, int fd)
{
        union {
                struct cmsghdr align;
                char buf[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct iovec iov = {(void *)news, sizeof(*news)};
        struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
        struct cmsghdr *cmsg;

        if (fd >= 0) {
                mh.msg_control = &control;
                mh.msg_controllen = sizeof(control);
                cmsg = CMSG_FIRSTHDR(&mh);
                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_RIGHTS;
                cmsg->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
        }
        return sendmsg(link, &mh, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

_Noreturn static void give_up(int link, const char *what, int error)
{
        struct news news = {.error = error};

        snprintf(news.what, sizeof(news.what), "%s", what);
        (void)tell(link, &news, -1);
        _exit(127);
}

_Noreturn static void be_program(const struct supervise *how, int link, char *const *argv)
{
        struct place_error error;
        struct news news = {};
        struct stat st;
        int fd;

        fd = place_mount(how->mount, &error);
        if (fd < 0)
                give_up(link, error.what, error.error);
        if (tell(link, &news, fd))
                _exit(127);
        close(fd);
        if (stat(how->mount, &st) < 0) /* waits until it is served */
                give_up(link, how->mount, errno);
        news.dev = st.st_dev;
        fd = -1;
        if (how->filter) {
                fd = filter_install();
                if (fd < 0)
                        give_up(link, "no system call filter", -fd);
        }
        if (tell(link, &news, fd))
                _exit(127);
        if (fd >= 0)
                close(fd);
        execvp(argv[0], argv);
        fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
        _exit(errno == ENOENT ? 127 : 126);
}

/* --- the supervisor --- */

static int hear(int link, struct news *news, int *fdp)
{
        union {
                struct cmsghdr align;
                char buf[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = {news, sizeof(*news)};
        struct msghdr mh = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
        struct cmsghdr *cmsg;
        ssize_t n;

        *fdp = -1;
        do
                n = recvmsg(link, &mh, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n != sizeof(*news))
                return -ECHILD;
        cmsg = CMSG_FIRSTHDR(&mh);
        if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
                memcpy(fdp, CMSG_DATA(cmsg), sizeof(*fdp));
        news->what[sizeof(news->what) - 1] = '\0';
        if (news->error)
                fprintf(stderr, "lambusctl: %s: %s\n", news->what, strerror(news->error));
        return -news->error;
}

/* many programs may be below, and each of their handles is a descriptor of ours */
static void raise_files(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
}

static int serve(const struct supervise *how, int link, struct kdbusfs **fsp)
{
        static struct lines lines;
        struct news news;
        int fd, r;

        r = hear(link, &news, &fd);
        r = r ?: lines_start(&lines);
        r = r ?: kdbusfs_start(fsp, fd, how->state, &lines);
        r = r ?: hear(link, &news, &fd);
        if (!r)
                kdbusfs_mounted(*fsp, news.dev);
        if (!r && how->filter)
                r = answer_start(fd, *fsp, &lines, news.dev);
        return r;
}

/* until none of the program's descendants is left; they are ours when their parents have gone */
static void wait_for_all(pid_t program, int report)
{
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR) {
                struct outcome outcome = {pid, status};

                if (pid == program)
                        (void)send(report, &outcome, sizeof(outcome), MSG_NOSIGNAL);
        }
}

_Noreturn static void be_supervisor(const struct supervise *how, int report, char *const *argv,
                                    const sigset_t *mask)
{
        struct kdbusfs *fs = NULL;
        int link[2], r;
        pid_t pid;

        prctl(PR_SET_CHILD_SUBREAPER, 1);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0)
                _exit(1);
        pid = fork();
        if (pid == 0) {
                sigprocmask(SIG_SETMASK, mask, NULL);
                be_program(how, link[1], argv);
        }
        close(link[1]);
        setsid(); /* the terminal's signals are for the program */
        raise_files();
        r = pid < 0 ? -errno : serve(how, link[0], &fs);
        if (r) {
                if (pid > 0)
                        kill(pid, SIGKILL);
                _exit(1);
        }
        close(link[0]);
        send(report, &(struct outcome){.pid = pid}, sizeof(struct outcome), MSG_NOSIGNAL);
        wait_for_all(pid, report);
        kdbusfs_wait(fs);
        _exit(0);
}

/* --- who was called --- */

static int status_of(int status)
{
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* the terminal tells the program itself */
static void pass_on(int signals, pid_t program)
{
        struct signalfd_siginfo si;

        if (read(signals, &si, sizeof(si)) == sizeof(si) && program > 0 &&
            si.ssi_code != SI_KERNEL)
                kill(program, si.ssi_signo);
}

static int wait_for_outcome(int report, int signals)
{
        struct pollfd p[2] = {{.fd = report, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
        struct outcome outcome;
        pid_t program = 0;

        for (;;) {
                if (poll(p, 2, -1) < 0 && errno != EINTR)
                        return -errno;
                if (p[1].revents)
                        pass_on(signals, program);
                if (!p[0].revents)
                        continue;
                if (recv(report, &outcome, sizeof(outcome), 0) != sizeof(outcome))
                        return -ECHILD;
                if (program)
                        return status_of(outcome.status);
                program = outcome.pid;
        }
}

int supervise_program(const struct supervise *how, char *const *argv)
{
        _cleanup_(closep) int signals = -1;
        int report[2], r;
        sigset_t mask, old;
        pid_t pid;

        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        sigaddset(&mask, SIGQUIT);
        sigaddset(&mask, SIGHUP);
        sigprocmask(SIG_BLOCK, &mask, &old);
        signals = signalfd(-1, &mask, SFD_CLOEXEC);
        if (signals < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, report) < 0)
                return -errno;
        pid = fork();
        if (pid == 0) {
                close(report[0]);
                be_supervisor(how, report[1], argv, &old);
        }
        close(report[1]);
        r = pid < 0 ? -errno : wait_for_outcome(report[0], signals);
        close(report[0]);
        return r;
}
