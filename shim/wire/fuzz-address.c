/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fuzz target: values of an address survive being escaped and read again. */

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shim/wire/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_escape(const char *value)
{
        char text[8 + 3 * 256] = "t:k=", back[256];
        const char *at = text;
        struct address a;
        size_t n = address_escape(text + 4, sizeof(text) - 4, value, strlen(value));

        assert(n < sizeof(text) - 4);
        assert(!address_next(&a, &at) && !*at && address_is(&a, "t"));
        assert(!address_value(&a, "k", back, sizeof(back)) && !strcmp(back, value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static const char *const keys[] = {"path", "host", "guid"};
        char *text = strndup((const char *)data, n), value[256];
        const char *at = text;
        struct address a;

        while (text && *at && !address_next(&a, &at))
                for (size_t i = 0; i < 3; i++)
                        if (!address_value(&a, keys[i], value, sizeof(value)))
                                check_escape(value);
        free(text);
        return 0;
}
