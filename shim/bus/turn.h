/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Turn
 *
 * What it is     What one thread gathers while it handles what is ready: which inboxes it put
 *                something into, and what the bus itself has to say.
 *
 *                    turn_read()     hold the registry while messages are routed
 *                    turn_write()    hold it alone, to change it
 *                    turn_commit()   one message handled: the bus's own part goes out as one
 *                                    transaction
 *                    turn_release()  let go of the registry
 *                    turn_drain()    end of turn: empty each touched inbox, once
 *
 * Who drains     turn_touch() puts a client on the list of one turn only. turn_drain() calls the
 *                door for each; client.drain.work counts the threads that want it drained: the
 *                one that raises it from zero does it, and looks again for the others before it
 *                lets go. So no thread waits for another, and nothing is left behind.
 * Guard          Belongs to one thread.
 */

#include "bus-core/core.h"
#include "shim/bus/client.h"
#include "shim/bus/kinds.h"
#include "shim/bus/match.h"
#include "shim/wire/body.h"

struct bus;

#define TURN_BUFFER (32 * 1024) /* bytes read from one connection in one turn */
#define TURN_SHORT (2 * 1024)   /* and if that keeps others from theirs, see poller.h */
#define TURN_LOAD 4096 /* deliveries after which inboxes are drained in the middle of a turn, */
#define TURN_EACH 16   /* unless that were fewer for each: a write costs as much as ten of them */

enum turn_hold {
        TURN_NOTHING,
        TURN_READ,
        TURN_WRITE,
};

struct turn {
        struct bus *bus;
        unsigned int slot; /* of the guard */
        enum turn_hold hold;
        struct cds_list_head touched; /* clients, each counted */
        size_t load;                  /* deliveries since the last drain */
        size_t n_touched;             /* inboxes they went to */
        _Atomic uint64_t n_read;      /* bytes that its thread has read; any thread looks */
        size_t budget;                /* bytes to read from a connection: TURN_BUFFER or less */
        struct tx tx;                 /* what the bus itself says */
        struct tx out;                /* the message at hand, when several get it (route.c) */
        struct match_hits hits;
        struct client *full;   /* counted: its queue is nearly full; for the door, before turn_release() */
        struct body_args args; /* of the message at hand, if any rule asks for them */
        struct match_value values[BODY_ARGS_MAX];
        struct kinds *kinds;     /* of messages that it routed */
        struct cds_list_head link; /* in bus->turns; the write side */
        uint8_t *buffer; /* what a door reads into: an unfinished rest, then TURN_BUFFER */
};

/* TURN_KEEP - bytes of an unfinished line or message that a door may put in front of a read */
#define TURN_KEEP (32 * 1024)

/* turn_init(), turn_deinit() - before its thread starts, after it has ended; take the write side */
int turn_init(struct turn *turn, struct bus *bus, unsigned int slot);
void turn_deinit(struct turn *turn);

void turn_read(struct turn *turn);
void turn_write(struct turn *turn);
void turn_release(struct turn *turn);

/* turn_touch() - there is something new in this client's inbox; true: the first in this turn */
bool turn_touch(struct turn *turn, struct client *client);

/* turn_say() - the bus itself sends to @to; goes out with turn_commit() */
int turn_say(struct turn *turn, struct client *to, struct message *message);
void turn_commit(struct turn *turn);

/* turn_has_read() - how much it gets done */
static inline void turn_has_read(struct turn *turn, size_t n)
{
        atomic_store_explicit(&turn->n_read, n + atomic_load_explicit(&turn->n_read,
                                                                      memory_order_relaxed),
                              memory_order_relaxed);
}

/* turn_drain() - holds nothing */
void turn_drain(struct turn *turn);

/* turn_relieve() - between two messages: drain if much has gathered; may let go of the registry */
static inline void turn_relieve(struct turn *turn)
{
        if (turn->load < MAX((size_t)TURN_LOAD, TURN_EACH * turn->n_touched))
                return;
        turn_release(turn);
        turn_drain(turn);
}

/* client_drain() - empty one client's inbox now, or see to it that whoever is at it looks again */
void client_drain(struct client *client);
