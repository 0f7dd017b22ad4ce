/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Container rules: the words and patterns are those of xdg-dbus-proxy(1). */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/test-run.h"
#include "shim/bus/container-rule.h"

static struct container_rules *rules_of(const char *const *texts, size_t n)
{
        struct container_rules *rules;
        char why[CONTAINER_WHY_MAX];

        ck_assert_int_eq(container_rules_new(&rules), 0);
        for (size_t i = 0; i < n; i++)
                ck_assert_int_eq(container_rules_add(rules, texts[i], why), 0);
        return rules;
}

static const char *const texts[] = {
        "see=org.seen",
        "--talk=org.talk.*",
        "own=org.own.App",
        "own=org.own.App.*",
        "call=org.portal.*=org.I.*@/desktop/*",
        "call=org.one=org.I.Get",
        "call=org.any=*",
        "broadcast=org.portal=org.I.Changed@/desktop",
        "broadcast=org.path=@/x/*",
};

static const struct {
        const char *name;
        enum container_level level;
} levels[] = {
        { "org.seen", CONTAINER_SEE },
        { "org.seen.below", CONTAINER_HIDDEN },
        { "org.see", CONTAINER_HIDDEN },
        { "org.talk", CONTAINER_TALK },
        { "org.talk.a.b", CONTAINER_TALK },
        { "org.talker", CONTAINER_HIDDEN },
        { "org.own.App", CONTAINER_OWN },
        { "org.own.App.x", CONTAINER_OWN },
        { "org.own", CONTAINER_HIDDEN },
        { "org.portal", CONTAINER_SEE },
        { "org.one", CONTAINER_SEE },
        { "org.nothing", CONTAINER_HIDDEN },
        { "", CONTAINER_HIDDEN },
};

START_TEST(a_name_has_the_highest_level_that_a_rule_gives_it)
{
        struct container_rules *rules = rules_of(texts, sizeof(texts) / sizeof(*texts));

        ck_assert_int_eq(container_rules_level(rules, levels[_i].name, strlen(levels[_i].name)),
                         levels[_i].level);
        container_rules_free(rules);
}
END_TEST

static const struct {
        enum container_kind kind;
        const char *name, *interface, *member, *path;
        bool allowed;
} messages[] = {
        { CONTAINER_CALL, "org.portal.A", "org.I", "Do", "/desktop", true },
        { CONTAINER_CALL, "org.portal.A", "org.I", "Do", "/desktop/a/b", true },
        { CONTAINER_CALL, "org.portal.A", "org.I", "Do", "/desktops", false },
        { CONTAINER_CALL, "org.portal.A", "org.Other", "Do", "/desktop", false },
        { CONTAINER_CALL, "org.portal.A", NULL, "Do", "/desktop", false },
        { CONTAINER_BROADCAST, "org.portal.A", "org.I", "Do", "/desktop", false },
        { CONTAINER_CALL, "org.one", "org.I", "Get", "/", true },
        { CONTAINER_CALL, "org.one", "org.I", "Set", "/", false },
        { CONTAINER_CALL, "org.any", NULL, "Do", "/", true },
        { CONTAINER_BROADCAST, "org.portal", "org.I", "Changed", "/desktop", true },
        { CONTAINER_BROADCAST, "org.portal", "org.I", "Changed", "/desktop/a", false },
        { CONTAINER_CALL, "org.portal", "org.I", "Changed", "/elsewhere", false },
        { CONTAINER_BROADCAST, "org.path", "org.I", "M", "/x/y", true },
        { CONTAINER_BROADCAST, "org.path", "org.I", "M", "/", false },
        { CONTAINER_CALL, "org.talk", "org.I", "M", "/", false },
};

START_TEST(calls_and_broadcasts_are_allowed_by_interface_member_and_path)
{
        struct container_rules *rules = rules_of(texts, sizeof(texts) / sizeof(*texts));

        ck_assert(container_rules_match(rules, messages[_i].kind, messages[_i].name,
                                        strlen(messages[_i].name), messages[_i].interface,
                                        messages[_i].member, messages[_i].path) ==
                  messages[_i].allowed);
        container_rules_free(rules);
}
END_TEST

static const char *const bad[] = {
        "", "see", "see=", "look=org.a", "see=:1.5", "see=org", "see=org.a*", "see=*", "=org.a",
        "call=org.a", "call=org.a=Member", "call=org.a=org.I.", "call=org.a=.Get",
        "call=org.a=org.I.Get@x", "call=org.a=org.I.Get@/x/", "call=org.a=@", "talk=.*",
        "broadcast=org.a=or g.I.M", "--=org.a", "see=org..a",
};

START_TEST(what_is_no_rule_is_refused_with_its_text)
{
        struct container_rules *rules = rules_of(NULL, 0);
        char why[CONTAINER_WHY_MAX] = "";

        ck_assert_int_eq(container_rules_add(rules, bad[_i], why), CONTAINER_RULE_E_INVALID);
        ck_assert_ptr_nonnull(strstr(why, bad[_i]));
        ck_assert_uint_eq(container_rules_n(rules), 0);
        container_rules_free(rules);
}
END_TEST

START_TEST(rules_are_told_as_they_were_given)
{
        struct container_rules *rules = rules_of(texts, sizeof(texts) / sizeof(*texts));

        ck_assert_uint_eq(container_rules_n(rules), sizeof(texts) / sizeof(*texts));
        ck_assert_str_eq(container_rules_at(rules, 4), texts[4]);
        container_rules_free(rules);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("container-rule");
        TCase *tcase = tcase_create("container-rule");

        tcase_add_loop_test(tcase, a_name_has_the_highest_level_that_a_rule_gives_it, 0,
                            sizeof(levels) / sizeof(*levels));
        tcase_add_loop_test(tcase, calls_and_broadcasts_are_allowed_by_interface_member_and_path, 0,
                            sizeof(messages) / sizeof(*messages));
        tcase_add_loop_test(tcase, what_is_no_rule_is_refused_with_its_text, 0,
                            sizeof(bad) / sizeof(*bad));
        tcase_add_test(tcase, rules_are_told_as_they_were_given);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
