/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Route
 *
 * What it is     Who gets a message: names, match rules, policies and pending replies make a set
 *                of receivers, and bus-core puts the message into their inboxes.
 * How            One receiver gets a message by peer_send(). Several get it by one transaction,
 *                turn->out, monitors and eavesdroppers among them: all see the same order.
 * Promise        1. A message goes to nobody whom the policy of either side forbids.
 *                2. A call that was accepted has a slot for its reply; one that was not gets an
 *                   error that says why.
 *                3. Monitors see each message before it is judged.
 */

#include "shim/bus/bus.h"

/**
 * client_send() - enter: a client has sent a message
 * @turn:       holds the read side; may hold the write side afterwards, never nothing
 * @e:          stamped with the sender; borrowed
 *
 * Whatever becomes of the message, the sender has been told by the time the turn is committed.
 */
void client_send(struct turn *turn, struct client *sender, struct envelope *e);

/**
 * route_unicast() - deliver to one receiver: from client_send(), or after an activation
 * @to:         who has the destination's name
 */
void route_unicast(struct turn *turn, struct client *sender, struct envelope *e,
                   struct client *to);

/* route_may_start() - may @sender send to a service yet to come? If not, it has been told. */
bool route_may_start(struct turn *turn, struct client *sender, struct envelope *e,
                     const char *label);

/**
 * route_monitors() - copies for those who watch
 * @tx:         with what the message goes out: turn->tx, or turn->out
 * @to:         who it is for, or NULL
 */
void route_monitors(struct turn *turn, struct tx *tx, struct peer *from, struct envelope *e,
                    const struct client *to);

/* route_commit() - end of a message that was given to several by turn->out */
void route_commit(struct turn *turn);

/* route_refused_by_receiver() - is the bus's own message kept from @to by its policy? */
bool route_refused_by_receiver(const struct client *to, const struct envelope *e);

/* route_describe() - who sends what to whom, as refusals tell it; @to NULL: to the bus */
void route_describe(char *buf, size_t size, const struct client *sender, const struct envelope *e,
                    const struct client *to);
#define ROUTE_DESCRIBE_MAX 2560

/* route_wanted() - fill turn->hits with the clients whose rules want a broadcast */
int route_wanted(struct turn *turn, const struct match_index *index, uint64_t sender_id,
                 const struct envelope *e, const struct client *to, bool eavesdrop);
