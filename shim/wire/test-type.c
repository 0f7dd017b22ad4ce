/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Signatures and names: the grammar of the D-Bus specification as tables. */

#include <string.h>

#include "bus-core/util/cleanup.h"
#include "shim/wire/error.h"
#include "shim/wire/test-wire.h"
#include "shim/wire/type.h"

static const struct {
        const char *sig;
        int error;
} signatures[] = {
        {"", 0},
        {"y", 0},
        {"ybnqiuxtdhsogv", 0},
        {"as", 0},
        {"a{sv}", 0},
        {"a{oa{sa{sv}}}", 0},
        {"(s)", 0},
        {"((s)(u(y)))v", 0},
        {"aaaaas", 0},
        {"a(ii)a{y(v)}", 0},
        {"(a{sv}as)", 0},
        {"z", WIRE_E_SIGNATURE_TYPE},
        {"r", WIRE_E_SIGNATURE_TYPE},
        {"e", WIRE_E_SIGNATURE_TYPE},
        {"m", WIRE_E_SIGNATURE_TYPE},
        {"s ", WIRE_E_SIGNATURE_TYPE},
        {"a", WIRE_E_SIGNATURE_ARRAY},
        {"aa", WIRE_E_SIGNATURE_ARRAY},
        {"(a)", WIRE_E_SIGNATURE_ARRAY},
        {"a{sa}", WIRE_E_SIGNATURE_ARRAY},
        {"()", WIRE_E_SIGNATURE_STRUCT},
        {"(", WIRE_E_SIGNATURE_STRUCT},
        {"(s", WIRE_E_SIGNATURE_STRUCT},
        {")", WIRE_E_SIGNATURE_STRUCT},
        {"s)", WIRE_E_SIGNATURE_STRUCT},
        {"((s)", WIRE_E_SIGNATURE_STRUCT},
        {"a()", WIRE_E_SIGNATURE_STRUCT},
        {"{sv}", WIRE_E_SIGNATURE_DICT},
        {"({sv})", WIRE_E_SIGNATURE_DICT},
        {"a{s}", WIRE_E_SIGNATURE_DICT},
        {"a{svv}", WIRE_E_SIGNATURE_DICT},
        {"a{}", WIRE_E_SIGNATURE_DICT},
        {"a{sv", WIRE_E_SIGNATURE_DICT},
        {"a{sv)", WIRE_E_SIGNATURE_STRUCT},
        {"(s}", WIRE_E_SIGNATURE_DICT},
        {"}", WIRE_E_SIGNATURE_DICT},
        {"a{vs}", WIRE_E_SIGNATURE_KEY},
        {"a{ass}", WIRE_E_SIGNATURE_KEY},
        {"a{(s)s}", WIRE_E_SIGNATURE_KEY},
        {"a{{ss}s}", WIRE_E_SIGNATURE_KEY},
};

START_TEST(signatures_obey_the_grammar)
{
        for (size_t i = 0; i < ARRAY_SIZE(signatures); i++)
                ck_assert_msg(signature_validate(signatures[i].sig, strlen(signatures[i].sig)) ==
                                      signatures[i].error,
                              "%s", signatures[i].sig);
}
END_TEST

static int nested(unsigned arrays, unsigned structs)
{
        char sig[256];
        unsigned n = 0;

        memset(sig + n, 'a', arrays);
        n += arrays;
        memset(sig + n, '(', structs);
        n += structs;
        sig[n++] = 'y';
        memset(sig + n, ')', structs);
        n += structs;
        return signature_validate(sig, n);
}

START_TEST(signatures_nest_32_arrays_and_32_structs)
{
        ck_assert_int_eq(nested(32, 0), 0);
        ck_assert_int_eq(nested(0, 32), 0);
        ck_assert_int_eq(nested(32, 32), 0);
        ck_assert_int_eq(nested(33, 0), WIRE_E_SIGNATURE_ARRAYS);
        ck_assert_int_eq(nested(0, 33), WIRE_E_SIGNATURE_STRUCTS);
}
END_TEST

START_TEST(arrays_side_by_side_are_not_nested)
{
        char sig[200];

        for (size_t i = 0; i < sizeof(sig); i += 2)
                memcpy(sig + i, "ay", 2);
        ck_assert_int_eq(signature_validate(sig, sizeof(sig)), 0);
}
END_TEST

START_TEST(signatures_end_at_255_bytes)
{
        char sig[256];

        memset(sig, 'y', sizeof(sig));
        ck_assert_int_eq(signature_validate(sig, 255), 0);
        ck_assert_int_eq(signature_validate(sig, 256), WIRE_E_SIGNATURE_LENGTH);
}
END_TEST

START_TEST(a_nul_is_no_type)
{
        ck_assert_int_eq(signature_validate("y\0y", 3), WIRE_E_SIGNATURE_TYPE);
        ck_assert_int_eq(signature_validate("", 1), WIRE_E_SIGNATURE_TYPE);
}
END_TEST

START_TEST(a_variant_takes_one_complete_type)
{
        ck_assert_int_eq(signature_validate_single("s", 1), 0);
        ck_assert_int_eq(signature_validate_single("a{sv}", 5), 0);
        ck_assert_int_eq(signature_validate_single("(ss)", 4), 0);
        ck_assert_int_eq(signature_validate_single("", 0), WIRE_E_SIGNATURE_SINGLE);
        ck_assert_int_eq(signature_validate_single("ss", 2), WIRE_E_SIGNATURE_SINGLE);
        ck_assert_int_eq(signature_validate_single("a", 1), WIRE_E_SIGNATURE_ARRAY);
}
END_TEST

START_TEST(the_next_type_is_complete)
{
        ck_assert_uint_eq(signature_next("sv", 2), 1);
        ck_assert_uint_eq(signature_next("a{sa(yy)}u", 10), 9);
        ck_assert_uint_eq(signature_next("(a{sv})(s)", 10), 7);
        ck_assert_uint_eq(signature_next("aasi", 4), 3);
        ck_assert_uint_eq(signature_next("", 0), 0);
}
END_TEST

/* Which grammars accept a text, one letter each. */
static const struct {
        const char *text;
        const char *accepted; /* path, interface, member, unique, well-known, namespace */
} names[] = {
        {"", ""},
        {"a", "mn"},
        {"_", "mn"},
        {"a1", "mn"},
        {"1a", ""},
        {"a-b", "n"},
        {"-a", "n"},
        {"a.b", "iwn"},
        {"A.B_c.d9", "iwn"},
        {"_a._b", "iwn"},
        {"a.1", ""},
        {"1.a", ""},
        {"a-b.c", "wn"},
        {"-a.-b", "wn"},
        {".a", ""},
        {"a.", ""},
        {"a..b", ""},
        {"a b", ""},
        {"a.b c", ""},
        {"a\xc3\xa4", ""},
        {":1.2", "u"},
        {":1", "u"},
        {":a-b.9", "u"},
        {":.a", "u"}, /* the reference accepts these two */
        {":", "u"},
        {":1.", ""},
        {":1..2", ""},
        {":1:2", ""},
        {"a:b", ""},
        {"/", "p"},
        {"/a", "p"},
        {"/a/b_9", "p"},
        {"/0/1", "p"},
        {"//", ""},
        {"/a/", ""},
        {"/a//b", ""},
        {"a/b", ""},
        {"/a-b", ""},
        {"/a.b", ""},
        {"/\xc3\xa4", ""},
};

static void check_name(const char *text, size_t n, const char *accepted)
{
        ck_assert_msg(valid_path(text, n) == !!strchr(accepted, 'p'), "path %s", text);
        ck_assert_msg(valid_interface(text, n) == !!strchr(accepted, 'i'), "interface %s", text);
        ck_assert_msg(valid_error_name(text, n) == !!strchr(accepted, 'i'), "error %s", text);
        ck_assert_msg(valid_member(text, n) == !!strchr(accepted, 'm'), "member %s", text);
        ck_assert_msg(valid_unique_name(text, n) == !!strchr(accepted, 'u'), "unique %s", text);
        ck_assert_msg(valid_well_known_name(text, n) == !!strchr(accepted, 'w'), "well %s", text);
        ck_assert_msg(valid_bus_namespace(text, n) == !!strchr(accepted, 'n'), "space %s", text);
        ck_assert_msg(valid_bus_name(text, n) == !!strpbrk(accepted, "uw"), "bus name %s", text);
}

START_TEST(names_obey_their_grammars)
{
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                check_name(names[i].text, strlen(names[i].text), names[i].accepted);
}
END_TEST

START_TEST(names_end_at_255_bytes_and_paths_do_not)
{
        char name[300];

        memset(name, 'a', sizeof(name));
        name[1] = '.';
        check_name(name, 255, "iwn");
        check_name(name, 256, "");
        name[1] = 'a';
        check_name(name, 255, "mn");
        check_name(name, 256, "");
        name[0] = ':';
        check_name(name, 255, "u");
        check_name(name, 256, "");
        name[0] = '/';
        check_name(name, 256, "p");
        check_name(name, 300, "p");
}
END_TEST

START_TEST(a_name_holds_no_nul)
{
        check_name("a.b\0c", 5, "");
        check_name("/a\0", 3, "");
}
END_TEST

int main(void)
{
        return WIRE_RUN("type", signatures_obey_the_grammar,
                        signatures_nest_32_arrays_and_32_structs,
                        arrays_side_by_side_are_not_nested, signatures_end_at_255_bytes,
                        a_nul_is_no_type, a_variant_takes_one_complete_type,
                        the_next_type_is_complete, names_obey_their_grammars,
                        names_end_at_255_bytes_and_paths_do_not, a_name_holds_no_nul);
}
