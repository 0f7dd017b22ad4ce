/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Metrics: what the bus tells at --metrics is OpenMetrics text, line by line, whatever clients do
 * and call themselves. Ours alone: the reference has no such thing.
 */

#define _GNU_SOURCE
#include <check.h>
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compat-tests/client.h"
#include "compat-tests/scenario.h"

#define SERIES_MAX 65536

/* --- a parser that knows no more than the specification --------------------------------------- */

struct metrics {
        char *text;
        char *series[SERIES_MAX]; /* name and labels, as they stand there */
        double value[SERIES_MAX];
        size_t n;
        char *family[1024];
        size_t n_families;
        bool counter; /* the family at hand */
};

static size_t name_length(const char *p)
{
        size_t n = 0;

        if (isdigit((unsigned char)*p))
                return 0;
        while (isalnum((unsigned char)p[n]) || p[n] == '_' || p[n] == ':')
                n++;
        return n;
}

/* "# TYPE name counter": each once */
static void take_type(struct metrics *m, const char *line)
{
        char name[128], type[16], end;

        ck_assert_msg(sscanf(line, "# TYPE %127s %15s%c", name, type, &end) == 2, "bad line: %s", line);
        ck_assert_msg(name_length(name) == strlen(name), "bad name: %s", line);
        ck_assert_msg(!strcmp(type, "counter") || !strcmp(type, "gauge"), "bad type: %s", line);
        for (size_t i = 0; i < m->n_families; i++)
                ck_assert_msg(strcmp(m->family[i], name), "family twice: %s", line);
        m->counter = !strcmp(type, "counter");
        m->family[m->n_families++] = strdup(name);
}

/* {a="b",c="d"}: the place after it */
static const char *take_labels(const char *p, const char *line)
{
        const char *first = p + 1;

        if (*p != '{')
                return p;
        do {
                size_t n = name_length(++p);

                ck_assert_msg(n > 0 && p[n] == '=' && p[n + 1] == '"', "bad label: %s", line);
                for (const char *q = first; q < p; q++)
                        ck_assert_msg(q[0] != p[0] || strncmp(q, p, n + 2) ||
                                      (q > first && q[-1] != ','), "label twice: %s", line);
                for (p += n + 2; *p != '"'; p++) {
                        ck_assert_msg(*p && (unsigned char)*p >= ' ', "bad label: %s", line);
                        if (*p == '\\') {
                                p++;
                                ck_assert_msg(*p == '\\' || *p == '"' || *p == 'n', "bad escape: %s",
                                              line);
                        }
                }
                p++;
        } while (*p == ',');
        ck_assert_msg(*p == '}', "labels have no end: %s", line);
        return p + 1;
}

static void take_sample(struct metrics *m, const char *line)
{
        const char *family = m->n_families ? m->family[m->n_families - 1] : "", *p;
        size_t n = name_length(line);
        char *end;

        ck_assert_msg(!strncmp(line, family, strlen(family)) &&
                              !strncmp(line + strlen(family), m->counter ? "_total" : "",
                                       n - strlen(family)) &&
                              n == strlen(family) + (m->counter ? 6 : 0),
                      "not of the family %s: %s", family, line);
        p = take_labels(line + n, line);
        ck_assert_msg(*p == ' ', "no value: %s", line);
        ck_assert_uint_lt(m->n, SERIES_MAX);
        m->series[m->n] = strndup(line, p - line);
        m->value[m->n] = strtod(p + 1, &end);
        ck_assert_msg(end > p + 1 && !*end && m->value[m->n] >= 0, "bad value: %s", line);
        m->n++;
}

static int by_text(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static void check_unique(const struct metrics *m)
{
        char **sorted = malloc((m->n + 1) * sizeof(*sorted));

        memcpy(sorted, m->series, m->n * sizeof(*sorted));
        qsort(sorted, m->n, sizeof(*sorted), by_text);
        for (size_t i = 1; i < m->n; i++)
                ck_assert_msg(strcmp(sorted[i - 1], sorted[i]), "twice: %s", sorted[i]);
        free(sorted);
}

static void parse(struct metrics *m, char *text)
{
        char *save, *line;
        bool ended = false;

        *m = (struct metrics){ .text = text };
        ck_assert_msg(strlen(text) > 6 && !strcmp(text + strlen(text) - 6, "# EOF\n"), "no end");
        ck_assert_ptr_null(strstr(text, "\n\n"));
        for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                ck_assert_msg(!ended, "after the end: %s", line);
                if (!strcmp(line, "# EOF"))
                        ended = true;
                else if (line[0] == '#')
                        take_type(m, line);
                else
                        take_sample(m, line);
        }
        check_unique(m);
}

/* --- asking ---------------------------------------------------------------------------------- */

static struct metrics *ask(const struct bus *bus)
{
        static struct metrics m;
        char *address = bus_expand(bus, "unix:path=${dir}/metrics"), *text = calloc(1, 1 << 22);
        size_t n = 0;
        ssize_t l;

        for (int i = 0; i < 100 && !n; i++) { /* it turns away who comes while many ask */
                struct client *c = client_new();

                ck_assert_int_eq(client_open(c, address), 0);
                while ((l = read(c->fd, text + n, (1 << 22) - 1 - n)) > 0)
                        n += l;
                client_free(c);
                sleep_ms(n ? 0 : 10);
        }
        free(address);
        parse(&m, text);
        return &m;
}

static double value_of(const struct metrics *m, const char *series)
{
        for (size_t i = 0; i < m->n; i++)
                if (!strcmp(m->series[i], series))
                        return m->value[i];
        ck_abort_msg("no series %s", series);
        return -1;
}

static bool has(const struct metrics *m, const char *begin, const char *within)
{
        for (size_t i = 0; i < m->n; i++)
                if (!strncmp(m->series[i], begin, strlen(begin)) && strstr(m->series[i], within))
                        return true;
        return false;
}

/* --- tests ----------------------------------------------------------------------------------- */

static void numbers_are_right(struct bus *bus)
{
        struct client *a = client_connect(bus->address), *b = client_connect(bus->address);
        struct metrics *m = ask(bus);
        double before = value_of(m, "lambus_messages_in_total"), rules;

        ck_assert_double_eq(value_of(m, "lambus_connections"), 2);
        ck_assert_double_eq(value_of(m, "lambus_names"), 2);
        ck_assert_double_ge(value_of(m, "lambus_workers"), 1);
        ck_assert_double_ge(value_of(m, "lambus_connections_moved_total"), 0);
        rules = value_of(m, "lambus_match_rules");
        message_free(client_call(a, "AddMatch s type='signal',member='X'"));
        for (int i = 0; i < 9; i++)
                message_free(client_call(a, "GetId"));
        client_free(b);
        client_settle(a);
        m = ask(bus);
        ck_assert_double_eq(value_of(m, "lambus_messages_in_total"), before + 11);
        ck_assert_double_eq(value_of(m, "lambus_match_rules"), rules + 1);
        ck_assert_double_eq(value_of(m, "lambus_connections"), 1);
        ck_assert_double_eq(value_of(m, "lambus_connects_total"), 3); /* the fixture had one, too */
        ck_assert_double_eq(value_of(m, "lambus_message_messages_total{member=\"org.freedesktop.DBus."
                                        "GetId\"}"), 9);
        client_free(a);
}

/* What clients make up is in the text, and must not end it or be in it twice. */
static void odd_messages(struct bus *bus)
{
        struct client *a = client_connect(bus->address);
        char text[600];

        client_send_text(a, "call other if=- path=/x flags=1");
        client_send_text(a, "signal com.example.other path=/x to=-");
        for (int i = 0; i < 3; i++) {
                snprintf(text, sizeof(text), "signal com.%0*d.%c%d.Member path=/x to=-", 200, 0, 'a', i);
                text[strcspn(text, "0")] = '_';
                client_send_text(a, text);
        }
        for (int i = 0; i < 3000; i++) {
                snprintf(text, sizeof(text), "signal com.example.If.M%d path=/x to=-", i);
                client_send_text(a, text);
        }
        client_settle(a);
        for (int i = 0; i < 500; i++) /* the frequent ones are shown */
                client_send_text(a, "call other if=- path=/x flags=1");
        client_settle(a);
        ck_assert(has(ask(bus), "lambus_message_messages_total", "member=\"other\""));
        client_free(a);
}

static pid_t run_client(const struct bus *bus, const char *program, const char *name)
{
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (!pid) {
                setenv("STRANGE_BUS", bus->address, 1);
                execl(program, name, (char *)NULL);
                _exit(1);
        }
        return pid;
}

static void odd_names_of_processes(struct bus *bus)
{
        char self[4096];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        pid_t pid;
        bool found = false;

        ck_assert_int_gt(n, 0);
        self[n] = 0;
        pid = run_client(bus, self, "a\"b\\c\nd\te\303\244}{,=");
        for (int i = 0; i < 200 && !found; i++) {
                sleep_ms(10);
                found = has(ask(bus), "lambus_process_", "comm=\"a\\\"b\\\\c");
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        ck_assert(found);
}

static void many_connections(struct bus *bus)
{
        struct client *c[200];

        for (int i = 0; i < 200; i++) {
                c[i] = client_connect(bus->address);
                ck_assert_ptr_nonnull(c[i]);
        }
        ck_assert_double_eq(value_of(ask(bus), "lambus_connections"), 200);
        for (int i = 0; i < 200; i++)
                client_free(c[i]);
}

/* Whoever does not take the text keeps no more than so many of them, and nobody else from it. */
static void not_reading(struct bus *bus)
{
        char *address = bus_expand(bus, "unix:path=${dir}/metrics");
        struct client *c[30], *a = client_connect(bus->address);

        for (int i = 0; i < 30; i++) {
                c[i] = client_new();
                ck_assert_int_eq(client_open(c[i], address), 0);
        }
        ck_assert_int_eq(client_settle(a), 0);
        for (int i = 0; i < 30; i++)
                client_free(c[i]);
        ck_assert_double_eq(value_of(ask(bus), "lambus_connections"), 1);
        client_free(a);
        free(address);
}

#define METRICS .options.arguments = (const char *const[]){ "--metrics=unix:path=${dir}/metrics", NULL }

static const struct scenario scenarios[] = {
        { "numbers are what was done", .run = numbers_are_right, METRICS },
        { "interfaces and members that clients make up", .run = odd_messages, METRICS },
        { "processes with odd names", .run = odd_names_of_processes, METRICS },
        { "two hundred connections", .run = many_connections, METRICS },
        { "askers who do not read", .run = not_reading, METRICS },
};

int main(void)
{
        if (getenv("STRANGE_BUS")) { /* run_client() */
                client_connect(getenv("STRANGE_BUS"));
                pause();
                return 0;
        }
        return scenarios_run("metrics", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
