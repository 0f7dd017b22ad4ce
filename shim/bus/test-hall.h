/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a test of the hall needs of a door and of the bus's own object: nothing. */

#include "shim/bus/bus.h"
#include "shim/bus/client.h"

static inline void no_call(struct turn *turn, struct client *sender, struct envelope *e)
{
}

static inline void no_drain(struct client *client)
{
}

static inline void no_free(struct client *client)
{
        client_deinit(client);
}

static const struct bus_local local = { .call = no_call };
