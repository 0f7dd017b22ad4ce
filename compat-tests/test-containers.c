/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Containers: a bus, a creator, services outside, and a program inside, all by sd-bus. Run with the
 * daemon in BUS_UNDER_TEST.
 */

#define _GNU_SOURCE 1

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "compat-tests/run-suite.h"

#define BUS "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"
#define CONTAINERS BUS ".Containers1"
#define TO_BUS BUS, BUS_PATH, BUS
#define TO_CONTAINERS BUS, BUS_PATH, CONTAINERS
#define ACCESS_DENIED BUS ".Error.AccessDenied"
#define UNKNOWN BUS ".Error.ServiceUnknown"

static const char config[] =
        "<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen>"
        "<policy context='default'><allow user='*'/><allow send_destination='*'/>"
        "<allow receive_sender='*'/><allow own='*'/></policy>"
        "<limit name='max_connections_per_container'>2</limit></busconfig>";

static char dir[] = "/tmp/test-containers.XXXXXX";
static char address[512];
static pid_t daemon_pid;
static sd_bus *creator, *service, *other;
static char instance[128], door[512];

/* --- a bus ----------------------------------------------------------------------------------- */

static void run_daemon(int out)
{
        char path[64], arg[96];
        FILE *f;

        snprintf(path, sizeof(path), "%s/bus.conf", dir);
        snprintf(arg, sizeof(arg), "--config-file=%s", path);
        f = fopen(path, "w");
        fputs(config, f);
        fclose(f);
        setenv("XDG_RUNTIME_DIR", dir, 1);
        dup2(out, 1);
        execl(getenv("BUS_UNDER_TEST"), "bus", arg, "--nofork", "--print-address", NULL);
        _exit(127);
}

/* NULL: it is not let in. */
static sd_bus *try_to_connect(const char *to)
{
        const char *unique;
        sd_bus *bus;

        ck_assert_int_ge(sd_bus_new(&bus), 0);
        ck_assert_int_ge(sd_bus_set_address(bus, to), 0);
        ck_assert_int_ge(sd_bus_set_bus_client(bus, 1), 0);
        if (sd_bus_start(bus) >= 0 && sd_bus_get_unique_name(bus, &unique) >= 0)
                return bus;
        sd_bus_close_unref(bus);
        return NULL;
}

static sd_bus *connect_to(const char *to)
{
        sd_bus *bus = try_to_connect(to);

        ck_assert_ptr_nonnull(bus);
        return bus;
}

static void own(sd_bus *bus, const char *name)
{
        ck_assert_int_ge(sd_bus_request_name(bus, name, 0), 0);
}

static void setup(void)
{
        int fds[2];
        ssize_t n;

        ck_assert_ptr_nonnull(mkdtemp(dir));
        ck_assert_int_eq(pipe(fds), 0);
        daemon_pid = fork();
        if (!daemon_pid)
                run_daemon(fds[1]);
        close(fds[1]);
        n = read(fds[0], address, sizeof(address) - 1);
        ck_assert_int_gt(n, 1);
        address[n - 1] = 0;
        close(fds[0]);
        creator = connect_to(address);
        service = connect_to(address);
        other = connect_to(address);
        own(service, "org.talk.A");
        own(other, "org.see");
        own(other, "org.hidden");
        own(other, "org.call");
}

static void teardown(void)
{
        char command[128];
        int status;

        sd_bus_flush_close_unref(creator);
        sd_bus_flush_close_unref(service);
        sd_bus_flush_close_unref(other);
        kill(daemon_pid, SIGTERM);
        waitpid(daemon_pid, &status, 0);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        snprintf(command, sizeof(command), "rm -rf %s", dir);
        ck_assert_int_eq(system(command), 0);
        memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
}

/* --- asking ---------------------------------------------------------------------------------- */

/* Makes a container with these rules (NULL-terminated); NULL: without. */
static void add_container(const char *method, const char *const *rules)
{
        sd_bus_message *call, *reply;
        const char *path, *where;
        const void *bytes;
        size_t n;

        ck_assert_int_ge(sd_bus_message_new_method_call(creator, &call, TO_CONTAINERS, method), 0);
        ck_assert_int_ge(sd_bus_message_append(call, "ssa{sv}", "org.flatpak", "org.example.App", 2,
                                               "s", "s", "text", "nested", "a(iu)", 1, -1, 2), 0);
        ck_assert_int_ge(sd_bus_message_open_container(call, 'a', "{sv}"), 0);
        if (rules) {
                ck_assert_int_ge(sd_bus_message_open_container(call, 'e', "sv"), 0);
                ck_assert_int_ge(sd_bus_message_append(call, "s", "Rules"), 0);
                ck_assert_int_ge(sd_bus_message_open_container(call, 'v', "as"), 0);
                ck_assert_int_ge(sd_bus_message_append_strv(call, (char **)rules), 0);
                ck_assert_int_ge(sd_bus_message_close_container(call), 0);
                ck_assert_int_ge(sd_bus_message_close_container(call), 0);
        }
        ck_assert_int_ge(sd_bus_message_close_container(call), 0);
        ck_assert_int_ge(sd_bus_call(creator, call, 0, NULL, &reply), 0);
        ck_assert_int_ge(sd_bus_message_read(reply, "o", &path), 0);
        ck_assert_int_ge(sd_bus_message_read_array(reply, 'y', &bytes, &n), 0);
        ck_assert_int_ge(sd_bus_message_read(reply, "s", &where), 0);
        ck_assert_uint_eq(strlen(bytes) + 1, n);
        ck_assert(!strncmp(where, "unix:path=", 10) && !strncmp(where + 10, bytes, n - 1));
        snprintf(instance, sizeof(instance), "%s", path);
        snprintf(door, sizeof(door), "%s", where);
        sd_bus_message_unref(call);
        sd_bus_message_unref(reply);
}

/* The member of the next message of a type, NameAcquired aside; NULL if none comes in @ms. */
static const char *next_member(sd_bus *bus, int type, int ms)
{
        static char member[128];
        sd_bus_message *m = NULL;
        uint8_t got;

        for (;;) {
                int r = sd_bus_process(bus, &m);

                ck_assert_int_ge(r, 0);
                if (r == 0 && sd_bus_wait(bus, ms * 1000ULL) <= 0)
                        return NULL;
                if (!m)
                        continue;
                sd_bus_message_get_type(m, &got);
                snprintf(member, sizeof(member), "%s", sd_bus_message_get_member(m) ?: "");
                m = sd_bus_message_unref(m);
                if (got == type && strcmp(member, "NameAcquired") != 0)
                        return member;
        }
}

/* The error name of a call to the bus's own object, "" for none. */
static const char *ask(sd_bus *bus, const char *interface, const char *method, const char *types,
                       const char *a, const char *b)
{
        static char name[128];
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;

        if (strcmp(types, "su") == 0)
                sd_bus_call_method(bus, BUS, BUS_PATH, interface, method, &error, &reply, types, a, 0);
        else if (strcmp(types, "oas") == 0)
                sd_bus_call_method(bus, BUS, BUS_PATH, interface, method, &error, &reply, types, a, 1, b);
        else
                sd_bus_call_method(bus, BUS, BUS_PATH, interface, method, &error, &reply, types, a);
        snprintf(name, sizeof(name), "%s", error.name ?: "");
        sd_bus_error_free(&error);
        sd_bus_message_unref(reply);
        return name;
}

/* Sends a call out of the container; what comes of it: "" if @to gets it, or the error's name. */
static const char *call_out(sd_bus *from, const char *destination, const char *member, sd_bus *to)
{
        static char name[128];
        sd_bus_message *call, *m = NULL;

        ck_assert_int_ge(sd_bus_message_new_method_call(from, &call, destination, "/o", "org.I",
                                                        member), 0);
        ck_assert_int_ge(sd_bus_message_set_expect_reply(call, 0), 0);
        ck_assert_int_ge(sd_bus_send(from, call, NULL), 0);
        sd_bus_message_unref(call);
        sd_bus_flush(from);
        ck_assert_str_eq(ask(from, BUS, "GetId", "", NULL, NULL), ""); /* it has been judged */
        if (next_member(to, SD_BUS_MESSAGE_METHOD_CALL, 100))
                return "";
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_call_method(from, destination, "/o", "org.I", member, &error, &m, "");
        snprintf(name, sizeof(name), "%s", error.name ?: "?");
        sd_bus_error_free(&error);
        sd_bus_message_unref(m);
        return name;
}

static bool lists(sd_bus *bus, const char *wanted)
{
        sd_bus_message *reply;
        bool found = false;
        const char *name;

        ck_assert_int_ge(sd_bus_call_method(bus, TO_BUS, "ListNames", NULL, &reply, ""), 0);
        sd_bus_message_enter_container(reply, 'a', "s");
        while (sd_bus_message_read(reply, "s", &name) > 0)
                found = found || strcmp(name, wanted) == 0;
        sd_bus_message_unref(reply);
        return found;
}

static const char *const rules[] = { "talk=org.talk.*", "see=org.see", "own=org.mine",
                                     "call=org.call=org.I.Do", "broadcast=org.see=org.I.Sig", NULL };

/* --- tests ----------------------------------------------------------------------------------- */

START_TEST(who_comes_by_the_door_is_known_by_it)
{
        const char *path, *type, *name, *key, *text;
        sd_bus_message *reply;
        const char *unique;
        sd_bus *inside;
        uint32_t uid;

        add_container("AddServer", NULL);
        inside = connect_to(door);
        ck_assert_int_ge(sd_bus_get_unique_name(inside, &unique), 0);
        ck_assert_int_ge(sd_bus_call_method(other, TO_CONTAINERS, "GetConnectionInstance", NULL,
                                            &reply, "s", unique), 0);
        ck_assert_int_ge(sd_bus_message_read(reply, "o", &path), 0);
        ck_assert_str_eq(path, instance);
        ck_assert_int_ge(sd_bus_message_enter_container(reply, 'a', "{sv}"), 0);
        ck_assert_int_ge(sd_bus_message_read(reply, "{sv}", &key, "u", &uid), 0);
        ck_assert_str_eq(key, "UnixUserID");
        ck_assert_uint_eq(uid, getuid());
        sd_bus_message_skip(reply, "{sv}");
        sd_bus_message_exit_container(reply);
        ck_assert_int_ge(sd_bus_message_read(reply, "ss", &type, &name), 0);
        ck_assert_str_eq(type, "org.flatpak");
        ck_assert_str_eq(name, "org.example.App");
        ck_assert_int_ge(sd_bus_message_enter_container(reply, 'a', "{sv}"), 0);
        ck_assert_int_ge(sd_bus_message_read(reply, "{sv}", &key, "s", &text), 0);
        ck_assert_str_eq(text, "text");
        ck_assert_int_ge(sd_bus_message_skip(reply, "{sv}"), 0);
        sd_bus_message_unref(reply);
        ck_assert_str_eq(ask(other, CONTAINERS, "GetConnectionInstance", "s", "org.see", NULL),
                         BUS ".Error.NotContainer");
        ck_assert_str_eq(ask(other, CONTAINERS, "GetInstanceInfo", "o", "/none", NULL),
                         BUS ".Error.NotContainer");
        sd_bus_flush_close_unref(inside);
}
END_TEST

START_TEST(credentials_name_the_container)
{
        sd_bus_message *reply;
        const char *unique, *key;
        sd_bus *inside;
        bool found = false;

        add_container("AddServer", NULL);
        inside = connect_to(door);
        sd_bus_get_unique_name(inside, &unique);
        ck_assert_int_ge(sd_bus_call_method(other, TO_BUS, "GetConnectionCredentials", NULL, &reply,
                                            "s", unique), 0);
        sd_bus_message_enter_container(reply, 'a', "{sv}");
        while (sd_bus_message_enter_container(reply, 'e', "sv") > 0) {
                sd_bus_message_read(reply, "s", &key);
                if (strcmp(key, CONTAINERS ".Instance") == 0) {
                        const char *path;

                        ck_assert_int_ge(sd_bus_message_read(reply, "v", "o", &path), 0);
                        ck_assert_str_eq(path, instance);
                        found = true;
                } else {
                        sd_bus_message_skip(reply, "v");
                }
                sd_bus_message_exit_container(reply);
        }
        ck_assert(found);
        sd_bus_message_unref(reply);
        sd_bus_flush_close_unref(inside);
}
END_TEST

START_TEST(a_container_without_rules_is_kept_to_nothing_but_has_no_privilege)
{
        sd_bus *inside;

        add_container("AddServer", NULL);
        inside = connect_to(door);
        ck_assert(lists(inside, "org.hidden"));
        ck_assert_str_eq(call_out(inside, "org.hidden", "Do", other), "");
        ck_assert_str_eq(ask(inside, BUS, "RequestName", "su", "org.any", NULL), "");
        ck_assert_str_eq(ask(inside, BUS ".Debug.Stats", "GetStats", "", NULL, NULL), ACCESS_DENIED);
        ck_assert_str_eq(ask(inside, CONTAINERS, "StopInstance", "o", instance, NULL), ACCESS_DENIED);
        sd_bus_flush_close_unref(inside);
}
END_TEST

START_TEST(what_no_rule_names_is_hidden)
{
        sd_bus *inside;

        add_container("AddContainerServer", rules);
        inside = connect_to(door);
        ck_assert(lists(inside, "org.see") && lists(inside, "org.talk.A") && lists(inside, "org.call"));
        ck_assert(!lists(inside, "org.hidden"));
        ck_assert_str_eq(ask(inside, BUS, "GetNameOwner", "s", "org.see", NULL), "");
        ck_assert_str_eq(ask(inside, BUS, "GetNameOwner", "s", "org.hidden", NULL),
                         BUS ".Error.NameHasNoOwner");
        ck_assert_str_eq(call_out(inside, "org.hidden", "Do", other), UNKNOWN);
        ck_assert_str_eq(ask(inside, BUS, "StartServiceByName", "su", "org.hidden", NULL), UNKNOWN);
        sd_bus_flush_close_unref(inside);
}
END_TEST

START_TEST(messages_go_where_rules_let_them)
{
        sd_bus *inside;

        add_container("AddContainerServer", rules);
        inside = connect_to(door);
        ck_assert_str_eq(call_out(inside, "org.talk.A", "Do", service), "");
        ck_assert_str_eq(call_out(inside, "org.see", "Do", other), ACCESS_DENIED);
        ck_assert_str_eq(call_out(inside, "org.call", "Do", other), "");
        ck_assert_str_eq(call_out(inside, "org.call", "Other", other), ACCESS_DENIED);
        ck_assert_str_eq(ask(inside, BUS, "RequestName", "su", "org.mine", NULL), "");
        ck_assert_str_eq(ask(inside, BUS, "RequestName", "su", "org.talk.B", NULL), ACCESS_DENIED);
        sd_bus_flush_close_unref(inside);
}
END_TEST

/* --- what goes over the wire ----------------------------------------------------------------- */

/* Carries bytes between a client and the bus, and keeps what the bus sent. */
struct wire {
        int client, bus;
        pthread_t thread;
        uint8_t heard[8 << 20];
        _Atomic size_t n; /* of them are whole */
};

static void *carry(void *arg)
{
        struct wire *wire = arg;
        struct pollfd fds[] = { { wire->client, POLLIN, 0 }, { wire->bus, POLLIN, 0 } };
        uint8_t buf[4096];
        ssize_t n;

        while (poll(fds, 2, -1) > 0) {
                if (fds[1].revents) {
                        uint8_t *at = wire->heard + wire->n;

                        n = read(wire->bus, at, sizeof(wire->heard) - wire->n);
                        if (n <= 0)
                                break;
                        wire->n += n; /* before anybody can know of it */
                        if (write(wire->client, at, n) != n)
                                break;
                }
                if (fds[0].revents) {
                        n = read(wire->client, buf, sizeof(buf));
                        if (n <= 0 || write(wire->bus, buf, n) != n)
                                break;
                }
        }
        return NULL;
}

static sd_bus *connect_by(struct wire *wire)
{
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        const char *unique;
        sd_bus *bus;
        int pair[2];

        ck_assert_int_eq(sscanf(address, "unix:path=%107[^,]", to.sun_path), 1);
        wire->n = 0;
        wire->bus = socket(AF_UNIX, SOCK_STREAM, 0);
        ck_assert_int_eq(connect(wire->bus, (struct sockaddr *)&to, sizeof(to)), 0);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        wire->client = pair[0];
        ck_assert_int_eq(pthread_create(&wire->thread, NULL, carry, wire), 0);
        ck_assert_int_ge(sd_bus_new(&bus), 0);
        ck_assert_int_ge(sd_bus_set_fd(bus, pair[1], pair[1]), 0);
        ck_assert_int_ge(sd_bus_set_bus_client(bus, 1), 0);
        ck_assert_int_ge(sd_bus_start(bus), 0);
        ck_assert_int_ge(sd_bus_get_unique_name(bus, &unique), 0);
        return bus;
}

static void hang_up(sd_bus *bus, struct wire *wire)
{
        sd_bus_flush_close_unref(bus);
        pthread_join(wire->thread, NULL);
        close(wire->client);
        close(wire->bus);
}

/* Has CONTAINER_INSTANCE=@path come, since? Looked for once all that was sent has been received. */
static bool has_come(const struct wire *wire, const char *path)
{
        uint8_t field[256] = { 10, 1, 'o', 0 };
        uint32_t n = strlen(path);

        memcpy(field + 4, &n, 4);
        memcpy(field + 8, path, n + 1);
        return memmem(wire->heard, wire->n, field, path[0] ? n + 9 : 4);
}

static void emit_to(sd_bus *from, sd_bus *const *to)
{
        static char text[2 << 20]; /* more than a socket takes at once */

        memset(text, 'x', sizeof(text) - 1);
        sd_bus_emit_signal(from, "/o", "org.I", "Sig", "s", text);
        sd_bus_flush(from);
        for (; *to; to++) {
                ck_assert_str_eq(next_member(*to, SD_BUS_MESSAGE_SIGNAL, 5000), "Sig");
                ck_assert_str_eq(ask(*to, BUS, "GetId", "", NULL, NULL), "");
        }
}

START_TEST(who_asks_hears_where_messages_come_from_and_nobody_else)
{
        static struct wire by_asking, by_plain;
        sd_bus *inside, *asking = connect_by(&by_asking), *plain = connect_by(&by_plain);
        sd_bus *const both[] = { asking, plain, NULL };

        add_container("AddServer", NULL);
        inside = connect_to(door);
        ask(asking, BUS, "AddMatch", "s", "interface='org.I'", NULL);
        ask(plain, BUS, "AddMatch", "s", "interface='org.I'", NULL);
        emit_to(inside, both);
        ck_assert(!has_come(&by_asking, "") && !has_come(&by_plain, ""));
        ck_assert_str_eq(ask(asking, CONTAINERS, "RequestHeader", "", NULL, NULL), "");
        emit_to(inside, both);
        ck_assert(has_come(&by_asking, instance));
        emit_to(creator, both);
        ck_assert(has_come(&by_asking, "/")); /* the bus's own answers say so, too */
        ck_assert(!has_come(&by_plain, ""));
        sd_bus_flush_close_unref(inside);
        hang_up(asking, &by_asking);
        hang_up(plain, &by_plain);
}
END_TEST

START_TEST(broadcasts_come_from_whom_rules_name)
{
        sd_bus *inside;

        add_container("AddContainerServer", rules);
        inside = connect_to(door);
        ck_assert_str_eq(ask(inside, BUS, "AddMatch", "s", "interface='org.I'", NULL), "");
        sd_bus_emit_signal(other, "/o", "org.I", "Other", "");
        sd_bus_emit_signal(other, "/o", "org.I", "Sig", "");
        sd_bus_flush(other);
        ck_assert_str_eq(next_member(inside, SD_BUS_MESSAGE_SIGNAL, 1000), "Sig");
        sd_bus_emit_signal(creator, "/o", "org.I", "Hidden", "");
        sd_bus_flush(creator);
        sd_bus_emit_signal(service, "/o", "org.I", "Talk", "");
        sd_bus_flush(service);
        ck_assert_str_eq(next_member(inside, SD_BUS_MESSAGE_SIGNAL, 1000), "Talk");
        sd_bus_flush_close_unref(inside);
}
END_TEST

START_TEST(names_come_and_go_unseen_unless_a_rule_shows_them)
{
        sd_bus_message *m = NULL;
        const char *name;
        sd_bus *inside;

        add_container("AddContainerServer", rules);
        inside = connect_to(door);
        ck_assert_str_eq(ask(inside, BUS, "AddMatch", "s", "member='NameOwnerChanged'", NULL), "");
        own(creator, "org.hidden.B");
        own(creator, "org.talk.B");
        while (!m) {
                ck_assert_int_ge(sd_bus_process(inside, &m), 0);
                if (!m)
                        ck_assert_int_gt(sd_bus_wait(inside, 1000000), 0);
                else if (!sd_bus_message_is_signal(m, BUS, "NameOwnerChanged"))
                        m = sd_bus_message_unref(m);
        }
        ck_assert_int_ge(sd_bus_message_read(m, "s", &name), 0);
        ck_assert_str_eq(name, "org.talk.B");
        sd_bus_message_unref(m);
        sd_bus_flush_close_unref(inside);
}
END_TEST

START_TEST(rules_are_replaced_live)
{
        sd_bus *inside;

        add_container("AddContainerServer", rules);
        inside = connect_to(door);
        ck_assert_str_eq(call_out(inside, "org.talk.A", "Do", service), "");
        ck_assert_str_eq(ask(inside, CONTAINERS, "SetRules", "oas", instance, "talk=org.hidden"),
                         ACCESS_DENIED);
        ck_assert_str_eq(ask(creator, CONTAINERS, "SetRules", "oas", instance, "no rule"),
                         BUS ".Error.InvalidArgs");
        ck_assert_str_eq(ask(creator, CONTAINERS, "SetRules", "oas", instance, "talk=org.hidden"), "");
        ck_assert_str_eq(call_out(inside, "org.talk.A", "Do", service), UNKNOWN);
        ck_assert_str_eq(call_out(inside, "org.hidden", "Do", other), "");
        sd_bus_flush_close_unref(inside);
}
END_TEST

START_TEST(a_door_is_closed_when_its_creator_says_so_or_goes)
{
        struct stat st;
        sd_bus *inside;

        add_container("AddServer", NULL);
        inside = connect_to(door);
        ck_assert_str_eq(ask(inside, BUS, "GetId", "", NULL, NULL), "");
        ck_assert_str_eq(ask(other, CONTAINERS, "StopListening", "o", instance, NULL), "");
        ck_assert_str_eq(ask(other, BUS, "GetId", "", NULL, NULL), "");
        door[strcspn(door, ",")] = 0;
        ck_assert_int_lt(stat(strchr(door, '=') + 1, &st), 0);
        ck_assert_str_eq(ask(inside, BUS, "GetId", "", NULL, NULL), "");
        ck_assert_str_eq(ask(other, BUS, "AddMatch", "s", "member='InstanceRemoved'", NULL), "");
        sd_bus_flush_close_unref(inside);
        ck_assert_str_eq(next_member(other, SD_BUS_MESSAGE_SIGNAL, 1000), "InstanceRemoved");
        ck_assert_str_eq(ask(other, CONTAINERS, "GetInstanceInfo", "o", instance, NULL),
                         BUS ".Error.NotContainer");
        add_container("AddServer", NULL);
        sd_bus_flush_close_unref(creator);
        ck_assert_str_eq(next_member(other, SD_BUS_MESSAGE_SIGNAL, 1000), "InstanceRemoved");
        creator = connect_to(address);
        ck_assert_ptr_null(try_to_connect(door));
}
END_TEST

START_TEST(stopping_throws_out_who_is_in)
{
        sd_bus *inside;

        add_container("AddServer", NULL);
        inside = connect_to(door);
        ck_assert_str_eq(ask(inside, BUS, "GetId", "", NULL, NULL), "");
        ck_assert_str_eq(ask(other, BUS, "AddMatch", "s", "member='InstanceRemoved'", NULL), "");
        ck_assert_str_eq(ask(creator, CONTAINERS, "StopInstance", "o", instance, NULL), "");
        ck_assert_str_eq(next_member(other, SD_BUS_MESSAGE_SIGNAL, 1000), "InstanceRemoved");
        while (sd_bus_process(inside, NULL) > 0 || sd_bus_wait(inside, 100000) > 0)
                ;
        ck_assert(!sd_bus_is_open(inside));
        sd_bus_unref(inside);
}
END_TEST

START_TEST(there_is_room_for_so_many)
{
        sd_bus *first, *second;

        add_container("AddServer", NULL);
        first = connect_to(door);
        second = connect_to(door);
        ck_assert_ptr_null(try_to_connect(door));
        sd_bus_flush_close_unref(first);
        ck_assert_str_eq(ask(creator, BUS, "GetId", "", NULL, NULL), "");
        first = connect_to(door);
        sd_bus_flush_close_unref(first);
        sd_bus_flush_close_unref(second);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("containers");
        TCase *tcase = tcase_create("containers");

        if (!getenv("BUS_UNDER_TEST"))
                return 77;
        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, who_comes_by_the_door_is_known_by_it);
        tcase_add_test(tcase, credentials_name_the_container);
        tcase_add_test(tcase, a_container_without_rules_is_kept_to_nothing_but_has_no_privilege);
        tcase_add_test(tcase, what_no_rule_names_is_hidden);
        tcase_add_test(tcase, messages_go_where_rules_let_them);
        tcase_add_test(tcase, broadcasts_come_from_whom_rules_name);
        tcase_add_test(tcase, who_asks_hears_where_messages_come_from_and_nobody_else);
        tcase_add_test(tcase, names_come_and_go_unseen_unless_a_rule_shows_them);
        tcase_add_test(tcase, rules_are_replaced_live);
        tcase_add_test(tcase, a_door_is_closed_when_its_creator_says_so_or_goes);
        tcase_add_test(tcase, stopping_throws_out_who_is_in);
        tcase_add_test(tcase, there_is_room_for_so_many);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
