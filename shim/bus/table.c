/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

#include "bus-core/util/cache.h"
#include "bus-core/util/siphash.h"
#include "shim/bus/table.h"

static uint64_t hash_key[2]; /* drawn before main(), then constant */
static uint64_t number_key[2]; /* odd, made from it */

/* The kernel gives each process sixteen random bytes; they serve if the pool is out of reach. */
static void hash_key_draw(void)
{
        const void *fallback;

        if (getrandom(hash_key, sizeof(hash_key), GRND_NONBLOCK) == (ssize_t)sizeof(hash_key))
                return;
        fallback = (const void *)getauxval(AT_RANDOM);
        if (fallback)
                memcpy(hash_key, fallback, sizeof(hash_key));
}

__attribute__((__constructor__)) static void keys_draw(void)
{
        hash_key_draw();
        for (uint64_t i = 0; i < 2; i++)
                number_key[i] = table_hash(&i, sizeof(i)) | 1;
}

uint64_t table_hash(const void *data, size_t n)
{
        return siphash(hash_key, data, n, 1, 3);
}

uint64_t table_hash_pair(const void *a, const void *b)
{
        const void *pair[] = { a, b };

        return table_hash(pair, sizeof(pair));
}

/* Multiply and shift: whatever two pairs are chosen, for hardly any key they are equal. */
uint64_t table_hash_numbers(uint64_t a, uint64_t b)
{
        return (number_key[0] * a + number_key[1] * b) >> 32;
}

/*
 * Chains come and go with what is in the table: the few of a small one from the thread's cache, in
 * whose classes they fit.
 */
static bool chains_are_cached(size_t n)
{
        return n * sizeof(struct cds_hlist_head) <= 4096;
}

static struct cds_hlist_head *chains_new(size_t n)
{
        struct cds_hlist_head *chains;

        if (!chains_are_cached(n))
                return calloc(n, sizeof(*chains));
        chains = cache_alloc(n * sizeof(*chains));
        if (chains)
                memset(chains, 0, n * sizeof(*chains));
        return chains;
}

static void chains_free(struct table *table, struct cds_hlist_head *chains, size_t n)
{
        if (chains == table->first)
                return;
        if (chains_are_cached(n))
                cache_free(chains);
        else
                free(chains);
}

void table_init(struct table *table)
{
        *table = (struct table){ .mask = TABLE_FIRST - 1 };
        table->chains = table->first;
}

void table_deinit(struct table *table)
{
        if (!table)
                return;
        chains_free(table, table->chains, table->mask + 1);
        table_init(table);
}

static void table_link(struct table *table, struct table_node *node)
{
        cds_hlist_add_head(&node->chain, &table->chains[node->hash & table->mask]);
}

static void table_move_all(struct table *table, struct cds_hlist_head *from, size_t n_from)
{
        struct cds_hlist_node *pos, *next;
        size_t i;

        for (i = 0; i < n_from; i++)
                cds_hlist_for_each_safe(pos, next, &from[i])
                        table_link(table, caa_container_of(pos, struct table_node, chain));
}

/* Failing to resize costs speed, nothing else. */
static void table_resize(struct table *table, size_t n)
{
        struct cds_hlist_head *old = table->chains, *chains;
        size_t n_old = table->mask + 1;

        if (n <= TABLE_FIRST) {
                chains = table->first;
                n = TABLE_FIRST;
                memset(chains, 0, sizeof(table->first));
        } else {
                chains = chains_new(n);
                if (!chains)
                        return;
        }
        table->chains = chains;
        table->mask = n - 1;
        table_move_all(table, old, n_old);
        chains_free(table, old, n_old);
}

void table_add(struct table *table, struct table_node *node, uint64_t hash)
{
        node->hash = hash;
        if (table->n > table->mask)
                table_resize(table, (table->mask + 1) * 2);
        table_link(table, node);
        table->n++;
}

void table_remove(struct table *table, struct table_node *node)
{
        size_t chains = table->mask + 1;

        if (!node->chain.prev)
                return;
        cds_hlist_del(&node->chain);
        node->chain.prev = NULL;
        table->n--;
        if (chains > TABLE_FIRST && table->n < chains / 8)
                table_resize(table, chains / 2);
}
