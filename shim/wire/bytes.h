/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bytes
 *
 * What it is     Unaligned loads and stores in either byte order, and the question asked of most
 *                bytes on the hot path: is this text?
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* bytes_native() - the byte order mark of this machine */
static inline char bytes_native(void)
{
        return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 'l' : 'B';
}

#define BYTES_LOAD_STORE_(bits)                                                                    \
        static inline uint##bits##_t bytes_load##bits(const uint8_t *p, bool swap)                 \
        {                                                                                          \
                uint##bits##_t v;                                                                  \
                                                                                                   \
                memcpy(&v, p, sizeof(v));                                                          \
                return swap ? __builtin_bswap##bits(v) : v;                                        \
        }                                                                                          \
                                                                                                   \
        static inline void bytes_store##bits(uint8_t *p, uint##bits##_t v, bool swap)              \
        {                                                                                          \
                v = swap ? __builtin_bswap##bits(v) : v;                                           \
                memcpy(p, &v, sizeof(v));                                                          \
        }
BYTES_LOAD_STORE_(16)
BYTES_LOAD_STORE_(32)
BYTES_LOAD_STORE_(64)
#undef BYTES_LOAD_STORE_

/* bytes_hex_digit() - what a hex digit stands for, -1 for other characters */
static inline int bytes_hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

/**
 * bytes_text() - check the contents of a D-Bus string
 * @s:          the bytes, without the terminating NUL
 * @n:          how many
 *
 * ASCII runs at memory speed. Overlong forms, surrogates and code points above U+10FFFF are
 * refused; noncharacters such as U+FFFE are text.
 *
 * Return: 0, WIRE_E_UTF8, or WIRE_E_NUL.
 */
int bytes_text(const uint8_t *s, size_t n);
