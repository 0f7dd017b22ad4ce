/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Container
 *
 * What it is     A door of the bus that somebody (the creator) opened for programs of one
 *                container. Who comes in by it is known by that, whatever its process says, and
 *                may be kept to what rules allow (container-rule.h).
 * States
 *                container_new()            container_stop_listening()        the last one leaves
 *                --------------> LISTENING --------------------------> CLOSED -----------> REMOVED
 *                                     \_________ container_stop(): all of it, at once _________/
 *
 *                The creator's going stops the listening; its connections stay.
 * Rules          Without rules a container is only known. With rules, what they do not name is
 *                hidden: the name is not listed, has no owner, and cannot be started. Rules may
 *                be replaced at any time and count for the next message. The disappearance of a
 *                unique name is told to all, as nobody can guess from it who that was.
 * Objects        A container is counted: by the bus until it is REMOVED, by its listener, by each
 *                client. What the keeper keeps for the listener lives as long.
 * Guard          The bus's guard, write side for changes.
 */

#include <urcu/list.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/ref.h"
#include "shim/bus/container-rule.h"
#include "shim/wire/reader.h"

struct bus;
struct client;
struct creds;
struct envelope;
struct turn;

#define CONTAINERS_PATH "/org/freedesktop/DBus/Containers1"
#define CONTAINERS_INTERFACE "org.freedesktop.DBus.Containers1"

struct container {
        /* constant after container_new() */
        ref_t refs;
        struct bus *bus;
        uint64_t id;
        char path[sizeof(CONTAINERS_PATH) + 24];
        struct creds *creator;
        const char *type, *name;  /* in what */
        struct reader metadata;   /* at an a{sv}, in what */
        struct envelope *what;    /* the call that made it */

        /* the bus's guard */
        struct client *owner;     /* the creator's connection; NULL: gone */
        struct container_rules *rules; /* NULL: it is not kept to anything */
        struct cds_list_head link;     /* in bus->containers */
        struct cds_list_head clients;
        _Atomic size_t n_clients; /* read by any thread */
        bool listening;

        void *listener; /* the keeper's */
};

/* container_find() - by object path; NULL for none */
struct container *container_find(const struct bus *bus, const char *path);

/**
 * container_new() - a container that listens
 * @what:       the call that made it; @type, @name and @metadata lie in it
 * @rules:      consumed; NULL for none
 * @address:    receives the address to connect to; caller frees
 * @why:        CONTAINER_WHY_MAX bytes for the reason of a failure of the keeper
 *
 * Return:      0, a negative errno, or the keeper's positive one with the reason.
 */
int container_new(struct container **out, struct turn *turn, struct client *owner,
                  struct envelope *what, const char *type, const char *name,
                  const struct reader *metadata, struct container_rules *rules, char **address,
                  char *why);
struct container *container_ref(struct container *container);
struct container *container_unref(struct container *container);
DEFINE_FREEP(struct container, container_unref)

void container_stop_listening(struct turn *turn, struct container *container);
void container_stop(struct turn *turn, struct container *container);

/* container_abandon() - a client goes: nobody listens any more for what it has opened */
void container_abandon(struct turn *turn, struct client *creator);

/* container_may_join() - is there room for one more connection? Any thread. */
bool container_may_join(const struct container *container);

/* container_join() - @client came in by this door; consumes a reference */
void container_join(struct container *container, struct client *client);

/* container_leave() - it goes */
void container_leave(struct turn *turn, struct client *client);

/* --- what is allowed, for a client in a container with rules; others may do all ------------- */

/* container_level() - what @client may do with the name @name, which @owner has (NULL: nobody) */
enum container_level container_level(const struct client *client, const char *name, size_t n,
                                     const struct client *owner);

/**
 * container_allows() - may @e go from @sender to @to, if either is in a container?
 * @to:         NULL: whoever will have the destination's name; not the bus
 * @requested:  it answers a call
 * @addressed:  to @to alone; if it may not, the sender is told
 */
bool container_allows(struct turn *turn, struct client *sender, const struct envelope *e,
                      const struct client *to, bool requested, bool addressed);

/* container_hides() - is the bus's own signal @e nothing that @to may know of? */
bool container_hides(const struct client *to, const struct envelope *e);
