/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Match rules: every row was asked of dbus-daemon 1.14.10 (AddMatch, then GetAllMatchRules, then a
 * signal and whether it came).
 */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/test-run.h"
#include "shim/bus/match-rule.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct match_rule *rule_of(const char *text)
{
        char reason[MATCH_REASON_MAX] = "";
        struct match_rule *rule = NULL;
        int r = match_rule_new(&rule, reason, text, strlen(text));

        ck_assert_msg(!r, "%s: %d, %s", text, r, reason);
        return rule;
}

static const struct {
        const char *text;
        const char *canonical;
} rules[] = {
        { "", "" },
        { "type='signal'", "type='signal'" },
        { "type=signal", "type='signal'" },
        { "type='signal',", "type='signal'" },
        { "  type='signal'", "type='signal'" },
        { "type ='signal'", "type='signal'" },
        { "type='sig'nal", "type='signal'" },
        { "type='method_call'", "type='method_call'" },
        { "type='method_return'", "type='method_return'" },
        { "type='error'", "type='error'" },
        { "member='a',\n\r\t interface='a.b'", "interface='a.b',member='a'" },
        { "type='signal', \t", "type='signal'" },
        /* a '=' without a key ends the rule */
        { "=", "" },
        { "=foo", "" },
        { "=,'", "" },
        { "=,member='X'", "" },
        { "type='signal',=,member='X'", "type='signal'" },
        { "sender='a.b', =,'", "sender='a.b'" },
        /* numbers */
        { "arg00='x'", "arg0='x'" },
        { "arg+1='x'", "arg1='x'" },
        { "arg-0='x'", "arg0='x'" },
        { "arg\v3='x'", "arg3='x'" },
        { "arg063='x'", "arg51='x'" },
        { "arg077='x'", "arg63='x'" },
        { "arg63='x'", "arg63='x'" },
        { "arg0x10='x'", "arg16='x'" },
        { "arg0x3fpath='x'", "arg63path='x'" },
        /* quotes and backslashes */
        { "arg0=", "arg0=''" },
        { "arg0=''''", "arg0=''" },
        { "arg0='a,b'", "arg0='a,b'" },
        { "arg0==", "arg0='='" },
        { "arg0 = x", "arg0=' x'" },
        { "arg1='x'=y", "arg1='x=y'" },
        { "arg0=a b c,arg1= x ", "arg0='a b c',arg1=' x '" },
        { "arg0='\xc3\xa9'", "arg0='\xc3\xa9'" },
        { "arg0='a'\\''b'", "arg0='a'\\''b'" },
        { "arg0=it\\'s", "arg0='it'\\''s'" },
        { "arg0=a\\b", "arg0='a\\b'" },
        { "arg0=a\\", "arg0='a\\'" },
        { "arg0='x'\\", "arg0='x\\'" },
        { "arg0=a\\,b", "arg0='a\\,b'" },
        { "arg0=\\,arg1='x'", "arg0='\\,arg1=x'" },
        { "arg0='a\\\\b'", "arg0='a\\\\b'" },
        { "arg0=\\\\'x'", "arg0='\\\\x'" },
        { "arg0=\\\\\\'x", "arg0='\\\\'\\''x'" },
        /* values */
        { "sender='a.b'", "sender='a.b'" },
        { "sender=':1'", "sender=':1'" },
        { "destination=':1.0'", "destination=':1.0'" },
        { "path_namespace='/'", "path_namespace='/'" },
        { "arg0namespace='a'", "arg0namespace='a'" },
        { "arg0namespace=':1.5'", "arg0namespace=':1.5'" },
        { "arg0namespace='-a'", "arg0namespace='-a'" },
        { "arg0namespace=':'", "arg0namespace=':'" },
        { "sender=':'", "sender=':'" },
        { "sender=':.1'", "sender=':.1'" },
        { "sender='a.-b'", "sender='a.-b'" },
        { "arg0path=''", "arg0path=''" },
        { "arg1path='//'", "arg1path='//'" },
        { "eavesdrop='true'", "eavesdrop='true'" },
        { "eavesdrop='false'", "" },
        { "eavesdrop='true',eavesdrop='false'", "" },
        { "eavesdrop='false',eavesdrop=true", "eavesdrop='true'" },
        /* order */
        { "arg5='a',arg2path='/b',arg0namespace='c'", "arg0namespace='c',arg2path='/b',arg5='a'" },
        { "arg3='z',destination='a.b',arg0path='/x',eavesdrop='true',sender=':1.7',"
          "path_namespace='/p',member='M',interface='i.f',type='signal'",
          "type='signal',interface='i.f',member='M',path_namespace='/p',sender=':1.7',"
          "destination='a.b',eavesdrop='true',arg0path='/x',arg3='z'" },
};

START_TEST(rules_are_read_as_dbus_daemon_reads_them)
{
        struct match_rule *rule = rule_of(rules[_i].text);

        ck_assert_str_eq(match_rule_format(rule), rules[_i].canonical);
        match_rule_free(rule);
}
END_TEST

START_TEST(the_canonical_text_is_a_rule_that_is_equal)
{
        struct match_rule *a = rule_of(rules[_i].text), *b = rule_of(rules[_i].canonical);

        ck_assert(match_rule_equal(a, b));
        match_rule_free(a);
        match_rule_free(b);
}
END_TEST

static const char *const refused[] = {
        ",", ",,", "type", "type= 'signal'", "type='signal' ", "type=\\'signal", "type='signal",
        "type='x'", "type=''", "type='invalid'", "type='method_call',type='signal'",
        "type='signal';member='X'", "type='signal',,member='X'", "'type'='signal'",
        "type\\='signal'", "typ='signal'", "Type='signal'", "TYPE='signal'", "foo='x'",
        "arg64='x'", "arg='x'", "arg=", "arg", "arg-1='x'", "arg 1='x'", "arg1x='x'", "arg08='x'",
        "arg0100='x'", "arg0x='x'", "arg09path='x'", "arg0\v='x'", "arg'0'='x'",
        "arg99999999999='x'", "arg18446744073709551616='x'", "arg4294967296='x'",
        "arg0Path='/'", "arg0pathx='/'", "argpath='/'", "arg0namespacex='/'", "arg0namespac='x'",
        "argument='x'", "arg0 path='x'", "arg0 x='5'", "arg0", "arg0='x',arg0", "arg0='x',arg0='y'",
        "arg0='x',arg00='y'", "arg0='x',arg0path='y'", "arg0='x',arg0namespace='y'",
        "arg0namespace='a.b',arg0='a'", "arg0path='x',arg0namespace='a.b'", "arg01='a',arg1='b'",
        "arg1namespace='a.b'", "arg0namespace=''", "arg0namespace='a..b'", "arg0namespace='a.'",
        "arg0namespace='1'", "arg0namespace=':1.'", "sender=':1..2'", "sender='-a'", "sender='a.1'",
        "sender=''", "sender='a'", "sender='a.b',sender='a.b'", "destination='a'",
        "destination='a.b',destination='a.b'", "interface=''", "interface='a'",
        "interface=':1.2'", "interface='a.b',interface='a.b'", "member=''", "member='a.b'",
        "member=a=b", "member=\"a\"", "member='a',member='b'", "member='a'\t",
        "member='X' , path='/a'", "member='a\\'b'", "arg0='a\\'b'", "\vmember='a'", "\fmember='a'",
        "path=''", "path='a'", "path='/a/'", "path='/a',path='/b'",
        "path='/a',path_namespace='/a'", "path_namespace='/a',path='/a'",
        "path_namespace='/a',path_namespace='/a'", "path_namespace='/a/'", "path_namespace='x'",
        "eavesdrop='x'", "eavesdrop=''", "eavesdrop='TRUE'", "eavesdrop = 'true'",
};

START_TEST(what_dbus_daemon_refuses_is_refused_with_a_reason)
{
        char reason[MATCH_REASON_MAX] = "";
        struct match_rule *rule = NULL;
        const char *text = refused[_i];

        ck_assert_msg(match_rule_new(&rule, reason, text, strlen(text)) == MATCH_E_INVALID, "%s",
                      text);
        ck_assert_ptr_null(rule);
        ck_assert_str_ne(reason, "");
        ck_assert_int_eq(match_rule_new(&rule, NULL, text, strlen(text)), MATCH_E_INVALID);
}
END_TEST

START_TEST(a_rule_has_at_most_1024_bytes)
{
        char text[1026], reason[MATCH_REASON_MAX] = "";
        struct match_rule *rule = NULL;

        memset(text, 'x', sizeof(text));
        memcpy(text, "arg0=", 5);
        ck_assert_int_eq(match_rule_new(&rule, reason, text, 1024), 0);
        ck_assert_uint_eq(rule->args[0].value.n, 1019);
        match_rule_free(rule);
        ck_assert_int_eq(match_rule_new(&rule, reason, text, 1025), MATCH_E_TOO_LONG);
        ck_assert_ptr_nonnull(strstr(reason, "1025"));
        memset(text, 'k', sizeof(text));
        text[1023] = '=';
        ck_assert_int_eq(match_rule_new(&rule, reason, text, 1024), MATCH_E_INVALID);
        ck_assert_uint_gt(strlen(reason), 1023);
}
END_TEST

START_TEST(a_rule_of_apostrophes_grows_fourfold_and_no_more)
{
        char text[1024], *wanted;
        struct match_rule *rule;
        size_t i;

        memcpy(text, "arg0= ", 6);
        for (i = 6; i < sizeof(text); i += 2)
                memcpy(text + i, "\\'", 2);
        ck_assert_int_eq(match_rule_new(&rule, NULL, text, sizeof(text)), 0);
        ck_assert_uint_eq(rule->args[0].value.n, 1 + 509);
        wanted = malloc(4096);
        strcpy(wanted, "arg0=' ");
        for (i = 0; i < 509; i++)
                strcpy(wanted + 7 + 4 * i, "'\\''");
        strcat(wanted, "'");
        ck_assert_str_eq(match_rule_format(rule), wanted);
        free(wanted);
        match_rule_free(rule);
}
END_TEST

START_TEST(sixteen_keys_are_read_and_the_rest_is_not)
{
        char text[512] = "", wanted[512];
        struct match_rule *rule;
        size_t i;

        for (i = 0; i < 16; i++)
                sprintf(text + strlen(text), "%sarg%zu='x'", i ? "," : "", i);
        strcpy(wanted, text);
        strcat(text, ",not even a rule'");
        rule = rule_of(text);
        ck_assert_str_eq(match_rule_format(rule), wanted);
        match_rule_free(rule);
}
END_TEST

START_TEST(a_nul_byte_is_refused)
{
        struct match_rule *rule;

        ck_assert_int_eq(match_rule_new(&rule, NULL, "arg0='a\0b'", 10), MATCH_E_INVALID);
}
END_TEST

static const struct {
        const char *a, *b;
        bool equal;
} pairs[] = {
        { "type=signal", "type='signal'", true },
        { "member='A'", "member='A',eavesdrop='false'", true },
        { "member='A'", "member='A',eavesdrop='true'", false },
        { "arg1='b',arg0='a'", "arg0='a',arg1='b'", true },
        { "arg0='a'", "arg0path='a'", false },
        { "arg0='a'", "arg0namespace='a'", false },
        { "arg1='b'", "arg2='b'", false },
        { "arg0='b'", "arg0='b',arg1=''", false },
        { "path='/a'", "path_namespace='/a'", false },
        { "=x", "", true },
        { "sender='a.b'", "sender='a.c'", false },
};

START_TEST(rules_are_equal_if_they_ask_for_the_same)
{
        struct match_rule *a = rule_of(pairs[_i].a), *b = rule_of(pairs[_i].b);

        ck_assert_int_eq(match_rule_equal(a, b), pairs[_i].equal);
        ck_assert_int_eq(match_rule_equal(b, a), pairs[_i].equal);
        match_rule_free(a);
        match_rule_free(b);
}
END_TEST

/* Each message is the signal i.f.M from /p, or from the given path, with one argument or two. */
static const struct {
        const char *rule;
        const char *types; /* of the arguments, one letter each */
        const char *args[2];
        const char *path;
        bool accepted;
} messages[] = {
        { "", "", { NULL }, "/p", true },
        { "type='signal'", "", { NULL }, "/p", true },
        { "type='method_call'", "", { NULL }, "/p", false },
        { "interface='i.f',member='M'", "", { NULL }, "/p", true },
        { "interface='i.g'", "", { NULL }, "/p", false },
        { "interface='i.ff'", "", { NULL }, "/p", false },
        { "member='N'", "", { NULL }, "/p", false },
        { "path='/p'", "", { NULL }, "/p", true },
        { "path='/p'", "", { NULL }, "/p/q", false },
        { "path_namespace='/'", "", { NULL }, "/p", true },
        { "path_namespace='/p'", "", { NULL }, "/p", true },
        { "path_namespace='/p'", "", { NULL }, "/p/q", true },
        { "path_namespace='/p'", "", { NULL }, "/pq", false },
        { "path_namespace='/p/q'", "", { NULL }, "/p", false },
        { "path='/p'", "", { NULL }, NULL, false },
        { "path_namespace='/'", "", { NULL }, NULL, false },
        { "arg0='x'", "s", { "x" }, "/p", true },
        { "arg0='/x'", "o", { "/x" }, "/p", false },
        { "arg0='u'", "g", { "u" }, "/p", false },
        { "arg1='x'", "us", { NULL, "x" }, "/p", true },
        { "arg1='x'", "ss", { "a", "x" }, "/p", true },
        { "arg0='x',arg1='y'", "ss", { "x", "y" }, "/p", true },
        { "arg0='x',arg1='y'", "ss", { "x", "x" }, "/p", false },
        { "arg0=''", "s", { "" }, "/p", true },
        { "arg0=''", "u", { NULL }, "/p", false },
        { "arg0=''", "", { NULL }, "/p", false },
        { "arg0path='/aa/'", "s", { "/aa/" }, "/p", true },
        { "arg0path='/aa/'", "s", { "/aa/bb" }, "/p", true },
        { "arg0path='/aa/'", "o", { "/aa/bb" }, "/p", true },
        { "arg0path='/aa/'", "s", { "/aa" }, "/p", false },
        { "arg0path='/aa/'", "o", { "/aa" }, "/p", false },
        { "arg0path='/aa/bb'", "s", { "/aa/" }, "/p", true },
        { "arg0path='/aa/bb'", "s", { "/" }, "/p", true },
        { "arg0path='/aa/bb'", "o", { "/" }, "/p", true },
        { "arg0path='/aa/bb'", "s", { "/aa" }, "/p", false },
        { "arg0path='/aa/bb'", "s", { "/aa/bb/cc" }, "/p", false },
        { "arg0path='/aa/bb'", "s", { "/aa/b" }, "/p", false },
        { "arg0path='aa/'", "s", { "aa/b" }, "/p", true },
        { "arg0path=''", "s", { "/a" }, "/p", false },
        { "arg0path=''", "s", { "" }, "/p", true },
        { "arg0path=''", "s", { "/" }, "/p", false },
        { "arg0path='/a'", "s", { "" }, "/p", false },
        { "arg0path='/'", "o", { "/a" }, "/p", true },
        { "arg0path='/'", "s", { "x" }, "/p", false },
        { "arg0path='x'", "s", { "/" }, "/p", false },
        { "arg0path='/a/b/'", "s", { "/a/b/c/" }, "/p", true },
        { "arg0namespace='a.b'", "s", { "a.b" }, "/p", true },
        { "arg0namespace='a.b'", "s", { "a.b.c" }, "/p", true },
        { "arg0namespace='a.b'", "s", { "a.bc" }, "/p", false },
        { "arg0namespace='a.b'", "s", { "a" }, "/p", false },
        { "arg0namespace='a'", "s", { "a.b" }, "/p", true },
        { "arg0namespace=':1.5'", "s", { ":1.5" }, "/p", true },
        { "arg0namespace='a.b'", "s", { "a.b." }, "/p", true },
        { "arg0namespace='a.b'", "s", { "a.b..x" }, "/p", true },
        { "arg0namespace='a'", "o", { "/a" }, "/p", false },
};

static struct match_text text_of(const char *s)
{
        return (struct match_text){ s, s ? strlen(s) : 0 };
}

START_TEST(messages_are_accepted_as_dbus_daemon_accepts_them)
{
        struct match_rule *rule = rule_of(messages[_i].rule);
        struct match_value args[2] = { 0 };
        struct match_query query = {
                .type = 4,
                .interface = text_of("i.f"),
                .member = text_of("M"),
                .path = text_of(messages[_i].path),
                .args = args,
                .n_args = strlen(messages[_i].types),
        };
        size_t i;

        for (i = 0; i < query.n_args; i++)
                args[i] = (struct match_value){ messages[_i].types[i],
                                                text_of(messages[_i].args[i]).n,
                                                messages[_i].args[i] };
        ck_assert_msg(match_rule_accepts(rule, &query) == messages[_i].accepted, "%s",
                      messages[_i].rule);
        match_rule_free(rule);
}
END_TEST

START_TEST(only_rules_that_eavesdrop_accept_what_has_a_receiver)
{
        struct match_rule *plain = rule_of("member='M'"), *eager = rule_of("eavesdrop='true'");
        struct match_query query = { .type = 1, .eavesdrop = true, .member = text_of("M") };

        ck_assert(!match_rule_accepts(plain, &query));
        ck_assert(match_rule_accepts(eager, &query));
        query.eavesdrop = false;
        ck_assert(match_rule_accepts(plain, &query));
        ck_assert(match_rule_accepts(eager, &query));
        match_rule_free(plain);
        match_rule_free(eager);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("match-rule");
        TCase *tcase = tcase_create("match-rule");

        tcase_add_loop_test(tcase, rules_are_read_as_dbus_daemon_reads_them, 0, N(rules));
        tcase_add_loop_test(tcase, the_canonical_text_is_a_rule_that_is_equal, 0, N(rules));
        tcase_add_loop_test(tcase, what_dbus_daemon_refuses_is_refused_with_a_reason, 0,
                            N(refused));
        tcase_add_test(tcase, a_rule_has_at_most_1024_bytes);
        tcase_add_test(tcase, a_rule_of_apostrophes_grows_fourfold_and_no_more);
        tcase_add_test(tcase, sixteen_keys_are_read_and_the_rest_is_not);
        tcase_add_test(tcase, a_nul_byte_is_refused);
        tcase_add_loop_test(tcase, rules_are_equal_if_they_ask_for_the_same, 0, N(pairs));
        tcase_add_loop_test(tcase, messages_are_accepted_as_dbus_daemon_accepts_them, 0,
                            N(messages));
        tcase_add_test(tcase, only_rules_that_eavesdrop_accept_what_has_a_receiver);
        suite_add_tcase(suite, tcase);

        return test_run(suite);
}
