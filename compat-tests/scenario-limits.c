/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Limits: each one reached, then one more asked for, then room made and used again.
 */

#define _GNU_SOURCE
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compat-tests/client.h"
#include "compat-tests/scenario.h"

#define I     "com.example.If"
#define CALL  "a: call " I ".Do to=b"
#define NAMES(n) "a: RequestName su com.example.N" n " 0"

#define FLOOD       120
#define FLOOD_BYTES "20000"     /* together more than any socket's buffer takes */

static struct client *connect_to(struct bus *bus)
{
        struct client *c = client_connect(bus->address);

        ck_assert_ptr_nonnull(c);
        return c;
}

static void send_text(struct client *c, const char *format, const char *to, unsigned int number)
{
        char *text;

        ck_assert_int_gt(asprintf(&text, format, to, number), 0);
        ck_assert_int_eq(client_send_text(c, text), 0);
        free(text);
}

/* drain() - count the waiting messages of a type, errors by name, until nothing comes */
static unsigned int drain(struct client *c, int type, const char *error, int timeout)
{
        struct message *m;
        unsigned int n = 0;

        while (client_receive(c, &m, timeout) == CLIENT_MESSAGE) {
                if (m->type == type && (!error || !strcmp(m->field[FIELD_ERROR_NAME], error)))
                        n++;
                message_free(m);
        }
        return n;
}

/* count() - the same to the end: the bus may have no room to answer before some has been read */
static unsigned int count(struct client *c, int type, const char *error)
{
        unsigned int n = drain(c, type, error, client_timeout() / 50);

        ck_assert_int_eq(client_settle(c), 0);
        return n + drain(c, type, error, 0);
}

/* a callee that does not read: what does not fit fails at once, what fits arrives */
static void fill_callee(struct client *a, struct client *b)
{
        unsigned int i, refused, arrived;

        for (i = 0; i < FLOOD; i++)
                send_text(a, "call " I ".Do path=/x to=%s s @" FLOOD_BYTES, b->unique, 0);
        refused = count(a, TYPE_ERROR, ERROR_PREFIX "LimitsExceeded");
        ck_assert_uint_gt(refused, 0);
        ck_assert_uint_lt(refused, FLOOD);
        arrived = count(b, TYPE_CALL, NULL);
        ck_assert_uint_eq(arrived + refused, FLOOD);
        send_text(a, "call " I ".Do path=/x to=%s s again", b->unique, 0);
        ck_assert_int_eq(client_settle(a), 0);
        ck_assert_uint_eq(count(b, TYPE_CALL, NULL), 1);
}

static void full_callee(struct bus *bus)
{
        struct client *a = connect_to(bus), *b = connect_to(bus);

        fill_callee(a, b);
        client_free(a);
        client_free(b);
}

/* the limit sinks while both are there: it is theirs, too */
static void full_after_reload(struct bus *bus)
{
        struct client *a = connect_to(bus), *b = connect_to(bus);

        bus_write(bus, "bus.conf",
                  "<busconfig><listen>unix:path=${dir}/bus</listen><policy context=\"default\">"
                  "<allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy>"
                  "<limit name=\"max_outgoing_bytes\">100000</limit></busconfig>");
        message_free(client_call(a, "ReloadConfig"));
        fill_callee(a, b);
        client_free(a);
        client_free(b);
}

/* The flood comes from another process: it is made to wait. Status 1: some of it was refused. */
static void flood_and_exit(struct client *a, const struct client *b)
{
        unsigned int i;

        for (i = 0; i < FLOOD; i++)
                send_text(a, "call " I ".Do path=/x to=%s s @" FLOOD_BYTES, b->unique, 0);
        _exit(client_settle(a) || drain(a, TYPE_ERROR, NULL, 0) > 0);
}

/* a callee that reads, but slowly: lambus makes the sender wait and refuses nothing */
static void slow_callee(struct bus *bus)
{
        struct client *a = connect_to(bus), *b = connect_to(bus);
        unsigned int arrived = 0;
        struct message *m;
        int status;
        pid_t pid;

        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (!pid)
                flood_and_exit(a, b);
        while (client_receive(b, &m, client_timeout() / 5) == CLIENT_MESSAGE) {
                arrived += m->type == TYPE_CALL;
                message_free(m);
                sleep_ms(2);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        if (differs("held-back")) {
                ck_assert_int_eq(status, 0);
                ck_assert_uint_eq(arrived, FLOOD);
        } else {
                ck_assert_uint_lt(arrived, FLOOD);
        }
        client_free(a);
        client_free(b);
}

/* a subscriber that does not read misses broadcasts; others get all, the sender hears nothing */
static void full_subscriber(struct bus *bus)
{
        struct client *a = connect_to(bus), *b = connect_to(bus), *c = connect_to(bus);
        unsigned int i, n_c = 0;

        message_free(client_call(b, "AddMatch s interface='" I "'"));
        message_free(client_call(c, "AddMatch s interface='" I "'"));
        for (i = 0; i < FLOOD; i++) {
                send_text(a, "signal " I ".Sig path=/x to=%s s @" FLOOD_BYTES, "-", 0);
                ck_assert_int_eq(client_settle(a), 0);
                ck_assert_int_eq(client_settle(c), 0);
                n_c += drain(c, TYPE_SIGNAL, NULL, 0);
        }
        ck_assert_uint_eq(n_c, FLOOD);
        ck_assert_uint_eq(count(a, TYPE_ERROR, NULL), 0);
        ck_assert_uint_lt(count(b, TYPE_SIGNAL, NULL), FLOOD);
        ck_assert_int_eq(client_settle(b), 0);
        client_free(a);
        client_free(b);
        client_free(c);
}

static void answer_all(struct client *b, unsigned int n, const char *to)
{
        struct words words = {};
        struct message *m, *reply;
        unsigned int i;

        for (i = 0; i < n; i++) {
                ck_assert_int_eq(client_receive(b, &m, client_timeout()), CLIENT_MESSAGE);
                words_split(&words, "return s @" FLOOD_BYTES);
                reply = message_parse(words.word, words.n);
                reply->field[FIELD_DESTINATION] = strdup(to);
                ck_assert_int_gt(asprintf(&reply->field[FIELD_REPLY_SERIAL], "%u",
                                          (unsigned int)m->serial), 0);
                ck_assert_int_eq(client_send(b, reply), 0);
                message_free(reply);
                message_free(m);
                words_clear(&words);
        }
}

/* a caller that does not read its replies: lambus leaves no call unanswered */
static void full_caller(struct bus *bus)
{
        struct client *a = connect_to(bus), *b = connect_to(bus);
        struct message *m;
        unsigned int i, n_returns = 0, n_errors = 0;

        for (i = 0; i < FLOOD; i++)
                send_text(a, "call " I ".Do path=/x to=%s", b->unique, 0);
        answer_all(b, FLOOD, a->unique);
        ck_assert_int_eq(client_settle(b), 0);
        while (client_receive(a, &m, client_timeout() / 50) == CLIENT_MESSAGE) {
                n_returns += m->type == TYPE_RETURN;
                n_errors += m->type == TYPE_ERROR;
                message_free(m);
        }
        ck_assert_int_eq(client_settle(a), 0);
        ck_assert_uint_gt(n_returns, 0);
        ck_assert_uint_lt(n_returns, FLOOD);
        ck_assert_uint_eq(n_errors, differs("undeliverable-reply") ? FLOOD - n_returns : 0);
        client_free(a);
        client_free(b);
}

/* the largest array there is passes, one byte more does not */
static void largest_array(struct bus *bus)
{
        struct client *a = connect_to(bus), *b = connect_to(bus);
        struct message *m;

        send_text(a, "call " I ".Do path=/x to=%s ay @67108864", b->unique, 0);
        ck_assert_int_eq(client_receive(b, &m, client_timeout()), CLIENT_MESSAGE);
        ck_assert_int_eq(m->body_length, 67108868);
        message_free(m);
        ck_assert_int_eq(client_settle(a), 0);
        client_free(a);
        client_free(b);
}

static unsigned int size_of(const char *format, const char *to)
{
        struct words words = {};
        struct message *m;
        size_t size;
        char *text;

        ck_assert_int_gt(asprintf(&text, format, to), 0);
        words_split(&words, text);
        m = message_parse(words.word, words.n);
        free(message_encode(m, &size));
        message_free(m);
        words_clear(&words);
        free(text);
        return size;
}

/* there is no message that its sender's name would make longer than a message may be */
static void too_long_when_stamped(struct bus *bus)
{
        struct client *a = connect_to(bus), *b = connect_to(bus);
        unsigned int n;

        send_text(a, "call " I ".Do path=/x to=%s s @%u", b->unique,
                  (1U << 27) - size_of("call " I ".Do path=/x to=%s s @0", b->unique));
        n = count(a, TYPE_ERROR, ERROR_PREFIX "LimitsExceeded");
        ck_assert_uint_eq(n, differs("stamped-too-long"));
        client_free(a);
        client_free(b);
}

/* messages of exactly the largest size, and of one byte more */
static void exact_size(struct bus *bus)
{
        struct client *a = connect_to(bus), *b = connect_to(bus);
        struct words words = {};
        struct message *m;
        unsigned int i, room;
        size_t size;
        char *text;

        for (i = room = 0; i < 3; i++) {
                ck_assert_int_gt(asprintf(&text, "signal " I ".Do path=/x to=%s s @%u", b->unique,
                                          room), 0);
                words_clear(&words);
                words_split(&words, text);
                free(text);
                m = message_parse(words.word, words.n);
                free(message_encode(m, &size));
                if (i)
                        ck_assert_int_eq(client_send(a, m), 0);
                message_free(m);
                room = i ? room + 1 : 4096 - size;
        }
        ck_assert_int_eq(client_receive(b, &m, client_timeout()), CLIENT_MESSAGE);
        message_free(m);
        ck_assert_int_eq(client_receive(a, &m, client_timeout()), CLIENT_CLOSED);
        ck_assert_uint_eq(count(b, TYPE_SIGNAL, NULL), 0);
        client_free(a);
        client_free(b);
        words_clear(&words);
}

static struct client *connect_as(struct bus *bus, uid_t uid)
{
        struct client *c;

        ck_assert_int_eq(seteuid(uid), 0);
        c = connect_to(bus);
        ck_assert_int_eq(seteuid(0), 0);
        return c;
}

/*
 * One user sends all that goes to the connections of another, who does not read them. What a third
 * sends to yet another connection of that user's arrives: lambus has left room.
 */
static void full_user(struct bus *bus)
{
        struct client *unread[7], *reads = connect_as(bus, 1);
        struct client *much = connect_as(bus, 2), *little = connect_as(bus, 3);
        struct message *m;

        for (int i = 0; i < 7; i++) {
                unread[i] = connect_as(bus, 1);
                for (int n = 0; n < 8; n++)
                        send_text(much, "call " I ".Do path=/x to=%s s @200000", unread[i]->unique, 0);
                ck_assert_uint_gt(count(much, TYPE_ERROR, ERROR_PREFIX "LimitsExceeded"), 0);
        }
        send_text(little, "call " I ".Do path=/x to=%s s @200000", reads->unique, 0);
        ck_assert_int_eq(client_settle(little), 0);
        ck_assert_uint_eq(drain(little, TYPE_ERROR, NULL, 0), 0);
        ck_assert_int_eq(client_receive(reads, &m, client_timeout()), CLIENT_MESSAGE);
        ck_assert_str_eq(m->field[FIELD_SENDER], little->unique);
        message_free(m);
        if (differs("share-of-a-user"))
                ck_assert(bus_log_has(bus, "user 2 has used up its share of what may wait for user 1"));
        for (int i = 0; i < 7; i++)
                client_free(unread[i]);
        client_free(reads);
        client_free(much);
        client_free(little);
}

static const struct scenario scenarios[] = {
        { "a user whose queues somebody fills has room for what others send", .run = full_user,
          .options = { .limits = "max_outgoing_bytes=400000 max_connections_per_user=8",
                       .policy = "<allow user=\"*\"/><allow send_destination=\"*\"/>"
                                 "<allow receive_sender=\"*\"/>" }, .needs_root = true },
        { "connections: Hello is LimitsExceeded, and may be tried again when one has gone",
          TALK("a: GetId -> s *", "b: GetId -> s *", "c! connect", "c: Hello",
               "c? error LimitsExceeded", "a: GetId -> s *", "b! close", "c: Hello",
               "c? return s *"), .options.limits = "max_completed_connections=2" },
        { "connections of one user: the same",
          TALK("a: GetId -> s *", "b: GetId -> s *", "c! connect", "c: Hello",
               "c? error LimitsExceeded", "b! close", "c: Hello", "c? return s *"),
          .options.limits = "max_connections_per_user=2" },
        { "connections of one user are not another's",
          TALK("a: GetId -> s *", "c! connect uid=65534", "c! hello", "b! connect", "b: Hello",
               "b? error LimitsExceeded"),
          .options = { .limits = "max_connections_per_user=1",
                       .policy = "<allow user=\"*\"/><allow send_destination=\"*\"/>"
                                 "<allow receive_sender=\"*\"/>" }, .needs_root = true },
        { "unauthenticated connections beyond the limit wait until one goes",
          TALK("a! open", "b! open", "c! open", "@ sleep 20", "c! nul", "c> AUTH", "c< nothing",
               "a! vanish", "c< REJECTED*"), .options.limits = "max_incomplete_connections=2" },
        { "names: RequestName is LimitsExceeded, the unique name counts",
          TALK(NAMES("1") " -> u 1", NAMES("2") " -> u 1", NAMES("3") " -> error LimitsExceeded",
               "a: ReleaseName s com.example.N1 -> u 1", NAMES("3") " -> u 1",
               NAMES("4") " -> error LimitsExceeded"),
          .options.limits = "max_names_per_connection=3" },
        { "names: a place in a queue counts too",
          TALK("b: RequestName su com.example.N1 0 -> u 1", NAMES("1") " -> u 2",
               NAMES("2") " -> error LimitsExceeded"),
          .options.limits = "max_names_per_connection=2" },
        { "match rules: AddMatch is LimitsExceeded",
          TALK("a: AddMatch s type='signal' ->", "a: AddMatch s type='signal' ->",
               "a: AddMatch s type='signal' -> error LimitsExceeded",
               "a: RemoveMatch s type='signal' ->", "a: AddMatch s type='error' ->",
               "b: AddMatch s type='signal' ->"),
          .options.limits = "max_match_rules_per_connection=2" },
        { "match rules: an invalid rule is told so at the limit too",
          TALK("a: AddMatch s type='signal' ->", "a: AddMatch s nonsense -> error LimitsExceeded"),
          .options.limits = "max_match_rules_per_connection=1" },
        { "pending calls: one more is LimitsExceeded and does not reach the callee",
          TALK("b: GetId -> s *", CALL, CALL, "b? call Do", "b? call Do",
               CALL " -> error LimitsExceeded", "b? nothing", "b: return", "a? return", CALL,
               "b? call Do", "c: call " I ".Do to=b", "b? call Do from=c"),
          .options.limits = "max_replies_per_connection=2" },
        { "pending calls: those that expect no reply do not count",
          TALK("b: GetId -> s *", CALL " flags=1", CALL " flags=1", CALL, "b? call Do",
               "b? call Do", "b? call Do"), .options.limits = "max_replies_per_connection=1" },
        { "pending calls: a callee that goes makes room",
          TALK("b: GetId -> s *", CALL, "b! close", "a? error NoReply", "c: GetId -> s *",
               "a: call " I ".Do to=c", "c? call Do"),
          .options.limits = "max_replies_per_connection=1" },
        { "a message larger than the limit ends the connection as soon as its size is known",
          TALK("b: GetId -> s *", CALL " bodylen=4097", "a? closed", "b? nothing"),
          .options.limits = "max_message_size=4096" },
        { "a message of the largest size passes, one byte more ends the connection",
          .run = exact_size, .options.limits = "max_message_size=4096" },
        { "a message of 32 MiB and more ends the connection by default",
          TALK(CALL " bodylen=33554433", "a? closed", "b: GetId -> s *") },
        { "an array of 64 MiB passes", .run = largest_array,
          .options.limits = "max_message_size=134217728 max_incoming_bytes=1000000000 "
                            "max_outgoing_bytes=1000000000" },
        { "a message that the sender's name makes too long is refused", .run = too_long_when_stamped,
          .options.limits = "max_message_size=134217728 max_incoming_bytes=1000000000 "
                            "max_outgoing_bytes=1000000000" },
        { "a message larger than max_incoming_bytes passes all the same",
          TALK("b: GetId -> s *", CALL " s @50000", "b? call Do", CALL " s @50000", "b? call Do",
               CALL " s x", "b? call Do s x"), .options.limits = "max_incoming_bytes=1000" },
        { "messages with more descriptors than max_incoming_unix_fds pass one by one",
          TALK("b: GetId -> s *", CALL " fds=2 hh 0 1", CALL " fds=2 hh 0 1", "b? call Do fds=2",
               "b? call Do fds=2"), .options.limits = "max_incoming_unix_fds=2" },
        { "a callee that does not read refuses calls, and takes them again when it reads",
          .run = full_callee, .options.limits = "max_outgoing_bytes=100000" },
        { "the limit of a queue changed by a reload counts for those who are there",
          .run = full_after_reload },
        { "a callee that reads slowly gets everything in the end", .run = slow_callee,
          .options.limits = "max_outgoing_bytes=500000" },
        { "a subscriber that does not read misses broadcasts, and nobody else does",
          .run = full_subscriber, .options.limits = "max_outgoing_bytes=100000" },
        { "a caller that does not read misses replies", .run = full_caller,
          .options.limits = "max_outgoing_bytes=100000" },
        { "a limit is logged with its name",
          TALK("a: AddMatch s type='signal' -> error LimitsExceeded",
               "@ log max_match_rules_per_connection"),
          .options.limits = "max_match_rules_per_connection=0" },
        { "a limit changed by a reload counts for what comes after",
          TALK("a: AddMatch s type='signal' ->", "a: AddMatch s type='error' -> error "
               "LimitsExceeded",
               "@ write bus.conf <busconfig><listen>unix:path=${dir}/bus</listen><policy "
               "context=\"default\"><allow send_destination=\"*\"/><allow receive_sender=\"*\"/>"
               "</policy><limit name=\"max_match_rules_per_connection\">2</limit></busconfig>",
               "a: ReloadConfig ->", "a: AddMatch s type='error' ->",
               "a: AddMatch s type='error' -> error LimitsExceeded"),
          .options.limits = "max_match_rules_per_connection=1" },
        { "a limit may be another one for a user, and a reload changes it",
          TALK("ref(limit-override) a: AddMatch s type='error' ->",
               "new(limit-override) a: AddMatch s type='error' -> error LimitsExceeded",
               "@ write bus.conf <busconfig><listen>unix:path=${dir}/bus</listen><policy "
               "context=\"default\"><allow send_destination=\"*\"/><allow receive_sender=\"*\"/>"
               "</policy><?lambus-limit name=\"max_match_rules_per_connection\" value=\"2\" "
               "user=\"${uid}\"?></busconfig>",
               "a: ReloadConfig ->", "a: AddMatch s type='error' ->",
               "ref(limit-override) a: AddMatch s type='error' ->",
               "new(limit-override) a: AddMatch s type='error' ->",
               "ref(limit-override) a: AddMatch s type='error' ->",
               "new(limit-override) a: AddMatch s type='error' -> error LimitsExceeded"),
          .options.extra = "<?lambus-limit name='max_match_rules_per_connection' value='0' "
                           "user='${uid}'?>" },
        { "what is there when a limit sinks stays",
          TALK("a: AddMatch s member='Gis' ->", "a: AddMatch s member='Sig' ->",
               "@ write bus.conf <busconfig><listen>unix:path=${dir}/bus</listen><policy "
               "context=\"default\"><allow send_destination=\"*\"/><allow receive_sender=\"*\"/>"
               "</policy><limit name=\"max_match_rules_per_connection\">1</limit></busconfig>",
               "a: ReloadConfig ->", "b: signal " I ".Sig", "a? signal Sig",
               "a: AddMatch s type='error' -> error LimitsExceeded") },
};

int main(void)
{
        return scenarios_run("limits", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
