/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Outlet
 *
 * What it is     Where lines of the log leave the daemon: standard error, or the socket of syslog.
 * Promise        1. It is never waited for: a pipe that nobody reads, a journal that is stuck, a
 *                   terminal that was stopped cost the bus nothing but lines.
 *                2. What is lost is counted, and said in its place as soon as lines are taken again.
 *                3. Lines are whole and in order. No more than a part of one is kept here.
 * How            Standard error is shared, so its O_NONBLOCK is not ours to set: each write asks for
 *                itself not to wait. Where the kernel cannot do that (pipes before Linux 6.4,
 *                terminals), the file is opened once more, for this one write.
 * Guard          Its own lock; under it nothing is taken and nothing waits.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTLET_LINE_MAX 2304 /* less than PIPE_BUF: a pipe takes all of it or nothing */

struct outlet {
        pthread_mutex_t lock;
        const char *name;   /* of the program */
        const char *prefix; /* of what it says itself */
        const char *syslog; /* path of the socket; NULL: a descriptor */
        int fd;
        bool stream; /* of syslog: records end with a null byte */
        bool full;   /* it took no more the last time */
        uint64_t lost;
        size_t n_rest;
        char rest[OUTLET_LINE_MAX]; /* of a line that has begun */
};

/* OUTLET_FD(), OUTLET_SYSLOG() - where to: the texts and the descriptor are borrowed */
#define OUTLET_FD(name_, prefix_, fd_)                                                             \
        ((struct outlet){ .lock = PTHREAD_MUTEX_INITIALIZER, .name = (name_), .prefix = (prefix_), \
                          .fd = (fd_) })
#define OUTLET_SYSLOG(name_, prefix_, path_)                                                       \
        ((struct outlet){ .lock = PTHREAD_MUTEX_INITIALIZER, .name = (name_), .prefix = (prefix_), \
                          .syslog = (path_), .fd = -1 })

/* outlet_deinit() - what is kept is lost */
void outlet_deinit(struct outlet *outlet);

/**
 * outlet_put() - one line, without its newline
 * @priority:   of syslog(3)
 *
 * Return:      true if something waits for outlet_retry(): it is full
 */
bool outlet_put(struct outlet *outlet, int priority, const char *line);

/* outlet_retry() - say what is still to be said, if it is taken; true if it is not */
bool outlet_retry(struct outlet *outlet);
