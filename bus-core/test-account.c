/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bus-core/test-kit.h"

#define OWNER 0
#define LIMIT 1200

static int take(struct charge *charge, struct account *owner, struct account *actor, uint64_t n)
{
        const uint64_t amount[ACCOUNT_N_SLOTS] = {n, 0, 1};

        *charge = CHARGE_NULL;
        return charge_take(charge, owner, actor, amount);
}

/* The largest charge in bytes that the actor is given, and given back at once. */
static uint64_t most(struct account *owner, struct account *actor)
{
        struct charge charge;
        uint64_t n = 0;

        while (!take(&charge, owner, actor, n + 1)) {
                charge_drop(&charge);
                n++;
        }
        return n;
}

START_TEST(dropped_charge_is_given_back)
{
        _cleanup_(account_unrefp) struct account *owner = kit_account(OWNER, LIMIT);
        _cleanup_(account_unrefp) struct account *actor = kit_account(1, LIMIT);
        struct charge charge;

        ck_assert_int_eq(take(&charge, owner, actor, 100), 0);
        ck_assert_uint_eq(owner->used[ACCOUNT_BYTES], 100);
        ck_assert_uint_eq(owner->used[ACCOUNT_ENTRIES], 1);
        charge_drop(&charge);
        ck_assert_uint_eq(owner->used[ACCOUNT_BYTES], 0);
        ck_assert_uint_eq(owner->used[ACCOUNT_ENTRIES], 0);
        ck_assert_uint_eq(owner->peak[ACCOUNT_BYTES], 100);
        ck_assert_ptr_null(owner->shares);
        charge_drop(&charge); /* pays nothing any more */
        ck_assert_uint_eq(owner->used[ACCOUNT_BYTES], 0);
}
END_TEST

START_TEST(single_actor_may_use_half)
{
        _cleanup_(account_unrefp) struct account *owner = kit_account(OWNER, LIMIT);
        _cleanup_(account_unrefp) struct account *actor = kit_account(1, LIMIT);

        ck_assert_uint_eq(most(owner, actor), LIMIT / 2);
}
END_TEST

START_TEST(share_counts_what_the_actor_holds_already)
{
        _cleanup_(account_unrefp) struct account *owner = kit_account(OWNER, LIMIT);
        _cleanup_(account_unrefp) struct account *actor = kit_account(1, LIMIT);
        struct charge held;

        ck_assert_int_eq(take(&held, owner, actor, LIMIT / 2 - 10), 0);
        ck_assert_uint_eq(most(owner, actor), 10);
        charge_drop(&held);
}
END_TEST

START_TEST(the_nth_greedy_actor_still_gets_its_share)
{
        _cleanup_(account_unrefp) struct account *owner = kit_account(OWNER, LIMIT);
        struct account *actor[4];
        struct charge held[4];

        /* Each takes all it can get: 1/(n(n+1)) of the whole is left for the n-th. */
        for (unsigned n = 1; n <= 4; n++) {
                actor[n - 1] = kit_account(n, LIMIT);
                ck_assert_uint_eq(most(owner, actor[n - 1]), LIMIT / (n * (n + 1)));
                ck_assert_int_eq(take(&held[n - 1], owner, actor[n - 1], LIMIT / (n * (n + 1))), 0);
        }
        for (int i = 0; i < 4; i++) {
                charge_drop(&held[i]);
                account_unref(actor[i]);
        }
        ck_assert_uint_eq(owner->used[ACCOUNT_BYTES], 0);
}
END_TEST

START_TEST(owner_may_fill_its_own_account_but_not_more)
{
        _cleanup_(account_unrefp) struct account *owner = kit_account(OWNER, LIMIT);

        ck_assert_uint_eq(most(owner, owner), LIMIT);
}
END_TEST

START_TEST(refused_charge_changes_nothing)
{
        _cleanup_(account_unrefp) struct account *owner = kit_account(OWNER, LIMIT);
        _cleanup_(account_unrefp) struct account *actor = kit_account(1, LIMIT);
        struct charge charge;

        ck_assert_int_eq(take(&charge, owner, actor, LIMIT), ACCOUNT_E_QUOTA);
        ck_assert_ptr_null(charge.share);
        ck_assert_ptr_null(owner->shares);
        ck_assert_uint_eq(owner->used[ACCOUNT_BYTES], 0);
        ck_assert_uint_eq(owner->used[ACCOUNT_ENTRIES], 0);
        ck_assert_uint_eq(owner->peak[ACCOUNT_BYTES], 0);
}
END_TEST

START_TEST(every_slot_is_asked)
{
        _cleanup_(account_unrefp) struct account *owner = kit_account(OWNER, LIMIT);
        _cleanup_(account_unrefp) struct account *actor = kit_account(1, LIMIT);

        for (int i = 0; i < ACCOUNT_N_SLOTS; i++) {
                uint64_t amount[ACCOUNT_N_SLOTS] = {1, 1, 1};
                struct charge charge = CHARGE_NULL;

                amount[i] = LIMIT / 2;
                ck_assert_int_eq(charge_take(&charge, owner, actor, amount), 0);
                charge_drop(&charge);
                amount[i]++;
                ck_assert_int_eq(charge_take(&charge, owner, actor, amount), ACCOUNT_E_QUOTA);
        }
}
END_TEST

START_TEST(absurd_amounts_are_refused)
{
        static const uint64_t amounts[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2 + 1};
        _cleanup_(account_unrefp) struct account *owner = kit_account(OWNER, UINT64_MAX);
        _cleanup_(account_unrefp) struct account *actor = kit_account(1, LIMIT);
        struct charge held, charge;

        ck_assert_int_eq(take(&held, owner, actor, 10), 0);
        for (size_t i = 0; i < ARRAY_SIZE(amounts); i++)
                ck_assert_int_eq(take(&charge, owner, actor, amounts[i]), ACCOUNT_E_QUOTA);
        charge_drop(&held);
}
END_TEST

START_TEST(lowered_limit_keeps_what_is_held)
{
        _cleanup_(account_unrefp) struct account *owner = kit_account(OWNER, LIMIT);
        _cleanup_(account_unrefp) struct account *actor = kit_account(1, LIMIT);
        struct charge held;

        ck_assert_int_eq(take(&held, owner, actor, 500), 0);
        account_set_limit(owner, ACCOUNT_BYTES, 100);
        ck_assert_uint_eq(owner->used[ACCOUNT_BYTES], 500);
        ck_assert_uint_eq(most(owner, actor), 0);
        ck_assert_uint_eq(most(owner, owner), 0);
        charge_drop(&held);
        ck_assert_uint_eq(most(owner, actor), 50);
}
END_TEST

START_TEST(charge_outlives_the_owners_last_reference)
{
        struct account *owner = kit_account(OWNER, LIMIT), *actor = kit_account(1, LIMIT);
        struct charge charge;

        ck_assert_int_eq(take(&charge, owner, actor, 1), 0);
        account_unref(owner);
        account_unref(actor);
        charge_drop(&charge);
}
END_TEST

START_TEST(any_failed_allocation_charges_nobody)
{
        _cleanup_(account_unrefp) struct account *owner = kit_account(OWNER, LIMIT);
        _cleanup_(account_unrefp) struct account *actor = kit_account(1, LIMIT);
        struct charge charge;
        unsigned n = 1;

        for (;; n++) {
                int r;

                kit_fail_alloc(n);
                r = take(&charge, owner, actor, 1);
                kit_fail_alloc(0);
                if (r == 0)
                        break;
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_ptr_null(charge.share);
                ck_assert_ptr_null(owner->shares);
                ck_assert_uint_eq(owner->used[ACCOUNT_BYTES], 0);
        }
        ck_assert_uint_ge(n, 4); /* a share, a hash table and its buckets */
        charge_drop(&charge);
}
END_TEST

START_TEST(hash_table_that_cannot_grow_refuses_the_charge)
{
        _cleanup_(account_unrefp) struct account *owner = kit_account(OWNER, UINT32_MAX);
        struct charge held[400];
        int refused = 0;

        for (unsigned i = 0; i < ARRAY_SIZE(held); i++) {
                _cleanup_(account_unrefp) struct account *actor = kit_account(i + 1, LIMIT);
                int r;

                kit_fail_alloc(2); /* the share is there, what the table wants is not */
                r = take(&held[i], owner, actor, 1);
                kit_fail_alloc(0);
                ck_assert(r == 0 || r == -ENOMEM);
                refused += r != 0;
                if (r)
                        ck_assert_int_eq(take(&held[i], owner, actor, 1), 0);
        }
        ck_assert_int_gt(refused, 0);
        for (unsigned i = 0; i < ARRAY_SIZE(held); i++)
                charge_drop(&held[i]);
        ck_assert_uint_eq(owner->used[ACCOUNT_BYTES], 0);
        ck_assert_ptr_null(owner->shares);
}
END_TEST

START_TEST(account_without_memory_is_refused)
{
        const uint64_t limit[ACCOUNT_N_SLOTS] = {1, 1, 1};
        struct account *account = NULL;

        kit_fail_alloc(1);
        ck_assert_int_eq(account_new(&account, OWNER, limit), -ENOMEM);
        ck_assert_ptr_null(account);
}
END_TEST

int main(void)
{
        return KIT_RUN("account", {dropped_charge_is_given_back}, {single_actor_may_use_half},
                       {share_counts_what_the_actor_holds_already},
                       {the_nth_greedy_actor_still_gets_its_share},
                       {owner_may_fill_its_own_account_but_not_more},
                       {refused_charge_changes_nothing}, {every_slot_is_asked},
                       {absurd_amounts_are_refused}, {lowered_limit_keeps_what_is_held},
                       {charge_outlives_the_owners_last_reference},
                       {any_failed_allocation_charges_nobody},
                       {hash_table_that_cannot_grow_refuses_the_charge},
                       {account_without_memory_is_refused});
}
