/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Worker
 *
 * What it is     A thread that reads its connections and handles what they send.
 * How            Turn by turn: wait, handle everything that is ready, let go of the registry,
 *                drain every inbox that was touched. The first worker is the main thread; it
 *                has the listeners and signals too. Connections are given out in turn.
 */

#include <pthread.h>
#include <stdbool.h>

#include "shim/bus/poller.h"
#include "shim/bus/turn.h"
#include "shim/dbus/conn.h"

struct worker {
        struct poller poller;
        struct turn turn;
        struct cds_list_head conns;
        pthread_t thread;
        bool threaded; /* false: the main thread */
        _Atomic bool stop;

        struct { /* sockets on their way to this worker */
                pthread_mutex_t lock;
                struct cds_list_head list;
                int event_fd;
                struct watch watch;
        } adopt;
};

int worker_init(struct worker *worker, struct bus *bus, unsigned int slot);
void worker_deinit(struct worker *worker);

/* worker_start() - in a thread of its own */
int worker_start(struct worker *worker);

/* worker_run() - in this thread, until worker_stop() */
int worker_run(struct worker *worker);
void worker_stop(struct worker *worker);

/* worker_adopt() - give it an accepted socket; consumes @fd, see conn_new(); any thread */
int worker_adopt(struct worker *worker, const struct conn_config *config, int fd);
