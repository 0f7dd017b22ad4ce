/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kdbus bus, endpoint, domain
 *
 * What it is     A domain is a directory of buses; a bus has a default endpoint, perhaps custom
 *                ones, and connections; a user is who pays for what it makes.
 * How            domain > kbus > kep > kconn. Buses and endpoints are counted: a handle on one that
 *                has been removed keeps the object, marked dead, until the handle closes.
 * Guard          One thread drives a domain and everything in it (entry_dispatch()).
 */

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>
#include <uthash.h>

#include "shim/kdbus/bloom.h"
#include "shim/kdbus/kdbus-abi.h"
#include "shim/kdbus/kname.h"
#include "shim/kdbus/kpolicy.h"
#include "shim/kdbus/kmeta.h"
#include "shim/kdbus/node.h"

struct kconn;
struct kentry;
struct kreply;
struct kmsg;
struct kflow;
struct koutbox;
struct waiter;

/* one on D-Bus, as a program on kdbus asks for it */
struct kforeign {
        uint64_t id;
        struct kmeta meta;
        void *items; /* its names, rendered */
        size_t n_items;
};

/* one row of a list: flags of the connection, a name or NULL, flags of the name */
typedef void (*kforeign_fn)(void *data, uint64_t id, uint64_t flags, const char *name,
                            uint64_t name_flags);

/*
 * What a D-Bus bus does for the kdbus bus it is attached to (bridge.c). Called in the domain's
 * thread.
 */
struct kbridge_ops {
        /*
         * join(), leave() - a connection came or went; the id is that of its unique name.
         * @socket: whose peer it is; -1: a supervisor's, who spoke for @caller
         */
        int (*join)(struct kconn *conn, int socket, struct caller *caller, uint64_t *idp);
        void (*leave)(struct kconn *conn);

        /* listen() - it has its first match */
        void (*listen)(struct kconn *conn);

        /* send() - a message for someone not on kdbus, or for all; @reply: opened for a call */
        int (*send)(struct kconn *src, struct kmsg *msg, bool sync, struct kreply **reply);

        /* acquire(), release() - the names are one registry */
        int (*acquire)(struct kconn *conn, const char *name, uint64_t flags, __u64 *return_flags);
        int (*release)(struct kconn *conn, const char *name);

        /* between() - must what @src says to @dst cross the D-Bus bus, though both are on kdbus? */
        bool (*between)(struct kconn *src, struct kconn *dst);

        /* watch() - what kdbus connections say to each other, for those who watch there */
        void (*watch)(struct kconn *src, struct kmsg *msg, struct kconn *dst);

        /* refuse() - a call from the other side was dropped unseen */
        void (*refuse)(struct kconn *conn, const struct kdbus_msg *call);

        /* stand_in() - an activator has come; decline() - it drops what summoned it */
        int (*stand_in)(struct kconn *conn, const char *name);
        void (*decline)(struct kconn *conn);

        /*
         * find() - by name, or else by id: 0, -ESRCH, -ENXIO; list() - by KDBUS_LIST_*, what the
         * kdbus bus itself does not know
         */
        int (*find)(struct kbus *bus, uint64_t id, const char *name, struct kforeign *out);
        void (*list)(struct kbus *bus, uint64_t flags, kforeign_fn fn, void *data);
};

struct kuser {
        struct domain *domain;
        unsigned n_refs;
        bool anonymous; /* of one custom endpoint: not in domain->users */
        uid_t uid;
        unsigned n_buses, n_conns;
        unsigned n_handles, n_channels; /* for the door */
        struct kflow *flow;             /* once a program of its had a ring */
        UT_hash_handle hh;
};

struct domain {
        struct node_tree tree;
        uint64_t last_id; /* buses and connections draw from one counter */
        struct kuser *users;
        struct cds_list_head buses;
        struct cds_list_head deadlines; /* struct kreply, soonest first */
        struct cds_list_head outboxes;
        struct cds_list_head touched;   /* who is to be told at the end of the batch */
        bool batch;                     /* see kconn_batch() */
        /* the door: a blocked caller is answered; consumes the waiter */
        void (*wake)(struct waiter *waiter, int error, struct kentry *answer);
};

struct kbus {
        unsigned n_refs;
        bool dead;
        struct domain *domain;
        struct cds_list_head link; /* domain->buses */
        struct kuser *creator;
        char *name; /* with the uid prefix */
        uint64_t id;
        uint8_t id128[16];
        uint64_t flags;
        uint64_t access; /* KDBUS_MAKE_ACCESS_* */
        uid_t uid;
        gid_t gid;
        struct bloom_params bloom;
        uint64_t attach_flags; /* of the maker, for BUS_CREATOR_INFO */
        struct kmeta creator_meta;
        uint64_t last_seq;  /* messages and notifications attempted */
        uint64_t last_name; /* registration numbers */
        struct kname *names;
        struct kconn *conns; /* by id */
        struct cds_list_head conn_list;
        struct cds_list_head listeners; /* who has matches */
        struct cds_list_head monitors;
        struct koutbox *outbox; /* of the connection that broadcasts most; or NULL */
        struct cds_list_head eps;
        struct kep *default_ep;
        struct kpolicy policy;
        const struct kbridge_ops *bridge; /* NULL: on its own */
        void *bridge_data;
};

struct kep {
        unsigned n_refs;
        bool dead;
        bool custom;
        struct kbus *bus;
        struct cds_list_head link; /* bus->eps */
        struct node *node;
        struct kuser *user; /* custom: the anonymous one that pays for its connections */
        struct kpolicy policy;
};

int domain_init(struct domain *domain, const char *dir);
void domain_deinit(struct domain *domain);

int kuser_get(struct domain *domain, uid_t uid, struct kuser **userp);
struct kuser *kuser_unref(struct kuser *user);
struct kuser *kuser_ref(struct kuser *user);

struct kbus_make {
        const char *name;
        uint64_t flags, attach_flags;
        struct bloom_params bloom;
        uid_t uid, real_uid;
        gid_t gid;
};

int kbus_new(struct kbus **busp, struct domain *domain, const struct kbus_make *make);
struct kbus *kbus_ref(struct kbus *bus);
struct kbus *kbus_unref(struct kbus *bus);
void kbus_remove(struct kbus *bus);
struct kconn *kbus_find(const struct kbus *bus, uint64_t id);

int kep_new(struct kep **epp, struct kbus *bus, const char *name, uint64_t access, uid_t uid,
            gid_t gid);
struct kep *kep_ref(struct kep *ep);
struct kep *kep_unref(struct kep *ep);
void kep_remove(struct kep *ep);

void kbus_broadcast(struct kbus *bus, struct kconn *src, struct kmsg *msg);
void kbus_eavesdrop(struct kbus *bus, struct kmsg *msg);
void kbus_notify_name(struct kbus *bus, uint64_t type, const char *name,
                      const struct kname_owner *old_owner, uint64_t old_flags,
                      const struct kname_owner *new_owner, uint64_t new_flags);
void kbus_notify_id(struct kbus *bus, uint64_t type, uint64_t id, uint64_t flags);
void kbus_tell_name(struct kconn *to, uint64_t type, const char *name, uint64_t old_id,
                    uint64_t new_id);
void kbus_tell_id(struct kconn *to, uint64_t type, uint64_t id);
void kbus_notify_reply(struct kbus *bus, uint64_t type, uint64_t caller, uint64_t cookie);
