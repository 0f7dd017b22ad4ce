/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "shim/wire/test-transcode-kit.h"
#include "shim/wire/type.h"

#define BODY_MAX 65536

struct gen {
        uint64_t state;
        uint8_t *data;
        size_t n;
        bool swap;
};

static unsigned roll(struct gen *g, unsigned sides)
{
        g->state = g->state * 6364136223846793005ULL + 1442695040888963407ULL;
        return (g->state >> 33) % sides;
}

/* one complete type, at most @depth containers deep */
static size_t gen_type(struct gen *g, char *out, unsigned depth)
{
        static const char basic[] = "ybnqiuxtdsogh";
        size_t n = 0;

        switch (depth ? roll(g, 8) : 7) {
        case 0:
                out[n++] = 'a';
                return n + gen_type(g, out + n, depth - 1);
        case 1:
                out[n++] = 'a';
                out[n++] = '{';
                out[n++] = basic[roll(g, sizeof(basic) - 1)];
                n += gen_type(g, out + n, depth - 1);
                out[n++] = '}';
                return n;
        case 2:
        case 3:
                out[n++] = '(';
                for (unsigned i = 1 + roll(g, 3); i; i--)
                        n += gen_type(g, out + n, depth - 1);
                out[n++] = ')';
                return n;
        case 4:
                out[n++] = 'v';
                return n;
        default:
                out[n++] = basic[roll(g, sizeof(basic) - 1)];
                return n;
        }
}

static void align(struct gen *g, size_t to)
{
        while (g->n % to)
                g->data[g->n++] = 0;
}

static void put(struct gen *g, uint64_t v, size_t size)
{
        align(g, size);
        for (size_t i = 0; i < size; i++)
                g->data[g->n + i] = v >> 8 * (g->swap ? size - 1 - i : i);
        g->n += size;
}

static void put_text(struct gen *g, char c)
{
        static const char *const strings[] = {"", "x", "hello", "\xc3\xa4\xe2\x82\xac", "a longer text"};
        static const char *const paths[] = {"/", "/a", "/org/example/Object"};
        static const char *const sigs[] = {"", "s", "a{sv}", "(iiay)"};
        const char *s = c == 's'   ? strings[roll(g, ARRAY_SIZE(strings))]
                        : c == 'o' ? paths[roll(g, ARRAY_SIZE(paths))]
                                   : sigs[roll(g, ARRAY_SIZE(sigs))];

        put(g, strlen(s), c == 'g' ? 1 : 4);
        memcpy(g->data + g->n, s, strlen(s) + 1);
        g->n += strlen(s) + 1;
}

static void gen_value(struct gen *g, const char *sig, unsigned depth);

static void gen_array(struct gen *g, const char *sig, unsigned depth)
{
        unsigned elements = g->n > BODY_MAX / 4 ? 0 : roll(g, roll(g, 10) ? 5 : 100);
        size_t at, start;

        put(g, 0, 4);
        at = g->n - 4;
        align(g, type_align(sig[1]));
        start = g->n;
        for (unsigned i = 0; i < elements && g->n < BODY_MAX / 2; i++)
                gen_value(g, sig + 1, depth);
        elements = g->n - start;
        start = g->n;
        g->n = at;
        put(g, elements, 4);
        g->n = start;
}

static void gen_value(struct gen *g, const char *sig, unsigned depth)
{
        char inner[256];
        size_t n;

        switch (*sig) {
        case 'a':
                gen_array(g, sig, depth);
                break;
        case '(':
        case '{':
                align(g, 8);
                for (const char *p = sig + 1; *p != ')' && *p != '}';
                     p += signature_next(p, strlen(p)))
                        gen_value(g, p, depth);
                break;
        case 'v':
                n = gen_type(g, inner, depth ? 1 : 0);
                inner[n] = '\0';
                put(g, n, 1);
                memcpy(g->data + g->n, inner, n + 1);
                g->n += n + 1;
                gen_value(g, inner, depth ? depth - 1 : 0);
                break;
        case 's':
        case 'o':
        case 'g':
                put_text(g, *sig);
                break;
        case 'b':
                put(g, roll(g, 2), 4);
                break;
        default:
                put(g, ((uint64_t)roll(g, 1u << 31) << 33) ^ roll(g, 1u << 31), type_size(*sig));
        }
}

void random_body(struct random_body *out, unsigned seed, bool swap)
{
        struct gen g = {.state = seed * 2654435761u + 1, .swap = swap};

        /* room for what one more element can add, whatever it is */
        g.data = calloc(1, 64 * BODY_MAX);
        if (!g.data)
                abort();
        out->siglen = 0;
        for (unsigned i = roll(&g, 5); i; i--) {
                char type[1024];
                size_t n = gen_type(&g, type, 3);

                if (out->siglen + n > TYPE_SIGNATURE_MAX)
                        break;
                memcpy(out->sig + out->siglen, type, n);
                out->siglen += n;
        }
        out->sig[out->siglen] = '\0';
        for (const char *p = out->sig; *p; p += signature_next(p, strlen(p)))
                gen_value(&g, p, 2);
        out->data = g.data;
        out->n = g.n;
}
