/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reader: see reader.h.
 *
 * The bytes are known to be good, so bounds are asked for only where a wrong answer would reach
 * beyond them: a body that was not judged must not become a way to read foreign memory.
 */

#include <string.h>

#include "bus-core/util/cleanup.h"
#include "shim/wire/body.h"
#include "shim/wire/bytes.h"
#include "shim/wire/error.h"
#include "shim/wire/reader.h"

static struct reader_frame *top(struct reader *r)
{
        return r->frames + r->depth;
}

void reader_init(struct reader *r, const char *signature, size_t siglen, bool swap,
                 const uint8_t *body, size_t n)
{
        r->body = body;
        r->pos = 0;
        r->swap = swap;
        r->depth = 0;
        r->frames[0] = (struct reader_frame){
                .next = signature, .stop = signature + siglen, .end = MIN(n, TYPE_MESSAGE_MAX)};
}

void reader_init_message(struct reader *r, const struct header *h, const uint8_t *msg)
{
        reader_init(r, h->signature.off ? header_text(msg, h->signature) : "", h->signature.len,
                    h->swap, msg + h->size, h->body_size);
}

char reader_peek(struct reader *r)
{
        struct reader_frame *f = top(r);

        if (f->kind == 'a' && f->next == f->stop && r->pos < f->end)
                f->next = f->elem;
        return f->next == f->stop ? 0 : *f->next;
}

/* find() - is a value of this type next, and where do @size bytes of it lie? */
static int find(struct reader *r, char c, unsigned size, uint32_t *out_at)
{
        uint32_t at = ALIGN_TO(r->pos, type_align(c));

        if (reader_peek(r) != c)
                return WIRE_E_MISMATCH;
        if (at > top(r)->end || top(r)->end - at < size)
                return WIRE_E_TRUNCATED;
        *out_at = at;
        return 0;
}

static void advance(struct reader *r, uint32_t to)
{
        top(r)->next++;
        r->pos = to;
}

/* --- values ------------------------------------------------------------------------------- */

int reader_byte(struct reader *r, uint8_t *out)
{
        uint32_t at;
        int e = find(r, 'y', 1, &at);

        if (e)
                return e;
        *out = r->body[at];
        advance(r, at + 1);
        return 0;
}

#define READ_FIXED_(bits)                                                                          \
        static int read##bits(struct reader *r, char c, uint##bits##_t *out)                       \
        {                                                                                          \
                uint32_t at;                                                                       \
                int e = find(r, c, bits / 8, &at);                                                 \
                                                                                                   \
                if (e)                                                                             \
                        return e;                                                                  \
                *out = bytes_load##bits(r->body + at, r->swap);                                    \
                advance(r, at + bits / 8);                                                         \
                return 0;                                                                          \
        }
READ_FIXED_(16)
READ_FIXED_(32)
READ_FIXED_(64)
#undef READ_FIXED_

int reader_bool(struct reader *r, bool *out)
{
        uint32_t v;
        int e = read32(r, 'b', &v);

        if (!e)
                *out = v;
        return e;
}

int reader_i16(struct reader *r, int16_t *out)
{
        return read16(r, 'n', (uint16_t *)out);
}

int reader_u16(struct reader *r, uint16_t *out)
{
        return read16(r, 'q', out);
}

int reader_i32(struct reader *r, int32_t *out)
{
        return read32(r, 'i', (uint32_t *)out);
}

int reader_u32(struct reader *r, uint32_t *out)
{
        return read32(r, 'u', out);
}

int reader_i64(struct reader *r, int64_t *out)
{
        return read64(r, 'x', (uint64_t *)out);
}

int reader_u64(struct reader *r, uint64_t *out)
{
        return read64(r, 't', out);
}

int reader_double(struct reader *r, double *out)
{
        uint64_t v;
        int e = read64(r, 'd', &v);

        if (!e)
                memcpy(out, &v, sizeof(v));
        return e;
}

int reader_fd(struct reader *r, uint32_t *out_index)
{
        return read32(r, 'h', out_index);
}

/* find_text() - text of known length at @at, its NUL still inside the container */
static int find_text(struct reader *r, uint32_t at, uint32_t len)
{
        return len >= top(r)->end - at || r->body[at + len] ? WIRE_E_TRUNCATED : 0;
}

static int read_text(struct reader *r, char c, const char **out, size_t *out_n)
{
        uint32_t at, len, width = c == 'g' ? 1 : 4;
        int e = find(r, c, width, &at);

        if (e)
                return e;
        len = c == 'g' ? r->body[at] : bytes_load32(r->body + at, r->swap);
        e = find_text(r, at + width, len);
        if (e)
                return e;
        *out = (const char *)r->body + at + width;
        if (out_n)
                *out_n = len;
        advance(r, at + width + len + 1);
        return 0;
}

int reader_string(struct reader *r, const char **out, size_t *out_n)
{
        return read_text(r, 's', out, out_n);
}

int reader_path(struct reader *r, const char **out, size_t *out_n)
{
        return read_text(r, 'o', out, out_n);
}

int reader_signature(struct reader *r, const char **out, size_t *out_n)
{
        return read_text(r, 'g', out, out_n);
}

/* --- containers --------------------------------------------------------------------------- */

static int push(struct reader *r, struct reader_frame frame, uint32_t pos)
{
        if (r->depth == TYPE_DEPTH_MAX)
                return WIRE_E_DEPTH;
        r->frames[++r->depth] = frame;
        r->pos = pos;
        return 0;
}

static int enter_array(struct reader *r)
{
        struct reader_frame *f = top(r), inner = {.kind = 'a'};
        uint32_t at, len;
        int e = find(r, 'a', 4, &at);

        if (e)
                return e;
        len = bytes_load32(r->body + at, r->swap);
        inner.elem = f->next + 1;
        inner.stop = inner.elem + signature_next(inner.elem, f->stop - inner.elem);
        inner.next = inner.stop;
        at = ALIGN_TO(at + 4, type_align(*inner.elem));
        if (at > f->end || len > f->end - at)
                return WIRE_E_TRUNCATED;
        inner.end = at + len;
        e = push(r, inner, at);
        if (!e)
                f->next = inner.stop;
        return e;
}

static int enter_struct(struct reader *r, char kind)
{
        struct reader_frame *f = top(r), inner = {.kind = kind, .end = f->end};
        uint32_t at;
        int e = find(r, kind, 0, &at);

        if (e)
                return e;
        inner.next = f->next + 1;
        inner.stop = f->next + signature_next(f->next, f->stop - f->next) - 1;
        e = push(r, inner, at);
        if (!e)
                f->next = inner.stop + 1;
        return e;
}

static int enter_variant(struct reader *r)
{
        struct reader_frame *f = top(r), inner = {.kind = 'v', .end = f->end};
        uint32_t at, len;
        int e = find(r, 'v', 1, &at);

        if (e)
                return e;
        len = r->body[at];
        e = find_text(r, at + 1, len);
        if (e)
                return e;
        inner.next = (const char *)r->body + at + 1;
        inner.stop = inner.next + len;
        e = push(r, inner, at + len + 2);
        if (!e)
                f->next++;
        return e;
}

int reader_enter(struct reader *r, char kind)
{
        switch (kind) {
        case 'a':
                return enter_array(r);
        case '(':
        case '{':
                return enter_struct(r, kind);
        case 'v':
                return enter_variant(r);
        }
        return WIRE_E_MISMATCH;
}

/* skip_types() - step over values of @sig..@stop, which come next */
static int skip_types(struct reader *r, const char *sig, const char *stop)
{
        return body_skip(sig, stop - sig, r->swap, r->body, &r->pos, top(r)->end, 0);
}

int reader_leave(struct reader *r)
{
        struct reader_frame *f = top(r);
        int e;

        if (!r->depth)
                return WIRE_E_MISMATCH;
        if (f->kind == 'a') {
                r->pos = f->end;
        } else {
                e = skip_types(r, f->next, f->stop);
                if (e)
                        return e;
        }
        r->depth--;
        return 0;
}

int reader_skip(struct reader *r)
{
        struct reader_frame *f = top(r);
        const char *stop;
        int e;

        if (!reader_peek(r))
                return WIRE_E_MISMATCH;
        stop = f->next + signature_next(f->next, f->stop - f->next);
        e = skip_types(r, f->next, stop);
        if (!e)
                f->next = stop;
        return e;
}

int reader_bytes(struct reader *r, const uint8_t **out, size_t *out_n)
{
        struct reader_frame *f = top(r);
        int e;

        if (reader_peek(r) != 'a' || f->next[1] != 'y')
                return WIRE_E_MISMATCH;
        e = enter_array(r);
        if (e)
                return e;
        *out = r->body + r->pos;
        *out_n = top(r)->end - r->pos;
        return reader_leave(r);
}
