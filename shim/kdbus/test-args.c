/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the parser of commands lets through, and the errno of what it does not. */

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/test-run.h"
#include "shim/kdbus/args.h"
#include "shim/kdbus/item.h"

/* a structure of 0x18 bytes, and room for items */
static struct {
        struct kdbus_cmd cmd;
        uint64_t room[8192];
} buf;
static uint8_t *end;

static void start(uint64_t flags)
{
        memset(&buf, 0, sizeof(buf));
        buf.cmd.flags = flags;
        buf.cmd.return_flags = 7;
        end = (uint8_t *)buf.cmd.items;
}

static struct kdbus_item *add(uint64_t type, const void *payload, size_t n)
{
        struct kdbus_item *item = (void *)end;

        end = item_put(end, type, payload, n);
        return item;
}

/* takes a mandatory NAME, one ID, and any number of policy accesses; flag 1 */
static int parse_n(size_t n)
{
        ARGS(args, 1,
             {.type = KDBUS_ITEM_NAME, .mandatory = true},
             {.type = KDBUS_ITEM_ID},
             {.type = KDBUS_ITEM_POLICY_ACCESS, .multiple = true});

        buf.cmd.size = n;
        return args_parse(&args, &buf, n, sizeof(buf.cmd), true);
}

static int parse(void)
{
        return parse_n(end - (uint8_t *)&buf);
}

START_TEST(declared_items_and_flags_are_taken)
{
        struct kdbus_policy_access access = {KDBUS_POLICY_ACCESS_WORLD, KDBUS_POLICY_TALK, 0};
        uint64_t id = 4;

        start(1);
        add(KDBUS_ITEM_NAME, "a.b", 4);
        add(KDBUS_ITEM_ID, &id, sizeof(id));
        add(KDBUS_ITEM_POLICY_ACCESS, &access, sizeof(access));
        add(KDBUS_ITEM_POLICY_ACCESS, &access, sizeof(access));
        ck_assert_int_eq(parse(), 0);
        ck_assert_uint_eq(buf.cmd.return_flags, 0);
}
END_TEST

START_TEST(the_last_item_need_not_be_padded)
{
        start(0);
        add(KDBUS_ITEM_NAME, "a.b", 4);
        ck_assert_int_eq(parse_n(sizeof(buf.cmd) + ITEM_SIZE(4)), 0);
        ck_assert_int_eq(parse_n(sizeof(buf.cmd) + ITEM_SIZE(4) - 1), -EINVAL);
        ck_assert_int_eq(parse_n(sizeof(buf.cmd) + ITEM_SIZE(4) + 4), 0);
        ck_assert_int_eq(parse_n(sizeof(buf.cmd) + ITEM_SIZE(4) + 5), -EINVAL);
}
END_TEST

START_TEST(sizes_are_judged_before_anything_else)
{
        ARGS(args, 0);

        start(0);
        buf.cmd.size = sizeof(buf.cmd) - 1;
        ck_assert_int_eq(args_parse(&args, &buf, 8, sizeof(buf.cmd), true), -EINVAL);
        buf.cmd.size = 32769;
        ck_assert_int_eq(args_parse(&args, &buf, 8, sizeof(buf.cmd), true), -EMSGSIZE);
        buf.cmd.size = sizeof(buf.cmd);
        ck_assert_int_eq(args_parse(&args, &buf, sizeof(buf.cmd) + 8, sizeof(buf.cmd), true), -EINVAL);
        ck_assert_uint_eq(buf.cmd.return_flags, 7);
        ck_assert_int_eq(args_parse(&args, &buf, sizeof(buf.cmd), sizeof(buf.cmd), true), 0);
}
END_TEST

START_TEST(a_flag_that_is_not_declared_is_refused)
{
        start(2);
        add(KDBUS_ITEM_NAME, "a.b", 4);
        ck_assert_int_eq(parse(), -EINVAL);
}
END_TEST

START_TEST(a_missing_mandatory_item_is_refused)
{
        start(0);
        ck_assert_int_eq(parse(), -EINVAL);
}
END_TEST

START_TEST(a_second_item_of_a_single_type_is_refused)
{
        start(0);
        add(KDBUS_ITEM_NAME, "a.b", 4);
        add(KDBUS_ITEM_NAME, "a.b", 4);
        ck_assert_int_eq(parse(), -EINVAL);
}
END_TEST

START_TEST(negotiation_tells_flags_and_clears_unknown_items)
{
        uint64_t ask[3] = {KDBUS_ITEM_NAME, KDBUS_ITEM_FDS, KDBUS_ITEM_NEGOTIATE};
        struct kdbus_item *item;

        start(KDBUS_FLAG_NEGOTIATE);
        item = add(KDBUS_ITEM_NEGOTIATE, ask, sizeof(ask));
        ck_assert_int_eq(parse(), ARGS_E_NEGOTIATED);
        ck_assert_uint_eq(buf.cmd.flags, 1);
        ck_assert_uint_eq(item->data64[0], KDBUS_ITEM_NAME);
        ck_assert_uint_eq(item->data64[1], 0);
        ck_assert_uint_eq(item->data64[2], KDBUS_ITEM_NEGOTIATE);
}
END_TEST

/* --- one row per way an item can be wrong --- */

static const struct {
        uint64_t type;
        size_t n;
        const char *payload;
        int expect;
} items[] = {
        {KDBUS_ITEM_NEGOTIATE, 8, "\1\0\0\0\0\0\0\0", 0},
        {KDBUS_ITEM_NEGOTIATE, 0, "", 0},
        {KDBUS_ITEM_NEGOTIATE, 7, "1234567", -EINVAL},
        {KDBUS_ITEM_PAYLOAD_VEC, 16, "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0", 0},
        {KDBUS_ITEM_PAYLOAD_VEC, 16, "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0", -EINVAL},
        {KDBUS_ITEM_PAYLOAD_VEC, 8, "\1\0\0\0\0\0\0", -EINVAL},
        {KDBUS_ITEM_PAYLOAD_MEMFD, 24, "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\3\0\0\0\0\0\0", 0},
        {KDBUS_ITEM_PAYLOAD_MEMFD, 24, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\3\0\0\0\0\0\0", -EINVAL},
        {KDBUS_ITEM_PAYLOAD_MEMFD, 24, "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0", -EBADF},
        {KDBUS_ITEM_FDS, 4, "\3\0\0", 0},
        {KDBUS_ITEM_FDS, 6, "\3\0\0\0\0", -EINVAL},
        {KDBUS_ITEM_CANCEL_FD, 4, "\3\0\0", 0},
        {KDBUS_ITEM_CANCEL_FD, 8, "\3\0\0\0\0\0\0", -EINVAL},
        {KDBUS_ITEM_BLOOM_FILTER, 8, "\0\0\0\0\0\0\0", 0},
        {KDBUS_ITEM_BLOOM_FILTER, 7, "\0\0\0\0\0\0", -EINVAL},
        {KDBUS_ITEM_ID, 8, "\1\0\0\0\0\0\0", 0},
        {KDBUS_ITEM_ID, 4, "\1\0\0", -EINVAL},
        {KDBUS_ITEM_NAME, 4, "a.b", 0},
        {KDBUS_ITEM_NAME, 0, "", -EINVAL},
        {KDBUS_ITEM_NAME, 3, "a.b", -EINVAL},
        {KDBUS_ITEM_NAME, 4, "a\0b", -EINVAL},
        {KDBUS_ITEM_CAPS, 36, "\x28\0\0\0" "12345678901234567890123456789012", 0},
        {KDBUS_ITEM_CAPS, 20, "\x28\0\0\0" "1234567890123456", -EINVAL},
        {KDBUS_ITEM_CAPS, 3, "\x28\0", -EINVAL},
        {KDBUS_ITEM_CONN_DESCRIPTION, 6, "hello", 0},
        {KDBUS_ITEM_CONN_DESCRIPTION, 6, "-ello", -EINVAL},
        {KDBUS_ITEM_CONN_DESCRIPTION, 65,
         "0123456789012345678901234567890123456789012345678901234567890123", -ENAMETOOLONG},
        {KDBUS_ITEM_NAME_ADD, 32, "0123456789012345678901234567890", 0},
        {KDBUS_ITEM_NAME_ADD, 31, "012345678901234567890123456789", -EINVAL},
        {KDBUS_ITEM_NAME_CHANGE, 36, "01234567890123456789012345678901a.b", 0},
        {KDBUS_ITEM_NAME_CHANGE, 35, "01234567890123456789012345678901a.b", -EINVAL},
        {KDBUS_ITEM_ID_ADD, 16, "012345678901234", 0},
        {KDBUS_ITEM_ID_ADD, 17, "0123456789012345", -EINVAL},
};

START_TEST(an_item_is_checked_by_its_type)
{
        struct kdbus_item *item;

        start(0);
        item = add(items[_i].type, items[_i].payload, items[_i].n);
        ck_assert_int_eq(item_check(item), items[_i].expect);
}
END_TEST

static const struct {
        const char *name;
        bool wildcard, valid;
} names[] = {
        {"a.b", false, true},     {"a", false, false},       {"", false, false},
        {".a.b", false, false},   {"a.b.", false, false},    {"a..b", false, false},
        {"a.1b", false, false},   {"a.b1", false, true},     {"-a._b", false, true},
        {"a.b c", false, false},  {"a.*", false, false},     {"a.*", true, true},
        {"*", true, false},       {"a.*b", true, false},     {"a.*.b", true, false},
        {":1.2", false, false},   {"a.b.c-d", false, true},  {"a.\xc3\xa4", false, false},
};

START_TEST(a_well_known_name_has_a_grammar)
{
        ck_assert_int_eq(item_bus_name_valid(names[_i].name, names[_i].wildcard), names[_i].valid);
}
END_TEST

START_TEST(a_well_known_name_has_at_most_255_bytes)
{
        char name[300] = "a.";

        memset(name + 2, 'b', 253);
        ck_assert(item_bus_name_valid(name, false));
        name[255] = 'b';
        ck_assert(!item_bus_name_valid(name, false));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("args");
        TCase *tcase = tcase_create("args");

        tcase_add_test(tcase, declared_items_and_flags_are_taken);
        tcase_add_test(tcase, the_last_item_need_not_be_padded);
        tcase_add_test(tcase, sizes_are_judged_before_anything_else);
        tcase_add_test(tcase, a_flag_that_is_not_declared_is_refused);
        tcase_add_test(tcase, a_missing_mandatory_item_is_refused);
        tcase_add_test(tcase, a_second_item_of_a_single_type_is_refused);
        tcase_add_test(tcase, negotiation_tells_flags_and_clears_unknown_items);
        tcase_add_loop_test(tcase, an_item_is_checked_by_its_type, 0, ARRAY_SIZE(items));
        tcase_add_loop_test(tcase, a_well_known_name_has_a_grammar, 0, ARRAY_SIZE(names));
        tcase_add_test(tcase, a_well_known_name_has_at_most_255_bytes);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
