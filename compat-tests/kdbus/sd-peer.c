/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One side of a conversation through sd-bus, whatever version of the library it is started with
 * and whichever bus the address leads to:
 *
 *      sd-peer serve ADDRESS NAME       owns NAME and answers, until it is told to end
 *      sd-peer check ADDRESS NAME       calls who owns NAME, and says what was not as it should be
 *
 * Only what sd-bus has had since its first public version is used.
 */

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"

#define PATH      "/org/example/Peer"
#define INTERFACE "org.example.Peer"
#define BIG       (1024 * 1024)

/* --- serve --- */

static uint32_t level = 1;

static int on_echo(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *s;
        int r = sd_bus_message_read(m, "s", &s);

        return r < 0 ? r : sd_bus_reply_method_return(m, "s", s);
}

/* whatever it is, it comes back */
static int on_mirror(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(m, &reply);

        if (r >= 0)
                r = sd_bus_message_copy(reply, m, 1);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r;
}

static int on_nothing(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return sd_bus_reply_method_return(m, NULL);
}

static int on_fail(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return sd_bus_reply_method_errorf(m, "org.example.Error.Wanted", "as you wished");
}

/* writes into the descriptor that came, and gives one to read from */
static int on_swap_fds(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        int fd, ends[2], r;

        r = sd_bus_message_read(m, "h", &fd);
        if (r < 0)
                return r;
        if (write(fd, "there", 5) != 5 || pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        r = write(ends[1], "back", 4) == 4 ? sd_bus_reply_method_return(m, "h", ends[0]) : -errno;
        close(ends[0]);
        close(ends[1]);
        return r;
}

static int on_who(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        pid_t pid = 0;
        uid_t uid = -1;
        int r;

        r = sd_bus_query_sender_creds(m, SD_BUS_CREDS_PID | SD_BUS_CREDS_EUID | SD_BUS_CREDS_AUGMENT,
                                      &creds);
        if (r < 0)
                return r;
        (void)sd_bus_creds_get_pid(creds, &pid);
        (void)sd_bus_creds_get_euid(creds, &uid);
        return sd_bus_reply_method_return(m, "uus", (uint32_t)pid, (uint32_t)uid,
                                          sd_bus_message_get_sender(m));
}

static int on_tell(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        sd_bus *bus = sd_bus_message_get_bus(m);
        const char *s;
        int r = sd_bus_message_read(m, "s", &s);

        if (r >= 0)
                r = sd_bus_emit_signal(bus, PATH, INTERFACE, "Told", "ss", s, "more");
        level++;
        if (r >= 0)
                r = sd_bus_emit_signal(bus, PATH, "org.freedesktop.DBus.Properties",
                                       "PropertiesChanged", "sa{sv}as", INTERFACE, 1, "Level", "u",
                                       level, 0);
        return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int on_silence(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return 1; /* never an answer */
}

static int on_end(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _exit(EXIT_SUCCESS);
}

static int on_get(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return sd_bus_reply_method_return(m, "v", "u", level);
}

static int on_set(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *interface, *property;
        int r = sd_bus_message_read(m, "ssv", &interface, &property, "u", &level);

        return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

/* not a vtable: its layout is another in each version's header */
static const struct {
        const char *member, *signature;
        sd_bus_message_handler_t handler;
} methods[] = {
        {"Echo", "s", on_echo},
        {"Basics", "ybnqiuxtdsog", on_mirror},
        {"Struct", "(su)", on_mirror},
        {"Pair", "su", on_mirror},
        {"Fixed", "ty", on_mirror},
        {"Dictionary", "a{sv}", on_mirror},
        {"Nested", "v(a(sas)ay)aay", on_mirror},
        {"Bytes", "ay", on_mirror},
        {"Nothing", "", on_nothing},
        {"Fail", "", on_fail},
        {"SwapFds", "h", on_swap_fds},
        {"Who", "", on_who},
        {"Tell", "s", on_tell},
        {"Silence", "", on_silence},
        {"End", "", on_end},
        {"Get", "ss", on_get},
        {"Set", "ssv", on_set},
};

static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *member = sd_bus_message_get_member(m);

        for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
                if (strcmp(methods[i].member, member) != 0)
                        continue;
                if (sd_bus_message_has_signature(m, methods[i].signature))
                        return methods[i].handler(m, userdata, error);
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_INVALID_ARGS, "came with \"%s\"",
                                                  sd_bus_message_get_signature(m, 1));
        }
        return 0;
}

static int serve(sd_bus *bus, const char *name)
{
        int r = sd_bus_add_object(bus, NULL, PATH, on_call, NULL);

        if (r >= 0)
                r = sd_bus_request_name(bus, name, 0);
        if (r >= 0) {
                puts("serving");
                fflush(stdout);
        }
        while (r >= 0) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
        }
        fprintf(stderr, "serve: %s\n", strerror(-r));
        return EXIT_FAILURE;
}

/* --- check --- */

static sd_bus *bus;
static const char *peer;
static unsigned n_failed;

static bool expect(bool yes, const char *what, const char *why)
{
        if (!yes) {
                printf("FAIL %s: %s\n", what, why);
                n_failed++;
        }
        return yes;
}

/* a call whose answer is to be @types, or NULL after a complaint */
static sd_bus_message *ask(sd_bus_message *call, const char *types)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        char what[64];
        sd_bus_message *reply = NULL;
        int r;

        snprintf(what, sizeof(what), "%s", sd_bus_message_get_member(call));
        r = sd_bus_call(bus, call, 5000000, &error, &reply);
        sd_bus_message_unref(call);
        if (!expect(r >= 0, what, error.message ? error.message : strerror(-r)))
                return NULL;
        if (!expect(sd_bus_message_has_signature(reply, types), what,
                    sd_bus_message_get_signature(reply, 1)))
                return sd_bus_message_unref(reply);
        return reply;
}

static sd_bus_message *call_new(const char *member)
{
        sd_bus_message *m = NULL;

        if (!expect(sd_bus_message_new_method_call(bus, &m, peer, PATH, INTERFACE, member) >= 0,
                    member, "no memory"))
                exit(EXIT_FAILURE);
        return m;
}

static void check_echo(void)
{
        sd_bus_message *m = call_new("Echo");
        const char *s = "";

        sd_bus_message_append(m, "s", "gr\xc3\xbc\xc3\x9f dich");
        m = ask(m, "s");
        if (m) {
                expect(sd_bus_message_read(m, "s", &s) >= 0 && !strcmp(s, "gr\xc3\xbc\xc3\x9f dich"),
                       "Echo", s);
                sd_bus_message_unref(m);
        }
}

/* @m: called with @types, which come back */
static void check_mirror(const char *types, sd_bus_message *m)
{
        sd_bus_message *copy = call_new("Mirror");

        m = ask(m, types);
        /* copying reads every value, so that a malformed one shows */
        if (m)
                expect(sd_bus_message_copy(copy, m, 1) >= 0, types, "the answer cannot be read");
        sd_bus_message_unref(copy);
        sd_bus_message_unref(m);
}

static void check_containers(void)
{
        sd_bus_message *m;

        m = call_new("Dictionary");
        sd_bus_message_append(m, "a{sv}", 3, "a", "s", "x", "b", "u", 7, "c", "(ibi)", 5, 1, 6);
        check_mirror("a{sv}", m);
        m = call_new("Dictionary");
        sd_bus_message_append(m, "a{sv}", 0);
        check_mirror("a{sv}", m);
        m = call_new("Nested");
        sd_bus_message_append(m, "v(a(sas)ay)aay", "v", "x", (int64_t)3, 2, "k", 2, "l", "m", "n", 0, 3,
                              1, 2, 3, 2, 0, 1, 9);
        check_mirror("v(a(sas)ay)aay", m);
}

static void check_basics(void)
{
        sd_bus_message *m = call_new("Basics");
        const char *s, *o, *g;
        uint8_t y;
        int b;
        int16_t n;
        uint16_t q;
        int32_t i;
        uint32_t u;
        int64_t x;
        uint64_t t;
        double d;
        int r;

        sd_bus_message_append(m, "ybnqiuxtdsog", 7, 1, -3, 65535, -70000, 4000000000U,
                              (int64_t)-5000000000LL, UINT64_MAX, 0.5, "", "/a/b", "a{s(iv)}");
        m = ask(m, "ybnqiuxtdsog");
        if (!m)
                return;
        r = sd_bus_message_read(m, "ybnqiuxtdsog", &y, &b, &n, &q, &i, &u, &x, &t, &d, &s, &o, &g);
        expect(r >= 0 && y == 7 && b == 1 && n == -3 && q == 65535 && i == -70000 &&
                       u == 4000000000U && x == -5000000000LL && t == UINT64_MAX && d == 0.5 && !*s &&
                       !strcmp(o, "/a/b") && !strcmp(g, "a{s(iv)}"),
               "Basics", "a value changed");
        sd_bus_message_unref(m);
}

static void check_struct(const char *member, const char *types)
{
        sd_bus_message *m = call_new(member);
        const char *s = "";
        uint32_t u = 0;

        sd_bus_message_append(m, types, "text", 77);
        m = ask(m, types);
        if (m) {
                expect(sd_bus_message_read(m, types, &s, &u) >= 0 && !strcmp(s, "text") && u == 77,
                       member, "a value changed");
                sd_bus_message_unref(m);
        }
}

/* of a size that needs padding to its end */
static void check_fixed(void)
{
        sd_bus_message *m = call_new("Fixed");
        uint64_t t = 0;
        uint8_t y = 0;

        sd_bus_message_append(m, "ty", (uint64_t)5, 6);
        m = ask(m, "ty");
        if (m)
                expect(sd_bus_message_read(m, "ty", &t, &y) >= 0 && t == 5 && y == 6, "Fixed",
                       "a value changed");
        sd_bus_message_unref(m);
}

static void check_bytes(size_t n)
{
        sd_bus_message *m = call_new("Bytes");
        const void *back;
        uint8_t *data;
        size_t n_back;

        if (expect(sd_bus_message_append_array_space(m, 'y', n, (void **)&data) >= 0, "Bytes", "space"))
                for (size_t i = 0; i < n; i++)
                        data[i] = i * 7;
        m = ask(m, "ay");
        if (!m)
                return;
        if (expect(sd_bus_message_read_array(m, 'y', &back, &n_back) >= 0 && n_back == n, "Bytes",
                   "not as many"))
                for (size_t i = 0; i < n; i++)
                        if (!expect(((const uint8_t *)back)[i] == (uint8_t)(i * 7), "Bytes", "changed"))
                                break;
        sd_bus_message_unref(m);
}

static void check_nothing(void)
{
        sd_bus_message_unref(ask(call_new("Nothing"), ""));
}

static void check_fail(void)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = sd_bus_call_method(bus, peer, PATH, INTERFACE, "Fail", &error, NULL, NULL);

        expect(r < 0 && sd_bus_error_has_name(&error, "org.example.Error.Wanted") &&
                       !strcmp(error.message, "as you wished"),
               "Fail", error.name ? error.name : "no error");
        sd_bus_error_free(&error);
        r = sd_bus_call_method(bus, peer, PATH, INTERFACE, "Unheard", &error, NULL, NULL);
        expect(r < 0 && sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_METHOD), "Unheard",
               error.name ? error.name : "no error");
        sd_bus_error_free(&error);
        r = sd_bus_call_method(bus, "org.example.Nobody", PATH, INTERFACE, "Echo", &error, NULL, NULL);
        expect(r < 0 && sd_bus_error_has_name(&error, SD_BUS_ERROR_SERVICE_UNKNOWN), "Nobody",
               error.name ? error.name : "no error");
}

static void check_fds(void)
{
        sd_bus_message *m = call_new("SwapFds");
        char text[8] = "";
        int ends[2], fd;

        if (!expect(pipe2(ends, O_CLOEXEC) >= 0, "SwapFds", "pipe"))
                return;
        sd_bus_message_append(m, "h", ends[1]);
        m = ask(m, "h");
        if (m) {
                expect(read(ends[0], text, sizeof(text)) == 5 && !memcmp(text, "there", 5), "SwapFds",
                       "nothing was written");
                expect(sd_bus_message_read(m, "h", &fd) >= 0 && read(fd, text, sizeof(text)) == 4 &&
                               !memcmp(text, "back", 4),
                       "SwapFds", "nothing to read");
                sd_bus_message_unref(m);
        }
        close(ends[0]);
        close(ends[1]);
}

static void check_who(void)
{
        sd_bus_message *m = ask(call_new("Who"), "uus");
        const char *name, *mine = "";
        uint32_t pid, uid;

        if (!m)
                return;
        (void)sd_bus_get_unique_name(bus, &mine);
        if (expect(sd_bus_message_read(m, "uus", &pid, &uid, &name) >= 0, "Who", "unreadable")) {
                expect(pid == (uint32_t)getpid(), "Who", "pid");
                expect(uid == geteuid(), "Who", "uid");
                expect(strcmp(name, mine) == 0, "Who", name);
        }
        sd_bus_message_unref(m);
}

/* --- signals --- */

struct heard {
        unsigned told, wrong, properties;
        bool gone, appeared;
};

static int on_told(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct heard *h = userdata;
        const char *a = "", *b = "";

        if (sd_bus_message_read(m, "ss", &a, &b) < 0 || strcmp(a, "wanted") || strcmp(b, "more"))
                h->wrong++;
        else
                h->told++;
        return 0;
}

static int on_properties(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct heard *h = userdata;
        const char *interface, *property;
        uint32_t value;

        if (sd_bus_message_read(m, "s", &interface) >= 0 && sd_bus_message_enter_container(m, 'a', "{sv}") > 0 &&
            sd_bus_message_enter_container(m, 'e', "sv") > 0 &&
            sd_bus_message_read(m, "sv", &property, "u", &value) >= 0 && !strcmp(property, "Level"))
                h->properties++;
        return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct heard *h = userdata;
        const char *name, *from, *into;

        if (sd_bus_message_read(m, "sss", &name, &from, &into) < 0)
                h->wrong++;
        else if (!strcmp(name, peer) && *from && !*into)
                h->gone = true;
        else if (!strcmp(name, "org.example.Flicker") && !*from && *into)
                h->appeared = true;
        return 0;
}

static void process_for(int ms, bool (*enough)(struct heard *), struct heard *h)
{
        for (int i = 0; i < ms / 10 && !enough(h); i++) {
                int r;

                while ((r = sd_bus_process(bus, NULL)) > 0)
                        ;
                if (!expect(r >= 0, "process", strerror(-r)))
                        return;
                (void)sd_bus_wait(bus, 10000);
        }
}

static bool heard_all(struct heard *h)
{
        return h->told && h->properties >= 2;
}

static bool saw_end(struct heard *h)
{
        return h->gone;
}

static bool saw_start(struct heard *h)
{
        return h->appeared;
}

static void check_signals(struct heard *h)
{
        char text[128];

        snprintf(text, sizeof(text), "type='signal',sender='%s',interface='" INTERFACE
                 "',member='Told',arg0='wanted'", peer);
        expect(sd_bus_add_match(bus, NULL, text, on_told, h) >= 0, "match", text);
        snprintf(text, sizeof(text), "type='signal',interface='org.freedesktop.DBus.Properties',"
                 "path='" PATH "'");
        expect(sd_bus_add_match(bus, NULL, text, on_properties, h) >= 0, "match", text);
        for (int i = 0; i < 2; i++) {
                sd_bus_message *m = call_new("Tell");

                sd_bus_message_append(m, "s", i ? "wanted" : "unwanted");
                sd_bus_message_unref(ask(m, ""));
        }
        process_for(3000, heard_all, h);
        expect(h->told == 1, "signal", "Told was not heard once");
        expect(h->properties >= 2, "signal", "PropertiesChanged was not heard twice");
        expect(h->wrong == 0, "signal", "one was heard that was not asked for");
}

static void check_properties(void)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        uint32_t value = 0;
        int r;

        r = sd_bus_set_property(bus, peer, PATH, INTERFACE, "Level", &error, "u", 41);
        expect(r >= 0, "Set", error.message ? error.message : strerror(-r));
        sd_bus_error_free(&error);
        r = sd_bus_get_property_trivial(bus, peer, PATH, INTERFACE, "Level", &error, 'u', &value);
        expect(r >= 0 && value == 41, "Get", error.message ? error.message : "another value");
}

static void check_names(struct heard *h)
{
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        const char *unique = "";
        char **acquired = NULL, **activatable = NULL;
        bool listed = false;

        expect(sd_bus_get_name_creds(bus, peer, SD_BUS_CREDS_UNIQUE_NAME | SD_BUS_CREDS_PID, &creds) >= 0 &&
                       sd_bus_creds_get_unique_name(creds, &unique) >= 0 && unique[0] == ':',
               "GetNameOwner", peer);
        expect(sd_bus_list_names(bus, &acquired, &activatable) >= 0, "ListNames", "failed");
        for (char **n = acquired; n && *n; n++) {
                listed = listed || strcmp(*n, peer) == 0;
                free(*n);
        }
        for (char **n = activatable; n && *n; n++)
                free(*n);
        free(acquired);
        free(activatable);
        expect(listed, "ListNames", "the service is not listed");
        expect(sd_bus_add_match(bus, NULL,
                                "type='signal',sender='org.freedesktop.DBus',"
                                "path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',"
                                "member='NameOwnerChanged'",
                                on_owner, h) >= 0,
               "match", "NameOwnerChanged");
        expect(sd_bus_request_name(bus, peer, 0) == -EEXIST, "RequestName", "of another's name");
        expect(sd_bus_request_name(bus, "org.example.Flicker", 0) >= 0, "RequestName", "of a free one");
        process_for(3000, saw_start, h);
        expect(h->appeared, "NameOwnerChanged", "was not heard of an own name");
        expect(sd_bus_release_name(bus, "org.example.Flicker") >= 0, "ReleaseName", "failed");
}

static int on_silenced(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        *(bool *)userdata = sd_bus_message_is_method_error(m, SD_BUS_ERROR_NO_REPLY);
        return 0;
}

/* the service ends: who waits for it is told, and who listens */
static void check_death(struct heard *h)
{
        sd_bus_message *end;
        bool told = false;

        expect(sd_bus_call_method_async(bus, NULL, peer, PATH, INTERFACE, "Silence", on_silenced, &told,
                                        NULL) >= 0, "Silence", "cannot call");
        end = call_new("End");
        expect(sd_bus_message_set_expect_reply(end, 0) >= 0 && sd_bus_send(bus, end, NULL) >= 0, "End",
               "cannot call");
        sd_bus_message_unref(end);
        (void)sd_bus_flush(bus);
        process_for(3000, saw_end, h);
        expect(h->gone, "NameOwnerChanged", "was not heard when the service died");
        for (int i = 0; i < 100 && !told; i++) {
                while (sd_bus_process(bus, NULL) > 0)
                        ;
                (void)sd_bus_wait(bus, 10000);
        }
        expect(told, "Silence", "the caller was not told of the end");
}

static int check(void)
{
        struct heard h = {};

        check_echo();
        check_nothing();
        check_basics();
        check_struct("Struct", "(su)");
        check_struct("Pair", "su");
        check_fixed();
        check_containers();
        check_bytes(0);
        check_bytes(100000);
        check_bytes(BIG);
        check_fail();
        check_fds();
        check_who();
        check_names(&h);
        check_signals(&h);
        check_properties();
        check_death(&h);
        if (!n_failed)
                puts("ok");
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
        int r;

        if (argc != 4) {
                fprintf(stderr, "Usage: %s serve|check ADDRESS NAME\n", argv[0]);
                return 2;
        }
        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, argv[2]);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, 1);
        if (r >= 0)
                r = sd_bus_negotiate_fds(bus, 1);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0) {
                printf("FAIL connect: %s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        peer = argv[3];
        if (strcmp(argv[1], "serve") == 0)
                return serve(bus, argv[3]);
        return check();
}
