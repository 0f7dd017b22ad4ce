/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Body: see body.h.
 *
 * One loop reads the signature and the bytes side by side. An array or a variant sends the
 * reading of the signature elsewhere (back to the element type; into the message), so it takes a
 * frame that says where to go on; a struct is only counted. `stop` is where the innermost
 * frame's signature ends and `end` where its bytes do.
 *
 * Stepping over the element type of an empty array costs time but no bytes of input. So that a
 * long signature cannot be used to burn time, a scope (a signature and what is inside it, down
 * to the next variant) remembers where the types of a long signature end.
 */

#include "bus-core/util/cleanup.h"
#include "shim/wire/body.h"
#include "shim/wire/bytes.h"
#include "shim/wire/error.h"
#include "shim/wire/type.h"

#define SCAN_MAX 16U /* a signature up to this length is scanned each time */

struct scope {
        const char *sig;
        uint8_t len;
        bool ready;
        uint8_t ends[TYPE_SIGNATURE_MAX + 1]; /* when ready: where the type that starts here ends */
};

struct frame {
        const char *next, *stop, *elem; /* elem: of arrays, else NULL */
        uint32_t end;
};

struct walk {
        const uint8_t *base;
        uint32_t pos, end;
        bool swap;
        unsigned depth, n_frames;
        const char *next, *stop;
        struct scope *scope;
        struct frame frames[TYPE_DEPTH_MAX];
        struct scope scopes[TYPE_DEPTH_MAX + 1];
};

static void scope_init(struct scope *scope, const char *sig, size_t len)
{
        scope->sig = sig;
        scope->len = len;
        scope->ready = false;
}

/* scope_fill() - from the right: an array ends where its element does, a struct at its bracket */
static void scope_fill(struct scope *scope)
{
        uint8_t closed[TYPE_SIGNATURE_MAX];
        unsigned n = 0;

        for (unsigned i = scope->len; i-- > 0;) {
                char c = scope->sig[i];

                scope->ends[i] = i + 1;
                if (c == ')' || c == '}')
                        closed[n++] = i + 1;
                else if (c == '(' || c == '{')
                        scope->ends[i] = closed[--n];
                else if (c == 'a')
                        scope->ends[i] = scope->ends[i + 1];
        }
        scope->ready = true;
}

/* scope_type_end() - behind the complete type at @sig */
static const char *scope_type_end(struct scope *scope, const char *sig)
{
        size_t i = sig - scope->sig;

        if (scope->len <= SCAN_MAX)
                return sig + signature_next(sig, scope->len - i);
        if (!scope->ready)
                scope_fill(scope);
        return scope->sig + scope->ends[i];
}

static void walk_init(struct walk *w, bool swap, const uint8_t *base, uint32_t pos, uint32_t end)
{
        w->base = base;
        w->pos = pos;
        w->end = end;
        w->swap = swap;
        w->depth = 0;
        w->n_frames = 0;
        w->scope = w->scopes;
}

/* --- values without a frame --------------------------------------------------------------- */

static inline int take_padding(struct walk *w, unsigned align)
{
        uint32_t pad = -w->pos & (align - 1);
        uint8_t bits = 0;

        if (!pad)
                return 0;
        if (pad > w->end - w->pos)
                return WIRE_E_TRUNCATED;
        while (pad--)
                bits |= w->base[w->pos++];
        return bits ? WIRE_E_PADDING : 0;
}

static inline int take_u32(struct walk *w, uint32_t *out)
{
        int r = take_padding(w, 4);

        if (r)
                return r;
        if (w->end - w->pos < 4)
                return WIRE_E_TRUNCATED;
        *out = bytes_load32(w->base + w->pos, w->swap);
        w->pos += 4;
        return 0;
}

static int take_fixed(struct walk *w, unsigned size)
{
        int r = take_padding(w, size);

        if (r)
                return r;
        if (w->end - w->pos < size)
                return WIRE_E_TRUNCATED;
        w->pos += size;
        return 0;
}

static int take_boolean(struct walk *w)
{
        uint32_t v = 0;
        int r = take_u32(w, &v);

        return r ? r : v > 1 ? WIRE_E_BOOLEAN : 0;
}

/* take_nul() - @len bytes of text from here must be followed by a NUL; stay where the text is */
static inline int take_nul(struct walk *w, uint32_t len)
{
        if (len >= w->end - w->pos)
                return WIRE_E_TRUNCATED;
        return w->base[w->pos + len] ? WIRE_E_UNTERMINATED : 0;
}

static int take_string(struct walk *w, char c)
{
        uint32_t len = 0;
        int r;

        r = take_u32(w, &len);
        if (r)
                return r;
        r = take_nul(w, len);
        if (r)
                return r;
        if (c == 's')
                r = bytes_text(w->base + w->pos, len);
        else if (!valid_path((const char *)w->base + w->pos, len))
                r = WIRE_E_PATH;
        w->pos += len + 1;
        return r;
}

static int take_signature(struct walk *w, bool single, const char **out_sig, uint8_t *out_len)
{
        const char *sig;
        uint8_t len;
        int r;

        if (w->pos >= w->end)
                return WIRE_E_TRUNCATED;
        len = w->base[w->pos++];
        r = take_nul(w, len);
        if (r)
                return r;
        sig = (const char *)w->base + w->pos;
        w->pos += len + 1;
        *out_sig = sig;
        *out_len = len;
        return single ? signature_validate_single(sig, len) : signature_validate(sig, len);
}

static int take_booleans(struct walk *w, uint32_t len)
{
        uint32_t one = w->swap ? __builtin_bswap32(1) : 1, bits = 0;

        for (uint32_t i = 0; i < len; i += 4)
                bits |= bytes_load32(w->base + w->pos + i, false);
        w->pos += len;
        return bits & ~one ? WIRE_E_BOOLEAN : 0;
}

/* --- containers --------------------------------------------------------------------------- */

/* push() - what follows belongs to elem..stop and must end at @end at the latest */
static int push(struct walk *w, const char *elem, const char *next, const char *stop, uint32_t end)
{
        if (++w->depth > TYPE_DEPTH_MAX)
                return WIRE_E_DEPTH;
        w->frames[w->n_frames++] = (struct frame){w->next, w->stop, elem, w->end};
        w->next = next;
        w->stop = stop;
        w->end = end;
        return 0;
}

/* pop() - the innermost frame's signature is used up: once more for an array's next element */
static void pop(struct walk *w)
{
        const struct frame *f = w->frames + w->n_frames - 1;

        if (f->elem && w->pos < w->end) {
                w->next = f->elem;
                return;
        }
        if (!f->elem)
                w->scope--;
        w->next = f->next;
        w->stop = f->stop;
        w->end = f->end;
        w->n_frames--;
        w->depth--;
}

static int take_fixed_array(struct walk *w, char c, uint32_t len)
{
        if (len & (type_size(c) - 1))
                return WIRE_E_ARRAY_LENGTH;
        if (c == 'b')
                return take_booleans(w, len);
        w->pos += len;
        return 0;
}

/* take_array() - w->next is at the element type */
static int take_array(struct walk *w)
{
        const char *elem = w->next;
        uint32_t len = 0;
        int r;

        r = take_u32(w, &len);
        if (r)
                return r;
        if (len > TYPE_ARRAY_MAX)
                return WIRE_E_ARRAY_SIZE;
        r = take_padding(w, type_align(*elem));
        if (r)
                return r;
        if (len > w->end - w->pos)
                return WIRE_E_TRUNCATED;
        if (type_is_basic(*elem) || *elem == 'v')
                w->next = elem + 1;
        else
                w->next = scope_type_end(w->scope, elem);
        if (type_is_fixed(*elem))
                return take_fixed_array(w, *elem, len);
        return len ? push(w, elem, elem, w->next, w->pos + len) : 0;
}

static int take_variant(struct walk *w)
{
        const char *sig = NULL;
        uint8_t len = 0;
        int r;

        r = take_signature(w, true, &sig, &len);
        if (r)
                return r;
        r = push(w, NULL, sig, sig + len, w->end);
        if (r)
                return r;
        scope_init(++w->scope, sig, len);
        return 0;
}

static int take_struct(struct walk *w)
{
        if (++w->depth > TYPE_DEPTH_MAX)
                return WIRE_E_DEPTH;
        return take_padding(w, 8);
}

static int take_value(struct walk *w, char c)
{
        const char *sig;
        uint8_t len;

        switch (c) {
        case 's':
        case 'o':
                return take_string(w, c);
        case 'b':
                return take_boolean(w);
        case 'g':
                return take_signature(w, false, &sig, &len);
        case 'v':
                return take_variant(w);
        case 'a':
                return take_array(w);
        case '(':
        case '{':
                return take_struct(w);
        case ')':
        case '}':
                w->depth--;
                return 0;
        }
        return take_fixed(w, type_size(c));
}

/* walk() - judge the values of one part of the outermost signature */
static int walk(struct walk *w, const char *sig, const char *stop)
{
        int r;

        w->next = sig;
        w->stop = stop;
        for (;;) {
                while (w->next == w->stop) {
                        if (!w->n_frames)
                                return 0;
                        pop(w);
                }
                r = take_value(w, *w->next++);
                if (r)
                        return r;
        }
}

/* --- public ------------------------------------------------------------------------------- */

/* note_arg() - remember an argument that went from @start to w->pos */
static void note_arg(struct body_args *args, char c, uint32_t start, uint32_t stop)
{
        struct body_arg *arg;

        if (args->n == BODY_ARGS_MAX)
                return;
        arg = args->arg + args->n++;
        *arg = (struct body_arg){.type = c};
        if (c == 's' || c == 'o')
                arg->off = ALIGN_TO(start, 4) + 4;
        else if (c == 'g')
                arg->off = start + 1;
        if (arg->off)
                arg->len = stop - 1 - arg->off;
}

static int walk_args(struct walk *w, const char *sig, size_t n, struct body_args *args)
{
        const char *stop, *last = sig + n;
        uint32_t start;
        int r;

        for (; sig < last; sig = stop) {
                bool single = type_is_basic(*sig) || *sig == 'v';

                stop = single ? sig + 1 : scope_type_end(w->scope, sig);
                start = w->pos;
                r = walk(w, sig, stop);
                if (r)
                        return r;
                note_arg(args, *sig, start, w->pos);
        }
        return 0;
}

int body_validate(const char *signature, size_t siglen, bool swap, const uint8_t *body, size_t n,
                  struct body_args *args)
{
        struct walk w;
        int r;

        if (n > TYPE_MESSAGE_MAX)
                return WIRE_E_MESSAGE_SIZE;
        if (args)
                args->n = 0;
        if (!siglen)
                return n ? WIRE_E_TRAILING : 0;
        walk_init(&w, swap, body, 0, n);
        scope_init(w.scope, signature, siglen);
        r = args ? walk_args(&w, signature, siglen, args)
                 : walk(&w, signature, signature + siglen);
        if (r)
                return r;
        return w.pos == n ? 0 : WIRE_E_TRAILING;
}

int body_skip(const char *signature, size_t siglen, bool swap, const uint8_t *base, uint32_t *pos,
              uint32_t end, unsigned depth)
{
        struct walk w;
        int r;

        walk_init(&w, swap, base, *pos, end);
        w.depth = depth;
        scope_init(w.scope, signature, siglen);
        r = walk(&w, signature, signature + siglen);
        if (r)
                return r;
        *pos = w.pos;
        return 0;
}
