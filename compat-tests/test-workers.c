/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Workers that are started and ended, and connections that go from one to another, all the time
 * (--spread=random): nothing is lost, nothing comes twice, and the order is what it always is.
 */

#define _GNU_SOURCE
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compat-tests/client.h"
#include "compat-tests/scenario.h"

#define I "com.example.If"

#define N_PAIRS 6
#define N_EARS 3
#define BURST 20        /* calls of each pair in a round */
#define EACH 4          /* calls for a signal to all ears */
#define SECONDS 1.5
#define N_SIGNALS (N_PAIRS * BURST / EACH)

struct pair {
        struct client *caller, *callee;
        struct message *call;
        int64_t last_call, last_reply; /* serials */
};

struct heard {
        char sender[24];
        int64_t serial;
};

struct crowd {
        struct pair pairs[N_PAIRS];
        struct client *ears[N_EARS];
        struct heard heard[N_EARS][N_SIGNALS];
        struct message *signal;
};

static double seconds_now(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec + ts.tv_nsec / 1e9;
}

static struct message *parse(char *text)
{
        struct words words = {};
        struct message *m;

        words_split(&words, text);
        m = message_parse(words.word, words.n);
        words_clear(&words);
        free(text);
        ck_assert_ptr_nonnull(m);
        return m;
}

static struct client *newcomer(struct bus *bus)
{
        struct client *c = client_connect(bus->address);

        ck_assert_ptr_nonnull(c);
        ck_assert_int_eq(client_settle(c), 0);
        return c;
}

static void gather(struct crowd *crowd, struct bus *bus)
{
        char *text;

        for (int i = 0; i < N_PAIRS; i++) {
                struct pair *p = &crowd->pairs[i];

                p->caller = newcomer(bus);
                p->callee = newcomer(bus);
                ck_assert_int_gt(asprintf(&text, "call " I ".Do path=/x to=%s", p->callee->unique), 0);
                p->call = parse(text);
        }
        for (int i = 0; i < N_EARS; i++) {
                crowd->ears[i] = newcomer(bus);
                message_free(client_call(crowd->ears[i], "AddMatch s interface='" I "'"));
        }
        crowd->signal = parse(strdup("signal " I ".Said path=/x"));
}

static void dismiss(struct crowd *crowd)
{
        for (int i = 0; i < N_PAIRS; i++) {
                client_free(crowd->pairs[i].caller);
                client_free(crowd->pairs[i].callee);
                message_free(crowd->pairs[i].call);
        }
        for (int i = 0; i < N_EARS; i++)
                client_free(crowd->ears[i]);
        message_free(crowd->signal);
}

static void send_again(struct client *c, struct message *m)
{
        m->serial = -1; /* a new one */
        ck_assert_int_eq(client_send(c, m), 0);
}

/* With one write each, so that the bus has something to do. */
static void all_speak(struct crowd *crowd)
{
        for (int i = 0; i < N_PAIRS; i++) {
                struct client *c = crowd->pairs[i].caller;

                c->holding = true;
                for (int k = 0; k < BURST; k++) {
                        send_again(c, crowd->pairs[i].call);
                        if (k % EACH == 0)
                                send_again(c, crowd->signal);
                }
                c->holding = false;
                ck_assert_int_eq(client_flush(c), 0);
        }
}

static struct message *receive(struct client *c, int type)
{
        struct message *m;

        ck_assert_int_eq(client_receive(c, &m, client_timeout()), CLIENT_MESSAGE);
        ck_assert_int_eq(m->type, type);
        return m;
}

static void answer(struct pair *p)
{
        struct message *m;
        char *text;

        p->callee->holding = true;
        for (int k = 0; k < BURST; k++) {
                m = receive(p->callee, TYPE_CALL);
                ck_assert_int_gt(m->serial, p->last_call);
                p->last_call = m->serial;
                ck_assert_int_gt(asprintf(&text, "return to=%s reply=%lld", p->caller->unique,
                                          (long long)m->serial), 0);
                message_free(m);
                m = parse(text);
                ck_assert_int_eq(client_send(p->callee, m), 0);
                message_free(m);
        }
        p->callee->holding = false;
        ck_assert_int_eq(client_flush(p->callee), 0);
}

static void take_answers(struct pair *p)
{
        struct message *m;
        int64_t serial;

        for (int k = 0; k < BURST; k++) {
                m = receive(p->caller, TYPE_RETURN);
                serial = atoll(m->field[FIELD_REPLY_SERIAL]);
                ck_assert_int_gt(serial, p->last_reply);
                p->last_reply = serial;
                message_free(m);
        }
        ck_assert_int_eq(p->last_reply, p->last_call);
}

/* All of them hear the same in the same order, and each speaker in his. */
static void hear(struct crowd *crowd)
{
        struct message *m;

        for (int i = 0; i < N_EARS; i++) {
                struct heard *heard = crowd->heard[i];

                memset(heard, 0, sizeof(crowd->heard[i]));
                for (int k = 0; k < N_SIGNALS; k++) {
                        m = receive(crowd->ears[i], TYPE_SIGNAL);
                        snprintf(heard[k].sender, sizeof(heard[k].sender), "%s",
                                 m->field[FIELD_SENDER]);
                        heard[k].serial = m->serial;
                        message_free(m);
                }
                ck_assert_mem_eq(heard, crowd->heard[0], sizeof(crowd->heard[0]));
        }
        for (int k = 1; k < N_SIGNALS; k++)
                for (int j = 0; j < k; j++)
                        if (!strcmp(crowd->heard[0][j].sender, crowd->heard[0][k].sender))
                                ck_assert_int_lt(crowd->heard[0][j].serial,
                                                 crowd->heard[0][k].serial);
}

static unsigned int count_threads(const struct bus *bus)
{
        unsigned int n = 0;
        char path[64];
        struct dirent *e;
        DIR *d;

        snprintf(path, sizeof(path), "/proc/%d/task", bus->pid);
        d = opendir(path);
        while (d && (e = readdir(d)))
                n += e->d_name[0] != '.';
        if (d)
                closedir(d);
        return n;
}

static void everything_moves(struct bus *bus)
{
        double end = seconds_now() + SECONDS;
        unsigned int most = 0, now;
        struct crowd crowd = {};

        gather(&crowd, bus);
        while (seconds_now() < end) {
                all_speak(&crowd);
                for (int i = 0; i < N_PAIRS; i++)
                        answer(&crowd.pairs[i]);
                for (int i = 0; i < N_PAIRS; i++)
                        take_answers(&crowd.pairs[i]);
                hear(&crowd);
                now = count_threads(bus);
                most = now > most ? now : most;
        }
        ck_assert_uint_ge(most, 3);
        dismiss(&crowd);
}

/* Those who come and go meanwhile, some of them without a word, some in the midst of one. */
static void people_come_and_go(struct bus *bus)
{
        double end = seconds_now() + SECONDS;
        struct client *c[8], *there = newcomer(bus);

        while (seconds_now() < end) {
                for (int i = 0; i < 8; i++) {
                        c[i] = client_new();
                        ck_assert_int_eq(client_open(c[i], bus->address), 0);
                }
                for (int i = 2; i < 8; i++)
                        ck_assert_int_eq(client_authenticate(c[i], NULL), 0);
                for (int i = 4; i < 8; i++)
                        ck_assert_int_eq(client_hello(c[i]), 0);
                ck_assert_int_eq(client_write(c[7], "l\1\0\1", 4), 0);
                ck_assert_int_eq(client_settle(c[6]), 0);
                ck_assert_int_eq(client_settle(there), 0);
                for (int i = 0; i < 8; i++)
                        client_free(c[i]);
        }
        client_free(there);
}

#define RANDOM                                                                                     \
        .options.arguments = (const char *const[]){ "--workers=4", "--spread=random", NULL }

static const struct scenario scenarios[] = {
        { "whatever moves, nothing is lost, or twice, or out of order", .run = everything_moves, RANDOM },
        { "connections come and go while workers do", .run = people_come_and_go, RANDOM },
};

int main(void)
{
        return scenarios_run("workers", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
