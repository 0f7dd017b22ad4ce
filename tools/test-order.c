/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tests of the order of broadcasts within one replay */

#include "config.h"

#include <check.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/test-run.h"
#include "tools/order.h"

/* One word per delivery: receiver, sender, number, and '.' if it is no broadcast. Sender a asks for
 * all signals, the others for none. */
struct row {
        const char *name;
        const char *deliveries;
        const char *expected; /* one letter per delivery: t total order, c causality, - fine */
};

static const struct row rows[] = {
        { "in order", "0b1 0c2 1b1 1c2", "----" },
        { "another order, the same for all", "0c2 0b1 1c2 1b1", "----" },
        { "one receiver the other way round, later", "0b1 0c2 1c2 1b1", "---t" },
        { "one receiver the other way round, first", "1c2 1b1 0b1 0c2", "---t" },
        { "a receiver that gets only one", "0b1 0c2 1c2", "---" },
        { "not broadcasts", "0b1. 0c2. 1c2. 1b1.", "----" },
        { "a broadcast and a message to one", "0b1 0c2. 1c2. 1b1", "----" },
        { "three receivers", "0b1 0c2 1b1 1c2 2c2 2b1", "-----t" },
        { "by one sender it is another check's", "0b2 0b1 1b1 1b2", "----" },
        { "before what its sender asked for", "0a2. 0b1", "-c" },
        { "after what its sender asked for", "0b1 0a2.", "--" },
        { "two senders are each in order", "0b1 0c2 0b3 0c4 1c2 1c4 1b1", "------t" },
};

static bool asks(void *context, uint32_t sender)
{
        return sender == 'a';
}

START_TEST(order_is_judged_as_promised)
{
        const struct row *row = &rows[_i];
        const char *p = row->deliveries;
        struct order_message other;
        char got[32] = "";
        struct order o;

        ck_assert_int_eq(order_init(&o, 3), 0);
        for (size_t i = 0; *p; i++) {
                struct order_message m = { .sender = (uint32_t)p[1],
                                           .index = (uint64_t)(p[2] - '0'),
                                           .broadcast = p[3] != '.' };

                got[i] = "-tc"[order_received(&o, (uint32_t)(p[0] - '0'), &m, asks, NULL, &other)];
                p += strcspn(p, " ");
                p += *p == ' ';
        }
        ck_assert_msg(!strcmp(got, row->expected), "%s: %s, expected %s", row->name, got,
                      row->expected);
        order_deinit(&o);
}
END_TEST

START_TEST(the_past_is_bounded)
{
        struct order_message other;
        struct order o;

        ck_assert_int_eq(order_init(&o, 1), 0);
        for (uint64_t i = 10; i < 10 + 2 * ORDER_RECENT; i++)
                ck_assert_int_eq(order_received(&o, 0,
                                                &(struct order_message){ i, 'a' + (i == 10), true },
                                                asks, NULL, &other),
                                 ORDER_FINE);
        ck_assert_int_eq(order_received(&o, 0, &(struct order_message){ 5, 'b', true }, asks, NULL,
                                        &other),
                         ORDER_CAUSALITY);
        ck_assert_uint_gt(other.index, 10);
        order_deinit(&o);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("order");
        TCase *t = tcase_create("order");

        suite_add_tcase(suite, t);
        tcase_add_loop_test(t, order_is_judged_as_promised, 0, ARRAY_SIZE(rows));
        tcase_add_test(t, the_past_is_bounded);
        return test_run(suite);
}
