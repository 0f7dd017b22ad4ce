/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Activation
 *
 * What it is     Bringing a service to life because a message is for its name, or because someone
 *                asks, and keeping the messages until it is there.
 * Objects        The activator of a bus knows the service files and the environment. An
 *                activation is one name on its way; a waiter is one message, or one
 *                StartServiceByName(), that waits for it.
 * Promise        1. Each waiter gets one answer: its message is delivered, or it hears why not.
 *                2. However many ask for a name, it is started once.
 *                3. Messages are delivered in the order in which they came, after NameAcquired
 *                   and before the answer to RequestName().
 *                4. Whoever takes the name ends the activation, be it the program that was
 *                   started or another.
 * States         of an activation
 *
 *                                        begin()
 *             the name is systemd's, or     |     the unit's name is known
 *             somebody stands in for it     |
 *                     ,---------------------+----------------------.
 *                     v                     |                      v   systemd_arrived()
 *              AWAITED, SUMMONED            v                   UNASKED --------> ASKED
 *                     |                  LAUNCHED                  |                |
 *                     |                     |                      |                |
 *                     '---------+-----------+----------------------+----------------'
 *                               v
 *             activation_succeeded()    the name has an owner
 *             activation_ended()        the program failed (LAUNCHED)
 *             activation_unit_failed()  systemd says so (ASKED, UNASKED)
 *             activation_answered()     systemd says that the unit failed or was skipped (ASKED)
 *             activation_declined()     who stands in will not, or is gone (SUMMONED)
 *             expire()                  service_start_timeout has passed
 *             activator_stop()          the bus ends
 *
 *                A program that ends with status 0 has gone to the background: it stays LAUNCHED.
 * Limits         max_pending_service_starts bounds the waiters. Their messages are charged to
 *                their senders' users as if they lay in one inbox (max_outgoing_bytes and
 *                max_outgoing_unix_fds): no user can keep all the room.
 * Guard          The bus's guard, write side, unless said otherwise.
 */

#include <stdbool.h>

#include "shim/bus/bus.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"

struct activation;
struct activator;
struct launch;
struct poller;
struct service_table;

/**
 * activator_new() - no services yet
 * @poller:     runs the timer; of the thread that calls activator_free()
 */
int activator_new(struct activator **out, struct bus *bus, struct poller *poller);
struct activator *activator_free(struct activator *activator);
DEFINE_FREEP(struct activator, activator_free)

/**
 * activator_configure() - from now on these are the services
 * @table:      consumed on success
 * @helper:     the program that starts services as their users, or NULL; copied
 *
 * Limits are taken from the bus. What is on its way stays so.
 */
int activator_configure(struct activator *activator, struct service_table *table,
                        const char *helper);

/* activator_stop() - the bus ends: all who wait are told */
void activator_stop(struct activator *activator, struct turn *turn);

/* activator_services() - what can be started */
const struct service_table *activator_services(const struct activator *activator);

/* activator_look() - each activation that is under way, the oldest first: its name, microseconds
 * since it began, and how many wait */
void activator_look(const struct activator *activator,
                    void (*fn)(void *arg, const char *name, uint64_t usec, size_t n_waiters),
                    void *arg);

/* activator_waiters() - how many wait for activations */
size_t activator_waiters(const struct activator *activator);

/* activator_has_helper() - is this a bus that starts services as other users? */
bool activator_has_helper(const struct activator *activator);

/**
 * activator_update_environment() - variables for services from now on, and for systemd
 * @entries:    "NAME=value" texts, ends in NULL; NULL for none
 *
 * Return:      0, or -ENOMEM and nothing changed.
 */
int activator_update_environment(struct activator *activator, struct turn *turn,
                                 char *const *entries);

/* activation_wanted() - may a message to this missing name start a service? Read side. */
bool activation_wanted(const struct bus *bus, const struct envelope *e);

/**
 * activation_enqueue() - keep a message until its destination is owned
 * @turn:       holds either side, afterwards the write side
 *
 * Return:      false if nobody can own that name; else the message is kept, delivered, or refused
 *              with an answer.
 */
bool activation_enqueue(struct turn *turn, struct client *sender, struct envelope *e);

/* activation_start() - StartServiceByName(@name); @e is the call, which is answered sometime */
void activation_start(struct turn *turn, struct client *sender, struct envelope *e,
                      const char *name);

/* activation_succeeded() - @name is owned now: answer and deliver what was kept for it */
void activation_succeeded(struct turn *turn, struct name *name, struct client *owner);

/* activation_declined() - who stands in for @name does not bring it; write side */
void activation_declined(struct turn *turn, const char *name);

/* activation_unit_failed() - systemd says that it cannot start @unit */
void activation_unit_failed(struct turn *turn, const char *unit, const char *error_name,
                            const char *text);

/* activation_answered() - an answer to the bus: is it for us? Either side, may come back with write */
bool activation_answered(struct turn *turn, struct client *sender, const struct envelope *e);

/* activation_hear() - a broadcast, which may be systemd's about a unit; likewise */
void activation_hear(struct turn *turn, struct client *sender, const struct envelope *e);

/* activation_forget() - a client is gone: it waits for nothing any more */
void activation_forget(struct client *client);

/* How a program that was launched ended, and the number that goes with it. */
enum launch_end {
        LAUNCH_EXITED,   /* exit status */
        LAUNCH_SIGNALED, /* signal */
        LAUNCH_FAILED,   /* errno: it could not be executed */
};

/* activation_ended() - tell what has become of a launch, which is over; called by the keeper */
void activation_ended(struct turn *turn, struct activation *activation, enum launch_end how,
                      int number);
