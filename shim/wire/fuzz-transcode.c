/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Fuzz target: a version 2 message, and a D-Bus message. What is accepted of either comes back the
 * same from the other.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shim/wire/body.h"
#include "shim/wire/transcode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int to_v2(struct gvariant_buf *out, const uint8_t *msg, size_t n, enum transcode_style style)
{
        uint32_t head, total;
        struct header h;

        if (n < HEADER_FIXED || header_frame(msg, 1 << 20, &head, &total) || total != n ||
            header_parse(&h, msg, n) || h.type > HEADER_SIGNAL)
                return -1;
        if (body_validate(header_text(msg, h.signature), h.signature.len, h.swap, msg + h.size,
                          h.body_size, NULL))
                return -1;
        return transcode_to_v2(out, &h, msg, msg + h.size, style, false);
}

/* @msg: D-Bus; there and back, twice, settles */
static void round_trip(const uint8_t *msg, size_t n, enum transcode_style style)
{
        struct gvariant_buf a = GVARIANT_BUF_NULL, b = GVARIANT_BUF_NULL, c = GVARIANT_BUF_NULL;
        struct transcode_info info;

        if (!to_v2(&a, msg, n, style) && !transcode_from_v2(&b, &info, a.data, a.n, NULL, NULL)) {
                assert(!to_v2(&c, b.data, b.n, info.style));
                assert(info.style != style || (a.n == c.n && !memcmp(a.data, c.data, a.n)));
        }
        gvariant_buf_deinit(&a);
        gvariant_buf_deinit(&b);
        gvariant_buf_deinit(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        struct gvariant_buf out = GVARIANT_BUF_NULL;
        struct transcode_info info;
        uint8_t *copy = malloc(n ? n : 1); /* aligned, and with an end that sanitizers know */

        if (!copy)
                return 0;
        memcpy(copy, data, n);
        if (!transcode_from_v2(&out, &info, copy, n, NULL, NULL))
                round_trip(out.data, out.n, info.style);
        round_trip(copy, n, TRANSCODE_PARENTHESES);
        gvariant_buf_deinit(&out);
        free(copy);
        return 0;
}
