/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/wire/body.h"
#include "shim/wire/bytes.h"
#include "shim/wire/type.h"
#include "tools/message.h"
#include "tools/rewrite.h"
#include "tools/value.h"

struct rewriter {
        const struct rewrite *how;
        bool swap;
        struct buf text;  /* what a leaf was replaced by */
        bool after_pid;   /* the next number is a pid: after "ProcessID", or it is all there is */
};

/* bytes of the unique name that @s begins with, or 0 */
static size_t unique_name_at(const char *s, size_t n)
{
        size_t i = 1, dots = 0;

        if (n < 4 || s[0] != ':')
                return 0;
        for (; i < n && ((s[i] >= '0' && s[i] <= '9') || s[i] == '.'); i++)
                dots += s[i] == '.';
        return dots == 1 && s[i - 1] != '.' ? i : 0;
}

bool rewrite_text(struct buf *out, const char *s, size_t n, rewrite_name *name, void *context)
{
        bool any = false;
        size_t i = 0, one;

        while (i < n) {
                const char *other = NULL;

                one = unique_name_at(s + i, n - i);
                if (one)
                        other = name(context, s + i, one);
                if (other)
                        buf_put(out, other, strlen(other));
                else
                        buf_put(out, s + i, MAX(one, (size_t)1));
                any = any || other;
                i += MAX(one, (size_t)1);
        }
        return any;
}

/* false if there are no names in it to replace */
static bool replace_names(struct rewriter *w, const char *s, size_t n)
{
        if (!w->how->name || !memchr(s, ':', n))
                return false;
        buf_reset(&w->text);
        return rewrite_text(&w->text, s, n, w->how->name, w->how->context);
}

static void replace_by(struct rewriter *w, struct value *v, int byte, size_t n)
{
        uint8_t *p;

        buf_reset(&w->text);
        p = buf_room(&w->text, n + 1);
        if (!p)
                return;
        memset(p, byte, n);
        buf_grown(&w->text, n);
        v->data = p;
        v->n = n;
}

static void blank_pid(struct rewriter *w, struct value *v)
{
        if (v->type == 's') {
                w->after_pid = v->n == 9 && !memcmp(v->data, "ProcessID", 9);
                return;
        }
        if (w->after_pid && v->type == 'u' && !v->array &&
            bytes_load32(v->data, w->swap) != w->how->own_pid)
                replace_by(w, v, 0, v->n);
        w->after_pid = false;
}

static int rewrite_leaf(void *context, struct value *v)
{
        struct rewriter *w = context;

        switch (w->how->blank) {
        case REWRITE_BLANK_ALL:
                if (v->type == 's')
                        replace_by(w, v, 'x', v->n);
                else if (type_is_fixed(v->type) && v->type != 'h')
                        replace_by(w, v, 0, v->n);
                break;
        case REWRITE_BLANK_NUMBERS:
                if (type_is_fixed(v->type))
                        replace_by(w, v, 0, v->n);
                break;
        case REWRITE_BLANK_TEXT:
                if (v->type == 's')
                        replace_by(w, v, 0, 0);
                break;
        case REWRITE_BLANK_PIDS:
                blank_pid(w, v);
                break;
        case REWRITE_BLANK_NOTHING:
                break;
        }
        if (v->type == 's' && replace_names(w, v->data, v->n)) {
                v->data = buf_head(&w->text);
                v->n = buf_n(&w->text);
        }
        return buf_error(&w->text);
}

static void put_span(struct buf *out, const struct header *h, const uint8_t *msg, uint8_t code,
                     char type, struct span span)
{
        if (span.off && (span.len || type != 'g')) /* an empty signature says as much as none */
                message_text(out, code, type, msg + span.off, span.len);
}

static void put_name(struct buf *out, struct rewriter *w, const struct header *h,
                     const uint8_t *msg, uint8_t code, struct span span)
{
        const char *other = NULL;

        if (!span.off)
                return;
        if (w->how->name && msg[span.off] == ':')
                other = w->how->name(w->how->context, (const char *)msg + span.off, span.len);
        if (other)
                message_text(out, code, 's', other, strlen(other));
        else
                put_span(out, h, msg, code, 's', span);
}

static size_t put_header(struct buf *out, struct rewriter *w, const uint8_t *msg,
                         const struct header *h)
{
        message_begin(out, h->endian, h->type, h->flags,
                      w->how->serial ? w->how->serial : h->serial);
        put_span(out, h, msg, FIELD_PATH, 'o', h->path);
        put_span(out, h, msg, FIELD_INTERFACE, 's', h->interface);
        put_span(out, h, msg, FIELD_MEMBER, 's', h->member);
        put_span(out, h, msg, FIELD_ERROR_NAME, 's', h->error_name);
        message_number(out, FIELD_REPLY_SERIAL, h->reply_serial);
        put_name(out, w, h, msg, FIELD_DESTINATION, h->destination);
        put_span(out, h, msg, FIELD_SIGNATURE, 'g', h->signature);
        message_number(out, FIELD_UNIX_FDS, h->n_fds);
        if (!w->how->drop_sender)
                put_name(out, w, h, msg, FIELD_SENDER, h->sender);
        return message_body(out);
}

/* ---- arrays whose order means nothing ---- */

struct element {
        const uint8_t *data;
        size_t n;
};

static int compare_elements(const void *a, const void *b)
{
        const struct element *x = a, *y = b;
        int r = memcmp(x->data, y->data, MIN(x->n, y->n));

        return r ? r : (x->n > y->n) - (x->n < y->n);
}

/* where the elements of an array are; returns how many, or a negative errno */
static ssize_t find_elements(const struct buf *body, const char *sig, size_t n_sig, bool swap,
                             struct element **out)
{
        size_t align = type_align(*sig), n = 0, size = 0;
        uint32_t at = (uint32_t)ALIGN_TO((size_t)4, align), end = (uint32_t)buf_n(body);
        _cleanup_(freep) struct element *list = NULL;

        while (at < end) {
                uint32_t start = at = (uint32_t)ALIGN_TO((size_t)at, align);

                if (n == size) {
                        struct element *p;

                        size = MAX(2 * size, (size_t)32);
                        p = reallocarray(list, size, sizeof(*p));
                        if (!p)
                                return error_origin(-ENOMEM);
                        list = p;
                }
                if (body_skip(sig, n_sig, swap, buf_head(body), &at, end, 1) || at <= start)
                        return error_origin(-EBADMSG);
                list[n++] = (struct element){ buf_head(body) + start, at - start };
        }
        *out = steal(&list);
        return (ssize_t)n;
}

/* sorts the array that was just written; an element's bytes do not depend on where it stands */
static int sort_array(struct buf *out, size_t base, const char *sig, size_t n_sig, bool swap)
{
        _cleanup_(buf_deinit) struct buf copy = BUF_NULL;
        _cleanup_(freep) struct element *list = NULL;
        size_t first;
        ssize_t n;

        buf_put(&copy, buf_head(out) + base, buf_n(out) - base);
        if (buf_error(&copy))
                return error_origin(-ENOMEM);
        n = find_elements(&copy, sig, n_sig, swap, &list);
        if (n <= 0)
                return (int)n;
        qsort(list, (size_t)n, sizeof(*list), compare_elements);
        out->end = out->start + base + 4;
        buf_align(out, base, type_align(*sig));
        first = buf_n(out);
        for (ssize_t i = 0; i < n; i++) {
                buf_align(out, base, type_align(*sig));
                buf_put(out, list[i].data, list[i].n);
        }
        buf_set32(out, base, (uint32_t)(buf_n(out) - first), swap);
        return buf_error(out);
}

/* a body without a ':' holds no unique name */
static bool body_stays(const struct rewrite *how, const uint8_t *body, size_t n)
{
        return how->blank == REWRITE_BLANK_NOTHING && (!how->name || !memchr(body, ':', n));
}

static int put_body(struct buf *out, struct rewriter *w, const uint8_t *msg,
                    const struct header *h, size_t base)
{
        const struct value_hooks hooks = { .leaf = rewrite_leaf, .context = w };
        const char *signature = header_text(msg, h->signature);

        if (body_stays(w->how, msg + h->size, h->body_size))
                buf_put(out, msg + h->size, h->body_size);
        else {
                int r = value_walk(out, signature, h->signature.len, h->swap, msg + h->size,
                                   h->body_size, &hooks);
                if (r)
                        return r;
        }
        if (w->how->sort && signature[0] == 'a' &&
            signature_next(signature, h->signature.len) == h->signature.len)
                return sort_array(out, base, signature + 1, h->signature.len - 1, h->swap);
        return 0;
}

int rewrite_message(struct buf *out, const uint8_t *msg, const struct header *h,
                    const struct rewrite *how)
{
        struct rewriter w = { .how = how, .swap = h->swap, .after_pid = h->signature.len == 1 };
        size_t base;
        int r = 0;

        base = put_header(out, &w, msg, h);
        if (h->body_size)
                r = put_body(out, &w, msg, h, base);
        message_end(out, base);
        buf_deinit(&w.text);
        return r ? r : buf_error(out);
}
