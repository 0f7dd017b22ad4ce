/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Writer and reader: what is written is legal, says what was meant, and is read back; what is asked
 * for wrongly is refused; memory may run out anywhere.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "shim/wire/body.h"
#include "shim/wire/bytes.h"
#include "shim/wire/error.h"
#include "shim/wire/reader.h"
#include "shim/wire/test-wire.h"
#include "shim/wire/type.h"
#include "shim/wire/writer.h"

static int reallocs_left = -1; /* negative: as many as wanted */

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_realloc(void *p, size_t n)
{
        if (!reallocs_left)
                return NULL;
        reallocs_left -= reallocs_left > 0;
        return __real_realloc(p, n);
}

/* begin() - a signal with this body signature */
static void begin(struct writer *w, const char *signature)
{
        writer_init(w, HEADER_SIGNAL, HEADER_NO_REPLY_EXPECTED, 5);
        writer_field(w, FIELD_PATH, "/a");
        writer_field(w, FIELD_INTERFACE, "a.b");
        writer_field(w, FIELD_MEMBER, "M");
        writer_body(w, signature);
}

/* finish() - end a message and hold it against the judges; caller frees */
static uint8_t *finish(struct writer *w, struct header *h)
{
        struct header parsed;
        uint8_t *msg = NULL;
        size_t n = 0;

        ck_assert_int_eq(writer_finish(w, &msg, &n, h), 0);
        ck_assert_int_eq(header_parse(&parsed, msg, n), 0);
        parsed.unfiltered = h->unfiltered;
        ck_assert_mem_eq(&parsed, h, sizeof(parsed));
        ck_assert_uint_eq(n, h->size + h->body_size);
        ck_assert_int_eq(body_validate((const char *)msg + h->signature.off, h->signature.len,
                                       h->swap, msg + h->size, h->body_size, NULL),
                         0);
        return msg;
}

/* expect_body() - the body has exactly the bytes written by hand */
static void expect_body(const uint8_t *msg, const struct header *h, const char *words)
{
        struct raw raw = {.big = bytes_native() == 'B'};

        raw_write(&raw, words);
        ck_assert_uint_eq(h->body_size, raw.n);
        ck_assert_mem_eq(msg + h->size, raw.b, raw.n);
}

START_TEST(a_header_is_written)
{
        _cleanup_(freep) uint8_t *msg = NULL;
        struct raw raw = {.big = bytes_native() == 'B'};
        struct writer w;
        struct header h;

        writer_init(&w, HEADER_ERROR, HEADER_NO_REPLY_EXPECTED, 77);
        writer_field(&w, FIELD_ERROR_NAME, "a.Error");
        writer_field_u32(&w, FIELD_REPLY_SERIAL, 9);
        writer_field(&w, FIELD_DESTINATION, ":1.2");
        writer_field(&w, FIELD_SENDER, "c.d");
        writer_field(&w, FIELD_PATH, NULL);
        writer_field_u32(&w, FIELD_UNIX_FDS, 0);
        msg = finish(&w, &h);

        raw_begin(&raw, 3);
        raw.b[2] = 1;
        raw_field(&raw, 4, "s", "a.Error");
        raw_field_u32(&raw, 5, 9);
        raw_field(&raw, 6, "s", ":1.2");
        raw_field(&raw, 7, "s", "c.d");
        raw_end(&raw);
        ck_assert_uint_eq(h.size, raw.n);
        ck_assert_mem_eq(msg, raw.b, raw.n);
}
END_TEST

START_TEST(every_type_is_written_and_read)
{
        _cleanup_(freep) uint8_t *msg = NULL;
        struct writer w;
        struct reader r;
        struct header h;
        uint8_t y;
        bool b;
        int16_t n;
        uint16_t q;
        int32_t i;
        uint32_t u, fd;
        int64_t x;
        uint64_t t;
        double d;
        const char *s, *o, *g;
        size_t len;

        begin(&w, "ybnqiuxtdhsog");
        writer_byte(&w, 200);
        writer_bool(&w, true);
        writer_i16(&w, -2);
        writer_u16(&w, 65535);
        writer_i32(&w, -3);
        writer_u32(&w, 4000000000);
        writer_i64(&w, -4);
        writer_u64(&w, UINT64_MAX);
        writer_double(&w, 1.5);
        writer_fd(&w, 3);
        writer_string(&w, "text");
        writer_path(&w, "/p");
        writer_signature(&w, "a{sv}");
        msg = finish(&w, &h);
        expect_body(msg, &h,
                    "y200 u1 q0xfffe q0xffff u0xfffffffd u4000000000 t0xfffffffffffffffc "
                    "t0xffffffffffffffff t0x3ff8000000000000 u3 s:text s:/p g:a{sv}");

        reader_init_message(&r, &h, msg);
        ck_assert_int_eq(reader_byte(&r, &y) | reader_bool(&r, &b) | reader_i16(&r, &n) |
                                 reader_u16(&r, &q) | reader_i32(&r, &i) | reader_u32(&r, &u) |
                                 reader_i64(&r, &x) | reader_u64(&r, &t) | reader_double(&r, &d) |
                                 reader_fd(&r, &fd) | reader_string(&r, &s, &len) |
                                 reader_path(&r, &o, NULL) | reader_signature(&r, &g, NULL),
                         0);
        ck_assert_int_eq(reader_peek(&r), 0);
        ck_assert(y == 200 && b && n == -2 && q == 65535 && i == -3 && u == 4000000000);
        ck_assert(x == -4 && t == UINT64_MAX && d == 1.5 && fd == 3 && len == 4);
        ck_assert_str_eq(s, "text");
        ck_assert_str_eq(o, "/p");
        ck_assert_str_eq(g, "a{sv}");
}
END_TEST

START_TEST(containers_are_written)
{
        _cleanup_(freep) uint8_t *msg = NULL;
        struct writer w;
        struct header h;

        begin(&w, "asa{sv}a(yt)v(sv)atay");
        writer_open(&w, 'a', NULL);
        writer_string(&w, "x");
        writer_string(&w, "yz");
        writer_close(&w);
        writer_open(&w, 'a', NULL);
        writer_dict_u32(&w, "u", 7);
        writer_dict_string(&w, "s", "t");
        writer_dict_bytes(&w, "b", "\1\2", 2);
        writer_close(&w);
        writer_open(&w, 'a', NULL);
        for (int i = 1; i < 3; i++) {
                writer_open(&w, '(', NULL);
                writer_byte(&w, i);
                writer_u64(&w, i);
                writer_close(&w);
        }
        writer_close(&w);
        writer_open(&w, 'v', "v");
        writer_open(&w, 'v', "as");
        writer_open(&w, 'a', NULL);
        writer_close(&w);
        writer_close(&w);
        writer_close(&w);
        writer_open(&w, '(', NULL);
        writer_string(&w, "k");
        writer_open(&w, 'v', "y");
        writer_byte(&w, 9);
        writer_close(&w);
        writer_close(&w);
        writer_open(&w, 'a', NULL);
        writer_close(&w);
        writer_bytes(&w, "abc", 3);
        msg = finish(&w, &h);
        expect_body(msg, &h,
                    "[ s:x s:yz ] [8 s:u g:u u7 p8 s:s g:s s:t p8 s:b g:ay [ y1 y2 ] ] "
                    "[8 y1 t1 y2 t2 ] g:v g:as [ ] p8 s:k g:y y9 [8 ] [ y97 y98 y99 ]");
}
END_TEST

static int error_of(struct writer *w)
{
        uint8_t *msg = NULL;
        size_t n;
        int r = writer_finish(w, &msg, &n, NULL);

        ck_assert_ptr_null(msg);
        return r;
}

START_TEST(what_the_signature_forbids_is_refused)
{
        struct writer w;

        begin(&w, "s");
        writer_u32(&w, 1);
        ck_assert_int_eq(error_of(&w), -EINVAL);
        begin(&w, "s");
        ck_assert_int_eq(error_of(&w), -EINVAL);
        begin(&w, "s");
        writer_string(&w, "a");
        writer_string(&w, "b");
        ck_assert_int_eq(error_of(&w), -EINVAL);
        begin(&w, "as");
        writer_open(&w, 'a', NULL);
        ck_assert_int_eq(error_of(&w), -EINVAL);
        begin(&w, "(ss)");
        writer_open(&w, '(', NULL);
        writer_string(&w, "a");
        writer_close(&w);
        ck_assert_int_eq(error_of(&w), -EINVAL);
        begin(&w, "v");
        writer_open(&w, 'v', "ss");
        ck_assert_int_eq(error_of(&w), -EINVAL);
        begin(&w, "s");
        writer_close(&w);
        ck_assert_int_eq(error_of(&w), -EINVAL);
        begin(&w, "as");
        writer_bytes(&w, "x", 1);
        ck_assert_int_eq(error_of(&w), -EINVAL);
        begin(&w, "(");
        ck_assert_int_eq(error_of(&w), -EINVAL);
}
END_TEST

START_TEST(containers_nest_to_a_limit)
{
        struct writer w;
        char sig[WRITER_DEPTH_MAX + 3] = {0};

        memset(sig, 'a', WRITER_DEPTH_MAX + 1);
        sig[WRITER_DEPTH_MAX + 1] = 'y';
        begin(&w, sig);
        for (unsigned i = 0; i <= WRITER_DEPTH_MAX; i++)
                writer_open(&w, 'a', NULL);
        ck_assert_int_eq(error_of(&w), -EINVAL);
}
END_TEST

START_TEST(text_that_is_not_utf8_is_made_legal)
{
        _cleanup_(freep) uint8_t *msg = NULL;
        struct writer w;
        struct header h;

        begin(&w, "sss");
        writer_string(&w, "caf\xe9");
        writer_string_n(&w, "a\0b", 3);
        writer_string(&w, "caf\xc3\xa9");
        msg = finish(&w, &h);
        expect_body(msg, &h, "s:caf? s:a?b s:caf\xc3\xa9");
}
END_TEST

START_TEST(a_message_has_a_greatest_size)
{
        size_t n = TYPE_MESSAGE_MAX / 3;
        _cleanup_(freep) uint8_t *big = calloc(1, n);
        struct writer w;

        begin(&w, "ayayay");
        writer_bytes(&w, big, n);
        writer_bytes(&w, big, n);
        ck_assert_int_eq(w.error, 0);
        writer_bytes(&w, big, n);
        ck_assert_int_eq(error_of(&w), -EMSGSIZE);
}
END_TEST

START_TEST(an_array_has_a_greatest_size)
{
        _cleanup_(freep) uint8_t *big = calloc(1, TYPE_ARRAY_MAX + 1);
        struct writer w;

        begin(&w, "ay");
        writer_bytes(&w, big, TYPE_ARRAY_MAX + 1);
        ck_assert_int_eq(error_of(&w), -EMSGSIZE);
}
END_TEST

START_TEST(memory_may_run_out)
{
        char text[3000];
        int r = -ENOMEM;

        memset(text, 'x', sizeof(text));
        for (int n = 0; r; n++) {
                struct writer w;
                uint8_t *msg = NULL;
                size_t size;

                reallocs_left = n;
                begin(&w, "s");
                writer_string_n(&w, text, sizeof(text));
                r = writer_finish(&w, &msg, &size, NULL);
                reallocs_left = -1;
                ck_assert(!r || r == -ENOMEM);
                ck_assert_int_eq(!msg, !!r);
                ck_assert_int_lt(n, 10);
                free(msg);
        }
}
END_TEST

START_TEST(what_was_begun_can_be_given_up)
{
        struct writer w;

        begin(&w, "as");
        writer_open(&w, 'a', NULL);
        writer_deinit(&w);
        writer_deinit(&w);
}
END_TEST

/* --- reader ------------------------------------------------------------------------------- */

/* read_raw() - a reader over bytes written by hand */
static void read_raw(struct reader *r, const char *sig, struct raw *raw, const char *words)
{
        bool swap = raw->big != (bytes_native() == 'B');

        raw_write(raw, words);
        ck_assert_int_eq(body_validate(sig, strlen(sig), swap, raw->b, raw->n, NULL), 0);
        reader_init(r, sig, strlen(sig), swap, raw->b, raw->n);
}

START_TEST(containers_are_read)
{
        for (int big = 0; big < 2; big++) {
                struct raw raw = {.big = big};
                struct reader r;
                const char *s;
                uint32_t u, sum = 0;
                uint8_t y;
                int entries = 0;

                read_raw(&r, "a{sv}(yu)v", &raw,
                         "[8 s:a g:u u1 p8 s:b g:u u2 ] p8 y3 u4 g:u u5");
                ck_assert_int_eq(reader_enter(&r, 'a'), 0);
                while (reader_peek(&r)) {
                        ck_assert_int_eq(reader_enter(&r, '{'), 0);
                        ck_assert_int_eq(reader_string(&r, &s, NULL), 0);
                        ck_assert_int_eq(reader_enter(&r, 'v'), 0);
                        ck_assert_int_eq(reader_peek(&r), 'u');
                        ck_assert_int_eq(reader_u32(&r, &u), 0);
                        ck_assert_int_eq(reader_leave(&r), 0);
                        ck_assert_int_eq(reader_leave(&r), 0);
                        ck_assert_int_eq(*s, 'a' + entries);
                        entries++;
                        sum += u;
                }
                ck_assert_int_eq(reader_leave(&r), 0);
                ck_assert_int_eq(entries, 2);
                ck_assert_uint_eq(sum, 3);
                ck_assert_int_eq(reader_enter(&r, '('), 0);
                ck_assert_int_eq(reader_byte(&r, &y), 0);
                ck_assert_int_eq(reader_u32(&r, &u), 0);
                ck_assert_uint_eq(y + u, 7);
                ck_assert_int_eq(reader_leave(&r), 0);
                ck_assert_int_eq(reader_enter(&r, 'v'), 0);
                ck_assert_int_eq(reader_u32(&r, &u), 0);
                ck_assert_uint_eq(u, 5);
                ck_assert_int_eq(reader_leave(&r), 0);
                ck_assert_int_eq(reader_peek(&r), 0);
        }
}
END_TEST

START_TEST(what_is_not_read_is_stepped_over)
{
        struct raw raw = {.big = true};
        struct reader r;
        const char *s;
        uint32_t u;

        read_raw(&r, "a{sv}(sas)vu", &raw,
                 "[8 s:a g:u u1 p8 s:b g:u u2 ] p8 s:x [ s:y s:z ] g:(ss) p8 s:p s:q u9");
        ck_assert_int_eq(reader_enter(&r, 'a'), 0);
        ck_assert_int_eq(reader_enter(&r, '{'), 0);
        ck_assert_int_eq(reader_leave(&r), 0);
        ck_assert_int_eq(reader_enter(&r, '{'), 0);
        ck_assert_int_eq(reader_string(&r, &s, NULL), 0);
        ck_assert_str_eq(s, "b");
        ck_assert_int_eq(reader_skip(&r), 0);
        ck_assert_int_eq(reader_leave(&r), 0);
        ck_assert_int_eq(reader_leave(&r), 0);
        ck_assert_int_eq(reader_enter(&r, '('), 0);
        ck_assert_int_eq(reader_string(&r, &s, NULL), 0);
        ck_assert_int_eq(reader_leave(&r), 0);
        ck_assert_int_eq(reader_skip(&r), 0);
        ck_assert_int_eq(reader_u32(&r, &u), 0);
        ck_assert_uint_eq(u, 9);
        ck_assert_int_eq(reader_skip(&r), WIRE_E_MISMATCH);
}
END_TEST

START_TEST(another_type_than_asked_for_is_a_mismatch_and_stays)
{
        struct raw raw = {0};
        struct reader r;
        const char *s;
        const uint8_t *bytes;
        size_t n;
        uint32_t u;

        raw.big = bytes_native() == 'B';
        read_raw(&r, "sas", &raw, "s:x [ s:y ]");
        ck_assert_int_eq(reader_u32(&r, &u), WIRE_E_MISMATCH);
        ck_assert_int_eq(reader_path(&r, &s, NULL), WIRE_E_MISMATCH);
        ck_assert_int_eq(reader_enter(&r, 'a'), WIRE_E_MISMATCH);
        ck_assert_int_eq(reader_leave(&r), WIRE_E_MISMATCH);
        ck_assert_int_eq(reader_string(&r, &s, NULL), 0);
        ck_assert_str_eq(s, "x");
        ck_assert_int_eq(reader_bytes(&r, &bytes, &n), WIRE_E_MISMATCH);
        ck_assert_int_eq(reader_enter(&r, 'a'), 0);
        ck_assert_int_eq(reader_string(&r, &s, NULL), 0);
        ck_assert_int_eq(reader_string(&r, &s, NULL), WIRE_E_MISMATCH);
        ck_assert_int_eq(reader_leave(&r), 0);
        ck_assert_int_eq(reader_string(&r, &s, NULL), WIRE_E_MISMATCH);
}
END_TEST

START_TEST(byte_arrays_are_read_whole)
{
        struct raw raw = {.big = true};
        struct reader r;
        const uint8_t *bytes;
        size_t n;
        uint8_t y;

        read_raw(&r, "ayayy", &raw, "[ y1 y2 y3 ] [ ] y9");
        ck_assert_int_eq(reader_bytes(&r, &bytes, &n), 0);
        ck_assert_uint_eq(n, 3);
        ck_assert_mem_eq(bytes, "\1\2\3", 3);
        ck_assert_int_eq(reader_bytes(&r, &bytes, &n), 0);
        ck_assert_uint_eq(n, 0);
        ck_assert_int_eq(reader_byte(&r, &y), 0);
        ck_assert_uint_eq(y, 9);
}
END_TEST

START_TEST(bytes_that_were_not_judged_are_not_left)
{
        static const uint8_t lies[8] = {0xff, 0xff, 0xff, 0xff, 'x', 0, 0, 0};
        struct reader r;
        const char *s;
        uint64_t t;

        reader_init(&r, "s", 1, false, lies, sizeof(lies));
        ck_assert_int_eq(reader_string(&r, &s, NULL), WIRE_E_TRUNCATED);
        reader_init(&r, "as", 2, false, lies, sizeof(lies));
        ck_assert_int_eq(reader_enter(&r, 'a'), WIRE_E_TRUNCATED);
        reader_init(&r, "v", 1, false, lies, sizeof(lies));
        ck_assert_int_eq(reader_enter(&r, 'v'), WIRE_E_TRUNCATED);
        reader_init(&r, "yt", 2, false, lies, sizeof(lies));
        ck_assert_int_eq(reader_skip(&r), 0);
        ck_assert_int_eq(reader_u64(&r, &t), WIRE_E_TRUNCATED);
}
END_TEST

int main(void)
{
        return WIRE_RUN("writer", a_header_is_written, every_type_is_written_and_read,
                        containers_are_written, what_the_signature_forbids_is_refused,
                        containers_nest_to_a_limit, text_that_is_not_utf8_is_made_legal,
                        a_message_has_a_greatest_size, an_array_has_a_greatest_size,
                        memory_may_run_out, what_was_begun_can_be_given_up, containers_are_read,
                        what_is_not_read_is_stepped_over,
                        another_type_than_asked_for_is_a_mismatch_and_stays,
                        byte_arrays_are_read_whole, bytes_that_were_not_judged_are_not_left);
}
