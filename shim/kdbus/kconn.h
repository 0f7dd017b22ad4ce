/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kdbus connection
 *
 * What it is     A participant of a kdbus bus: its pool, its queue, its names, matches and open
 *                calls, and what it pays and is charged.
 * How            kconn_queue() renders a message into the receiver's pool and charges the sender's
 *                user against the receiver's share. A connection that has something to say to its
 *                program says it through kconn->ops.
 *                With a ring the program takes messages and frees slices without asking. Then the
 *                queue may be behind: kconn_sync() brings it up to date; kconn_hold() also keeps it
 *                so, until kconn_unhold().
 *                Between kconn_batch() and kconn_unbatch() programs are not told each time that
 *                there is something, but once.
 */

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>
#include <uthash.h>

#include "shim/kdbus/kbus.h"
#include "shim/kdbus/kmatch.h"
#include "shim/kdbus/kmeta.h"
#include "shim/kdbus/pool.h"

struct domain;
struct ghost;
struct kfds;
struct kmsg;
struct kreply;
struct kring;

/* a queued message */
struct kentry {
        struct cds_list_head link;
        struct kconn *conn;
        struct pool_slice *slice;
        struct kfds *fds;
        struct kreply *reply;  /* a call: its open window */
        struct kuser *user;    /* who pays; NULL: the bus itself */
        int64_t priority;
        uint64_t name_serial;  /* registration of the name it was sent to, or 0 */
        bool charged;
        bool summons; /* for an activator on a bridged bus: see stand-in.h */
};

/* how much of this connection's queue a user fills */
struct kquota {
        struct kuser *user;
        uint64_t bytes;
        unsigned msgs, fds;
        UT_hash_handle hh;
};

struct kconn_ops {
        void (*readable)(struct kconn *conn, bool readable); /* poll state changed */
        void (*closed)(struct kconn *conn);                  /* disconnected, by whomever */
};

struct kconn {
        uint64_t id;
        uint64_t flags; /* of HELLO */
        struct kep *ep;
        struct kbus *bus;
        struct kuser *user;
        const struct kconn_ops *ops;
        void *userdata;
        bool connected;
        bool owner;      /* of the bus: may be special, passes policy */
        bool privileged;
        uint64_t attach_send, attach_recv;
        char *description;
        struct pool *pool;
        struct kring *ring; /* NULL: receives by request */
        uint64_t last_broadcast; /* by request, ns */
        bool no_outbox;          /* has put there what it may not */

        struct cds_list_head queue;
        unsigned n_queue;
        uint64_t accounted; /* bytes of queued slices */
        uint64_t lost;
        bool readable;
        struct kquota *quota, *last_quota;

        struct cds_list_head names;
        unsigned n_names;
        struct kmatch_db matches;
        struct cds_list_head calls;   /* kreply.by_caller */
        unsigned n_calls;
        struct cds_list_head answers; /* kreply.by_callee */

        struct ghost *ghost;          /* what D-Bus sees of it, on a bridged bus */

        struct kmeta meta;             /* at HELLO, or fake */
        struct kmeta opener;           /* of the open file: policy as a receiver */
        struct kmeta_view view;        /* how metadata is shown to it */

        UT_hash_handle hh; /* bus->conns */
        struct cds_list_head by_bus;
        struct cds_list_head by_listener;
        struct cds_list_head by_monitor;
        struct cds_list_head by_touch; /* domain->touched */
};

struct kconn_hello {
        uint64_t flags, attach_send, attach_recv, pool_size;
        const char *description;
        bool owner, privileged;
        struct kuser *user;
};

static inline bool kconn_is_ordinary(const struct kconn *c)
{
        return !(c->flags & (KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_POLICY_HOLDER |
                             KDBUS_HELLO_MONITOR));
}

static inline bool kconn_is_activator(const struct kconn *c)
{
        return c->flags & KDBUS_HELLO_ACTIVATOR;
}

static inline bool kconn_is_monitor(const struct kconn *c)
{
        return c->flags & KDBUS_HELLO_MONITOR;
}

int kconn_new(struct kconn **connp, struct kep *ep, const struct kconn_hello *hello);
int kconn_connect(struct kconn *conn, int socket, struct caller *caller);
int kconn_disconnect(struct kconn *conn, bool if_empty);
struct kconn *kconn_free(struct kconn *conn);

int kconn_queue(struct kconn *dst, struct kmsg *msg, struct kreply *reply, uint64_t name_serial);
int kconn_make_entry(struct kconn *dst, struct kmsg *msg, struct kentry **entryp);
void kconn_lose(struct kconn *conn);
int kconn_peek(struct kconn *conn, bool by_priority, int64_t priority, struct kentry **entryp);
void kconn_unqueue(struct kentry *entry);
struct kentry *kentry_free(struct kentry *entry);
void kconn_move(struct kconn *to, struct kconn *from, uint64_t name_serial);
void kconn_update_readable(struct kconn *conn);
void kconn_update_listening(struct kconn *conn);
int kconn_add_ring(struct kconn *conn, bool rung);
void kconn_sync(struct kconn *conn);
void kconn_hold(struct kconn *conn);
void kconn_unhold(struct kconn *conn);
void kconn_batch(struct domain *domain);
void kconn_unbatch(struct domain *domain);

/* @caller: whose credentials count; NULL: those of the opener */
bool kconn_may_own(struct kconn *conn, struct caller *caller, const char *name);
bool kconn_may_talk(struct kconn *conn, struct caller *caller, const struct kconn *to);
bool kconn_may_see_name(struct kconn *conn, struct caller *caller, const char *name);
bool kconn_may_see(struct kconn *conn, struct caller *caller, const struct kconn *whom);

size_t kconn_meta_size(const struct kconn *conn, uint64_t mask);
void *kconn_meta_write(void *at, const struct kconn *conn, uint64_t mask);
