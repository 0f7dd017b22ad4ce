/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tests of lambusctl top on a terminal: what its screen shows, its keys, and how it is left */

#include "config.h"

#include <check.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/test-run.h"
#include "tools/sandbox.h"

#define LEAVE "\033[?1049l" /* xterm: back to the screen that was there before */
#define REDRAW "\f" /* all of it, not only what is different */
#define OUT_MAX (1 << 20)

static struct sandbox *sandbox;
static sd_bus *watched;
static struct termios found;
static char out[OUT_MAX];
static size_t n_out;
static int terminal;
static pid_t pid;

static void start_bus(void)
{
        const char *name;

        ck_assert_int_eq(sandbox_start(&sandbox, "shim/daemon/lambus-daemon", NULL, NULL), 0);
        ck_assert_int_ge(sd_bus_new(&watched), 0);
        ck_assert_int_ge(sd_bus_set_address(watched, sandbox->address), 0);
        ck_assert_int_ge(sd_bus_set_bus_client(watched, true), 0);
        ck_assert_int_ge(sd_bus_start(watched), 0);
        ck_assert_int_ge(sd_bus_get_unique_name(watched, &name), 0);
        ck_assert_int_ge(sd_bus_request_name(watched, "org.example.Watched", 0), 0);
}

static void setup(void)
{
        const struct winsize size = { .ws_row = 24, .ws_col = 80 };

        signal(SIGTERM, SIG_DFL);
        n_out = 0;
        start_bus();
        pid = forkpty(&terminal, NULL, NULL, &size);
        ck_assert_int_ge(pid, 0);
        if (!pid) {
                char address[256];

                setenv("TERM", "xterm", 1);
                snprintf(address, sizeof(address), "--address=%s", sandbox->address);
                /* the terminal is to be seen before */
                if (write(STDOUT_FILENO, "ready\n", 6) == 6 && getchar() != EOF)
                        execl("tools/lambusctl", "lambusctl", "top", "--delay=100ms", address, NULL);
                _exit(127);
        }
}

/* Reads on until @text has come; false after some seconds without. */
static bool shows(const char *text)
{
        struct pollfd in = { .fd = terminal, .events = POLLIN };
        time_t end = time(NULL) + 10;
        ssize_t n;

        while (time(NULL) < end) {
                out[n_out] = 0;
                if (strstr(out, text))
                        return true;
                if (n_out + 4096 >= OUT_MAX || poll(&in, 1, 10000) <= 0)
                        return false;
                n = read(terminal, out + n_out, 4096);
                if (n <= 0)
                        return false;
                for (ssize_t i = 0; i < n; i++) /* strstr() */
                        if (!out[n_out + i])
                                out[n_out + i] = ' ';
                n_out += n;
        }
        return false;
}

static void forget(void)
{
        n_out = 0;
}

static void press(const char *keys)
{
        ck_assert_int_eq(write(terminal, keys, strlen(keys)), (ssize_t)strlen(keys));
}

static void begin(void)
{
        ck_assert(shows("ready"));
        ck_assert_int_eq(tcgetattr(terminal, &found), 0);
        press("\n");
        ck_assert_msg(shows("org.example.Watched"), "%s", out);
}

/* It has ended, by itself, and the terminal is what it was. */
static void ends_with(int status)
{
        struct termios left;
        int got;

        ck_assert_msg(shows(LEAVE), "%s", out);
        ck_assert(!shows("until it has ended"));
        ck_assert_int_eq(waitpid(pid, &got, 0), pid);
        ck_assert_int_eq(tcgetattr(terminal, &left), 0);
        ck_assert_int_eq(left.c_lflag, found.c_lflag);
        ck_assert_int_eq(left.c_iflag, found.c_iflag);
        ck_assert_int_eq(left.c_oflag, found.c_oflag);
        ck_assert(WIFEXITED(got));
        ck_assert_int_eq(WEXITSTATUS(got), status);
        pid = 0;
}

static void teardown(void)
{
        if (pid)
                kill(pid, SIGKILL);
        close(terminal);
        sd_bus_close_unref(watched);
        sandbox = sandbox_free(sandbox);
}

START_TEST(the_screen_shows_who_is_there_and_q_gives_it_back)
{
        begin();
        ck_assert(shows("lambus-daemon"));
        ck_assert(shows("CONNECTION"));
        ck_assert(shows("SENT/S"));
        ck_assert(shows("q quit"));
        press("q");
        ends_with(0);
}
END_TEST

START_TEST(keys_choose_rows_and_order)
{
        begin();
        forget();
        press("i" REDRAW);
        ck_assert_msg(shows("INTERFACE.MEMBER"), "%s", out);
        ck_assert(shows("org.freedesktop.DBus.Debug.Stats.GetStats"));
        forget();
        press("u" REDRAW);
        ck_assert_msg(shows("USER"), "%s", out);
        forget();
        press("B" REDRAW);
        ck_assert_msg(shows("most bytes first"), "%s", out);
        forget();
        press("h" REDRAW);
        ck_assert_msg(shows("interface.member"), "%s", out);
        press("q");
        ends_with(0);
}
END_TEST

START_TEST(a_wider_terminal_shows_more)
{
        const struct winsize wide = { .ws_row = 30, .ws_col = 140 };
        const struct winsize tiny = { .ws_row = 3, .ws_col = 10 };

        begin();
        ck_assert_ptr_null(strstr(out, "REFUSED"));
        ck_assert_int_eq(ioctl(terminal, TIOCSWINSZ, &wide), 0);
        ck_assert_msg(shows("REFUSED"), "%s", out);
        ck_assert_int_eq(ioctl(terminal, TIOCSWINSZ, &tiny), 0);
        forget();
        press("u" REDRAW);
        ck_assert_int_eq(ioctl(terminal, TIOCSWINSZ, &wide), 0);
        ck_assert_msg(shows("USER"), "%s", out);
        press("q");
        ends_with(0);
}
END_TEST

/* What it has to say is read, and not looked at. */
static void drain_terminal(void)
{
        struct pollfd in = { .fd = terminal, .events = POLLIN };
        char buf[4096];

        while (poll(&in, 1, 0) > 0 && read(terminal, buf, sizeof(buf)) > 0)
                ;
}

START_TEST(the_size_may_change_at_any_moment)
{
        begin();
        for (unsigned short i = 0; i < 2000; i++) { /* also while it waits for an answer */
                const struct winsize size = { .ws_row = 24 + i % 2, .ws_col = 80 };

                ck_assert_int_eq(ioctl(terminal, TIOCSWINSZ, &size), 0);
                usleep(500);
                drain_terminal();
        }
        forget();
        press("u" REDRAW);
        ck_assert_msg(shows("USER"), "%s", out);
        press("q");
        ends_with(0);
}
END_TEST

START_TEST(an_interrupt_gives_the_terminal_back)
{
        begin();
        press("\003");
        ends_with(0);
}
END_TEST

START_TEST(a_bus_that_goes_ends_it_with_a_word)
{
        begin();
        sandbox = sandbox_free(sandbox);
        ck_assert_msg(shows("the bus has gone"), "%s", out);
        ends_with(2);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("top");
        TCase *t = tcase_create("top");

        suite_add_tcase(suite, t);
        tcase_set_timeout(t, 60);
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, the_screen_shows_who_is_there_and_q_gives_it_back);
        tcase_add_test(t, keys_choose_rows_and_order);
        tcase_add_test(t, a_wider_terminal_shows_more);
        tcase_add_test(t, the_size_may_change_at_any_moment);
        tcase_add_test(t, an_interrupt_gives_the_terminal_back);
        tcase_add_test(t, a_bus_that_goes_ends_it_with_a_word);
        return test_run(suite);
}
