/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * SipHash
 *
 * What it is     Aumasson and Bernstein's keyed hash, "SipHash: a fast short-input PRF" (2012).
 *                2-4 is the one that protocols name; 1-3 serves hash tables, where nobody sees
 *                the value.
 */

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t sip_rotate(uint64_t x, unsigned int bits)
{
        return x << bits | x >> (64 - bits);
}

static inline void sip_rounds(uint64_t v[4], unsigned int n)
{
        while (n--) {
                v[0] += v[1];
                v[1] = sip_rotate(v[1], 13) ^ v[0];
                v[0] = sip_rotate(v[0], 32);
                v[2] += v[3];
                v[3] = sip_rotate(v[3], 16) ^ v[2];
                v[0] += v[3];
                v[3] = sip_rotate(v[3], 21) ^ v[0];
                v[2] += v[1];
                v[1] = sip_rotate(v[1], 17) ^ v[2];
                v[2] = sip_rotate(v[2], 32);
        }
}

static inline void sip_word(uint64_t v[4], uint64_t word, unsigned int rounds)
{
        v[3] ^= word;
        sip_rounds(v, rounds);
        v[0] ^= word;
}

/**
 * siphash() - the hash of @n bytes at @data
 * @key:        two words, the first eight bytes of a key of sixteen being the first, little-endian
 * @rounds:     for each word; 1 or 2
 * @last:       at the end; 3 or 4
 */
static inline uint64_t siphash(const uint64_t key[2], const void *data, size_t n,
                               unsigned int rounds, unsigned int last)
{
        uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                          key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };
        uint64_t word, tail = (uint64_t)n << 56;
        const uint8_t *p = data;
        size_t left;

        for (left = n; left >= sizeof(word); left -= sizeof(word), p += sizeof(word)) {
                memcpy(&word, p, sizeof(word));
                sip_word(v, le64toh(word), rounds);
        }
        while (left--)
                tail |= (uint64_t)p[left] << (8 * left);
        sip_word(v, tail, rounds);
        v[2] ^= 0xff;
        sip_rounds(v, last);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}
