/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdlib.h>

#include "bus-core/core.h"
#include "shim/daemon/pick.h"

static int by_address(const void *a, const void *b)
{
        const struct pick *x = a, *y = b;

        return (uintptr_t)x->who < (uintptr_t)y->who ? -1 : (uintptr_t)x->who > (uintptr_t)y->who;
}

static int by_weight(const void *a, const void *b)
{
        const struct pick *x = *(struct pick *const *)a, *y = *(struct pick *const *)b;

        return x->weight > y->weight ? -1 : x->weight < y->weight;
}

static struct pick *find(struct pick *list, size_t n, const void *who)
{
        const struct pick key = { .who = who };

        return bsearch(&key, list, n, sizeof(*list), by_address);
}

/* One with its company: those of its partners that are here and stay as yet. */
struct group {
        struct pick *members[1 + PICK_PARTNERS];
        size_t n;
        uint64_t weight;
};

static void group_add(struct group *g, struct pick *p)
{
        for (size_t i = 0; i < g->n; i++)
                if (g->members[i] == p)
                        return;
        g->members[g->n++] = p;
        g->weight += p->weight;
}

static struct group group_of(struct pick *list, size_t n, struct pick *p, bool alone)
{
        struct group g = {};
        struct pick *partner;

        group_add(&g, p);
        for (size_t i = 0; i < p->n_partners && !alone; i++) {
                partner = find(list, n, p->partners[i]);
                if (partner && !partner->goes)
                        group_add(&g, partner);
        }
        return g;
}

static void pick_round(struct pick *list, struct pick **sorted, size_t n, bool alone, uint64_t max,
                       uint64_t *left, uint64_t *sum)
{
        struct group g;

        for (size_t i = 0; i < n && *left && sorted[i]->weight; i++) {
                if (sorted[i]->goes)
                        continue;
                g = group_of(list, n, sorted[i], alone);
                if (*sum + g.weight > max)
                        continue;
                for (size_t k = 0; k < g.n; k++)
                        g.members[k]->goes = true;
                *sum += g.weight;
                *left -= MIN(*left, g.weight);
        }
}

int64_t pick_some(struct pick *list, size_t n, uint64_t wanted)
{
        uint64_t left = wanted, sum = 0, max = wanted + wanted / 2;
        struct pick **sorted;

        if (!n)
                return 0;
        sorted = calloc(n, sizeof(*sorted));
        if (!sorted)
                return error_origin(-ENOMEM);
        qsort(list, n, sizeof(*list), by_address);
        for (size_t i = 0; i < n; i++)
                sorted[i] = &list[i];
        qsort(sorted, n, sizeof(*sorted), by_weight);
        pick_round(list, sorted, n, false, max, &left, &sum);
        if (left > wanted / 2)
                pick_round(list, sorted, n, true, max, &left, &sum);
        free(sorted);
        return sum;
}
