/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "shim/bus/activate.h"

struct activator *activator_free(struct activator *activator)
{
        return NULL;
}

bool activation_wanted(const struct bus *bus, const struct envelope *e)
{
        return bus->activator && !(e->header.flags & HEADER_NO_AUTO_START);
}

bool activation_enqueue(struct turn *turn, struct client *sender, struct envelope *e)
{
        return false;
}

void activation_succeeded(struct turn *turn, struct name *name, struct client *owner)
{
}

void activation_forget(struct turn *turn, struct client *client)
{
}
