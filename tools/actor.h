/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Actor
 *
 * What it is     A recorded peer played on a live bus: its connection, what it still has to send,
 *                and what it has to receive before it may.
 * How            Three queues:
 *                1. ops: messages to send, in order;
 *                2. awaited: messages which the peer had received, at this point of the recording,
 *                   and has not received now. Each op remembers how long this queue was when it was
 *                   added, and goes out only when that much of it has arrived or is known lost;
 *                3. unsettled: messages sent of which there is no sign yet that the bus has handled
 *                   them. A delivery, an answer by the bus, or the answer to a ping sent behind
 *                   them is such a sign.
 */

#include <stdbool.h>
#include <stdint.h>

#include "shim/bus/match-rule.h"
#include "tools/busconn.h"
#include "tools/recording.h"

#define ACTOR_BUS (UINT32_MAX - 1) /* the bus, where an actor's number is asked for */

/* serials from here on are the kit's own */
#define ACTOR_PING_SERIAL 0xf0000000U

struct op {
        struct op *next;
        unsigned int n_refs;    /* the actor's queue, and the list of signals under way */
        uint64_t index;         /* of the recorded message */
        uint64_t due_ns;        /* since the start; 0: at once */
        uint64_t awaits;        /* this much of the actor's awaited queue must be done */
        uint64_t after_signals; /* so many signals were added before */
        uint64_t sent_as;       /* the how many-th its sender sent; 0: not yet; UINT64_MAX: never */
        uint32_t sender;
        bool to_bus;
        bool answered;          /* the bus will answer it at once, so no ping is needed */
        uint32_t destination;
        uint32_t method;
        struct header h;
        size_t n;
        uint8_t data[];         /* as recorded */
};

struct awaited {
        uint32_t from; /* actor, or ACTOR_BUS */
        uint32_t serial; /* its own; of an answer by the bus: the one it answers */
        uint64_t index;  /* of the recorded message; 0: sent for sure, if anything that waits is first */
        bool done;
        bool suspect;  /* was sent before the ping that is out, so it must arrive before its answer */
        bool error;    /* an answer by the bus that is an error */
        bool guess;    /* not known to have been delivered in the recording, either */
};

enum actor_state {
        ACTOR_ABSENT,
        ACTOR_LIVE,
        ACTOR_GONE,
};

struct actor {
        const struct recorded_peer *peer;
        uint32_t index;
        enum actor_state state;
        struct busconn conn;
        bool active; /* in the replay's list of those with something to do */
        uint64_t fds_announced; /* descriptors which the received messages said they have */

        struct op *ops, **ops_tail;
        size_t n_ops;

        struct awaited *awaited;
        size_t awaited_size;
        uint64_t awaited_first, awaited_end; /* numbers since the start, not places */

        struct unsettled {
                uint32_t serial;
                bool answered;
        } *unsettled;
        size_t n_unsettled, unsettled_start, unsettled_size;
        uint64_t n_sent;           /* since the start */
        uint64_t *total_unsettled; /* of all actors */

        uint32_t ping;             /* serial of the one that is out, or 0 */
        size_t ping_covers;        /* messages sent before it, of those now unsettled */
        uint64_t ping_step;        /* when it went nothing was under way but what is routed */
        uint64_t drained_step;     /* all that was under way to it before that step is read */

        struct match_rule **rules;
        size_t n_rules;
        struct awaited *lost; /* calls that never came; their replies are not sent */
        size_t n_lost;
};

void actor_init(struct actor *a, const struct recorded_peer *peer, uint32_t index,
                uint64_t *total_unsettled);
void actor_deinit(struct actor *a);

struct op *op_new(const struct recorded_message *m);
struct op *op_unref(struct op *op);
void actor_push_op(struct actor *a, struct op *op);
struct op *actor_pop_op(struct actor *a);

int actor_await(struct actor *a, const struct awaited *awaited);
bool actor_awaits(const struct actor *a, uint32_t from, uint32_t serial);
void actor_arrived(struct actor *a, uint32_t from, uint32_t serial);

/* actor_refused() - the bus says that it did not deliver this call */
void actor_refused(struct actor *a, uint32_t from, uint32_t serial);

/* actor_awaited() - an entry by its number, between awaited_first and awaited_end */
struct awaited *actor_awaited(const struct actor *a, uint64_t number);

/* actor_give_up() - the suspects (or all that is awaited) will not come; returns how many */
unsigned int actor_give_up(struct actor *a, bool all);

/* actor_lost() - was this call given up or refused? */
bool actor_lost(const struct actor *a, uint32_t from, uint32_t serial);

int actor_sent(struct actor *a, uint32_t serial, bool answered);

/* actor_settled() - the bus has handled this message and those sent before it */
void actor_settled(struct actor *a, uint32_t serial);
void actor_settled_n(struct actor *a, size_t n);

/**
 * actor_ping() - ask the bus for an answer behind all that was sent
 * @step:       not 0: the bus has handled everything that anybody sent before this step, so that
 *              what has not arrived before the answer will not arrive
 */
int actor_ping(struct actor *a, uint64_t step);

int actor_add_rule(struct actor *a, const char *text, size_t n);
void actor_remove_rule(struct actor *a, const char *text, size_t n);
