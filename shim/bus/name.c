/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/bus/name.h"

/* --- names ------------------------------------------------------------------------------------ */

void name_registry_init(struct name_registry *registry)
{
        table_init(&registry->names);
        table_init(&registry->ownerships);
        CDS_INIT_LIST_HEAD(&registry->all);
}

void name_registry_deinit(struct name_registry *registry)
{
        if (!registry)
                return;
        assert(!registry->names.n);
        table_deinit(&registry->ownerships);
        table_deinit(&registry->names);
}

struct name *name_find(const struct name_registry *registry, const char *text, size_t n,
                       uint64_t hash)
{
        struct table_node *node;

        table_for_each_same(node, &registry->names, hash) {
                struct name *name = caa_container_of(node, struct name, node);

                if (name->n == n && !memcmp(name->text, text, n))
                        return name;
        }
        return NULL;
}

int name_get(struct name **out, struct name_registry *registry, const char *text, size_t n)
{
        uint64_t hash = table_hash(text, n);
        struct name *name;

        name = name_find(registry, text, n, hash);
        if (name) {
                *out = name_ref(name);
                return 0;
        }
        name = calloc(1, sizeof(*name) + n + 1);
        if (!name)
                return error_origin(-ENOMEM);
        memcpy(name->text, text, n);
        name->n = n;
        name->n_refs = 1;
        name->registry = registry;
        CDS_INIT_LIST_HEAD(&name->queue);
        table_add(&registry->names, &name->node, hash);
        cds_list_add_tail(&name->link, &registry->all);
        *out = name;
        return 0;
}

struct name *name_ref(struct name *name)
{
        name->n_refs++;
        return name;
}

struct name *name_unref(struct name *name)
{
        if (!name || --name->n_refs)
                return NULL;
        table_remove(&name->registry->names, &name->node);
        cds_list_del(&name->link);
        free(name);
        return NULL;
}

struct name *name_next(const struct name_registry *registry, const struct name *name)
{
        const struct cds_list_head *next = name ? name->link.next : registry->all.next;

        return next == &registry->all ? NULL : caa_container_of(next, struct name, link);
}

/* --- ownerships ------------------------------------------------------------------------------- */

struct name_ownership *name_queue_next(const struct name *name,
                                       const struct name_ownership *ownership)
{
        const struct cds_list_head *next =
                ownership ? ownership->name_link.next : name->queue.next;

        if (next == &name->queue)
                return NULL;
        return caa_container_of(next, struct name_ownership, name_link);
}

struct name_ownership *name_owner_next(const struct name_owner *owner,
                                       const struct name_ownership *ownership)
{
        const struct cds_list_head *next =
                ownership ? ownership->owner_link.next : owner->ownerships.next;

        if (next == &owner->ownerships)
                return NULL;
        return caa_container_of(next, struct name_ownership, owner_link);
}

struct name_ownership *name_ownership_find(const struct name *name,
                                           const struct name_owner *owner)
{
        struct table_node *node;

        table_for_each_same(node, &name->registry->ownerships, table_hash_pair(name, owner)) {
                struct name_ownership *ownership =
                        caa_container_of(node, struct name_ownership, node);

                if (ownership->name == name && ownership->owner == owner)
                        return ownership;
        }
        return NULL;
}

/* The owner's ownership, if need be a new one at the end of the queue. */
static int ownership_get(struct name_ownership **out, struct name *name, struct name_owner *owner)
{
        struct name_ownership *ownership = name_ownership_find(name, owner);

        if (!ownership) {
                ownership = calloc(1, sizeof(*ownership));
                if (!ownership)
                        return error_origin(-ENOMEM);
                ownership->name = name_ref(name);
                ownership->owner = owner;
                cds_list_add_tail(&ownership->name_link, &name->queue);
                cds_list_add_tail(&ownership->owner_link, &owner->ownerships);
                owner->n++;
                table_add(&name->registry->ownerships, &ownership->node,
                          table_hash_pair(name, owner));
        }
        *out = ownership;
        return 0;
}

static void ownership_free(struct name_ownership *ownership)
{
        table_remove(&ownership->name->registry->ownerships, &ownership->node);
        cds_list_del(&ownership->name_link);
        cds_list_del(&ownership->owner_link);
        ownership->owner->n--;
        name_unref(ownership->name);
        free(ownership);
}

/* Move to the place behind @place, which is the queue itself or another ownership's link. */
static void ownership_move(struct name_ownership *ownership, struct cds_list_head *place)
{
        cds_list_del(&ownership->name_link);
        cds_list_add(&ownership->name_link, place);
}

/* --- requests and releases -------------------------------------------------------------------- */

/* Say who is primary now, if that is not @old. */
static void change_note(struct name_change *change, struct name *name, struct name_owner *old)
{
        struct name_owner *now = name_primary(name);

        if (now == old)
                *change = NAME_CHANGE_NULL;
        else
                *change = (struct name_change){ name_ref(name), old, now };
}

void name_owner_init(struct name_owner *owner, uint64_t id)
{
        *owner = (struct name_owner){ .id = id };
        CDS_INIT_LIST_HEAD(&owner->ownerships);
}

/* Ask for a name that @first owns, who is not @owner. */
static int request_owned(enum name_result *result, struct name_ownership *first,
                         struct name_owner *owner, uint32_t flags)
{
        bool replace = flags & NAME_REPLACE_EXISTING;
        struct name_ownership *ownership;
        int r;

        if ((flags & NAME_DO_NOT_QUEUE) && !(replace && (first->flags & NAME_ALLOW_REPLACEMENT))) {
                ownership = name_ownership_find(first->name, owner);
                if (ownership)
                        ownership_free(ownership);
                *result = NAME_EXISTS;
                return 0;
        }
        r = ownership_get(&ownership, first->name, owner);
        if (r)
                return error_fold(r);
        ownership->flags = flags;
        *result = NAME_IN_QUEUE;
        if (!replace)
                return 0;
        if (!(first->flags & NAME_ALLOW_REPLACEMENT)) {
                ownership_move(ownership, &first->name_link);
                return 0;
        }
        ownership_move(ownership, &first->name->queue);
        if (first->flags & NAME_DO_NOT_QUEUE)
                ownership_free(first);
        *result = NAME_PRIMARY_OWNER;
        return 0;
}

static int request_free(enum name_result *result, struct name *name, struct name_owner *owner,
                        uint32_t flags)
{
        struct name_ownership *ownership;
        int r;

        r = ownership_get(&ownership, name, owner);
        if (r)
                return error_fold(r);
        ownership->flags = flags;
        *result = NAME_PRIMARY_OWNER;
        return 0;
}

int name_request(struct name_change *change, enum name_result *result,
                 struct name_registry *registry, struct name_owner *owner, const char *text,
                 size_t n, uint32_t flags)
{
        _cleanup_(name_unrefp) struct name *name = NULL;
        struct name_ownership *first;
        struct name_owner *old;
        int r;

        r = name_get(&name, registry, text, n);
        if (r)
                return error_fold(r);
        first = name_queue_next(name, NULL);
        old = name_primary(name);
        if (!first) {
                r = request_free(result, name, owner, flags);
        } else if (old == owner) {
                first->flags = flags;
                *result = NAME_ALREADY_OWNER;
        } else {
                r = request_owned(result, first, owner, flags);
        }
        if (r)
                return error_fold(r);
        change_note(change, name, old);
        return 0;
}

static void release(struct name_change *change, struct name_ownership *ownership)
{
        _cleanup_(name_unrefp) struct name *name = name_ref(ownership->name);
        struct name_owner *old = name_primary(name);

        ownership_free(ownership);
        change_note(change, name, old);
}

int name_release(struct name_change *change, struct name_registry *registry,
                 struct name_owner *owner, const char *text, size_t n)
{
        struct name *name = name_find(registry, text, n, table_hash(text, n));
        struct name_ownership *ownership;

        if (!name_primary(name))
                return NAME_E_NON_EXISTENT;
        ownership = name_ownership_find(name, owner);
        if (!ownership)
                return NAME_E_NOT_OWNER;
        release(change, ownership);
        return 0;
}

bool name_release_last(struct name_change *change, struct name_owner *owner)
{
        if (cds_list_empty(&owner->ownerships))
                return false;
        release(change, caa_container_of(owner->ownerships.prev, struct name_ownership,
                                         owner_link));
        return true;
}

void name_change_deinit(struct name_change *change)
{
        if (!change)
                return;
        name_unref(change->name);
        *change = NAME_CHANGE_NULL;
}
