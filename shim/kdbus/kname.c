/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/kbus.h"
#include "shim/kdbus/kconn.h"
#include "shim/kdbus/kname.h"
#include "shim/kdbus/limits.h"

#define SAVED_FLAGS (KDBUS_NAME_ALLOW_REPLACEMENT | KDBUS_NAME_QUEUE)

struct kname *kname_find(const struct kbus *bus, const char *name)
{
        struct kname *n;

        HASH_FIND_STR(bus->names, name, n);
        return n;
}

static struct kname_owner *first(struct kname *name)
{
        return cds_list_empty(&name->queue)
                       ? NULL
                       : cds_list_entry(name->queue.next, struct kname_owner, by_name);
}

struct kname_owner *kname_primary(struct kname *name)
{
        return first(name) ?: name->activator;
}

/**
 * kname_held_by() - whether a connection is the name's primary owner or stands in for one
 */
bool kname_held_by(const struct kconn *conn, const char *name)
{
        struct kname_owner *o;

        cds_list_for_each_entry(o, &conn->names, by_conn)
                if (!(o->flags & KDBUS_NAME_IN_QUEUE) && strcmp(o->name->name, name) == 0)
                        return true;
        return false;
}

static struct kname_owner *find_owner(const struct kname *name, const struct kconn *conn)
{
        struct kname_owner *o;

        cds_list_for_each_entry(o, &conn->names, by_conn)
                if (o->name == name)
                        return o;
        return NULL;
}

static int name_new(struct kname **namep, struct kbus *bus, const char *str)
{
        struct kname *n = calloc(1, sizeof(*n) + strlen(str) + 1);

        if (!n)
                return error_origin(-ENOMEM);
        strcpy(n->name, str);
        CDS_INIT_LIST_HEAD(&n->queue);
        HASH_ADD_STR(bus->names, name, n);
        if (!n->hh.tbl) {
                free(n);
                return error_origin(-ENOMEM);
        }
        n->serial = ++bus->last_name;
        *namep = n;
        return 0;
}

static void name_put(struct kbus *bus, struct kname *n)
{
        if (n->activator || !cds_list_empty(&n->queue))
                return;
        HASH_DEL(bus->names, n);
        free(n);
}

static int owner_new(struct kname_owner **ownerp, struct kname *name, struct kconn *conn)
{
        struct kname_owner *o;

        if (conn->n_names >= KD_NAMES_MAX)
                return -E2BIG;
        o = calloc(1, sizeof(*o));
        if (!o)
                return error_origin(-ENOMEM);
        o->name = name;
        o->conn = conn;
        cds_list_add_tail(&o->by_conn, &conn->names);
        conn->n_names++;
        *ownerp = o;
        return 0;
}

static void owner_free(struct kname_owner *o)
{
        cds_list_del(&o->by_conn);
        o->conn->n_names--;
        free(o);
}

static void enqueue(struct kname_owner *o, bool front)
{
        if (o->queued)
                cds_list_del(&o->by_name);
        o->queued = true;
        if (front)
                cds_list_add(&o->by_name, &o->name->queue);
        else
                cds_list_add_tail(&o->by_name, &o->name->queue);
}

static void dequeue(struct kname_owner *o)
{
        if (o->queued)
                cds_list_del(&o->by_name);
        o->queued = false;
}

static int become_activator(struct kbus *bus, struct kname_owner *o)
{
        if (o->name->activator)
                return -EEXIST;
        o->name->activator = o;
        o->flags = KDBUS_NAME_ACTIVATOR;
        if (first(o->name)) {
                o->flags |= KDBUS_NAME_IN_QUEUE;
                return 0;
        }
        o->flags |= KDBUS_NAME_PRIMARY;
        kbus_notify_name(bus, KDBUS_ITEM_NAME_ADD, o->name->name, NULL, 0, o, o->flags);
        return 0;
}

/* the name was free, or only stood in for */
static void take_free(struct kbus *bus, struct kname_owner *o)
{
        struct kname_owner *a = o->name->activator;

        enqueue(o, true);
        o->flags |= KDBUS_NAME_PRIMARY;
        if (!a) {
                kbus_notify_name(bus, KDBUS_ITEM_NAME_ADD, o->name->name, NULL, 0, o, o->flags);
                return;
        }
        kconn_move(o->conn, a->conn, o->name->serial);
        kbus_notify_name(bus, KDBUS_ITEM_NAME_CHANGE, o->name->name, a, a->flags, o, o->flags);
        a->flags &= ~KDBUS_NAME_PRIMARY;
        a->flags |= KDBUS_NAME_IN_QUEUE;
}

static void take_over(struct kbus *bus, struct kname_owner *o, struct kname_owner *old)
{
        enqueue(o, true);
        o->flags |= KDBUS_NAME_PRIMARY;
        kbus_notify_name(bus, KDBUS_ITEM_NAME_CHANGE, o->name->name, old, old->flags, o, o->flags);
        if (old->flags & KDBUS_NAME_QUEUE) {
                old->flags &= ~KDBUS_NAME_PRIMARY;
                old->flags |= KDBUS_NAME_IN_QUEUE;
        } else {
                dequeue(old);
                owner_free(old);
        }
}

static int request(struct kbus *bus, struct kname_owner *o, uint64_t flags, uint64_t *acquired)
{
        struct kname_owner *primary = first(o->name);

        if (o == o->name->activator)
                return -EUCLEAN;
        o->flags = flags & SAVED_FLAGS;
        if (!primary) {
                take_free(bus, o);
                *acquired = KDBUS_NAME_ACQUIRED;
        } else if (o == primary) {
                o->flags |= KDBUS_NAME_PRIMARY;
        } else if ((primary->flags & KDBUS_NAME_ALLOW_REPLACEMENT) &&
                   (flags & KDBUS_NAME_REPLACE_EXISTING)) {
                take_over(bus, o, primary);
                *acquired = KDBUS_NAME_ACQUIRED;
        } else if (flags & KDBUS_NAME_QUEUE) {
                o->flags |= KDBUS_NAME_IN_QUEUE;
                *acquired = o->queued ? 0 : KDBUS_NAME_ACQUIRED;
                if (!o->queued)
                        enqueue(o, false);
        } else if (o->queued) {
                dequeue(o);
        } else {
                return -EEXIST;
        }
        return 0;
}

/**
 * kname_acquire() - ask for a name, or (KDBUS_NAME_ACTIVATOR) to stand in for its owner
 * @return_flags:       set on success
 *
 * Policy is the caller's business.
 * Return: 0; -EEXIST, -EUCLEAN, -E2BIG as the ABI has them; -ENOMEM.
 */
int kname_acquire(struct kbus *bus, struct kconn *conn, const char *str, uint64_t flags,
                  __u64 *return_flags)
{
        struct kname *name = kname_find(bus, str);
        struct kname_owner *o;
        uint64_t acquired = 0;
        int r = 0;

        if (!name)
                r = name_new(&name, bus, str);
        if (r)
                return r;
        o = find_owner(name, conn);
        if (!o)
                r = owner_new(&o, name, conn);
        if (r) {
                name_put(bus, name);
                return r;
        }
        if (flags & KDBUS_NAME_ACTIVATOR)
                r = become_activator(bus, o);
        else
                r = request(bus, o, flags, &acquired);
        if (!r)
                *return_flags = o->flags | acquired;
        if (!o->queued && o != name->activator)
                owner_free(o);
        name_put(bus, name);
        return r;
}

static void release(struct kbus *bus, struct kname_owner *o)
{
        struct kname *name = o->name;
        struct kname_owner *primary = first(name), *next;

        dequeue(o);
        if (o == name->activator)
                name->activator = NULL;
        if (!primary || o == primary) {
                next = kname_primary(name);
                if (next) {
                        next->flags &= ~KDBUS_NAME_IN_QUEUE;
                        next->flags |= KDBUS_NAME_PRIMARY;
                        if (next == name->activator)
                                kconn_move(next->conn, o->conn, name->serial);
                        kbus_notify_name(bus, KDBUS_ITEM_NAME_CHANGE, name->name, o, o->flags, next,
                                         next->flags);
                } else {
                        kbus_notify_name(bus, KDBUS_ITEM_NAME_REMOVE, name->name, o, o->flags, NULL,
                                         0);
                }
        }
        owner_free(o);
        name_put(bus, name);
}

/**
 * kname_release() - give a name back, or leave its queue
 *
 * Return: 0; -ESRCH if nobody has the name, -EADDRINUSE if only others have.
 */
int kname_release(struct kbus *bus, struct kconn *conn, const char *str)
{
        struct kname *name = kname_find(bus, str);
        struct kname_owner *o;

        if (!name)
                return -ESRCH;
        o = find_owner(name, conn);
        if (!o)
                return -EADDRINUSE;
        release(bus, o);
        return 0;
}

/**
 * kname_release_all() - in the order of acquisition
 */
void kname_release_all(struct kbus *bus, struct kconn *conn)
{
        while (!cds_list_empty(&conn->names))
                release(bus, cds_list_entry(conn->names.next, struct kname_owner, by_conn));
}
