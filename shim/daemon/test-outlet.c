/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Outlet: each sort of target, full and read again. A test that waits is ended by Check. */

#include "config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <termios.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "bus-core/util/test-run.h"
#include "shim/daemon/outlet.h"

#define LINES 3000 /* more than any target here takes unread */
#define ROOM  (LINES * 200)

static char text[ROOM];
static size_t n_text;

/* Reads what there is; without a pause that is all. */
static void take(int fd)
{
        ssize_t n;

        while ((n = read(fd, text + n_text, ROOM - 1 - n_text)) > 0)
                n_text += n;
        text[n_text] = 0;
}

static unsigned int put_until_full(struct outlet *o)
{
        char line[128];
        unsigned int n = 0;
        bool full;

        do {
                snprintf(line, sizeof(line), "line %u %0*d", n, 60, 0);
                full = outlet_put(o, LOG_ERR, line);
                n++;
        } while (!full && n < LINES);
        ck_assert_uint_lt(n, LINES);
        return n;
}

/* Every line has its number, or is counted as lost where it would have been; returns how many. */
static unsigned int check_lines(const char *prefix)
{
        unsigned int next = 0, number, lost, total_lost = 0;
        char *rest = text, *line;

        while ((line = strsep(&rest, "\n")) && *line) {
                ck_assert_msg(!strncmp(line, prefix, strlen(prefix)), "not a line: %s", line);
                line = strstr(line, "]: ") + 3;
                if (sscanf(line, "line %u", &number) == 1) {
                        ck_assert_uint_eq(number, next);
                        next++;
                } else {
                        ck_assert_msg(sscanf(line, "[test] %u line", &lost) == 1, "what? %s", line);
                        next += lost;
                        total_lost += lost;
                }
        }
        ck_assert_uint_gt(total_lost, 0);
        return next;
}

/* One writes at @out, what comes is read at @in: full, lost, and read again. */
static void fill_and_read(int in, int out)
{
        struct outlet o = OUTLET_FD("me", "[test] ", out);
        unsigned int n;
        char line[32];

        n_text = 0;
        ck_assert_int_ge(fcntl(in, F_SETFL, O_NONBLOCK), 0);
        n = put_until_full(&o);
        for (int i = 0; i < 10; i++) {
                snprintf(line, sizeof(line), "line %u", n++);
                ck_assert(outlet_put(&o, LOG_ERR, line));
        }
        ck_assert(outlet_retry(&o));
        ck_assert_int_eq(fcntl(out, F_GETFL) & O_NONBLOCK, 0);
        take(in);
        for (int i = 0; i < 100 && outlet_retry(&o); i++) /* a terminal takes a moment */
                take(in), usleep(1000);
        take(in);
        ck_assert_ptr_nonnull(strstr(text, " lost: "));
        snprintf(line, sizeof(line), "line %u", n++);
        ck_assert(!outlet_put(&o, LOG_ERR, line));
        take(in);
        ck_assert_uint_eq(check_lines("me["), n);
        outlet_deinit(&o);
}

START_TEST(a_pipe_that_nobody_reads_is_not_waited_for)
{
        int fd[2];

        ck_assert_int_eq(pipe(fd), 0);
        fill_and_read(fd[0], fd[1]);
        close(fd[0]);
        close(fd[1]);
}
END_TEST

START_TEST(nor_is_a_socket_as_systemd_gives_one)
{
        int fd[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
        fill_and_read(fd[0], fd[1]);
        close(fd[0]);
        close(fd[1]);
}
END_TEST

START_TEST(nor_is_a_terminal)
{
        int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
        struct termios raw;

        ck_assert_int_ge(master, 0);
        ck_assert_int_eq(grantpt(master) || unlockpt(master), 0);
        slave = open(ptsname(master), O_RDWR | O_NOCTTY);
        ck_assert_int_ge(slave, 0);
        ck_assert_int_eq(tcgetattr(slave, &raw), 0);
        cfmakeraw(&raw);
        ck_assert_int_eq(tcsetattr(slave, TCSANOW, &raw), 0);
        fill_and_read(master, slave);
        close(slave);
        close(master);
}
END_TEST

START_TEST(who_will_never_read_again_is_no_reason_to_try_on)
{
        struct outlet o;
        int fd[2];

        signal(SIGPIPE, SIG_IGN);
        ck_assert_int_eq(pipe(fd), 0);
        close(fd[0]);
        o = OUTLET_FD("me", "", fd[1]);
        ck_assert(!outlet_put(&o, LOG_ERR, "x"));
        close(fd[1]);
        ck_assert(!outlet_put(&o, LOG_ERR, "x"));
        ck_assert(!outlet_retry(&o));
        ck_assert_uint_eq(o.lost, 2);
}
END_TEST

START_TEST(a_line_that_is_too_long_is_cut_and_ends)
{
        char line[2 * OUTLET_LINE_MAX];
        struct outlet o;
        int fd[2];

        n_text = 0;
        memset(line, 'x', sizeof(line) - 1);
        line[sizeof(line) - 1] = 0;
        ck_assert_int_eq(pipe2(fd, O_NONBLOCK), 0);
        o = OUTLET_FD("me", "", fd[1]);
        ck_assert(!outlet_put(&o, LOG_ERR, line));
        take(fd[0]);
        ck_assert_uint_eq(n_text, OUTLET_LINE_MAX - 1);
        ck_assert_int_eq(text[n_text - 1], '\n');
        close(fd[0]);
        close(fd[1]);
}
END_TEST

/* --- syslog ------------------------------------------------------------------------------------ */

static char path[] = "/tmp/test-outlet.XXXXXX/log";

static int listen_as_syslog(int type)
{
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);

        strcpy(sa.sun_path, path);
        unlink(path);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        if (type == SOCK_STREAM)
                ck_assert_int_eq(listen(fd, 1), 0);
        return fd;
}

static void setup(void)
{
        char *slash = strrchr(path, '/');

        *slash = 0;
        ck_assert_ptr_nonnull(mkdtemp(path));
        *slash = '/';
}

static void teardown(void)
{
        unlink(path);
        *strrchr(path, '/') = 0;
        rmdir(path);
}

static void take_datagrams(int fd)
{
        ssize_t n;

        while ((n = recv(fd, text + n_text, ROOM - 2 - n_text, 0)) > 0) {
                n_text += n;
                text[n_text++] = '\n';
        }
        text[n_text] = 0;
}

START_TEST(a_journal_that_is_stuck_is_not_waited_for)
{
        struct outlet o = OUTLET_SYSLOG("me", "[test] ", path);
        int fd = listen_as_syslog(SOCK_DGRAM);
        unsigned int n;

        n_text = 0;
        n = put_until_full(&o);
        ck_assert(outlet_retry(&o));
        take_datagrams(fd);
        ck_assert(!outlet_retry(&o));
        take_datagrams(fd);
        ck_assert_uint_eq(check_lines("<2"), n);
        close(fd);
        outlet_deinit(&o);
}
END_TEST

START_TEST(a_journal_that_was_started_anew_is_found_again)
{
        struct outlet o = OUTLET_SYSLOG("me", "[test] ", path);
        char want[64];
        int fd;

        n_text = 0;
        ck_assert(!outlet_put(&o, LOG_ERR, "line 0"));
        fd = listen_as_syslog(SOCK_DGRAM);
        ck_assert(!outlet_put(&o, LOG_ERR, "line 1"));
        take_datagrams(fd);
        close(fd);
        fd = listen_as_syslog(SOCK_DGRAM);
        ck_assert(!outlet_put(&o, LOG_WARNING, "line 2"));
        take_datagrams(fd);
        close(fd);
        snprintf(want, sizeof(want), " me[%d]: line 2\n", (int)getpid());
        ck_assert_ptr_nonnull(strstr(text, want));
        ck_assert_ptr_nonnull(strstr(text, "<28>"));
        ck_assert_uint_eq(check_lines("<2"), 3);
        outlet_deinit(&o);
}
END_TEST

START_TEST(a_stream_of_syslog_gets_records_that_end)
{
        struct outlet o = OUTLET_SYSLOG("me", "[test] ", path);
        int fd = listen_as_syslog(SOCK_STREAM), peer;

        n_text = 0;
        ck_assert(!outlet_put(&o, LOG_ERR, "one"));
        peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
        ck_assert_int_ge(peer, 0);
        ck_assert(!outlet_put(&o, LOG_ERR, "two"));
        take(peer);
        ck_assert_str_eq(text + strlen(text) - 3, "one");
        ck_assert_str_eq(text + n_text - 4, "two");
        close(peer);
        close(fd);
        outlet_deinit(&o);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("outlet");
        TCase *files = tcase_create("descriptors"), *syslog = tcase_create("syslog");

        tcase_add_test(files, a_pipe_that_nobody_reads_is_not_waited_for);
        tcase_add_test(files, nor_is_a_socket_as_systemd_gives_one);
        tcase_add_test(files, nor_is_a_terminal);
        tcase_add_test(files, who_will_never_read_again_is_no_reason_to_try_on);
        tcase_add_test(files, a_line_that_is_too_long_is_cut_and_ends);
        suite_add_tcase(suite, files);
        tcase_add_checked_fixture(syslog, setup, teardown);
        tcase_add_test(syslog, a_journal_that_is_stuck_is_not_waited_for);
        tcase_add_test(syslog, a_journal_that_was_started_anew_is_found_again);
        tcase_add_test(syslog, a_stream_of_syslog_gets_records_that_end);
        suite_add_tcase(suite, syslog);
        return test_run(suite);
}
