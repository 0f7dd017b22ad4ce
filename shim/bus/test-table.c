/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <stdlib.h>

#include "bus-core/util/test-run.h"
#include "shim/bus/table.h"

struct number {
        struct table_node node;
        unsigned int value;
};

static struct number *find(const struct table *table, unsigned int value)
{
        struct table_node *node;

        table_for_each_same(node, table, table_hash(&value, sizeof(value))) {
                struct number *number = caa_container_of(node, struct number, node);

                if (number->value == value)
                        return number;
        }
        return NULL;
}

START_TEST(what_was_added_is_found_until_it_is_removed)
{
        enum { MANY = 5000 };
        struct number *numbers = calloc(MANY, sizeof(*numbers));
        struct table table;
        unsigned int i;

        table_init(&table);
        for (i = 0; i < MANY; i++) {
                numbers[i].value = i;
                ck_assert_ptr_null(find(&table, i));
                table_add(&table, &numbers[i].node, table_hash(&i, sizeof(i)));
                ck_assert_ptr_eq(find(&table, i), &numbers[i]);
        }
        ck_assert_uint_eq(table.n, MANY);
        ck_assert_uint_ge(table.mask + 1, MANY / 2);
        for (i = 0; i < MANY; i += 2)
                table_remove(&table, &numbers[i].node);
        for (i = 0; i < MANY; i++)
                ck_assert_ptr_eq(find(&table, i), i % 2 ? &numbers[i] : NULL);
        for (i = 1; i < MANY; i += 2)
                table_remove(&table, &numbers[i].node);
        ck_assert_uint_eq(table.n, 0);
        ck_assert_uint_le(table.mask + 1, 2 * TABLE_FIRST);
        table_deinit(&table);
        free(numbers);
}
END_TEST

START_TEST(equal_hashes_are_all_visited)
{
        struct number numbers[40] = { 0 };
        struct table_node *node;
        struct table table;
        unsigned int i, n = 0;

        table_init(&table);
        for (i = 0; i < 40; i++)
                table_add(&table, &numbers[i].node, i % 4 ? 8 : 16);
        table_for_each_same(node, &table, 16)
                n++;
        ck_assert_uint_eq(n, 10);
        table_deinit(&table);
}
END_TEST

START_TEST(removing_twice_does_nothing)
{
        struct number a = { 0 }, b = { 0 };
        struct table table;

        table_init(&table);
        table_remove(&table, &a.node);
        table_add(&table, &a.node, 1);
        table_add(&table, &b.node, 1);
        table_remove(&table, &a.node);
        table_remove(&table, &a.node);
        ck_assert_uint_eq(table.n, 1);
        ck_assert_ptr_eq(table_find(&table, 1), &b.node);
        table_deinit(&table);
        table_deinit(NULL);
}
END_TEST

START_TEST(the_hash_depends_on_every_byte_and_the_length)
{
        char text[40] = { 0 };
        uint64_t zeros[41];
        size_t i, j;

        for (i = 0; i <= sizeof(text); i++) {
                zeros[i] = table_hash(text, i);
                for (j = 0; j < i; j++)
                        ck_assert_uint_ne(zeros[i], zeros[j]);
        }
        for (i = 0; i < sizeof(text); i++) {
                text[i] = 1;
                ck_assert_uint_ne(table_hash(text, sizeof(text)), zeros[sizeof(text)]);
                text[i] = 0;
        }
        ck_assert_uint_eq(table_hash(text, sizeof(text)), zeros[sizeof(text)]);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("table");
        TCase *tcase = tcase_create("table");

        tcase_add_test(tcase, what_was_added_is_found_until_it_is_removed);
        tcase_add_test(tcase, equal_hashes_are_all_visited);
        tcase_add_test(tcase, removing_twice_does_nothing);
        tcase_add_test(tcase, the_hash_depends_on_every_byte_and_the_length);
        suite_add_tcase(suite, tcase);

        return test_run(suite);
}
