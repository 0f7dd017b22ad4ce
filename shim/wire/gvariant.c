/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <byteswap.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/wire/body.h"
#include "shim/wire/gvariant.h"
#include "shim/wire/type.h"

#define SIG_MAX   (TYPE_SIGNATURE_MAX + 2) /* with the parentheses of the body */
#define DEPTH_MAX (TYPE_DEPTH_MAX + 1)     /* and the body itself */

/* --- buffer --- */

void gvariant_buf_deinit(struct gvariant_buf *b)
{
        free(b->data);
        *b = GVARIANT_BUF_NULL;
}

void *gvariant_buf_add(struct gvariant_buf *b, size_t n)
{
        if (b->error)
                return NULL;
        if (n > b->size - b->n) {
                size_t size = MAX(b->size * 2, b->n + n + 64);
                uint8_t *data = size > TYPE_MESSAGE_MAX * 2UL ? NULL : realloc(b->data, size);

                if (!data) {
                        b->error = size > TYPE_MESSAGE_MAX * 2UL ? -EBADMSG : -ENOMEM;
                        return NULL;
                }
                b->data = data;
                b->size = size;
        }
        if (n)
                memset(b->data + b->n, 0, n);
        b->n += n;
        return b->data + b->n - n;
}

void gvariant_buf_put(struct gvariant_buf *b, const void *data, size_t n)
{
        void *to = gvariant_buf_add(b, n);

        if (to && n)
                memcpy(to, data, n);
}

void gvariant_buf_align(struct gvariant_buf *b, size_t align)
{
        gvariant_buf_add(b, ALIGN_TO(b->n, align) - b->n);
}

/* --- words --- */

unsigned gvariant_word(uint64_t size)
{
        return size <= 0xff ? 1 : size <= 0xffff ? 2 : size <= 0xffffffff ? 4 : 8;
}

unsigned gvariant_word_for(uint64_t size, uint64_t n_offsets)
{
        for (unsigned w = 1; w < 8; w *= 2)
                if (gvariant_word(size + n_offsets * w) <= w)
                        return w;
        return 8;
}

uint64_t gvariant_get_word(const uint8_t *at, unsigned width)
{
        uint64_t v = 0;

        for (unsigned i = 0; i < width; i++)
                v |= (uint64_t)at[i] << (8 * i);
        return v;
}

void gvariant_put_word(struct gvariant_buf *b, uint64_t value, unsigned width)
{
        uint8_t *at = gvariant_buf_add(b, width);

        for (unsigned i = 0; at && i < width; i++)
                at[i] = value >> (8 * i);
}

/* --- layout of types --- */

/* of each type that begins in a type string */
struct layout {
        char sig[SIG_MAX + 1];
        unsigned n;
        struct {
                uint16_t end;   /* where the next type begins */
                uint16_t fixed; /* its size in bytes, 0 if that differs */
                uint8_t align;
        } at[SIG_MAX];
};

static void layout_struct(struct layout *l, unsigned i)
{
        unsigned j = i + 1, offset = 0, align = 1;
        bool fixed = true;

        for (; l->sig[j] != ')' && l->sig[j] != '}'; j = l->at[j].end) {
                align = MAX(align, (unsigned)l->at[j].align);
                fixed = fixed && l->at[j].fixed;
                offset = ALIGN_TO(offset, (unsigned)l->at[j].align) + l->at[j].fixed;
        }
        l->at[i].end = j + 1;
        l->at[i].align = align;
        l->at[i].fixed = fixed ? MAX(ALIGN_TO(offset, align), 1U) : 0;
}

/* from the right, so that what a type is made of is known before it */
static void layout_init(struct layout *l, const char *prefix, const char *sig, size_t n,
                        const char *suffix)
{
        size_t n_prefix = strlen(prefix);

        memcpy(l->sig, prefix, n_prefix);
        memcpy(l->sig + n_prefix, sig, n);
        strcpy(l->sig + n_prefix + n, suffix);
        l->n = strlen(l->sig);
        for (unsigned i = l->n; i-- > 0;) {
                char c = l->sig[i];

                l->at[i].end = i + 1;
                if (c == 'a') {
                        l->at[i].end = l->at[i + 1].end;
                        l->at[i].align = l->at[i + 1].align;
                        l->at[i].fixed = 0;
                } else if (c == '(' || c == '{') {
                        layout_struct(l, i);
                } else if (c == 'v') {
                        l->at[i].align = 8;
                        l->at[i].fixed = 0;
                } else if (c == 'b') {
                        l->at[i].align = l->at[i].fixed = 1;
                } else {
                        l->at[i].fixed = type_size(c);
                        l->at[i].align = type_is_fixed(c) ? type_size(c) : 1;
                }
        }
}

static bool is_closing(char c)
{
        return c == ')' || c == '}';
}

/* --- both directions: containers that are open --- */

enum frame_kind {
        FRAME_STRUCT,
        FRAME_ARRAY,
        FRAME_VARIANT,
};

struct frame {
        enum frame_kind kind;
        unsigned layout;   /* which one its types are in */
        unsigned type;     /* where in it the container's type is; of a variant, its content's */
        unsigned next;     /* struct: the next member */
        bool done;         /* variant: its content was read */
        size_t start, end; /* of the container: in the output if written, in the input if read */
        size_t ends;       /* writing: its first entry in the table of ends */
        size_t in_end;     /* writing an array: where it ends in the D-Bus body */
        size_t pos;        /* reading: behind the last member */
        size_t body_end;   /* reading: where the table of ends begins */
        unsigned word;     /* reading: width of its words */
        size_t i;          /* reading: words consumed */
        size_t length_at;  /* reading an array: where its D-Bus length is to go */
        size_t out_start;  /* and where its elements begin */
};

struct machine {
        struct frame frames[DEPTH_MAX + 1];
        unsigned n_frames;
        struct layout *layouts[DEPTH_MAX + 1]; /* made when first needed, kept for the next */
        unsigned n_layouts;
        const uint8_t *in;
        size_t n_in, pos;
        bool swap;
        size_t base; /* of the output */
        struct gvariant_buf *out;
        uint64_t *ends;
        size_t n_ends, max_ends;
};

static void machine_deinit(struct machine *m)
{
        for (unsigned i = 0; i <= DEPTH_MAX; i++)
                free(m->layouts[i]);
        free(m->ends);
}

static int push_layout(struct machine *m, const char *prefix, const char *sig, size_t n,
                       const char *suffix)
{
        struct layout **l = &m->layouts[m->n_layouts];

        if (m->n_layouts > DEPTH_MAX)
                return -EBADMSG;
        if (!*l)
                *l = malloc(sizeof(**l));
        if (!*l)
                return error_origin(-ENOMEM);
        layout_init(*l, prefix, sig, n, suffix);
        m->n_layouts++;
        return 0;
}

static struct frame *top(struct machine *m)
{
        return &m->frames[m->n_frames - 1];
}

static struct layout *layout_of(struct machine *m, const struct frame *f)
{
        return m->layouts[f->layout];
}

static int push(struct machine *m, enum frame_kind kind, unsigned layout, unsigned type,
                struct frame **fp)
{
        struct frame *f;

        if (m->n_frames > DEPTH_MAX)
                return -EBADMSG;
        f = &m->frames[m->n_frames++];
        *f = (struct frame){.kind = kind, .layout = layout, .type = type, .next = type + 1};
        *fp = f;
        return 0;
}

/* the type of what comes next in a container; false at the end of a struct or variant */
static bool next_type(struct machine *m, struct frame *f, unsigned *type)
{
        switch (f->kind) {
        case FRAME_STRUCT:
                *type = f->next;
                if (is_closing(layout_of(m, f)->sig[f->next]))
                        return false;
                f->next = layout_of(m, f)->at[f->next].end;
                return true;
        case FRAME_ARRAY:
                *type = f->type + 1;
                return true;
        case FRAME_VARIANT:
                *type = 0;
                if (f->done)
                        return false;
                f->done = true;
                return true;
        }
        return false;
}

/* whether the member that was just taken is a struct's last */
static bool was_last(struct machine *m, const struct frame *f)
{
        return is_closing(layout_of(m, f)->sig[f->next]);
}

/* --- D-Bus to GVariant --- */

static int take(struct machine *m, size_t align, size_t n, const uint8_t **p)
{
        size_t at = ALIGN_TO(m->pos, align);

        if (at > m->n_in || n > m->n_in - at)
                return error_origin(-EINVAL);
        *p = m->in + at;
        m->pos = at + n;
        return 0;
}

static int take_u32(struct machine *m, uint32_t *v)
{
        const uint8_t *p = NULL;
        int r = take(m, 4, 4, &p);

        if (r)
                return r;
        memcpy(v, p, 4);
        if (m->swap)
                *v = bswap_32(*v);
        return 0;
}

static void swap_value(uint8_t *p, unsigned size)
{
        for (unsigned i = 0; i < size / 2; i++) {
                uint8_t t = p[i];

                p[i] = p[size - 1 - i];
                p[size - 1 - i] = t;
        }
}

static int write_fixed(struct machine *m, char c)
{
        unsigned size = type_size(c);
        const uint8_t *p;
        uint8_t v[8];
        uint32_t b;
        int r;

        if (c == 'b') {
                r = take_u32(m, &b);
                v[0] = b;
                if (!r)
                        gvariant_buf_put(m->out, v, 1);
                return r;
        }
        r = take(m, size, size, &p);
        if (r)
                return r;
        memcpy(v, p, size);
        if (m->swap)
                swap_value(v, size);
        gvariant_buf_put(m->out, v, size);
        return 0;
}

static int write_text(struct machine *m, char c)
{
        const uint8_t *p;
        uint32_t n;
        int r;

        if (c == 'g') {
                r = take(m, 1, 1, &p);
                n = r ? 0 : *p;
        } else {
                r = take_u32(m, &n);
        }
        if (!r)
                r = take(m, 1, (size_t)n + 1, &p);
        if (!r)
                gvariant_buf_put(m->out, p, (size_t)n + 1);
        return r;
}

static int add_end(struct machine *m, uint64_t end)
{
        if (m->n_ends == m->max_ends) {
                size_t max = MAX(m->max_ends * 2, (size_t)64);
                uint64_t *ends = realloc(m->ends, max * sizeof(*ends));

                if (!ends)
                        return error_origin(-ENOMEM);
                m->ends = ends;
                m->max_ends = max;
        }
        m->ends[m->n_ends++] = end;
        return 0;
}

/* a value is complete: does its container have to say where it ends? */
static int written(struct machine *m, unsigned type)
{
        struct frame *f = top(m);

        if (f->kind == FRAME_VARIANT || layout_of(m, f)->at[type].fixed)
                return 0;
        if (f->kind == FRAME_STRUCT && was_last(m, f))
                return 0;
        return add_end(m, m->out->n - f->start);
}

/* arrays of numbers in our byte order are the same in both */
static int write_plain_array(struct machine *m, struct frame *f, char c)
{
        const uint8_t *p;
        int r = take(m, 1, f->in_end - m->pos, &p);

        if (!r)
                gvariant_buf_put(m->out, p, m->in + f->in_end - p);
        return r;
}

static int open_array(struct machine *m, unsigned layout, unsigned type)
{
        char c = m->layouts[layout]->sig[type + 1];
        struct frame *f;
        const uint8_t *p;
        uint32_t n;
        int r;

        r = take_u32(m, &n);
        if (!r)
                r = take(m, type_align(c), 0, &p);
        if (!r && n > m->n_in - m->pos)
                r = error_origin(-EINVAL);
        if (!r)
                r = push(m, FRAME_ARRAY, layout, type, &f);
        if (r)
                return r;
        f->start = m->out->n;
        f->ends = m->n_ends;
        f->in_end = m->pos + n;
        if (type_is_fixed(c) && c != 'b' && !m->swap)
                return write_plain_array(m, f, c);
        return 0;
}

static int open_variant(struct machine *m)
{
        const uint8_t *p, *sig;
        struct frame *f;
        int r;

        r = take(m, 1, 1, &p);
        if (!r)
                r = take(m, 1, (size_t)*p + 1, &sig);
        if (!r && signature_validate_single((const char *)sig, *p))
                r = error_origin(-EINVAL);
        if (!r)
                r = push_layout(m, "", (const char *)sig, *p, "");
        if (!r)
                r = push(m, FRAME_VARIANT, m->n_layouts - 1, 0, &f);
        if (r)
                return r;
        f->start = m->out->n;
        return 0;
}

static int open_struct(struct machine *m, unsigned layout, unsigned type)
{
        const uint8_t *p;
        struct frame *f;
        int r;

        r = take(m, 8, 0, &p);
        if (!r)
                r = push(m, FRAME_STRUCT, layout, type, &f);
        if (r)
                return r;
        f->start = m->out->n;
        f->ends = m->n_ends;
        return 0;
}

static int write_value(struct machine *m, unsigned layout, unsigned type)
{
        struct layout *l = m->layouts[layout];
        char c = l->sig[type];
        int r;

        gvariant_buf_align(m->out, l->at[type].align);
        if (c == 'a')
                return open_array(m, layout, type);
        if (c == 'v')
                return open_variant(m);
        if (c == '(' || c == '{')
                return open_struct(m, layout, type);
        r = type_is_fixed(c) ? write_fixed(m, c) : write_text(m, c);
        return r ?: written(m, type);
}

static void write_ends(struct machine *m, struct frame *f, bool backwards)
{
        size_t n = m->n_ends - f->ends;
        unsigned width = gvariant_word_for(m->out->n - f->start, n);

        for (size_t i = 0; i < n; i++)
                gvariant_put_word(m->out, m->ends[backwards ? m->n_ends - 1 - i : f->ends + i], width);
        m->n_ends = f->ends;
}

/* all members are written: what comes after them, and what the container means to its own */
static int close_written(struct machine *m)
{
        struct frame f = *top(m);
        struct layout *l = layout_of(m, &f);

        switch (f.kind) {
        case FRAME_STRUCT:
                if (l->at[f.type].fixed)
                        gvariant_buf_add(m->out, f.start + l->at[f.type].fixed - m->out->n);
                else
                        write_ends(m, &f, true);
                break;
        case FRAME_ARRAY:
                write_ends(m, &f, false);
                break;
        case FRAME_VARIANT:
                gvariant_buf_add(m->out, 1);
                gvariant_buf_put(m->out, l->sig, l->n);
                m->n_layouts--;
                break;
        }
        if (--m->n_frames == 0)
                return 0;
        if (f.kind != FRAME_VARIANT)
                return written(m, f.type);
        /* a variant has no type of its own kept: it is never of fixed size */
        if (top(m)->kind == FRAME_VARIANT || (top(m)->kind == FRAME_STRUCT && was_last(m, top(m))))
                return 0;
        return add_end(m, m->out->n - top(m)->start);
}

int gvariant_from_body(struct gvariant_buf *out, const char *signature, size_t siglen, bool swap,
                       const uint8_t *body, size_t n)
{
        _cleanup_(freep) struct machine *m = calloc(1, sizeof(*m));
        struct frame *f;
        unsigned type;
        int r;

        if (!m)
                return error_origin(-ENOMEM);
        m->in = body;
        m->n_in = n;
        m->swap = swap;
        m->out = out;
        r = push_layout(m, "(", signature, siglen, ")");
        if (!r)
                r = open_struct(m, 0, 0);
        while (!r && m->n_frames && !out->error) {
                f = top(m);
                if ((f->kind == FRAME_ARRAY && m->pos >= f->in_end) || !next_type(m, f, &type))
                        r = close_written(m);
                else
                        r = write_value(m, f->layout, type);
        }
        if (!r && !out->error && m->pos != n)
                r = error_origin(-EINVAL);
        machine_deinit(m);
        return r ?: out->error;
}

/* --- GVariant to D-Bus --- */

static bool is_zero(const uint8_t *p, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (p[i])
                        return false;
        return true;
}

static void align_out(struct machine *m, size_t align)
{
        size_t n = m->out->n - m->base;

        gvariant_buf_add(m->out, ALIGN_TO(n, align) - n);
}

static void put_u32(struct machine *m, uint32_t v)
{
        align_out(m, 4);
        gvariant_buf_put(m->out, &v, 4);
}

static int read_text(struct machine *m, char c, size_t start, size_t end)
{
        const uint8_t *p = m->in + start;
        size_t n = end - start;
        uint8_t len;

        if (!n || memchr(p, 0, n) != p + n - 1 || n > TYPE_MESSAGE_MAX)
                return -EBADMSG;
        if (c == 'g') {
                if (n - 1 > TYPE_SIGNATURE_MAX)
                        return -EBADMSG;
                len = n - 1;
                gvariant_buf_put(m->out, &len, 1);
        } else {
                put_u32(m, n - 1);
        }
        gvariant_buf_put(m->out, p, n);
        return 0;
}

static int read_fixed(struct machine *m, char c, size_t start)
{
        const uint8_t *p = m->in + start;

        if (c == 'b') {
                if (*p > 1)
                        return -EBADMSG;
                put_u32(m, *p);
                return 0;
        }
        align_out(m, type_align(c));
        gvariant_buf_put(m->out, p, type_size(c));
        return 0;
}

/* how many words a struct's table has: one for each member whose end is not evident */
static size_t count_ends(const struct layout *l, unsigned type)
{
        size_t n = 0;

        for (unsigned i = type + 1; !is_closing(l->sig[i]); i = l->at[i].end)
                if (!l->at[i].fixed && !is_closing(l->sig[l->at[i].end]))
                        n++;
        return n;
}

static int enter_struct(struct machine *m, unsigned layout, unsigned type, size_t start, size_t end)
{
        struct layout *l = m->layouts[layout];
        size_t n_ends = l->at[type].fixed ? 0 : count_ends(l, type);
        struct frame *f;
        int r;

        r = push(m, FRAME_STRUCT, layout, type, &f);
        if (r)
                return r;
        f->start = f->pos = start;
        f->end = end;
        f->word = gvariant_word(end - start);
        if (l->at[type].fixed ? end - start != l->at[type].fixed : n_ends * f->word > end - start)
                return -EBADMSG;
        f->body_end = end - n_ends * f->word;
        if (n_ends && gvariant_word_for(f->body_end - start, n_ends) != f->word)
                return -EBADMSG;
        align_out(m, 8);
        return 0;
}

/* where the elements of an array end, and so how many words follow */
static int find_array_end(struct frame *f, const uint8_t *in)
{
        size_t size = f->end - f->start;
        uint64_t last;

        f->word = gvariant_word(size);
        last = gvariant_get_word(in + f->end - f->word, f->word);
        if (last > size - f->word || (size - last) % f->word)
                return -EBADMSG;
        if (gvariant_word_for(last, (size - last) / f->word) != f->word)
                return -EBADMSG;
        f->body_end = f->start + last;
        return 0;
}

static int enter_array(struct machine *m, unsigned layout, unsigned type, size_t start, size_t end)
{
        struct layout *l = m->layouts[layout];
        unsigned fixed = l->at[type + 1].fixed;
        char c = l->sig[type + 1];
        struct frame *f;
        int r;

        r = push(m, FRAME_ARRAY, layout, type, &f);
        if (r)
                return r;
        f->start = f->pos = start;
        f->end = f->body_end = end;
        if (!fixed && end > start)
                r = find_array_end(f, m->in);
        if (r || (fixed && (end - start) % fixed))
                return -EBADMSG;
        put_u32(m, 0);
        f->length_at = m->out->n - 4;
        align_out(m, type_align(c));
        f->out_start = m->out->n;
        if (type_is_fixed(c) && c != 'b') {
                gvariant_buf_put(m->out, m->in + start, end - start);
                f->pos = end;
        }
        return 0;
}

static int enter_variant(struct machine *m, size_t start, size_t end)
{
        const uint8_t *nul = end > start ? memrchr(m->in + start, 0, end - start) : NULL;
        struct frame *f;
        const char *sig;
        uint8_t n;
        int r;

        if (!nul || (size_t)(m->in + end - nul) - 1 > TYPE_SIGNATURE_MAX)
                return -EBADMSG;
        sig = (const char *)nul + 1;
        n = m->in + end - nul - 1;
        if (signature_validate_single(sig, n))
                return -EBADMSG;
        r = push_layout(m, "", sig, n, "");
        if (!r)
                r = push(m, FRAME_VARIANT, m->n_layouts - 1, 0, &f);
        if (r)
                return r;
        f->start = f->pos = start;
        f->end = f->body_end = nul - m->in;
        gvariant_buf_put(m->out, &n, 1);
        gvariant_buf_put(m->out, sig, n);
        gvariant_buf_add(m->out, 1);
        return 0;
}

/* where the next member is: aligned behind the last one, up to the end that can be told */
static int bounds(struct machine *m, struct frame *f, unsigned type, size_t *startp, size_t *endp)
{
        struct layout *l = layout_of(m, f);
        size_t start = ALIGN_TO(f->pos, (size_t)l->at[type].align), end;

        if (start > f->body_end || !is_zero(m->in + f->pos, start - f->pos))
                return -EBADMSG;
        if (l->at[type].fixed)
                end = start + l->at[type].fixed;
        else if (f->kind == FRAME_VARIANT || (f->kind == FRAME_STRUCT && was_last(m, f)))
                end = f->body_end;
        else if (f->kind == FRAME_STRUCT)
                end = f->start + gvariant_get_word(m->in + f->end - ++f->i * f->word, f->word);
        else
                end = f->start + gvariant_get_word(m->in + f->body_end + f->i++ * f->word, f->word);
        if (end < start || end > f->body_end)
                return -EBADMSG;
        f->pos = end;
        *startp = start;
        *endp = end;
        return 0;
}

static int read_value(struct machine *m, unsigned layout, unsigned type, size_t start, size_t end)
{
        char c = m->layouts[layout]->sig[type];

        if (c == 'a')
                return enter_array(m, layout, type, start, end);
        if (c == 'v')
                return enter_variant(m, start, end);
        if (c == '(' || c == '{')
                return enter_struct(m, layout, type, start, end);
        return type_is_fixed(c) ? read_fixed(m, c, start) : read_text(m, c, start, end);
}

static int close_read(struct machine *m)
{
        struct frame *f = top(m);
        struct layout *l = layout_of(m, f);
        size_t n;
        uint32_t length;

        if (f->kind == FRAME_STRUCT && l->at[f->type].fixed) {
                if (!is_zero(m->in + f->pos, f->end - f->pos))
                        return -EBADMSG;
        } else if (f->pos != f->body_end) {
                return -EBADMSG;
        }
        if (f->kind == FRAME_ARRAY && !m->out->error) {
                n = m->out->n - f->out_start;
                if (n > TYPE_ARRAY_MAX)
                        return -EBADMSG;
                length = n;
                memcpy(m->out->data + f->length_at, &length, 4);
        }
        if (f->kind == FRAME_VARIANT)
                m->n_layouts--;
        m->n_frames--;
        return 0;
}

/* elements there are left: a table of words says so where sizes do not */
static bool array_ended(struct machine *m, const struct frame *f)
{
        if (layout_of(m, f)->at[f->type + 1].fixed)
                return f->pos >= f->body_end;
        return f->body_end + f->i * f->word >= f->end;
}

static int read_all(struct machine *m)
{
        int r = 0;

        while (!r && m->n_frames && !m->out->error) {
                struct frame *f = top(m);
                size_t start, end;
                unsigned type;

                if ((f->kind == FRAME_ARRAY && array_ended(m, f)) || !next_type(m, f, &type)) {
                        r = close_read(m);
                        continue;
                }
                r = bounds(m, f, type, &start, &end);
                if (!r)
                        r = read_value(m, f->layout, type, start, end);
        }
        return r ?: m->out->error;
}

int gvariant_fixed_size(size_t *size, const char *signature, size_t siglen)
{
        _cleanup_(freep) struct machine *m = calloc(1, sizeof(*m));
        int r;

        if (!m)
                return error_origin(-ENOMEM);
        r = push_layout(m, "(", signature, siglen, ")");
        if (!r)
                *size = m->layouts[0]->at[0].fixed;
        machine_deinit(m);
        return r;
}

int gvariant_to_body(struct gvariant_buf *out, const char *signature, size_t siglen,
                     const uint8_t *value, size_t n)
{
        _cleanup_(freep) struct machine *m = calloc(1, sizeof(*m));
        int r;

        if (!m)
                return error_origin(-ENOMEM);
        m->in = value;
        m->n_in = n;
        m->out = out;
        m->base = out->n;
        r = push_layout(m, "(", signature, siglen, ")");
        if (!r)
                r = enter_struct(m, 0, 0, 0, n);
        if (!r)
                r = read_all(m);
        machine_deinit(m);
        if (r)
                return r;
        return body_validate(signature, siglen, false, out->data + m->base, out->n - m->base, NULL)
                       ? -EBADMSG
                       : 0;
}
