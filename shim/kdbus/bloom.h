/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bloom
 *
 * What it is     Two uses of one bit field. The bus compares: a signal passes a match if every bit
 *                of the match's mask is set in the signal's filter. D-Bus programs over kdbus also
 *                agree on how strings become bits; the bridge needs that to speak for D-Bus peers.
 * How            A string is hashed with SipHash-2-4 under eight fixed keys in turn; the bytes of
 *                the results, most significant first, are cut into as many indices as the bus has
 *                hash functions.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bloom_params {
        uint64_t size;   /* bytes, a multiple of 8 */
        uint64_t n_hash;
};

bool bloom_params_valid(const struct bloom_params *p);
bool bloom_params_hashable(const struct bloom_params *p);

bool bloom_mask_passes(const struct bloom_params *p, uint64_t generation, const uint64_t *filter,
                       const uint64_t *masks, size_t n_masks_size);

void bloom_add(const struct bloom_params *p, uint64_t *bits, const void *data, size_t n_data);
void bloom_add_pair(const struct bloom_params *p, uint64_t *bits, const char *key, const char *value);
void bloom_add_prefixes(const struct bloom_params *p, uint64_t *bits, const char *key,
                        const char *value, char separator);

uint64_t bloom_siphash24(const uint8_t key[16], const void *data, size_t n_data);
