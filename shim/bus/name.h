/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Name
 *
 * What it is     The well-known names of a bus: who owns each, and who waits for it.
 * Promise        1. Requests and releases do to owners and queues what dbus-daemon does, for
 *                   each set of flags in each state.
 *                2. Finding a name, a request and a release cost O(1), however long a queue is.
 *                   A failed request leaves everything as it was.
 *                3. What has become of a name is a value, struct name_change, which the caller
 *                   announces. Nothing here calls anybody.
 * How            An ownership joins a name and an owner. A name's ownerships are its queue, of
 *                which the first is the primary owner; an owner's ownerships are in the order in
 *                which it asked for them. A name lives as long as somebody refers to it: an
 *                ownership, a change that is yet to be announced, or an activation in wait for
 *                an owner. So there are names without owner.
 *
 *                        name --< ownership >-- owner
 *
 * Not promised   Grammar, policy and limits: the caller has judged the text and counted
 *                owner->n before. Unique names are not in here.
 * Guard          The caller's: any number of readers, or one writer. References are part of it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu/list.h>

#include "bus-core/util/cleanup.h"
#include "shim/bus/table.h"

/* flags of a request; others are ignored */
enum {
        NAME_ALLOW_REPLACEMENT = 0x1,
        NAME_REPLACE_EXISTING = 0x2,
        NAME_DO_NOT_QUEUE = 0x4,
};

/* what a request comes to; the numbers are those of RequestName's reply */
enum name_result {
        NAME_PRIMARY_OWNER = 1,
        NAME_IN_QUEUE = 2,
        NAME_EXISTS = 3,
        NAME_ALREADY_OWNER = 4,
};

/* outcomes of a release; they and success (NAME_RELEASED) are ReleaseName's reply */
enum {
        NAME_RELEASED = 1,
        NAME_E_NON_EXISTENT = 2, /* the name has no owner at all */
        NAME_E_NOT_OWNER = 3,    /* it has, but the caller is not in its queue */
};

struct name_registry {
        struct table names;
        struct table ownerships; /* by name and owner */
        struct cds_list_head all;
};

struct name {
        struct table_node node;    /* in registry->names */
        struct cds_list_head link; /* in registry->all */
        struct cds_list_head queue; /* of ownerships; the first one is primary */
        struct name_registry *registry;
        void *activation; /* of whoever starts services; refers to the name */
        size_t n_refs;
        size_t n;    /* bytes of @text */
        char text[]; /* ends in a NUL */
};

/* Whoever can own names; embedded in the client. */
struct name_owner {
        uint64_t id;                     /* its peer's */
        struct cds_list_head ownerships; /* oldest first */
        size_t n;                        /* of these: names owned and waited for */
};

struct name_ownership {
        struct name *name;
        struct name_owner *owner;
        struct cds_list_head name_link;  /* in name->queue */
        struct cds_list_head owner_link; /* in owner->ownerships */
        struct table_node node;          /* in registry->ownerships */
        uint32_t flags;                  /* of the last request */
};

/* A new primary owner. @name is NULL if the primary owner is who it was. Refers to the name. */
struct name_change {
        struct name *name;
        struct name_owner *old_owner; /* NULL: there was none */
        struct name_owner *new_owner; /* NULL: there is none */
};

#define NAME_CHANGE_NULL ((struct name_change){ 0 })

void name_registry_init(struct name_registry *registry);

/* name_registry_deinit() - all owners are cleared and all references dropped before */
void name_registry_deinit(struct name_registry *registry);

/**
 * name_find() - look a name up
 * @registry:   registry
 * @text:       the name
 * @n:          bytes of it
 * @hash:       table_hash(text, n)
 *
 * Return:      the name, which may have no owner, or NULL.
 */
struct name *name_find(const struct name_registry *registry, const char *text, size_t n,
                       uint64_t hash);

/* name_get() - refer to a name, there already or not; 0 or -ENOMEM */
int name_get(struct name **out, struct name_registry *registry, const char *text, size_t n);
struct name *name_ref(struct name *name);
struct name *name_unref(struct name *name);
DEFINE_FREEP(struct name, name_unref)

/* name_next() - walk all names, also those without owner; @name is NULL at first */
struct name *name_next(const struct name_registry *registry, const struct name *name);

/* name_queue_next() - walk the queue, primary owner first; @ownership is NULL at first */
struct name_ownership *name_queue_next(const struct name *name,
                                       const struct name_ownership *ownership);

/* name_owner_next() - walk what an owner owns or waits for; @ownership is NULL at first */
struct name_ownership *name_owner_next(const struct name_owner *owner,
                                       const struct name_ownership *ownership);

/* name_primary() - the primary owner, or NULL; @name may be NULL */
static inline struct name_owner *name_primary(const struct name *name)
{
        if (!name || name->queue.next == &name->queue)
                return NULL;
        return caa_container_of(name->queue.next, struct name_ownership, name_link)->owner;
}

/* name_ownership_is_primary() - or else it waits in the queue */
static inline bool name_ownership_is_primary(const struct name_ownership *ownership)
{
        return ownership->name->queue.next == &ownership->name_link;
}

/* name_ownership_find() - what joins a name and an owner, or NULL: then it is not in the queue */
struct name_ownership *name_ownership_find(const struct name *name,
                                           const struct name_owner *owner);

void name_owner_init(struct name_owner *owner, uint64_t id);

/**
 * name_request() - ask for a name, or again for one owned or waited for
 * @change:     what has become of the name; to be deinitialised
 * @result:     what the request has come to
 * @registry:   registry
 * @owner:      who asks
 * @text:       a valid well-known name
 * @n:          bytes of it
 * @flags:      NAME_*
 *
 * Return:      0, or -ENOMEM.
 */
int name_request(struct name_change *change, enum name_result *result,
                 struct name_registry *registry, struct name_owner *owner, const char *text,
                 size_t n, uint32_t flags);

/* name_release() - give a name or a place in its queue up; 0, NAME_E_NON_EXISTENT, _NOT_OWNER */
int name_release(struct name_change *change, struct name_registry *registry,
                 struct name_owner *owner, const char *text, size_t n);

/**
 * name_release_last() - give up what @owner asked for last
 * @change:     what has become of the name; to be deinitialised
 * @owner:      who leaves the bus: call this until it has nothing left
 *
 * Return:      false if there was nothing left.
 */
bool name_release_last(struct name_change *change, struct name_owner *owner);

/* name_change_deinit() - drop the reference to the name, once the change is announced */
void name_change_deinit(struct name_change *change);
