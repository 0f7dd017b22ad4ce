/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lambusctl top
 *
 * Who does how much on a bus, every second: on a terminal a screen of its own (top-screen.c), else
 * lines of text, or JSON.
 */

#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/bus/poller.h"
#include "tools/figure.h"
#include "tools/reach.h"
#include "tools/top.h"
#include "tools/verb.h"

#define TEXT_WIDTH 100
#define LINE_MAX_  2048

static const char help[] =
        "Usage: lambusctl top [OPTION...]\n\n"
        "Who does how much on the bus, every second? On a terminal, keys are told at the\n"
        "bottom; else the table is written again and again.\n\n"
        "      --system           the system bus (default)\n"
        "      --session          your session's bus\n"
        "      --address=ADDRESS  another one\n"
        "      --by=WHAT          connection (default), user, unit, process, member\n"
        "      --sort=WHAT        messages (default), bytes, queue, fds, wake-ups, pressure\n"
        "      --delay=TIME       between two looks (default 1s)\n"
        "      --iterations=N     so many times (default: no end)\n"
        "      --rows=N           no more of text and JSON (default: all)\n"
        "      --batch            text, also on a terminal\n"
        "      --json             one object in a line each time\n\n"
        "Exit status: 0, or 2 if the bus cannot be asked.\n";

/* --- looking ---------------------------------------------------------------------------------- */

int top_again(struct top *top)
{
        rates_deinit(&top->rates);
        return error_fold(rates_make(&top->rates, top->before.at ? &top->before : NULL, &top->now,
                                     top->by, top->sort));
}

int top_look(struct top *top)
{
        int r;

        rates_deinit(&top->rates);
        view_deinit(&top->before);
        top->before = top->now;
        top->now = VIEW_NULL;
        r = view_take(&top->now, top->bus);
        if (r)
                return r;
        if (!top->now.has_counts && !top->sort_given) { /* that is what can be told */
                top->sort = RATES_BY_QUEUE;
                top->sort_given = true;
        }
        return error_fold(top_again(top));
}

static const char *text(const struct top *top, const char *key)
{
        const char *value = json_string_value(json_object_get(top->now.about, key));

        return value ? value : "";
}

static double number(const struct top *top, const char *key)
{
        return json_number_value(json_object_get(top->now.about, key));
}

static void header_bus(const struct top *top, char *buf, size_t size)
{
        const struct stats *stats = &top->now.stats;
        const char *program = text(top, "program"), *type = text(top, "type");
        char up[FIGURE_MAX] = "";
        bool told = json_object_get(top->now.about, "connections");
        size_t n;

        if (json_object_get(top->now.about, "uptime_usec"))
                figure_time(up, number(top, "uptime_usec"));
        snprintf(buf, size, "%s%s%s%s%s%s  %.0f connections, %.0f names",
                 *program ? program : "bus", *type ? ", " : "", type, *type ? " bus" : "",
                 *up ? ", up " : "", up,
                 told ? number(top, "connections") : stats->list[STATS_CONNECTIONS].n,
                 told ? number(top, "names") : stats->total.gauge[GAUGE_NAMES]);
        if (!top->now.has_stats)
                return;
        n = strlen(buf);
        snprintf(buf + n, size - n, ", %.0f rules",
                 told ? number(top, "match_rules") : stats->total.gauge[GAUGE_MATCH_RULES]);
}

static void header_work(const struct top *top, char *buf, size_t size)
{
        const double *n = top->rates.total.per_second;
        const uint64_t *held = top->now.stats.total.gauge;
        char cells[5][FIGURE_MAX];

        figure_size(cells[2], held[GAUGE_QUEUED_BYTES]);
        if (!top->now.has_stats) {
                snprintf(buf, size, "no more than who is there can be told");
                return;
        }
        if (!top->now.has_counts) {
                snprintf(buf, size, "%s in queues, messages are not counted by this bus", cells[2]);
                return;
        }
        snprintf(buf, size, "%s messages/s, %s/s, %s in queues, %s wake-ups/s, %s refused/s",
                 figure_count(cells[0], n[COUNT_MESSAGES_IN]),
                 figure_size(cells[1], n[COUNT_BYTES_IN]), cells[2],
                 figure_count(cells[3], n[COUNT_WAKEUPS]),
                 figure_count(cells[4], n[COUNT_REFUSED]));
}

/* The limit that is nearest to full, or why there is little to see. */
static void header_limit(const struct top *top, char *buf, size_t size)
{
        const char *missing = json_string_value(json_array_get(top->now.missing, 0));
        const char *name, *who;
        double now, max;

        *buf = 0;
        if (!json_unpack(top->now.about, "{s:[{s:s,s:s,s:F,s:F}]}", "limits", "limit", &name, "who",
                         &who, "now", &now, "max", &max) && now > 0.01 * max)
                snprintf(buf, size, "nearest to full: %.0f %% of %s%s%s (%.0f of %.0f)",
                         100 * now / max, name, *who ? " of " : "", who, now, max);
        else if (missing)
                snprintf(buf, size, "not known: %s", missing);
        else
                snprintf(buf, size, "no limit is more than 1 %% full");
}

void top_header(const struct top *top, size_t i, char *buf, size_t size, size_t width)
{
        char line[LINE_MAX_] = "";

        if (i == 0)
                header_bus(top, line, sizeof(line));
        else if (i == 1)
                header_work(top, line, sizeof(line));
        else if (i == 2)
                header_limit(top, line, sizeof(line));
        else
                snprintf(line, sizeof(line), "by %s, most %s first%s", rates_by_name(top->by),
                         rates_sort_name(top->sort),
                         top->rates.seconds > 0 ? "" : "; rates come with the second look");
        figure_text(buf, size, line, width);
}

/* --- as text and JSON ------------------------------------------------------------------------- */

enum { OPT_BY = OPT_OWN, OPT_SORT, OPT_ROWS };

static const struct option options[] = {
        { "help", no_argument, NULL, OPT_HELP },
        REACH_OPTIONS,
        { "by", required_argument, NULL, OPT_BY },
        { "sort", required_argument, NULL, OPT_SORT },
        { "delay", required_argument, NULL, 'd' },
        { "iterations", required_argument, NULL, 'n' },
        { "rows", required_argument, NULL, OPT_ROWS },
        { "batch", no_argument, NULL, 'b' },
        { "json", no_argument, NULL, OPT_JSON },
        { NULL, 0, NULL, 0 },
};

struct batch {
        struct reach reach;
        struct top top;
        bool batch, json;
        uint64_t rows;
};

static void print_text(const struct batch *b, uint64_t i)
{
        const struct rates *rates = &b->top.rates;
        char line[LINE_MAX_];

        if (i)
                putchar('\n');
        for (size_t j = 0; j < TOP_HEADER; j++) {
                top_header(&b->top, j, line, sizeof(line), TEXT_WIDTH);
                if (*line)
                        puts(line);
        }
        rates_head(rates, line, sizeof(line), TEXT_WIDTH);
        puts(line);
        for (size_t j = 0; j < MIN(rates->n, (size_t)b->rows); j++) {
                rates_line(rates, j, line, sizeof(line), TEXT_WIDTH);
                puts(line);
        }
}

static int print_json(const struct batch *b)
{
        json_t *object = rates_json(&b->top.rates, b->rows);
        int r;

        if (!object)
                return -ENOMEM;
        r = json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
        json_decref(object);
        putchar('\n');
        return r ? -EIO : 0;
}

/* Rates need two looks, so the first is not shown. */
static int run_batch(struct batch *b)
{
        const struct timespec pause = { b->top.delay / 1000000, b->top.delay % 1000000 * 1000 };
        int r;

        r = top_look(&b->top);
        for (uint64_t i = 0; !r && (!b->top.iterations || i < b->top.iterations); i++) {
                nanosleep(&pause, NULL);
                r = top_look(&b->top);
                if (r)
                        break;
                if (b->json)
                        r = print_json(b);
                else
                        print_text(b, i);
                if (fflush(stdout))
                        break; /* nobody reads it any more */
        }
        return r;
}

static int run(struct batch *b)
{
        int r;

        r = reach_open(&b->top.bus, &b->reach);
        if (r)
                return r;
        r = 1;
        if (!b->batch && !b->json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
                r = top_screen(&b->top);
        if (r > 0)
                r = run_batch(b);
        sd_bus_flush_close_unref(b->top.bus);
        if (r == -ENOTCONN)
                return verb_fail("the bus has gone");
        return r ? verb_fail("%s", strerror(-r)) : VERB_OK;
}

/* --- options ---------------------------------------------------------------------------------- */

static int take_by(struct batch *b, const char *text)
{
        for (int i = 0; i < RATES_N; i++) {
                if (!strcmp(text, rates_by_name(i))) {
                        b->top.by = i;
                        return VERB_OK;
                }
        }
        return verb_fail("'%s' is none of connection, user, unit, process, member", text);
}

static int take_sort(struct batch *b, const char *text)
{
        for (int i = 0; i < RATES_SORT_N; i++) {
                if (!strcmp(text, rates_sort_name(i))) {
                        b->top.sort = i;
                        b->top.sort_given = true;
                        return VERB_OK;
                }
        }
        return verb_fail("'%s' is none of messages, bytes, queue, fds, wake-ups, pressure", text);
}

static int take_number(uint64_t *out, const char *text)
{
        if (!verb_size(text, out) || !*out)
                return verb_fail("'%s' is no number of that", text);
        return VERB_OK;
}

static int take_delay(struct batch *b, const char *text)
{
        uint64_t nsec;

        if (!verb_duration(text, &nsec) || nsec < 10000000)
                return verb_fail("'%s' is no time of 10ms or more; write 500ms, 2s", text);
        b->top.delay = nsec / 1000;
        return VERB_OK;
}

static int take_option(void *verb, int opt)
{
        struct batch *b = verb;

        switch (opt) {
        case OPT_BY:
                return take_by(b, optarg);
        case OPT_SORT:
                return take_sort(b, optarg);
        case OPT_ROWS:
                return take_number(&b->rows, optarg);
        case 'd':
                return take_delay(b, optarg);
        case 'n':
                return take_number(&b->top.iterations, optarg);
        case 'b':
                b->batch = true;
                return VERB_OK;
        case OPT_JSON:
                b->json = true;
                return VERB_OK;
        default:
                return reach_take(&b->reach, opt) ? VERB_OK : VERB_FAILED;
        }
}

static const struct verb_options verb = {
        .options = options,
        .letters = "bd:n:",
        .help = help,
        .take = take_option,
};

int verb_top(int argc, char **argv)
{
        struct batch b = {
                .rows = SIZE_MAX,
                .top.delay = 1000000,
                .top.by = RATES_CONNECTIONS,
        };
        int r;

        setlocale(LC_CTYPE, "");
        r = verb_read_options(&verb, &b, argc, argv);
        if (r)
                return MAX(r, 0);
        r = run(&b);
        rates_deinit(&b.top.rates);
        view_deinit(&b.top.before);
        view_deinit(&b.top.now);
        return r;
}
