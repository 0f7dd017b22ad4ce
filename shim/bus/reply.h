/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pending replies
 *
 * What it is     Which call waits for whose answer: a slot for each (caller, callee, serial).
 * Objects        A slot is linked into its caller's list and its callee's table, so that a reply
 *                finds it at once, and whoever disconnects finds all of its own.
 * Promise        A reply is requested if and only if there is a slot; the first reply ends it.
 * Guard          Slots are made by the caller's thread and ended by the callee's, both on the
 *                read side of the bus's guard; on the write side anyone may end them. Each of the
 *                two collections has the lock of the struct replies it is in; never both at once.
 */

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu/list.h>

#include "shim/bus/table.h"

struct client;
struct reply_slot;

enum {
        REPLY_E_OK,
        REPLY_E_PENDING, /* the caller waits for an answer to this very serial already */
        REPLY_E_LIMIT,   /* the caller waits for as many answers as it may */
};

struct replies { /* in each client */
        pthread_mutex_t lock;
        struct cds_list_head awaited; /* slots of which it is the caller */
        size_t n_awaited;
        struct cds_list_head owed; /* slots of which it is the callee, the newest first */
        struct table by_key;       /* the same, by (caller, serial) */
};

struct reply_key {
        uint64_t caller; /* peer id */
        uint64_t serial;
};

struct reply_slot {
        struct reply_key key;
        struct client *caller; /* borrowed: it ends its slots before it goes */
        struct client *callee;
        uint64_t due; /* CLOCK_MONOTONIC, microseconds; UINT64_MAX: never */
        struct cds_list_head awaited_link;
        struct cds_list_head owed_link;
        struct table_node node;
};

void replies_init(struct replies *replies);
void replies_deinit(struct replies *replies);

/**
 * reply_expect() - a call is on its way
 * @max:        how many slots the caller may have
 * @n:          receives how many it has now
 * @due:        when the caller gives up, see struct reply_slot
 *
 * Return:      0, REPLY_E_PENDING, REPLY_E_LIMIT, -ENOMEM.
 */
int reply_expect(struct client *caller, struct client *callee, uint64_t serial, size_t max,
                 uint64_t due, size_t *n);

/* reply_is_expected() - is there a slot? */
bool reply_is_expected(struct client *caller, struct client *callee, uint64_t serial);

/* reply_end() - end the slot, if there is one; true if there was */
bool reply_end(struct client *caller, struct client *callee, uint64_t serial);

/*
 * reply_next_owed() - the newest slot of which @callee is the callee, or NULL; guard's write side. The
 * reference tells of the end in that order.
 */
struct reply_slot *reply_next_owed(struct client *callee);

/* reply_next_awaited() - the oldest slot of which @caller is the caller, or NULL */
struct reply_slot *reply_next_awaited(struct client *caller);

/*
 * reply_partners() - some of those whom @client waits for, or who wait for it, as of now: addresses to
 * compare, not to look at. Looks at @max calls of either sort at most, and returns how many it found;
 * no one twice in a row.
 */
size_t reply_partners(struct client *client, const struct client **partners, size_t max);

/* reply_slot_free() - end one slot; guard's write side */
void reply_slot_free(struct reply_slot *slot);
