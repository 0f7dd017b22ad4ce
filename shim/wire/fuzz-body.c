/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Fuzz target: one byte says whether to swap, then a signature as marshalled, then the body. A body
 * that is accepted can be read from end to end.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shim/wire/body.h"
#include "shim/wire/reader.h"
#include "shim/wire/type.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void read_all(struct reader *r, size_t n)
{
        char c;

        for (;;) {
                c = reader_peek(r);
                if (!c && !r->depth)
                        break;
                if (!c)
                        assert(!reader_leave(r));
                else if (strchr("a({v", c) && r->depth < TYPE_DEPTH_MAX)
                        assert(!reader_enter(r, c));
                else
                        assert(!reader_skip(r));
        }
        assert(r->pos == n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        const char *sig = (const char *)data + 2;
        struct body_args args;
        struct reader r;
        size_t len;
        uint8_t *body;
        int e;

        if (n < 2 || (len = data[1]) > n - 2 || signature_validate(sig, len))
                return 0;
        n -= 2 + len;
        body = malloc(n ? n : 1); /* of its own, for alignment counts from its start */
        if (!body)
                return 0;
        memcpy(body, sig + len, n);
        e = body_validate(sig, len, data[0] & 1, body, n, NULL);
        assert(e == body_validate(sig, len, data[0] & 1, body, n, &args));
        for (unsigned i = 0; !e && i < args.n; i++)
                assert(!args.arg[i].off || !body[args.arg[i].off + args.arg[i].len]);
        if (!e) {
                reader_init(&r, sig, len, data[0] & 1, body, n);
                read_all(&r, n);
        }
        free(body);
        return 0;
}
