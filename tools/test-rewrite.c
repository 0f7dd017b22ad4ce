/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tests of rewriting and describing messages; expected bytes follow from the wire format */

#include "config.h"

#include <check.h>
#include <string.h>

#include "bus-core/util/test-run.h"
#include "shim/wire/body.h"
#include "shim/wire/bytes.h"
#include "tools/message.h"
#include "tools/rewrite.h"
#include "tools/value.h"

static const char *rename_peer(void *context, const char *name, size_t n)
{
        if (n == 4 && !memcmp(name, ":1.7", 4))
                return ":1.4711";
        return n == 5 && !memcmp(name, ":1.99", 5) ? ":1.1" : NULL;
}

/* a signal with the strings of @args, an "as" if @array */
static void make(struct buf *out, char endian, bool array, const char *const *args)
{
        bool swap = endian != bytes_native();
        char signature[16] = "as";
        size_t base, length_at = 0, n = 0;

        while (!array && args[n]) {
                signature[n++] = 's';
                signature[n] = 0;
        }
        message_begin(out, endian, HEADER_SIGNAL, 0, 42);
        message_text(out, FIELD_PATH, 'o', "/a", 2);
        message_text(out, FIELD_INTERFACE, 's', "a.b", 3);
        message_text(out, FIELD_MEMBER, 's', "C", 1);
        message_text(out, FIELD_SENDER, 's', ":1.7", 4);
        message_text(out, FIELD_SIGNATURE, 'g', signature, strlen(signature));
        base = message_body(out);
        if (array) {
                length_at = buf_n(out);
                buf_put32(out, 0, swap);
        }
        for (size_t i = 0; args[i]; i++)
                message_put_string(out, base, args[i]);
        if (array)
                buf_set32(out, length_at, (uint32_t)(buf_n(out) - length_at - 4), swap);
        message_end(out, base);
        ck_assert_int_eq(buf_error(out), 0);
}

static void parse(struct header *h, const struct buf *b)
{
        ck_assert_int_eq(header_parse(h, buf_head(b), buf_n(b)), 0);
        ck_assert_int_eq(h->size + h->body_size, buf_n(b));
        ck_assert_int_eq(body_validate(header_text(buf_head(b), h->signature), h->signature.len,
                                       h->swap, buf_head(b) + h->size, h->body_size, NULL),
                         0);
}

static const char *description(struct buf *text, const struct buf *b)
{
        struct header h;

        parse(&h, b);
        buf_reset(text);
        ck_assert_int_eq(value_describe(text, header_text(buf_head(b), h.signature),
                                        h.signature.len, h.swap, buf_head(b) + h.size, h.body_size),
                         0);
        return buf_text(text);
}

static void rewrite(struct buf *to, const struct buf *from, const struct rewrite *how)
{
        struct header h;

        parse(&h, from);
        ck_assert_int_eq(rewrite_message(to, buf_head(from), &h, how), 0);
}

struct row {
        const char *name;
        const char *args[4];
        bool array;
        struct rewrite how;
        const char *expected;
};

static const struct row rows[] = {
        { "nothing asked for", { ":1.7", "x" }, false, { 0 }, "arg0 = \":1.7\"\narg1 = \"x\"\n" },
        { "a name alone", { ":1.7", "x" }, false, { .name = rename_peer },
          "arg0 = \":1.4711\"\narg1 = \"x\"\n" },
        { "a shorter name", { ":1.99" }, false, { .name = rename_peer }, "arg0 = \":1.1\"\n" },
        { "in the middle of a rule", { "sender=':1.7',arg0=':1.99'" }, false,
          { .name = rename_peer }, "arg0 = \"sender=':1.4711',arg0=':1.1'\"\n" },
        { "an unknown name stays", { ":1.70", "a:1b" }, false, { .name = rename_peer },
          "arg0 = \":1.70\"\narg1 = \"a:1b\"\n" },
        { "in an array", { ":1.7", "b", ":1.99" }, true, { .name = rename_peer },
          "arg0[0] = \":1.4711\"\narg0[1] = \"b\"\narg0[2] = \":1.1\"\n" },
        { "sorted", { "c", "a", "b" }, true, { .sort = true },
          "arg0[0] = \"a\"\narg0[1] = \"b\"\narg0[2] = \"c\"\n" },
        { "nothing to sort", { NULL }, true, { .sort = true }, "arg0 = []\n" },
        { "blanked", { "secret", "" }, false, { .blank = REWRITE_BLANK_ALL },
          "arg0 = \"xxxxxx\"\narg1 = \"\"\n" },
        { "texts emptied", { "It failed" }, false, { .blank = REWRITE_BLANK_TEXT },
          "arg0 = \"\"\n" },
};

START_TEST(a_message_is_rewritten_as_asked_in_both_byte_orders)
{
        const struct row *row = &rows[_i / 2];
        struct buf in = BUF_NULL, out = BUF_NULL, text = BUF_NULL;

        make(&in, _i % 2 ? 'B' : 'l', row->array, row->args);
        rewrite(&out, &in, &row->how);
        ck_assert_msg(!strcmp(description(&text, &out), row->expected), "%s: %s", row->name,
                      buf_text(&text));
        ck_assert_int_eq(*buf_head(&out), _i % 2 ? 'B' : 'l');
        buf_deinit(&in);
        buf_deinit(&out);
        buf_deinit(&text);
}
END_TEST

START_TEST(sender_and_serial_are_replaced_or_dropped)
{
        static const char *const args[] = { "x", NULL };
        struct buf in = BUF_NULL, out = BUF_NULL;
        struct header h;

        make(&in, 'l', false, args);
        rewrite(&out, &in, &(struct rewrite){ .name = rename_peer, .serial = 7 });
        parse(&h, &out);
        ck_assert_str_eq(header_text(buf_head(&out), h.sender), ":1.4711");
        ck_assert_uint_eq(h.serial, 7);
        rewrite(&out, &in, &(struct rewrite){ .drop_sender = true });
        parse(&h, &out);
        ck_assert_uint_eq(h.sender.off, 0);
        ck_assert_uint_eq(h.serial, 42);
        buf_deinit(&in);
        buf_deinit(&out);
}
END_TEST

START_TEST(pids_but_our_own_are_blanked)
{
        static const char *const members[] = { "ProcessID", "Other", NULL };
        struct buf in = BUF_NULL, out = BUF_NULL, text = BUF_NULL;
        size_t base;

        message_begin(&in, 'l', HEADER_RETURN, 0, 1);
        message_number(&in, FIELD_REPLY_SERIAL, 1);
        message_text(&in, FIELD_SIGNATURE, 'g', "sususu", 6);
        base = message_body(&in);
        for (uint32_t i = 0; i < 3; i++) {
                message_put_string(&in, base, members[i % 2]);
                buf_align(&in, base, 4);
                buf_put32(&in, i == 2 ? 99 : 1234, false);
        }
        message_end(&in, base);
        rewrite(&out, &in, &(struct rewrite){ .blank = REWRITE_BLANK_PIDS, .own_pid = 99 });
        ck_assert_str_eq(description(&text, &out),
                         "arg0 = \"ProcessID\"\narg1 = 0\narg2 = \"Other\"\narg3 = 1234\n"
                         "arg4 = \"ProcessID\"\narg5 = 99\n");
        buf_deinit(&in);
        buf_deinit(&out);
        buf_deinit(&text);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("rewrite");
        TCase *t = tcase_create("rewrite");

        suite_add_tcase(suite, t);
        tcase_add_loop_test(t, a_message_is_rewritten_as_asked_in_both_byte_orders, 0,
                            2 * ARRAY_SIZE(rows));
        tcase_add_test(t, sender_and_serial_are_replaced_or_dropped);
        tcase_add_test(t, pids_but_our_own_are_blanked);
        return test_run(suite);
}
