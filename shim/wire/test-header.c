/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Headers: each rule broken alone, in both byte orders; and what is sent on. */

#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "shim/wire/bytes.h"
#include "shim/wire/error.h"
#include "shim/wire/header.h"
#include "shim/wire/test-wire.h"
#include "shim/wire/type.h"

/* A message type and its fields as words: 1o:/a is PATH "/a", 5u:7 is REPLY_SERIAL 7. */
static void build(struct raw *raw, uint8_t type, const char *fields)
{
        char *copy = strdup(fields), *save = NULL, *value, kind[2] = {0};

        raw_begin(raw, type);
        for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
                uint8_t code = strtoul(w, &value, 10);

                kind[0] = *value;
                if (*value == 'u')
                        raw_field_u32(raw, code, strtoul(value + 2, NULL, 0));
                else
                        raw_field(raw, code, kind, value + 2);
        }
        raw_end(raw);
        free(copy);
}

/* parse() - from memory of its own, so that a sanitizer sees a step too far */
static int parse(struct header *h, const uint8_t *msg, size_t n)
{
        uint8_t *copy = malloc(n ? n : 1);
        int r;

        memcpy(copy, msg, n);
        r = header_parse(h, copy, n);
        free(copy);
        return r;
}

#define CALL "1o:/a 3s:M"

static const struct {
        uint8_t type;
        const char *fields;
        int error;
} headers[] = {
        {1, "1o:/a 3s:M", 0},
        {1, "1o:/a 2s:a.b 3s:M 6s:c.d", 0},
        {1, "3s:M 6s::1.5 1o:/", 0},
        {2, "5u:7", 0},
        {2, "5u:7 6s::1.2 8g:su", 0},
        {3, "5u:7 4s:a.Error", 0},
        {4, "1o:/a 2s:a.b 3s:M", 0},
        {4, "1o:/a 2s:a.b 3s:M 6s::1.2", 0},
        {5, "", 0}, /* types from the future need nothing */
        {255, CALL, 0},
        {1, CALL " 5u:7", 0}, /* meaningless, legal */
        {1, CALL " 4s:a.b", 0},
        {1, CALL " 9u:0", 0},
        {1, CALL " 9u:3", 0},
        {1, CALL " 7s::1.9", 0},
        {1, CALL " 7s:org.freedesktop.DBus", 0},
        {1, CALL " 10o:/", 0},
        {1, CALL " 11s:x", 0},
        {1, CALL " 255u:1 255u:1", 0},
        {1, CALL " 6s::1", 0},
        {1, CALL " 8g:", 0},
        {1, "3s:M", WIRE_E_NO_PATH},
        {1, "1o:/a", WIRE_E_NO_MEMBER},
        {2, "", WIRE_E_NO_REPLY_SERIAL},
        {3, "5u:7", WIRE_E_NO_ERROR_NAME},
        {3, "4s:a.b", WIRE_E_NO_REPLY_SERIAL},
        {4, "2s:a.b 3s:M", WIRE_E_NO_PATH},
        {4, "1o:/a 2s:a.b", WIRE_E_NO_MEMBER},
        {4, "1o:/a 3s:M", WIRE_E_NO_INTERFACE},
        {2, "5u:0", WIRE_E_REPLY_SERIAL},
        {1, CALL " 0s:x", WIRE_E_FIELD_CODE},
        {1, "1s:/a 3s:M", WIRE_E_FIELD_TYPE},
        {1, "1o:/a 3o:/M", WIRE_E_FIELD_TYPE},
        {1, CALL " 5s:x", WIRE_E_FIELD_TYPE},
        {1, CALL " 6o:/x", WIRE_E_FIELD_TYPE},
        {1, CALL " 8s:x", WIRE_E_FIELD_TYPE},
        {1, CALL " 9s:x", WIRE_E_FIELD_TYPE},
        {1, CALL " 10s:/x", WIRE_E_FIELD_TYPE},
        {1, CALL " 3s:M", WIRE_E_FIELD_DUPLICATE},
        {1, CALL " 7s:a.b 7s:a.b", WIRE_E_FIELD_DUPLICATE},
        {1, CALL " 8g:s 8g:s", WIRE_E_FIELD_DUPLICATE},
        {1, CALL " 10o:/ 10o:/", WIRE_E_FIELD_DUPLICATE},
        {1, "1o:a 3s:M", WIRE_E_PATH},
        {1, "1o:/a/ 3s:M", WIRE_E_PATH},
        {1, CALL " 10o:x", WIRE_E_PATH},
        {1, CALL " 2s:a", WIRE_E_INTERFACE},
        {1, CALL " 2s:a-b.c", WIRE_E_INTERFACE},
        {1, "1o:/a 3s:a.b", WIRE_E_MEMBER},
        {1, "1o:/a 3s:", WIRE_E_MEMBER},
        {3, "5u:7 4s:Error", WIRE_E_ERROR_NAME},
        {1, CALL " 6s:x", WIRE_E_BUS_NAME},
        {1, CALL " 6s:1.a", WIRE_E_BUS_NAME},
        {1, CALL " 7s:x", WIRE_E_BUS_NAME},
        {1, CALL " 8g:()", WIRE_E_SIGNATURE_STRUCT},
        {1, CALL " 8g:a", WIRE_E_SIGNATURE_ARRAY},
        {1, CALL " 11a:x", WIRE_E_SIGNATURE_ARRAY},
        {1, "1o:/org/freedesktop/DBus/Local 3s:M", WIRE_E_LOCAL_PATH},
        {1, "1o:/org/freedesktop/DBus/Local/x 3s:M", WIRE_E_LOCAL_PATH},
        {1, "1o:/org/freedesktop/DBus/Loca 3s:M", 0},
        {1, CALL " 2s:org.freedesktop.DBus.Local", WIRE_E_LOCAL_INTERFACE},
        {1, CALL " 2s:org.freedesktop.DBus.Loca", 0},
};

START_TEST(headers_obey_the_rules)
{
        for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
                for (int big = 0; big < 2; big++) {
                        struct raw raw = {.big = big};
                        struct header h;

                        build(&raw, headers[i].type, headers[i].fields);
                        ck_assert_msg(parse(&h, raw.b, raw.n) == headers[i].error, "%s",
                                      headers[i].fields);
                }
}
END_TEST

static void expect_text(const uint8_t *msg, struct span span, const char *text)
{
        ck_assert_str_eq(header_text(msg, span), text);
        ck_assert_uint_eq(span.len, strlen(text));
}

START_TEST(a_header_is_taken_apart)
{
        for (int big = 0; big < 2; big++) {
                struct raw raw = {.big = big};
                struct header h;

                build(&raw, 3, "1o:/a/b 2s:i.f 3s:Mem 4s:e.n 5u:9 6s::1.2 7s::1.3 8g:ay 9u:2");
                raw.b[2] = 0x85;
                raw_patch32(&raw, 4, 20);
                ck_assert_int_eq(header_parse(&h, raw.b, raw.n), 0);
                ck_assert_int_eq(h.endian, big ? 'B' : 'l');
                ck_assert_int_eq(h.swap, h.endian != bytes_native());
                ck_assert_uint_eq(h.type, HEADER_ERROR);
                ck_assert_uint_eq(h.flags, 0x85);
                ck_assert_uint_eq(h.serial, 77);
                ck_assert_uint_eq(h.reply_serial, 9);
                ck_assert_uint_eq(h.n_fds, 2);
                ck_assert_uint_eq(h.size, raw.n);
                ck_assert_uint_eq(h.body_size, 20);
                ck_assert(h.unfiltered);
                expect_text(raw.b, h.path, "/a/b");
                expect_text(raw.b, h.interface, "i.f");
                expect_text(raw.b, h.member, "Mem");
                expect_text(raw.b, h.error_name, "e.n");
                expect_text(raw.b, h.destination, ":1.2");
                expect_text(raw.b, h.sender, ":1.3");
                expect_text(raw.b, h.signature, "ay");
        }
}
END_TEST

START_TEST(what_is_absent_is_null)
{
        struct raw raw = {0};
        struct header h;

        build(&raw, 1, CALL);
        ck_assert_int_eq(header_parse(&h, raw.b, raw.n), 0);
        ck_assert_ptr_null(header_text(raw.b, h.sender));
        ck_assert_ptr_null(header_text(raw.b, h.signature));
        ck_assert_uint_eq(h.reply_serial, 0);
        ck_assert(!h.unfiltered);
}
END_TEST

START_TEST(a_header_cut_anywhere_is_no_header)
{
        for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
                struct raw raw = {.big = i & 1};
                struct header h;

                build(&raw, headers[i].type, headers[i].fields);
                for (size_t n = 0; n < raw.n; n++)
                        ck_assert_int_ne(parse(&h, raw.b, n), 0);
        }
}
END_TEST

START_TEST(a_shorter_field_array_is_no_header)
{
        for (int big = 0; big < 2; big++) {
                struct raw raw = {.big = big};
                struct header h;
                size_t whole;

                build(&raw, 1, CALL " 2s:a.b 6s:c.d 8g:s 9u:1");
                whole = raw.n - 16;
                for (size_t n = 0; n < whole; n++) {
                        size_t size = 16 + (n + 7) / 8 * 8;
                        int r;

                        raw_patch32(&raw, 12, n);
                        r = parse(&h, raw.b, size);
                        /* a cut between fields leaves a header, if what is left suffices */
                        if (!r)
                                ck_assert(h.path.off && h.member.off);
                        else
                                ck_assert_int_gt(r, 0);
                }
        }
}
END_TEST

static int parse_changed(size_t at, uint8_t value)
{
        struct raw raw = {0};
        struct header h;

        build(&raw, 1, CALL);
        raw.b[at] = value;
        return parse(&h, raw.b, raw.n);
}

START_TEST(the_fixed_part_is_judged)
{
        ck_assert_int_eq(parse_changed(0, 'b'), WIRE_E_ENDIAN);
        ck_assert_int_eq(parse_changed(0, 0), WIRE_E_ENDIAN);
        ck_assert_int_eq(parse_changed(1, 0), WIRE_E_TYPE);
        ck_assert_int_eq(parse_changed(2, 0xff), 0);
        ck_assert_int_eq(parse_changed(3, 0), WIRE_E_VERSION);
        ck_assert_int_eq(parse_changed(3, 2), WIRE_E_VERSION);
        ck_assert_int_eq(parse_changed(8, 0), WIRE_E_SERIAL);
}
END_TEST

START_TEST(padding_is_zero)
{
        /* "1o:/a": 16..26, padding to 32; "3s:M": 32..42, padding to 48 */
        for (size_t i = 27; i < 32; i++)
                ck_assert_int_eq(parse_changed(i, 1), WIRE_E_PADDING);
        for (size_t i = 42; i < 48; i++)
                ck_assert_int_eq(parse_changed(i, 1), WIRE_E_PADDING);
}
END_TEST

START_TEST(strings_end_in_nul)
{
        ck_assert_int_eq(parse_changed(26, 'x'), WIRE_E_UNTERMINATED);
        ck_assert_int_eq(parse_changed(41, 'x'), WIRE_E_UNTERMINATED);
}
END_TEST

START_TEST(lengths_stay_inside)
{
        for (size_t i = 20; i < 24; i++) {
                int r = parse_changed(i, 0xff);

                ck_assert_int_eq(r, WIRE_E_TRUNCATED);
        }
}
END_TEST

START_TEST(padding_behind_the_last_field_is_not_in_the_array)
{
        struct raw raw = {0};
        struct header h;

        build(&raw, 1, CALL);
        raw_patch32(&raw, 12, raw.n - 16);
        ck_assert_int_eq(parse(&h, raw.b, raw.n), WIRE_E_FIELD_LENGTH);
}
END_TEST

START_TEST(unknown_fields_may_have_any_type)
{
        static const char *const types[] = {"v g:a{sv} [8 s:k g:u u1 ]", "(yu) p8 y1 u2",
                                            "at [8 t1 t2 ]", "as [ s:a s: ]"};

        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                struct raw raw = {0};
                struct header h;
                char sig[16];
                const char *words = strchr(types[i], ' ');

                raw_begin(&raw, 1);
                raw_field(&raw, 1, "o", "/a");
                raw_align(&raw, 8);
                raw_u8(&raw, 99);
                snprintf(sig, sizeof(sig), "%.*s", (int)(words - types[i]), types[i]);
                raw_signature(&raw, sig);
                raw_write(&raw, words);
                raw_field(&raw, 3, "s", "M");
                raw_end(&raw);
                ck_assert_msg(!parse(&h, raw.b, raw.n), "%s", types[i]);
                ck_assert(h.unfiltered);
        }
}
END_TEST

static int parse_variants(unsigned depth)
{
        struct raw raw = {0};
        struct header h;

        raw_begin(&raw, 5);
        raw_u8(&raw, 99);
        for (unsigned i = 0; i + 1 < depth; i++)
                raw_signature(&raw, "v");
        raw_signature(&raw, "y");
        raw_u8(&raw, 1);
        raw_end(&raw);
        return parse(&h, raw.b, raw.n);
}

START_TEST(the_field_array_counts_as_nesting)
{
        ck_assert_int_eq(parse_variants(62), 0); /* array and struct around them make 64 */
        ck_assert_int_eq(parse_variants(63), WIRE_E_DEPTH);
}
END_TEST

static int frame(uint32_t fields, uint32_t body, uint32_t max, uint32_t *header, uint32_t *total)
{
        struct raw raw = {.big = true};

        build(&raw, 1, CALL);
        raw_patch32(&raw, 4, body);
        raw_patch32(&raw, 12, fields);
        return header_frame(raw.b, max, header, total);
}

/* Both ways to the same verdict and, but for who wrote the memo, the same header. */
static void parse_both(const struct header_memo *like, const uint8_t *msg, size_t n)
{
        struct header_memo memo = *like;
        struct header alone = {}, after = {};
        int r = header_parse(&alone, msg, n);

        ck_assert_int_eq(header_parse_like(&after, &memo, msg, n), r);
        ck_assert(!memcmp(&alone, &after, sizeof(alone)));
        ck_assert(!r || !memcmp(&memo, like, sizeof(memo)));
}

/* The second message is each of the table, and the first one with any one byte changed. */
static void try_after(struct raw *first)
{
        static const uint8_t others[] = {0, 1, 'B', 'l', 0x7f, 0xff};
        struct header_memo memo = {};
        struct header h;

        header_parse_like(&h, &memo, first->b, first->n);
        for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
                struct raw second = {.big = first->big};

                build(&second, headers[i].type, headers[i].fields);
                parse_both(&memo, second.b, second.n);
        }
        for (size_t at = 0; at < first->n; at++)
                for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
                        struct raw second = *first;

                        second.b[at] = others[i];
                        parse_both(&memo, second.b, second.n);
                        parse_both(&memo, second.b, at);
                }
}

START_TEST(a_header_is_judged_the_same_after_any_other)
{
        for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
                for (int big = 0; big < 2; big++) {
                        struct raw raw = {.big = big};

                        build(&raw, headers[i].type, headers[i].fields);
                        try_after(&raw);
                }
}
END_TEST

START_TEST(the_first_bytes_say_how_long_a_message_is)
{
        uint32_t header, total;

        ck_assert_int_eq(frame(33, 100, 1000, &header, &total), 0);
        ck_assert_uint_eq(header, 56);
        ck_assert_uint_eq(total, 156);
        ck_assert_int_eq(frame(32, 0, 48, &header, &total), 0);
        ck_assert_uint_eq(total, 48);
        ck_assert_int_eq(frame(32, 1, 48, NULL, &total), WIRE_E_MESSAGE_SIZE);
        ck_assert_int_eq(frame(1 << 26, 0, UINT32_MAX, NULL, &total), 0);
        ck_assert_int_eq(frame((1 << 26) + 1, 0, UINT32_MAX, NULL, &total), WIRE_E_FIELDS_SIZE);
        ck_assert_int_eq(frame(0, (1 << 27) - 16, UINT32_MAX, NULL, &total), 0);
        ck_assert_uint_eq(total, 1 << 27);
        ck_assert_int_eq(frame(0, (1 << 27) - 15, UINT32_MAX, NULL, &total), WIRE_E_MESSAGE_SIZE);
        ck_assert_int_eq(frame(0, UINT32_MAX, UINT32_MAX, NULL, &total), WIRE_E_MESSAGE_SIZE);
        ck_assert_int_eq(frame(UINT32_MAX, 0, UINT32_MAX, NULL, &total), WIRE_E_FIELDS_SIZE);
}
END_TEST

/* --- stamping ----------------------------------------------------------------------------- */

static void same_text(const uint8_t *a, struct span x, const uint8_t *b, struct span y)
{
        ck_assert_int_eq(!x.off, !y.off);
        ck_assert_uint_eq(x.len, y.len);
        if (x.off)
                ck_assert_mem_eq(a + x.off, b + y.off, x.len + 1);
}

/* stamp() - stamp a message, parse the result and compare; says whether bytes stayed in place */
static bool stamp(struct raw *raw, const char *sender, const char *container)
{
        struct header before, after, again;
        uint8_t *out;
        size_t room, n;
        bool in_place;

        ck_assert_int_eq(header_parse(&before, raw->b, raw->n), 0);
        after = before;
        room = header_stamp_size(&before, sender ? strlen(sender) : 0,
                                 container ? strlen(container) : 0);
        out = malloc(room);
        n = header_stamp(out, &after, raw->b, sender, sender ? strlen(sender) : 0, container,
                         container ? strlen(container) : 0);
        ck_assert_uint_le(n, room);
        ck_assert_uint_eq(n % 8, 0);
        ck_assert_int_eq(header_parse(&again, out, n), 0);
        again.unfiltered = false;
        ck_assert_mem_eq(&again, &after, sizeof(after));
        same_text(raw->b, before.path, out, after.path);
        same_text(raw->b, before.interface, out, after.interface);
        same_text(raw->b, before.member, out, after.member);
        same_text(raw->b, before.error_name, out, after.error_name);
        same_text(raw->b, before.destination, out, after.destination);
        same_text(raw->b, before.signature, out, after.signature);
        ck_assert_mem_eq(out, raw->b, 12);
        ck_assert_uint_eq(before.reply_serial, after.reply_serial);
        ck_assert_uint_eq(before.n_fds, after.n_fds);
        ck_assert_uint_eq(before.body_size, after.body_size);
        if (sender)
                expect_text(out, after.sender, sender);
        else
                ck_assert_ptr_null(header_text(out, after.sender));
        ck_assert_int_eq(!!container, !!memmem(out, n, "\x0a\x01o", 4));
        ck_assert_ptr_null(memmem(out, n, "\x63\x01s", 4));
        in_place = !memcmp(out + 16, raw->b + 16, before.fields_size);
        free(out);
        return in_place;
}

static const char *const stampable[] = {
        CALL,
        CALL " 6s:c.d",
        "3s:M 1o:/a/b/c/d 2s:a.b.c 6s::1.5 8g:a{sv} 9u:1",
        "9u:3 5u:7 8g:s 4s:a.b 3s:Mm 2s:a.b 1o:/",
};

START_TEST(a_clean_header_is_copied_and_the_sender_appended)
{
        for (size_t i = 0; i < 2 * ARRAY_SIZE(stampable); i++) {
                struct raw raw = {.big = i & 1};

                build(&raw, 1, stampable[i / 2]);
                ck_assert(stamp(&raw, ":1.4711", NULL));
                ck_assert(stamp(&raw, ":1.4711", "/org/c1"));
                ck_assert(stamp(&raw, NULL, NULL));
        }
}
END_TEST

START_TEST(what_a_client_may_not_say_is_taken_out)
{
        static const char *const extra[] = {"7s::1.9", "7s:org.freedesktop.DBus", "10o:/x",
                                            "99s:secret", "99s:a 99s:b 7s:a.b 10o:/"};

        for (size_t i = 0; i < 2 * ARRAY_SIZE(stampable); i++)
                for (size_t j = 0; j < ARRAY_SIZE(extra); j++) {
                        struct raw raw = {.big = i & 1};
                        char fields[256];

                        snprintf(fields, sizeof(fields), "%s %s", extra[j], stampable[i / 2]);
                        build(&raw, 1, fields);
                        ck_assert(!stamp(&raw, ":1.1", NULL));
                        stamp(&raw, ":1.1", "/org/c1");
                        stamp(&raw, NULL, NULL);
                }
}
END_TEST

int main(void)
{
        return WIRE_RUN("header", headers_obey_the_rules, a_header_is_taken_apart,
                        what_is_absent_is_null, a_header_cut_anywhere_is_no_header,
                        a_shorter_field_array_is_no_header, the_fixed_part_is_judged,
                        padding_is_zero, strings_end_in_nul, lengths_stay_inside,
                        padding_behind_the_last_field_is_not_in_the_array,
                        unknown_fields_may_have_any_type, the_field_array_counts_as_nesting,
                        a_header_is_judged_the_same_after_any_other,
                        the_first_bytes_say_how_long_a_message_is,
                        a_clean_header_is_copied_and_the_sender_appended,
                        what_a_client_may_not_say_is_taken_out);
}
