/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Writer: see writer.h. */

#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/wire/bytes.h"
#include "shim/wire/type.h"
#include "shim/wire/writer.h"

#define FIRST_SIZE 256U

static void fail(struct writer *w, int error)
{
        if (!w->error)
                w->error = error_origin(error);
}

/* --- bytes -------------------------------------------------------------------------------- */

/* reserve() - room for @n more bytes, or NULL once anything has failed */
static uint8_t *reserve(struct writer *w, size_t n)
{
        size_t size = w->size ? w->size : FIRST_SIZE;
        uint8_t *buf;

        if (w->error)
                return NULL;
        if (n > TYPE_MESSAGE_MAX || w->n + n > TYPE_MESSAGE_MAX) {
                fail(w, -EMSGSIZE);
                return NULL;
        }
        if (w->n + n > w->size) {
                while (size < w->n + n)
                        size *= 2;
                buf = realloc(w->buf, size);
                if (!buf) {
                        fail(w, -ENOMEM);
                        return NULL;
                }
                w->buf = buf;
                w->size = size;
        }
        buf = w->buf + w->n;
        w->n += n;
        return buf;
}

static void put(struct writer *w, const void *data, size_t n)
{
        uint8_t *p = reserve(w, n);

        if (p && n)
                memcpy(p, data, n);
}

/* align() - the body begins at a multiple of 8, so offsets in the message do for both */
static void align(struct writer *w, unsigned to)
{
        static const uint8_t zero[8];

        put(w, zero, -w->n & (to - 1));
}

static void put_u32(struct writer *w, uint32_t v)
{
        align(w, 4);
        put(w, &v, 4);
}

/* copy_text() - text and NUL; where the text is not UTF-8, question marks */
static void copy_text(uint8_t *p, const char *s, size_t n)
{
        int bad;

        memcpy(p, s, n);
        p[n] = 0;
        bad = bytes_text(p, n);
        for (size_t i = 0; bad && i < n; i++)
                if (p[i] - 1U >= 0x7f)
                        p[i] = '?';
}

static void put_text(struct writer *w, const char *s, size_t n)
{
        uint8_t *p = reserve(w, n + 1);

        if (p)
                copy_text(p, s, n);
}

/* --- header ------------------------------------------------------------------------------- */

/* clear() - as new; frames and signature are set before they are read */
static void clear(struct writer *w)
{
        w->buf = NULL;
        w->n = w->size = w->body = w->sig_n = 0;
        w->error = 0;
        w->depth = 0;
        w->frames[0] = (struct writer_frame){0};
}

void writer_init(struct writer *w, uint8_t type, uint8_t flags, uint32_t serial)
{
        const uint8_t fixed[8] = {bytes_native(), type, flags, 1};
        const uint32_t rest[2] = {serial, 0};

        clear(w);
        w->h = (struct header){
                .endian = bytes_native(),
                .type = type,
                .flags = flags,
                .serial = serial,
        };
        put(w, fixed, sizeof(fixed));
        put(w, rest, sizeof(rest));
}

void writer_deinit(struct writer *w)
{
        free(w->buf);
        clear(w);
}

/* begin_field() - padding and head of a field, and room for @n more bytes, or NULL */
static uint8_t *begin_field(struct writer *w, uint8_t code, size_t n)
{
        const uint8_t head[4] = {code, 1, (uint8_t)header_field_types[code], 0};
        size_t pad = -w->n & 7;
        uint8_t *p;

        if (w->body)
                fail(w, -EINVAL);
        p = reserve(w, pad + sizeof(head) + n);
        if (!p)
                return NULL;
        memset(p, 0, pad);
        memcpy(p + pad, head, sizeof(head));
        return p + pad + sizeof(head);
}

void writer_field_n(struct writer *w, uint8_t code, const char *text, size_t n)
{
        struct span *span = header_span(&w->h, code);
        size_t size = code == FIELD_SIGNATURE ? 1 : 4; /* of the length */
        uint32_t len = n;
        uint8_t *p;

        if (!text)
                return;
        if (!span) {
                fail(w, -EINVAL);
                return;
        }
        p = begin_field(w, code, size + n + 1);
        if (!p)
                return;
        if (size == 1)
                *p = len;
        else
                memcpy(p, &len, size);
        *span = (struct span){w->n - n - 1, n};
        copy_text(p + size, text, n);
}

void writer_field(struct writer *w, uint8_t code, const char *text)
{
        if (text)
                writer_field_n(w, code, text, strlen(text));
}

void writer_field_u32(struct writer *w, uint8_t code, uint32_t v)
{
        uint8_t *p;

        if (!v)
                return;
        if (code == FIELD_REPLY_SERIAL)
                w->h.reply_serial = v;
        else if (code == FIELD_UNIX_FDS)
                w->h.n_fds = v;
        else
                fail(w, -EINVAL);
        if (w->error)
                return;
        p = begin_field(w, code, sizeof(v));
        if (p)
                memcpy(p, &v, sizeof(v));
}

void writer_body(struct writer *w, const char *signature)
{
        size_t n = signature ? strlen(signature) : 0;

        if (n >= sizeof(w->sig) || signature_validate(signature ? signature : "", n))
                fail(w, -EINVAL);
        if (n)
                writer_field_n(w, FIELD_SIGNATURE, signature, n);
        if (w->error)
                return;
        w->h.fields_size = w->n - HEADER_FIXED;
        align(w, 8);
        w->h.size = w->body = w->n;
        memcpy(w->sig, signature ? signature : "", n);
        w->sig_n = n;
        w->frames[0] = (struct writer_frame){.next = w->sig, .end = w->sig + n};
}

/* --- values ------------------------------------------------------------------------------- */

/* expect() - step over one code of the signature, if it is the right one */
static bool expect(struct writer *w, char c)
{
        struct writer_frame *f = w->frames + w->depth;

        if (!w->error && f->kind == 'a' && f->next == f->end)
                f->next = f->elem;
        if (!w->body || f->next == f->end || *f->next != c)
                fail(w, -EINVAL);
        if (w->error)
                return false;
        f->next++;
        return true;
}

static void put_fixed(struct writer *w, char c, const void *v)
{
        unsigned size = type_size(c);

        if (!expect(w, c))
                return;
        align(w, size);
        put(w, v, size);
}

void writer_byte(struct writer *w, uint8_t v)
{
        put_fixed(w, 'y', &v);
}

void writer_bool(struct writer *w, bool v)
{
        uint32_t u = v;

        put_fixed(w, 'b', &u);
}

void writer_i16(struct writer *w, int16_t v)
{
        put_fixed(w, 'n', &v);
}

void writer_u16(struct writer *w, uint16_t v)
{
        put_fixed(w, 'q', &v);
}

void writer_i32(struct writer *w, int32_t v)
{
        put_fixed(w, 'i', &v);
}

void writer_u32(struct writer *w, uint32_t v)
{
        put_fixed(w, 'u', &v);
}

void writer_i64(struct writer *w, int64_t v)
{
        put_fixed(w, 'x', &v);
}

void writer_u64(struct writer *w, uint64_t v)
{
        put_fixed(w, 't', &v);
}

void writer_double(struct writer *w, double v)
{
        put_fixed(w, 'd', &v);
}

void writer_fd(struct writer *w, uint32_t index)
{
        put_fixed(w, 'h', &index);
}

static void put_string(struct writer *w, char c, const char *s, size_t n)
{
        if (!expect(w, c))
                return;
        put_u32(w, n);
        put_text(w, s, n);
}

void writer_string(struct writer *w, const char *s)
{
        put_string(w, 's', s, strlen(s));
}

void writer_string_n(struct writer *w, const char *s, size_t n)
{
        put_string(w, 's', s, n);
}

void writer_path(struct writer *w, const char *s)
{
        put_string(w, 'o', s, strlen(s));
}

void writer_path_n(struct writer *w, const char *s, size_t n)
{
        put_string(w, 'o', s, n);
}

static void put_signature(struct writer *w, const char *s)
{
        size_t n = strlen(s);
        uint8_t len = n;

        if (signature_validate(s, n))
                fail(w, -EINVAL);
        put(w, &len, 1);
        put(w, s, len + 1);
}

void writer_signature(struct writer *w, const char *s)
{
        if (expect(w, 'g'))
                put_signature(w, s);
}

/* --- containers --------------------------------------------------------------------------- */

/* open_array() - the elements start aligned, the length counts from there */
static void open_array(struct writer *w, struct writer_frame *f, struct writer_frame *outer)
{
        f->elem = f->next = outer->next;
        f->end = f->elem + signature_next(f->elem, outer->end - f->elem);
        outer->next = f->end;
        put_u32(w, 0);
        f->length_at = w->n - 4;
        align(w, type_align(*f->elem));
        f->start = w->n;
        f->next = f->end; /* no element is due */
}

static void open_struct(struct writer *w, struct writer_frame *f, struct writer_frame *outer)
{
        const char *begin = outer->next - 1;

        outer->next = begin + signature_next(begin, outer->end - begin);
        f->next = begin + 1;
        f->end = outer->next - 1;
        align(w, 8);
}

static void open_variant(struct writer *w, struct writer_frame *f, const char *contents)
{
        size_t n;

        contents = contents ? contents : "";
        n = strlen(contents);
        if (n >= sizeof(w->sig) - w->sig_n || signature_validate_single(contents, n)) {
                fail(w, -EINVAL);
                return;
        }
        f->elem = f->next = memcpy(w->sig + w->sig_n, contents, n);
        f->end = f->next + n;
        w->sig_n += n;
        put_signature(w, contents);
}

void writer_open(struct writer *w, char kind, const char *contents)
{
        struct writer_frame *outer = w->frames + w->depth, *f = outer + 1;

        if (!expect(w, kind))
                return;
        if (w->depth == WRITER_DEPTH_MAX) {
                fail(w, -EINVAL);
                return;
        }
        w->depth++;
        *f = (struct writer_frame){.kind = kind};
        if (kind == 'a')
                open_array(w, f, outer);
        else if (kind == 'v')
                open_variant(w, f, contents);
        else
                open_struct(w, f, outer);
}

void writer_close(struct writer *w)
{
        struct writer_frame *f = w->frames + w->depth;
        uint32_t len;

        if (!w->error && (!w->depth || f->next != f->end))
                fail(w, -EINVAL);
        if (w->error)
                return;
        w->depth--;
        if (f->kind == 'v')
                w->sig_n = f->elem - w->sig;
        if (f->kind != 'a')
                return;
        if (w->n - f->start > TYPE_ARRAY_MAX) {
                fail(w, -EMSGSIZE);
                return;
        }
        len = w->n - f->start;
        memcpy(w->buf + f->length_at, &len, 4);
}

void writer_bytes(struct writer *w, const void *data, size_t n)
{
        writer_open(w, 'a', NULL);
        if (!w->error && *w->frames[w->depth].elem != 'y')
                fail(w, -EINVAL);
        put(w, data, n);
        writer_close(w);
}

/* --- entries of a{sv} --------------------------------------------------------------------- */

static void open_entry(struct writer *w, const char *key, const char *contents)
{
        writer_open(w, '{', NULL);
        writer_string(w, key);
        writer_open(w, 'v', contents);
}

static void close_entry(struct writer *w)
{
        writer_close(w);
        writer_close(w);
}

void writer_dict_u32(struct writer *w, const char *key, uint32_t v)
{
        open_entry(w, key, "u");
        writer_u32(w, v);
        close_entry(w);
}

void writer_dict_string(struct writer *w, const char *key, const char *v)
{
        open_entry(w, key, "s");
        writer_string(w, v);
        close_entry(w);
}

void writer_dict_bytes(struct writer *w, const char *key, const void *data, size_t n)
{
        open_entry(w, key, "ay");
        writer_bytes(w, data, n);
        close_entry(w);
}

/* --- the end ------------------------------------------------------------------------------ */

int writer_finish(struct writer *w, uint8_t **out_bytes, size_t *out_n, struct header *out_header)
{
        int r;

        if (!w->body)
                writer_body(w, NULL);
        if (!w->error && (w->depth || w->frames[0].next != w->frames[0].end))
                fail(w, -EINVAL);
        r = w->error;
        if (!r) {
                w->h.body_size = w->n - w->body;
                bytes_store32(w->buf + 4, w->h.body_size, false);
                bytes_store32(w->buf + 12, w->h.fields_size, false);
                if (out_header)
                        *out_header = w->h;
                *out_n = w->n;
                *out_bytes = steal(&w->buf);
        }
        writer_deinit(w);
        return r;
}
