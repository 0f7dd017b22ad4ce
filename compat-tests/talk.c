/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <check.h>
#include <ctype.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat-tests/client.h"
#include "compat-tests/scenario.h"
#include "compat-tests/talk.h"

#define LABELS_MAX     32
#define UNANSWERED_MAX 64
#define PEERS_MAX      26
#define DRIVER "org.freedesktop.DBus"

struct peer {
        struct client *client;
        uint32_t unanswered[UNANSWERED_MAX];        /* serials of calls */
        size_t n_unanswered;
        char *caller;                   /* who sent the call received last */
        uint32_t called;                /* its serial */
};

struct talk {
        struct bus *bus;
        const char *line;
        struct peer peers[PEERS_MAX];
        struct {
                char *name;
                uint32_t serial;
        } labels[LABELS_MAX];
        size_t n_labels;
};

static _Noreturn void broken(struct talk *t, const char *format, ...)
        __attribute__((__format__(__printf__, 2, 3)));

static _Noreturn void broken(struct talk *t, const char *format, ...)
{
        va_list ap;
        char *text;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                abort();
        va_end(ap);
        bus_fail(t->bus, "at `%s': %s", t->line, text);
}

/* --- peers and labels --- */

static struct peer *peer_slot(struct talk *t, char letter)
{
        if (!islower((unsigned char)letter))
                broken(t, "`%c' is no peer", letter);
        return &t->peers[letter - 'a'];
}

/* peer_get() - the peer, connected */
static struct peer *peer_get(struct talk *t, char letter)
{
        struct peer *p = peer_slot(t, letter);

        if (!p->client)
                p->client = client_connect(t->bus->address);
        if (!p->client)
                broken(t, "%c cannot connect", letter);
        return p;
}

static void label_set(struct talk *t, const char *name, uint32_t serial)
{
        size_t i;

        for (i = 0; i < t->n_labels && strcmp(t->labels[i].name, name); i++)
                ;
        ck_assert_uint_lt(i, LABELS_MAX);
        if (i == t->n_labels)
                t->labels[t->n_labels++].name = strdup(name);
        t->labels[i].serial = serial;
}

static uint32_t label_get(struct talk *t, const char *name)
{
        size_t i;

        for (i = 0; i < t->n_labels; i++)
                if (!strcmp(t->labels[i].name, name))
                        return t->labels[i].serial;
        broken(t, "no message is labelled `%s'", name);
}

/* substitute() - $a and ${...} */
static char *substitute(struct talk *t, const char *line)
{
        char *expanded = bus_expand(t->bus, line), *out = NULL, *p;
        size_t n;
        FILE *f = open_memstream(&out, &n);

        for (p = expanded; *p; p++) {
                if (*p == '$' && islower((unsigned char)p[1]) && !isalnum((unsigned char)p[2]))
                        fputs(peer_get(t, *++p)->client->unique ?: "", f);
                else
                        fputc(*p, f);
        }
        fclose(f);
        free(expanded);
        return out;
}

static void set_field(struct message *m, int code, const char *value)
{
        free(m->field[code]);
        m->field[code] = strdup(value);
}

static void set_default(struct message *m, int code, const char *value)
{
        if (!m->field[code])
                m->field[code] = strdup(value);
}

/* resolve_peer() - a field that is one letter names a peer */
static void resolve_peer(struct talk *t, struct message *m, int code)
{
        const char *value = m->field[code];

        if (value && islower((unsigned char)value[0]) && !value[1])
                set_field(m, code, peer_get(t, *value)->client->unique ?: "");
        else if (value && !strcmp(value, "bus"))
                set_field(m, code, DRIVER);
}

static void resolve_reply(struct talk *t, struct message *m)
{
        char number[16];

        if (!m->reply_label)
                return;
        snprintf(number, sizeof(number), "%u", label_get(t, m->reply_label));
        set_field(m, FIELD_REPLY_SERIAL, number);
}

/* --- sending --- */

static void set_call_defaults(struct message *m)
{
        bool driver;

        if (m->type == TYPE_CALL)
                set_default(m, FIELD_DESTINATION, DRIVER);
        driver = m->field[FIELD_DESTINATION] && !strcmp(m->field[FIELD_DESTINATION], DRIVER);
        if (m->type == TYPE_CALL && driver) {
                set_default(m, FIELD_PATH, "/org/freedesktop/DBus");
                set_default(m, FIELD_INTERFACE, DRIVER);
        }
        set_default(m, FIELD_PATH, "/test");
}

static void set_reply_defaults(struct peer *p, struct message *m)
{
        char number[16];

        snprintf(number, sizeof(number), "%u", p->called);
        set_default(m, FIELD_REPLY_SERIAL, number);
        if (p->caller)
                set_default(m, FIELD_DESTINATION, p->caller);
}

static void step_send(struct talk *t, struct peer *p, char **word, size_t n_word)
{
        struct message *m = message_parse(word, n_word);

        resolve_peer(t, m, FIELD_DESTINATION);
        resolve_peer(t, m, FIELD_SENDER);
        resolve_reply(t, m);
        if (m->type == TYPE_CALL || m->type == TYPE_SIGNAL)
                set_call_defaults(m);
        else if (m->type == TYPE_RETURN || m->type == TYPE_ERROR)
                set_reply_defaults(p, m);
        client_send(p->client, m);
        if (m->label)
                label_set(t, m->label, m->serial);
        ck_assert_uint_lt(p->n_unanswered, UNANSWERED_MAX);
        if (m->type == TYPE_CALL || m->flags < 0 || !(m->flags & FLAG_NO_REPLY))
                p->unanswered[p->n_unanswered++] = m->serial;
        message_free(m);
}

/* --- receiving --- */

static struct message *receive(struct talk *t, struct peer *p, const char *what)
{
        struct message *m;
        int r = client_receive(p->client, &m, client_timeout());

        if (r == CLIENT_CLOSED)
                broken(t, "the connection is closed instead of %s", what);
        if (r == CLIENT_SILENT)
                broken(t, "nothing comes instead of %s", what);
        if (m->type == TYPE_CALL) {
                free(p->caller);
                p->caller = m->field[FIELD_SENDER] ? strdup(m->field[FIELD_SENDER]) : NULL;
                p->called = m->serial;
        }
        return m;
}

static void check_answers(struct talk *t, struct peer *p, const struct message *m)
{
        uint32_t serial = strtoul(m->field[FIELD_REPLY_SERIAL] ?: "0", NULL, 0);
        size_t i;

        for (i = 0; i < p->n_unanswered && p->unanswered[i] != serial; i++)
                ;
        if (i == p->n_unanswered)
                broken(t, "a reply to %u, which is not waiting for one", serial);
        p->n_unanswered--;
        memmove(p->unanswered + i, p->unanswered + i + 1,
                (p->n_unanswered - i) * sizeof(*p->unanswered));
}

static void check_fds(struct talk *t, const struct message *expected, const struct message *m)
{
        size_t i, n = expected->field[FIELD_UNIX_FDS] ? m->n_fds : 0;
        char text[16];
        ssize_t l;

        if (n && m->n_fds != strtoul(m->field[FIELD_UNIX_FDS] ?: "0", NULL, 0))
                broken(t, "the header has %s descriptors, %zu came", m->field[FIELD_UNIX_FDS], n);
        for (i = 0; i < n; i++) {
                l = read(m->fds[i], text, sizeof(text) - 1);
                text[l > 0 ? l : 0] = 0;
                if (strncmp(text, "fd", 2) || (expected->label && i == 0 &&
                                               strcmp(text, expected->label)))
                        broken(t, "descriptor %zu is `%s'", i, text);
        }
}

static void check_message(struct talk *t, struct peer *p, char **word, size_t n_word,
                          const struct message *m)
{
        struct message *expected = message_parse(word, n_word);
        const char *differing;

        resolve_peer(t, expected, FIELD_DESTINATION);
        resolve_peer(t, expected, FIELD_SENDER);
        if (expected->field[FIELD_REPLY_SERIAL] || expected->reply_label)
                resolve_reply(t, expected);
        differing = message_match(expected, m);
        if (differing)
                broken(t, "other %s: %s", differing, message_text(m));
        if ((m->type == TYPE_RETURN || m->type == TYPE_ERROR) && !p->client->mute &&
            !expected->field[FIELD_REPLY_SERIAL])
                check_answers(t, p, m);
        check_fds(t, expected, m);
        if (expected->label && strncmp(expected->label, "fd", 2))
                label_set(t, expected->label, m->serial);
        message_free(expected);
}

/* settle_all() - until the bus has handled what anybody (but one) sent */
static void settle_all(struct talk *t, const struct peer *but)
{
        struct client *c;
        size_t i;

        for (i = 0; i < PEERS_MAX; i++) {
                c = t->peers[i].client;
                if (c && &t->peers[i] != but && c->fd >= 0 && c->unique && !c->mute &&
                    client_settle(c))
                        broken(t, "%c has been disconnected", (int)('a' + i));
        }
}

static void expect_nothing(struct talk *t, struct peer *p)
{
        struct message *m;
        int r;

        settle_all(t, NULL);
        if (p->client->unique && !p->client->mute)
                client_settle(p->client);
        r = client_receive(p->client, &m, p->client->mute || !p->client->unique ? 50 : 0);
        if (r == CLIENT_MESSAGE)
                broken(t, "received %s", message_text(m));
        if (r == CLIENT_CLOSED)
                broken(t, "the connection is closed");
}

static void expect_closed(struct talk *t, struct peer *p)
{
        struct message *m;
        int r = client_receive(p->client, &m, client_timeout());

        if (r == CLIENT_MESSAGE)
                broken(t, "received %s", message_text(m));
        if (r == CLIENT_SILENT)
                broken(t, "the connection stays open");
        client_close(p->client);
}

static void step_expect(struct talk *t, struct peer *p, char **word, size_t n_word)
{
        struct message *m;

        if (!strcmp(*word, "nothing")) {
                expect_nothing(t, p);
        } else if (!strcmp(*word, "closed")) {
                expect_closed(t, p);
        } else {
                m = receive(t, p, "this");
                check_message(t, p, word, n_word, m);
                message_free(m);
        }
}

/* step_expect_reply() - what stands behind `->`: a body, or an error's name */
static void step_expect_reply(struct talk *t, struct peer *p, char **word, size_t n_word)
{
        struct words full = {};
        struct message *m;
        bool error = n_word && !strcmp(*word, "error");
        size_t i;

        if (!error)
                words_append(&full, "return", 6);
        if (!n_word)
                words_append(&full, "sig=", 4);
        for (i = 0; i < n_word; i++)
                words_append(&full, word[i], strlen(word[i]));
        m = receive(t, p, "the reply");
        while (m->type == TYPE_SIGNAL) {
                message_free(m);
                m = receive(t, p, "the reply");
        }
        check_message(t, p, full.word, full.n, m);
        message_free(m);
        words_clear(&full);
}

static void step_message(struct talk *t, struct peer *p, char **word, size_t n_word)
{
        size_t n;

        for (n = 0; n < n_word && strcmp(word[n], "->"); n++)
                ;
        step_send(t, p, word, n);
        if (n < n_word)
                step_expect_reply(t, p, word + n + 1, n_word - n - 1);
}

/* --- lines of authentication --- */

static void step_line(struct talk *t, struct peer *p, char direction, const char *text)
{
        char *line = NULL;
        int r;

        if (direction == '>') {
                client_write(p->client, text, strlen(text));
                client_write(p->client, "\r\n", 2);
                return;
        }
        r = client_read_line(p->client, &line, strcmp(text, "nothing") ? client_timeout() : 50);
        if (r == CLIENT_SILENT && !strcmp(text, "nothing"))
                return;
        if (r == CLIENT_CLOSED ? strcmp(text, "closed") : r == CLIENT_SILENT)
                broken(t, "%s", r == CLIENT_CLOSED ? "the connection is closed" : "nothing comes");
        if (line && fnmatch(text, line, 0))
                broken(t, "received `%s'", line);
        free(line);
}

/* --- actions --- */

static void action_connect(struct talk *t, struct peer *p, const char *how)
{
        uid_t me = geteuid();

        p->client = client_free(p->client);
        p->client = client_new();
        if (how && !strncmp(how, "uid=", 4) && seteuid(atoi(how + 4)) < 0)
                broken(t, "cannot become user %s", how + 4);
        if (client_open(p->client, t->bus->address))
                broken(t, "cannot connect");
        if ((!how || strcmp(how, "open")) && client_authenticate(p->client, NULL))
                broken(t, "not let in");
        if (seteuid(me) < 0)
                abort();
}

/* action_refused() - connect as another user and be turned away, in SASL or after it */
static void action_refused(struct talk *t, struct peer *p, const char *how)
{
        uid_t me = geteuid();

        p->client = client_new();
        if (seteuid(atoi(how + 4)) < 0 || client_open(p->client, t->bus->address))
                broken(t, "cannot connect");
        if (!client_authenticate(p->client, NULL) && !client_hello(p->client))
                broken(t, "let in");
        if (seteuid(me) < 0)
                abort();
        client_close(p->client);
}

/* action_close() - hang up when all else is done, and watch until the bus has noticed */
static void action_close(struct talk *t, struct peer *p)
{
        struct client *watcher = NULL;
        struct message *m;
        char *question;
        bool gone = false;
        size_t i;

        settle_all(t, p);
        client_close(p->client);
        for (i = 0; i < PEERS_MAX && p->client->unique && !watcher; i++)
                if (t->peers[i].client && t->peers[i].client->unique &&
                    t->peers[i].client->fd >= 0 && !t->peers[i].client->mute)
                        watcher = t->peers[i].client;
        if (!watcher || asprintf(&question, "NameHasOwner s %s", p->client->unique) < 0)
                return;
        while (!gone) {
                m = client_call(watcher, question);
                if (!m)
                        broken(t, "the watcher has been disconnected");
                gone = m->type == TYPE_RETURN && !strcmp(m->body.word[0], "0");
                message_free(m);
        }
        free(question);
}

static void action_raw(struct talk *t, struct peer *p, const char *hex)
{
        unsigned int byte;
        uint8_t b;

        for (; sscanf(hex, "%2x", &byte) == 1; hex += 2) {
                b = byte;
                client_write(p->client, &b, 1);
        }
}

static void step_action(struct talk *t, char letter, char **word, size_t n_word)
{
        struct peer *p = peer_slot(t, letter);

        if (!strcmp(*word, "open") || !strcmp(*word, "connect")) {
                action_connect(t, p, n_word > 1 ? word[1] : *word);
                return;
        }
        if (!strcmp(*word, "refused")) {
                action_refused(t, p, word[1]);
                return;
        }
        if (!p->client)
                peer_get(t, letter);
        if (!strcmp(*word, "hello")) {
                if (client_hello(p->client))
                        broken(t, "no Hello");
        } else if (!strcmp(*word, "nul")) {
                client_write(p->client, "", 1);
        } else if (!strcmp(*word, "raw")) {
                action_raw(t, p, word[1]);
        } else if (!strcmp(*word, "bytewise")) {
                p->client->bytewise = true;
        } else if (!strcmp(*word, "big")) {
                p->client->endian = 'B';
        } else if (!strcmp(*word, "hold")) {
                p->client->holding = true;
        } else if (!strcmp(*word, "flush")) {
                client_flush(p->client);
        } else if (!strcmp(*word, "monitor")) {
                p->client->mute = true;
        } else if (!strcmp(*word, "vanish")) {
                client_close(p->client);
        } else if (!strcmp(*word, "close")) {
                action_close(t, p);
        } else {
                broken(t, "no such action");
        }
}

static void global_log(struct talk *t, const char *text)
{
        int i;

        for (i = 0; i < client_timeout() / 10 && !bus_log_has(t->bus, text); i++)
                sleep_ms(10);
        if (!bus_log_has(t->bus, text))
                broken(t, "the daemon does not say so");
}

/* step_global() - a line that is nobody's; texts are kept as they are, blanks and all */
static void step_global(struct talk *t, const char *line)
{
        const char *rest = line + strcspn(line, " ");
        char *path = NULL, *name = NULL;

        rest += strspn(rest, " ");
        if (!strncmp(line, "write ", 6)) {
                name = strndup(rest, strcspn(rest, " "));
                bus_write(t->bus, name, rest[strlen(name)] ? rest + strlen(name) + 1 : "");
        } else if (!strncmp(line, "remove ", 7)) {
                path = bus_path(t->bus, rest);
                ck_assert_int_eq(unlink(path), 0);
        } else if (!strncmp(line, "signal ", 7)) {
                kill(t->bus->pid, atoi(rest));
                t->bus->told_to_end = atoi(rest) == SIGTERM;
        } else if (!strncmp(line, "log ", 4)) {
                global_log(t, rest);
        } else if (!strncmp(line, "sleep ", 6)) {
                sleep_ms(atoi(rest));
        } else {
                broken(t, "no such step");
        }
        free(path);
        free(name);
}

/* --- the talk --- */

/* select_line() - the line behind ref() or new(), NULL if it is not for this bus */
static const char *select_line(const char *line)
{
        bool wants_new = !strncmp(line, "new(", 4);
        char *id;
        bool ours;

        if (!wants_new && strncmp(line, "ref(", 4))
                return line;
        id = strndup(line + 4, strcspn(line + 4, ")"));
        ours = differs(id) == wants_new;
        line += 4 + strlen(id) + 1;
        free(id);
        return ours ? line + strspn(line, " ") : NULL;
}

static void step(struct talk *t, const char *line)
{
        struct words words = {};
        char *text = substitute(t, line), *rest = text + 2 + strspn(text + 2, " ");

        words_split(&words, rest);
        if (*text == '@')
                step_global(t, rest);
        else if (text[1] == '!')
                step_action(t, *text, words.word, words.n);
        else if (text[1] == ':')
                step_message(t, peer_get(t, *text), words.word, words.n);
        else if (text[1] == '?' && words.n)
                step_expect(t, peer_get(t, *text), words.word, words.n);
        else if (text[1] == '>' || text[1] == '<')
                step_line(t, peer_get(t, *text), text[1], rest);
        else
                broken(t, "no such step");
        words_clear(&words);
        free(text);
}

/**
 * talk() - lead a conversation; the first line that does not hold fails the test
 * @bus:        a bus that is up
 * @lines:      as talk.h says, NULL at the end
 */
void talk(struct bus *bus, const char *const *lines)
{
        struct talk t = { .bus = bus };
        size_t i;

        for (; *lines; lines++) {
                t.line = select_line(*lines);
                if (t.line)
                        step(&t, t.line);
        }
        for (i = 0; i < PEERS_MAX; i++) {
                client_free(t.peers[i].client);
                free(t.peers[i].caller);
        }
        for (i = 0; i < t.n_labels; i++)
                free(t.labels[i].name);
}
