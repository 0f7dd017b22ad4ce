/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/test-fault.h"
#include "bus-core/util/test-run.h"
#include "shim/bus/match.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define OWNERS   6

/* Names and who owns them; the tests' name registry. */
static struct {
        const char *name;
        uint64_t id;
} names[] = {
        { "org.example.A", 1 },
        { "org.example.B", 2 },
        { "org.example.None", MATCH_NO_OWNER },
};

static struct match_index index_;
static struct match_owner owners[OWNERS];
static struct match_hits hits;

static struct match_text text_of(const char *s)
{
        return (struct match_text){ s, s ? strlen(s) : 0 };
}

static uint64_t name_owner(const char *s, size_t n)
{
        size_t i;

        for (i = 0; i < N(names); i++)
                if (strlen(names[i].name) == n && !memcmp(names[i].name, s, n))
                        return names[i].id;
        return MATCH_NO_OWNER;
}

static uint64_t resolve(void *userdata, struct match_text name)
{
        ck_assert_ptr_eq(userdata, names);
        return name_owner(name.s, name.n);
}

static void setup(void)
{
        size_t i;

        match_index_init(&index_, resolve, names);
        for (i = 0; i < OWNERS; i++)
                match_owner_init(&owners[i]);
}

static void teardown(void)
{
        size_t i;

        for (i = 0; i < OWNERS; i++)
                match_owner_clear(&index_, &owners[i]);
        ck_assert(cds_list_empty(&index_.shapes));
        ck_assert_uint_eq(index_.names.n + index_.links.n + index_.entries.n, 0);
        ck_assert_uint_eq(match_index_wants_args(&index_), 0);
        ck_assert(!match_index_eavesdrops(&index_));
        match_index_deinit(&index_);
        match_hits_deinit(&hits);
}

static struct match_rule *rule_of(const char *text)
{
        struct match_rule *rule = NULL;

        ck_assert_msg(!match_rule_new(&rule, NULL, text, strlen(text)), "%s", text);
        return rule;
}

static void add(size_t owner, const char *text)
{
        ck_assert_int_eq(match_add(&index_, &owners[owner], rule_of(text)), 0);
}

static int remove_(size_t owner, const char *text)
{
        struct match_rule *rule = rule_of(text);
        int r = match_remove(&index_, &owners[owner], rule);

        match_rule_free(rule);
        return r;
}

static void owner_changed(size_t name, uint64_t id)
{
        names[name].id = id;
        match_index_owner_changed(&index_, text_of(names[name].name), id);
}

/* Who wants the message, one bit per owner. */
static unsigned int wanted_by(const struct match_query *query)
{
        unsigned int set = 0;
        size_t i;

        ck_assert_int_eq(match_index_query(&index_, &hits, query), 0);
        for (i = 0; i < hits.n; i++) {
                unsigned int bit = 1U << (hits.owners[i] - owners);

                ck_assert(!(set & bit));
                set |= bit;
        }
        return set;
}

static struct match_query signal_from(uint64_t sender)
{
        return (struct match_query){
                .type = 4,
                .sender = sender,
                .destination = MATCH_NO_OWNER,
                .interface = text_of("i.f"),
                .member = text_of("M"),
                .path = text_of("/p"),
        };
}

START_TEST(each_owner_is_hit_once_however_many_rules_match)
{
        struct match_query query = signal_from(1);

        add(0, "");
        add(0, "type='signal'");
        add(0, "interface='i.f'");
        add(0, "interface='i.f'");
        add(0, "interface='i.f',member='M',path='/p'");
        add(1, "interface='i.f'");
        add(2, "interface='i.g'");
        ck_assert_uint_eq(wanted_by(&query), 3);
        ck_assert_uint_eq(wanted_by(&query), 3);
}
END_TEST

START_TEST(a_rule_added_twice_has_to_be_removed_twice)
{
        struct match_query query = signal_from(1);

        add(0, "member='M'");
        add(0, "member=M");
        ck_assert_uint_eq(owners[0].n, 2);
        ck_assert_int_eq(remove_(1, "member='M'"), MATCH_E_NOT_FOUND);
        ck_assert_int_eq(remove_(0, "member='N'"), MATCH_E_NOT_FOUND);
        ck_assert_int_eq(remove_(0, "member='M',eavesdrop=false"), 0);
        ck_assert_uint_eq(wanted_by(&query), 1);
        ck_assert_int_eq(remove_(0, "member='M'"), 0);
        ck_assert_uint_eq(wanted_by(&query), 0);
        ck_assert_int_eq(remove_(0, "member='M'"), MATCH_E_NOT_FOUND);
        ck_assert_uint_eq(owners[0].n, 0);
}
END_TEST

START_TEST(clearing_an_owner_leaves_the_others)
{
        struct match_query query = signal_from(1);

        add(0, "member='M'");
        add(0, "sender='org.example.A'");
        add(1, "member='M'");
        match_owner_clear(&index_, &owners[0]);
        ck_assert_uint_eq(wanted_by(&query), 2);
        ck_assert_uint_eq(owners[0].n, 0);
        add(2, "member='M'");
        add(3, "");
        ck_assert_uint_eq(owners[2].slot, 0);
        ck_assert_uint_eq(owners[3].slot, 2);
        ck_assert_uint_eq(wanted_by(&query), 2 | 4 | 8);
}
END_TEST

START_TEST(a_well_known_sender_is_its_owner_of_now)
{
        struct match_query from1 = signal_from(1), from2 = signal_from(2), from7 = signal_from(7);

        add(0, "sender='org.example.A'");
        add(1, "sender='org.example.None',member='M'");
        ck_assert_uint_eq(wanted_by(&from1), 1);
        ck_assert_uint_eq(wanted_by(&from2), 0);
        owner_changed(0, 2);
        ck_assert_uint_eq(wanted_by(&from1), 0);
        ck_assert_uint_eq(wanted_by(&from2), 1);
        owner_changed(2, 7);
        ck_assert_uint_eq(wanted_by(&from7), 2);
        owner_changed(0, MATCH_NO_OWNER);
        owner_changed(2, MATCH_NO_OWNER);
        ck_assert_uint_eq(wanted_by(&from2), 0);
        ck_assert_uint_eq(wanted_by(&from7), 0);
        add(2, "sender='org.example.A'");
        owner_changed(0, 7);
        ck_assert_uint_eq(wanted_by(&from7), 1 | 4);
        owner_changed(0, 1);
}
END_TEST

START_TEST(a_change_of_a_name_that_no_rule_gives_is_ignored)
{
        add(0, "sender='org.example.A'");
        owner_changed(1, 5);
        ck_assert_uint_eq(index_.names.n, 1);
        owner_changed(1, 2);
}
END_TEST

START_TEST(a_unique_sender_is_the_peer_of_that_number)
{
        static const struct {
                const char *sender;
                uint64_t id;
        } rows[] = {
                { ":1.1", 1 },
                { ":1.0", 0 },
                { ":1.18446744073709551613", UINT64_MAX - 2 },
                { "org.freedesktop.DBus", MATCH_DRIVER },
                /* peers have no such names */
                { ":1.18446744073709551615", MATCH_NO_OWNER },
                { ":1.18446744073709551617", MATCH_NO_OWNER },
                { ":1.00", MATCH_NO_OWNER },
                { ":1.18446744073709551614", MATCH_NO_OWNER },
                { ":1.01", MATCH_NO_OWNER },
                { ":1.1a", MATCH_NO_OWNER },
                { ":1.1.1", MATCH_NO_OWNER },
                { ":2.1", MATCH_NO_OWNER },
                { ":1", MATCH_NO_OWNER },
        };
        const uint64_t ids[] = { 0, 1, 2, UINT64_MAX - 2, UINT64_MAX - 1, UINT64_MAX };
        struct match_query query;
        char text[64];
        size_t i, j;

        for (i = 0; i < N(rows); i++) {
                snprintf(text, sizeof(text), "sender='%s'", rows[i].sender);
                add(0, text);
                for (j = 0; j < N(ids); j++) {
                        query = signal_from(ids[j]);
                        ck_assert_uint_eq(wanted_by(&query),
                                          ids[j] == rows[i].id && ids[j] != MATCH_NO_OWNER);
                }
                ck_assert_int_eq(remove_(0, text), 0);
        }
}
END_TEST

START_TEST(a_rule_with_a_destination_matches_only_what_goes_there)
{
        struct match_query query = signal_from(1);

        add(0, "destination='org.example.B'");
        add(1, "destination=':1.2'");
        add(2, "destination='org.freedesktop.DBus'");
        add(3, "sender='org.example.A',destination='org.example.B'");
        ck_assert_uint_eq(wanted_by(&query), 0);
        query.destination = 2;
        ck_assert_uint_eq(wanted_by(&query), 1 | 2 | 8);
        query.destination = MATCH_DRIVER;
        ck_assert_uint_eq(wanted_by(&query), 4);
        owner_changed(1, 1);
        query.destination = 1;
        ck_assert_uint_eq(wanted_by(&query), 1 | 8);
        owner_changed(1, 2);
}
END_TEST

START_TEST(only_eavesdroppers_see_what_goes_to_others)
{
        struct match_query query = signal_from(1);

        add(0, "member='M'");
        ck_assert(!match_index_eavesdrops(&index_));
        add(1, "eavesdrop='true'");
        add(2, "eavesdrop='true',member='M'");
        add(3, "eavesdrop='true',member='N'");
        ck_assert(match_index_eavesdrops(&index_));
        ck_assert_uint_eq(wanted_by(&query), 7);
        query.eavesdrop = true;
        query.destination = 2;
        ck_assert_uint_eq(wanted_by(&query), 6);
}
END_TEST

START_TEST(the_arguments_a_query_needs_are_known)
{
        ck_assert_uint_eq(match_index_wants_args(&index_), 0);
        add(0, "arg0='x'");
        ck_assert_uint_eq(match_index_wants_args(&index_), 1);
        add(1, "arg63path='/x',arg7='y'");
        add(2, "arg63path='/x',arg7='y'");
        ck_assert_uint_eq(match_index_wants_args(&index_), 64);
        remove_(1, "arg63path='/x',arg7='y'");
        ck_assert_uint_eq(match_index_wants_args(&index_), 64);
        add(1, "arg7='y'");
        remove_(2, "arg63path='/x',arg7='y'");
        ck_assert_uint_eq(match_index_wants_args(&index_), 8);
        remove_(1, "arg7='y'");
        ck_assert_uint_eq(match_index_wants_args(&index_), 1);
}
END_TEST

START_TEST(the_rules_of_an_owner_can_be_listed)
{
        const struct match_link *link = NULL;
        size_t times;

        add(0, "member='A'");
        add(0, "type=signal");
        add(0, "member=A");
        ck_assert_str_eq(match_rule_format(match_owner_next(&owners[0], &link, &times)),
                         "type='signal'");
        ck_assert_uint_eq(times, 1);
        ck_assert_str_eq(match_rule_format(match_owner_next(&owners[0], &link, &times)),
                         "member='A'");
        ck_assert_uint_eq(times, 2);
        ck_assert_ptr_null(match_owner_next(&owners[0], &link, &times));
}
END_TEST

START_TEST(equal_texts_in_different_keys_are_kept_apart)
{
        struct match_value arg = { 's', 3, "i.f" };
        struct match_query query = signal_from(1);

        query.args = &arg;
        query.n_args = 1;
        add(0, "interface='i.f',arg0='i.f'");
        add(1, "interface='j.g',arg0='j.g'");
        add(2, "interface='i.f',arg0namespace='i.f'");
        ck_assert_uint_eq(wanted_by(&query), 1 | 4);
}
END_TEST

START_TEST(namespaces_deeper_than_the_index_match_all_the_same)
{
        char path[200] = "", name[200] = "n", rule[512];
        struct match_value arg = { 's' };
        struct match_query query = signal_from(1);
        size_t i;

        for (i = 1; i <= 40; i++) {
                strcat(path, "/p");
                strcat(name, ".n");
                snprintf(rule, sizeof(rule), "path_namespace='%s'", path);
                add(0, rule);
                snprintf(rule, sizeof(rule), "arg0namespace='%s'", name);
                add(1, rule);
                snprintf(rule, sizeof(rule), "arg0namespace='%s',path_namespace='%s'", name, path);
                add(2, rule);
        }
        query.args = &arg;
        query.n_args = 1;
        for (i = 1; i <= 40; i++) {
                query.path = (struct match_text){ path, 2 * i };
                arg.s = name;
                arg.n = 2 * i + 1;
                ck_assert_uint_eq(wanted_by(&query), 7);
                match_owner_clear(&index_, &owners[2]);
                snprintf(rule, sizeof(rule), "arg0namespace='%.*s',path_namespace='%.*s'",
                         (int)arg.n, name, (int)query.path.n, path);
                add(2, rule);
                ck_assert_uint_eq(wanted_by(&query), 7);
        }
}
END_TEST

START_TEST(arguments_of_any_length_can_be_asked_about)
{
        struct match_value arg = { 's' };
        struct match_query query = signal_from(1);
        char *text = malloc(1 << 20);

        memset(text, 'n', 1 << 20);
        text[3] = '.';
        text[1200] = '.';
        arg.s = text;
        arg.n = 1 << 20;
        query.args = &arg;
        query.n_args = 1;
        query.path = (struct match_text){ text, 1 << 20 };
        add(0, "arg0namespace='nnn'");
        add(1, "arg0namespace='nnnn'");
        add(2, "path_namespace='/'");
        add(3, "arg0='nnn'");
        ck_assert_uint_eq(wanted_by(&query) & ~4U, 1);
        free(text);
}
END_TEST

/* --- everything against the plain way ---------------------------------------------------------- */

static uint32_t random_state;

static uint32_t random_below(uint32_t n)
{
        random_state = random_state * 1664525 + 1013904223;
        return (random_state >> 8) % n;
}

static const char *const choices[][5] = {
        { "", "type='signal',", "type='method_call',", "eavesdrop='true',", "" },
        { "", "", "interface='i.f',", "interface='i.g',", "" },
        { "", "", "member='M',", "member='N',", "" },
        { "", "path='/p',", "path_namespace='/p',", "path_namespace='/p/q',", "path_namespace='/'," },
        { "", "", "sender='org.example.A',", "sender=':1.2',", "sender='org.freedesktop.DBus'," },
        { "", "", "", "destination='org.example.B',", "destination=':1.1'," },
        { "", "", "arg0='a.b',", "arg0namespace='a',", "arg0path='/p/'," },
        { "", "", "", "arg1='x',", "arg2path='/p/q'," },
};

static void random_rule(char *text)
{
        size_t i;

        *text = '\0';
        for (i = 0; i < N(choices); i++)
                strcat(text, choices[i][random_below(5)]);
}

static void random_query(struct match_query *query, struct match_value args[3])
{
        static const char *const interfaces[] = { "i.f", "i.g", NULL };
        static const char *const members[] = { "M", "N", "O" };
        static const char *const paths[] = { "/", "/p", "/p/q", "/pq", NULL };
        static const char *const texts[] = { "a", "a.b", "x", "/p/", "/p/q" };
        static const uint64_t ids[] = { 0, 1, 2, MATCH_NO_OWNER };
        size_t i;

        *query = (struct match_query){
                .type = 1 + 3 * random_below(2),
                .eavesdrop = !random_below(4),
                .sender = ids[random_below(4)],
                .destination = ids[random_below(4)],
                .interface = text_of(interfaces[random_below(3)]),
                .member = text_of(members[random_below(3)]),
                .path = text_of(paths[random_below(5)]),
                .args = args,
                .n_args = random_below(4),
        };
        for (i = 0; i < 3; i++) {
                const char *text = texts[random_below(5)];

                args[i] = (struct match_value){ "sou"[random_below(3)], strlen(text), text };
        }
}

static bool peer_accepts(struct match_text name, uint64_t id)
{
        char text[32];

        if (!name.s)
                return true;
        if (id == MATCH_NO_OWNER)
                return false;
        if (name.s[0] != ':')
                return id == (name.n == 20 ? MATCH_DRIVER : name_owner(name.s, name.n));
        snprintf(text, sizeof(text), ":1.%d", (int)id);
        return id && strlen(text) == name.n && !memcmp(text, name.s, name.n);
}

static unsigned int wanted_plainly(const struct match_query *query)
{
        const struct match_rule *rule;
        const struct match_link *link;
        unsigned int set = 0;
        size_t i, times;

        for (i = 0; i < OWNERS; i++) {
                link = NULL;
                while ((rule = match_owner_next(&owners[i], &link, &times)))
                        if (match_rule_accepts(rule, query) &&
                            peer_accepts(rule->fields[MATCH_SENDER], query->sender) &&
                            peer_accepts(rule->fields[MATCH_DESTINATION], query->destination))
                                set |= 1U << i;
        }
        return set;
}

START_TEST(the_index_finds_what_a_walk_over_all_rules_finds)
{
        struct match_value args[3];
        struct match_query query;
        char text[512];
        size_t i, found = 0;

        random_state = _i;
        for (i = 0; i < 2000; i++) {
                random_rule(text);
                if (random_below(3))
                        add(random_below(OWNERS), text);
                else
                        remove_(random_below(OWNERS), text);
                if (!random_below(50))
                        match_owner_clear(&index_, &owners[random_below(OWNERS)]);
                if (!random_below(10))
                        owner_changed(random_below(N(names)), (uint64_t)random_below(4) - 1);
                random_query(&query, args);
                ck_assert_uint_eq(wanted_by(&query), wanted_plainly(&query));
                found += hits.n;
        }
        ck_assert_uint_gt(found, 500);
}
END_TEST

/* --- threads ----------------------------------------------------------------------------------- */

static void *read_often(void *userdata)
{
        struct match_hits mine = MATCH_HITS_NULL;
        struct match_query query = signal_from(1);
        size_t i, *found = userdata;

        for (i = 0; i < 2000; i++)
                if (!match_index_query(&index_, &mine, &query))
                        *found += mine.n;
        match_hits_deinit(&mine);
        return NULL;
}

/* Under the thread sanitizer this shows that a query writes nothing that is shared. */
START_TEST(queries_of_several_threads_do_not_disturb_each_other)
{
        pthread_t threads[4];
        size_t found[N(threads)] = { 0 }, i;

        for (i = 0; i < OWNERS; i++) {
                add(i, "member='M'");
                add(i, i % 2 ? "sender='org.example.A'" : "path_namespace='/'");
        }
        for (i = 0; i < N(threads); i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, read_often, &found[i]), 0);
        for (i = 0; i < N(threads); i++) {
                pthread_join(threads[i], NULL);
                ck_assert_uint_eq(found[i], 2000 * OWNERS);
        }
}
END_TEST

/* --- memory ------------------------------------------------------------------------------------ */

START_TEST(a_failed_addition_leaves_the_index_as_it_was)
{
        struct match_query query = signal_from(1);
        struct match_rule *rule;
        size_t nth, failures = 0;
        int r;

        query.destination = 2;
        add(1, "member='M'");
        wanted_by(&query);
        for (nth = 1;; nth++) {
                rule = rule_of("sender='org.example.A',destination='org.example.B',member='M'");
                fault_after(nth);
                r = match_add(&index_, &owners[0], rule);
                fault_after(0);
                if (!r)
                        break;
                failures++;
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_uint_eq(wanted_by(&query), 2);
                ck_assert_uint_eq(index_.names.n, 0);
                ck_assert_uint_eq(index_.entries.n, 1);
                ck_assert_uint_eq(owners[0].n, 0);
        }
        ck_assert_uint_ge(failures, 5);
        ck_assert_uint_eq(wanted_by(&query), 3);
}
END_TEST

START_TEST(a_failed_query_can_be_repeated)
{
        struct match_query query = signal_from(1);
        size_t i;

        for (i = 0; i < OWNERS; i++)
                add(i, "");
        for (i = 1; i <= 2; i++) {
                fault_after(i);
                ck_assert_int_eq(match_index_query(&index_, &hits, &query), -ENOMEM);
                fault_after(0);
        }
        ck_assert_uint_eq(wanted_by(&query), (1U << OWNERS) - 1);
}
END_TEST

START_TEST(a_query_in_the_steady_state_and_a_new_owner_allocate_nothing)
{
        struct match_query query = signal_from(1);
        char text[64];
        size_t before, i;

        for (i = 0; i < 100; i++) {
                snprintf(text, sizeof(text), "sender='org.example.A',arg0='x%zu'", i);
                add(i % OWNERS, text);
        }
        wanted_by(&query);
        before = fault_allocations();
        wanted_by(&query);
        ck_assert_uint_eq(fault_allocations(), before);
        fault_after(1);
        owner_changed(0, 3);
        owner_changed(0, MATCH_NO_OWNER);
        owner_changed(0, 1);
        fault_after(0);
        query.args = &(struct match_value){ 's', 2, "x1" };
        query.n_args = 1;
        ck_assert_uint_eq(wanted_by(&query), 2);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("match");
        TCase *tcase = tcase_create("match");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, each_owner_is_hit_once_however_many_rules_match);
        tcase_add_test(tcase, a_rule_added_twice_has_to_be_removed_twice);
        tcase_add_test(tcase, clearing_an_owner_leaves_the_others);
        tcase_add_test(tcase, a_well_known_sender_is_its_owner_of_now);
        tcase_add_test(tcase, a_change_of_a_name_that_no_rule_gives_is_ignored);
        tcase_add_test(tcase, a_unique_sender_is_the_peer_of_that_number);
        tcase_add_test(tcase, a_rule_with_a_destination_matches_only_what_goes_there);
        tcase_add_test(tcase, only_eavesdroppers_see_what_goes_to_others);
        tcase_add_test(tcase, the_arguments_a_query_needs_are_known);
        tcase_add_test(tcase, the_rules_of_an_owner_can_be_listed);
        tcase_add_test(tcase, equal_texts_in_different_keys_are_kept_apart);
        tcase_add_test(tcase, namespaces_deeper_than_the_index_match_all_the_same);
        tcase_add_test(tcase, arguments_of_any_length_can_be_asked_about);
        tcase_add_loop_test(tcase, the_index_finds_what_a_walk_over_all_rules_finds, 0, 8);
        tcase_add_test(tcase, queries_of_several_threads_do_not_disturb_each_other);
        tcase_add_test(tcase, a_failed_addition_leaves_the_index_as_it_was);
        tcase_add_test(tcase, a_failed_query_can_be_repeated);
        tcase_add_test(tcase, a_query_in_the_steady_state_and_a_new_owner_allocate_nothing);
        suite_add_tcase(suite, tcase);

        return test_run(suite);
}
