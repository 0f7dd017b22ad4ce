/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Names: what each request comes to was asked of dbus-daemon 1.14.10, for each set of flags of the
 * caller and of the owner in each state that a queue of up to two others can be in.
 */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/test-fault.h"
#include "bus-core/util/test-run.h"
#include "shim/bus/name.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT     "org.example.Name"

static struct name_registry registry;
static struct name_owner owners[4]; /* A, B, C and D */
static struct name_change change;

static void release_all(void)
{
        size_t i;

        for (i = 0; i < N(owners); i++)
                while (name_release_last(&change, &owners[i]))
                        name_change_deinit(&change);
}

static void setup(void)
{
        size_t i;

        name_registry_init(&registry);
        for (i = 0; i < N(owners); i++)
                name_owner_init(&owners[i], i + 1);
}

static void teardown(void)
{
        size_t i;

        name_change_deinit(&change);
        release_all();
        for (i = 0; i < N(owners); i++)
                ck_assert_uint_eq(owners[i].n, 0);
        ck_assert_uint_eq(registry.names.n + registry.ownerships.n, 0);
        ck_assert_ptr_null(name_next(&registry, NULL));
        name_registry_deinit(&registry);
}

static struct name_owner *owner_of(char letter)
{
        return letter ? &owners[letter - 'A'] : NULL;
}

static struct name *find(const char *text)
{
        return name_find(&registry, text, strlen(text), table_hash(text, strlen(text)));
}

/* The queue as letters, primary owner first. */
static const char *queue_of(const char *text)
{
        static char letters[N(owners) + 1];
        const struct name_ownership *ownership = NULL;
        const struct name *name = find(text);
        size_t n = 0;

        while (name && (ownership = name_queue_next(name, ownership))) {
                ck_assert_uint_lt(n, N(owners));
                ck_assert_int_eq(name_ownership_is_primary(ownership), n == 0);
                ck_assert_ptr_eq(name_ownership_find(name, ownership->owner), ownership);
                letters[n++] = 'A' + (ownership->owner - owners);
        }
        letters[n] = '\0';
        return letters;
}

/* The change says exactly what happened to the first of the queue. */
static void expect_change(const char *text, char old)
{
        char now = *queue_of(text);

        if (old == now) {
                ck_assert_ptr_null(change.name);
        } else {
                ck_assert_str_eq(change.name->text, text);
                ck_assert_ptr_eq(change.old_owner, owner_of(old));
                ck_assert_ptr_eq(change.new_owner, owner_of(now));
        }
        name_change_deinit(&change);
}

static enum name_result request(char letter, const char *text, uint32_t flags)
{
        enum name_result result;
        char old = *queue_of(text);

        ck_assert_int_eq(name_request(&change, &result, &registry, owner_of(letter), text,
                                      strlen(text), flags), 0);
        expect_change(text, old);
        return result;
}

static int release(char letter, const char *text)
{
        char old = *queue_of(text);
        int r = name_release(&change, &registry, owner_of(letter), text, strlen(text));

        if (!r)
                expect_change(text, old);
        return r;
}

/*
 * A row is a state and what the primary owner's flags are like. A column is the set of flags with
 * which C asks: the result, the queue then; and the same for D, who asks with REPLACE_EXISTING and
 * DO_NOT_QUEUE after that, which shows the flags that have been kept.
 */
enum { ANY, FIRM, YIELDS, LEAVES };

static const struct {
        const char *state;
        int owner; /* ALLOW_REPLACEMENT is not set; set; set, and DO_NOT_QUEUE is set */
        const char *columns[8];
} product[] = {
        { "", ANY,
          { "1 C 3 C", "1 C 1 DC", "1 C 3 C", "1 C 1 DC", "1 C 3 C", "1 C 1 D", "1 C 3 C",
            "1 C 1 D" } },
        { "C", ANY,
          { "4 C 3 C", "4 C 1 DC", "4 C 3 C", "4 C 1 DC", "4 C 3 C", "4 C 1 D", "4 C 3 C",
            "4 C 1 D" } },
        { "CB", ANY,
          { "4 CB 3 CB", "4 CB 1 DCB", "4 CB 3 CB", "4 CB 1 DCB", "4 CB 3 CB", "4 CB 1 DB",
            "4 CB 3 CB", "4 CB 1 DB" } },
        { "A", FIRM,
          { "2 AC 3 AC", "2 AC 3 AC", "2 AC 3 AC", "2 AC 3 AC", "3 A 3 A", "3 A 3 A", "3 A 3 A",
            "3 A 3 A" } },
        { "A", YIELDS,
          { "2 AC 1 DAC", "2 AC 1 DAC", "1 CA 3 CA", "1 CA 1 DCA", "3 A 1 DA", "3 A 1 DA",
            "1 CA 3 CA", "1 CA 1 DA" } },
        { "A", LEAVES,
          { "2 AC 1 DC", "2 AC 1 DC", "1 C 3 C", "1 C 1 DC", "3 A 1 D", "3 A 1 D", "1 C 3 C",
            "1 C 1 D" } },
        { "AB", FIRM,
          { "2 ABC 3 ABC", "2 ABC 3 ABC", "2 ACB 3 ACB", "2 ACB 3 ACB", "3 AB 3 AB", "3 AB 3 AB",
            "3 AB 3 AB", "3 AB 3 AB" } },
        { "AB", YIELDS,
          { "2 ABC 1 DABC", "2 ABC 1 DABC", "1 CAB 3 CAB", "1 CAB 1 DCAB", "3 AB 1 DAB",
            "3 AB 1 DAB", "1 CAB 3 CAB", "1 CAB 1 DAB" } },
        { "AB", LEAVES,
          { "2 ABC 1 DBC", "2 ABC 1 DBC", "1 CB 3 CB", "1 CB 1 DCB", "3 AB 1 DB", "3 AB 1 DB",
            "1 CB 3 CB", "1 CB 1 DB" } },
        { "AC", FIRM,
          { "2 AC 3 AC", "2 AC 3 AC", "2 AC 3 AC", "2 AC 3 AC", "3 A 3 A", "3 A 3 A", "3 A 3 A",
            "3 A 3 A" } },
        { "AC", YIELDS,
          { "2 AC 1 DAC", "2 AC 1 DAC", "1 CA 3 CA", "1 CA 1 DCA", "3 A 1 DA", "3 A 1 DA",
            "1 CA 3 CA", "1 CA 1 DA" } },
        { "AC", LEAVES,
          { "2 AC 1 DC", "2 AC 1 DC", "1 C 3 C", "1 C 1 DC", "3 A 1 D", "3 A 1 D", "1 C 3 C",
            "1 C 1 D" } },
        { "ABC", FIRM,
          { "2 ABC 3 ABC", "2 ABC 3 ABC", "2 ACB 3 ACB", "2 ACB 3 ACB", "3 AB 3 AB", "3 AB 3 AB",
            "3 AB 3 AB", "3 AB 3 AB" } },
        { "ABC", YIELDS,
          { "2 ABC 1 DABC", "2 ABC 1 DABC", "1 CAB 3 CAB", "1 CAB 1 DCAB", "3 AB 1 DAB",
            "3 AB 1 DAB", "1 CAB 3 CAB", "1 CAB 1 DAB" } },
        { "ABC", LEAVES,
          { "2 ABC 1 DBC", "2 ABC 1 DBC", "1 CB 3 CB", "1 CB 1 DCB", "3 AB 1 DB", "3 AB 1 DB",
            "1 CB 3 CB", "1 CB 1 DB" } },
        { "ACB", FIRM,
          { "2 ACB 3 ACB", "2 ACB 3 ACB", "2 ACB 3 ACB", "2 ACB 3 ACB", "3 AB 3 AB", "3 AB 3 AB",
            "3 AB 3 AB", "3 AB 3 AB" } },
        { "ACB", YIELDS,
          { "2 ACB 1 DACB", "2 ACB 1 DACB", "1 CAB 3 CAB", "1 CAB 1 DCAB", "3 AB 1 DAB",
            "3 AB 1 DAB", "1 CAB 3 CAB", "1 CAB 1 DAB" } },
        { "ACB", LEAVES,
          { "2 ACB 1 DCB", "2 ACB 1 DCB", "1 CB 3 CB", "1 CB 1 DCB", "3 AB 1 DB", "3 AB 1 DB",
            "1 CB 3 CB", "1 CB 1 DB" } },
};

static bool is_like(int owner, uint32_t flags)
{
        if (owner == ANY)
                return true;
        if (!(flags & NAME_ALLOW_REPLACEMENT))
                return owner == FIRM;
        return owner == (flags & NAME_DO_NOT_QUEUE ? LEAVES : YIELDS);
}

static void expect_column(size_t row, uint32_t owner_flags, uint32_t flags)
{
        const char *state = product[row].state;
        enum name_result result;
        char got[32];
        size_t i;
        int n;

        for (i = 0; state[i]; i++)
                request(state[i], TEXT, i ? 0 : owner_flags);
        ck_assert_str_eq(queue_of(TEXT), state);
        result = request('C', TEXT, flags);
        n = snprintf(got, sizeof(got), "%d %s ", result, queue_of(TEXT));
        result = request('D', TEXT, NAME_REPLACE_EXISTING | NAME_DO_NOT_QUEUE);
        snprintf(got + n, sizeof(got) - n, "%d %s", result, queue_of(TEXT));
        ck_assert_msg(!strcmp(got, product[row].columns[flags & 7]),
                      "state '%s', owner's flags %u, flags %u: %s, not %s", state, owner_flags,
                      flags, got, product[row].columns[flags & 7]);
        release_all();
}

START_TEST(every_request_in_every_state_ends_as_with_dbus_daemon)
{
        uint32_t owner_flags, flags;

        for (owner_flags = 0; owner_flags < 8; owner_flags++)
                for (flags = 0; flags < 8 && is_like(product[_i].owner, owner_flags); flags++)
                        expect_column(_i, owner_flags, flags);
}
END_TEST

START_TEST(unknown_flags_are_ignored)
{
        expect_column(3, 0xfffffff8, 0xfffffff8);
        expect_column(4, 0xfffffff9, 0xfffffffa);
}
END_TEST

START_TEST(the_first_in_the_queue_follows_a_primary_owner_that_leaves)
{
        request('A', TEXT, 0);
        request('B', TEXT, NAME_ALLOW_REPLACEMENT);
        request('C', TEXT, 0);
        ck_assert_int_eq(release('A', TEXT), 0);
        ck_assert_str_eq(queue_of(TEXT), "BC");
        ck_assert_int_eq(request('D', TEXT, NAME_REPLACE_EXISTING), NAME_PRIMARY_OWNER);
        ck_assert_str_eq(queue_of(TEXT), "DBC");
        ck_assert_int_eq(release('B', TEXT), 0);
        ck_assert_str_eq(queue_of(TEXT), "DC");
        ck_assert_int_eq(release('D', TEXT), 0);
        ck_assert_int_eq(release('C', TEXT), 0);
        ck_assert_ptr_null(find(TEXT));
}
END_TEST

START_TEST(only_what_is_owned_or_waited_for_can_be_released)
{
        ck_assert_int_eq(release('A', TEXT), NAME_E_NON_EXISTENT);
        request('A', TEXT, 0);
        ck_assert_int_eq(release('B', TEXT), NAME_E_NOT_OWNER);
        ck_assert_int_eq(release('A', "org.example.Other"), NAME_E_NON_EXISTENT);
        ck_assert_int_eq(release('A', TEXT), 0);
        ck_assert_int_eq(release('A', TEXT), NAME_E_NON_EXISTENT);
}
END_TEST

START_TEST(an_owner_that_leaves_gives_up_its_names_from_the_last_to_the_first)
{
        static const char *const texts[] = { "d.a", "d.b", "d.c" };
        size_t i;

        request('B', "d.b", 0);
        for (i = 0; i < N(texts); i++)
                request('A', texts[i], 0);
        request('A', "d.a", 0);
        ck_assert_uint_eq(owners[0].n, 3);

        ck_assert(name_release_last(&change, &owners[0]));
        ck_assert_str_eq(change.name->text, "d.c");
        ck_assert_ptr_eq(change.old_owner, &owners[0]);
        ck_assert_ptr_null(change.new_owner);
        name_change_deinit(&change);
        ck_assert(name_release_last(&change, &owners[0]));
        ck_assert_ptr_null(change.name);
        ck_assert_str_eq(queue_of("d.b"), "B");
        ck_assert(name_release_last(&change, &owners[0]));
        ck_assert_str_eq(change.name->text, "d.a");
        name_change_deinit(&change);
        ck_assert(!name_release_last(&change, &owners[0]));
}
END_TEST

START_TEST(a_name_with_a_waiting_activation_exists_without_owner)
{
        struct name *name = NULL;
        int activation;

        ck_assert_int_eq(name_get(&name, &registry, TEXT, strlen(TEXT)), 0);
        name->activation = &activation;
        ck_assert_ptr_eq(find(TEXT), name);
        ck_assert_ptr_null(name_primary(name));
        ck_assert_int_eq(release('A', TEXT), NAME_E_NON_EXISTENT);
        ck_assert_int_eq(request('A', TEXT, NAME_DO_NOT_QUEUE), NAME_PRIMARY_OWNER);
        ck_assert_ptr_eq(find(TEXT)->activation, &activation);
        ck_assert_ptr_eq(name_primary(name), &owners[0]);
        release('A', TEXT);
        ck_assert_ptr_eq(find(TEXT), name);
        ck_assert_ptr_null(name_unref(name));
        ck_assert_ptr_null(find(TEXT));
}
END_TEST

START_TEST(names_and_what_an_owner_has_can_be_walked)
{
        const struct name_ownership *ownership = NULL;
        const struct name *name = NULL;
        char text[32];
        size_t i;

        for (i = 0; i < 100; i++) {
                snprintf(text, sizeof(text), "n.n%zu", i);
                request('A' + i % 2, text, 0);
        }
        for (i = 0; (name = name_next(&registry, name)); i++)
                ck_assert_ptr_eq(name_primary(name), &owners[i % 2]);
        ck_assert_uint_eq(i, 100);
        for (i = 0; (ownership = name_owner_next(&owners[1], ownership)); i++) {
                snprintf(text, sizeof(text), "n.n%zu", 2 * i + 1);
                ck_assert_str_eq(ownership->name->text, text);
        }
        ck_assert_uint_eq(i, 50);
}
END_TEST

START_TEST(a_failed_request_leaves_everything_as_it_was)
{
        enum name_result result;
        size_t nth;

        for (nth = 1; nth <= 2; nth++) {
                fault_after(nth);
                ck_assert_int_eq(name_request(&change, &result, &registry, &owners[0], TEXT,
                                              strlen(TEXT), 0), -ENOMEM);
                fault_after(0);
                ck_assert_ptr_null(find(TEXT));
        }
        request('A', TEXT, NAME_ALLOW_REPLACEMENT | NAME_DO_NOT_QUEUE);
        fault_after(1);
        ck_assert_int_eq(name_request(&change, &result, &registry, &owners[1], TEXT, strlen(TEXT),
                                      NAME_REPLACE_EXISTING), -ENOMEM);
        fault_after(0);
        ck_assert_str_eq(queue_of(TEXT), "A");
        ck_assert_uint_eq(owners[1].n, 0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("name");
        TCase *tcase = tcase_create("name");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, every_request_in_every_state_ends_as_with_dbus_daemon, 0,
                            N(product));
        tcase_add_test(tcase, unknown_flags_are_ignored);
        tcase_add_test(tcase, the_first_in_the_queue_follows_a_primary_owner_that_leaves);
        tcase_add_test(tcase, only_what_is_owned_or_waited_for_can_be_released);
        tcase_add_test(tcase, an_owner_that_leaves_gives_up_its_names_from_the_last_to_the_first);
        tcase_add_test(tcase, a_name_with_a_waiting_activation_exists_without_owner);
        tcase_add_test(tcase, names_and_what_an_owner_has_can_be_walked);
        tcase_add_test(tcase, a_failed_request_leaves_everything_as_it_was);
        suite_add_tcase(suite, tcase);

        return test_run(suite);
}
