/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <check.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "compat-tests/client.h"
#include "compat-tests/misbehave/misbehave.h"
#include "compat-tests/misbehave/shot.h"

#define I           "com.example.Crowd"
#define SAMPLES     (1U << 19) /* pings remembered of each phase */
#define NAME_LENGTH 32

struct crowd_state {
        _Atomic bool stop;
        _Atomic enum crowd_phase phase;
        _Atomic bool ready[CROWD_N];
        _Atomic bool last_ping; /* has been answered */
        char name[CROWD_N][NAME_LENGTH]; /* unique names, once ready */
        _Atomic uint32_t n_signals;      /* sent; in the end also received */
        _Atomic bool failed;
        char failure[256];
        size_t n_samples[CROWD_PHASES]; /* the caller's */
        float sample[CROWD_PHASES][SAMPLES];
};

/* --- in the processes ------------------------------------------------------------------------ */

static _Noreturn void give_up(struct crowd_state *s, const char *format, ...)
{
        va_list ap;

        if (!atomic_exchange(&s->failed, true)) {
                va_start(ap, format);
                vsnprintf(s->failure, sizeof(s->failure), format, ap);
                va_end(ap);
        }
        _exit(1);
}

static struct client *enter(struct crowd_state *s, int who, const char *address)
{
        struct client *c = client_connect(address);

        if (!c)
                give_up(s, "a client of the crowd could not connect");
        snprintf(s->name[who], NAME_LENGTH, "%s", c->unique);
        return c;
}

static void await(struct crowd_state *s, int who)
{
        while (!atomic_load(&s->ready[who]))
                sleep_ms(1);
}

static double now_us(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static void ping(struct crowd_state *s, struct client *c, struct shot *call)
{
        enum crowd_phase phase = atomic_load(&s->phase);
        double before = now_us();
        struct message *reply;
        int r;

        if (shot_fire(c, call))
                give_up(s, "the caller was disconnected while it sent");
        r = client_receive_reply(c, c->serial, &reply);
        if (r != CLIENT_MESSAGE)
                give_up(s, "ping %u was not answered: %s", c->serial,
                     r == CLIENT_CLOSED ? "the caller was disconnected" : "nothing came in time");
        if (reply->type != TYPE_RETURN)
                give_up(s, "ping %u was answered with %s", c->serial, reply->field[FIELD_ERROR_NAME]);
        message_free(reply);
        if (c->n_waiting)
                give_up(s, "the caller got something that it had not asked for");
        if (s->n_samples[phase] < SAMPLES)
                s->sample[phase][s->n_samples[phase]++] = now_us() - before;
}

static void be_caller(struct crowd_state *s, const char *address)
{
        struct client *c = enter(s, CROWD_CALLER, address);
        struct shot call;

        await(s, CROWD_CALLEE);
        shot_make(&call, "call " I ".Ping path=/x to=%s u 1", s->name[CROWD_CALLEE]);
        atomic_store(&s->ready[CROWD_CALLER], true);
        while (!atomic_load(&s->stop)) {
                ping(s, c, &call);
                sleep_ms(1);
        }
        atomic_store(&s->last_ping, true);
}

static void answer(struct crowd_state *s, struct client *c, const struct message *call)
{
        struct shot reply;

        shot_make(&reply, "return path=- if=- to=%s reply=%lld u 1", call->field[FIELD_SENDER],
                  (long long)call->serial);
        if (shot_fire(c, &reply))
                give_up(s, "the callee was disconnected while it answered");
        free(reply.bytes);
}

static void be_callee(struct crowd_state *s, const char *address)
{
        struct client *c = enter(s, CROWD_CALLEE, address);
        struct message *m;
        int64_t last = 0;
        int r;

        atomic_store(&s->ready[CROWD_CALLEE], true);
        while (!atomic_load(&s->last_ping)) {
                r = client_receive(c, &m, 50);
                if (r == CLIENT_CLOSED)
                        give_up(s, "the callee was disconnected");
                if (r != CLIENT_MESSAGE)
                        continue;
                if (m->type != TYPE_CALL || m->serial <= last)
                        give_up(s, "the callee got something out of order");
                last = m->serial;
                answer(s, c, m);
                message_free(m);
        }
}

/* Broadcast and unicast in turn, numbered: both are one sequence. */
static void publish(struct crowd_state *s, struct client *c, const char *member, uint32_t n)
{
        struct shot signal;

        shot_make(&signal, "signal " I ".%s path=/x to=%s u %u", member,
                  n & 1 ? s->name[CROWD_SUBSCRIBER] : "-", n);
        if (shot_fire(c, &signal))
                give_up(s, "the publisher was disconnected");
        free(signal.bytes);
        if (!swallow(c))
                give_up(s, "the publisher was disconnected");
}

static void be_publisher(struct crowd_state *s, const char *address)
{
        struct client *c = enter(s, CROWD_PUBLISHER, address);
        uint32_t n = 0;

        await(s, CROWD_SUBSCRIBER);
        atomic_store(&s->ready[CROWD_PUBLISHER], true);
        while (!atomic_load(&s->stop)) {
                publish(s, c, "Sig", n++);
                sleep_ms(1);
        }
        publish(s, c, "End", n);
        client_settle(c);
}

static void be_subscriber(struct crowd_state *s, const char *address)
{
        struct client *c = enter(s, CROWD_SUBSCRIBER, address);
        struct message *m;
        uint32_t n = 0;
        bool end;
        int r;

        message_free(client_call(c, "AddMatch s interface='" I "'"));
        atomic_store(&s->ready[CROWD_SUBSCRIBER], true);
        do {
                r = client_receive(c, &m, client_timeout());
                if (r != CLIENT_MESSAGE)
                        give_up(s, "after %u signals the subscriber %s", n,
                             r == CLIENT_CLOSED ? "was disconnected" : "got no more");
                end = !strcmp(m->field[FIELD_MEMBER], "End");
                if (strcmp(m->field[FIELD_SENDER], s->name[CROWD_PUBLISHER]) || m->body.n != 1)
                        give_up(s, "the subscriber got a signal of somebody else");
                if (strtoul(m->body.word[0], NULL, 10) != n)
                        give_up(s, "signal %s came where %u was due", m->body.word[0], n);
                n++;
                message_free(m);
                atomic_store(&s->n_signals, n);
        } while (!end);
}

/* --- in the test ----------------------------------------------------------------------------- */

static void (*const parts[CROWD_N])(struct crowd_state *, const char *) = {
        [CROWD_CALLER] = be_caller,
        [CROWD_CALLEE] = be_callee,
        [CROWD_PUBLISHER] = be_publisher,
        [CROWD_SUBSCRIBER] = be_subscriber,
};

void crowd_start(struct crowd *crowd, const struct bus *bus, uid_t uid)
{
        struct crowd_state *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        ck_assert_ptr_ne(s, MAP_FAILED);
        crowd->state = s;
        for (int i = 0; i < CROWD_N; i++) {
                crowd->pid[i] = fork();
                ck_assert_int_ge(crowd->pid[i], 0);
                if (!crowd->pid[i]) {
                        prctl(PR_SET_PDEATHSIG, SIGKILL);
                        become(uid);
                        parts[i](s, bus->address);
                        _exit(0);
                }
        }
        for (int i = 0; i < CROWD_N; i++)
                for (int ms = 0; !atomic_load(&s->ready[i]); ms++) {
                        if (s->failed || ms > client_timeout())
                                bus_fail(bus, "the crowd did not come up: %s", s->failure);
                        sleep_ms(1);
                }
}

void crowd_enter(struct crowd *crowd, enum crowd_phase phase)
{
        atomic_store(&crowd->state->phase, phase);
}

const char *crowd_failed(const struct crowd *crowd)
{
        return atomic_load(&crowd->state->failed) ? crowd->state->failure : NULL;
}

void crowd_stop(struct crowd *crowd, const struct bus *bus)
{
        int status;

        atomic_store(&crowd->state->stop, true);
        for (int i = 0; i < CROWD_N; i++) { /* the caller first: the callee waits for its end */
                if (crowd_failed(crowd))
                        bus_fail(bus, "the crowd: %s", crowd_failed(crowd));
                ck_assert_int_eq(waitpid(crowd->pid[i], &status, 0), crowd->pid[i]);
                if (status || crowd_failed(crowd))
                        bus_fail(bus, "the crowd: %s", crowd_failed(crowd) ?: "a client crashed");
        }
}

void crowd_free(struct crowd *crowd)
{
        munmap(crowd->state, sizeof(*crowd->state));
}

static int by_size(const void *a, const void *b)
{
        float x = *(const float *)a, y = *(const float *)b;

        return (x > y) - (x < y);
}

struct latency crowd_latency(const struct crowd *crowd, enum crowd_phase phase)
{
        size_t n = crowd->state->n_samples[phase];
        float *sample = crowd->state->sample[phase];

        if (!n)
                return (struct latency){};
        qsort(sample, n, sizeof(*sample), by_size);
        return (struct latency){ n, sample[n / 2], sample[n - 1 - n / 100], sample[n - 1] };
}

uint32_t crowd_signals(const struct crowd *crowd)
{
        return atomic_load(&crowd->state->n_signals);
}
