/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Activation
 *
 * What it is     Bringing a service to life because a message is for its name, and keeping the
 *                message until it is there.
 */

#include <stdbool.h>

#include "shim/bus/bus.h"

struct activator *activator_free(struct activator *activator);

/* activation_wanted() - may a message to this missing name start a service? */
bool activation_wanted(const struct bus *bus, const struct envelope *e);

/* activation_enqueue() - keep @e until its destination is owned; false if nobody can own it */
bool activation_enqueue(struct turn *turn, struct client *sender, struct envelope *e);

/* activation_succeeded() - @name is owned now: deliver what was kept for it */
void activation_succeeded(struct turn *turn, struct name *name, struct client *owner);

/* activation_forget() - a client is gone: it waits for nothing any more */
void activation_forget(struct turn *turn, struct client *client);
