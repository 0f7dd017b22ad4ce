/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Line
 *
 * What it is     A thread of another program, and the channel on which the daemon answers it. What
 *                the library in client/ does inside the program, this does from the outside.
 * How            A line is found by the thread's number while that thread waits in a system call
 *                that we answer, so it cannot go away or ask twice. Descriptors of the process
 *                and of the thread itself (PIDFD_THREAD) prove later that the number still means
 *                the same, and tell when it ends: then so does the line. Where the kernel does not
 *                have the second, a line serves one call.
 * Guard          The table: its lock. A line: whoever got it, until line_put().
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct line {
        pid_t tid;
        int process, thread; /* pidfds; thread may be -1 */
        int fd;              /* where replies come */
        int daemon_fd;       /* to be passed with the first request; -1 once it was */
        uint64_t id, serial; /* as in client/proto.h */
        bool busy, listed;
        UT_hash_handle hh;
};

struct lines {
        pthread_mutex_t lock;
        struct line *lines;
        int epoll_fd; /* threads that have a line */
};

int lines_start(struct lines *lines);
int line_get(struct lines *lines, pid_t tid, struct line **linep);
void line_put(struct lines *lines, struct line *line);
int line_renew(struct line *line);

bool line_is_there(const struct line *line);
int line_read(const struct line *line, void *to, uint64_t address, size_t n);
int line_write(const struct line *line, uint64_t address, const void *from, size_t n);
int line_take_fd(const struct line *line, int fd);
int line_signal_pending(const struct line *line, bool *sharedp);
