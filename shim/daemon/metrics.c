/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shim/bus/log.h"
#include "shim/daemon/metrics.h"

#define DUMP_USEC 10000000 /* whoever takes longer to read a report does not get it */

/* --- the text -------------------------------------------------------------------------------- */

static const char *const kind_names[STATS_N] = {
        [STATS_USERS] = "user",
        [STATS_UNITS] = "unit",
        [STATS_PROCESSES] = "process",
        [STATS_CONNECTIONS] = "connection",
};

static void write_label(FILE *f, const char *name, const char *value)
{
        fprintf(f, "%s=\"", name);
        for (; *value; value++) {
                if (*value == '"' || *value == '\\')
                        fprintf(f, "\\%c", *value);
                else if (*value == '\n')
                        fputs("\\n", f);
                else
                        fputc(*value, f);
        }
        fputc('"', f);
}

static void write_labels(FILE *f, enum stats_kind kind, const struct stats_row *row)
{
        fputc('{', f);
        if (kind == STATS_PROCESSES) {
                write_label(f, "pid", row->name);
                fputc(',', f);
                write_label(f, "comm", row->comm);
                fputc(',', f);
                write_label(f, "unit", row->owner);
        } else {
                write_label(f, kind_names[kind], row->name);
        }
        if (kind == STATS_CONNECTIONS) {
                fputc(',', f);
                write_label(f, "pid", row->owner);
        }
        fputc('}', f);
}

static size_t n_rows(const struct stats_list *list)
{
        return MIN(list->n, (size_t)METRICS_ROWS);
}

static void write_count(FILE *f, const struct stats *stats, enum stats_kind kind, enum count what)
{
        const struct stats_list *list = &stats->list[kind];

        fprintf(f, "# TYPE lambus_%s_%s counter\n", kind_names[kind], count_name(what));
        for (size_t i = 0; i < n_rows(list); i++) {
                if (!list->rows[i].count[what])
                        continue;
                fprintf(f, "lambus_%s_%s_total", kind_names[kind], count_name(what));
                write_labels(f, kind, &list->rows[i]);
                fprintf(f, " %" PRIu64 "\n", list->rows[i].count[what]);
        }
}

static void write_gauge(FILE *f, const struct stats *stats, enum stats_kind kind, enum gauge what)
{
        const struct stats_list *list = &stats->list[kind];

        fprintf(f, "# TYPE lambus_%s_%s gauge\n", kind_names[kind], gauge_name(what));
        for (size_t i = 0; i < n_rows(list); i++) {
                if (!list->rows[i].gauge[what])
                        continue;
                fprintf(f, "lambus_%s_%s", kind_names[kind], gauge_name(what));
                write_labels(f, kind, &list->rows[i]);
                fprintf(f, " %" PRIu64 "\n", list->rows[i].gauge[what]);
        }
}

static void write_pressure(FILE *f, const struct stats *stats, enum stats_kind kind)
{
        const struct stats_list *list = &stats->list[kind];

        fprintf(f, "# TYPE lambus_%s_pressure gauge\n", kind_names[kind]);
        for (size_t i = 0; i < n_rows(list); i++) {
                fprintf(f, "lambus_%s_pressure", kind_names[kind]);
                write_labels(f, kind, &list->rows[i]);
                fprintf(f, " %.4f\n", list->rows[i].pressure);
        }
}

/* The rest of them: no member is called what is in brackets. */
static void write_messages(FILE *f, const struct stats *stats)
{
        size_t n = MIN(stats->n_messages, (size_t)METRICS_ROWS);

        fputs("# TYPE lambus_message_messages counter\n", f);
        for (size_t i = 0; i < n; i++) {
                fputs("lambus_message_messages_total{", f);
                write_label(f, "member", stats->messages[i].text);
                fprintf(f, "} %" PRIu64 "\n", stats->messages[i].messages);
        }
        fprintf(f, "lambus_message_messages_total{member=\"(other)\"} %" PRIu64 "\n",
                stats->other_messages);
        fputs("# TYPE lambus_message_bytes counter\n", f);
        for (size_t i = 0; i < n; i++) {
                fputs("lambus_message_bytes_total{", f);
                write_label(f, "member", stats->messages[i].text);
                fprintf(f, "} %" PRIu64 "\n", stats->messages[i].bytes);
        }
        fprintf(f, "lambus_message_bytes_total{member=\"(other)\"} %" PRIu64 "\n",
                stats->other_bytes);
}

static void write_totals(FILE *f, const struct stats *stats)
{
        fprintf(f, "# TYPE lambus_stats_version gauge\nlambus_stats_version %d\n", STATS_VERSION);
        for (int i = 0; i < COUNT_N; i++)
                fprintf(f, "# TYPE lambus_%s counter\nlambus_%s_total %" PRIu64 "\n",
                        count_name(i), count_name(i), stats->total.count[i]);
        fprintf(f, "# TYPE lambus_connections gauge\nlambus_connections %" PRIu64 "\n",
                stats->total.gauge[GAUGE_CONNECTIONS]);
        fprintf(f, "# TYPE lambus_incomplete_connections gauge\n"
                   "lambus_incomplete_connections %" PRIu64 "\n", stats->n_incomplete);
        fprintf(f, "# TYPE lambus_connects counter\nlambus_connects_total %" PRIu64 "\n",
                stats->total.gauge[GAUGE_CONNECTS]);
        fprintf(f, "# TYPE lambus_forced_disconnects counter\n"
                   "lambus_forced_disconnects_total %" PRIu64 "\n",
                stats->total.gauge[GAUGE_FORCED]);
        fprintf(f, "# TYPE lambus_match_rules gauge\nlambus_match_rules %" PRIu64 "\n",
                stats->n_rules);
        fprintf(f, "# TYPE lambus_names gauge\nlambus_names %" PRIu64 "\n", stats->n_names);
        fprintf(f, "# TYPE lambus_monitors gauge\nlambus_monitors %" PRIu64 "\n",
                stats->n_monitors);
        fprintf(f, "# TYPE lambus_workers gauge\nlambus_workers %" PRIu64 "\n", stats->n_workers);
        fprintf(f, "# TYPE lambus_connections_moved counter\n"
                   "lambus_connections_moved_total %" PRIu64 "\n", stats->n_moved);
}

char *metrics_format(const struct stats *stats, size_t *size)
{
        char *text = NULL;
        FILE *f;

        f = open_memstream(&text, size);
        if (!f)
                return NULL;
        write_totals(f, stats);
        for (int kind = 0; kind < STATS_N; kind++) {
                write_pressure(f, stats, kind);
                for (int i = 0; i < COUNT_N; i++)
                        write_count(f, stats, kind, i);
                for (int i = 0; i < GAUGE_N; i++)
                        write_gauge(f, stats, kind, i);
        }
        write_messages(f, stats);
        fputs("# EOF\n", f);
        if (fclose(f)) {
                free(text);
                return NULL;
        }
        return text;
}

/* --- a report on its way --------------------------------------------------------------------- */

struct dump {
        struct metrics *metrics;
        struct cds_list_head link;
        struct watch watch;
        struct timer timer;
        int fd;
        char *text;
        size_t n, done;
};

static void dump_free(struct dump *dump)
{
        timer_clear(&dump->timer);
        watch_stop(&dump->watch);
        cds_list_del(&dump->link);
        dump->metrics->n_dumps--;
        close(dump->fd);
        free(dump->text);
        free(dump);
}

static void dump_write(struct dump *dump)
{
        ssize_t n;

        while (dump->done < dump->n) {
                n = send(dump->fd, dump->text + dump->done, dump->n - dump->done,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return;
                if (n <= 0)
                        break;
                dump->done += n;
        }
        dump_free(dump);
}

static void dump_event(struct watch *watch, uint32_t events, struct turn *turn)
{
        dump_write(container_of(watch, struct dump, watch));
}

static void dump_late(struct timer *timer, struct turn *turn)
{
        dump_free(container_of(timer, struct dump, timer));
}

static char *report(struct turn *turn, size_t *size)
{
        struct stats stats = STATS_NULL;
        char *text = NULL;
        int r;

        turn_write(turn);
        r = stats_take(&stats, turn);
        turn_release(turn);
        if (!r) {
                stats_sort(&stats);
                text = metrics_format(&stats, size);
        }
        stats_deinit(&stats);
        return text;
}

/* Consumes @fd. */
static void dump_start(struct metrics *metrics, struct turn *turn, int fd)
{
        struct dump *dump = calloc(1, sizeof(*dump));

        if (dump)
                dump->text = report(turn, &dump->n);
        if (!dump || !dump->text) {
                free(dump);
                close(fd);
                return;
        }
        dump->metrics = metrics;
        dump->fd = fd;
        dump->watch.fd = -1;
        dump->timer.fn = dump_late;
        cds_list_add(&dump->link, &metrics->dumps);
        metrics->n_dumps++;
        if (watch_start(&dump->watch, metrics->poller, fd, EPOLLOUT, dump_event)) {
                dump_free(dump);
                return;
        }
        timer_set(&dump->timer, metrics->poller, DUMP_USEC);
}

/* --- who asks -------------------------------------------------------------------------------- */

static bool may_ask(const struct metrics *metrics, int fd)
{
        struct ucred uc = {};
        socklen_t len = sizeof(uc);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &len) < 0 || uc.uid == (uid_t)-1)
                return true; /* TCP */
        if (uc.uid == 0 || uc.uid == metrics->bus->creds->uid)
                return true;
        log_limited(LOG_WARNING, "metrics", uc.uid,
                    "uid %u may not ask for metrics: it is neither root nor the bus's own user",
                    (unsigned)uc.uid);
        return false;
}

static void asked(struct watch *watch, uint32_t events, struct turn *turn)
{
        struct listener *l = container_of(watch, struct listener, watch);
        struct metrics *metrics = container_of(l->all, struct metrics, listeners);
        int fd;

        while ((fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
                if (metrics->n_dumps < METRICS_MAX && may_ask(metrics, fd))
                        dump_start(metrics, turn, fd);
                else
                        close(fd);
        }
}

/* --- start and end --------------------------------------------------------------------------- */

void metrics_init(struct metrics *metrics, struct bus *bus)
{
        const struct conn_config unused = {};

        *metrics = (struct metrics){ .bus = bus };
        CDS_INIT_LIST_HEAD(&metrics->dumps);
        listeners_init(&metrics->listeners, bus, &unused);
}

void metrics_deinit(struct metrics *metrics)
{
        if (metrics->bus)
                listeners_deinit(&metrics->listeners);
}

int metrics_listen(struct metrics *metrics, const char *address, char *why)
{
        return error_fold(listeners_add(&metrics->listeners, address, why));
}

int metrics_start(struct metrics *metrics, struct poller *poller)
{
        struct listener *l;
        int r;

        metrics->poller = poller;
        cds_list_for_each_entry(l, &metrics->listeners.list, link) {
                r = watch_start(&l->watch, poller, l->fd, EPOLLIN, asked);
                if (r)
                        return error_fold(r);
        }
        return 0;
}

void metrics_stop(struct metrics *metrics)
{
        struct dump *dump, *next;

        listeners_stop(&metrics->listeners);
        cds_list_for_each_entry_safe(dump, next, &metrics->dumps, link)
                dump_free(dump);
}
