/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Ordering: what a receiver sees first. Signals of the bus stand before the reply to the call that
 * caused them; messages from one peer to another arrive as they were sent; nobody sees an effect
 * before its cause.
 */

#define _GNU_SOURCE
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat-tests/client.h"
#include "compat-tests/scenario.h"

#define N   "com.example.Name"
#define NOC "AddMatch s member='NameOwnerChanged' ->"
#define I   "com.example.If"

#define MANY 500

static struct client *connect_to(struct bus *bus)
{
        struct client *c = client_connect(bus->address);

        ck_assert_ptr_nonnull(c);
        return c;
}

/* send() - a broadcast or, with a destination, a unicast signal, with who and how many */
static void send_signal(struct client *c, const char *to, unsigned int number)
{
        struct words words = {};
        struct message *m;
        char *text;

        ck_assert_int_gt(asprintf(&text, "signal " I ".Count path=/x to=%s su %s %u", to ?: "-",
                                  c->unique, number), 0);
        words_split(&words, text);
        m = message_parse(words.word, words.n);
        ck_assert_int_eq(client_send(c, m), 0);
        message_free(m);
        words_clear(&words);
        free(text);
}

/* next_count() - the next Count signal as "sender number" */
static char *next_count(struct client *c)
{
        struct message *m;
        char *text;

        for (;;) {
                ck_assert_int_eq(client_receive(c, &m, client_timeout()), CLIENT_MESSAGE);
                if (m->field[FIELD_MEMBER] && !strcmp(m->field[FIELD_MEMBER], "Count"))
                        break;
                message_free(m);
        }
        text = words_join(&m->body);
        message_free(m);
        return text;
}

/* unicast and broadcast from one sender, mixed, arrive in the order of sending */
static void fifo(struct bus *bus)
{
        struct client *a = connect_to(bus), *b = connect_to(bus);
        char *got, *expected;
        unsigned int i;

        message_free(client_call(b, "AddMatch s interface='" I "'"));
        for (i = 0; i < MANY; i++)
                send_signal(a, i % 3 ? b->unique : NULL, i);
        for (i = 0; i < MANY; i++) {
                ck_assert_int_gt(asprintf(&expected, "%s %u", a->unique, i), 0);
                got = next_count(b);
                ck_assert_str_eq(got, expected);
                free(expected);
                free(got);
        }
        client_free(a);
        client_free(b);
}

/* two receivers of the broadcasts of three senders see the same sequence */
static void total_order(struct bus *bus)
{
        struct client *s[3], *x = connect_to(bus), *y = connect_to(bus);
        char *seen_x, *seen_y;
        unsigned int i;

        for (i = 0; i < 3; i++)
                s[i] = connect_to(bus);
        message_free(client_call(x, "AddMatch s interface='" I "'"));
        message_free(client_call(y, "AddMatch s interface='" I "'"));
        for (i = 0; i < MANY; i++)
                send_signal(s[i % 3], NULL, i);
        for (i = 0; i < MANY; i++) {
                seen_x = next_count(x);
                seen_y = next_count(y);
                ck_assert_str_eq(seen_x, seen_y);
                free(seen_x);
                free(seen_y);
        }
        for (i = 0; i < 3; i++)
                client_free(s[i]);
        client_free(x);
        client_free(y);
}

static const struct scenario scenarios[] = {
        { "Hello: the reply, the own NameOwnerChanged never, then NameAcquired",
          TALK("w: " NOC, "a! connect", "a: Hello", "a? return s *", "a? signal NameAcquired s *",
               "a? nothing", "w? signal NameOwnerChanged sss * `` *") },
        { "RequestName: NameOwnerChanged, NameAcquired, reply",
          TALK("a: " NOC, "a: RequestName su " N " 0",
               "a? signal NameOwnerChanged sss " N " `` $a", "a? signal NameAcquired s " N,
               "a? return u 1", "a? nothing") },
        { "replacement: NameOwnerChanged, NameAcquired, reply; the old owner hears NameLost first",
          TALK("a: RequestName su " N " 1 -> u 1", "b: " NOC, "a: " NOC,
               "b: RequestName su " N " 2",
               "b? signal NameOwnerChanged sss " N " $a $b", "b? signal NameAcquired s " N,
               "b? return u 1",
               "a? signal NameLost s " N, "a? signal NameOwnerChanged sss " N " $a $b") },
        { "ReleaseName: NameLost, NameOwnerChanged, reply",
          TALK("a: RequestName su " N " 0 -> u 1", "a: " NOC, "a: ReleaseName s " N,
               "a? signal NameLost s " N, "a? signal NameOwnerChanged sss " N " $a ``",
               "a? return u 1", "a? nothing") },
        { "ReleaseName: the next owner hears NameOwnerChanged, then NameAcquired",
          TALK("a: RequestName su " N " 0 -> u 1", "b: RequestName su " N " 0 -> u 2", "b: " NOC,
               "a: ReleaseName s " N " -> u 1", "b? signal NameOwnerChanged sss " N " $a $b",
               "b? signal NameAcquired s " N, "b? nothing") },
        { "a queued request causes no signal",
          TALK("a: RequestName su " N " 0 -> u 1", "b: " NOC, "b: RequestName su " N " 0",
               "b? return u 2", "b? nothing", "a? nothing") },
        { "disconnecting: names go before NoReply errors arrive",
          TALK("b: RequestName su " N " 0 -> u 1", "a: " NOC, "a: call x.y.Z to=" N, "b? call Z",
               "b! close", "a? signal NameOwnerChanged sss " N " $b ``",
               "a? signal NameOwnerChanged sss $b $b ``", "a? error NoReply", "a? nothing") },
        { "replies of the bus come in the order of the calls",
          TALK("a: GetId -> s *", "a! hold", "a: GetId label=one", "a: ListNames label=two",
               "a: Frobnicate label=three", "a: GetNameOwner label=four s $a", "a! flush",
               "a? return reply=one s *", "a? return reply=two as *",
               "a? error UnknownMethod reply=three", "a? return reply=four s $a") },
        { "a call to a peer and a call to the bus keep their order at a third",
          TALK("w: AddMatch s sender='com.example.Name' ->", "w: " NOC, "a: GetId -> s *",
               "w? signal NameOwnerChanged sss $a `` $a", "a! hold",
               "a: RequestName su " N " 0", "a: signal " I ".Here", "a: ReleaseName s " N,
               "a: signal " I ".Gone", "a! flush", "w? signal NameOwnerChanged sss " N " `` $a",
               "w? signal Here from=a", "w? signal NameOwnerChanged sss " N " $a ``",
               "w? nothing") },
        { "a signal sent before a reply arrives before it",
          TALK("a: AddMatch s interface='" I "' ->", "b: GetId -> s *", "a: call x.y.Z to=b",
               "b? call Z", "b! hold", "b: signal " I ".First", "b: return s second",
               "b: signal " I ".Third", "b! flush", "a? signal First", "a? return s second",
               "a? signal Third") },
        { "nobody hears the answer before the question",
          TALK("w: AddMatch s interface='" I "' ->", "b: AddMatch s member='Question' ->",
               "a: signal " I ".Question", "b? signal Question", "b: signal " I ".Answer",
               "w? signal Question from=a", "w? signal Answer from=b") },
        { "AddMatch takes effect between the messages around it",
          TALK("a: GetId -> s *", "a! hold", "a: signal " I ".Before",
               "a: AddMatch s interface='" I "' label=m", "a: signal " I ".Between",
               "a: RemoveMatch s interface='" I "'", "a: signal " I ".After", "a! flush",
               "a? return sig=", "a? signal Between", "a? return sig=", "a? nothing") },
        { "messages from one peer to another arrive as sent, broadcast and unicast mixed",
          .run = fifo },
        { "two receivers see the broadcasts of several senders in one order",
          .run = total_order },
};

int main(void)
{
        return scenarios_run("ordering", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
