/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bus-core/test-kit.h"

/* An entry with no message, for the order is all that matters here. */
static struct inbox_entry entry(uint64_t sender, uint64_t seq)
{
        return (struct inbox_entry){.sender = sender, .seq = seq};
}

static void check_leaves(struct inbox *in, struct inbox_entry *e)
{
        ck_assert_ptr_eq(inbox_front(in), e);
        inbox_remove(in, e);
        ck_assert_uint_eq(e->stamp, 0);
}

START_TEST(empty_inbox_has_no_front)
{
        struct inbox in;

        inbox_init(&in);
        ck_assert_ptr_null(inbox_front(&in));
        inbox_deinit(&in);
}
END_TEST

START_TEST(entries_leave_in_the_order_of_their_stamps)
{
        struct inbox_entry a = entry(1, 1), b = entry(2, 1), c = entry(1, 2);
        struct inbox in;

        inbox_init(&in);
        inbox_place(&in, &a, 2);
        inbox_place(&in, &b, 4);
        inbox_place(&in, &c, 6);
        ck_assert_uint_eq(in.n_committed, 3);
        check_leaves(&in, &a);
        check_leaves(&in, &b);
        check_leaves(&in, &c);
        ck_assert_uint_eq(in.n_committed, 0);
        inbox_deinit(&in);
}
END_TEST

START_TEST(committed_waits_for_staged)
{
        struct inbox_entry staged = entry(1, 1), committed = entry(2, 1);
        struct inbox in;

        inbox_init(&in);
        inbox_place(&in, &staged, 1);
        inbox_place(&in, &committed, 4);
        ck_assert_ptr_null(inbox_front(&in));
        ck_assert_uint_eq(in.n_staged, 1);
        inbox_commit(&in, &staged, 2);
        ck_assert_uint_eq(in.n_staged, 0);
        check_leaves(&in, &staged);
        check_leaves(&in, &committed);
        inbox_deinit(&in);
}
END_TEST

START_TEST(committed_ahead_of_staged_may_leave)
{
        struct inbox_entry committed = entry(1, 1), staged = entry(2, 1);
        struct inbox in;

        inbox_init(&in);
        inbox_place(&in, &committed, 2);
        inbox_place(&in, &staged, 3);
        check_leaves(&in, &committed);
        ck_assert_ptr_null(inbox_front(&in));
        inbox_commit(&in, &staged, 10);
        check_leaves(&in, &staged);
        inbox_deinit(&in);
}
END_TEST

START_TEST(commit_moves_behind_smaller_stamps_only)
{
        struct inbox_entry moved = entry(1, 1), smaller = entry(2, 1), larger = entry(3, 1);
        struct inbox in;

        inbox_init(&in);
        inbox_place(&in, &moved, 1);
        inbox_place(&in, &smaller, 4);
        inbox_place(&in, &larger, 8);
        inbox_commit(&in, &moved, 6);
        check_leaves(&in, &smaller);
        check_leaves(&in, &moved);
        check_leaves(&in, &larger);
        inbox_deinit(&in);
}
END_TEST

START_TEST(staged_entry_of_a_smaller_stamp_blocks_a_commit)
{
        struct inbox_entry first = entry(1, 1), second = entry(2, 1);
        struct inbox in;

        inbox_init(&in);
        inbox_place(&in, &first, 1);
        inbox_place(&in, &second, 3);
        inbox_commit(&in, &first, 8); /* may yet turn out to be behind the second */
        ck_assert_ptr_null(inbox_front(&in));
        inbox_commit(&in, &second, 6);
        check_leaves(&in, &second);
        check_leaves(&in, &first);
        inbox_deinit(&in);
}
END_TEST

START_TEST(equal_stamps_go_by_sender_then_by_sequence)
{
        struct inbox_entry a = entry(1, 7), b = entry(1, 8), c = entry(2, 1);

        a.stamp = b.stamp = c.stamp = 4;
        ck_assert_int_lt(inbox_compare(&a, &b), 0);
        ck_assert_int_gt(inbox_compare(&b, &a), 0);
        ck_assert_int_lt(inbox_compare(&b, &c), 0);
        ck_assert_int_gt(inbox_compare(&c, &a), 0);
        ck_assert_int_eq(inbox_compare(&a, &a), 0);
        a.stamp = 6;
        ck_assert_int_gt(inbox_compare(&a, &c), 0);
}
END_TEST

START_TEST(flush_gives_up_committed_entries_and_lets_go_of_staged_ones)
{
        struct inbox_entry a = entry(1, 1), staged = entry(2, 1), b = entry(3, 1);
        CDS_LIST_HEAD(out);
        struct inbox in;

        inbox_init(&in);
        inbox_place(&in, &a, 2);
        inbox_place(&in, &staged, 3);
        inbox_place(&in, &b, 6);
        inbox_flush(&in, &out);
        ck_assert(in.closed);
        ck_assert_uint_eq(in.n_staged + in.n_committed, 0);
        ck_assert_uint_eq(staged.stamp, 0);
        ck_assert_ptr_eq(out.next, &a.link);
        ck_assert_ptr_eq(a.link.next, &b.link);
        ck_assert_ptr_eq(b.link.next, &out);
        inbox_deinit(&in);
}
END_TEST

#define N 6

/* Takes the @k-th of the N! orders: fills @order with 0 .. N-1. */
static void permutation(unsigned k, int order[N])
{
        int left[N];

        for (int i = 0; i < N; i++)
                left[i] = i;
        for (int i = 0; i < N; i++) {
                unsigned at = k % (N - i);

                k /= N - i;
                order[i] = left[at];
                for (int j = at; j < N - i - 1; j++)
                        left[j] = left[j + 1];
        }
}

START_TEST(every_order_of_commits_ends_in_the_same_order)
{
        /* Placed 0 to 5. Ties: 1, 3 and 5 by sender; 0 and 4 by sequence. */
        static const uint64_t stamp[N] = {14, 12, 18, 12, 14, 12};
        static const uint64_t sender[N] = {5, 3, 1, 2, 5, 9};
        static const uint64_t seq[N] = {2, 1, 1, 1, 1, 1};
        static const int expected[N] = {3, 1, 5, 4, 0, 2};

        for (unsigned k = 0; k < 720; k++) {
                struct inbox_entry e[N];
                struct inbox in;
                int order[N];

                permutation(k, order);
                inbox_init(&in);
                for (int i = 0; i < N; i++) {
                        e[i] = entry(sender[i], seq[i]);
                        inbox_place(&in, &e[i], 2 * i + 1);
                }
                for (int i = 0; i < N; i++) {
                        ck_assert_ptr_ne(inbox_front(&in), &e[order[i]]);
                        inbox_commit(&in, &e[order[i]], stamp[order[i]]);
                }
                for (int i = 0; i < N; i++)
                        check_leaves(&in, &e[expected[i]]);
                inbox_deinit(&in);
        }
}
END_TEST

int main(void)
{
        return KIT_RUN("inbox", {empty_inbox_has_no_front},
                       {entries_leave_in_the_order_of_their_stamps}, {committed_waits_for_staged},
                       {committed_ahead_of_staged_may_leave},
                       {commit_moves_behind_smaller_stamps_only},
                       {staged_entry_of_a_smaller_stamp_blocks_a_commit},
                       {equal_stamps_go_by_sender_then_by_sequence},
                       {flush_gives_up_committed_entries_and_lets_go_of_staged_ones},
                       {every_order_of_commits_ends_in_the_same_order});
}
