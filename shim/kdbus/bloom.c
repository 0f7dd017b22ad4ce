/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/siphash.h"
#include "shim/kdbus/bloom.h"
#include "shim/kdbus/limits.h"

/* the keys that all D-Bus programs over kdbus agree on */
static const uint8_t bloom_keys[8][16] = {
        {0xb9, 0x66, 0x0b, 0xf0, 0x46, 0x70, 0x47, 0xc1, 0x88, 0x75, 0xc4, 0x9c, 0x54, 0xb9, 0xbd, 0x15},
        {0xaa, 0xa1, 0x54, 0xa2, 0xe0, 0x71, 0x4b, 0x39, 0xbf, 0xe1, 0xdd, 0x2e, 0x9f, 0xc5, 0x4a, 0x3b},
        {0x63, 0xfd, 0xae, 0xbe, 0xcd, 0x82, 0x48, 0x12, 0xa1, 0x6e, 0x41, 0x26, 0xcb, 0xfa, 0xa0, 0xc8},
        {0x23, 0xbe, 0x45, 0x29, 0x32, 0xd2, 0x46, 0x2d, 0x82, 0x03, 0x52, 0x28, 0xfe, 0x37, 0x17, 0xf5},
        {0x56, 0x3b, 0xbf, 0xee, 0x5a, 0x4f, 0x43, 0x39, 0xaf, 0xaa, 0x94, 0x08, 0xdf, 0xf0, 0xfc, 0x10},
        {0x31, 0x80, 0xc8, 0x73, 0xc7, 0xea, 0x46, 0xd3, 0xaa, 0x25, 0x75, 0x0f, 0x9e, 0x4c, 0x09, 0x29},
        {0x7d, 0xf7, 0x18, 0x4b, 0x7b, 0xa4, 0x44, 0xd5, 0x85, 0x3c, 0x06, 0xe0, 0x65, 0x53, 0x96, 0x6d},
        {0xf2, 0x77, 0xe9, 0x6f, 0x93, 0xb5, 0x4e, 0x71, 0x9a, 0x0c, 0x34, 0x88, 0x39, 0x25, 0xbf, 0x35},
};

/**
 * bloom_siphash24() - SipHash-2-4 as its paper defines it
 */
uint64_t bloom_siphash24(const uint8_t key[16], const void *data, size_t n_data)
{
        uint64_t k[2];

        memcpy(k, key, sizeof(k));
        k[0] = le64toh(k[0]);
        k[1] = le64toh(k[1]);
        return siphash(k, data, n_data, 2, 4);
}

bool bloom_params_valid(const struct bloom_params *p)
{
        return p->size >= KD_BLOOM_SIZE_MIN && p->size <= KD_BLOOM_SIZE_MAX && p->size % 8 == 0 &&
               p->n_hash >= 1;
}

/* bytes that one index into the bit field consumes */
static unsigned index_width(const struct bloom_params *p)
{
        unsigned bits = 0;

        while ((1ULL << bits) < p->size * 8)
                bits++;
        return (bits + 7) / 8;
}

/**
 * bloom_params_hashable() - whether the agreed keys reach far enough for these parameters
 */
bool bloom_params_hashable(const struct bloom_params *p)
{
        return bloom_params_valid(p) && p->n_hash <= 32 && index_width(p) * p->n_hash <= 64;
}

/**
 * bloom_mask_passes() - whether a filter has all bits of a mask
 * @masks:      one mask per generation, p->size bytes each
 *
 * A filter of a later generation than the last mask is compared with the last.
 */
bool bloom_mask_passes(const struct bloom_params *p, uint64_t generation, const uint64_t *filter,
                       const uint64_t *masks, size_t masks_size)
{
        size_t words = p->size / 8, n_masks = masks_size / p->size;

        masks += words * MIN(generation, (uint64_t)n_masks - 1);
        for (size_t i = 0; i < words; i++)
                if ((filter[i] & masks[i]) != masks[i])
                        return false;
        return true;
}

/**
 * bloom_add() - set the bits of a string
 * @p:          bloom_params_hashable()
 */
void bloom_add(const struct bloom_params *p, uint64_t *bits, const void *data, size_t n_data)
{
        unsigned width = index_width(p), have = 0, key = 0;
        uint64_t hash = 0, mask = p->size * 8 - 1;

        for (uint64_t i = 0; i < p->n_hash; i++) {
                uint64_t index = 0;

                for (unsigned d = 0; d < width; d++) {
                        if (!have) {
                                hash = bloom_siphash24(bloom_keys[key++], data, n_data);
                                have = 8;
                        }
                        /* the little-endian output, byte by byte */
                        index = index << 8 | ((hash >> (8 * (8 - have))) & 0xff);
                        have--;
                }
                index &= mask;
                bits[index / 64] |= 1ULL << (index % 64);
        }
}

static void add_pair_n(const struct bloom_params *p, uint64_t *bits, const char *key,
                       const char *value, size_t n_value)
{
        _cleanup_(freep) char *heap = NULL;
        char stack[512];
        size_t n_key = strlen(key);
        char *s = stack;

        if (n_key + 1 + n_value > sizeof(stack)) {
                s = heap = malloc(n_key + 1 + n_value);
                if (!heap) {
                        memset(bits, 0xff, p->size); /* out of memory: too much, never too little */
                        return;
                }
        }
        memcpy(s, key, n_key);
        s[n_key] = ':';
        memcpy(s + n_key + 1, value, n_value);
        bloom_add(p, bits, s, n_key + 1 + n_value);
}

/**
 * bloom_add_pair() - set the bits of "key:value"
 */
void bloom_add_pair(const struct bloom_params *p, uint64_t *bits, const char *key, const char *value)
{
        add_pair_n(p, bits, key, value, strlen(value));
}

/**
 * bloom_add_prefixes() - set the bits of a value and of all its prefixes at a separator
 *
 * Each prefix counts with and without the separator, the whole value first: "/a/b" gives "/a/b",
 * "/a/", "/a", "/".
 */
void bloom_add_prefixes(const struct bloom_params *p, uint64_t *bits, const char *key,
                        const char *value, char separator)
{
        size_t n = strlen(value);

        add_pair_n(p, bits, key, value, n);
        for (;;) {
                const char *at = memrchr(value, separator, n);

                if (!at)
                        return;
                n = at - value;
                add_pair_n(p, bits, key, value, n + 1);
                if (n == 0)
                        return;
                add_pair_n(p, bits, key, value, n);
        }
}
