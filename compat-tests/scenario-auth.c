/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Authentication: the lines before the first message, right, wrong and cut in pieces.
 */

#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat-tests/client.h"
#include "compat-tests/scenario.h"

#define OPEN   "a! open", "a! nul"
#define ENTER  "a> NEGOTIATE_UNIX_FD", "a< AGREE_UNIX_FD", "a> BEGIN", "a! hello", "a: GetId -> s *"

#define COOKIE    .options = { .auth = "DBUS_COOKIE_SHA1" }
#define ANONYMOUS .options = { .auth = "ANONYMOUS", .extra = "<allow_anonymous/>" }

/* the handshake of sd-bus, one write, cut at every byte */
static void cut_anywhere(struct bus *bus)
{
        static const char form[] = "AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";
        struct client *c;
        size_t i;
        char *line;

        for (i = 0; i <= sizeof(form) - 1; i++) {
                c = client_new();
                ck_assert_int_eq(client_open(c, bus->address), 0);
                ck_assert_int_eq(client_write(c, "", 1), 0);
                ck_assert_int_eq(client_write(c, form, i), 0);
                sleep_ms(1);
                ck_assert_int_eq(client_write(c, form + i, sizeof(form) - 1 - i), 0);
                ck_assert_int_eq(client_read_line(c, &line, client_timeout()), CLIENT_MESSAGE);
                ck_assert_str_eq(line, "DATA");
                ck_assert_int_eq(client_read_line(c, &line, client_timeout()), CLIENT_MESSAGE);
                ck_assert_mem_eq(line, "OK ", 3);
                ck_assert_int_eq(client_read_line(c, &line, client_timeout()), CLIENT_MESSAGE);
                ck_assert_str_eq(line, "AGREE_UNIX_FD");
                ck_assert_int_eq(client_hello(c), 0);
                client_free(c);
        }
}

/* lines and Hello in one write */
static void pipelined(struct bus *bus, const char *lines, size_t n_answers)
{
        struct client *c = client_new();
        char *text = bus_expand(bus, lines), *line;
        size_t i;

        ck_assert_int_eq(client_open(c, bus->address), 0);
        c->holding = true;
        client_write(c, "", 1);
        client_write(c, text, strlen(text));
        client_send_text(c, "Hello");
        ck_assert_int_eq(client_flush(c), 0);
        for (i = 0; i < n_answers; i++)
                ck_assert_int_eq(client_read_line(c, &line, client_timeout()), CLIENT_MESSAGE);
        ck_assert_int_eq(client_hello(c), -EPERM);
        client_free(c);
        free(text);
}

static void pipelined_with_uid(struct bus *bus)
{
        pipelined(bus, "AUTH EXTERNAL ${hexuid}\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n", 2);
}

static void pipelined_as_sd_bus(struct bus *bus)
{
        pipelined(bus, "AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n", 3);
}

static void pipelined_without_fds(struct bus *bus)
{
        pipelined(bus, "AUTH EXTERNAL ${hexuid}\r\nBEGIN\r\n", 1);
}

static void cookies_are_private(struct bus *bus)
{
        struct client *c = client_new();
        char *path = bus_path(bus, ".dbus-keyrings"), *line, *text;
        struct stat st;

        text = bus_expand(bus, "AUTH DBUS_COOKIE_SHA1 ${hexuid}\r\n");
        ck_assert_int_eq(client_open(c, bus->address), 0);
        client_write(c, "", 1);
        client_write(c, text, strlen(text));
        ck_assert_int_eq(client_read_line(c, &line, client_timeout()), CLIENT_MESSAGE);
        ck_assert_mem_eq(line, "DATA ", 5);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0700);
        free(path);
        path = bus_path(bus, ".dbus-keyrings/org_freedesktop_general");
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 0077, 0);
        client_free(c);
        free(path);
        free(line);
        free(text);
}

static const struct scenario scenarios[] = {
        { "EXTERNAL with the own uid is accepted",
          TALK(OPEN, "a> AUTH EXTERNAL ${hexuid}", "a< OK ????????????????????????????????",
               ENTER) },
        { "EXTERNAL without a uid takes the socket's",
          TALK(OPEN, "a> AUTH EXTERNAL", "a< DATA", "a> DATA", "a< OK *", ENTER) },
        { "EXTERNAL takes the uid from DATA too",
          TALK(OPEN, "a> AUTH EXTERNAL", "a< DATA", "a> DATA ${hexuid}", "a< OK *", ENTER) },
        { "EXTERNAL with another uid is rejected",
          TALK(OPEN, "a> AUTH EXTERNAL 3939393939", "a< REJECTED EXTERNAL",
               "a> AUTH EXTERNAL ${hexuid}", "a< OK *", ENTER) },
        { "EXTERNAL with a user's name is rejected",
          TALK(OPEN, "a> AUTH EXTERNAL 726f6f74", "a< REJECTED EXTERNAL") },
        { "EXTERNAL with bad hex is an error",
          TALK(OPEN, "a> AUTH EXTERNAL 3g", "a< ERROR*", "a> AUTH EXTERNAL ${hexuid}", "a< OK *",
               ENTER) },
        { "the guid of OK is the address's",
          TALK(OPEN, "a> AUTH EXTERNAL ${hexuid}", "a< OK ${guid}") },
        { "AUTH without a mechanism, or with an unknown one, is told those there are",
          TALK(OPEN, "a> AUTH", "a< REJECTED EXTERNAL", "a> AUTH MAGIC", "a< REJECTED EXTERNAL",
               "a> AUTH KERBEROS_V4 aa", "a< REJECTED EXTERNAL") },
        { "without <auth> all mechanisms are there",
          TALK(OPEN, "a> AUTH", "a< REJECTED EXTERNAL DBUS_COOKIE_SHA1 ANONYMOUS"),
          .options.auth = "" },
        { "a mechanism that is not in <auth> is rejected",
          TALK(OPEN, "a> AUTH ANONYMOUS", "a< REJECTED EXTERNAL",
               "a> AUTH DBUS_COOKIE_SHA1 ${hexuid}", "a< REJECTED EXTERNAL") },
        { "a first byte that is not NUL ends the connection",
          TALK("a! open", "a! raw 41", "a> UTH EXTERNAL ${hexuid}", "a< closed") },
        { "the first byte may come alone",
          TALK("a! open", "a! nul", "@ sleep 20", "a> AUTH EXTERNAL ${hexuid}", "a< OK *", ENTER) },
        { "BEGIN before OK ends the connection",
          TALK(OPEN, "a> BEGIN", "a< closed") },
        { "BEGIN while data is awaited ends the connection",
          TALK(OPEN, "a> AUTH EXTERNAL", "a< DATA", "a> BEGIN", "a< closed") },
        { "unknown commands are errors in every state",
          TALK(OPEN, "a> FROB", "a< ERROR*", "a> auth EXTERNAL ${hexuid}", "a< ERROR*",
               "a> AUTH EXTERNAL", "a< DATA", "a> FROB", "a< ERROR*", "a> DATA", "a< OK *",
               "a> FROB", "a< ERROR*", ENTER) },
        { "commands out of turn are errors",
          TALK(OPEN, "a> DATA", "a< ERROR*", "a> NEGOTIATE_UNIX_FD", "a< ERROR*",
               "a> AUTH EXTERNAL ${hexuid}", "a< OK *", "a> AUTH EXTERNAL ${hexuid}", "a< ERROR*",
               "a> DATA", "a< ERROR*", ENTER) },
        { "an empty line is an error",
          TALK(OPEN, "a> ", "a< ERROR*", "a> AUTH EXTERNAL ${hexuid}", "a< OK *", ENTER) },
        { "CANCEL and ERROR start over",
          TALK(OPEN, "a> AUTH EXTERNAL", "a< DATA", "a> CANCEL", "a< REJECTED EXTERNAL",
               "a> AUTH EXTERNAL", "a< DATA", "a> ERROR", "a< REJECTED EXTERNAL",
               "a> AUTH EXTERNAL ${hexuid}", "a< OK *", "a> CANCEL", "a< REJECTED EXTERNAL",
               "a> AUTH EXTERNAL ${hexuid}", "a< OK *", "a> ERROR oh", "a< REJECTED EXTERNAL",
               "a> AUTH EXTERNAL ${hexuid}", "a< OK *", ENTER) },
        { "ERROR in the beginning is answered with REJECTED",
          TALK(OPEN, "a> ERROR", "a< REJECTED EXTERNAL") },
        { "after the sixth rejection the connection ends",
          TALK(OPEN, "a> AUTH", "a< REJECTED*", "a> AUTH", "a< REJECTED*", "a> AUTH",
               "a< REJECTED*", "a> AUTH", "a< REJECTED*", "a> AUTH", "a< REJECTED*", "a> AUTH",
               "a< REJECTED*", "a> AUTH", "a< closed") },
        { "descriptors may be negotiated more than once, or not at all",
          TALK(OPEN, "a> AUTH EXTERNAL ${hexuid}", "a< OK *", "a> NEGOTIATE_UNIX_FD",
               "a< AGREE_UNIX_FD", "a> NEGOTIATE_UNIX_FD", "a< AGREE_UNIX_FD", "a> BEGIN",
               "a! hello", "b! open", "b! nul", "b> AUTH EXTERNAL ${hexuid}", "b< OK *",
               "b> BEGIN", "b! hello", "b: GetId -> s *") },
        { "words after BEGIN do not matter",
          TALK(OPEN, "a> AUTH EXTERNAL ${hexuid}", "a< OK *", "a> BEGIN now", "a! hello") },
        { "a line feed alone ends no line",
          TALK(OPEN, "a! raw 415554480a", "@ sleep 20", "a> ", "a< ERROR*") },
        { "a line that is not ASCII is an error",
          TALK(OPEN, "a! raw 41ff0d0a", "a< ERROR*") },
        { "a line of more than 16 KiB ends the connection",
          TALK(OPEN, "a> ${x*20000}", "a< closed") },
        { "a long line is an error only",
          TALK(OPEN, "a> ${x*8000}", "a< ERROR*", "a> AUTH EXTERNAL ${hexuid}", "a< OK *", ENTER) },
        { "lines may come byte by byte",
          TALK("a! open", "a! bytewise", "a! nul", "a> AUTH EXTERNAL ${hexuid}", "a< OK *", ENTER) },
        { "sd-bus's handshake may be cut at any byte", .run = cut_anywhere },
        { "everything up to Hello may come in one write", .run = pipelined_with_uid },
        { "everything may come in one write without a uid", .run = pipelined_as_sd_bus },
        { "everything may come in one write without descriptors", .run = pipelined_without_fds },
        { "who does not authenticate in time is disconnected",
          TALK(OPEN, "a> AUTH", "a< REJECTED*", "a< closed"),
          .options.limits = "auth_timeout=200" },
        { "who does not say Hello in time is disconnected",
          TALK("a! connect", "a? closed"), .options.limits = "auth_timeout=200" },
        { "who said Hello in time stays",
          TALK("a! connect", "a! hello", "@ sleep 500", "a: GetId -> s *"),
          .options.limits = "auth_timeout=400" },
        { "ANONYMOUS is let in if it is allowed",
          TALK(OPEN, "a> AUTH ANONYMOUS 6869", "a< OK *", ENTER), ANONYMOUS },
        { "ANONYMOUS is turned away after BEGIN if it is not allowed",
          TALK(OPEN, "a> AUTH ANONYMOUS", "a< OK *", "a> BEGIN", "a? closed"),
          .options.auth = "ANONYMOUS" },
        { "ANONYMOUS has no uid",
          TALK(OPEN, "a> AUTH ANONYMOUS", "a< OK *", "a> BEGIN", "a! hello",
               "a: GetConnectionUnixUser s $a -> error Failed"), ANONYMOUS },
        { "DBUS_COOKIE_SHA1 names a cookie and a challenge",
          TALK(OPEN, "a> AUTH DBUS_COOKIE_SHA1 ${hexuid}", "a< DATA *", "a> DATA 6162",
               "a< REJECTED DBUS_COOKIE_SHA1"), COOKIE },
        { "DBUS_COOKIE_SHA1 keeps its cookies to its user", .run = cookies_are_private,
          COOKIE },
        { "over tcp descriptors cannot be negotiated",
          TALK("a! open", "a! nul", "a> AUTH ANONYMOUS", "a< OK *", "a> NEGOTIATE_UNIX_FD",
               "a< ERROR*", "a> BEGIN", "a! hello", "a: GetId -> s *"),
          .options = { .auth = "ANONYMOUS", .extra = "<allow_anonymous/>",
                       .listen = "tcp:host=127.0.0.1" } },
        { "over tcp there is no uid for EXTERNAL",
          TALK("a! open", "a! nul", "a> AUTH EXTERNAL ${hexuid}", "a< REJECTED EXTERNAL"),
          .options.listen = "tcp:host=127.0.0.1" },
        { "nonce-tcp wants its nonce first",
          TALK("a! open", "a! nul", "a> AUTH ANONYMOUS", "a< OK *", "a> BEGIN", "a! hello"),
          .options = { .auth = "ANONYMOUS", .extra = "<allow_anonymous/>",
                       .listen = "nonce-tcp:host=127.0.0.1" } },
};

int main(void)
{
        return scenarios_run("auth", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
