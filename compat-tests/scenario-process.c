/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Process: the command line, what is printed, addresses, forking, signals, systemd.
 */

#define _GNU_SOURCE
#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compat-tests/client.h"
#include "compat-tests/scenario.h"

#define ARGUMENTS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define ENDS(...)      .options = { .arguments = ARGUMENTS(__VA_ARGS__), .own_arguments = true, \
                                    .no_address = true }
#define CONFIG         "--config-file=${dir}/bus.conf"
#define LISTEN(a)      .options.listen = a

/* --- ends --- */

static void ends_with(struct bus *bus, int status)
{
        int s = bus_wait(bus);

        if (s == -1)
                kill(bus->pid, SIGKILL);
        if (s == -1 || !WIFEXITED(s) || WEXITSTATUS(s) != status)
                bus_fail(bus, "ended with %#x instead of status %d", s, status);
}

static void expect_text(struct bus *bus, const char *name, const char *part)
{
        char *text = bus_read(bus, name);

        if (!strstr(text, part))
                bus_fail(bus, "`%s' is not in %s: %s", part, name, text);
        free(text);
}

static void fails(struct bus *bus)
{
        char *log;

        ends_with(bus, 1);
        log = bus_log(bus);
        ck_assert_str_ne(log, "");
        free(log);
}

/* What is wrong is called a dovecote in each of these. */
static void fails_by_name(struct bus *bus)
{
        ends_with(bus, 1);
        expect_text(bus, "log", "dovecote");
}

static void shows_usage(struct bus *bus)
{
        ends_with(bus, 1);
        expect_text(bus, "log", "--version");
        expect_text(bus, "log", "--print-address");
}

static void shows_version(struct bus *bus)
{
        char *text;

        ends_with(bus, 0);
        text = bus_read(bus, "out");
        ck_assert_str_ne(text, "");
        free(text);
}

static void shows_introspection(struct bus *bus)
{
        ends_with(bus, 0);
        expect_text(bus, "out", "<node");
        expect_text(bus, "out", "org.freedesktop.DBus.Peer");
        expect_text(bus, "out", "RequestName");
}

/* --- what is printed --- */

/* await_lines() - what the daemon printed on stdout, as soon as it is so many lines */
static char *await_lines(struct bus *bus, unsigned int n)
{
        char *text = NULL, *p;
        unsigned int i, lines;

        for (i = 0; i < 500; i++) {
                text = bus_read(bus, "out");
                for (p = text, lines = 0; (p = strchr(p, '\n')); p++)
                        lines++;
                if (lines >= n)
                        return text;
                free(text);
                sleep_ms(client_timeout() / 500);
        }
        bus_fail(bus, "prints nothing");
}

static void check_address(const char *line)
{
        struct client *c = client_connect(line);

        ck_assert_ptr_nonnull(strstr(line, ",guid="));
        ck_assert_ptr_nonnull(c);
        client_free(c);
}

static void prints_address(struct bus *bus)
{
        char *text = await_lines(bus, 1);

        *strchr(text, '\n') = 0;
        ck_assert_uint_eq(strlen(strstr(text, ",guid=")), 6 + 32);
        check_address(text);
        free(text);
}

static void prints_address_and_pid(struct bus *bus)
{
        char *text = await_lines(bus, 2), *pid = strchr(text, '\n') + 1;

        pid[-1] = 0;
        check_address(text);
        ck_assert_int_eq(atoi(pid), bus->pid);
        free(text);
}

static void begins_with(struct bus *bus, const char *start)
{
        char *expected = bus_expand(bus, start);

        if (strncmp(bus->address, expected, strlen(expected)))
                bus_fail(bus, "listens at %s", bus->address);
        check_address(bus->address);
        free(expected);
}

static void at_path(struct bus *bus)
{
        struct stat st;
        char *path = bus_path(bus, "bus");

        begins_with(bus, "unix:path=${dir}/bus,guid=");
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0777);
        free(path);
}

static void at_dir(struct bus *bus)
{
        begins_with(bus, "unix:path=${dir}/dbus-");
}

static void at_tmpdir(struct bus *bus)
{
        begins_with(bus, "unix:");
        ck_assert_ptr_nonnull(strstr(bus->address, "/dbus-"));
}

static void at_abstract(struct bus *bus)
{
        begins_with(bus, "unix:abstract=${dir}/hidden,guid=");
}

static void at_runtime(struct bus *bus)
{
        begins_with(bus, "unix:path=${dir}/bus,guid=");
}

static void at_tcp(struct bus *bus)
{
        struct client *c = client_new();

        ck_assert_ptr_nonnull(strstr(bus->address, "tcp:host=127.0.0.1,"));
        ck_assert_ptr_nonnull(strstr(bus->address, "port="));
        ck_assert_ptr_nonnull(strstr(bus->address, "family=ipv4"));
        ck_assert_int_eq(client_open(c, bus->address), 0);
        ck_assert_int_eq(client_authenticate(c, "ANONYMOUS"), 0);
        ck_assert_int_eq(client_hello(c), 0);
        client_free(c);
}

static void at_escaped(struct bus *bus)
{
        begins_with(bus, "unix:path=${dir}/a%20b%2cc,guid=");
}

static void at_two(struct bus *bus)
{
        char *second = strchr(bus->address, ';');

        begins_with(bus, "unix:path=${dir}/two,guid=");
        ck_assert_ptr_nonnull(second);
        check_address(second + 1);
        ck_assert_int_ne(strncmp(strstr(bus->address, "guid="), strstr(second, "guid="), 37), 0);
}

static void at_argument(struct bus *bus)
{
        char *other = bus_path(bus, "bus");

        begins_with(bus, "unix:path=${dir}/elsewhere,guid=");
        ck_assert_int_ne(access(other, F_OK), 0);
        free(other);
}

static void at_one_socket(struct bus *bus)
{
        begins_with(bus, "unix:path=${dir}/socket0,guid=");
}

static void at_two_sockets(struct bus *bus)
{
        struct client *c;
        char *path = bus_expand(bus, "unix:path=${dir}/socket0");

        c = client_connect(path);
        ck_assert_ptr_nonnull(c);
        client_free(c);
        path[strlen(path) - 1] = '1';
        c = client_connect(path);
        ck_assert_ptr_nonnull(c);
        client_free(c);
        free(path);
}

/* --- files and signals --- */

static void removes_its_socket(struct bus *bus)
{
        char *path = bus_path(bus, "bus");

        ck_assert_int_eq(access(path, F_OK), 0);
        kill(bus->pid, SIGTERM);
        ends_with(bus, 0);
        ck_assert_int_ne(access(path, F_OK), 0);
        free(path);
}

static void replaces_a_dead_socket(struct bus *bus)
{
        kill(bus->pid, SIGKILL);
        ck_assert_int_ne(bus_wait(bus), -1);
        bus_spawn(bus);
        check_address(bus->address);
}

static void keeps_a_pid_file(struct bus *bus)
{
        char *text = bus_read(bus, "pid"), *path = bus_path(bus, "pid");

        ck_assert_int_eq(atoi(text), bus->pid);
        kill(bus->pid, SIGTERM);
        ends_with(bus, 0);
        ck_assert_int_ne(access(path, F_OK), 0);
        free(text);
        free(path);
}

static void has_no_pid_file(struct bus *bus)
{
        char *path = bus_path(bus, "pid");

        ck_assert_int_ne(access(path, F_OK), 0);
        free(path);
}

/* who reads what it prints gets to the end of it */
static void lets_go_of_output(pid_t pid)
{
        char path[64], target[64];
        ssize_t l;
        int fd, i;

        for (fd = 0; fd <= 2; fd++) {
                snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
                for (i = 0; i < 200; i++) {
                        l = readlink(path, target, sizeof(target) - 1);
                        ck_assert_int_ge(l, 0);
                        target[l] = 0;
                        if (!strcmp(target, "/dev/null"))
                                break;
                        sleep_ms(10);
                }
                ck_assert_str_eq(target, "/dev/null");
        }
}

/* the parent ends, the child serves; the lines were printed by then */
static void forks(struct bus *bus)
{
        char *text, *line;
        pid_t pid;

        ends_with(bus, 0);
        text = bus_read(bus, "out");
        line = strchr(text, '\n');
        ck_assert_ptr_nonnull(line);
        pid = atoi(line + 1);
        ck_assert_int_gt(pid, 1);
        ck_assert_int_ne(pid, bus->pid);
        *line = 0;
        check_address(text);
        lets_go_of_output(pid);
        ck_assert_int_eq(kill(pid, SIGTERM), 0);
        free(text);
}

static void survives_sighup(struct bus *bus)
{
        struct client *c = client_connect(bus->address);

        kill(bus->pid, SIGHUP);
        ck_assert_int_eq(client_settle(c), 0);
        sleep_ms(20);
        ck_assert_int_eq(client_settle(c), 0);
        client_free(c);
}

static void expect_notice(int fd, const char *what)
{
        struct pollfd pfd = { .fd = fd, .events = POLLIN };
        char text[256];
        ssize_t l;

        for (;;) {
                ck_assert_msg(poll(&pfd, 1, client_timeout()) == 1, "%s is not told", what);
                l = recv(fd, text, sizeof(text) - 1, 0);
                ck_assert_int_ge(l, 0);
                text[l] = 0;
                if (strstr(text, what))
                        return;
        }
}

static void tells_systemd(void)
{
        const struct bus_options options = {
                .environment = ARGUMENTS("NOTIFY_SOCKET=${dir}/notify") };
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        struct bus bus;
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        bus_prepare(&bus, &options);
        snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/notify", bus.dir);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        bus_spawn(&bus);
        expect_notice(fd, "READY=1");
        kill(bus.pid, SIGHUP);
        expect_notice(fd, "RELOADING=1");
        expect_notice(fd, "READY=1");
        kill(bus.pid, SIGTERM);
        expect_notice(fd, "STOPPING=1");
        ck_assert_int_eq(bus_wait(&bus), 0);
        bus_stop(&bus);
        close(fd);
}

static void serves_after_a_full_restart(struct bus *bus)
{
        struct client *c = client_connect(bus->address);

        client_free(c);
        kill(bus->pid, SIGTERM);
        ends_with(bus, 0);
        bus_spawn(bus);
        check_address(bus->address);
}

/* The bus is to become somebody whom it cannot become. */
static void stays_who_he_is(void)
{
        static const struct bus_options options = { .extra = "<user>daemon</user>" };
        struct bus bus;

        bus_prepare(&bus, &options);
        ck_assert_int_eq(chown(bus.dir, 65534, 65534), 0);
        ck_assert_int_eq(setresuid(65534, 65534, 65534), 0); /* this process is this test's alone */
        if (access(bus_program(), X_OK) < 0) {
                printf("skipped: that user cannot reach %s\n", bus_program());
                return;
        }
        bus_spawn(&bus);
        check_address(bus.address);
        bus_stop(&bus);
}

static const struct scenario scenarios[] = {
        { "--version says which and ends with 0", .run = shows_version, ENDS("--version") },
        { "--help shows the usage and ends with 1", .run = shows_usage, ENDS("--help") },
        { "-h does too", .run = shows_usage, ENDS("-h") },
        { "an unknown option shows the usage", .run = shows_usage, ENDS("--frobnicate") },
        { "--introspect prints what the bus has and ends with 0", .run = shows_introspection,
          ENDS("--introspect") },
        { "without a configuration there is no start", .run = fails, ENDS("--nofork") },
        { "two configurations are one too many", .run = fails, ENDS(CONFIG, "--session") },
        { "a file named twice is one too many", .run = fails, ENDS(CONFIG, CONFIG) },
        { "a missing file is no start, and named", .run = fails_by_name,
          ENDS("--config-file=/nonexistent/dovecote.conf") },
        { "an unknown <user> is no start, and named", .run = fails_by_name,
          .options = { .no_address = true, .extra = "<user>dovecote</user>" } },
        { "an included file that is missing is no start, and named", .run = fails_by_name,
          .options = { .no_address = true, .extra = "<include>/nonexistent/dovecote</include>" } },
        { "an unknown element is no start, and named", .run = fails_by_name,
          .options = { .no_address = true, .extra = "<dovecote/>" } },
        { "an unknown limit is no start, and named", .run = fails_by_name,
          .options = { .no_address = true, .extra = "<limit name=\"dovecote\">1</limit>" } },
        { "a pid file that cannot be is no start, and named", .run = fails_by_name,
          .options = { .no_address = true, .extra = "<pidfile>/nonexistent/dovecote</pidfile>" } },
        { "who is not root stays who he is, whatever <user> says", .run_alone = stays_who_he_is,
          .needs_root = true },
        { "--config-file without a value is no start", .run = fails, ENDS("--config-file") },
        { "--print-address twice is no start", .run = fails,
          ENDS(CONFIG, "--nofork", "--print-address=1", "--print-address=1") },
        { "--print-address to a closed descriptor is no start", .run = fails,
          ENDS(CONFIG, "--nofork", "--print-address=44") },
        { "--print-address to no number is no start", .run = fails,
          ENDS(CONFIG, "--nofork", "--print-address=x") },
        { "--print-address prints to stdout", .run = prints_address,
          ENDS(CONFIG, "--nofork", "--print-address") },
        { "--print-address 1 does too", .run = prints_address,
          ENDS(CONFIG, "--nofork", "--print-address", "1") },
        { "--config-file FILE as two words", .run = prints_address,
          ENDS("--config-file", "${dir}/bus.conf", "--nofork", "--print-address=1") },
        { "--print-pid prints the process", .run = prints_address_and_pid,
          ENDS(CONFIG, "--nofork", "--print-address=1", "--print-pid=1") },
        { "--nosyslog, --syslog and --nopidfile are options", .run = prints_address,
          ENDS(CONFIG, "--nofork", "--nosyslog", "--nopidfile", "--print-address=1") },
        { "--fork goes to the background", .run = forks,
          ENDS(CONFIG, "--fork", "--print-address=1", "--print-pid=1") },
        { "the last of --fork and --nofork counts", .run = prints_address,
          ENDS(CONFIG, "--fork", "--nofork", "--print-address=1") },
        { "<fork/> goes to the background", .run = forks,
          .options = { .own_arguments = true, .no_address = true, .extra = "<fork/>",
                       .arguments = ARGUMENTS(CONFIG, "--print-address=1", "--print-pid=1") } },
        { "--nofork overrides <fork/>", .run = prints_address_and_pid,
          .options = { .own_arguments = true, .no_address = true, .extra = "<fork/>",
                       .arguments = ARGUMENTS(CONFIG, "--nofork", "--print-address=1",
                                              "--print-pid=1") } },

        { "unix:path listens there, for everybody to connect", .run = at_path },
        { "unix:dir listens somewhere in the directory", .run = at_dir,
          LISTEN("unix:dir=${dir}") },
        { "unix:tmpdir listens somewhere", .run = at_tmpdir, LISTEN("unix:tmpdir=${dir}") },
        { "unix:abstract listens in no directory", .run = at_abstract,
          LISTEN("unix:abstract=${dir}/hidden") },
        { "unix:runtime listens in XDG_RUNTIME_DIR", .run = at_runtime,
          LISTEN("unix:runtime=yes") },
        { "tcp listens at a free port", .run = at_tcp,
          .options = { .listen = "tcp:host=127.0.0.1,family=ipv4", .auth = "ANONYMOUS",
                       .extra = "<allow_anonymous/>" } },
        { "what is odd in an address is escaped", .run = at_escaped,
          LISTEN("unix:path=${dir}/a%20b%2cc") },
        { "of several addresses the last is printed first, each with its own guid",
          .run = at_two, LISTEN("unix:path=${dir}/one;unix:path=${dir}/two") },
        { "--address listens there instead", .run = at_argument,
          .options.arguments = ARGUMENTS("--address=unix:path=${dir}/elsewhere") },
        { "--address ADDRESS as two words", .run = at_argument,
          .options.arguments = ARGUMENTS("--address", "unix:path=${dir}/elsewhere") },
        { "systemd: takes the socket that was passed", .run = at_one_socket,
          .options = { .arguments = ARGUMENTS("--address=systemd:"), .sockets = 1 } },
        { "systemd: takes both sockets that were passed", .run = at_two_sockets,
          .options = { .listen = "systemd:", .sockets = 2 } },
        { "systemd: without a socket is no start", .run = fails,
          .options = { .listen = "systemd:", .no_address = true } },
        { "an unknown transport is no start, and named", .run = fails_by_name,
          .options = { .listen = "dovecote:loft=1", .no_address = true } },
        { "an address without a key is no start", .run = fails,
          .options = { .listen = "unix:", .no_address = true } },
        { "two places in one address are no start", .run = fails,
          .options = { .listen = "unix:path=${dir}/a,abstract=b", .no_address = true } },
        { "a path that cannot be is no start, and named", .run = fails_by_name,
          .options = { .listen = "unix:path=/nonexistent/dovecote", .no_address = true } },
        { "unix:runtime with another value is no start", .run = fails,
          .options = { .listen = "unix:runtime=no", .no_address = true } },

        { "SIGTERM ends the bus with 0 and removes its socket", .run = removes_its_socket },
        { "SIGHUP does not end it", .run = survives_sighup },
        { "a socket left behind is replaced", .run = replaces_a_dead_socket },
        { "a bus may be started again where it was", .run = serves_after_a_full_restart },
        { "<pidfile> is written, and removed in the end", .run = keeps_a_pid_file,
          .options.extra = "<pidfile>${dir}/pid</pidfile>" },
        { "a pid file that is there is no start", .run = fails,
          .options = { .no_address = true, .extra = "<pidfile>${dir}/pid</pidfile>",
                       .files = ARGUMENTS("pid", "1\n") } },
        { "--nopidfile writes none", .run = has_no_pid_file,
          .options = { .extra = "<pidfile>${dir}/pid</pidfile>",
                       .arguments = ARGUMENTS("--nopidfile") } },
        { "systemd is told of start, reload and end", .run_alone = tells_systemd },
};

int main(void)
{
        return scenarios_run("process", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
