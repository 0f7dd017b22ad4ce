/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "tools/latency.h"

#define SUB_BITS 3 /* eight buckets per power of two */
#define FIRST_SLOT_NS 1000000U

static unsigned int bucket_of(uint64_t v)
{
        unsigned int top;

        if (v < (1U << SUB_BITS))
                return (unsigned int)v;
        top = 63 - (unsigned int)__builtin_clzll(v);
        return MIN((top - SUB_BITS + 1) << SUB_BITS | ((v >> (top - SUB_BITS)) & 7),
                   LATENCY_BUCKETS - 1U);
}

/* the middle of a bucket */
static uint64_t bucket_value(unsigned int b)
{
        unsigned int shift = b >> SUB_BITS;

        if (!shift)
                return b;
        return ((UINT64_C(8) | (b & 7)) << (shift - 1)) + ((UINT64_C(1) << (shift - 1)) >> 1);
}

void histogram_add(struct histogram *h, uint64_t ns)
{
        h->n++;
        h->buckets[bucket_of(ns >> 6)]++; /* 64 ns is as fine as it gets */
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
        uint64_t wanted = (uint64_t)((double)h->n * q), seen = 0;

        if (!h->n)
                return 0;
        wanted = MIN(wanted, h->n - 1);
        for (unsigned int b = 0; b < LATENCY_BUCKETS; b++) {
                seen += h->buckets[b];
                if (seen > wanted)
                        return bucket_value(b) << 6;
        }
        return 0;
}

static int new_method(struct latency *l, const char *name, uint32_t *out)
{
        struct latency_method *m, **p;

        p = realloc(l->methods, (l->n_methods + 1) * sizeof(*p));
        if (!p)
                return error_origin(-ENOMEM);
        l->methods = p;
        m = calloc(1, sizeof(*m));
        if (!m)
                return error_origin(-ENOMEM);
        m->name = strdup(name);
        if (!m->name) {
                free(m);
                return error_origin(-ENOMEM);
        }
        m->id = l->n_methods;
        l->methods[l->n_methods++] = m;
        HASH_ADD_KEYPTR(hh, l->by_name, m->name, strlen(m->name), m);
        *out = m->id;
        return 0;
}

int latency_method(struct latency *l, const char *interface, const char *member, uint32_t *out)
{
        struct latency_method *m;
        char name[600];

        snprintf(name, sizeof(name), "%s%s%s", interface ? interface : "", interface ? "." : "",
                 member ? member : "");
        HASH_FIND_STR(l->by_name, name, m);
        if (!m && l->n_methods >= LATENCY_METHODS_MAX) {
                snprintf(name, sizeof(name), "(others)");
                HASH_FIND_STR(l->by_name, name, m);
        }
        if (!m)
                return error_fold(new_method(l, name, out));
        *out = m->id;
        return 0;
}

static void halve_slots(struct latency *l)
{
        for (unsigned int i = 0; i < LATENCY_RATE_SLOTS / 2; i++)
                l->slots[i] = l->slots[2 * i] + l->slots[2 * i + 1];
        memset(l->slots + LATENCY_RATE_SLOTS / 2, 0, sizeof(l->slots) / 2);
        l->slot_ns *= 2;
        l->n_slots = (l->n_slots + 1) / 2;
}

void latency_delivered(struct latency *l, uint64_t since_start_ns)
{
        uint64_t slot;

        if (!l->slot_ns)
                l->slot_ns = FIRST_SLOT_NS;
        while ((slot = since_start_ns / l->slot_ns) >= LATENCY_RATE_SLOTS)
                halve_slots(l);
        l->slots[slot]++;
        l->n_slots = MAX(l->n_slots, (uint32_t)slot + 1);
}

void latency_deinit(struct latency *l)
{
        HASH_CLEAR(hh, l->by_name);
        for (uint32_t i = 0; i < l->n_methods; i++) {
                free(l->methods[i]->name);
                free(l->methods[i]);
        }
        free(l->methods);
        *l = (struct latency){ 0 };
}
