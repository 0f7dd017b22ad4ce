/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Fuzz target: a version 2 message, a D-Bus message, and one made up from the input, so that many
 * are valid. A valid D-Bus message comes back from version 2 with all it said, in either byte
 * order and either style; what is accepted of version 2 comes back the same from D-Bus.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shim/wire/body.h"
#include "shim/wire/reader.h"
#include "shim/wire/test-transcode-kit.h"
#include "shim/wire/transcode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int to_v2(struct gvariant_buf *out, struct header *h, const uint8_t *msg, size_t n,
                 enum transcode_style style)
{
        uint32_t head, total;

        if (n < HEADER_FIXED || header_frame(msg, 1 << 20, &head, &total) || total != n ||
            header_parse(h, msg, n) || h->type > HEADER_SIGNAL)
                return -1;
        if (body_validate(header_text(msg, h->signature), h->signature.len, h->swap, msg + h->size,
                          h->body_size, NULL))
                return -1;
        return transcode_to_v2(out, h, msg, msg + h->size, style, false);
}

/* --- is it the same message? --- */

static void same_text(const uint8_t *a, struct span in_a, const uint8_t *b, struct span in_b)
{
        assert(!in_a.off == !in_b.off && in_a.len == in_b.len);
        assert(!in_a.off || memcmp(a + in_a.off, b + in_b.off, in_a.len) == 0);
}

static void same_header(const struct header *a, const uint8_t *in_a, const struct header *b,
                        const uint8_t *in_b)
{
        assert(a->type == b->type && (a->flags & 7) == b->flags && !b->swap);
        assert(a->serial == b->serial && a->reply_serial == b->reply_serial);
        assert(a->n_fds == b->n_fds);
        same_text(in_a, a->path, in_b, b->path);
        same_text(in_a, a->interface, in_b, b->interface);
        same_text(in_a, a->member, in_b, b->member);
        same_text(in_a, a->error_name, in_b, b->error_name);
        same_text(in_a, a->destination, in_b, b->destination);
        if (a->signature.len)
                same_text(in_a, a->signature, in_b, b->signature);
}

static void same_string(struct reader *a, struct reader *b)
{
        int (*read)(struct reader *, const char **, size_t *) =
                reader_peek(a) == 's' ? reader_string : reader_peek(a) == 'o' ? reader_path : reader_signature;
        const char *x, *y;
        size_t n_x, n_y;

        assert(!read(a, &x, &n_x) && !read(b, &y, &n_y));
        assert(n_x == n_y && memcmp(x, y, n_x) == 0);
}

#define SAME_NUMBER(read, type)                                                                     \
        do {                                                                                        \
                type x, y;                                                                          \
                assert(!read(a, &x) && !read(b, &y) && memcmp(&x, &y, sizeof(x)) == 0);             \
        } while (0)

static void same_basic(struct reader *a, struct reader *b)
{
        switch (reader_peek(a)) {
        case 'y': SAME_NUMBER(reader_byte, uint8_t); break;
        case 'b': SAME_NUMBER(reader_bool, bool); break;
        case 'n': SAME_NUMBER(reader_i16, int16_t); break;
        case 'q': SAME_NUMBER(reader_u16, uint16_t); break;
        case 'i': SAME_NUMBER(reader_i32, int32_t); break;
        case 'u': SAME_NUMBER(reader_u32, uint32_t); break;
        case 'x': SAME_NUMBER(reader_i64, int64_t); break;
        case 't': SAME_NUMBER(reader_u64, uint64_t); break;
        case 'd': SAME_NUMBER(reader_double, double); break;
        case 'h': SAME_NUMBER(reader_fd, uint32_t); break;
        default: same_string(a, b);
        }
}

static void same_values(struct reader *a, struct reader *b)
{
        unsigned depth = 0;

        for (;;) {
                char type = reader_peek(a);

                assert(reader_peek(b) == type);
                if (type == 'a' || type == '(' || type == '{' || type == 'v') {
                        assert(!reader_enter(a, type) && !reader_enter(b, type));
                        depth++;
                } else if (type) {
                        same_basic(a, b);
                } else if (depth) {
                        assert(!reader_leave(a) && !reader_leave(b));
                        depth--;
                } else {
                        return;
                }
        }
}

/* @b: in this machine's order, whatever that of @a is */
static void same_message(const struct header *a, const uint8_t *in_a, const uint8_t *in_b, size_t n)
{
        struct reader x, y;
        struct header b;

        assert(!header_parse(&b, in_b, n) && b.size + b.body_size == n);
        assert(!body_validate(header_text(in_b, b.signature), b.signature.len, false, in_b + b.size,
                              b.body_size, NULL));
        same_header(a, in_a, &b, in_b);
        assert(a->body_size == b.body_size);
        if (!a->swap)
                assert(memcmp(in_a + a->size, in_b + b.size, a->body_size) == 0);
        reader_init_message(&x, a, in_a);
        reader_init_message(&y, &b, in_b);
        same_values(&x, &y);
}

/* --- there and back --- */

/* @msg: D-Bus */
static void round_trip(const uint8_t *msg, size_t n, enum transcode_style style)
{
        struct gvariant_buf a = GVARIANT_BUF_NULL, b = GVARIANT_BUF_NULL, c = GVARIANT_BUF_NULL;
        struct transcode_info info;
        struct header h, again;

        if (!to_v2(&a, &h, msg, n, style)) {
                assert(!transcode_from_v2(&b, &info, style, a.data, a.n, NULL, NULL));
                assert(info.style == style);
                same_message(&h, msg, b.data, b.n);
                assert(!to_v2(&c, &again, b.data, b.n, style));
                assert(a.n == c.n && !memcmp(a.data, c.data, a.n));
        }
        gvariant_buf_deinit(&a);
        gvariant_buf_deinit(&b);
        gvariant_buf_deinit(&c);
}

static void put_number(struct gvariant_buf *b, uint32_t v, bool swap)
{
        v = swap ? __builtin_bswap32(v) : v;
        gvariant_buf_put(b, &v, sizeof(v));
}

/* a signal with a random body: valid by construction */
static void made_up(unsigned seed, bool swap, enum transcode_style style)
{
        const bool little = (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) != swap;
        uint8_t head[] = {little ? 'l' : 'B', HEADER_SIGNAL, HEADER_NO_REPLY_EXPECTED, 1};
        static const uint8_t codes[] = {FIELD_PATH, FIELD_INTERFACE, FIELD_MEMBER};
        static const char *const texts[] = {"/a", "a.b", "C"};
        struct gvariant_buf b = GVARIANT_BUF_NULL;
        struct random_body body;
        uint32_t n;

        random_body(&body, seed, swap);
        gvariant_buf_put(&b, head, sizeof(head));
        put_number(&b, body.n, swap);
        put_number(&b, 1, swap);
        put_number(&b, 0, swap);
        for (unsigned i = 0; i < 3; i++) {
                uint8_t field[] = {codes[i], 1, i ? 's' : 'o', 0};

                gvariant_buf_align(&b, 8);
                gvariant_buf_put(&b, field, sizeof(field));
                put_number(&b, strlen(texts[i]), swap);
                gvariant_buf_put(&b, texts[i], strlen(texts[i]) + 1);
        }
        gvariant_buf_align(&b, 8);
        gvariant_buf_put(&b, (uint8_t[]){FIELD_SIGNATURE, 1, 'g', 0, body.siglen}, 5);
        gvariant_buf_put(&b, body.sig, body.siglen + 1);
        n = b.n - HEADER_FIXED;
        n = swap ? __builtin_bswap32(n) : n;
        memcpy(b.data + 12, &n, 4);
        gvariant_buf_align(&b, 8);
        gvariant_buf_put(&b, body.data, body.n);
        free(body.data);
        round_trip(b.data, b.n, style);
        gvariant_buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        struct gvariant_buf out = GVARIANT_BUF_NULL;
        struct transcode_info info;
        uint8_t *copy = malloc(n ? n : 1); /* aligned, and with an end that sanitizers know */
        unsigned seed;

        if (!copy)
                return 0;
        memcpy(copy, data, n);
        if (n == sizeof(seed) + 1) {
                memcpy(&seed, data, sizeof(seed));
                made_up(seed, data[4] & 1, data[4] & 2 ? TRANSCODE_BARE : TRANSCODE_PARENTHESES);
        }
        for (enum transcode_style style = TRANSCODE_PARENTHESES; style <= TRANSCODE_BARE; style++) {
                if (!transcode_from_v2(&out, &info, style, copy, n, NULL, NULL))
                        round_trip(out.data, out.n, info.style);
                gvariant_buf_deinit(&out);
                out = GVARIANT_BUF_NULL;
                round_trip(copy, n, style);
        }
        free(copy);
        return 0;
}
