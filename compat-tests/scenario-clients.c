/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Clients: sd-bus, a library that was not written for this suite, on the bus under test.
 */

#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "compat-tests/client.h"
#include "compat-tests/scenario.h"

#define N  "com.example.Name"
#define OK(call) ck_assert_int_ge((call), 0)

static sd_bus *open_bus(struct bus *bus)
{
        sd_bus *b = NULL;

        OK(sd_bus_new(&b));
        OK(sd_bus_set_address(b, bus->address));
        OK(sd_bus_set_bus_client(b, 1));
        OK(sd_bus_negotiate_fds(b, 1));
        OK(sd_bus_start(b));
        return b;
}

static int answer(sd_bus_message *m, void *data, sd_bus_error *error)
{
        const char *text;
        int fd;

        if (sd_bus_message_is_method_call(m, N, "Echo")) {
                OK(sd_bus_message_read(m, "s", &text));
                return sd_bus_reply_method_return(m, "s", text);
        }
        if (sd_bus_message_is_method_call(m, N, "Length")) {
                OK(sd_bus_message_read(m, "s", &text));
                return sd_bus_reply_method_return(m, "t", (uint64_t)strlen(text));
        }
        if (sd_bus_message_is_method_call(m, N, "Descriptor")) {
                OK(sd_bus_message_read(m, "h", &fd));
                return sd_bus_reply_method_return(m, "h", fd);
        }
        return sd_bus_error_set(error, "com.example.Bad", "no such thing");
}

static int count_one(sd_bus_message *m, void *data, sd_bus_error *error)
{
        ++*(int *)data;
        return 0;
}

static sd_bus *open_service(struct bus *bus)
{
        sd_bus *b = open_bus(bus);

        OK(sd_bus_request_name(b, N, 0));
        OK(sd_bus_add_object(b, NULL, "/", answer, NULL));
        return b;
}

/* turn() - let both sides do what there is to do until the flag is up */
static void turn(sd_bus *a, sd_bus *b, const int *flag)
{
        int i, left = client_timeout();

        for (i = 0; i < left && !*flag; i++) {
                while (sd_bus_process(b, NULL) > 0)
                        ;
                while (sd_bus_process(a, NULL) > 0)
                        ;
                if (!*flag)
                        sd_bus_wait(b, 1000);
        }
        ck_assert_int_ne(*flag, 0);
}

struct result {
        sd_bus_message *reply;
        int done;
};

static int keep(sd_bus_message *m, void *data, sd_bus_error *error)
{
        struct result *r = data;

        r->reply = sd_bus_message_ref(m);
        r->done = 1;
        return 0;
}

static void echo(struct bus *bus)
{
        sd_bus *a = open_bus(bus), *b = open_service(bus);
        struct result r = {};
        const char *text;

        OK(sd_bus_call_method_async(a, NULL, N, "/", N, "Echo", keep, &r, "s", "hello"));
        turn(a, b, &r.done);
        OK(sd_bus_message_read(r.reply, "s", &text));
        ck_assert_str_eq(text, "hello");
        sd_bus_message_unref(r.reply);
        sd_bus_flush_close_unref(a);
        sd_bus_flush_close_unref(b);
}

static void failing(struct bus *bus)
{
        sd_bus *a = open_bus(bus), *b = open_service(bus);
        struct result r = {};

        OK(sd_bus_call_method_async(a, NULL, N, "/", N, "Nonsense", keep, &r, NULL));
        turn(a, b, &r.done);
        ck_assert_int_eq(sd_bus_message_is_method_error(r.reply, "com.example.Bad"), 1);
        sd_bus_message_unref(r.reply);
        sd_bus_flush_close_unref(a);
        sd_bus_flush_close_unref(b);
}

static void large(struct bus *bus)
{
        sd_bus *a = open_bus(bus), *b = open_service(bus);
        struct result r = {};
        size_t n = 5000000;
        char *text = malloc(n + 1);
        uint64_t length;

        memset(text, 'x', n);
        text[n] = 0;
        OK(sd_bus_call_method_async(a, NULL, N, "/", N, "Length", keep, &r, "s", text));
        turn(a, b, &r.done);
        OK(sd_bus_message_read(r.reply, "t", &length));
        ck_assert_uint_eq(length, n);
        sd_bus_message_unref(r.reply);
        sd_bus_flush_close_unref(a);
        sd_bus_flush_close_unref(b);
        free(text);
}

static void descriptor(struct bus *bus)
{
        sd_bus *a = open_bus(bus), *b = open_service(bus);
        struct result r = {};
        char text[8] = {};
        int p[2], fd;

        ck_assert_int_eq(pipe(p), 0);
        OK(sd_bus_call_method_async(a, NULL, N, "/", N, "Descriptor", keep, &r, "h", p[1]));
        turn(a, b, &r.done);
        OK(sd_bus_message_read(r.reply, "h", &fd));
        ck_assert_int_eq(write(fd, "through", 7), 7);
        ck_assert_int_eq(read(p[0], text, 7), 7);
        ck_assert_str_eq(text, "through");
        sd_bus_message_unref(r.reply);
        sd_bus_flush_close_unref(a);
        sd_bus_flush_close_unref(b);
        close(p[0]);
        close(p[1]);
}

static void subscribed(struct bus *bus)
{
        sd_bus *a = open_bus(bus), *b = open_bus(bus);
        int n = 0;

        OK(sd_bus_match_signal(a, NULL, NULL, "/x", N, "Sig", count_one, &n));
        OK(sd_bus_emit_signal(b, "/x", N, "Sig", "su", "text", 5));
        turn(a, b, &n);
        ck_assert_int_eq(n, 1);
        sd_bus_flush_close_unref(a);
        sd_bus_flush_close_unref(b);
}

static int gone(sd_bus_track *track, void *data)
{
        *(int *)data = 1;
        return 0;
}

static void tracked(struct bus *bus)
{
        sd_bus *a = open_bus(bus), *b = open_service(bus);
        sd_bus_track *track;
        int empty = 0, i;

        OK(sd_bus_track_new(a, &track, gone, &empty));
        OK(sd_bus_track_add_name(track, N));
        ck_assert_uint_eq(sd_bus_track_count(track), 1);
        sd_bus_flush_close_unref(b);
        for (i = 0; i < 500 && !empty; i++)
                if (!sd_bus_process(a, NULL))
                        sd_bus_wait(a, 10000);
        ck_assert_int_eq(empty, 1);
        sd_bus_track_unref(track);
        sd_bus_flush_close_unref(a);
}

static void names(struct bus *bus)
{
        sd_bus *a = open_bus(bus), *b = open_service(bus);

        ck_assert_int_eq(sd_bus_request_name(b, N, 0), -EALREADY);
        ck_assert_int_eq(sd_bus_request_name(a, N, 0), -EEXIST);
        ck_assert_int_eq(sd_bus_request_name(a, N, SD_BUS_NAME_QUEUE), 0);
        ck_assert_int_eq(sd_bus_release_name(b, "com.example.None"), -ESRCH);
        OK(sd_bus_release_name(b, N));
        ck_assert_int_eq(sd_bus_release_name(b, N), -EADDRINUSE);
        sd_bus_flush_close_unref(a);
        sd_bus_flush_close_unref(b);
}

static void credentials(struct bus *bus)
{
        sd_bus *a = open_bus(bus), *b = open_service(bus);
        sd_bus_creds *creds;
        const char *unique;
        uid_t uid;
        pid_t pid;

        OK(sd_bus_get_name_creds(a, N, SD_BUS_CREDS_EUID | SD_BUS_CREDS_PID |
                                 SD_BUS_CREDS_UNIQUE_NAME, &creds));
        OK(sd_bus_creds_get_euid(creds, &uid));
        OK(sd_bus_creds_get_pid(creds, &pid));
        ck_assert_uint_eq(uid, geteuid());
        ck_assert_int_eq(pid, getpid());
        sd_bus_creds_unref(creds);
        OK(sd_bus_get_unique_name(a, &unique));
        ck_assert_int_eq(*unique, ':');
        sd_bus_flush_close_unref(a);
        sd_bus_flush_close_unref(b);
}

static void listed(struct bus *bus)
{
        sd_bus *a = open_bus(bus), *b = open_service(bus);
        char **acquired, **activatable, **n;
        int found = 0;

        OK(sd_bus_list_names(a, &acquired, &activatable));
        for (n = acquired; *n; free(*n++))
                found += !strcmp(*n, N) || !strcmp(*n, "org.freedesktop.DBus");
        for (n = activatable; *n; free(*n++))
                found += !strcmp(*n, "org.freedesktop.DBus");
        ck_assert_int_eq(found, 3);
        free(acquired);
        free(activatable);
        sd_bus_flush_close_unref(a);
        sd_bus_flush_close_unref(b);
}

static void properties(struct bus *bus)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus *a = open_bus(bus);
        char **features, **f;

        OK(sd_bus_get_property_strv(a, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                    "org.freedesktop.DBus", "Features", &error, &features));
        ck_assert_ptr_nonnull(*features);
        for (f = features; *f; f++)
                free(*f);
        free(features);
        sd_bus_flush_close_unref(a);
}

static void unknown_service(struct bus *bus)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus *a = open_bus(bus);
        int r;

        r = sd_bus_call_method(a, "com.example.None", "/", N, "Echo", &error, NULL, "s", "x");
        ck_assert_int_eq(r, -EHOSTUNREACH);
        ck_assert_int_eq(sd_bus_error_has_name(&error, SD_BUS_ERROR_SERVICE_UNKNOWN), 1);
        sd_bus_error_free(&error);
        sd_bus_flush_close_unref(a);
}

static void many_replies(struct bus *bus)
{
        sd_bus *a = open_bus(bus), *b = open_service(bus);
        int n = 0, i, rounds = 0;

        for (i = 0; i < 100; i++)
                OK(sd_bus_call_method_async(a, NULL, N, "/", N, "Echo", count_one, &n, "s", "x"));
        while (n < 100 && rounds++ < client_timeout()) {
                if (!sd_bus_process(b, NULL) && !sd_bus_process(a, NULL))
                        sd_bus_wait(b, 1000);
        }
        ck_assert_int_eq(n, 100);
        sd_bus_flush_close_unref(a);
        sd_bus_flush_close_unref(b);
}

static const struct scenario scenarios[] = {
        { "sd-bus calls a method", .run = echo },
        { "sd-bus gets an error", .run = failing },
        { "sd-bus sends five megabytes", .run = large },
        { "sd-bus passes a descriptor there and back", .run = descriptor },
        { "sd-bus subscribes to a signal", .run = subscribed },
        { "sd-bus tracks a name until its owner goes", .run = tracked },
        { "sd-bus requests and releases names", .run = names },
        { "sd-bus asks for credentials", .run = credentials },
        { "sd-bus lists names", .run = listed },
        { "sd-bus reads a property", .run = properties },
        { "sd-bus calls a service that is not there", .run = unknown_service },
        { "sd-bus has many calls on the way", .run = many_replies },
};

int main(void)
{
        return scenarios_run("clients", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
