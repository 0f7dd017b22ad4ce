/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include "bus-core/util/cache.h"
#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/client/proto.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/kconn.h"
#include "shim/kdbus/kmsg.h"
#include "shim/kdbus/koutbox.h"
#include "shim/kdbus/kreply.h"
#include "shim/kdbus/kring.h"
#include "shim/kdbus/limits.h"

#define BEHIND_MAX  48 /* what may be queued in a batch before it is looked what was taken */
#define QUOTAS_KEPT 4 /* users of whom nothing is queued, but who may come again */

/* --- life --- */

/**
 * kconn_new() - make a connection that nobody can see yet
 *
 * Return: 0, -EMFILE if the user has too many, -ENOMEM.
 */
int kconn_new(struct kconn **connp, struct kep *ep, const struct kconn_hello *hello)
{
        struct kconn *c;
        int r;

        if (hello->user->n_conns >= KD_CONNS_MAX)
                return -EMFILE;
        c = calloc(1, sizeof(*c));
        if (!c)
                return error_origin(-ENOMEM);
        c->ep = kep_ref(ep);
        c->bus = kbus_ref(ep->bus);
        c->user = kuser_ref(hello->user);
        c->user->n_conns++;
        c->flags = hello->flags;
        c->owner = hello->owner;
        c->privileged = hello->privileged;
        c->attach_send = hello->attach_send;
        c->attach_recv = hello->attach_recv;
        c->view.same_user_ns = true;
        CDS_INIT_LIST_HEAD(&c->queue);
        CDS_INIT_LIST_HEAD(&c->by_listener);
        CDS_INIT_LIST_HEAD(&c->by_touch);
        CDS_INIT_LIST_HEAD(&c->names);
        CDS_INIT_LIST_HEAD(&c->calls);
        CDS_INIT_LIST_HEAD(&c->answers);
        kmatch_init(&c->matches);
        r = pool_new(&c->pool, hello->pool_size);
        if (!r && hello->description) {
                c->description = strdup(hello->description);
                r = c->description ? 0 : error_origin(-ENOMEM);
        }
        if (r) {
                kconn_free(c);
                return r;
        }
        *connp = c;
        return 0;
}

/**
 * kconn_connect() - join the bus; the others are told
 * @socket:     the handle's, which the kernel knows the opener of; -1: it knows another
 * @caller:     who says HELLO
 */
int kconn_connect(struct kconn *conn, int socket, struct caller *caller)
{
        struct kbus *bus = conn->bus;
        int r = 0;

        if (kconn_is_monitor(conn))
                koutbox_heed(conn, conn->attach_recv);
        if (bus->bridge)
                r = bus->bridge->join(conn, socket, caller, &conn->id);
        else
                conn->id = ++bus->domain->last_id;
        if (r)
                return r;
        HASH_ADD(hh, bus->conns, id, sizeof(conn->id), conn);
        if (!conn->hh.tbl)
                return error_origin(-ENOMEM);
        cds_list_add_tail(&conn->by_bus, &bus->conn_list);
        if (kconn_is_monitor(conn))
                cds_list_add_tail(&conn->by_monitor, &bus->monitors);
        conn->connected = true;
        if (!kconn_is_monitor(conn))
                kbus_notify_id(bus, KDBUS_ITEM_ID_ADD, conn->id, conn->flags);
        return 0;
}

/* calls still queued here, and those received but not answered */
static void fail_callers(struct kconn *conn)
{
        struct kentry *e, *next;

        cds_list_for_each_entry_safe(e, next, &conn->queue, link)
                kentry_free(e);
        while (!cds_list_empty(&conn->answers))
                kreply_dead(cds_list_entry(conn->answers.next, struct kreply, by_callee));
}

static void drop_calls(struct kconn *conn)
{
        while (!cds_list_empty(&conn->calls)) {
                struct kreply *reply = cds_list_entry(conn->calls.next, struct kreply, by_caller);

                if (reply->waiter)
                        kreply_finish(reply, -ECONNRESET, NULL);
                else
                        kreply_free(reply);
        }
}

/**
 * kconn_disconnect() - leave the bus
 * @if_empty:   but not while messages are queued
 *
 * Return: 0, -EBUSY, -ECONNRESET if it has left already.
 */
int kconn_disconnect(struct kconn *conn, bool if_empty)
{
        struct kbus *bus = conn->bus;

        if (!conn->connected)
                return -ECONNRESET;
        if (bus->outbox && koutbox_conn(bus->outbox) == conn)
                koutbox_close(bus);
        kconn_hold(conn);
        if (if_empty && conn->n_queue) {
                kconn_unhold(conn);
                return -EBUSY;
        }
        conn->connected = false;
        kpolicy_drop(&bus->policy, conn);
        HASH_DEL(bus->conns, conn);
        cds_list_del(&conn->by_bus);
        cds_list_del_init(&conn->by_listener);
        cds_list_del_init(&conn->by_touch);
        if (kconn_is_monitor(conn))
                cds_list_del(&conn->by_monitor);
        kname_release_all(bus, conn);
        drop_calls(conn);
        fail_callers(conn);
        kmatch_deinit(&conn->matches);
        if (bus->bridge)
                bus->bridge->leave(conn);
        if (!kconn_is_monitor(conn))
                kbus_notify_id(bus, KDBUS_ITEM_ID_REMOVE, conn->id, conn->flags);
        if (conn->ops)
                conn->ops->closed(conn);
        return 0;
}

struct kconn *kconn_free(struct kconn *conn)
{
        struct kquota *q, *next;

        if (!conn)
                return NULL;
        kconn_disconnect(conn, false);
        HASH_ITER(hh, conn->quota, q, next) {
                HASH_DEL(conn->quota, q);
                kuser_unref(q->user);
                free(q);
        }
        pool_free(conn->pool);
        kring_free(conn->ring);
        free(conn->description);
        kmeta_deinit(&conn->meta);
        kmeta_deinit(&conn->opener);
        kmeta_view_deinit(&conn->view);
        conn->user->n_conns--;
        kuser_unref(conn->user);
        kep_unref(conn->ep);
        kbus_unref(conn->bus);
        free(conn);
        return NULL;
}

/* --- who pays --- */

/* mostly it is the same user as before */
static struct kquota *find_quota(struct kconn *conn, struct kuser *user)
{
        struct kquota *q = conn->last_quota;

        if (!q || q->user != user)
                HASH_FIND_PTR(conn->quota, &user, q);
        if (q)
                conn->last_quota = q;
        return q;
}

static int quota_row(struct kconn *conn, struct kuser *user, struct kquota **rowp)
{
        struct kquota *q = find_quota(conn, user);

        if (!q) {
                q = calloc(1, sizeof(*q));
                if (!q)
                        return error_origin(-ENOMEM);
                q->user = user;
                HASH_ADD_PTR(conn->quota, user, q);
                if (!q->hh.tbl) {
                        free(q);
                        return error_origin(-ENOMEM);
                }
                kuser_ref(user);
        }
        *rowp = q;
        return 0;
}

/* whether the user's programs may lose some of the broadcasts that they have under way */
static bool is_tight(const struct kquota *q, uint64_t room)
{
        return q->msgs + KDP_SENDS >= KD_MSGS_MAX || room < q->bytes + KDP_SENDS * 2 * KDP_SEND_MAX;
}

/* half of a pool is its owner's; of the rest a sender may fill a third of what others leave */
static int charge(struct kconn *conn, struct kuser *user, uint64_t bytes, unsigned fds)
{
        uint64_t half = conn->pool->size / 2, room;
        struct kquota *q = NULL;
        int r;

        r = quota_row(conn, user, &q);
        if (r)
                return r;
        if (half < conn->accounted)
                return -ENOBUFS;
        room = (half - conn->accounted + q->bytes) / 3;
        if (conn->ring)
                kring_tighten(conn->ring, is_tight(q, room));
        if (room < q->bytes || room - q->bytes < bytes || q->msgs >= KD_MSGS_MAX)
                return -ENOBUFS;
        if (q->fds + fds > KD_FDS_MAX)
                return -EMFILE;
        q->bytes += bytes;
        q->msgs++;
        q->fds += fds;
        conn->accounted += bytes;
        return 0;
}

static void uncharge(struct kconn *conn, struct kuser *user, uint64_t bytes, unsigned fds)
{
        struct kquota *q = find_quota(conn, user);

        conn->accounted -= bytes;
        q->bytes -= bytes;
        q->msgs--;
        q->fds -= fds;
        if (q->msgs || HASH_COUNT(conn->quota) <= QUOTAS_KEPT)
                return;
        conn->last_quota = NULL;
        HASH_DEL(conn->quota, q);
        kuser_unref(q->user);
        free(q);
}

/* --- queue --- */

static int entry_new(struct kconn *dst, struct kentry **entryp, struct kuser *user, uint64_t size,
                     struct kfds *fds)
{
        unsigned n_fds = fds ? fds->n_fds : 0;
        struct pool_slice *slice;
        struct kentry *e;
        int r;

        size = ITEM_ALIGN(size);
        r = charge(dst, user, size, n_fds);
        if (r == -ENOBUFS && dst->ring) {
                kconn_sync(dst); /* perhaps it was not known what the program took */
                r = charge(dst, user, size, n_fds);
        }
        if (r)
                return r;
        r = pool_alloc(dst->pool, &slice, size);
        if (r == -EXFULL && dst->ring) {
                kconn_sync(dst);
                r = pool_alloc(dst->pool, &slice, size);
        }
        if (r) {
                uncharge(dst, user, size, n_fds);
                return r;
        }
        e = cache_alloc(sizeof(*e));
        if (!e) {
                pool_slice_release(slice);
                uncharge(dst, user, size, n_fds);
                return error_origin(-ENOMEM);
        }
        *e = (struct kentry){.conn = dst, .slice = slice, .charged = true};
        CDS_INIT_LIST_HEAD(&e->link);
        e->user = kuser_ref(user);
        e->fds = kfds_ref(fds);
        *entryp = e;
        return 0;
}

/* the quota counts what is queued, not what the program has yet to free */
static void entry_uncharge(struct kentry *e)
{
        if (e->charged)
                uncharge(e->conn, e->user, e->slice->size, e->fds ? e->fds->n_fds : 0);
        e->charged = false;
}

/**
 * kentry_free() - forget a message; what the program was told of stays in its pool
 */
struct kentry *kentry_free(struct kentry *entry)
{
        if (!entry)
                return NULL;
        kconn_unqueue(entry);
        if (entry->reply)
                entry->reply->entry = NULL;
        pool_slice_release(entry->slice);
        kfds_unref(entry->fds);
        kuser_unref(entry->user);
        return cache_free(entry);
}

/**
 * kconn_make_entry() - render a message into the receiver's pool, charged, not queued
 *
 * Return: 0; -ECONNRESET, -ECOMM, -ENOBUFS, -EMFILE, -EXFULL, -EFAULT as the ABI has them.
 */
int kconn_make_entry(struct kconn *dst, struct kmsg *msg, struct kentry **entryp)
{
        struct kentry *e;
        int r;

        if (!dst->connected)
                return -ECONNRESET;
        if (!dst->bus->domain->batch || dst->n_queue >= BEHIND_MAX)
                kconn_sync(dst);
        if (!kconn_is_monitor(dst) && !(dst->flags & KDBUS_HELLO_ACCEPT_FD) && msg->fds &&
            msg->fds->n_fds)
                return -ECOMM;
        r = entry_new(dst, &e, msg->src ? msg->src->user : msg->payer, kmsg_size(msg, dst), msg->fds);
        if (r)
                return r;
        r = kmsg_write(msg, dst, pool_slice_data(e->slice));
        if (r) {
                kentry_free(e);
                return r;
        }
        e->priority = msg->msg->priority;
        *entryp = e;
        return 0;
}

/* descriptors are only handed out with a request */
static void show(const struct kentry *e)
{
        if (e->conn->ring)
                kring_put(e->conn->ring, e->slice->offset, e->slice->size, e->fds);
}

static void queue_entry(struct kconn *dst, struct kentry *e)
{
        cds_list_add_tail(&e->link, &dst->queue);
        dst->n_queue++;
        show(e);
        if (!dst->bus->domain->batch)
                kconn_update_readable(dst);
        else if (cds_list_empty(&dst->by_touch))
                cds_list_add_tail(&dst->by_touch, &dst->bus->domain->touched);
}

/**
 * kconn_queue() - deliver a message
 * @reply:       a call: its window, opened by the caller of this
 * @name_serial: registration of the name it was sent to, or 0
 */
int kconn_queue(struct kconn *dst, struct kmsg *msg, struct kreply *reply, uint64_t name_serial)
{
        struct kentry *e;
        int r;

        r = kconn_make_entry(dst, msg, &e);
        if (r)
                return r;
        e->name_serial = name_serial;
        e->reply = reply;
        if (reply)
                reply->entry = e;
        queue_entry(dst, e);
        return 0;
}

/**
 * kconn_lose() - a message could not be delivered, and the sender cannot be told
 */
void kconn_lose(struct kconn *conn)
{
        if (!conn->connected)
                return;
        kconn_hold(conn); /* RECV has more to say than the ring can */
        conn->lost++;
        kconn_update_readable(conn);
}

/**
 * kconn_peek() - the message that RECV would hand out
 *
 * Return: 0, -EAGAIN.
 */
int kconn_peek(struct kconn *conn, bool by_priority, int64_t priority, struct kentry **entryp)
{
        struct kentry *e, *best = NULL;

        cds_list_for_each_entry(e, &conn->queue, link) {
                if (!best || e->priority < best->priority)
                        best = e;
                if (!by_priority)
                        break;
        }
        if (!best || (by_priority && best->priority > priority))
                return -EAGAIN;
        *entryp = best;
        return 0;
}

/**
 * kconn_unqueue() - take a message out of its queue; from now on it is not charged
 */
void kconn_unqueue(struct kentry *entry)
{
        entry_uncharge(entry);
        if (cds_list_empty(&entry->link))
                return;
        cds_list_del_init(&entry->link);
        entry->conn->n_queue--;
        if (!entry->conn->ring)
                kconn_update_readable(entry->conn);
}

static int move_entry(struct kconn *to, struct kentry *e)
{
        struct kentry *copy;
        int r;

        if (!to->connected)
                return -ECONNRESET;
        if (!(to->flags & KDBUS_HELLO_ACCEPT_FD) && e->fds && e->fds->n_fds)
                return -ECOMM;
        r = entry_new(to, &copy, e->user, e->slice->size, e->fds);
        if (r)
                return r;
        memcpy(pool_slice_data(copy->slice), pool_slice_data(e->slice), e->slice->size);
        copy->priority = e->priority;
        copy->name_serial = e->name_serial;
        copy->reply = steal(&e->reply);
        if (copy->reply) {
                copy->reply->entry = copy;
                kreply_set_callee(copy->reply, to);
        }
        queue_entry(to, copy);
        return 0;
}

/**
 * kconn_move() - a name changed hands: what was sent to it and not received goes along
 *
 * What does not fit is lost, and counted at the new owner.
 */
void kconn_move(struct kconn *to, struct kconn *from, uint64_t name_serial)
{
        struct kentry *e, *next;

        if (to == from)
                return;
        kconn_hold(from);
        cds_list_for_each_entry_safe(e, next, &from->queue, link) {
                if (e->name_serial != name_serial)
                        continue;
                if (move_entry(to, e))
                        kconn_lose(to);
                kentry_free(e);
        }
        kconn_unhold(from);
}

/**
 * kconn_update_readable() - tell the door when poll would answer differently
 *
 * Beside a ring the program sees to it itself when there is nothing left, so the door is told
 * whenever there is something.
 */
void kconn_update_readable(struct kconn *conn)
{
        bool readable = conn->n_queue || conn->lost;

        if (!conn->ops || !conn->connected)
                return;
        if (conn->ring ? !readable : readable == conn->readable)
                return;
        conn->readable = readable;
        conn->ops->readable(conn, readable);
}

/**
 * kconn_update_listening() - matches came or went
 */
void kconn_update_listening(struct kconn *conn)
{
        bool listening = !cds_list_empty(&conn->by_listener);

        if (conn->matches.n_entries && !listening)
                cds_list_add_tail(&conn->by_listener, &conn->bus->listeners);
        else if (!conn->matches.n_entries && listening)
                cds_list_del_init(&conn->by_listener);
}

/**
 * kconn_batch() - messages come one after the other; their receivers are told at the end
 */
void kconn_batch(struct domain *domain)
{
        domain->batch = true;
}

void kconn_unbatch(struct domain *domain)
{
        struct kconn *c, *next;

        domain->batch = false;
        cds_list_for_each_entry_safe(c, next, &domain->touched, by_touch) {
                cds_list_del_init(&c->by_touch);
                kconn_update_readable(c);
        }
}

/* --- ring --- */

/**
 * kconn_add_ring() - let the program receive without asking
 * @rung:       the door has told the program that there is something
 */
int kconn_add_ring(struct kconn *conn, bool rung)
{
        int r;

        if (conn->ring)
                return 0;
        r = kring_new(&conn->ring, conn->pool->size, conn->id, conn->bus->bloom.size);
        if (r)
                return r;
        if (rung)
                (void)kring_ring(conn->ring);
        kconn_unhold(conn);
        return 0;
}

/**
 * kconn_sync() - do what the program did through the ring since it was last looked at
 */
void kconn_sync(struct kconn *conn)
{
        uint64_t freed[KDP_RING_GIVEN / 64];

        conn->pool->hasty = conn->bus->outbox;
        if (!conn->ring)
                return;
        kring_peek_freed(conn->ring, freed);
        for (size_t n = kring_take(conn->ring); n; n--) {
                struct kentry *e = cds_list_entry(conn->queue.next, struct kentry, link);

                pool_slice_publish(e->slice);
                kentry_free(e);
        }
        kring_release(conn->ring, conn->pool, freed);
}

/**
 * kconn_hold() - the queue is about to change other than at its end
 */
void kconn_hold(struct kconn *conn)
{
        if (!conn->ring)
                return;
        kring_close(conn->ring);
        kconn_sync(conn);
}

/**
 * kconn_unhold() - show the queue to the program again; after a loss, RECV has to tell of it first
 */
void kconn_unhold(struct kconn *conn)
{
        struct kentry *e;

        if (!conn->ring || !conn->connected || conn->lost || conn->ring->open)
                return;
        kring_open(conn->ring);
        cds_list_for_each_entry(e, &conn->queue, link)
                show(e);
        kconn_update_readable(conn);
}

/* --- policy --- */

static const struct kmeta *creds_of(struct kconn *conn, struct caller *caller)
{
        return caller ? caller_creds(caller) : &conn->opener;
}

static bool query_names(const struct kpolicy *policy, const struct kmeta *creds,
                        const struct kconn *whom, int access)
{
        struct kname_owner *o;

        cds_list_for_each_entry(o, &whom->names, by_conn)
                if (!(o->flags & KDBUS_NAME_IN_QUEUE) &&
                    kpolicy_query(policy, o->name->name, creds) >= access)
                        return true;
        return false;
}

bool kconn_may_own(struct kconn *conn, struct caller *caller, const char *name)
{
        if (conn->ep->custom &&
            kpolicy_query(&conn->ep->policy, name, creds_of(conn, caller)) < KDBUS_POLICY_OWN)
                return false;
        return conn->owner ||
               kpolicy_query(&conn->bus->policy, name, creds_of(conn, caller)) >= KDBUS_POLICY_OWN;
}

bool kconn_may_talk(struct kconn *conn, struct caller *caller, const struct kconn *to)
{
        if (conn->ep->custom &&
            !query_names(&conn->ep->policy, creds_of(conn, caller), to, KDBUS_POLICY_TALK))
                return false;
        if (conn->owner)
                return true;
        return creds_of(conn, caller)->euid == to->opener.uid ||
               query_names(&conn->bus->policy, creds_of(conn, caller), to, KDBUS_POLICY_TALK);
}

bool kconn_may_see_name(struct kconn *conn, struct caller *caller, const char *name)
{
        return !conn->ep->custom ||
               kpolicy_query(&conn->ep->policy, name, creds_of(conn, caller)) >= KDBUS_POLICY_SEE;
}

bool kconn_may_see(struct kconn *conn, struct caller *caller, const struct kconn *whom)
{
        return !conn->ep->custom ||
               query_names(&conn->ep->policy, creds_of(conn, caller), whom, KDBUS_POLICY_SEE);
}

/* --- metadata that belongs to the connection, not to a process --- */

size_t kconn_meta_size(const struct kconn *conn, uint64_t mask)
{
        struct kname_owner *o;
        size_t n = 0;

        if (mask & KDBUS_ATTACH_NAMES)
                cds_list_for_each_entry(o, &conn->names, by_conn)
                        if (!(o->flags & KDBUS_NAME_IN_QUEUE))
                                n += ITEM_ALIGN(ITEM_SIZE(sizeof(struct kdbus_name) +
                                                          strlen(o->name->name) + 1));
        if ((mask & KDBUS_ATTACH_CONN_DESCRIPTION) && conn->description)
                n += ITEM_ALIGN(ITEM_SIZE(strlen(conn->description) + 1));
        return n;
}

void *kconn_meta_write(void *at, const struct kconn *conn, uint64_t mask)
{
        struct kname_owner *o;

        if (mask & KDBUS_ATTACH_NAMES)
                cds_list_for_each_entry(o, &conn->names, by_conn) {
                        struct kdbus_item *item = at;
                        size_t n = strlen(o->name->name) + 1;

                        if (o->flags & KDBUS_NAME_IN_QUEUE)
                                continue;
                        at = item_put(at, KDBUS_ITEM_OWNED_NAME, NULL, sizeof(struct kdbus_name) + n);
                        item->name.flags = o->flags;
                        memcpy(item->name.name, o->name->name, n);
                }
        if ((mask & KDBUS_ATTACH_CONN_DESCRIPTION) && conn->description)
                at = item_put(at, KDBUS_ITEM_CONN_DESCRIPTION, conn->description,
                              strlen(conn->description) + 1);
        return at;
}
