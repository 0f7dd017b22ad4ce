/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kdbus match
 *
 * What it is     What a connection wants to hear of broadcasts, signals and notifications.
 * How            An entry is a set of conditions that must all hold; entries are alternatives.
 *                Conditions on user messages and on notifications never hold together.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu/list.h>

#include "shim/kdbus/bloom.h"
#include "shim/kdbus/kdbus-abi.h"

struct kconn;

struct kmatch_db {
        struct cds_list_head entries;
        size_t n_entries;
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
