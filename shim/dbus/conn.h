/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Connection
 *
 * What it is     The D-Bus door: a client at the other end of a stream socket.
 * States
 *                conn_new()         authenticated()             conn_end()
 *                --------> AUTH ---------------------> MESSAGES ---------> ENDED
 *                            `-------------- conn_end() ----------------'
 * Road           arrive  conn_readable()    one recvmsg into the turn's buffer, or, once the size
 *                                           of a large message is known, into its own block
 *                frame   conn_take()        (frame.c) every whole message of what arrived
 *                leave   conn_drain()       all deliverable messages with one sendmsg: small ones
 *                                           copied together, large ones from where they are
 * Ownership      The poller's thread owns the connection: it reads, and it alone ends it. It may
 *                give it to another (conn_leave(), conn_enter()). Any thread may drain. The descriptor is closed with the last reference, so its
 *                number is never reused under a thread that still writes.
 * Backpressure   A client whose own inbox is over its limit is not read until it has read. One
 *                that has nearly filled another's is not read for a while (shim/bus/pressure.h).
 * Charge         What has come of an unfinished conversation or message is charged to the user,
 *                beside what is queued for its connections.
 */

#include "shim/bus/bus.h"
#include "shim/bus/poller.h"
#include "shim/wire/auth.h"

#define CONN_LARGE (16 * 1024) /* a message from this size on is received where it will stay */

#define CONN_NONCE 16 /* bytes that a nonce-tcp client sends first */

struct conn_config { /* of the listener it came by; outlives its connections */
        char guid[33];
        unsigned int mechanisms; /* AUTH_* */
        bool can_pass_fds;
        bool allow_anonymous;
        auth_challenge_fn *challenge;
        void *challenge_ctx;
        const uint8_t *nonce; /* CONN_NONCE bytes, or NULL */
        struct container *container; /* for whose programs it is; NULL: for all */
};

struct conn {
        struct client client; /* first: a conn is a client */
        const struct conn_config *config;
        struct watch watch;
        struct timer timer;        /* until Hello, or until descriptors find their message */
        struct cds_list_head link; /* in the list of its worker */
        int fd;
        _Atomic bool doomed; /* the bus has given it up; its owner ends it */
        _Atomic bool held;   /* not read, since it does not read */
        _Atomic bool waits;  /* not read, since a receiver does not; as wait.to */
        bool ended;
        uint64_t weighed; /* conn_work() when its owner looked last */
        size_t limit; /* LIMIT_INDEX() of the one it has to go for; PRESSURE_NO_LIMIT */

        struct auth *auth; /* NULL once it is over */
        bool nonce_seen;

        struct { /* what has arrived of an unfinished line or message; owner's thread */
                uint8_t *data; /* from the cache; NULL: nothing */
                size_t n;
                struct envelope *large; /* a large message on its way */
                size_t have;            /* bytes of it */
                int *fds;               /* descriptors that belong to messages to come */
                size_t n_fds;
                bool expect_large; /* the last one was: read the next one's header alone */
        } in;

        struct { /* while it waits for a receiver to read; owner's thread */
                struct client *to; /* counted; NULL: it does not */
                uint64_t since;
                struct timer timer;
        } wait;

        struct charge charge; /* for what is in @in; owner's thread */

        struct { /* whoever drains */
                struct cds_list_head entries; /* taken from the inbox, not yet written whole */
                size_t offset;                /* bytes of the first one that are written */
                bool with_container;          /* as they are written: with CONTAINER_INSTANCE */
                bool broken;                  /* nobody will read what is written */
                _Atomic bool full;            /* the socket: not to be tried before EPOLLOUT */
        } out;
};

static inline struct conn *conn_of(struct client *client)
{
        return container_of(client, struct conn, client);
}

/* conn_refuse() - an accepted connection comes to nothing; consumes what conn_new() does */
void conn_refuse(struct bus *bus, const struct conn_config *config, int fd);

/**
 * conn_new() - a connection that was accepted, and counted by bus_expect_client()
 * @poller:     whose thread calls this and owns the connection
 * @owned:      list of that thread
 * @fd:         non-blocking socket; consumed, and so is a reference to config->container
 */
int conn_new(struct turn *turn, struct poller *poller, struct cds_list_head *owned,
             const struct conn_config *config, int fd);

/**
 * conn_end() - the end of a connection; owner's thread
 * @reason:     for the log; NULL for a client that went by itself
 */
void conn_end(struct conn *conn, struct turn *turn, const char *reason);

/**
 * conn_leave() - its owner's thread gives it away, between two turns
 *
 * It is in no list then, and its link is free for use. What others write to it meanwhile leaves; it
 * is not read until conn_enter().
 */
void conn_leave(struct conn *conn);

/* conn_enter() - from now on it is this thread's, as with conn_new(); if it cannot be, it ends */
void conn_enter(struct conn *conn, struct turn *turn, struct poller *poller,
                struct cds_list_head *owned);

/* conn_work() - what it has cost the threads that owned it so far, in messages */
uint64_t conn_work(const struct conn *conn);

/* conn_wait() - do not read it until turn->full has read, or for long enough */
void conn_wait(struct conn *conn, struct turn *turn);

/**
 * conn_take() - handle all whole messages at the front of some bytes (frame.c)
 * @reason:     why the client must be dropped, if it must
 *
 * Return:      the number of bytes handled, or -1 to drop the client.
 */
ssize_t conn_take(struct conn *conn, struct turn *turn, const uint8_t *data, size_t n,
                  const char **reason);

/* conn_take_large() - the same for a large message that is complete; -1 to drop the client */
int conn_take_large(struct conn *conn, struct turn *turn, const char **reason);
