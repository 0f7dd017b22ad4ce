/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Addresses: what dbus-daemon takes and refuses as --address. */

#include <string.h>

#include "bus-core/util/cleanup.h"
#include "shim/wire/address.h"
#include "shim/wire/error.h"
#include "shim/wire/test-wire.h"

static const struct {
        const char *text;
        int error;
        unsigned n; /* addresses in the list */
} lists[] = {
        {"unix:", 0, 1},
        {"systemd:", 0, 1},
        {"unix:path=/tmp/x", 0, 1},
        {"unix:path=/tmp/x,", 0, 1},
        {"unix:path=/tmp/x;", 0, 1},
        {"unix:path=a;tcp:host=b,port=0;systemd:", 0, 3},
        {"unix:path=-_/.\\*09azAZ", 0, 1},
        {"unix:path=%2ftmp%C3%a4", 0, 1},
        {"foo:a=b", 0, 1}, /* which transports there are is not known here */
        {" unix:path=a", 0, 1},
        {"", 0, 0},
        {"unix", WIRE_E_ADDRESS_COLON, 0},
        {";unix:path=a", WIRE_E_ADDRESS_COLON, 0},
        {"unix:path=a;;unix:path=b", WIRE_E_ADDRESS_COLON, 1},
        {"unix:path=a;bad", WIRE_E_ADDRESS_COLON, 1},
        {":", WIRE_E_ADDRESS_TRANSPORT, 0},
        {":path=a", WIRE_E_ADDRESS_TRANSPORT, 0},
        {"unix:path", WIRE_E_ADDRESS_EQUALS, 0},
        {"unix:,path=a", WIRE_E_ADDRESS_EQUALS, 0},
        {"unix:path=a,,x=y", WIRE_E_ADDRESS_EQUALS, 0},
        {"unix:path=a,foo", WIRE_E_ADDRESS_EQUALS, 0},
        {"unix:=x", WIRE_E_ADDRESS_KEY, 0},
        {"unix:path=", WIRE_E_ADDRESS_VALUE, 0},
        {"unix:path=%", WIRE_E_ADDRESS_ESCAPE, 0},
        {"unix:path=%2", WIRE_E_ADDRESS_ESCAPE, 0},
        {"unix:path=%2,a=b", WIRE_E_ADDRESS_ESCAPE, 0},
        {"unix:path=%2g", WIRE_E_ADDRESS_ESCAPE, 0},
        {"unix:path=a%00b", WIRE_E_ADDRESS_ESCAPE, 0}, /* the reference cuts the path there */
        {"unix:path=a b", WIRE_E_ADDRESS_CHARACTER, 0},
        {"unix:path=a~", WIRE_E_ADDRESS_CHARACTER, 0},
        {"unix:path=a=b", WIRE_E_ADDRESS_CHARACTER, 0},
        {"unix:path=a:b", WIRE_E_ADDRESS_CHARACTER, 0},
        {"unix:path=\xc3\xa4", WIRE_E_ADDRESS_CHARACTER, 0},
};

START_TEST(lists_obey_the_grammar)
{
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
                const char *text = lists[i].text;
                struct address a;
                unsigned n = 0;
                int r = 0;

                while (*text && !r) {
                        r = address_next(&a, &text);
                        n += !r;
                }
                ck_assert_msg(r == lists[i].error && n == lists[i].n, "%s", lists[i].text);
        }
}
END_TEST

START_TEST(the_end_of_a_list_is_no_address)
{
        const char *text = "";
        struct address a;

        ck_assert_int_eq(address_next(&a, &text), WIRE_E_ADDRESS_EMPTY);
}
END_TEST

static void expect_value(const char *text, const char *key, const char *value)
{
        struct address a;
        char buf[64];
        int r;

        ck_assert_int_eq(address_next(&a, &text), 0);
        r = address_value(&a, key, buf, sizeof(buf));
        ck_assert_int_eq(r, value ? 0 : WIRE_E_ADDRESS_ABSENT);
        if (value)
                ck_assert_str_eq(buf, value);
}

START_TEST(values_are_found_and_unescaped)
{
        expect_value("unix:path=/a/b,guid=12", "path", "/a/b");
        expect_value("unix:path=/a/b,guid=12", "guid", "12");
        expect_value("unix:path=/a/b,guid=12", "pat", NULL);
        expect_value("unix:path=/a/b,guid=12", "paths", NULL);
        expect_value("unix:path=/a;tcp:host=b", "host", NULL);
        expect_value("unix:", "path", NULL);
        expect_value("unix:path=%2fa%20b%C3%a4", "path", "/a b\xc3\xa4");
        expect_value("unix:path=first,path=second", "path", "first");
        expect_value("unix:pa%74h=x", "path", NULL);
}
END_TEST

START_TEST(a_value_must_fit)
{
        const char *text = "unix:path=%41bc";
        struct address a;
        char buf[4];

        ck_assert_int_eq(address_next(&a, &text), 0);
        ck_assert_int_eq(address_value(&a, "path", buf, 4), 0);
        ck_assert_str_eq(buf, "Abc");
        ck_assert_int_eq(address_value(&a, "path", buf, 3), WIRE_E_ADDRESS_LENGTH);
        ck_assert_int_eq(address_value(&a, "path", buf, 0), WIRE_E_ADDRESS_LENGTH);
}
END_TEST

START_TEST(transports_are_compared_whole)
{
        const char *text = "unix:path=a";
        struct address a;

        ck_assert_int_eq(address_next(&a, &text), 0);
        ck_assert(address_is(&a, "unix"));
        ck_assert(!address_is(&a, "uni"));
        ck_assert(!address_is(&a, "unixexec"));
        ck_assert(!address_is(&a, "UNIX"));
}
END_TEST

START_TEST(every_byte_survives_escaping)
{
        char bytes[255], escaped[3 * sizeof(bytes) + 1], list[1024], back[256];
        const char *text = list;
        struct address a;
        size_t n;

        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = i + 1;
        n = address_escape(escaped, sizeof(escaped), bytes, sizeof(bytes));
        ck_assert_uint_eq(n, strlen(escaped));
        strcat(strcpy(list, "unix:path="), escaped);
        ck_assert_int_eq(address_next(&a, &text), 0);
        ck_assert_int_eq(address_value(&a, "path", back, sizeof(back)), 0);
        ck_assert_mem_eq(back, bytes, sizeof(bytes));
}
END_TEST

START_TEST(an_escaped_value_that_does_not_fit_is_cut_between_characters)
{
        char out[6];

        ck_assert_uint_eq(address_escape(out, sizeof(out), "a b", 3), 5);
        ck_assert_str_eq(out, "a%20b");
        ck_assert_uint_eq(address_escape(out, 5, "a b", 3), 5);
        ck_assert_str_eq(out, "a%20");
        ck_assert_uint_eq(address_escape(out, 4, "a b", 3), 5);
        ck_assert_str_eq(out, "a");
        ck_assert_uint_eq(address_escape(NULL, 0, "a b", 3), 5);
}
END_TEST

int main(void)
{
        return WIRE_RUN("address", lists_obey_the_grammar, the_end_of_a_list_is_no_address,
                        values_are_found_and_unescaped, a_value_must_fit,
                        transports_are_compared_whole, every_byte_survives_escaping,
                        an_escaped_value_that_does_not_fit_is_cut_between_characters);
}
