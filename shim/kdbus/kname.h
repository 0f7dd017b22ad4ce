/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kdbus name
 *
 * What it is     The well-known names of one kdbus bus. A name has a queue of owners, the first of
 *                them primary, and perhaps an activator that stands in while there is none.
 * How            An owner object links a connection and a name. Each change of the primary owner
 *                is announced at once through kbus_notify_name(), and moves queued messages between
 *                activator and owner.
 */

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>
#include <uthash.h>

#include "shim/kdbus/kdbus-abi.h"

struct kbus;
struct kconn;
struct kname;

struct kname_owner {
        struct kname *name;
        struct kconn *conn;
        uint64_t flags;               /* saved flags, and PRIMARY, IN_QUEUE, ACTIVATOR */
        bool queued;                  /* in name->queue */
        struct cds_list_head by_name; /* name->queue */
        struct cds_list_head by_conn; /* conn->names, in the order of acquisition */
};

struct kname {
        uint64_t serial; /* remembered by messages sent to the name */
        struct kname_owner *activator;
        struct cds_list_head queue;
        UT_hash_handle hh;
        char name[];
};

struct kname *kname_find(const struct kbus *bus, const char *name);
struct kname_owner *kname_primary(struct kname *name); /* or the activator, or NULL */
bool kname_held_by(const struct kconn *conn, const char *name);

int kname_acquire(struct kbus *bus, struct kconn *conn, const char *name, uint64_t flags,
                  __u64 *return_flags);
int kname_release(struct kbus *bus, struct kconn *conn, const char *name);
void kname_release_all(struct kbus *bus, struct kconn *conn);
