/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Log: a bus does not wait for whoever should read what it writes, and does not end without a word.
 * Ours alone: the reference stands still until somebody reads.
 */

#define _GNU_SOURCE
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compat-tests/client.h"
#include "compat-tests/scenario.h"

#define REFUSALS 400 /* each of another client, and so each with its line */
#define PIPE     4096

static const struct bus_options options = {
        .policy = "<allow send_destination=\"*\"/><allow receive_sender=\"*\"/>"
                  "<deny own=\"com.example.Denied\"/>",
};

/* The bus's standard error is a pipe with little room; the end to read it at. */
static int start_at_pipe(struct bus *bus)
{
        char *path;
        int fd;

        bus_prepare(bus, &options);
        path = bus_path(bus, "log");
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_ge(fcntl(fd, F_SETPIPE_SZ, PIPE), PIPE);
        bus_spawn(bus);
        free(path);
        return fd;
}

/* An ordinary file for the fixture to look at, and no more of the pipe. */
static void stop_at_pipe(struct bus *bus, int fd, const char *text)
{
        char *path = bus_path(bus, "log");

        unlink(path);
        bus_write(bus, "log", text);
        bus_stop(bus);
        close(fd);
        free(path);
}

static void be_refused(struct bus *bus)
{
        struct client *c = client_connect(bus->address);
        struct message *m;

        m = c ? client_call(c, "RequestName su com.example.Denied 0") : NULL;
        ck_assert_msg(m, "no answer: the bus stands still");
        ck_assert_int_eq(m->type, TYPE_ERROR);
        message_free(m);
        client_free(c);
}

struct tally {
        unsigned int written, lost;
};

/* What a text of whole lines tells of refusals. */
static struct tally tally(const char *text)
{
        struct tally sum = {};
        unsigned int number;
        const char *end;

        for (; (end = strchr(text, '\n')); text = end + 1) {
                ck_assert_msg(!strncmp(text, "lambus-daemon[", 14), "not a line: %.200s", text);
                if (sscanf(strstr(text, "[session") ?: "", "[%*[^]]] %u line", &number) == 1)
                        sum.lost += number; /* twice, if this note fits where a line did not */
                else
                        sum.written += memmem(text, end - text, "Denied", 6) != NULL;
        }
        return sum;
}

/* Reads until so many refusals are written or said to be lost. */
static struct tally read_until(int fd, char *text, size_t size, unsigned int refusals)
{
        size_t n = strlen(text);
        struct tally sum = {};
        ssize_t l;

        for (int i = 0; i < client_timeout(); i++) {
                while (n < size - 1 && (l = read(fd, text + n, size - 1 - n)) > 0)
                        n += l;
                text[n] = 0;
                sum = tally(text);
                if (sum.written + sum.lost >= refusals)
                        break;
                sleep_ms(1);
        }
        ck_assert_uint_eq(sum.written + sum.lost, refusals);
        return sum;
}

static void nobody_reads(void)
{
        char text[2 * REFUSALS * 300] = "";
        struct tally sum;
        struct bus bus;
        int fd;

        fd = start_at_pipe(&bus);
        for (int i = 0; i < REFUSALS; i++)
                be_refused(&bus);
        sum = read_until(fd, text, sizeof(text), REFUSALS);
        ck_assert_uint_gt(sum.written, 1);
        ck_assert_uint_gt(sum.lost, 1);
        be_refused(&bus);
        ck_assert_uint_eq(read_until(fd, text, sizeof(text), REFUSALS + 1).lost, sum.lost);
        stop_at_pipe(&bus, fd, text);
}

/* --- last words ------------------------------------------------------------------------------ */

/* It ends with status 1, and what is wrong, which is called dovecote, is named. */
static void says_why(struct bus *bus)
{
        int status = bus_wait(bus);

        if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) != 1)
                bus_fail(bus, "ended with %#x", status);
        if (!bus_log_has(bus, "dovecote"))
                bus_fail(bus, "does not say what is wrong");
}

/* So few descriptors that it cannot start, but can say so. */
static void too_few_descriptors(void)
{
        static const struct bus_options options = { .no_address = true };
        char wrapper[64];
        struct bus bus;
        int status;

        if (getenv("BUS_WRAPPER"))
                return; /* a tool that needs some as well */
        for (int n = 4; n <= 6; n++) {
                snprintf(wrapper, sizeof(wrapper), "prlimit --nofile=%d:%d", n, n);
                setenv("BUS_WRAPPER", wrapper, 1);
                bus_prepare(&bus, &options);
                bus_spawn(&bus);
                status = bus_wait(&bus);
                if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) != 1)
                        bus_fail(&bus, "ended with %#x", status);
                if (!bus_log_has(&bus, "Failed to start message bus: "))
                        bus_fail(&bus, "ends without a word");
        }
}

#define ARGUMENTS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define STARTED(...)                                                                               \
        .run = says_why, .options = { .arguments = ARGUMENTS(__VA_ARGS__), .no_address = true,     \
                                      .no_fd_check = true }

static const struct scenario scenarios[] = {
        { "an unknown option is named", STARTED("--dovecote") },
        { "a word that is no option is named", STARTED("dovecote") },
        { "a configuration that was given already is named",
          .run = says_why,
          .options = { .arguments = ARGUMENTS("--config-file=/dovecote", "--session"),
                       .own_arguments = true, .no_address = true } },
        { "an address that is none is named", STARTED("--address=dovecote") },
        { "so is one for statistics", STARTED("--metrics=dovecote") },
        { "a kdbus domain that cannot be is named", STARTED("--kdbus=/nonexistent/dovecote") },
        { "also when it goes to the background",
          STARTED("--fork", "--kdbus=/nonexistent/dovecote") },
        { "a program that cannot be executed is named, and its service file",
          TALK("a: StartServiceByName su com.example.S 0 -> error Spawn.ExecFailed",
               "@ log Exec=/nonexistent/dovecote of ", "@ log services/x.service"),
          .options.files = ARGUMENTS("services/x.service",
                                     "[D-BUS Service]\nName=com.example.S\n"
                                     "Exec=/nonexistent/dovecote\n") },
        { "too few descriptors: it does not start, and says so", .run_alone = too_few_descriptors },
        { "nobody reads the log: the bus goes on, and says later how much was lost",
          .run_alone = nobody_reads },
};

int main(void)
{
        return scenarios_run("log", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
