/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Item
 *
 * What it is     The typed records that follow every kdbus structure: walked, checked, written.
 * Promise        item_next() never leaves the given bytes, and an item it returned has passed
 *                item_check(): the payload of its type may be read without another look.
 * How            Items start at multiples of 8; the last one need not be padded.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/kdbus/kdbus-abi.h"

#define ITEM_HEADER         offsetof(struct kdbus_item, data)
#define ITEM_SIZE(payload)  (ITEM_HEADER + (payload))
#define ITEM_ALIGN(n)       (((n) + 7) & ~(uint64_t)7)
#define ITEM_PAYLOAD(item)  ((item)->size - ITEM_HEADER)

struct item_walk {
        uint8_t *at;
        uint8_t *end; /* unpadded */
};

int item_check(const struct kdbus_item *item);
void item_walk_init(struct item_walk *w, void *items, size_t size);
int item_next(struct item_walk *w, struct kdbus_item **itemp);

bool item_node_name_valid(const char *name, size_t max, int *errp);
bool item_bus_name_valid(const char *name, bool wildcard);

void *item_put(void *at, uint64_t type, const void *payload, size_t n_payload);
