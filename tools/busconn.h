/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bus connection
 *
 * What it is     A client's end of a bus connection at the level of messages as bytes: what a
 *                client library hides (serials, flags, exact bodies) is the caller's to choose.
 * How            Connecting and authenticating blocks, for at most a few seconds; from then on the
 *                socket does not block and the two buffers stand between it and the caller.
 *                Descriptors are never read or kept: those that arrive are counted and closed,
 *                those that are sent are stand-ins.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shim/wire/header.h"
#include "tools/buf.h"

#define BUSCONN_TIMEOUT_MS 10000 /* for the bus to answer during the set-up */

enum busconn_error {
        BUSCONN_E_NONE = 1, /* no whole message yet */
        BUSCONN_E_CLOSED,   /* by the bus */
        BUSCONN_E_REFUSED,  /* the bus did not accept our credentials */
        BUSCONN_E_ADDRESS,  /* not an address we can connect to */
        BUSCONN_E_INVALID,  /* the bus sent what is no message */
        BUSCONN_E_ERROR,    /* the bus answered with an error */
        BUSCONN_E_TIMEOUT,  /* or not at all */
};

/* descriptors to go out with a byte of the stream */
struct busconn_fds {
        uint64_t at; /* position in the stream of sent bytes */
        uint32_t n;
};

struct busconn {
        int fd; /* -1: not connected */
        struct buf in, out;
        size_t n_handed; /* bytes of in that the last busconn_next() showed */
        uint64_t n_sent;
        uint64_t n_fds_received;
        struct busconn_fds *fds;
        size_t n_fds, size_fds;
        int stand_in;    /* sent in place of descriptors that nobody has any more; borrowed */
        char name[64];   /* unique name, after busconn_hello() */
        uint32_t serial; /* last one used by busconn_call() */
        char error[256]; /* what BUSCONN_E_ERROR was */
};

#define BUSCONN_NULL ((struct busconn){ .fd = -1, .stand_in = -1 })

const char *busconn_strerror(int r);

/**
 * busconn_connect() - connect and authenticate
 * @address:    a D-Bus address; the first of its parts that can be connected to is taken
 * @uid:        user to be on the bus; needs root unless it is our own; (uid_t)-1: our own
 */
int busconn_connect(struct busconn *c, const char *address, uid_t uid);
void busconn_deinit(struct busconn *c);

/* busconn_hello() - join the bus; c->name is then set */
int busconn_hello(struct busconn *c);

/* busconn_send() - queue a message; @n_fds stand-ins go with it */
int busconn_send(struct busconn *c, const void *data, size_t n, uint32_t n_fds);

/* busconn_flush() - write what the socket takes; BUSCONN_E_NONE: something is left */
int busconn_flush(struct busconn *c);

/* busconn_receive() - read once what there is; BUSCONN_E_NONE, BUSCONN_E_CLOSED */
int busconn_receive(struct busconn *c);

/**
 * busconn_next() - the next whole message that was read
 * @msg:        good until the next call to busconn_next() or busconn_receive()
 */
int busconn_next(struct busconn *c, const uint8_t **msg, struct header *h);

/**
 * busconn_call() - call a method of the bus and wait for its answer
 * @msg, @h:    the reply, good as for busconn_next(); NULL: only whether it worked is wanted
 *
 * Messages that arrive before the reply are thrown away: for set-up only.
 */
int busconn_call(struct busconn *c, const char *interface, const char *member,
                 const char *signature, const char *const *args, const uint8_t **msg,
                 struct header *h);

/* busconn_wait_reply() - wait for the answer to @serial; see busconn_call() */
int busconn_wait_reply(struct busconn *c, uint32_t serial, const uint8_t **msg, struct header *h);
