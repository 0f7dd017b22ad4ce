/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Client
 *
 * What it is     A peer as the protocols see it: credentials, unique name, names owned, match
 *                rules, calls that wait for a reply, and the door it came in by.
 * States
 *                client_init()   client_hello()            client_monitor()
 *                -----------> NEW -----------> ACTIVE --------------------> MONITOR
 *                              \                 \                            |
 *                               `-----------------`-- client_disconnect() ----'--> GONE
 *
 *                NEW       is known to the bus by its id only; may say Hello, nothing else
 *                ACTIVE    takes part
 *                MONITOR   receives copies, may say nothing
 *                GONE      is in no list of the bus; the memory waits for the last reference
 * Guard          See the groups of struct client.
 */

#include "bus-core/core.h"
#include "shim/bus/creds.h"
#include "shim/bus/limit-table.h"
#include "shim/bus/ledger.h"
#include "shim/bus/match.h"
#include "shim/bus/name.h"
#include "shim/bus/policy.h"
#include "shim/bus/reply.h"

struct bus;
struct client;
struct container;
struct turn;

/* What a door does for its clients. */
struct door {
        /*
         * drain() - empty the client's inbox into whatever it reads from. Called by any thread,
         * never by two at once for one client, and holds no lock of the bus. May leave a rest if
         * it sees to it that someone drains again.
         */
        void (*drain)(struct client *client);

        /*
         * close() - the bus is done with this client. Any thread; may hold the guard's write
         * side; must not wait. The owner of the connection ends it and drops its reference.
         */
        void (*close)(struct client *client);

        /* pidfd() - a descriptor of the client's process, the caller's to close; negative errno */
        int (*pidfd)(struct client *client);

        /* free() - the last reference is gone */
        void (*free)(struct client *client);
};

enum client_state {
        CLIENT_NEW,
        CLIENT_ACTIVE,
        CLIENT_MONITOR,
        CLIENT_GONE,
};

struct user;

struct client {
        struct peer peer;
        struct bus *bus;
        const struct door *door;

        /* constant after client_init() */
        struct creds *creds;
        struct user *user;
        char name[24]; /* unique name, ":1.<id>"; valid on the bus from Hello on */
        uint8_t name_len;
        bool accepts_fds; /* set before Hello */

        /* the bus's guard */
        enum client_state state;
        struct container *container; /* that it came by; constant after container_join() */
        struct cds_list_head in_container;
        struct policy_list *policy; /* NULL before Hello */
        struct limit_set *limit_set; /* that holds for it, and where each limit was written */
        struct limits limits;        /* the values; read without the guard by limit_get() */
        bool at_console;            /* if the policy asks for it */
        struct name_owner names;
        size_t peak_names;          /* the unique name is one of them */
        size_t peak_rules;
        struct match_owner rules; /* of AddMatch; of BecomeMonitor for a monitor */
        UT_hash_handle hh;        /* by peer.id, in bus->clients */
        bool oom;

        struct cds_list_head waits; /* for activations, see activate.c */

        struct replies replies; /* guards itself */

        _Atomic bool wants_container; /* it hears where messages come from, see RequestHeader() */
        _Atomic bool stuck;     /* it was waited for in vain, and has not read all since */
        _Atomic bool dismissed; /* its end is on record, see pressure.h */

        struct { /* atomics: who empties the inbox, see turn.h */
                _Atomic bool touched;
                _Atomic unsigned int work;
                struct cds_list_head link; /* in the list of the turn that touched it */
        } drain;

        struct { /* what has come of messages that are not complete; owner's thread */
                _Atomic uint64_t bytes, fds;
                _Atomic uint64_t peak_bytes, peak_fds; /* of whole ones, too, until handled */
        } partial;

        _Atomic size_t unsent; /* taken from the inbox, but the socket is full; who drains */

        struct counts count;
        struct ledger_entry *ledger[LEDGER_N]; /* the bus's guard */
};

static inline struct client *client_of(struct peer *peer)
{
        return container_of(peer, struct client, peer);
}

static inline struct client *client_of_owner(struct name_owner *owner)
{
        return owner ? container_of(owner, struct client, names) : NULL;
}

/**
 * client_init() - a newcomer, state NEW
 * @creds:      borrowed and counted
 *
 * It takes over the count that bus_expect_client() made, unless it fails.
 *
 * Lock:        the guard's write side
 * Return:      0 or -ENOMEM; the client is counted by the bus until client_disconnect().
 */
int client_init(struct client *client, struct bus *bus, const struct door *door,
                struct creds *creds);
void client_deinit(struct client *client);

static inline struct client *client_ref(struct client *client)
{
        peer_ref(&client->peer);
        return client;
}
static inline struct client *client_unref(struct client *client)
{
        if (client)
                peer_unref(&client->peer);
        return NULL;
}
DEFINE_FREEP(struct client, client_unref)

/* client_names() - the names of a client, as policies ask for them */
struct policy_peer client_names(const struct client *client);

/* client_limit() - the text that explains a limit, as it holds for the client */
const char *client_limit(const struct client *client, size_t index, char *buf, size_t size);

/* client_describe() - ":1.5 (uid=0 pid=7 comm=\"x\")" for log lines and refusals */
const char *client_describe(const struct client *client, char *buf, size_t size);
#define CLIENT_DESCRIBE_MAX 512
