/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Worker
 *
 * What it is     A thread that reads its connections and handles what they send.
 * How            Turn by turn: wait, handle everything that is ready, let go of the registry,
 *                drain every inbox that was touched. The first worker is the main thread; it
 *                has the listeners and signals too, and keeps the others (crew.h).
 * Orders         The main thread tells a worker, itself included, to weigh its connections, to give
 *                some of them to another worker, or to give them all and end. It does so between
 *                two turns: nothing of a connection is on its stack then. One order at a time.
 */

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "shim/bus/poller.h"
#include "shim/bus/turn.h"
#include "shim/dbus/conn.h"

enum worker_task {
        WORKER_WEIGH,   /* from now on the work of each connection counts for WORKER_GIVE */
        WORKER_GIVE,    /* so much of it as is asked for */
        WORKER_SCATTER, /* any of them, for tests */
        WORKER_RETIRE,  /* all of them; then end */
};

struct worker_order {
        enum worker_task task;
        struct worker *to;
        unsigned int share; /* permille of the work since WORKER_WEIGH */
};

struct worker {
        struct poller poller;
        struct turn turn;
        struct cds_list_head conns;
        pthread_t thread;
        bool threaded; /* false: the main thread */
        clockid_t clock; /* its CPU time */
        _Atomic unsigned int asked;    /* to stop, to obey */
        _Atomic uint64_t n_given;      /* connections that went to another */
        struct worker_order order;     /* the main thread's, unless one is outstanding */
        void (*look)(struct worker *); /* called every few turns; NULL: nothing is */
        void *look_data;

        struct { /* what is on its way to this worker */
                pthread_mutex_t lock;
                struct cds_list_head list;  /* sockets */
                struct cds_list_head conns; /* that another gave away */
                int event_fd;
                struct watch watch;
        } adopt;
};

int worker_init(struct worker *worker, struct bus *bus, unsigned int slot);
void worker_deinit(struct worker *worker);

/* worker_start() - in a thread of its own */
int worker_start(struct worker *worker);

/* worker_run() - in this thread, until worker_ask_to_stop() */
int worker_run(struct worker *worker);

/* worker_ask_to_stop() - any thread; worker_join() waits for its end */
void worker_ask_to_stop(struct worker *worker);
void worker_join(struct worker *worker);

/* worker_tell() - the main thread gives an order; none is outstanding */
void worker_tell(struct worker *worker, const struct worker_order *order);

/* worker_is_free() - there is no order outstanding */
bool worker_is_free(const struct worker *worker);

/* worker_adopt() - give it an accepted socket; consumes @fd, see conn_new(); any thread */
int worker_adopt(struct worker *worker, const struct conn_config *config, int fd);
