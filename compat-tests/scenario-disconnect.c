/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Disconnect: peers that go at any moment, in the middle of anything.
 */

#define _GNU_SOURCE
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "compat-tests/client.h"
#include "compat-tests/scenario.h"

#define I "com.example.If"

static struct client *connect_to(struct bus *bus)
{
        struct client *c = client_connect(bus->address);

        ck_assert_ptr_nonnull(c);
        return c;
}

/* collect() - the bytes of a handshake and of some calls, as one client would send them */
static void collect(struct bus *bus, struct client *c)
{
        char *lines = bus_expand(bus, "AUTH EXTERNAL ${hexuid}\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n");

        c->holding = true;
        client_write(c, "", 1);
        client_write(c, lines, strlen(lines));
        client_send_text(c, "Hello");
        client_send_text(c, "AddMatch s type='signal'");
        client_send_text(c, "RequestName su com.example.Name 0");
        free(lines);
}

/* send the first n bytes of all that and hang up, for every n */
static void after_every_byte(struct bus *bus)
{
        struct client *w = connect_to(bus), *c;
        struct message *m;
        size_t i, n = 1;

        for (i = 0; i < n; i++) {
                c = client_new();
                collect(bus, c);
                n = c->n_held;
                c->n_held = i;
                ck_assert_int_eq(client_open(c, bus->address), 0);
                client_flush(c);
                client_free(c);
        }
        ck_assert_uint_gt(n, 300);
        for (i = 0; i < 200; i++) {
                m = client_call(w, "ListNames");
                ck_assert_ptr_nonnull(m);
                n = m->body.n;
                message_free(m);
                if (n == 4)     /* the brackets, the bus and the watcher */
                        break;
                sleep_ms(10);
        }
        ck_assert_uint_eq(n, 4);
        client_free(w);
}

/* many come and go at once */
static void crowd(struct bus *bus)
{
        struct client *c[100];
        size_t i, round;

        for (round = 0; round < 3; round++) {
                for (i = 0; i < 100; i++)
                        c[i] = connect_to(bus);
                for (i = 0; i < 100; i++)
                        ck_assert_int_eq(client_settle(c[i]), 0);
                for (i = 0; i < 100; i++)
                        client_free(c[i * 37 % 100]);
        }
}

/* a peer that never reads, with much to read, goes; its sender is not disturbed */
static void unread(struct bus *bus)
{
        struct client *a = connect_to(bus), *b = connect_to(bus);
        char *text;
        size_t i;

        ck_assert_int_gt(asprintf(&text, "call " I ".Do path=/x flags=1 to=%s s @20000", b->unique), 0);
        for (i = 0; i < 100; i++)
                ck_assert_int_eq(client_send_text(a, text), 0);
        ck_assert_int_eq(client_settle(a), 0);
        client_free(b);
        ck_assert_int_eq(client_settle(a), 0);
        client_free(a);
        free(text);
}

/* a peer that shuts its sending side only has gone */
static void half_closed(struct bus *bus)
{
        struct client *a = connect_to(bus), *b = connect_to(bus);
        struct message *m;

        message_free(client_call(b, "AddMatch s member='NameOwnerChanged'"));
        shutdown(a->fd, SHUT_WR);
        ck_assert_int_eq(client_receive(b, &m, client_timeout()), CLIENT_MESSAGE);
        ck_assert_str_eq(m->body.word[0], a->unique);
        ck_assert_str_eq(m->body.word[2], "");
        message_free(m);
        ck_assert_int_eq(client_receive(a, &m, client_timeout()), CLIENT_CLOSED);
        client_free(a);
        client_free(b);
}

/* malformed connections do not slow down a ping beside them */
static void rubbish_beside_a_ping(struct bus *bus)
{
        struct client *a = connect_to(bus), *c;
        size_t i;

        for (i = 0; i < 300; i++) {
                c = client_new();
                ck_assert_int_eq(client_open(c, bus->address), 0);
                client_write(c, i % 2 ? "\0AUTH\r\nBEGIN\r\n" : "GET / HTTP/1.0\r\n", 14);
                client_free(c);
                if (i % 10 == 0)
                        ck_assert_int_eq(client_settle(a), 0);
        }
        ck_assert_int_eq(client_settle(a), 0);
        client_free(a);
}

/* a flood of calls to oneself and from others, everybody vanishing in between */
static void amid_a_flood(struct bus *bus)
{
        struct client *w = connect_to(bus), *a, *b;
        char *text;
        size_t i, round;

        for (round = 0; round < 20; round++) {
                a = connect_to(bus);
                b = connect_to(bus);
                ck_assert_int_gt(asprintf(&text, "call " I ".Do path=/x to=%s s @1000", b->unique), 0);
                a->holding = true;
                for (i = 0; i < 50; i++)
                        client_send_text(a, text);
                client_flush(a);
                client_free(round % 2 ? a : b);
                client_free(round % 2 ? b : a);
                free(text);
                ck_assert_int_eq(client_settle(w), 0);
        }
        client_free(w);
}

static const struct scenario scenarios[] = {
        { "a peer may go after any byte it sends", .run = after_every_byte },
        { "a hundred peers come and go", .run = crowd },
        { "a peer that does not read may go", .run = unread },
        { "a peer that stops sending has gone", .run = half_closed },
        { "rubbish on other connections does not disturb a peer", .run = rubbish_beside_a_ping },
        { "peers may go in the middle of a flood of calls", .run = amid_a_flood },
        { "what a peer sends before it goes arrives",
          TALK("b: AddMatch s interface='" I "' ->", "a! hold", "a: signal " I ".One",
               "a: signal " I ".Two", "a! flush", "a! vanish", "b? signal One", "b? signal Two") },
        { "a call sent before going reaches its callee",
          TALK("b: GetId -> s *", "a: call " I ".Do to=b s bye", "a! vanish", "b? call Do s bye") },
        { "a name requested before going is gone with the peer",
          TALK("w: AddMatch s member='NameOwnerChanged',arg0='com.example.N' ->",
               "a: RequestName su com.example.N 0", "a! vanish",
               "w? signal NameOwnerChanged sss com.example.N `` *",
               "w? signal NameOwnerChanged sss com.example.N * ``") },
        { "a whole queue of owners may go, first to last",
          TALK("w: AddMatch s member='NameOwnerChanged',arg0='com.example.N' ->",
               "a: RequestName su com.example.N 0 -> u 1", "b: RequestName su com.example.N 0 -> u 2",
               "c: RequestName su com.example.N 0 -> u 2",
               "w? signal NameOwnerChanged sss com.example.N `` $a", "a! close",
               "w? signal NameOwnerChanged sss com.example.N $a $b", "b! close",
               "w? signal NameOwnerChanged sss com.example.N $b $c", "c! close",
               "w? signal NameOwnerChanged sss com.example.N $c ``") },
        { "two peers that wait for each other may both go",
          TALK("a: GetId -> s *", "b: GetId -> s *", "a: call " I ".Do to=b", "b: call " I ".Do to=a",
               "b? call Do", "a? call Do", "a! vanish", "b! vanish", "w: GetId -> s *") },
        { "a caller that goes leaves nothing behind at the callee",
          TALK("b: GetId -> s *", "a: call " I ".Do to=b", "b? call Do", "a! close", "b? nothing",
               "b: GetId -> s *") },
        { "a peer with calls to itself may go",
          TALK("a: call " I ".Do to=a", "a: call " I ".Do to=a", "a! vanish", "w: GetId -> s *") },
        { "who connects and says nothing may go",
          TALK("a! open", "a! vanish", "b! open", "b! nul", "b! vanish", "c! connect", "c! vanish",
               "w: GetId -> s *") },
        { "the daemon ends with its peers connected",
          TALK("a: GetId -> s *", "b! open", "@ signal 15", "a? closed", "b? closed") },
};

int main(void)
{
        return scenarios_run("disconnect", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
