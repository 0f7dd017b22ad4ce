/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define HASH_NONFATAL_OOM 1
#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/kbus.h"
#include "shim/kdbus/kconn.h"
#include "shim/kdbus/kmsg.h"
#include "shim/kdbus/koutbox.h"
#include "shim/kdbus/kreply.h"
#include "shim/kdbus/limits.h"

/* --- domain and users --- */

/**
 * domain_init() - make a domain
 * @dir:        its directory: made, and emptied if an earlier daemon left something
 */
int domain_init(struct domain *domain, const char *dir)
{
        *domain = (struct domain){};
        CDS_INIT_LIST_HEAD(&domain->buses);
        CDS_INIT_LIST_HEAD(&domain->deadlines);
        CDS_INIT_LIST_HEAD(&domain->outboxes);
        CDS_INIT_LIST_HEAD(&domain->touched);
        return error_fold(node_tree_init(&domain->tree, dir));
}

void domain_deinit(struct domain *domain)
{
        if (!domain->tree.path)
                return;
        while (!cds_list_empty(&domain->buses))
                kbus_remove(cds_list_entry(domain->buses.next, struct kbus, link));
        node_tree_deinit(&domain->tree);
}

/**
 * kuser_get() - the user object of a uid, with a reference
 */
int kuser_get(struct domain *domain, uid_t uid, struct kuser **userp)
{
        struct kuser *user;

        HASH_FIND(hh, domain->users, &uid, sizeof(uid), user);
        if (!user) {
                user = calloc(1, sizeof(*user));
                if (!user)
                        return error_origin(-ENOMEM);
                user->domain = domain;
                user->uid = uid;
                HASH_ADD(hh, domain->users, uid, sizeof(user->uid), user);
                if (!user->hh.tbl) {
                        free(user);
                        return error_origin(-ENOMEM);
                }
        }
        *userp = kuser_ref(user);
        return 0;
}

static int user_new_anonymous(struct domain *domain, struct kuser **userp)
{
        struct kuser *user = calloc(1, sizeof(*user));

        if (!user)
                return error_origin(-ENOMEM);
        user->domain = domain;
        user->anonymous = true;
        *userp = kuser_ref(user);
        return 0;
}

struct kuser *kuser_ref(struct kuser *user)
{
        if (user)
                user->n_refs++;
        return user;
}

struct kuser *kuser_unref(struct kuser *user)
{
        if (!user || --user->n_refs)
                return NULL;
        if (!user->anonymous)
                HASH_DEL(user->domain->users, user);
        kflow_free(user->flow);
        free(user);
        return NULL;
}

/* --- buses --- */

static int bus_name_valid(const char *name, uid_t uid)
{
        char prefix[16];
        int n, e;

        if (!item_node_name_valid(name, KD_NODE_LEN_MAX, &e))
                return -e;
        n = snprintf(prefix, sizeof(prefix), "%u-", uid);
        return strncmp(name, prefix, n) == 0 ? 0 : -EINVAL;
}

static void make_id128(uint8_t id[16])
{
        if (getrandom(id, 16, 0) != 16)
                memset(id, 0x5a, 16);
        id[6] = (id[6] & 0x0f) | 0x40; /* version 4 */
        id[8] = (id[8] & 0x3f) | 0x80;
}

static struct kbus *bus_alloc(struct domain *domain, const struct kbus_make *make,
                              struct kuser *creator)
{
        struct kbus *bus = calloc(1, sizeof(*bus));

        if (!bus)
                return NULL;
        bus->name = strdup(make->name);
        if (!bus->name) {
                free(bus);
                return NULL;
        }
        bus->n_refs = 1;
        bus->domain = domain;
        bus->flags = make->flags;
        bus->access = make->flags & (KDBUS_MAKE_ACCESS_GROUP | KDBUS_MAKE_ACCESS_WORLD);
        bus->uid = make->uid;
        bus->gid = make->gid;
        bus->bloom = make->bloom;
        bus->attach_flags = make->attach_flags;
        bus->creator = kuser_ref(creator);
        creator->n_buses++;
        bus->id = ++domain->last_id;
        make_id128(bus->id128);
        CDS_INIT_LIST_HEAD(&bus->conn_list);
        CDS_INIT_LIST_HEAD(&bus->listeners);
        CDS_INIT_LIST_HEAD(&bus->monitors);
        CDS_INIT_LIST_HEAD(&bus->eps);
        CDS_INIT_LIST_HEAD(&bus->link);
        return bus;
}

/**
 * kbus_new() - make a bus with its default endpoint
 *
 * Return: 0; -EINVAL, -ENAMETOOLONG for the name; -EEXIST; -EMFILE if the user has too many;
 *         -ENOMEM, or what the file system says.
 */
int kbus_new(struct kbus **busp, struct domain *domain, const struct kbus_make *make)
{
        struct kuser *user;
        struct kbus *bus;
        int r;

        if (!bloom_params_valid(&make->bloom))
                return -EINVAL;
        r = bus_name_valid(make->name, make->uid);
        if (r)
                return r;
        r = kuser_get(domain, make->real_uid, &user);
        if (r)
                return r;
        bus = user->n_buses >= KD_BUSES_MAX ? NULL : bus_alloc(domain, make, user);
        r = bus ? 0 : user->n_buses >= KD_BUSES_MAX ? -EMFILE : error_origin(-ENOMEM);
        kuser_unref(user);
        if (r)
                return r;
        r = node_make_dir(&domain->tree, bus->name, bus->access, bus->uid, bus->gid);
        if (r) {
                kbus_unref(bus);
                return r;
        }
        cds_list_add_tail(&bus->link, &domain->buses);
        r = kep_new(&bus->default_ep, bus, "bus", bus->access, bus->uid, bus->gid);
        if (r) {
                kbus_remove(bus);
                return r;
        }
        *busp = bus;
        return 0;
}

struct kbus *kbus_ref(struct kbus *bus)
{
        bus->n_refs++;
        return bus;
}

struct kbus *kbus_unref(struct kbus *bus)
{
        if (!bus || --bus->n_refs)
                return NULL;
        bus->creator->n_buses--;
        kuser_unref(bus->creator);
        kpolicy_deinit(&bus->policy);
        kmeta_deinit(&bus->creator_meta);
        free(bus->name);
        free(bus);
        return NULL;
}

/**
 * kbus_remove() - the maker closed it: all endpoints and connections end; drops the maker's
 *                 reference
 */
void kbus_remove(struct kbus *bus)
{
        bus->dead = true;
        while (!cds_list_empty(&bus->eps))
                kep_remove(cds_list_entry(bus->eps.next, struct kep, link));
        node_remove_dir(&bus->domain->tree, bus->name);
        cds_list_del_init(&bus->link);
        kbus_unref(bus);
}

struct kconn *kbus_find(const struct kbus *bus, uint64_t id)
{
        struct kconn *conn;

        HASH_FIND(hh, bus->conns, &id, sizeof(id), conn);
        return conn;
}

/* --- endpoints --- */

/**
 * kep_new() - make an endpoint; the bus holds it until kep_remove()
 * @name:       "bus" for the default one
 */
int kep_new(struct kep **epp, struct kbus *bus, const char *name, uint64_t access, uid_t uid,
            gid_t gid)
{
        bool custom = strcmp(name, "bus") != 0;
        struct kep *ep;
        int r;

        r = custom ? bus_name_valid(name, uid) : 0;
        if (r)
                return r;
        ep = calloc(1, sizeof(*ep));
        if (!ep)
                return error_origin(-ENOMEM);
        ep->n_refs = 1;
        ep->custom = custom;
        ep->bus = kbus_ref(bus);
        CDS_INIT_LIST_HEAD(&ep->link);
        if (custom)
                r = user_new_anonymous(bus->domain, &ep->user);
        if (!r)
                r = node_make_file(&bus->domain->tree, &ep->node, bus->name, name, access, uid, gid);
        if (r) {
                kep_unref(ep);
                return r;
        }
        ep->node->ep = ep;
        cds_list_add_tail(&ep->link, &bus->eps);
        *epp = ep;
        return 0;
}

struct kep *kep_ref(struct kep *ep)
{
        ep->n_refs++;
        return ep;
}

struct kep *kep_unref(struct kep *ep)
{
        if (!ep || --ep->n_refs)
                return NULL;
        kpolicy_deinit(&ep->policy);
        kuser_unref(ep->user);
        kbus_unref(ep->bus);
        free(ep);
        return NULL;
}

static struct kconn *first_conn_of(struct kep *ep)
{
        struct kconn *c;

        cds_list_for_each_entry(c, &ep->bus->conn_list, by_bus)
                if (c->ep == ep)
                        return c;
        return NULL;
}

/**
 * kep_remove() - the maker closed it: its connections end; drops the bus's reference
 */
void kep_remove(struct kep *ep)
{
        struct kconn *c;

        if (ep->dead)
                return;
        ep->dead = true;
        ep->node = node_remove_file(&ep->bus->domain->tree, ep->node);
        while ((c = first_conn_of(ep)))
                kconn_disconnect(c, false);
        cds_list_del_init(&ep->link);
        kep_unref(ep);
}

/* --- telling many --- */

/**
 * kbus_eavesdrop() - monitors get their copy, before anybody else gets the message
 */
void kbus_eavesdrop(struct kbus *bus, struct kmsg *msg)
{
        struct kconn *c;

        cds_list_for_each_entry(c, &bus->monitors, by_monitor)
                if (kconn_queue(c, msg, NULL, 0))
                        kconn_lose(c);
}

static bool hears(struct kconn *c, struct kconn *src, const struct kmsg *msg)
{
        struct kmatch_subject subject = {
                .src = src,
                .src_id = src ? src->id : 0,
                .dst_id = msg->msg->dst_id,
                .filter = msg->filter,
                .notification = msg->notification,
        };

        if (!kmatch_passes(&c->matches, &c->bus->bloom, &subject))
                return false;
        if (src && c->bus->bridge && c->bus->bridge->between(src, c))
                return false; /* it comes from there */
        if (src)
                return kconn_may_talk(c, NULL, src);
        if (msg->notification->type == KDBUS_ITEM_ID_ADD ||
            msg->notification->type == KDBUS_ITEM_ID_REMOVE)
                return true;
        return kconn_may_see_name(c, NULL, msg->notification->name_change.name);
}

/**
 * kbus_broadcast() - deliver to whoever has a match; what does not fit is lost there
 * @src:        NULL: a notification
 */
void kbus_broadcast(struct kbus *bus, struct kconn *src, struct kmsg *msg)
{
        struct kconn *c;

        kbus_eavesdrop(bus, msg);
        cds_list_for_each_entry(c, &bus->listeners, by_listener)
                if (hears(c, src, msg) && kconn_queue(c, msg, NULL, 0))
                        kconn_lose(c);
}

/* a message of the bus itself, with room for one item */
struct notification {
        struct kdbus_msg msg;
        uint64_t item[(ITEM_HEADER + sizeof(struct kdbus_notify_name_change) + KD_NAME_LEN_MAX + 8) / 8];
};

static void notification_init(struct notification *n, struct kmsg *m, uint64_t dst, uint64_t flags,
                              uint64_t type, size_t n_payload)
{
        memset(n, 0, sizeof(n->msg));
        item_put(n->item, type, NULL, n_payload);
        n->msg.size = sizeof(n->msg) + ITEM_SIZE(n_payload);
        n->msg.flags = flags;
        n->msg.dst_id = dst;
        *m = (struct kmsg){.msg = &n->msg, .payload.file = -1};
        m->n_items = ITEM_SIZE(n_payload);
        m->n_out = ITEM_ALIGN(ITEM_SIZE(n_payload));
        m->notification = (struct kdbus_item *)n->item;
}

/* to one, or to whoever listens */
static void notify(struct kbus *bus, struct kconn *to, struct kmsg *m)
{
        kmsg_stamp(m, &bus->last_seq);
        if (!to)
                kbus_broadcast(bus, NULL, m);
        else if (kconn_is_monitor(to) || hears(to, NULL, m))
                if (kconn_queue(to, m, NULL, 0))
                        kconn_lose(to);
}

static void notify_name(struct kbus *bus, struct kconn *to, uint64_t type, const char *name,
                        const struct kdbus_notify_id_change *from,
                        const struct kdbus_notify_id_change *into)
{
        size_t n_name = strlen(name) + 1;
        struct notification n;
        struct kdbus_item *item = (struct kdbus_item *)n.item;
        struct kmsg m;

        notification_init(&n, &m, KDBUS_DST_ID_BROADCAST, KDBUS_MSG_SIGNAL, type,
                          sizeof(struct kdbus_notify_name_change) + n_name);
        item->name_change.old_id = *from;
        item->name_change.new_id = *into;
        memcpy(item->name_change.name, name, n_name);
        notify(bus, to, &m);
}

static void notify_id(struct kbus *bus, struct kconn *to, uint64_t type, uint64_t id, uint64_t flags)
{
        struct notification n;
        struct kdbus_item *item = (struct kdbus_item *)n.item;
        struct kmsg m;

        notification_init(&n, &m, KDBUS_DST_ID_BROADCAST, KDBUS_MSG_SIGNAL, type,
                          sizeof(struct kdbus_notify_id_change));
        item->id_change.id = id;
        item->id_change.flags = flags;
        notify(bus, to, &m);
}

/**
 * kbus_notify_name() - a name got, changed or lost its owner
 *
 * On a bridged bus the one registry is the other's, and so is the event: see kbus_tell_name().
 */
void kbus_notify_name(struct kbus *bus, uint64_t type, const char *name,
                      const struct kname_owner *old_owner, uint64_t old_flags,
                      const struct kname_owner *new_owner, uint64_t new_flags)
{
        struct kdbus_notify_id_change from = {old_owner ? old_owner->conn->id : 0, old_flags};
        struct kdbus_notify_id_change into = {new_owner ? new_owner->conn->id : 0, new_flags};

        if (!bus->bridge)
                notify_name(bus, NULL, type, name, &from, &into);
}

/**
 * kbus_notify_id() - a connection came or went
 */
void kbus_notify_id(struct kbus *bus, uint64_t type, uint64_t id, uint64_t flags)
{
        if (!bus->bridge)
                notify_id(bus, NULL, type, id, flags);
}

/**
 * kbus_tell_name() - the other bus announced an owner; ids of 0 are nobody
 */
void kbus_tell_name(struct kconn *to, uint64_t type, const char *name, uint64_t old_id,
                    uint64_t new_id)
{
        struct kdbus_notify_id_change from = {old_id, old_id ? KDBUS_NAME_PRIMARY : 0};
        struct kdbus_notify_id_change into = {new_id, new_id ? KDBUS_NAME_PRIMARY : 0};

        notify_name(to->bus, to, type, name, &from, &into);
}

/**
 * kbus_tell_id() - the other bus announced a peer
 */
void kbus_tell_id(struct kconn *to, uint64_t type, uint64_t id)
{
        notify_id(to->bus, to, type, id, 0);
}

/**
 * kbus_notify_reply() - an asynchronous call ended without a reply
 */
void kbus_notify_reply(struct kbus *bus, uint64_t type, uint64_t caller, uint64_t cookie)
{
        struct kconn *c = kbus_find(bus, caller);
        struct notification n;
        struct kmsg m;

        if (!c)
                return;
        notification_init(&n, &m, caller, 0, type, 0);
        n.msg.cookie_reply = cookie;
        kmsg_stamp(&m, &bus->last_seq);
        kbus_eavesdrop(bus, &m);
        if (kconn_queue(c, &m, NULL, 0))
                kconn_lose(c);
}
