/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kdbus match
 *
 * What it is     What a connection wants to hear of broadcasts, signals and notifications.
 * How            An entry is a set of conditions that must all hold; entries are alternatives.
 *                Conditions on user messages and on notifications never hold together.
 *                Beside the entries stands what can be said of each at a glance, in one piece of
 *                memory: most entries are ruled out there, by kind or by one word of the filter.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/kdbus/bloom.h"
#include "shim/kdbus/kdbus-abi.h"

/* KMATCH_ITEMS - what a command that adds a match may have, for ARGS() */
#define KMATCH_ITEMS                                                                               \
        {.type = KDBUS_ITEM_BLOOM_MASK, .multiple = true},                                         \
        {.type = KDBUS_ITEM_NAME, .multiple = true},                                               \
        {.type = KDBUS_ITEM_ID, .multiple = true},                                                 \
        {.type = KDBUS_ITEM_DST_ID, .multiple = true},                                             \
        {.type = KDBUS_ITEM_NAME_ADD, .multiple = true},                                           \
        {.type = KDBUS_ITEM_NAME_REMOVE, .multiple = true},                                        \
        {.type = KDBUS_ITEM_NAME_CHANGE, .multiple = true},                                        \
        {.type = KDBUS_ITEM_ID_ADD, .multiple = true},                                             \
        {.type = KDBUS_ITEM_ID_REMOVE, .multiple = true}

struct kconn;

struct kmatch_entry;
struct kmatch_glance;

struct kmatch_db {
        struct kmatch_entry **entries; /* in the order they came */
        struct kmatch_glance *glances; /* one for each */
        size_t n_entries, n_room;
};

/* what is matched: a user message, or a notification */
struct kmatch_subject {
        const struct kconn *src; /* NULL: a notification, or someone who is not on kdbus */
        bool (*holds)(void *data, const char *name); /* whether such a one has a name */
        void *holds_data;
        uint64_t src_id, dst_id;
        const struct kdbus_bloom_filter *filter; /* user messages; may be NULL */
        const struct kdbus_item *notification;
};

void kmatch_init(struct kmatch_db *db);
void kmatch_deinit(struct kmatch_db *db);
int kmatch_add(struct kmatch_db *db, const struct bloom_params *bloom, uint64_t cookie,
               bool replace, struct kdbus_item *items, size_t n_items);
int kmatch_remove(struct kmatch_db *db, uint64_t cookie);
bool kmatch_passes(const struct kmatch_db *db, const struct bloom_params *bloom,
                   const struct kmatch_subject *subject);
