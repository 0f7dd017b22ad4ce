/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Server: the one that a test of its protocol starts, in a directory of its own. */

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct server {
        char dir[32];
        pid_t pid;
};

static inline void server_start(struct server *s)
{
        strcpy(s->dir, "/tmp/lambus-server-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(s->dir));
        ck_assert_int_eq(chmod(s->dir, 0755), 0);
        s->pid = fork();
        if (s->pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                execl(KDBUS_SERVE, "kdbus-serve", s->dir, NULL);
                _exit(127);
        }
}

/* server_connect() - its socket is there a moment before it listens; returns -1 if it never does */
static inline int server_connect(const struct server *s)
{
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/socket", s->dir);
        for (int i = 0; i < 500; i++) {
                if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
                        return fd;
                usleep(10000);
        }
        close(fd);
        return -1;
}

/* server_stop() - returns how it ended, as waitpid() has it */
static inline int server_stop(struct server *s)
{
        int status;

        kill(s->pid, SIGTERM);
        ck_assert_int_eq(waitpid(s->pid, &status, 0), s->pid);
        rmdir(s->dir);
        return status;
}
