/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pressure
 *
 * What it is     What the administrator hears as a limit comes near, and what becomes of a client
 *                that has to go.
 *
 *                at 50 % and 80 % of a limit    one warning each, when it is crossed upward
 *                at the limit                   a refusal (the caller's part), and one line
 *                when nothing else is left      client_dismiss(): the client goes, with one
 *                                               record of why and of what was in its queue
 *
 *
 *                A sender whose receiver's queue is three quarters full is held back: its door
 *                does not read it until half of the queue is free, or PRESSURE_HOLD_USEC are over.
 *                Then the receiver is stuck, nobody waits for it any more, and what does not fit
 *                is refused, until it has read all it has. Replies hold nobody back: who has
 *                asked for much and does not read must not stop who answers. Nor do broadcasts.
 *
 * Promise        A client is dismissed for what it does itself: it breaks the protocol, or it
 *                does not read what it must know. Never for what others send to it or ask of it.
 */

#include "shim/bus/bus.h"

#define PRESSURE_TOP 5 /* interface.member shown in a record */

#define PRESSURE_HOLD_USEC 500000
#define PRESSURE_LOOK_USEC 2000 /* how often a door that holds a sender back looks */

/* No limit has to do with it: for client_dismiss(). */
#define PRESSURE_NO_LIMIT LIMITS_N

/* pressure_crossed() - the out-of-line half of pressure_note() */
void pressure_crossed(const struct bus *bus, const struct client *client, size_t limit,
                      uint64_t now);

/**
 * pressure_note() - something that is limited grew
 * @limit:      LIMIT_INDEX()
 * @max:        its value, as it holds for @client
 * @before:     what there was
 * @now:        what there is, more than before
 */
static inline void pressure_note(const struct bus *bus, const struct client *client, size_t limit,
                                 uint64_t max, uint64_t before, uint64_t now)
{
        uint64_t half = max / 2, most = max - max / 5;

        if (__builtin_expect((before < half && now >= half) || (before < most && now >= most), 0))
                pressure_crossed(bus, client, limit, now);
}

/* pressure_queue_half() - the out-of-line half of pressure_in_queue() */
bool pressure_queue_half(struct client *to, const struct message *message, uint64_t now);

/* pressure_in_queue() - @message went into the queue of @to; true: it is nearly full now */
static inline bool pressure_in_queue(struct client *to, const struct message *message)
{
        uint64_t now = atomic_load_explicit(&to->peer.queued_bytes, memory_order_relaxed);

        if (__builtin_expect(now < to->peer.limits.bytes / 2, 1))
                return false;
        return pressure_queue_half(to, message, now);
}

/* pressure_hold() - ask the door of @sender, by turn->full, to wait for @to */
void pressure_hold(struct turn *turn, struct client *sender, struct client *to);

/* pressure_is_over() - need a door wait for @to no more? @since: CLOCK_MONOTONIC, microseconds */
bool pressure_is_over(struct client *to, uint64_t since);

/**
 * client_dismiss() - force a client off the bus
 * @limit:      LIMIT_INDEX() of the limit that made it necessary, or PRESSURE_NO_LIMIT
 * @why:        the reason, as part of a sentence: "it ..."
 *
 * Any thread that holds the guard, either side. Writes the record, once, and calls the door's
 * close().
 */
void client_dismiss(struct client *client, size_t limit, const char *why);

/* client_record() - the record alone, for a door that closes by itself; the guard is held */
void client_record(struct client *client, size_t limit, const char *why);
