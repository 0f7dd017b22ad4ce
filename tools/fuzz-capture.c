/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fuzz target: any bytes as a recording, read, described and rewritten as replay and compare do */

#include "config.h"

#include "tools/recording.h"
#include "tools/rewrite.h"
#include "tools/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *other_name(void *context, const char *name, size_t n)
{
        return n & 1 ? ":1.12345" : NULL;
}

static void use(struct buf *out, const struct recorded_message *m, unsigned int i)
{
        const struct rewrite how = {
                .name = other_name,
                .drop_sender = i & 1,
                .sort = i & 2,
                .blank = (enum rewrite_blank)(i / 4 % 5),
        };
        struct header again;

        if (!rewrite_message(out, m->data, &m->h, &how) &&
            header_parse(&again, buf_head(out), buf_n(out)))
                __builtin_trap(); /* a valid message must stay one */
        buf_reset(out);
        if (m->h.body_size)
                value_describe(out, header_text(m->data, m->h.signature), m->h.signature.len,
                               m->h.swap, m->data + m->h.size, m->h.body_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        FILE *file = n ? fmemopen((void *)data, n, "r") : NULL;
        struct recording rec = { 0 };
        struct recorded_message m;
        struct buf out = BUF_NULL;
        unsigned int i = 0;

        if (!file)
                return 0;
        if (!recording_open(&rec, "fuzz", file))
                while (!recording_next(&rec, &m))
                        use(&out, &m, i++);
        recording_close(&rec);
        buf_deinit(&out);
        return 0;
}
