/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Bytes: see bytes.h.
 *
 * ascii_run() walks over 7-bit characters other than NUL, in the widest steps the machine has; what
 * stops it is decoded one character at a time.
 */

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "shim/wire/bytes.h"
#include "shim/wire/error.h"

#define ONES ((uint64_t)0x0101010101010101)
#define TOPS (ONES << 7)

/* word_ascii() - does a word hold eight bytes of 0x01..0x7f? */
static inline bool word_ascii(uint64_t w)
{
        return !((w | (w - ONES)) & TOPS);
}

#ifdef __SSE2__
static inline __m128i block_ascii(const uint8_t *s)
{
        return _mm_cmpgt_epi8(_mm_loadu_si128((const __m128i *)s), _mm_setzero_si128());
}

static size_t ascii_blocks(const uint8_t *s, size_t n)
{
        size_t i = 0;

        for (; i + 64 <= n; i += 64) {
                __m128i a = _mm_and_si128(block_ascii(s + i), block_ascii(s + i + 16));
                __m128i b = _mm_and_si128(block_ascii(s + i + 32), block_ascii(s + i + 48));

                if (_mm_movemask_epi8(_mm_and_si128(a, b)) != 0xffff)
                        break;
        }
        for (; i + 16 <= n; i += 16)
                if (_mm_movemask_epi8(block_ascii(s + i)) != 0xffff)
                        break;
        return i;
}
#else
static size_t ascii_blocks(const uint8_t *s, size_t n)
{
        return 0;
}
#endif

/* ascii_run() - how many leading bytes are ASCII other than NUL */
static inline size_t ascii_run(const uint8_t *s, size_t n)
{
        size_t i = n >= 16 ? ascii_blocks(s, n) : 0;

        while (i + 8 <= n && word_ascii(bytes_load64(s + i, false)))
                i += 8;
        if (n >= 8 && n - i < 8 && word_ascii(bytes_load64(s + n - 8, false)))
                return n;
        while (i < n && s[i] - 1U < 0x7f)
                i++;
        return i;
}

/* sequence() - length of the multi-byte character at @s, 0 if there is none */
static size_t sequence(const uint8_t *s, size_t n)
{
        uint8_t low = 0x80, high = 0xbf; /* what the second byte may be */
        size_t len;

        if (s[0] >= 0xc2 && s[0] <= 0xdf)
                len = 2;
        else if (s[0] >= 0xe0 && s[0] <= 0xef)
                len = 3;
        else if (s[0] >= 0xf0 && s[0] <= 0xf4)
                len = 4;
        else
                return 0;

        if (s[0] == 0xe0)
                low = 0xa0; /* shorter forms exist */
        else if (s[0] == 0xed)
                high = 0x9f; /* surrogates */
        else if (s[0] == 0xf0)
                low = 0x90;
        else if (s[0] == 0xf4)
                high = 0x8f; /* above U+10FFFF */

        if (n < len || s[1] < low || s[1] > high)
                return 0;
        for (size_t i = 2; i < len; i++)
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        return len;
}

int bytes_text(const uint8_t *s, size_t n)
{
        size_t i = ascii_run(s, n);

        while (i < n) {
                size_t len;

                if (!s[i])
                        return WIRE_E_NUL;
                len = sequence(s + i, n - i);
                if (!len)
                        return WIRE_E_UTF8;
                i += len;
                if (i < n && s[i] - 1U < 0x7f)
                        i += ascii_run(s + i, n - i);
        }
        return 0;
}
