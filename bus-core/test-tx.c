/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bus-core/steps.h"
#include "bus-core/test-kit.h"

#define N_PEERS 40
#define CHARGED (PEER_ALLOWANCE + 1)

static struct account *account;
static struct peer *from, *to[N_PEERS];

static void setup(void)
{
        account = kit_account(1000, UINT32_MAX);
        from = kit_peer(1, account);
        for (int i = 0; i < N_PEERS; i++)
                to[i] = kit_peer(i + 2, account);
}

static void teardown(void)
{
        for (int i = 0; i < N_PEERS; i++)
                to[i] = peer_unref(to[i]);
        from = peer_unref(from);
        ck_assert_uint_eq(account->used[ACCOUNT_BYTES], 0);
        account = account_unref(account);
}

static void add(struct tx *tx, int n_receivers, uint64_t tag)
{
        _cleanup_(message_unrefp) struct message *m = kit_message(tag, 100, account);

        for (int i = 0; i < n_receivers; i++)
                ck_assert_int_eq(tx_add(tx, to[i], m), 0);
}

START_TEST(a_commit_reaches_every_receiver_once)
{
        struct tx tx;

        setup();
        tx_init(&tx, from);
        add(&tx, N_PEERS, 5);
        for (int i = 0; i < N_PEERS; i++)
                ck_assert_int_eq(kit_receive(to[i]), -1);
        tx_commit(&tx, NULL, NULL);
        for (int i = 0; i < N_PEERS; i++) {
                ck_assert_int_eq(kit_receive(to[i]), 5);
                ck_assert_int_eq(kit_receive(to[i]), -1);
        }
        teardown();
}
END_TEST

START_TEST(an_abort_reaches_nobody_and_gives_everything_back)
{
        _cleanup_(message_unrefp) struct message *m = NULL;
        struct tx tx;

        setup();
        m = kit_message(5, CHARGED, account);
        tx_init(&tx, from);
        for (int i = 0; i < N_PEERS; i++)
                ck_assert_int_eq(tx_add(&tx, to[i], m), 0);
        ck_assert_uint_eq(account->used[ACCOUNT_BYTES], (uint64_t)N_PEERS * CHARGED);
        tx_abort(&tx);
        ck_assert_uint_eq(account->used[ACCOUNT_BYTES], 0);
        ck_assert_uint_eq(m->refs, 1);
        for (int i = 0; i < N_PEERS; i++) {
                ck_assert_int_eq(kit_receive(to[i]), -1);
                ck_assert_uint_eq(peer_now(to[i]), 0);
                ck_assert_uint_eq(to[i]->refs, 1);
        }
        tx_abort(&tx); /* nothing is left to forget */
        teardown();
}
END_TEST

START_TEST(an_empty_transaction_does_nothing)
{
        struct tx tx;

        setup();
        tx_init(&tx, from);
        tx_commit(&tx, NULL, NULL);
        tx_abort(&tx);
        teardown();
}
END_TEST

START_TEST(a_transaction_may_be_used_again)
{
        struct tx tx;

        setup();
        tx_init(&tx, from);
        for (int i = 0; i < 3; i++) {
                add(&tx, N_PEERS, i);
                tx_commit(&tx, NULL, NULL);
        }
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(kit_receive(to[N_PEERS - 1]), i);
        peer_close(to[0]);
        teardown();
}
END_TEST

START_TEST(an_inbox_keeps_the_order_of_add)
{
        struct tx tx;

        setup();
        tx_init(&tx, from);
        add(&tx, 3, 1);
        add(&tx, 1, 2);
        add(&tx, 2, 3);
        tx_commit(&tx, NULL, NULL);
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(kit_receive(to[i]), 1);
        ck_assert_int_eq(kit_receive(to[0]), 2);
        ck_assert_int_eq(kit_receive(to[0]), 3);
        ck_assert_int_eq(kit_receive(to[1]), 3);
        ck_assert_int_eq(kit_receive(to[2]), -1);
        teardown();
}
END_TEST

START_TEST(one_message_may_go_to_one_inbox_twice)
{
        struct message *m;
        struct tx tx;

        setup();
        m = kit_message(9, 1, account);
        tx_init(&tx, from);
        ck_assert_int_eq(tx_add(&tx, to[0], m), 0);
        ck_assert_int_eq(tx_add(&tx, to[0], m), 0);
        message_unref(m);
        tx_commit(&tx, NULL, NULL);
        ck_assert_int_eq(kit_receive(to[0]), 9);
        ck_assert_int_eq(kit_receive(to[0]), 9);
        ck_assert_int_eq(kit_receive(to[0]), -1);
        teardown();
}
END_TEST

START_TEST(all_clocks_stand_at_the_largest_stamp_afterwards)
{
        struct tx tx;

        setup();
        peer_sync(to[3], 60);
        tx_init(&tx, from);
        add(&tx, 5, 0);
        tx_commit(&tx, NULL, NULL);
        ck_assert_uint_eq(peer_now(from), 62);
        for (int i = 0; i < 5; i++)
                ck_assert_uint_eq(peer_now(to[i]), 62);
        ck_assert_uint_eq(peer_now(to[5]), 0);
        peer_close(to[0]);
        teardown();
}
END_TEST

START_TEST(nobody_reads_before_every_clock_was_moved)
{
        struct tx tx;

        setup();
        peer_sync(to[1], 60);
        tx_init(&tx, from);
        add(&tx, 3, 0);
        while (tx_step(&tx)) {
                for (int i = 0; i < 3; i++) {
                        if (kit_receive(to[i]) < 0)
                                continue;
                        for (int j = 0; j < 3; j++)
                                ck_assert_uint_ge(peer_now(to[j]), 62);
                        ck_assert_uint_ge(peer_now(from), 62);
                }
        }
        tx_finish(&tx, NULL, NULL);
        teardown();
}
END_TEST

START_TEST(a_receiver_that_closes_at_any_step_is_passed_over)
{
        setup();
        for (int when = 0;; when++) {
                struct peer *closing = kit_peer(100, account), *other = kit_peer(101, account);
                struct message *m = kit_message(when, CHARGED, account);
                bool more = true;
                int step = 0;
                struct tx tx;

                tx_init(&tx, from);
                ck_assert_int_eq(tx_add(&tx, closing, m), 0);
                ck_assert_int_eq(tx_add(&tx, other, m), 0);
                message_unref(m);
                for (; more; step++) {
                        if (step == when)
                                peer_close(closing);
                        more = tx_step(&tx);
                }
                tx_finish(&tx, NULL, NULL);
                ck_assert_int_eq(kit_receive(other), when);
                peer_close(closing);
                ck_assert_uint_eq(account->used[ACCOUNT_BYTES], 0);
                peer_unref(closing);
                peer_unref(other);
                if (when > step)
                        break;
        }
        teardown();
}
END_TEST

START_TEST(nothing_is_freed_between_stage_and_settle)
{
        struct message *m;
        uint64_t used;
        struct tx tx;
        int live;

        setup();
        m = kit_message(1, CHARGED, account);
        tx_init(&tx, from);
        ck_assert_int_eq(tx_add(&tx, to[0], m), 0);
        message_unref(m);
        add(&tx, 2, 2);
        live = kit_live();
        used = account->used[ACCOUNT_BYTES];
        ck_assert_uint_ge(used, CHARGED);
        peer_close(to[0]);
        to[0] = peer_unref(to[0]);
        while (tx_step(&tx)) {
                ck_assert_int_eq(kit_live(), live);
                ck_assert_uint_eq(account->used[ACCOUNT_BYTES], used);
        }
        tx_finish(&tx, NULL, NULL);
        ck_assert_int_eq(kit_live(), live - 2); /* the peer, and the message for it alone */
        ck_assert_int_eq(kit_receive(to[1]), 2);
        teardown();
}
END_TEST

static void all_are_readable(void *data, struct peer *peer)
{
        int *touched = data;

        if ((*touched)++ == 0)
                for (int i = 1; i < 4; i++)
                        ck_assert_int_eq(kit_receive(to[i]), 3);
        ck_assert_ptr_ne(peer, to[0]);
}

START_TEST(touched_is_called_after_the_last_settle_and_not_for_the_closed)
{
        int touched = 0;
        struct tx tx;

        setup();
        tx_init(&tx, from);
        add(&tx, 4, 3);
        peer_close(to[0]);
        tx_commit(&tx, all_are_readable, &touched);
        ck_assert_int_eq(touched, 3);
        teardown();
}
END_TEST

START_TEST(a_refused_receiver_leaves_the_transaction_unchanged)
{
        struct message *m;
        struct tx tx;

        setup();
        to[1]->limits.bytes = 10;
        ck_assert_int_eq(kit_send(from, to[1], 0), 0);
        m = kit_message(4, 100, account);
        tx_init(&tx, from);
        ck_assert_int_eq(tx_add(&tx, to[0], m), 0);
        ck_assert_int_eq(tx_add(&tx, to[1], m), PEER_E_FULL);
        ck_assert_int_eq(tx_add(&tx, to[2], m), 0);
        message_unref(m);
        ck_assert_uint_eq(tx.n, 2);
        tx_commit(&tx, NULL, NULL);
        ck_assert_int_eq(kit_receive(to[0]), 4);
        ck_assert_int_eq(kit_receive(to[1]), 0);
        ck_assert_int_eq(kit_receive(to[1]), -1);
        ck_assert_int_eq(kit_receive(to[2]), 4);
        teardown();
}
END_TEST

/* Adds receivers until memory fails at the @n-th allocation; true if it did. */
static bool out_of_memory_at(unsigned n, struct message *m)
{
        struct tx tx;
        int r = 0;

        kit_fail_alloc(n);
        tx_init(&tx, from);
        for (int i = 0; i < N_PEERS && r == 0; i++)
                r = tx_add(&tx, to[i], m);
        kit_fail_alloc(0);
        ck_assert(r == 0 || r == -ENOMEM);
        tx_abort(&tx);
        ck_assert_uint_eq(m->refs, 1);
        ck_assert_uint_eq(account->used[ACCOUNT_BYTES], 0);
        for (int i = 0; i < N_PEERS; i++) {
                ck_assert_uint_eq(to[i]->refs, 1);
                ck_assert_uint_eq(to[i]->queued_bytes, 0);
                ck_assert_int_eq(kit_receive(to[i]), -1);
        }
        return r != 0;
}

START_TEST(any_failed_allocation_leaves_nothing_behind)
{
        _cleanup_(message_unrefp) struct message *m = NULL;
        unsigned n = 1;

        setup();
        m = kit_message(0, CHARGED, account);
        while (out_of_memory_at(n, m))
                n++;
        ck_assert_uint_gt(n, N_PEERS + 2); /* an entry each, and two larger rows of receivers */
        teardown();
}
END_TEST

START_TEST(unicast_and_multicast_of_one_sender_keep_their_order)
{
        struct tx tx;

        setup();
        peer_sync(to[1], 100); /* the multicast's stamp is far ahead of the first inbox's clock */
        ck_assert_int_eq(kit_send(from, to[0], 1), 0);
        tx_init(&tx, from);
        add(&tx, 2, 2);
        ck_assert_int_eq(kit_send(from, to[0], 3), 0); /* sent before the commit */
        tx_commit(&tx, NULL, NULL);
        ck_assert_int_eq(kit_send(from, to[0], 4), 0);
        ck_assert_int_eq(kit_receive(to[0]), 1);
        ck_assert_int_eq(kit_receive(to[0]), 3);
        ck_assert_int_eq(kit_receive(to[0]), 2);
        ck_assert_int_eq(kit_receive(to[0]), 4);
        ck_assert_int_eq(kit_receive(to[1]), 2);
        teardown();
}
END_TEST

static unsigned draw(unsigned *state, unsigned n)
{
        *state = *state * 1103515245 + 12345;
        return (*state >> 16) % n;
}

/* Sends of one to three messages by anyone to anyone, and receivers that go; the same for each @seed. */
static void send_at_random(unsigned seed, bool in_steps)
{
        for (uint64_t n = 0; n < 60; n++) {
                struct tx tx;

                tx_init(&tx, to[draw(&seed, N_PEERS)]);
                for (unsigned i = 1 + draw(&seed, 3); i; i--) {
                        _cleanup_(message_unrefp) struct message *m = kit_message(4 * n + i, 1, NULL);

                        for (unsigned k = 1 + draw(&seed, 20); k; k--)
                                ck_assert_int_eq(tx_add(&tx, to[draw(&seed, N_PEERS)], m), 0);
                        if (draw(&seed, 2)) /* as what watchers get in between */
                                tx.from = to[draw(&seed, N_PEERS)];
                }
                if (draw(&seed, 8) == 0)
                        peer_close(to[draw(&seed, N_PEERS)]);
                if (in_steps) {
                        while (tx_step(&tx))
                                ;
                        tx_finish(&tx, NULL, NULL);
                } else {
                        tx_commit(&tx, NULL, NULL);
                }
        }
}

START_TEST(who_is_alone_gets_where_the_steps_lead)
{
        int64_t tags[N_PEERS][1000];
        size_t n[N_PEERS] = {};

        setup();
        send_at_random(_i, true);
        for (int i = 0; i < N_PEERS; i++)
                while ((tags[i][n[i]] = kit_receive(to[i])) >= 0)
                        n[i]++;
        teardown();
        setup();
        send_at_random(_i, false);
        for (int i = 0; i < N_PEERS; i++)
                for (size_t k = 0; k <= n[i]; k++)
                        ck_assert_int_eq(kit_receive(to[i]), tags[i][k]);
        teardown();
}
END_TEST

int main(void)
{
        return KIT_RUN("tx", {a_commit_reaches_every_receiver_once},
                       {an_abort_reaches_nobody_and_gives_everything_back},
                       {an_empty_transaction_does_nothing}, {a_transaction_may_be_used_again},
                       {an_inbox_keeps_the_order_of_add}, {one_message_may_go_to_one_inbox_twice},
                       {all_clocks_stand_at_the_largest_stamp_afterwards},
                       {nobody_reads_before_every_clock_was_moved},
                       {a_receiver_that_closes_at_any_step_is_passed_over},
                       {nothing_is_freed_between_stage_and_settle},
                       {touched_is_called_after_the_last_settle_and_not_for_the_closed},
                       {a_refused_receiver_leaves_the_transaction_unchanged},
                       {any_failed_allocation_leaves_nothing_behind},
                       {unicast_and_multicast_of_one_sender_keep_their_order},
                       {who_is_alone_gets_where_the_steps_lead, 50});
}
