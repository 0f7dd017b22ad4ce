/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bus-core/test-kit.h"

#define CHARGED (PEER_ALLOWANCE + 1) /* a message that the allowance does not cover */

static struct account *alice, *bob;
static struct peer *a, *b, *c;

/* Three peers: a and c belong to alice, b to bob. */
static void setup(void)
{
        alice = kit_account(1000, KIT_LIMIT);
        bob = kit_account(1001, KIT_LIMIT);
        a = kit_peer(1, alice);
        b = kit_peer(2, bob);
        c = kit_peer(3, alice);
}

static void teardown(void)
{
        a = peer_unref(a);
        b = peer_unref(b);
        c = peer_unref(c);
        ck_assert_uint_eq(alice->used[ACCOUNT_BYTES], 0);
        ck_assert_uint_eq(bob->used[ACCOUNT_BYTES], 0);
        alice = account_unref(alice);
        bob = account_unref(bob);
}

static int send_sized(struct peer *from, struct peer *to, uint32_t size)
{
        _cleanup_(message_unrefp) struct message *m = kit_message(0, size, from->account);

        return peer_send(from, to, m);
}

START_TEST(messages_arrive_in_the_order_sent)
{
        setup();
        for (int i = 0; i < 5; i++)
                ck_assert_int_eq(kit_send(a, b, i), 0);
        for (int i = 0; i < 5; i++)
                ck_assert_int_eq(kit_receive(b), i);
        ck_assert_int_eq(kit_receive(b), -1);
        teardown();
}
END_TEST

START_TEST(a_peer_may_send_to_itself)
{
        setup();
        ck_assert_int_eq(kit_send(a, a, 7), 0);
        ck_assert_int_eq(kit_receive(a), 7);
        teardown();
}
END_TEST

START_TEST(a_send_moves_both_clocks_beyond_the_larger)
{
        setup();
        peer_sync(a, 40);
        ck_assert_int_eq(kit_send(a, b, 0), 0);
        ck_assert_uint_eq(peer_now(a), 42);
        ck_assert_uint_eq(peer_now(b), 42);
        peer_sync(b, 50);
        ck_assert_int_eq(kit_send(a, b, 0), 0);
        ck_assert_uint_eq(peer_now(a), 52);
        ck_assert_uint_eq(peer_now(b), 52);
        peer_sync(b, 10); /* clocks do not run backwards */
        ck_assert_uint_eq(peer_now(b), 52);
        teardown();
}
END_TEST

START_TEST(receive_takes_no_more_than_asked_for)
{
        CDS_LIST_HEAD(got);

        setup();
        for (int i = 0; i < 5; i++)
                ck_assert_int_eq(kit_send(a, b, i), 0);
        ck_assert_uint_eq(peer_receive(b, &got, 0), 0);
        ck_assert_uint_eq(peer_receive(b, &got, 3), 3);
        ck_assert_uint_eq(peer_receive(b, &got, 3), 2);
        ck_assert_uint_eq(peer_receive(b, &got, 3), 0);
        peer_release_all(b, &got);
        ck_assert(cds_list_empty(&got));
        teardown();
}
END_TEST

START_TEST(taken_entries_count_until_they_are_released)
{
        CDS_LIST_HEAD(got);

        setup();
        ck_assert_int_eq(send_sized(a, b, CHARGED), 0);
        ck_assert_uint_eq(b->queued_bytes, CHARGED);
        ck_assert_uint_eq(bob->used[ACCOUNT_BYTES], CHARGED);
        ck_assert_uint_eq(peer_receive(b, &got, 1), 1);
        ck_assert_uint_eq(b->queued_bytes, CHARGED);
        ck_assert_uint_eq(bob->used[ACCOUNT_BYTES], CHARGED);
        peer_release_all(b, &got);
        ck_assert_uint_eq(b->queued_bytes, 0);
        ck_assert_uint_eq(bob->used[ACCOUNT_BYTES], 0);
        teardown();
}
END_TEST

START_TEST(a_closed_peer_receives_nothing)
{
        setup();
        peer_close(b);
        ck_assert_int_eq(send_sized(a, b, CHARGED), PEER_E_CLOSED);
        ck_assert_int_eq(kit_receive(b), -1);
        ck_assert_uint_eq(b->queued_bytes, 0);
        ck_assert_uint_eq(bob->used[ACCOUNT_BYTES], 0);
        teardown();
}
END_TEST

START_TEST(closing_drops_what_waits_and_may_be_repeated)
{
        setup();
        ck_assert_int_eq(kit_send(a, b, 0), 0);
        ck_assert_int_eq(send_sized(a, b, CHARGED), 0);
        ck_assert_int_eq(kit_live(), 3 + 2);
        peer_close(b);
        peer_close(b);
        ck_assert_int_eq(kit_live(), 3);
        ck_assert_uint_eq(b->queued_bytes, 0);
        ck_assert_uint_eq(bob->used[ACCOUNT_BYTES], 0);
        teardown();
}
END_TEST

START_TEST(the_allowance_asks_no_account)
{
        setup();
        ck_assert_int_eq(send_sized(a, b, PEER_ALLOWANCE), 0);
        ck_assert_uint_eq(bob->used[ACCOUNT_BYTES], 0);
        ck_assert_int_eq(send_sized(a, b, 10), 0); /* the first byte beyond it does */
        ck_assert_uint_eq(bob->used[ACCOUNT_BYTES], 10);
        ck_assert_uint_eq(bob->used[ACCOUNT_ENTRIES], 1);
        teardown();
}
END_TEST

START_TEST(descriptors_are_charged_from_the_first)
{
        struct message *m;

        setup();
        m = kit_message(0, 100, alice);
        kit_message_fd(m);
        ck_assert_int_eq(peer_send(a, b, m), 0);
        message_unref(m);
        ck_assert_uint_eq(bob->used[ACCOUNT_FDS], 1);
        ck_assert_uint_eq(b->queued_fds, 1);
        ck_assert_uint_eq(peer_n_waiting(b), 1);
        ck_assert_int_eq(kit_receive(b), 0);
        ck_assert_uint_eq(bob->used[ACCOUNT_FDS], 0);
        ck_assert_uint_eq(b->queued_fds, 0);
        ck_assert_uint_eq(b->peak_fds, 1);
        ck_assert_uint_eq(peer_n_waiting(b), 0);
        teardown();
}
END_TEST

START_TEST(a_queue_over_its_ceiling_is_full)
{
        setup();
        b->limits.bytes = 1000;
        ck_assert_int_eq(send_sized(a, b, 1000), 0);
        ck_assert_int_eq(send_sized(a, b, 5000), 0); /* reached, not passed */
        ck_assert_int_eq(send_sized(a, b, 1), PEER_E_FULL);
        ck_assert_uint_eq(b->queued_bytes, 6000);
        kit_receive(b);
        kit_receive(b);
        ck_assert_int_eq(send_sized(a, b, 1), 0);
        teardown();
}
END_TEST

START_TEST(a_sender_cannot_use_up_the_receivers_account)
{
        struct account *carol;
        struct peer *d;

        setup();
        carol = kit_account(1002, KIT_LIMIT);
        d = kit_peer(4, carol);
        while (send_sized(a, b, 10000) == 0)
                ;
        ck_assert_int_eq(send_sized(c, b, 10000), PEER_E_QUOTA); /* the same user's other peer */
        ck_assert_uint_le(bob->used[ACCOUNT_BYTES], KIT_LIMIT / 2);
        ck_assert_int_eq(send_sized(d, b, 10000), 0);
        peer_unref(d);
        account_unref(carol);
        teardown();
}
END_TEST

START_TEST(a_refused_message_leaves_no_trace)
{
        uint64_t queued, clock;

        setup();
        while (send_sized(a, b, 10000) == 0)
                ;
        queued = b->queued_bytes;
        clock = peer_now(b);
        ck_assert_int_eq(send_sized(a, b, 10000), PEER_E_QUOTA);
        ck_assert_uint_eq(b->queued_bytes, queued);
        ck_assert_uint_eq(peer_now(b), clock);
        ck_assert_uint_eq(b->data.inbox.n_staged, 0);
        teardown();
}
END_TEST

START_TEST(the_bus_itself_is_never_charged)
{
        _cleanup_(message_unrefp) struct message *m = kit_message(5, CHARGED, NULL);

        setup();
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(peer_send(a, b, m), 0);
        ck_assert_uint_eq(b->queued_bytes, 3 * CHARGED);
        ck_assert_uint_eq(bob->used[ACCOUNT_BYTES], 0);
        teardown();
}
END_TEST

START_TEST(the_bus_itself_may_fill_a_queue_twice_as_far)
{
        _cleanup_(message_unrefp) struct message *m = kit_message(5, 500, NULL);

        setup();
        b->limits.bytes = 1000;
        while (send_sized(a, b, 500) == 0)
                ;
        ck_assert_uint_eq(b->queued_bytes, 1500);
        ck_assert_int_eq(peer_send(a, b, m), 0);
        ck_assert_int_eq(peer_send(a, b, m), 0);
        ck_assert_uint_eq(b->queued_bytes, 2500);
        ck_assert_int_eq(peer_send(a, b, m), PEER_E_FULL);
        b->limits.bytes = UINT64_MAX;
        ck_assert_int_eq(peer_send(a, b, m), 0);
        teardown();
}
END_TEST

START_TEST(a_message_exists_once_however_many_receive_it)
{
        setup();
        ck_assert_int_eq(kit_send(a, b, 0), 0);
        {
                _cleanup_(message_unrefp) struct message *m = kit_message(1, 10, alice);

                for (int i = 0; i < 10; i++)
                        ck_assert_int_eq(peer_send(a, i & 1 ? b : c, m), 0);
        }
        ck_assert_int_eq(kit_live(), 3 + 2);
        peer_close(b);
        ck_assert_int_eq(kit_live(), 3 + 1);
        peer_close(c);
        ck_assert_int_eq(kit_live(), 3);
        teardown();
}
END_TEST

START_TEST(any_failed_allocation_of_a_send_changes_nothing)
{
        _cleanup_(message_unrefp) struct message *m = NULL;
        unsigned n = 1;

        setup();
        m = kit_message(0, CHARGED, alice);
        for (;; n++) {
                int r;

                kit_fail_alloc(n);
                r = peer_send(a, b, m);
                kit_fail_alloc(0);
                if (r == 0)
                        break;
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_uint_eq(b->queued_bytes, 0);
                ck_assert_uint_eq(bob->used[ACCOUNT_BYTES], 0);
                ck_assert_uint_eq(m->refs, 1);
        }
        ck_assert_uint_ge(n, 5); /* an entry, a share, a hash table and its buckets */
        ck_assert_int_eq(kit_receive(b), 0);
        teardown();
}
END_TEST

START_TEST(unicast_allocates_nothing_in_the_steady_state)
{
        uint64_t misses;
        void *probe;

        /* Under a sanitizer, or asked to, the cache keeps nothing. */
        cache_free(cache_alloc(1));
        misses = cache_misses();
        probe = cache_alloc(1);
        cache_free(probe);
        if (cache_misses() != misses)
                return;

        setup();
        for (int i = 0; i < 1000; i++) {
                if (i == 10)
                        misses = cache_misses();
                ck_assert_int_eq(kit_send(a, b, 1), 0);
                ck_assert_int_eq(kit_send(b, a, 2), 0);
                ck_assert_int_eq(kit_receive(a), 2);
                ck_assert_int_eq(kit_receive(b), 1);
        }
        ck_assert_uint_eq(cache_misses(), misses);
        teardown();
}
END_TEST

int main(void)
{
        return KIT_RUN(
                "peer", {messages_arrive_in_the_order_sent}, {a_peer_may_send_to_itself},
                {a_send_moves_both_clocks_beyond_the_larger},
                {receive_takes_no_more_than_asked_for},
                {taken_entries_count_until_they_are_released}, {a_closed_peer_receives_nothing},
                {closing_drops_what_waits_and_may_be_repeated}, {the_allowance_asks_no_account},
                {descriptors_are_charged_from_the_first}, {a_queue_over_its_ceiling_is_full},
                {a_sender_cannot_use_up_the_receivers_account}, {a_refused_message_leaves_no_trace},
                {the_bus_itself_is_never_charged}, {the_bus_itself_may_fill_a_queue_twice_as_far},
                {a_message_exists_once_however_many_receive_it},
                {any_failed_allocation_of_a_send_changes_nothing},
                {unicast_allocates_nothing_in_the_steady_state});
}
