/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Decimal: a number as text, where printf() would cost more than all around it. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DECIMAL_MAX 21 /* bytes of the longest, its NUL among them */

/* decimal() - write @n and a NUL to @to; returns the number of digits */
static inline size_t decimal(char *to, uint64_t n)
{
        char digits[DECIMAL_MAX];
        size_t at = sizeof(digits);

        do {
                digits[--at] = '0' + n % 10;
                n /= 10;
        } while (n);
        memcpy(to, digits + at, sizeof(digits) - at);
        to[sizeof(digits) - at] = 0;
        return sizeof(digits) - at;
}
