/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Channel
 *
 * What it is     A thread's own way to the daemon: where the replies to its commands come in.
 * How            Made at the thread's first command, closed when the thread ends. A page that the
 *                kernel wipes in forked children tells them that the channel is not theirs, however
 *                they were made; the socket's cookie tells whether its number still means it, in
 *                case the program closes descriptors that are not its own.
 *                A command issued by a signal handler while the thread waits for a reply gets a
 *                channel of its own.
 */

#include <stdbool.h>
#include <stdint.h>

struct channel {
        int fd;
        int daemon_fd; /* to be passed with the first request; -1 once it was */
        uint64_t cookie;
        uint64_t id;
        uint64_t serial;
        uint64_t epoch;
        uint32_t tid;  /* of the thread that made it */
        bool busy;
};

void channel_setup(void);
int channel_get(struct channel **chp, struct channel *spare);
void channel_put(struct channel *ch, const struct channel *spare);
void channel_drop(struct channel *ch);
uint64_t channel_cookie(int fd);
