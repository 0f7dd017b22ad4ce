/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "shim/kdbus/super/line.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

static void fclosep(FILE **f)
{
        if (*f)
                fclose(*f);
}

/* a field of /proc/TID/status, in the base given */
static int read_status(pid_t tid, const char *const *names, uint64_t *values, size_t n, int base)
{
        _cleanup_(fclosep) FILE *f = NULL;
        char path[48], text[512];
        size_t found = 0;

        snprintf(path, sizeof(path), "/proc/%d/status", tid);
        f = fopen(path, "re");
        while (f && found < n && fgets(text, sizeof(text), f))
                for (size_t i = 0; i < n; i++) {
                        size_t len = strlen(names[i]);

                        if (strncmp(text, names[i], len) != 0 || text[len] != ':')
                                continue;
                        values[i] = strtoull(text + len + 1, NULL, base);
                        found++;
                }
        return found == n ? 0 : -ESRCH;
}

static bool has_ended(int pidfd)
{
        struct pollfd p = {.fd = pidfd, .events = POLLIN};

        return poll(&p, 1, 0) != 0;
}

static bool is_current(const struct line *line)
{
        return line->thread >= 0 && !has_ended(line->thread) && !has_ended(line->process);
}

/**
 * line_is_there() - whether the thread still is the one that the line was made for
 */
bool line_is_there(const struct line *line)
{
        return !has_ended(line->thread >= 0 ? line->thread : line->process);
}

static void line_free(struct line *line)
{
        closep(&line->process);
        closep(&line->thread);
        closep(&line->fd);
        closep(&line->daemon_fd);
        free(line);
}

/**
 * line_renew() - a fresh channel: the old one is of no more use
 */
int line_renew(struct line *line)
{
        int fds[2];

        closep(&line->fd);
        closep(&line->daemon_fd);
        line->fd = line->daemon_fd = -1;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        line->fd = fds[0];
        line->daemon_fd = fds[1];
        line->id = line->serial = 0;
        return 0;
}

static int line_new(struct line **linep, pid_t tid)
{
        static const char *const names[] = {"Tgid"};
        struct line *line = calloc(1, sizeof(*line));
        uint64_t pid;
        int r;

        if (!line)
                return -ENOMEM;
        *line = (struct line){.tid = tid, .fd = -1, .daemon_fd = -1, .process = -1};
        line->thread = syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
        r = read_status(tid, names, &pid, 1, 10);
        if (!r) {
                line->process = syscall(SYS_pidfd_open, (pid_t)pid, 0);
                r = line->process < 0 ? -errno : line_renew(line);
        }
        if (r) {
                line_free(line);
                return r;
        }
        *linep = line;
        return 0;
}

static void unlist(struct lines *lines, struct line *line)
{
        HASH_DEL(lines->lines, line);
        line->listed = false;
        if (!line->busy)
                line_free(line);
}

/* until its thread ends; a line that cannot be watched serves one call */
static void list(struct lines *lines, struct line *line)
{
        struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = line->tid};

        if (line->thread < 0 ||
            epoll_ctl(lines->epoll_fd, EPOLL_CTL_ADD, line->thread, &ev) < 0)
                return;
        HASH_ADD(hh, lines->lines, tid, sizeof(line->tid), line);
        line->listed = line->hh.tbl;
}

static void on_end(struct lines *lines, pid_t tid)
{
        struct line *line;

        pthread_mutex_lock(&lines->lock);
        HASH_FIND(hh, lines->lines, &tid, sizeof(tid), line);
        if (line && !is_current(line))
                unlist(lines, line);
        pthread_mutex_unlock(&lines->lock);
}

static void *watch(void *data)
{
        struct lines *lines = data;
        struct epoll_event events[32];

        for (;;) {
                int n = epoll_wait(lines->epoll_fd, events, ARRAY_SIZE(events), -1);

                for (int i = 0; i < n; i++)
                        on_end(lines, events[i].data.fd);
        }
        return NULL;
}

/**
 * lines_start() - a table, as long as this process lives
 */
int lines_start(struct lines *lines)
{
        pthread_t thread;

        *lines = (struct lines){.lock = PTHREAD_MUTEX_INITIALIZER};
        lines->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (lines->epoll_fd < 0)
                return -errno;
        if (pthread_create(&thread, NULL, watch, lines))
                return -ENOMEM;
        pthread_detach(thread);
        return 0;
}

static int get_locked(struct lines *lines, pid_t tid, struct line **linep)
{
        struct line *line;
        int r;

        HASH_FIND(hh, lines->lines, &tid, sizeof(tid), line);
        if (line && (line->busy || !is_current(line))) {
                unlist(lines, line); /* who has it yet does not know that its thread has ended */
                line = NULL;
        }
        if (!line) {
                r = line_new(&line, tid);
                if (r)
                        return r;
                list(lines, line);
        }
        line->busy = true;
        *linep = line;
        return 0;
}

/**
 * line_get() - the line of a thread that waits for our answer
 *
 * Return: 0, a negative errno: the thread is not there or not in our pid namespace.
 */
int line_get(struct lines *lines, pid_t tid, struct line **linep)
{
        int r;

        if (tid <= 0)
                return -ESRCH;
        pthread_mutex_lock(&lines->lock);
        r = get_locked(lines, tid, linep);
        pthread_mutex_unlock(&lines->lock);
        return r;
}

void line_put(struct lines *lines, struct line *line)
{
        bool keep;

        if (!line)
                return;
        pthread_mutex_lock(&lines->lock);
        line->busy = false;
        keep = line->listed;
        if (keep && line->fd < 0) {
                unlist(lines, line);
                keep = true; /* and is gone */
        }
        pthread_mutex_unlock(&lines->lock);
        if (!keep)
                line_free(line);
}

/**
 * line_read() - copy from the program's memory
 *
 * Return: 0, -EFAULT if not all of it is there; -EPERM if the program may not be read.
 */
int line_read(const struct line *line, void *to, uint64_t address, size_t n)
{
        struct iovec local = {to, n}, remote = {(void *)(uintptr_t)address, n};
        ssize_t r = process_vm_readv(line->tid, &local, 1, &remote, 1, 0);

        if (r == (ssize_t)n)
                return 0;
        return r < 0 && errno == EPERM ? -EPERM : -EFAULT;
}

int line_write(const struct line *line, uint64_t address, const void *from, size_t n)
{
        struct iovec local = {(void *)(uintptr_t)from, n};
        struct iovec remote = {(void *)(uintptr_t)address, n};
        ssize_t r = process_vm_writev(line->tid, &local, 1, &remote, 1, 0);

        if (r == (ssize_t)n)
                return 0;
        return r < 0 && errno == EPERM ? -EPERM : -EFAULT;
}

/**
 * line_take_fd() - a copy of a descriptor that the program has
 */
int line_take_fd(const struct line *line, int fd)
{
        int copy;

        if (fd < 0)
                return -EBADF;
        copy = syscall(SYS_pidfd_getfd, line->thread >= 0 ? line->thread : line->process, fd, 0);
        return copy < 0 ? -errno : copy;
}

/**
 * line_signal_pending() - whether the thread has a signal to handle
 * @sharedp:    any thread of its process may take it
 */
int line_signal_pending(const struct line *line, bool *sharedp)
{
        static const char *const names[] = {"Threads", "SigPnd", "ShdPnd", "SigBlk"};
        uint64_t v[ARRAY_SIZE(names)];

        if (read_status(line->tid, names, v, ARRAY_SIZE(names), 16))
                return 0;
        *sharedp = !(v[1] & ~v[3]) && v[0] > 1;
        return ((v[1] | v[2]) & ~v[3]) != 0;
}
