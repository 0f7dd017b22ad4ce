/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fuzz target: what is a header still is one, and the same, after it was stamped. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shim/wire/header.h"
#include "shim/wire/type.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        struct header before, after, again;
        uint32_t header, total;
        uint8_t *out;
        size_t size;

        if (n < HEADER_FIXED || header_frame(data, TYPE_MESSAGE_MAX, &header, &total) ||
            header_parse(&before, data, n))
                return 0;
        assert(before.size == header && before.size + before.body_size == total);
        out = malloc(header_stamp_size(&before, 4, 2));
        if (!out)
                return 0;
        after = before;
        size = header_stamp(out, &after, data, ":1.2", 4, "/c", 2);
        assert(size == after.size && size <= header_stamp_size(&before, 4, 2));
        assert(!header_parse(&again, out, size));
        again.unfiltered = false;
        assert(!memcmp(&again, &after, sizeof(again)));
        assert(before.member.len == after.member.len && before.n_fds == after.n_fds);
        free(out);
        return 0;
}
