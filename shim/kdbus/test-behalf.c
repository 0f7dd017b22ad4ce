/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus-core/util/test-run.h"
#include "shim/kdbus/client/proto.h"
#include "shim/kdbus/test-server.h"

#define USER    12345
#define ANOTHER 12346

static struct server server;

static void setup(void)
{
        server_start(&server);
}

static void teardown(void)
{
        server_stop(&server);
}

static int control_file(void)
{
        char path[64];

        snprintf(path, sizeof(path), "%s/root/control", server.dir);
        return open(path, O_RDWR | O_CLOEXEC);
}

static int send_open(int fd, const struct kdp_request *rq, const int fds[3])
{
        union {
                struct cmsghdr align;
                char buf[CMSG_SPACE(3 * sizeof(int))];
        } control = {.align = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                               .cmsg_len = CMSG_LEN(3 * sizeof(int))}};
        struct iovec iov = {(void *)rq, sizeof(*rq)};
        struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1,
                            .msg_control = &control, .msg_controllen = sizeof(control)};

        memcpy(CMSG_DATA(&control.align), fds, 3 * sizeof(int));
        return sendmsg(fd, &mh, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* @accept: microseconds that the server has for accepting, before anything is said */
static int open_once(int other, useconds_t accept)
{
        struct kdp_request rq = {.magic = KDP_MAGIC, .op = KDP_OPEN, .serial = 1,
                                 .flags = KDP_NEW_CHANNEL | KDP_BEHALF};
        int channel[2], fds[3], fd = server_connect(&server), file = control_file();
        struct kdp_reply reply;

        if (fd < 0 || file < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel) < 0)
                return -errno;
        usleep(accept);
        fds[0] = channel[1];
        fds[1] = other;
        fds[2] = file;
        if (send_open(fd, &rq, fds) < 0)
                return -errno;
        close(channel[1]);
        return recv(channel[0], &reply, sizeof(reply), 0) == sizeof(reply) ? reply.error
                                                                           : -ECONNRESET;
}

/*
 * What comes of opening the control file for what a descriptor names; -ECONNRESET: no channel.
 * What was said before the server accepted carries no credentials, and is to be said again.
 */
static int open_for(int other)
{
        int r = -ESTALE;

        for (int i = 0; i < 100 && r == -ESTALE; i++)
                r = open_once(other, i * 1000);
        return r;
}

/* a process of a user; with capabilities if so asked */
static pid_t sleeper(uid_t real, uid_t effective, bool caps)
{
        int ready[2];
        pid_t pid;

        if (pipe(ready) < 0)
                return -1;
        pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                prctl(PR_SET_KEEPCAPS, caps);
                if (setresuid(real, effective, effective) < 0)
                        _exit(1);
                (void)!write(ready[1], "", 1);
                pause();
                _exit(0);
        }
        (void)!read(ready[0], &(char){0}, 1);
        close(ready[0]);
        close(ready[1]);
        return pid;
}

static int pidfd(pid_t pid)
{
        return syscall(SYS_pidfd_open, pid, 0);
}

static const struct {
        const char *what;
        uid_t speaker, real, effective;
        bool caps;
        int expect;
} rows[] = {
        {"root for a user", 0, USER, USER, false, 0},
        {"root for root", 0, 0, 0, true, 0},
        {"a user for a process of its own", USER, USER, USER, false, 0},
        {"a user for another", USER, ANOTHER, ANOTHER, false, -ECONNRESET},
        {"a user for root", USER, 0, 0, true, -ECONNRESET},
        {"a user for what became another", USER, USER, ANOTHER, false, -ECONNRESET},
        {"a user for what became this user", USER, ANOTHER, USER, false, -ECONNRESET},
        {"a user for its process with capabilities", USER, USER, USER, true, -ECONNRESET},
};

START_TEST(who_may_speak_for_whom)
{
        pid_t other = sleeper(rows[_i].real, rows[_i].effective, rows[_i].caps), pid;
        int fd = pidfd(other), status = 0;

        ck_assert_int_ge(fd, 0);
        pid = fork();
        if (pid == 0) {
                if (setresuid(rows[_i].speaker, rows[_i].speaker, rows[_i].speaker) < 0)
                        _exit(2);
                _exit(open_for(fd) == rows[_i].expect ? 0 : 1);
        }
        waitpid(pid, &status, 0);
        kill(other, SIGKILL);
        waitpid(other, NULL, 0);
        ck_assert_msg(status == 0, "%s", rows[_i].what);
}
END_TEST

START_TEST(nobody_speaks_for_the_dead)
{
        pid_t other = sleeper(USER, USER, false);
        int fd = pidfd(other);

        kill(other, SIGKILL);
        waitpid(other, NULL, 0);
        ck_assert_int_eq(open_for(fd), -ECONNRESET);
}
END_TEST

START_TEST(any_other_descriptor_names_no_process)
{
        ck_assert_int_eq(open_for(STDERR_FILENO), -ECONNRESET);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("behalf");
        TCase *tcase = tcase_create("behalf");
        int self;

        if (geteuid() != 0) {
                puts("skipped: only root can become others");
                return 77;
        }
        self = pidfd(getpid());
        if (self < 0) {
                printf("skipped: no pidfd_open (%m); valgrind knows none\n");
                return 77;
        }
        close(self);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, who_may_speak_for_whom, 0,
                            sizeof(rows) / sizeof(rows[0]));
        tcase_add_test(tcase, nobody_speaks_for_the_dead);
        tcase_add_test(tcase, any_other_descriptor_names_no_process);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
