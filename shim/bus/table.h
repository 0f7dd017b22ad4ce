/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Table
 *
 * What it is     An intrusive hash table, and the keyed hash of the texts that clients choose.
 * Promise        1. Adding, removing and finding cost O(1); adding and removing cannot fail.
 *                2. Nobody who does not know this process's key can choose texts that collide:
 *                   the hash is SipHash-1-3 under a key that is drawn at program start.
 * How            Chains of nodes that live inside the elements. The table doubles when it holds
 *                more elements than chains; if memory for that is short, it stays as it is and
 *                tries again at the next addition. It finds nodes by their full 64-bit hash: the
 *                caller compares the elements behind them.
 * Not promised   An order. A table does not move in memory while it is in use.
 * Guard          The caller's: any number of readers, or one writer.
 */

#include <stddef.h>
#include <stdint.h>
#include <urcu/hlist.h>

#define TABLE_FIRST 8 /* chains of a small table, kept in the table itself; a power of two */

struct table_node {
        struct cds_hlist_node chain; /* chain.prev is NULL while in no table */
        uint64_t hash;
};

struct table {
        struct cds_hlist_head *chains; /* @first, or allocated */
        size_t mask;                   /* number of chains, less one */
        size_t n;                      /* nodes held */
        struct cds_hlist_head first[TABLE_FIRST];
};

/* table_hash() - the keyed hash of @n bytes; the same for the life of the process only */
uint64_t table_hash(const void *data, size_t n);

/* table_hash_pair() - the hash of a relation, by the addresses of the two it joins */
uint64_t table_hash_pair(const void *a, const void *b);

/* table_hash_numbers() - the same for two numbers */
uint64_t table_hash_numbers(uint64_t a, uint64_t b);

void table_init(struct table *table);

/* table_deinit() - forget all nodes, which the caller still owns; @table may be NULL or zero */
void table_deinit(struct table *table);

/* table_add() - put @node, in no table, under @hash; it may have equals */
void table_add(struct table *table, struct table_node *node, uint64_t hash);

/* table_remove() - take @node out; does nothing to a zeroed node or one that is out already */
void table_remove(struct table *table, struct table_node *node);

/* table_same() - @node or the first behind it with @hash, or NULL */
static inline struct table_node *table_same(struct cds_hlist_node *node, uint64_t hash)
{
        for (; node; node = node->next) {
                struct table_node *found = caa_container_of(node, struct table_node, chain);

                if (found->hash == hash)
                        return found;
        }
        return NULL;
}

/* table_find() - the first node under @hash, or NULL */
static inline struct table_node *table_find(const struct table *table, uint64_t hash)
{
        return table_same(table->chains[hash & table->mask].next, hash);
}

/* table_next() - the next node under the same hash, or NULL */
static inline struct table_node *table_next(const struct table_node *node)
{
        return table_same(node->chain.next, node->hash);
}

/* table_for_each_same() - visit all nodes under @hash; @node may not be removed meanwhile */
#define table_for_each_same(node, table, hash)                                                     \
        for ((node) = table_find((table), (hash)); (node); (node) = table_next(node))
