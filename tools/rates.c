/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bus-core/util/error.h"
#include "tools/figure.h"
#include "tools/rates.h"

#define LABEL_MIN 26 /* columns give way before it gets narrower */

static const char *const sort_names[RATES_SORT_N] = {
        [RATES_BY_MESSAGES] = "messages", [RATES_BY_BYTES] = "bytes",
        [RATES_BY_QUEUE] = "queue",       [RATES_BY_FDS] = "fds",
        [RATES_BY_WAKEUPS] = "wake-ups",  [RATES_BY_PRESSURE] = "pressure",
};

const char *rates_by_name(enum rates_by by)
{
        return by == RATES_MEMBERS ? "member" : view_kind_name((enum stats_kind)by);
}

const char *rates_sort_name(enum rates_sort sort)
{
        return sort_names[sort];
}

/* --- what was done in between ----------------------------------------------------------------- */

static const struct stats_row *find(const struct stats_list *list, const char *name, size_t hint)
{
        if (hint < list->n && !strcmp(list->rows[hint].name, name))
                return &list->rows[hint];
        for (size_t i = 0; i < list->n; i++)
                if (!strcmp(list->rows[i].name, name))
                        return &list->rows[i];
        return NULL;
}

static double rate(uint64_t before, uint64_t now, double seconds)
{
        return seconds > 0 && now > before ? (double)(now - before) / seconds : 0;
}

static void fill(struct rates_row *to, const struct stats_row *before, const struct stats_row *now,
                 double seconds)
{
        to->row = now;
        for (int i = 0; i < COUNT_N; i++)
                to->per_second[i] = rate(before ? before->count[i] : 0, now->count[i], seconds);
}

static void fill_rows(struct rates *out, const struct view *before)
{
        const struct stats_list *now = &out->view->stats.list[out->by];
        const struct stats_list *then = before ? &before->stats.list[out->by] : NULL;

        for (size_t i = 0; i < now->n; i++) {
                const struct stats_row *was = then ? find(then, now->rows[i].name, i) : NULL;
                bool known = was || (then && then->n < RATES_ALL_TOLD);

                fill(&out->rows[out->n++], was, &now->rows[i], known ? out->seconds : 0);
        }
}

static void fill_members(struct rates *out, const struct view *before)
{
        const struct stats *now = &out->view->stats, *then = before ? &before->stats : NULL;

        for (size_t i = 0; i < now->n_messages; i++) {
                const struct stats_message *m = &now->messages[i], *was = NULL;
                struct rates_row *row = &out->rows[out->n++];
                bool known;

                for (size_t j = 0; then && j < then->n_messages && !was; j++)
                        if (!strcmp(then->messages[j].text, m->text))
                                was = &then->messages[j];
                known = was || (then && then->n_messages < RATES_ALL_TOLD);
                row->message = m;
                row->per_second[COUNT_MESSAGES_IN] =
                        rate(was ? was->messages : 0, m->messages, known ? out->seconds : 0);
                row->per_second[COUNT_BYTES_IN] =
                        rate(was ? was->bytes : 0, m->bytes, known ? out->seconds : 0);
        }
}

/* --- order ------------------------------------------------------------------------------------ */

static double held_fds(const struct rates_row *row)
{
        const uint64_t *gauge = row->row ? row->row->gauge : NULL;

        return gauge ? gauge[GAUGE_QUEUED_FDS] + gauge[GAUGE_PARTIAL_FDS] : 0;
}

static double weight(const struct rates_row *row, enum rates_sort sort)
{
        const double *n = row->per_second;

        switch (sort) {
        case RATES_BY_BYTES:
                return n[COUNT_BYTES_IN] + n[COUNT_BYTES_OUT];
        case RATES_BY_QUEUE:
                return row->row ? row->row->gauge[GAUGE_QUEUED_BYTES] : 0;
        case RATES_BY_FDS:
                return held_fds(row);
        case RATES_BY_WAKEUPS:
                return n[COUNT_WAKEUPS];
        case RATES_BY_PRESSURE:
                return row->row ? row->row->pressure : 0;
        default:
                return n[COUNT_MESSAGES_IN] + n[COUNT_MESSAGES_OUT];
        }
}

static const char *name_of(const struct rates_row *row)
{
        return row->row ? row->row->name : row->message->text;
}

/* The heaviest first; of those alike, ":1.9" before ":1.10". */
static int compare(const void *a, const void *b, void *arg)
{
        const struct rates *rates = arg;
        double x = weight(a, rates->sort), y = weight(b, rates->sort);
        size_t n = strlen(name_of(a)), m = strlen(name_of(b));

        if (x != y)
                return (x < y) - (x > y);
        if (n != m && rates->by != RATES_MEMBERS)
                return (n > m) - (n < m);
        return strcmp(name_of(a), name_of(b));
}

int rates_make(struct rates *out, const struct view *before, const struct view *now,
               enum rates_by by, enum rates_sort sort)
{
        size_t n = by == RATES_MEMBERS ? now->stats.n_messages : now->stats.list[by].n;

        out->by = by;
        out->sort = sort;
        out->view = now;
        out->seconds = before && now->at > before->at ? (now->at - before->at) / 1000000.0 : 0;
        out->rows = calloc(n + 1, sizeof(*out->rows));
        if (!out->rows)
                return error_origin(-ENOMEM);
        if (by == RATES_MEMBERS)
                fill_members(out, before);
        else
                fill_rows(out, before);
        fill(&out->total, before ? &before->stats.total : NULL, &now->stats.total, out->seconds);
        qsort_r(out->rows, out->n, sizeof(*out->rows), compare, out);
        return 0;
}

void rates_deinit(struct rates *rates)
{
        free(rates->rows);
        *rates = RATES_NULL;
}

/* --- as a table ------------------------------------------------------------------------------- */

/* The first word of a command, without its directory. */
static void short_command(const char *comm, char *buf, size_t size)
{
        size_t n = strcspn(comm, " ");
        const char *slash = memrchr(comm, '/', n);
        size_t skip = slash ? slash + 1 - comm : 0;

        snprintf(buf, size, "%.*s", (int)(n - skip), comm + skip);
}

static void label(const struct rates *rates, const struct rates_row *row, char *buf, size_t size)
{
        const struct stats_row *process;
        char comm[64] = "", user[64];

        switch (rates->by) {
        case RATES_USERS:
                snprintf(buf, size, "%s", view_user(row->row->name, user, sizeof(user)));
                break;
        case RATES_PROCESSES:
                short_command(row->row->comm, comm, sizeof(comm));
                snprintf(buf, size, "%s %s", row->row->name, comm);
                break;
        case RATES_CONNECTIONS:
                process = find(&rates->view->stats.list[STATS_PROCESSES], row->row->owner, 0);
                if (process && !*row->row->comm)
                        short_command(process->comm, comm, sizeof(comm));
                snprintf(buf, size, "%s %s", row->row->name,
                         *row->row->comm ? row->row->comm : comm);
                break;
        default:
                snprintf(buf, size, "%s", name_of(row));
        }
}

enum column {
        SENT, RECEIVED, BYTES, QUEUE, FDS, WAKEUPS, PRESSURE, RULES, NAMES, WAITING, REFUSED,
        MEMBER_MESSAGES, MEMBER_BYTES, MEMBER_SHARE, MEMBER_TOTAL,
        COLUMN_N,
};

static const struct {
        const char *head;
        size_t width;
        bool counted; /* not known of a bus that does not count */
} columns[COLUMN_N] = {
        [SENT] = { "SENT/S", 7, true },         [RECEIVED] = { "RECV/S", 7, true },
        [BYTES] = { "BYTES/S", 8, true },       [QUEUE] = { "QUEUE", 7, false },
        [FDS] = { "FDS", 5, false },            [WAKEUPS] = { "WAKE/S", 7, true },
        [PRESSURE] = { "FULL%", 6, true },      [RULES] = { "RULES", 6, false },
        [NAMES] = { "NAMES", 6, false },        [WAITING] = { "CALLS", 6, false },
        [REFUSED] = { "REFUSED", 8, true },
        [MEMBER_MESSAGES] = { "MSGS/S", 8, true }, [MEMBER_BYTES] = { "BYTES/S", 8, true },
        [MEMBER_SHARE] = { "SHARE%", 7, true },    [MEMBER_TOTAL] = { "MESSAGES", 9, true },
};

static const char *heads[RATES_N] = {
        [RATES_USERS] = "USER",       [RATES_UNITS] = "UNIT", [RATES_PROCESSES] = "PROCESS",
        [RATES_CONNECTIONS] = "CONNECTION", [RATES_MEMBERS] = "INTERFACE.MEMBER",
};

static void cell(const struct rates *rates, const struct rates_row *row, enum column column,
                 char buf[FIGURE_MAX])
{
        const double *n = row->per_second;
        double all = rates->total.per_second[COUNT_MESSAGES_IN];

        if ((columns[column].counted && !rates->view->has_counts) ||
            (column != NAMES && !rates->view->has_stats)) {
                strcpy(buf, "-");
                return;
        }
        switch (column) {
        case SENT:
        case MEMBER_MESSAGES:
                figure_count(buf, n[COUNT_MESSAGES_IN]);
                break;
        case RECEIVED:
                figure_count(buf, n[COUNT_MESSAGES_OUT]);
                break;
        case BYTES:
        case MEMBER_BYTES:
                figure_bytes(buf, n[COUNT_BYTES_IN] + n[COUNT_BYTES_OUT]);
                break;
        case QUEUE:
                figure_bytes(buf, row->row->gauge[GAUGE_QUEUED_BYTES]);
                break;
        case FDS:
                figure_count(buf, held_fds(row));
                break;
        case WAKEUPS:
                figure_count(buf, n[COUNT_WAKEUPS]);
                break;
        case PRESSURE:
                figure_count(buf, row->row->pressure * 100);
                break;
        case RULES:
                figure_count(buf, row->row->gauge[GAUGE_MATCH_RULES]);
                break;
        case NAMES:
                figure_count(buf, row->row->gauge[GAUGE_NAMES]);
                break;
        case WAITING:
                figure_count(buf, row->row->gauge[GAUGE_CALLS_WAITING]);
                break;
        case REFUSED:
                figure_count(buf, row->row->count[COUNT_REFUSED]);
                break;
        case MEMBER_SHARE:
                figure_count(buf, all > 0 ? MIN(100 * n[COUNT_MESSAGES_IN] / all, 100.0) : 0);
                break;
        default:
                figure_count(buf, row->message->messages);
        }
}

/* The columns that fit beside a label; returns the label's width. */
static size_t choose_columns(const struct rates *rates, size_t width, enum column *first,
                             enum column *end)
{
        bool members = rates->by == RATES_MEMBERS;
        enum column last = members ? COLUMN_N : MEMBER_MESSAGES;

        *first = *end = members ? MEMBER_MESSAGES : SENT;
        while (*end < last && width >= LABEL_MIN + columns[*end].width)
                width -= columns[(*end)++].width;
        return width;
}

/* @text at the left in @width characters */
static size_t pad(char *buf, size_t size, const char *text, size_t width)
{
        size_t n = figure_text(buf, size, text, width), at = strlen(buf);

        while (n++ < width && at + 1 < size)
                buf[at++] = ' ';
        buf[at] = 0;
        return at;
}

void rates_head(const struct rates *rates, char *buf, size_t size, size_t width)
{
        enum column column, end;
        size_t rest = choose_columns(rates, width, &column, &end), at;

        at = pad(buf, size, heads[rates->by], rest);
        for (; column < end; column++)
                at += snprintf(buf + at, size - at, "%*s", (int)columns[column].width,
                               columns[column].head);
}

void rates_line(const struct rates *rates, size_t i, char *buf, size_t size, size_t width)
{
        const struct rates_row *row = &rates->rows[i];
        char text[512], number[FIGURE_MAX];
        enum column column, end;
        size_t rest = choose_columns(rates, width, &column, &end), at;

        label(rates, row, text, sizeof(text));
        at = pad(buf, size, text, rest);
        for (; column < end; column++) {
                cell(rates, row, column, number);
                at += snprintf(buf + at, size - at, "%*s", (int)columns[column].width, number);
        }
}

/* --- as JSON ---------------------------------------------------------------------------------- */

static json_t *per_second(const struct rates_row *row, int n)
{
        json_t *object = json_object();

        for (int i = 0; i < n; i++)
                json_object_set_new(object, count_name(i), json_real(row->per_second[i]));
        return object;
}

static json_t *row_json(const struct rates *rates, const struct rates_row *row)
{
        json_t *object;
        char text[4 * KINDS_TEXT];

        if (row->row) {
                object = view_row_json(row->row, (enum stats_kind)rates->by);
                json_object_set_new(object, "per_second", per_second(row, COUNT_N));
                return object;
        }
        figure_text(text, sizeof(text), row->message->text, SIZE_MAX);
        return json_pack("{s:s,s:I,s:I,s:{s:f,s:f}}", "name", text, "messages",
                         (json_int_t)row->message->messages, "bytes",
                         (json_int_t)row->message->bytes, "per_second", "messages",
                         row->per_second[COUNT_MESSAGES_IN], "bytes",
                         row->per_second[COUNT_BYTES_IN]);
}

json_t *rates_json(const struct rates *rates, size_t max)
{
        json_t *rows = json_array();
        struct timespec now;
        json_int_t usec;

        clock_gettime(CLOCK_REALTIME, &now);
        for (size_t i = 0; i < MIN(rates->n, max); i++)
                json_array_append_new(rows, row_json(rates, &rates->rows[i]));
        usec = (json_int_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
        return json_pack("{s:i,s:I,s:f,s:s,s:s,s:o,s:o,s:O}", "version", VIEW_VERSION, "time_usec",
                         usec, "seconds", rates->seconds, "by", rates_by_name(rates->by), "sort",
                         rates_sort_name(rates->sort), "total", per_second(&rates->total, COUNT_N),
                         "rows", rows, "missing", rates->view->missing);
}
