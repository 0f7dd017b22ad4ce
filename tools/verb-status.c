/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lambusctl status
 *
 * What an administrator looks at first: what bus this is, whether it is well, who uses it, and what
 * it complained about.
 */

#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <syslog.h>

#include "bus-core/util/error.h"
#include "tools/figure.h"
#include "tools/reach.h"
#include "tools/verb.h"
#include "tools/view.h"

#define USERS_SHOWN    8
#define LIMITS_SHOWN   5
#define LOG_SHOWN      5
#define ROWS_JSON      64
#define NEAR           0.8 /* of a limit, where the bus itself warns for the second time */
#define INTERVAL_NSEC  UINT64_C(500000000)

struct status {
        struct reach reach;
        bool json;
        uint64_t interval; /* nanoseconds */
        size_t width;      /* of the terminal */
        struct view first, view;
        unsigned int n_found; /* things that deserve a look */
};

static const char help[] =
        "Usage: lambusctl status [OPTION...]\n\n"
        "What bus is this, is it well, who uses it, and what did it complain about?\n\n"
        "      --system           the system bus (default)\n"
        "      --session          your session's bus\n"
        "      --address=ADDRESS  another one\n"
        "      --interval=TIME    how long messages are counted for the rate (default 500ms;\n"
        "                         0: not at all)\n"
        "      --json             for programs\n\n"
        "Any bus can be asked; what it does not tell is said at the end.\n\n"
        "Exit status: 0 all is well; 1 its configuration is not whole, or a limit is 80 %\n"
        "full; 2 it cannot be asked.\n";

enum { OPT_INTERVAL = OPT_OWN };

static const struct option options[] = {
        { "help", no_argument, NULL, OPT_HELP },
        REACH_OPTIONS,
        { "interval", required_argument, NULL, OPT_INTERVAL },
        { "json", no_argument, NULL, OPT_JSON },
        { NULL, 0, NULL, 0 },
};

/* --- small words ------------------------------------------------------------------------------ */

static const json_t *about(const struct status *s, const char *key)
{
        return json_object_get(s->view.about, key);
}

static const char *text(const json_t *object, const char *key)
{
        const char *value = json_string_value(json_object_get(object, key));

        return value ? value : "";
}

static double number(const json_t *object, const char *key)
{
        return json_number_value(json_object_get(object, key));
}

/* A line that begins with @text, cut to the terminal's width. */
static void put(const struct status *s, size_t used, const char *foreign)
{
        char buf[2048];

        figure_text(buf, sizeof(buf), foreign, s->width > used ? s->width - used : 1);
        puts(buf);
}

static void put_head(const char *head)
{
        printf("%14s: ", head);
}

static const char *plural(uint64_t n)
{
        return n == 1 ? "" : "s";
}

static uint64_t count(const struct status *s, enum count what)
{
        return s->view.stats.total.count[what];
}

static uint64_t gauge(const struct status *s, enum gauge what)
{
        return s->view.stats.total.gauge[what];
}

/* --- the bus ---------------------------------------------------------------------------------- */

static void print_program(const struct status *s)
{
        const char *program = text(s->view.about, "program"), *type = text(s->view.about, "type");
        char buf[FIGURE_MAX], name[256];

        figure_text(name, sizeof(name), *program ? program : "a bus of unknown make", 80);
        fputs(name, stdout);
        if (*type)
                printf(", %s bus", type);
        if (about(s, "pid"))
                printf(", pid %.0f", number(s->view.about, "pid"));
        if (about(s, "uptime_usec"))
                printf(", up %s", figure_time(buf, number(s->view.about, "uptime_usec")));
        putchar('\n');
        put_head("id");
        put(s, 16, text(s->view.about, "id"));
        if (about(s, "address")) {
                put_head("address");
                put(s, 16, text(s->view.about, "address"));
        }
}

static void print_configuration(const struct status *s)
{
        const json_t *config = about(s, "configuration"), *remark;
        const char *failure = text(config, "failure");
        unsigned int reloads = number(config, "reloads");
        char buf[FIGURE_MAX];
        size_t i;

        if (!config)
                return;
        put_head("configuration");
        printf("%s, read %s ago", text(config, "file"),
               figure_time(buf, number(config, "age_usec")));
        if (reloads)
                printf(", read again %u time%s", reloads, plural(reloads));
        putchar('\n');
        if (*failure) {
                printf("%14s  ! the last reload failed, the old one is kept: ", "");
                put(s, 0, failure);
        }
        json_array_foreach(json_object_get(config, "remarks"), i, remark) {
                printf("%14s  ! ", "");
                put(s, 0, json_string_value(remark));
        }
}

static void print_holdings(const struct status *s)
{
        uint64_t incomplete = number(s->view.about, "incomplete_connections");
        uint64_t monitors = number(s->view.about, "monitors");
        uint64_t connections = about(s, "connections") ? number(s->view.about, "connections")
                                                       : s->view.stats.list[STATS_CONNECTIONS].n;

        put_head("connections");
        printf("%" PRIu64, connections);
        if (gauge(s, GAUGE_CONNECTS))
                printf(", %" PRIu64 " ever", gauge(s, GAUGE_CONNECTS));
        if (incomplete)
                printf("; %" PRIu64 " more did not say Hello yet", incomplete);
        if (monitors)
                printf("; %" PRIu64 " monitor%s listen%s to everything", monitors,
                       plural(monitors), monitors == 1 ? "s" : "");
        putchar('\n');
        put_head("names");
        printf("%" PRIu64, about(s, "names") ? (uint64_t)number(s->view.about, "names")
                                             : gauge(s, GAUGE_NAMES));
        if (about(s, "match_rules") || gauge(s, GAUGE_MATCH_RULES))
                printf(", %" PRIu64 " match rules",
                       about(s, "match_rules") ? (uint64_t)number(s->view.about, "match_rules")
                                               : gauge(s, GAUGE_MATCH_RULES));
        putchar('\n');
}

static double messages_per_second(const struct status *s)
{
        uint64_t before = s->first.stats.total.count[COUNT_MESSAGES_IN];
        uint64_t usec = s->view.at - s->first.at;

        /* our own GetStats and GetId are no news */
        return (double)(MAX(count(s, COUNT_MESSAGES_IN), before + 2) - before - 2) * 1000000 / usec;
}

static void print_work(const struct status *s)
{
        double uptime = number(s->view.about, "uptime_usec") / 1000000;
        uint64_t n = count(s, COUNT_MESSAGES_IN);
        char a[FIGURE_MAX], b[FIGURE_MAX], c[FIGURE_MAX];

        if (s->view.has_counts) {
                put_head("messages");
                if (s->first.at)
                        printf("%s per second now, ", figure_count(a, messages_per_second(s)));
                printf("%s on the average, %s in all (%s)\n",
                       figure_count(b, uptime > 0 ? n / uptime : 0), figure_count(c, n),
                       figure_size(a, count(s, COUNT_BYTES_IN)));
        }
        if (!s->view.has_stats)
                return;
        put_head("charged");
        printf("%s of messages in queues", figure_size(a, gauge(s, GAUGE_QUEUED_BYTES)));
        if (gauge(s, GAUGE_PARTIAL_BYTES))
                printf(", %s of incomplete ones", figure_size(b, gauge(s, GAUGE_PARTIAL_BYTES)));
        if (gauge(s, GAUGE_QUEUED_FDS) + gauge(s, GAUGE_PARTIAL_FDS))
                printf(", %" PRIu64 " descriptors",
                       gauge(s, GAUGE_QUEUED_FDS) + gauge(s, GAUGE_PARTIAL_FDS));
        if (gauge(s, GAUGE_CALLS_WAITING))
                printf("; %" PRIu64 " calls wait for an answer", gauge(s, GAUGE_CALLS_WAITING));
        putchar('\n');
}

static void print_trouble(const struct status *s)
{
        if (!s->view.has_counts)
                return;
        put_head("trouble");
        printf("%" PRIu64 " messages refused, %" PRIu64 " lost, %" PRIu64
               " times a sender held back, %" PRIu64 " connection%s ended by force\n",
               count(s, COUNT_REFUSED), count(s, COUNT_LOST), count(s, COUNT_HELD),
               gauge(s, GAUGE_FORCED), plural(gauge(s, GAUGE_FORCED)));
}

static void print_activations(const struct status *s)
{
        const json_t *all = about(s, "activations"), *a;
        char buf[FIGURE_MAX];
        size_t i;

        if (!all)
                return;
        if (!json_array_size(all)) {
                put_head("starting");
                puts("no service");
        }
        json_array_foreach((json_t *)all, i, a) {
                put_head(i ? "" : "starting");
                printf("%s, for %s; %.0f wait\n", text(a, "name"),
                       figure_time(buf, number(a, "age_usec")), number(a, "waiters"));
        }
}

/* --- who -------------------------------------------------------------------------------------- */

static void print_users(const struct status *s)
{
        const struct stats_list *users = &s->view.stats.list[STATS_USERS];
        char buf[256], name[64], cell[4][FIGURE_MAX];

        if (!users->n)
                return;
        printf("\n%-20s %11s %8s", "User", "connections", "names");
        if (s->view.has_stats)
                printf(" %8s", "rules");
        if (s->view.has_counts)
                printf(" %9s", "messages");
        if (s->view.has_stats)
                printf(" %8s", "queued");
        if (s->view.has_counts)
                printf(" %8s", "refused");
        putchar('\n');
        for (size_t i = 0; i < MIN(users->n, (size_t)USERS_SHOWN); i++) {
                const struct stats_row *row = &users->rows[i];

                figure_text(name, sizeof(name), view_user(row->name, buf, sizeof(buf)), 20);
                printf("%-20s %11" PRIu64 " %8" PRIu64, name, row->gauge[GAUGE_CONNECTIONS],
                       row->gauge[GAUGE_NAMES]);
                if (s->view.has_stats)
                        printf(" %8" PRIu64, row->gauge[GAUGE_MATCH_RULES]);
                if (s->view.has_counts)
                        printf(" %9s", figure_count(cell[0], row->count[COUNT_MESSAGES_IN]));
                if (s->view.has_stats)
                        printf(" %8s", figure_bytes(cell[1], row->gauge[GAUGE_QUEUED_BYTES]));
                if (s->view.has_counts)
                        printf(" %8s", figure_count(cell[2], row->count[COUNT_REFUSED]));
                putchar('\n');
        }
        if (users->n > USERS_SHOWN)
                printf("and %zu more\n", users->n - USERS_SHOWN);
}

/* "root", or ":1.5 (org.example.Name, pid 7 command)" */
static void describe_who(const struct status *s, const char *who, char *buf, size_t size)
{
        const struct stats_list *connections = &s->view.stats.list[STATS_CONNECTIONS];
        const struct stats_list *processes = &s->view.stats.list[STATS_PROCESSES];
        const struct stats_row *row = NULL, *process = NULL;

        if (!strncmp(who, "uid ", 4)) {
                view_user(who + 4, buf, size);
                return;
        }
        for (size_t i = 0; i < connections->n && !row; i++)
                if (!strcmp(connections->rows[i].name, who))
                        row = &connections->rows[i];
        for (size_t i = 0; row && i < processes->n && !process; i++)
                if (!strcmp(processes->rows[i].name, row->owner))
                        process = &processes->rows[i];
        if (!row)
                snprintf(buf, size, "%s", *who ? who : "the whole bus");
        else
                snprintf(buf, size, "%s (%s%spid %s%s%.*s)", who, row->comm, *row->comm ? ", " : "",
                         row->owner, process && *process->comm ? " " : "",
                         process ? (int)strcspn(process->comm, " ") : 0,
                         process ? process->comm : "");
}

static void print_limits(const struct status *s)
{
        const json_t *limits = about(s, "limits"), *limit;
        char who[512], line[1024];
        size_t i, n_shown = 0;

        json_array_foreach((json_t *)limits, i, limit) {
                double share = number(limit, "now") / MAX(number(limit, "max"), 1.0);

                if (n_shown == LIMITS_SHOWN || share < 0.01)
                        break; /* the fullest come first */
                if (!n_shown++)
                        printf("\nLimits nearest to full\n");
                describe_who(s, text(limit, "who"), who, sizeof(who));
                printf("%5.1f %% ", share * 100);
                snprintf(line, sizeof(line), "%.0f of %s: %s", number(limit, "now"),
                         *text(limit, "text") ? text(limit, "text") : text(limit, "limit"), who);
                put(s, 8, line);
        }
        if (limits && !n_shown)
                printf("\nNo limit is more than 1 %% full.\n");
}

static void print_log(const struct status *s)
{
        static const char *const words[] = { "emergency", "alert", "critical", "error", "warning",
                                             "notice" };
        const json_t *log = about(s, "log"), *line;
        char buf[FIGURE_MAX], when[FIGURE_MAX + 8];
        size_t i;

        if (!json_array_size(log))
                return;
        printf("\nLately\n");
        json_array_foreach((json_t *)log, i, line) {
                size_t priority = number(line, "priority");

                if (i == LOG_SHOWN)
                        break;
                snprintf(when, sizeof(when), "%s ago", figure_time(buf, number(line, "age_usec")));
                printf("%12s  %-8s ", when,
                       priority < ARRAY_SIZE(words) ? words[priority] : "");
                put(s, 0, text(line, "text"));
        }
}

static void print_missing(const struct status *s)
{
        const json_t *line;
        size_t i;

        if (json_array_size(s->view.missing))
                printf("\nNot known\n");
        json_array_foreach(s->view.missing, i, line)
                printf("  %s\n", json_string_value(line));
}

/* --- all together ----------------------------------------------------------------------------- */

static int print_json(const struct status *s)
{
        json_t *all = view_json(&s->view, ROWS_JSON);
        int r;

        if (!all)
                return verb_fail("%s", strerror(ENOMEM));
        if (s->first.at)
                json_object_set_new(all, "messages_per_second", json_real(messages_per_second(s)));
        r = json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
        putchar('\n');
        json_decref(all);
        return r ? verb_fail("it cannot be printed") : VERB_OK;
}

static void print(const struct status *s)
{
        print_program(s);
        print_configuration(s);
        print_holdings(s);
        print_work(s);
        print_trouble(s);
        print_activations(s);
        print_users(s);
        print_limits(s);
        print_log(s);
        print_missing(s);
}

static void judge(struct status *s)
{
        const json_t *config = about(s, "configuration"), *limit;
        size_t i;

        s->n_found = *text(config, "failure") ||
                     json_array_size(json_object_get(config, "remarks"));
        json_array_foreach((json_t *)about(s, "limits"), i, limit)
                s->n_found += number(limit, "now") >= NEAR * number(limit, "max");
}

static int run(struct status *s)
{
        struct timespec pause = { s->interval / 1000000000, s->interval % 1000000000 };
        sd_bus *bus = NULL;
        int r;

        r = reach_open(&bus, &s->reach);
        if (r)
                return r;
        if (s->interval) {
                r = view_take(&s->first, bus);
                if (!r && s->first.has_counts)
                        nanosleep(&pause, NULL);
                if (!s->first.has_counts)
                        view_deinit(&s->first);
        }
        if (!r)
                r = view_take(&s->view, bus);
        sd_bus_flush_close_unref(bus);
        if (r)
                return verb_fail("the bus does not answer: %s", strerror(-r));
        judge(s);
        if (s->json)
                r = print_json(s);
        else
                print(s);
        return r ? r : s->n_found ? VERB_FOUND : VERB_OK;
}

static size_t terminal_width(void)
{
        struct winsize size;

        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col)
                return SIZE_MAX;
        return size.ws_col;
}

static int take_option(void *verb, int opt)
{
        struct status *s = verb;

        switch (opt) {
        case OPT_INTERVAL:
                if (!verb_duration(optarg, &s->interval))
                        return verb_fail("'%s' is no time; write 500ms, 2s", optarg);
                return VERB_OK;
        case OPT_JSON:
                s->json = true;
                return VERB_OK;
        default:
                return reach_take(&s->reach, opt) ? VERB_OK : VERB_FAILED;
        }
}

static const struct verb_options verb = {
        .options = options,
        .letters = "",
        .help = help,
        .take = take_option,
};

int verb_status(int argc, char **argv)
{
        struct status s = { .interval = INTERVAL_NSEC, .width = terminal_width() };
        int r;

        r = verb_read_options(&verb, &s, argc, argv);
        if (r)
                return MAX(r, 0);
        r = run(&s);
        view_deinit(&s.first);
        view_deinit(&s.view);
        return r;
}
