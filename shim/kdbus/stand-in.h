/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stand-in
 *
 * What it is     A kdbus activator as the D-Bus bus sees it: a service that can be started. What is
 *                sent to its name waits with the bus, whichever side it comes from, and goes to
 *                whoever takes the name, on whichever side; the activator's program is summoned by
 *                a copy of the first of it.
 * How            The bus asks and summons from any thread (struct bus_stand_ins); the domain's
 *                thread is woken, and asks stand_ins_next() what has changed.
 * Guard          The list: the bus's guard. What is to be told: a lock of its own.
 */

#include <pthread.h>

#include "shim/bus/bus.h"

struct kconn;

struct stand_ins {
        struct bus *bus;
        int wake_fd; /* borrowed */
        struct cds_list_head list;
        pthread_mutex_t lock;
};

void stand_ins_init(struct stand_ins *s, struct bus *bus, int wake_fd);
void stand_ins_deinit(struct stand_ins *s);

/* stand_in_add() - from now on @conn stands in for @name; the turn holds the write side */
int stand_in_add(struct stand_ins *s, struct kconn *conn, const char *name);

/* stand_in_remove() - no more; who waits for it is told. Write side. */
void stand_in_remove(struct stand_ins *s, struct turn *turn, const struct kconn *conn);

/* stand_in_declined() - the program does not start the service: who waits is told. Write side. */
void stand_in_declined(struct stand_ins *s, struct turn *turn, const struct kconn *conn);

/**
 * stand_ins_next() - an activator with news, in the domain's thread
 * @e:          what it is summoned by, the caller's reference; NULL: it need not come any more
 *
 * Return:      NULL when there is no more.
 */
struct kconn *stand_ins_next(struct stand_ins *s, struct envelope **e);
