/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <string.h>

#include "shim/wire/bytes.h"
#include "tools/message.h"
#include "tools/meta.h"
#include "tools/value.h"

int meta_write(struct buf *out, const char *member, const char *const *args)
{
        char signature[META_ARGS_MAX + 1];
        size_t n = 0, base;

        while (args[n] && n < META_ARGS_MAX)
                signature[n++] = 's';
        message_begin(out, bytes_native(), HEADER_SIGNAL, HEADER_NO_REPLY_EXPECTED, 1);
        message_text(out, FIELD_PATH, 'o', META_PATH, strlen(META_PATH));
        message_text(out, FIELD_INTERFACE, 's', META_INTERFACE, strlen(META_INTERFACE));
        message_text(out, FIELD_MEMBER, 's', member, strlen(member));
        message_text(out, FIELD_SENDER, 's', META_SENDER, strlen(META_SENDER));
        message_text(out, FIELD_SIGNATURE, 'g', signature, n);
        base = message_body(out);
        for (size_t i = 0; i < n; i++)
                message_put_string(out, base, args[i]);
        message_end(out, base);
        return buf_error(out);
}

bool meta_is(const uint8_t *msg, const struct header *h)
{
        return h->type == HEADER_SIGNAL && h->interface.len == strlen(META_INTERFACE) &&
               !memcmp(header_text(msg, h->interface), META_INTERFACE, h->interface.len);
}

struct reading {
        const char **args;
        int n;
};

static int read_arg(void *context, struct value *v)
{
        struct reading *r = context;

        if (v->type == 's' && r->n < META_ARGS_MAX)
                r->args[r->n++] = v->data;
        return 0;
}

int meta_read(const uint8_t *msg, const struct header *h, const char **args)
{
        struct reading reading = { .args = args };
        const struct value_hooks hooks = { .leaf = read_arg, .context = &reading };

        if (h->signature.off)
                value_walk(NULL, header_text(msg, h->signature), h->signature.len, h->swap,
                           msg + h->size, h->body_size, &hooks);
        args[reading.n] = NULL;
        return reading.n;
}
