/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Connections that send through a bus in this process: what lies on the road of a message comes
 * from caches that are filled after a while, and nothing from malloc(). And connections that go from
 * one poller to another meanwhile.
 */

#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus-core/util/test-fault.h"
#include "bus-core/util/test-run.h"
#include "shim/dbus/conn.h"
#include "shim/dbus/driver.h"
#include "shim/wire/writer.h"

#define INTERFACE "com.example.Interface"
#define ROUNDS 200

struct side {
        int fd;
        char name[24];
        uint32_t serial;
};

/* A message that is sent again and again: but for its numbers it stays as it is. */
struct letter {
        uint8_t *data;
        size_t n;
        uint32_t reply_at; /* where its reply serial stands; 0: it has none */
};

static struct bus bus;
static struct turn turn;
static struct poller poller, other_poller;
static CDS_LIST_HEAD(conns);
static struct conn_config config = { .mechanisms = AUTH_EXTERNAL, .can_pass_fds = true };
static size_t n_allocated; /* by the bus */
static uint8_t buffer[1 << 20];

/* --- a bus and its clients ------------------------------------------------------------------- */

/* The session's policy; or, if not @open, one that has to be asked about each message. */
static void set_policy(bool open)
{
        const struct policy_rule rules[] = {
                { .kind = POLICY_SEND, .allow = true, .eavesdrop = true, .max_fds = POLICY_MAX_FDS },
                { .kind = POLICY_RECEIVE, .allow = true, .eavesdrop = true,
                  .max_fds = POLICY_MAX_FDS },
                { .kind = POLICY_SEND, .max_fds = POLICY_MAX_FDS,
                  .interface = policy_text("com.example.Other") },
                { .kind = POLICY_SEND, .max_fds = POLICY_MAX_FDS,
                  .name = policy_text("com.example.Name") },
        };
        struct policy *policy;

        ck_assert_int_eq(policy_new(&policy), 0);
        for (size_t i = 0; i < (open ? 2 : ARRAY_SIZE(rules)); i++)
                ck_assert_int_eq(policy_append(policy, &rules[i]), 0);
        ck_assert_int_eq(policy_seal(policy), 0);
        ck_assert_int_eq(bus_set_policy(&bus, policy), 0);
        policy_unref(policy);
}

static void setup(void)
{
        ck_assert_int_eq(bus_init(&bus, 1, &driver_local), 0);
        ck_assert_int_eq(turn_init(&turn, &bus, 0), 0);
        ck_assert_int_eq(poller_init(&poller), 0);
        ck_assert_int_eq(poller_init(&other_poller), 0);
        poller_enter(&poller);
        poller_enter(&other_poller);
        memset(config.guid, 'a', sizeof(config.guid) - 1);
}

static void teardown(void)
{
        while (!cds_list_empty(&conns))
                conn_end(cds_list_first_entry(&conns, struct conn, link), &turn, NULL);
        turn_drain(&turn);
        turn_deinit(&turn);
        bus_deinit(&bus);
        poller_deinit(&poller);
        poller_deinit(&other_poller);
}

/* All that the bus has to do now. Only its allocations count: assertions make some, too. */
static void let_work(void)
{
        size_t before = fault_allocations();

        while (poller_wait(&poller, &turn, 0) + poller_wait(&other_poller, &turn, 0) > 0)
                turn_drain(&turn);
        n_allocated += fault_allocations() - before;
}

static void put(struct side *side, const void *data, size_t n)
{
        ck_assert_int_eq(send(side->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL), n);
}

/* What the bus has for it, into the buffer. */
static size_t take(struct side *side)
{
        ssize_t n;

        let_work();
        n = recv(side->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        return n > 0 ? n : 0;
}

/* --- messages -------------------------------------------------------------------------------- */

static void finish(struct letter *letter, struct writer *w)
{
        struct header_memo memo = {};
        struct header h;

        ck_assert_int_eq(writer_finish(w, &letter->data, &letter->n, NULL), 0);
        ck_assert_int_eq(header_parse_like(&h, &memo, letter->data, letter->n), 0);
        letter->reply_at = memo.reply_at;
}

static void make(struct letter *letter, uint8_t type, const char *destination, const char *member,
                 size_t n_body)
{
        struct writer w;

        writer_init(&w, type, 0, 1);
        if (type != HEADER_RETURN) {
                writer_field(&w, FIELD_PATH, "/com/example/object");
                writer_field(&w, FIELD_INTERFACE,
                             destination && strcmp(destination, BUS_NAME) == 0 ? BUS_INTERFACE
                                                                               : INTERFACE);
                writer_field(&w, FIELD_MEMBER, member);
        } else {
                writer_field_u32(&w, FIELD_REPLY_SERIAL, 1);
        }
        writer_field(&w, FIELD_DESTINATION, destination);
        if (n_body) {
                writer_body(&w, "ay");
                writer_bytes(&w, buffer, n_body);
        }
        finish(letter, &w);
}

static void make_add_match(struct letter *letter)
{
        struct writer w;

        writer_init(&w, HEADER_CALL, 0, 1);
        writer_field(&w, FIELD_PATH, BUS_PATH);
        writer_field(&w, FIELD_INTERFACE, BUS_INTERFACE);
        writer_field(&w, FIELD_MEMBER, "AddMatch");
        writer_field(&w, FIELD_DESTINATION, BUS_NAME);
        writer_body(&w, "s");
        writer_string(&w, "type='signal',interface='" INTERFACE "'");
        finish(letter, &w);
}

static uint32_t post(struct side *side, struct letter *letter, uint32_t reply_to)
{
        uint32_t serial = ++side->serial;

        memcpy(letter->data + 8, &serial, sizeof(serial));
        if (letter->reply_at)
                memcpy(letter->data + letter->reply_at, &reply_to, sizeof(reply_to));
        put(side, letter->data, letter->n);
        return serial;
}

static void join(struct side *side)
{
        static const char hello[] = "AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";
        struct letter letter;
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        *side = (struct side){ .fd = fds[0] };
        snprintf(side->name, sizeof(side->name), ":1.%u", (unsigned)bus.next_id);
        bus_expect_client(&bus);
        ck_assert_int_eq(conn_new(&turn, &poller, &conns, &config, fds[1]), 0);
        put(side, "", 1);
        put(side, hello, strlen(hello));
        make(&letter, HEADER_CALL, BUS_NAME, "Hello", 0);
        post(side, &letter, 0);
        ck_assert_uint_gt(take(side), 0);
        ck_assert_ptr_nonnull(memmem(buffer, sizeof(buffer), "NameAcquired", 12));
        free(letter.data);
}

/* --- the tests ------------------------------------------------------------------------------- */

static const struct {
        bool open;
        unsigned int at_once;
        size_t n_body;
} roads[] = {
        { true, 1, 8 },  { true, 50, 8 },  { true, 4, 1000 },  { true, 2, CONN_LARGE + 100 },
        { false, 1, 8 }, { false, 50, 8 }, { false, 4, 1000 },
};

/* Blocks go back to malloc() at once: nothing can be said. */
static bool cache_is_off(void)
{
        uint64_t misses;

        cache_free(cache_alloc(100));
        misses = cache_misses();
        cache_free(cache_alloc(100));
        return cache_misses() != misses;
}

static void exchange(struct side *a, struct side *b, struct letter *call, struct letter *reply,
                     unsigned int n)
{
        uint32_t first = a->serial + 1;

        for (unsigned int i = 0; i < n; i++)
                post(a, call, 0);
        ck_assert_uint_ge(take(b), n * call->n);
        for (unsigned int i = 0; i < n; i++)
                post(b, reply, first + i);
        ck_assert_uint_ge(take(a), n * reply->n);
        ck_assert_uint_eq(buffer[1], HEADER_RETURN);
}

START_TEST(a_call_and_its_reply_allocate_nothing_in_the_steady_state)
{
        struct letter call, reply;
        struct side a, b;

        if (cache_is_off())
                return;
        set_policy(roads[_i].open);
        join(&a);
        join(&b);
        make(&call, HEADER_CALL, b.name, "Method", roads[_i].n_body);
        make(&reply, HEADER_RETURN, a.name, NULL, roads[_i].n_body);
        for (int i = 0; i < ROUNDS; i++)
                exchange(&a, &b, &call, &reply, roads[_i].at_once);
        n_allocated = 0;
        for (int i = 0; i < ROUNDS; i++)
                exchange(&a, &b, &call, &reply, roads[_i].at_once);
        ck_assert_uint_eq(n_allocated, 0);
        free(call.data);
        free(reply.data);
        close(a.fd);
        close(b.fd);
}
END_TEST

static void tell(struct side *from, struct side *to, size_t n, struct letter *signal)
{
        post(from, signal, 0);
        for (size_t i = 0; i < n; i++)
                ck_assert_uint_ge(take(&to[i]), signal->n);
}

START_TEST(a_signal_to_many_allocates_nothing_in_the_steady_state)
{
        struct side from, to[2 * TX_FEW];
        struct letter signal, add_match;

        if (cache_is_off())
                return;
        set_policy(_i);
        make(&signal, HEADER_SIGNAL, NULL, "Signal", 8);
        make_add_match(&add_match);
        join(&from);
        for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
                join(&to[i]);
                post(&to[i], &add_match, 0);
                take(&to[i]);
        }
        for (int i = 0; i < ROUNDS; i++)
                tell(&from, to, ARRAY_SIZE(to), &signal);
        n_allocated = 0;
        for (int i = 0; i < ROUNDS; i++)
                tell(&from, to, ARRAY_SIZE(to), &signal);
        ck_assert_uint_eq(n_allocated, 0);
        free(signal.data);
        free(add_match.data);
        for (size_t i = 0; i < ARRAY_SIZE(to); i++)
                close(to[i].fd);
        close(from.fd);
}
END_TEST

/* The last of them goes to the poller that it is not at; returns the connection. */
static struct conn *move_last(void)
{
        struct conn *conn = cds_list_entry(conns.prev, struct conn, link);
        struct poller *to = conn->watch.poller == &poller ? &other_poller : &poller;

        conn_leave(conn);
        conn_enter(conn, &turn, to, &conns);
        ck_assert_ptr_eq(conn->watch.poller, to);
        return conn;
}

START_TEST(a_connection_may_move_between_any_two_bytes)
{
        static const size_t n_body[] = { 8, CONN_LARGE };
        struct letter call;
        struct side a, b;

        set_policy(true);
        join(&b);
        join(&a);
        make(&call, HEADER_SIGNAL, b.name, "Signal", n_body[_i]);
        for (size_t cut = 0; cut < call.n; cut += cut < 256 ? 1 : 1000) {
                uint32_t serial = ++a.serial;

                memcpy(call.data + 8, &serial, sizeof(serial));
                put(&a, call.data, cut);
                let_work();
                move_last();
                let_work();
                move_last();
                move_last();
                put(&a, call.data + cut, call.n - cut);
                ck_assert_uint_ge(take(&b), call.n);
                ck_assert_mem_eq(buffer + 8, &serial, sizeof(serial));
                ck_assert_uint_eq(take(&b), 0);
        }
        free(call.data);
        close(a.fd);
        close(b.fd);
}
END_TEST

START_TEST(the_time_for_descriptors_to_find_their_message_goes_on_after_a_move)
{
        struct conn *conn;
        struct side a;
        uint64_t due;

        set_policy(true);
        join(&a);
        conn = cds_list_entry(conns.prev, struct conn, link);
        ck_assert_uint_eq(conn->timer.due, 0);
        timer_set(&conn->timer, &poller, 20000);
        due = conn->timer.due;
        move_last();
        ck_assert_uint_eq(conn->timer.due, due);
        ck_assert_ptr_eq(conn->timer.poller, &other_poller);
        client_ref(&conn->client);
        while (!conn->ended)
                ck_assert_int_ge(poller_wait(&other_poller, &turn, UINT64_MAX), 0);
        ck_assert_uint_ge(now_usec(), due);
        client_unref(&conn->client);
        close(a.fd);
}
END_TEST

START_TEST(a_connection_that_cannot_move_ends)
{
        struct poller none = { .epoll_fd = -1 };
        struct conn *conn;
        struct side a;

        set_policy(true);
        join(&a);
        conn = cds_list_entry(conns.prev, struct conn, link);
        conn_leave(conn);
        conn_enter(conn, &turn, &none, &conns);
        turn_drain(&turn);
        ck_assert(cds_list_empty(&conns));
        ck_assert_int_eq(recv(a.fd, buffer, sizeof(buffer), MSG_DONTWAIT), 0);
        close(a.fd);
}
END_TEST

START_TEST(a_connection_that_is_closed_on_its_way_ends_on_arrival)
{
        struct conn *conn;
        struct side a;

        set_policy(true);
        join(&a);
        conn = cds_list_entry(conns.prev, struct conn, link);
        conn_leave(conn);
        if (_i)
                close(a.fd);
        else
                conn->client.door->close(&conn->client);
        conn_enter(conn, &turn, &other_poller, &conns);
        let_work();
        ck_assert(cds_list_empty(&conns));
        if (!_i)
                close(a.fd);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("conn");
        TCase *tcase = tcase_create("conn");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, a_call_and_its_reply_allocate_nothing_in_the_steady_state, 0,
                            ARRAY_SIZE(roads));
        tcase_add_loop_test(tcase, a_signal_to_many_allocates_nothing_in_the_steady_state, 0, 2);
        tcase_add_loop_test(tcase, a_connection_may_move_between_any_two_bytes, 0, 2);
        tcase_add_test(tcase, the_time_for_descriptors_to_find_their_message_goes_on_after_a_move);
        tcase_add_test(tcase, a_connection_that_cannot_move_ends);
        tcase_add_loop_test(tcase, a_connection_that_is_closed_on_its_way_ends_on_arrival, 0, 2);
        suite_add_tcase(suite, tcase);

        return test_run(suite);
}
