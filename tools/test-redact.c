/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tests of which bodies a recording blanks */

#include "config.h"

#include <check.h>
#include <string.h>

#include "bus-core/util/test-run.h"
#include "shim/wire/bytes.h"
#include "tools/message.h"
#include "tools/redact.h"

struct text {
        const char *interface, *member;
        bool redacted;
};

static const struct text rows[] = {
        { "org.freedesktop.Secret.Item", "GetSecret", true },
        { "org.freedesktop.Secret.Service", "GetSecrets", true },
        { "org.kde.KWallet", "readPassword", true },
        { "org.freedesktop.NetworkManager", "AddAndActivateConnection", true },
        { "org.freedesktop.NetworkManager", "GetDevices", false },
        { "org.freedesktop.SecretAgency", "Hire", false },
        { "org.example.Mine", "Password", true },
        { "org.example.Mine", "Passwords", false },
        { "org.example.Whole", "Anything", true },
        { "org.example.Wholesale", "Anything", false },
        { "org.freedesktop.Notifications", "Notify", false },
};

static const char *const patterns[] = { "org.example.Mine.Password", "org.example.Whole" };

static void make(struct buf *out, struct header *h, uint8_t type, const struct text *text,
                 const char *from, const char *to, uint32_t serial)
{
        message_begin(out, bytes_native(), type, 0, type == HEADER_CALL ? serial : 1);
        if (type == HEADER_CALL) {
                message_text(out, FIELD_PATH, 'o', "/", 1);
                message_text(out, FIELD_INTERFACE, 's', text->interface, strlen(text->interface));
                message_text(out, FIELD_MEMBER, 's', text->member, strlen(text->member));
        } else {
                message_number(out, FIELD_REPLY_SERIAL, serial);
        }
        message_text(out, FIELD_DESTINATION, 's', to, strlen(to));
        message_text(out, FIELD_SENDER, 's', from, strlen(from));
        message_body(out);
        ck_assert_int_eq(header_parse(h, buf_head(out), buf_n(out)), 0);
}

START_TEST(patterns_are_interfaces_members_or_all_below_a_prefix)
{
        static const char *const good[] = { "a.b", "org.test.Mine", "org.test.Mine.Password",
                                            "org.test.*", "org.*" };
        static const char *const bad[] = { "", "a", "a b.c", ".a.b", "a..b", "a.b.", "*", "*.a",
                                           "a.*.b", "a.b/c", "interface='a.b'" };

        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                ck_assert_msg(redact_is_pattern(good[i]), "%s", good[i]);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_msg(!redact_is_pattern(bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(secrets_and_what_was_asked_for_are_blanked_with_their_replies)
{
        struct redact r = { .patterns = patterns, .n_patterns = ARRAY_SIZE(patterns) };
        struct buf b = BUF_NULL;
        struct header h;

        make(&b, &h, HEADER_CALL, &rows[_i], ":1.1", ":1.2", 77);
        ck_assert_int_eq(redact_wants(&r, buf_head(&b), &h), rows[_i].redacted);
        make(&b, &h, HEADER_RETURN, NULL, ":1.2", ":1.1", 78);
        ck_assert(!redact_wants(&r, buf_head(&b), &h));
        make(&b, &h, HEADER_RETURN, NULL, ":1.2", ":1.1", 77);
        ck_assert_int_eq(redact_wants(&r, buf_head(&b), &h), rows[_i].redacted);
        ck_assert(!redact_wants(&r, buf_head(&b), &h));
        buf_deinit(&b);
}
END_TEST

START_TEST(what_the_bus_reads_is_never_blanked)
{
        static const struct text hello = { "org.freedesktop.DBus", "RequestName" };
        struct redact r = { .all = true };
        struct buf b = BUF_NULL;
        struct header h;

        make(&b, &h, HEADER_CALL, &hello, ":1.1", "org.freedesktop.DBus", 1);
        ck_assert(!redact_wants(&r, buf_head(&b), &h));
        make(&b, &h, HEADER_RETURN, NULL, "org.freedesktop.DBus", ":1.1", 1);
        ck_assert(!redact_wants(&r, buf_head(&b), &h));
        make(&b, &h, HEADER_CALL, &rows[ARRAY_SIZE(rows) - 1], ":1.1", ":1.2", 2);
        ck_assert(redact_wants(&r, buf_head(&b), &h));
        buf_deinit(&b);
}
END_TEST

START_TEST(known_secrets_are_kept_if_that_is_wanted)
{
        struct redact r = { .nothing = true };
        struct buf b = BUF_NULL;
        struct header h;

        make(&b, &h, HEADER_CALL, &rows[0], ":1.1", ":1.2", 1);
        ck_assert(!redact_wants(&r, buf_head(&b), &h));
        buf_deinit(&b);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("redact");
        TCase *t = tcase_create("redact");

        suite_add_tcase(suite, t);
        tcase_add_test(t, patterns_are_interfaces_members_or_all_below_a_prefix);
        tcase_add_loop_test(t, secrets_and_what_was_asked_for_are_blanked_with_their_replies, 0,
                            ARRAY_SIZE(rows));
        tcase_add_test(t, what_the_bus_reads_is_never_blanked);
        tcase_add_test(t, known_secrets_are_kept_if_that_is_wanted);
        return test_run(suite);
}
