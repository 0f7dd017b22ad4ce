/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Latencies
 *
 * What it is     How long messages took, per method, in histograms of fixed size; and how many
 *                were delivered, over time.
 * How            A bucket is an eighth of a power of two wide, so that a quantile is right to within
 *                12 %, from a microsecond to hours. Methods beyond LATENCY_METHODS_MAX share one row.
 */

#include <stdint.h>
#include <uthash.h>

#define LATENCY_METHODS_MAX 2048U
#define LATENCY_BUCKETS 256U
#define LATENCY_RATE_SLOTS 256U

struct histogram {
        uint64_t n;
        uint32_t buckets[LATENCY_BUCKETS];
};

struct latency_method {
        char *name;
        uint32_t id;
        struct histogram there; /* from sending a call until its receiver has it */
        struct histogram round; /* until the caller has the reply */
        UT_hash_handle hh;
};

struct latency {
        struct latency_method **methods;
        struct latency_method *by_name;
        uint32_t n_methods;
        struct histogram all_there, all_round;
        uint64_t slot_ns;  /* width of a slot; doubles when the slots are used up */
        uint32_t slots[LATENCY_RATE_SLOTS]; /* messages received in each */
        uint32_t n_slots;
};

void histogram_add(struct histogram *h, uint64_t ns);

/* histogram_quantile() - in nanoseconds; @q from 0 to 1; 0 if there is nothing in it */
uint64_t histogram_quantile(const struct histogram *h, double q);

/* latency_method() - the id of a method; @interface may be NULL */
int latency_method(struct latency *l, const char *interface, const char *member, uint32_t *out);

/* latency_delivered() - count a message for the rate over time */
void latency_delivered(struct latency *l, uint64_t since_start_ns);
void latency_deinit(struct latency *l);
