/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/bus/table.h"
#include "shim/wire/bytes.h"
#include "shim/wire/type.h"
#include "tools/value.h"

struct walk {
        const struct value_hooks *hooks;
        const uint8_t *in;
        size_t at, end;
        bool swap;
        unsigned int depth;
        struct buf *out;
        size_t base; /* where the body begins in out */
};

static int walk_one(struct walk *w, const char *sig, size_t n);

static int take(struct walk *w, size_t align, size_t n, const uint8_t **out)
{
        size_t at = ALIGN_TO(w->at, align);

        if (at > w->end || n > w->end - at)
                return error_origin(-EBADMSG);
        *out = w->in + at;
        w->at = at + n;
        return 0;
}

static int take32(struct walk *w, uint32_t *out)
{
        const uint8_t *p;
        int r = take(w, 4, 4, &p);

        if (!r)
                *out = bytes_load32(p, w->swap);
        return r;
}

static int enter(struct walk *w, char type, const char *sig, size_t n)
{
        if (++w->depth > TYPE_DEPTH_MAX)
                return error_origin(-EBADMSG);
        return w->hooks->enter ? w->hooks->enter(w->hooks->context, type, sig, n) : 0;
}

static int leave(struct walk *w, char type)
{
        w->depth--;
        return w->hooks->enter ? w->hooks->leave(w->hooks->context, type) : 0;
}

static void put_align(struct walk *w, size_t align)
{
        if (w->out)
                buf_align(w->out, w->base, align);
}

static int walk_fixed(struct walk *w, char type, bool array, size_t n)
{
        struct value v = { .type = type, .array = array, .n = n };
        const uint8_t *p;
        int r;

        r = take(w, array && !n ? 1 : type_align(type), n, &p);
        if (r)
                return r;
        v.data = p;
        r = w->hooks->leaf(w->hooks->context, &v);
        if (r || !w->out)
                return r;
        put_align(w, type_align(type));
        buf_put(w->out, v.data, v.n);
        return 0;
}

static int walk_text(struct walk *w, char type)
{
        struct value v = { .type = type };
        const uint8_t *p;
        uint32_t n;
        int r;

        if (type == 'g') {
                r = take(w, 1, 1, &p);
                n = r ? 0 : *p;
        } else {
                r = take32(w, &n);
        }
        if (!r)
                r = take(w, 1, (size_t)n + 1, &p);
        if (r)
                return r;
        v.data = p;
        v.n = n;
        r = w->hooks->leaf(w->hooks->context, &v);
        if (r || !w->out)
                return r;
        if (type == 'g') {
                buf_put8(w->out, (uint8_t)v.n);
        } else {
                put_align(w, 4);
                buf_put32(w->out, (uint32_t)v.n, w->swap);
        }
        buf_put(w->out, v.data, v.n);
        buf_put8(w->out, 0);
        return 0;
}

static int walk_elements(struct walk *w, const char *sig, size_t n, uint32_t bytes)
{
        size_t end;
        int r = 0;

        if (type_is_fixed(*sig) && *sig != 'b')
                return walk_fixed(w, *sig, true, bytes);
        if (bytes > w->end - w->at)
                return error_origin(-EBADMSG);
        end = w->at + bytes;
        while (!r && w->at < end)
                r = walk_one(w, sig, n);
        return r;
}

static int walk_array(struct walk *w, const char *sig, size_t n)
{
        size_t length_at = 0, first = 0;
        const uint8_t *p;
        uint32_t bytes;
        int r;

        r = enter(w, 'a', sig, n);
        if (!r)
                r = take32(w, &bytes);
        if (!r)
                r = take(w, type_align(*sig), 0, &p);
        if (r)
                return r;
        if (w->out) {
                put_align(w, 4);
                length_at = buf_n(w->out);
                buf_put32(w->out, 0, w->swap);
                put_align(w, type_align(*sig));
                first = buf_n(w->out);
        }
        r = walk_elements(w, sig, n, bytes);
        if (r)
                return r;
        if (w->out)
                buf_set32(w->out, length_at, (uint32_t)(buf_n(w->out) - first), w->swap);
        return leave(w, 'a');
}

static int walk_members(struct walk *w, char type, const char *sig, size_t n)
{
        const uint8_t *p;
        int r;

        r = enter(w, type, sig, n);
        if (!r)
                r = take(w, 8, 0, &p);
        put_align(w, 8);
        while (!r && n) {
                size_t one = signature_next(sig, n);

                r = walk_one(w, sig, one);
                sig += one;
                n -= one;
        }
        return r ? r : leave(w, type);
}

static int walk_variant(struct walk *w)
{
        const uint8_t *p;
        const char *sig;
        size_t n;
        int r;

        r = take(w, 1, 1, &p);
        if (r)
                return r;
        n = *p;
        r = take(w, 1, n + 1, &p);
        if (r)
                return r;
        sig = (const char *)p;
        if (signature_validate_single(sig, n))
                return error_origin(-EBADMSG);
        r = enter(w, 'v', sig, n);
        if (r)
                return r;
        if (w->out) {
                buf_put8(w->out, (uint8_t)n);
                buf_put(w->out, sig, n + 1);
        }
        r = walk_one(w, sig, n);
        return r ? r : leave(w, 'v');
}

static int walk_one(struct walk *w, const char *sig, size_t n)
{
        switch (*sig) {
        case 's':
        case 'o':
        case 'g':
                return walk_text(w, *sig);
        case 'a':
                return walk_array(w, sig + 1, n - 1);
        case '(':
                return walk_members(w, 'r', sig + 1, n - 2);
        case '{':
                return walk_members(w, 'e', sig + 1, n - 2);
        case 'v':
                return walk_variant(w);
        default:
                return walk_fixed(w, *sig, false, type_size(*sig));
        }
}

int value_walk(struct buf *out, const char *signature, size_t n_signature, bool swap,
               const uint8_t *body, size_t n, const struct value_hooks *hooks)
{
        struct walk w = { .hooks = hooks, .in = body, .end = n, .swap = swap, .out = out };
        int r = 0;

        if (out)
                w.base = buf_n(out);
        while (!r && n_signature) {
                size_t one = signature_next(signature, n_signature);

                r = walk_one(&w, signature, one);
                signature += one;
                n_signature -= one;
        }
        if (!r && w.at != w.end)
                r = error_origin(-EBADMSG);
        return r ? r : out ? buf_error(out) : 0;
}

/* ---- description ---- */

#define SHOWN_MAX 160 /* bytes shown of a text or an array of numbers */

struct description {
        struct buf *out;
        bool swap;
        unsigned int depth;
        char types[TYPE_DEPTH_MAX + 1];        /* containers around the value; 0: the body */
        unsigned int index[TYPE_DEPTH_MAX + 1]; /* values seen so far in each */
        char keys[TYPE_DEPTH_MAX + 1][48];      /* of the dict entry that is open there, or "" */
};

/* an entry of a dictionary with names is called by its name, any other value by its number */
static void put_place(struct description *d, unsigned int depth)
{
        buf_printf(d->out, "arg%u", d->index[0]);
        for (unsigned int i = 1; i <= depth; i++) {
                bool named = i < depth && d->types[i + 1] == 'e' && d->keys[i + 1][0];

                if (d->types[i] == 'e' && !d->keys[i][0])
                        buf_printf(d->out, "%s", d->index[i] ? ".value" : ".key");
                else if (d->types[i] == 'e')
                        buf_printf(d->out, "{%s}", d->keys[i]);
                else if (d->types[i] != 'v' && !named)
                        buf_printf(d->out, d->types[i] == 'a' ? "[%u]" : ".%u", d->index[i]);
        }
        buf_printf(d->out, " = ");
}

static void put_number(struct description *d, char type, const uint8_t *p)
{
        uint64_t v = 0;
        double f;

        switch (type_size(type)) {
        case 1:
                v = *p;
                break;
        case 2:
                v = bytes_load16(p, d->swap);
                break;
        case 4:
                v = bytes_load32(p, d->swap);
                break;
        case 8:
                v = bytes_load64(p, d->swap);
                break;
        }
        switch (type) {
        case 'n':
                buf_printf(d->out, "%d", (int16_t)v);
                break;
        case 'i':
                buf_printf(d->out, "%d", (int32_t)v);
                break;
        case 'x':
                buf_printf(d->out, "%" PRId64, (int64_t)v);
                break;
        case 'd':
                memcpy(&f, &v, sizeof(f));
                buf_printf(d->out, "%.17g", f);
                break;
        case 'b':
                buf_printf(d->out, v ? "true" : "false");
                break;
        default:
                buf_printf(d->out, "%" PRIu64, v);
        }
}

static void put_numbers(struct description *d, const struct value *v)
{
        size_t size = type_size(v->type), n = v->n / size;

        buf_printf(d->out, "%zu:", n);
        for (size_t i = 0; i < MIN(n, (size_t)SHOWN_MAX / 4); i++) {
                buf_put8(d->out, ' ');
                put_number(d, v->type, (const uint8_t *)v->data + i * size);
        }
        if (n > SHOWN_MAX / 4)
                buf_printf(d->out, " ... (digest %08x)", (uint32_t)table_hash(v->data, v->n));
}

/* a text on one line */
static void put_quoted(struct description *d, const char *s, size_t n)
{
        buf_put8(d->out, '"');
        for (size_t i = 0; i < MIN(n, (size_t)SHOWN_MAX); i++)
                if (s[i] == '\n')
                        buf_put(d->out, "\\n", 2);
                else
                        buf_put8(d->out, (uint8_t)s[i]);
        buf_put8(d->out, '"');
        if (n > SHOWN_MAX)
                buf_printf(d->out, "... (%zu bytes, digest %08x)", n, (uint32_t)table_hash(s, n));
}

static int describe_leaf(void *context, struct value *v)
{
        struct description *d = context;

        if (v->type == 's' && d->depth && d->types[d->depth] == 'e' && !d->index[d->depth]) {
                snprintf(d->keys[d->depth], sizeof(d->keys[0]), "%.*s", (int)MIN(v->n, (size_t)47),
                         (const char *)v->data);
                d->index[d->depth]++;
                if (v->n)
                        return 0;
        }
        put_place(d, d->depth - (v->array ? 1 : 0));
        if (v->array)
                put_numbers(d, v);
        else if (type_is_fixed(v->type))
                put_number(d, v->type, v->data);
        else
                put_quoted(d, v->data, v->n);
        buf_put8(d->out, '\n');
        d->index[d->depth]++;
        return 0;
}

static int describe_enter(void *context, char type, const char *signature, size_t n)
{
        struct description *d = context;

        d->depth++;
        d->types[d->depth] = type;
        d->index[d->depth] = 0;
        d->keys[d->depth][0] = 0;
        return 0;
}

static int describe_leave(void *context, char type)
{
        struct description *d = context;

        if (type == 'a' && !d->index[d->depth]) {
                d->depth--;
                put_place(d, d->depth);
                buf_printf(d->out, "[]\n");
        } else {
                d->depth--;
        }
        d->index[d->depth]++;
        return 0;
}

int value_describe(struct buf *out, const char *signature, size_t n_signature, bool swap,
                   const uint8_t *body, size_t n)
{
        struct description d = { .out = out, .swap = swap };
        const struct value_hooks hooks = {
                .leaf = describe_leaf,
                .enter = describe_enter,
                .leave = describe_leave,
                .context = &d,
        };
        int r = value_walk(NULL, signature, n_signature, swap, body, n, &hooks);

        return r ? r : buf_error(out);
}
