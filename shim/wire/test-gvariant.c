/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * GVariant against the examples of its specification, and against itself: what was D-Bus comes
 * back the same.
 */

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/test-run.h"
#include "shim/wire/body.h"
#include "shim/wire/gvariant.h"
#include "shim/wire/test-transcode-kit.h"

/* a body of one argument: its D-Bus bytes, and what the specification gives for the value */
static const struct {
        const char *sig;
        size_t n_dbus;
        const char *dbus;
        size_t n;
        const char *bytes;
} examples[] = {
        {"s", 16, "\x0b\0\0\0hello world", 12, "hello world"},
        {"ab", 24, "\x14\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\1\0\0", 5, "\1\0\0\1\1"},
        {"(si)", 12, "\3\0\0\0foo\0\xff\xff\xff\xff", 9, "foo\0\xff\xff\xff\xff\4"},
        {"a(si)", 36,
         "\x1c\0\0\0\0\0\0\0" "\2\0\0\0hi\0\0\xfe\xff\xff\xff\0\0\0\0" "\3\0\0\0bye\0\xff\xff\xff\xff",
         23, "hi\0\0\xfe\xff\xff\xff\3\0\0\0bye\0\xff\xff\xff\xff\4\x09\x15"},
        {"as", 49,
         "\x2d\0\0\0\1\0\0\0i\0\0\0\3\0\0\0can\0\3\0\0\0has\0\x08\0\0\0strings?\0",
         0, NULL}, /* its length is computed below */
        {"(yy)", 2, "\x70\x80", 2, "\x70\x80"},
        {"(iy)", 5, "\x60\0\0\0\x70", 8, "\x60\0\0\0\x70\0\0\0"},
        {"(yi)", 8, "\x70\0\0\0\x60\0\0\0", 8, "\x70\0\0\0\x60\0\0\0"},
        {"a(iy)", 21, "\x0d\0\0\0\0\0\0\0\x60\0\0\0\x70\0\0\0\x88\2\0\0\xf7", 16,
         "\x60\0\0\0\x70\0\0\0\x88\2\0\0\xf7\0\0\0"},
        {"ay", 8, "\4\0\0\0\4\5\6\7", 4, "\4\5\6\7"},
        {"ai", 12, "\x08\0\0\0\4\0\0\0\2\1\0\0", 8, "\4\0\0\0\2\1\0\0"},
        {"a{si}", 24, "\x10\0\0\0\0\0\0\0\5\0\0\0a key\0\0\0\2\2\0\0", 14,
         "a key\0\0\0\2\2\0\0\6\x0d"},
        {"", 0, "", 1, "\0"},
        {"v", 8, "\1u\0\0\7\0\0\0", 6, "\7\0\0\0\0u"},
        {"ss", 12, "\1\0\0\0a\0\0\0\0\0\0\0", 4, "a\0\0\2"},
};

static void check_both_ways(const char *sig, const void *dbus, size_t n_dbus, const void *bytes,
                            size_t n)
{
        struct gvariant_buf out = GVARIANT_BUF_NULL, back = GVARIANT_BUF_NULL;

        ck_assert_int_eq(gvariant_from_body(&out, sig, strlen(sig), false, dbus, n_dbus), 0);
        ck_assert_uint_eq(out.n, n);
        ck_assert_mem_eq(out.data, bytes, n);
        ck_assert_int_eq(gvariant_to_body(&back, sig, strlen(sig), bytes, n), 0);
        ck_assert_uint_eq(back.n, n_dbus);
        if (n_dbus)
                ck_assert_mem_eq(back.data, dbus, n_dbus);
        gvariant_buf_deinit(&out);
        gvariant_buf_deinit(&back);
}

START_TEST(the_examples_of_the_specification_hold)
{
        static const char strings[] = "i\0can\0has\0strings?\0\2\6\x0a\x13";
        /* elements: 4+2, pad 2, 4+4, 4+4, 4+9 */
        uint8_t as[4 + 6 + 2 + 8 + 8 + 13] = {37};

        if (examples[_i].bytes) {
                size_t n = examples[_i].n_dbus;

                /* a string's D-Bus form ends in its NUL, which the literal has */
                check_both_ways(examples[_i].sig, examples[_i].dbus,
                                strcmp(examples[_i].sig, "ss") == 0 ? 13 : n, examples[_i].bytes,
                                examples[_i].n);
                return;
        }
        memcpy(as + 4, "\1\0\0\0i\0", 6);
        memcpy(as + 12, "\3\0\0\0can\0\3\0\0\0has\0\x08\0\0\0strings?", 29);
        check_both_ways("as", as, sizeof(as), strings, sizeof(strings) - 1);
}
END_TEST

/* (type, bytes) that are not the normal form, or break a rule of D-Bus */
static const struct {
        const char *sig;
        size_t n;
        const char *bytes;
} bad[] = {
        {"s", 0, ""},
        {"s", 3, "abc"},
        {"s", 4, "a\0b"},
        {"s", 2, "\xff"},
        {"b", 1, "\2"},
        {"u", 3, "\0\0"},
        {"u", 5, "\0\0\0\0"},
        {"yu", 8, "\1\1\0\0\1\0\0"},      /* padding */
        {"uy", 8, "\1\0\0\0\1\1\0"},      /* padding at the end */
        {"ss", 3, "a\0\0"},               /* the table says that a string is empty */
        {"ss", 4, "a\0\0\4"},             /* or goes beyond */
        {"as", 3, "a\0\3"},
        {"as", 3, "a\0\1"},
        {"as", 5, "a\0b\0\4"},            /* one string with a NUL inside */
        {"ai", 6, "\1\0\0\0\1"},
        {"v", 0, ""},
        {"v", 2, "a"},
        {"v", 3, "a\0a"},                 /* no complete type */
        {"v", 7, "\1\0\0\0\0uu"},         /* two */
        {"o", 3, "a/"},
        {"g", 3, "a("},
        {"", 0, ""},
        {"", 1, "\1"},
        {"a{si}", 2, "\0\0"},
};

START_TEST(only_the_normal_form_is_read)
{
        struct gvariant_buf out = GVARIANT_BUF_NULL;
        uint8_t *exact = malloc(bad[_i].n + 1);

        ck_assert_ptr_nonnull(exact);
        memcpy(exact, bad[_i].bytes, bad[_i].n);
        ck_assert_int_eq(gvariant_to_body(&out, bad[_i].sig, strlen(bad[_i].sig), exact, bad[_i].n),
                         -EBADMSG);
        free(exact);
        gvariant_buf_deinit(&out);
}
END_TEST

START_TEST(words_are_as_wide_as_the_whole_needs)
{
        ck_assert_uint_eq(gvariant_word_for(0xfe, 1), 1);
        ck_assert_uint_eq(gvariant_word_for(0xff, 1), 2);
        ck_assert_uint_eq(gvariant_word_for(0xfffd, 1), 2);
        ck_assert_uint_eq(gvariant_word_for(0xfffe, 1), 4);
        ck_assert_uint_eq(gvariant_word_for(0xfffffffdULL, 1), 8);
}
END_TEST

START_TEST(any_body_comes_back_the_same_from_either_byte_order)
{
        struct random_body native, other;

        for (unsigned seed = _i * 500; seed < _i * 500 + 500u; seed++) {
                struct gvariant_buf a = GVARIANT_BUF_NULL, b = GVARIANT_BUF_NULL;
                struct gvariant_buf back = GVARIANT_BUF_NULL;

                random_body(&native, seed, false);
                random_body(&other, seed, true);
                ck_assert_int_eq(body_validate(native.sig, native.siglen, false, native.data,
                                               native.n, NULL), 0);
                ck_assert_int_eq(gvariant_from_body(&a, native.sig, native.siglen, false,
                                                    native.data, native.n), 0);
                ck_assert_int_eq(gvariant_from_body(&b, other.sig, other.siglen, true, other.data,
                                                    other.n), 0);
                ck_assert_uint_eq(a.n, b.n);
                if (a.n)
                        ck_assert_mem_eq(a.data, b.data, a.n);
                ck_assert_int_eq(gvariant_to_body(&back, native.sig, native.siglen, a.data, a.n), 0);
                ck_assert_uint_eq(back.n, native.n);
                if (back.n)
                        ck_assert_mem_eq(back.data, native.data, back.n);
                gvariant_buf_deinit(&a);
                gvariant_buf_deinit(&b);
                gvariant_buf_deinit(&back);
                free(native.data);
                free(other.data);
        }
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("gvariant");
        TCase *tcase = tcase_create("gvariant");

        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, the_examples_of_the_specification_hold, 0, ARRAY_SIZE(examples));
        tcase_add_loop_test(tcase, only_the_normal_form_is_read, 0, ARRAY_SIZE(bad));
        tcase_add_test(tcase, words_are_as_wide_as_the_whole_needs);
        tcase_add_loop_test(tcase, any_body_comes_back_the_same_from_either_byte_order, 0, 10);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
