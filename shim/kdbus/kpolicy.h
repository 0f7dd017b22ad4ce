/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kdbus policy
 *
 * What it is     Who may see, talk to or own a name: one table per bus, filled by policy holders
 *                and activators, and one per custom endpoint, filled by the endpoint's owner.
 * Promise        Replacing an owner's entries either happens whole or not at all.
 * How            An entry is a name, or a prefix standing for one more element ("a.b.*"), and the
 *                accesses granted on it. A query takes the exact entry, else the prefix, else
 *                denies. OWN implies TALK, TALK implies SEE.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "shim/kdbus/kdbus-abi.h"

struct kmeta;
struct kmeta_view;
struct kpolicy_entry;

struct kpolicy {
        struct kpolicy_entry *entries; /* by name */
};

void kpolicy_deinit(struct kpolicy *p);
int kpolicy_set(struct kpolicy *p, const void *owner, struct kdbus_item *items, size_t n_items,
                size_t max_names, bool wildcards, const struct kmeta_view *view);
void kpolicy_drop(struct kpolicy *p, const void *owner);
int kpolicy_query(const struct kpolicy *p, const char *name, const struct kmeta *creds);
