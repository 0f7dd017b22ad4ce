/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Transcode kit
 *
 * What it is     Random D-Bus bodies for tests: any signature, any values, in either byte order.
 *                The same seed gives the same values in both.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct random_body {
        char sig[256];
        size_t siglen;
        uint8_t *data;
        size_t n;
};

/* random_body() - caller frees @data */
void random_body(struct random_body *out, unsigned seed, bool swap);
