/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "compat-tests/fixture.h"
#include "compat-tests/misbehave/culprit.h"
#include "compat-tests/misbehave/limits.h"
#include "compat-tests/misbehave/shot.h"

#define I     "com.example.Culprit"
#define SOME  8  /* connections of those that need more than one */
#define MANY  24 /* of those who keep little in each */
#define CROWD "com.example.Crowd"

/* open_one() - however long it takes: the bus may be busy throwing us out */
static struct client *open_one(const char *address)
{
        struct client *c;

        while (!(c = client_connect(address)))
                sleep_ms(5);
        return c;
}

static void open_all(struct client **c, size_t n, const char *address)
{
        for (size_t i = 0; i < n; i++)
                c[i] = open_one(address);
}

static void rest(void)
{
        for (;;)
                pause();
}

/* tell() - a call to the bus that is not waited for */
static void tell(struct client *c, const char *text)
{
        client_send_text(c, text);
        swallow(c);
}

/* --- flood: all that goes, to the bus, to nobody, and to one who reads ------------------------ */

static void flood(const char *address)
{
        struct client *a = open_one(address), *b = open_one(address);
        struct shot shots[3];

        shot_make(&shots[0], "signal " I ".Flood path=/x u 1");
        shot_make(&shots[1], "call " I ".Flood path=/x to=%s flags=1 u 1", b->unique);
        shot_make(&shots[2], "call org.freedesktop.DBus.GetId path=/org/freedesktop/DBus "
                             "to=org.freedesktop.DBus");
        for (unsigned int i = 0;; i++) {
                shot_fire(a, &shots[i % 3]);
                if (i % 32 == 0) {
                        swallow(a);
                        swallow(b);
                }
        }
}

/* --- no read: asks, subscribes, is sent to, and reads nothing --------------------------------- */

static void no_read(const char *address)
{
        struct client *deaf[SOME], *a = open_one(address);
        struct shot ask, send[SOME];

        open_all(deaf, SOME, address);
        shot_make(&ask, "call org.freedesktop.DBus.ListNames path=/org/freedesktop/DBus "
                        "to=org.freedesktop.DBus");
        for (size_t i = 0; i < SOME; i++) {
                client_send_text(deaf[i], "AddMatch s interface='" CROWD "'");
                client_send_text(deaf[i], "AddMatch s sender='org.freedesktop.DBus'");
                shot_make(&send[i], "signal " I ".Heap path=/x to=%s s @400", deaf[i]->unique);
        }
        for (;;) {
                for (size_t i = 0; i < SOME; i++) {
                        shot_try(deaf[i], &ask);
                        shot_try(a, &send[i]);
                }
                swallow(a);
        }
}

/* --- fd hoard: descriptors that nobody takes, and such that belong to no message yet ---------- */

static void fd_hoard(const char *address)
{
        struct client *deaf[SOME], *a[SOME];
        char text[200];

        open_all(deaf, SOME, address);
        open_all(a, SOME, address);
        for (;;) {
                for (size_t i = 0; i < SOME; i++) {
                        snprintf(text, sizeof(text), "call " I ".Take path=/x to=%s fds=%d",
                                 deaf[i]->unique, LIMIT_max_message_unix_fds);
                        tell(a[i], text);
                }
                sleep_ms(1);
        }
}

/* --- match-rule hoard ------------------------------------------------------------------------- */

static void rule_hoard(const char *address)
{
        struct client *c[SOME];
        char text[1200];

        open_all(c, SOME, address);
        for (unsigned int n = 0;; n++) {
                for (size_t i = 0; i < SOME; i++) {
                        snprintf(text, sizeof(text),
                                 "AddMatch s type='signal',interface='" I "',member='M%u',arg0='%0*u'",
                                 n, 900, n);
                        tell(c[i], text);
                }
                if (n > 2 * LIMIT_max_match_rules_per_connection)
                        sleep_ms(1);
        }
}

/* --- name hoard ------------------------------------------------------------------------------- */

static void name_hoard(const char *address)
{
        struct client *c[SOME];
        char text[400];

        open_all(c, SOME, address);
        for (unsigned int n = 0;; n++) {
                for (size_t i = 0; i < SOME; i++) {
                        snprintf(text, sizeof(text), "RequestName su com.n%u.n%zu.n%0*u 0", n, i,
                                 200, n);
                        tell(c[i], text);
                }
                if (n > 2 * LIMIT_max_names_per_connection)
                        sleep_ms(1);
        }
}

/* --- half messages: begun as large as can be, and never finished ------------------------------- */

static void half_messages(const char *address)
{
        struct client *c[MANY];
        struct shot whole;

        shot_make(&whole, "signal " I ".Half path=/x ay @%d", LIMIT_max_message_size - 1000);
        open_all(c, MANY, address);
        for (size_t i = 0; i < MANY; i++)
                client_write(c[i], whole.bytes, whole.n * (i + 1) / (MANY + 1));
        for (;;) { /* and one that begins to introduce itself, again and again */
                struct client *d = client_new();

                if (!client_open(d, address))
                        client_write(d, "\0AUTH EXTER", 11);
                sleep_ms(20);
                client_free(d);
        }
}

/* --- giant messages: as large as may be, to one who reads; and larger -------------------------- */

static void giants(const char *address)
{
        struct client *a = open_one(address), *b = open_one(address), *c;
        struct shot large, giant;

        shot_make(&giant, "signal " I ".Giant path=/x ay @%d", 8 * LIMIT_max_message_size);
        shot_make(&large, "signal " I ".Large path=/x to=%s ay @%d", b->unique,
                  LIMIT_max_message_size - 1000);
        for (;;) {
                for (int i = 0; i < 8; i++) {
                        shot_try(a, &large);
                        swallow(a);
                        swallow(b);
                }
                c = open_one(address);
                shot_fire(c, &giant);
                client_free(c);
        }
}

/* --- connect storm: a whole greeting, half of one, and none ------------------------------------ */

static void storm(const char *address)
{
        struct client *c[3];

        for (;;) {
                for (int i = 0; i < 3; i++) {
                        c[i] = client_new();
                        if (client_open(c[i], address))
                                continue;
                        if (i > 0)
                                client_authenticate(c[i], NULL);
                        if (i > 1)
                                client_send_text(c[i], "Hello");
                }
                for (int i = 0; i < 3; i++)
                        client_free(c[i]);
        }
}

/* --- reply hoard: calls to one who reads and does not answer ----------------------------------- */

static void reply_hoard(const char *address)
{
        struct client *a[SOME], *b = open_one(address);
        struct shot call;

        open_all(a, SOME, address);
        shot_make(&call, "call " I ".Wait path=/x to=%s", b->unique);
        for (;;) {
                for (size_t i = 0; i < SOME; i++) {
                        shot_try(a[i], &call);
                        swallow(a[i]);
                }
                swallow(b);
                sleep_ms(1);
        }
}

/* --- a monitor that does not read --------------------------------------------------------------- */

static void deaf_monitor(const char *address)
{
        struct client *c[SOME];
        struct client *a = open_one(address);
        struct shot signal;

        open_all(c, SOME, address);
        for (size_t i = 0; i < SOME; i++)
                client_send_text(c[i], "BecomeMonitor if=org.freedesktop.DBus.Monitoring asu [ ] 0");
        shot_make(&signal, "signal " I ".Seen path=/x s @400");
        for (int i = 0; i < 20000; i++) /* so that there is something to see */
                shot_fire(a, &signal);
        rest();
}

const struct culprit culprits[] = {
        { "flood", flood, 2, 100 },
        { "no read", no_read, 1 + SOME, 100 },
        { "fd hoard", fd_hoard, 2 * SOME, 100 },
        { "match-rule hoard", rule_hoard, SOME, 100 },
        { "name hoard", name_hoard, SOME, 100 },
        { "half messages", half_messages, MANY, LIMIT_max_message_size / 2 },
        { "giant messages", giants, 3, LIMIT_max_message_size / 2 },
        { "connect storm", storm, 3, 100 },
        { "reply hoard", reply_hoard, 1 + SOME, 100 },
        { "monitor that does not read", deaf_monitor, 1 + SOME, 100 },
};

const size_t n_culprits = sizeof(culprits) / sizeof(*culprits);
