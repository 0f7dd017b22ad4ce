/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "tools/report.h"

double report_rate(const struct replay_result *result)
{
        return result->duration_ns ? (double)result->n_received * 1e9 / (double)result->duration_ns
                                   : 0;
}

/* ---- methods ---- */

static int by_number(const void *a, const void *b)
{
        const struct report_method *x = a, *y = b;

        return (x->n < y->n) - (x->n > y->n);
}

size_t report_methods(const struct report *report, struct report_method *out, size_t max)
{
        const struct latency *l = &report->reference.result.latency;
        _cleanup_(freep) struct report_method *all = calloc(l->n_methods + 1, sizeof(*all));
        size_t n = 0;

        for (uint32_t i = 0; all && i < l->n_methods; i++) {
                struct latency_method *m = l->methods[i], *other;

                HASH_FIND_STR(report->candidate.result.latency.by_name, m->name, other);
                if (m->there.n + m->round.n && other)
                        all[n++] = (struct report_method){ m->name, m, other,
                                                           MAX(m->round.n, m->there.n) };
        }
        if (!n)
                return 0;
        qsort(all, n, sizeof(*all), by_number);
        n = MIN(n, max);
        memcpy(out, all, n * sizeof(*all));
        return n;
}

/* the time that is told of a method: until the reply if there are any, else until delivery */
static const struct histogram *told(const struct latency_method *m)
{
        return m->round.n ? &m->round : &m->there;
}

static double quantile_us(const struct latency_method *m, double q)
{
        return (double)histogram_quantile(told(m), q) / 1000;
}

/* ---- text ---- */

static void text_side(const struct report_side *side, FILE *to)
{
        const struct replay_result *r = &side->result;

        fprintf(to, "  %-34.34s %9" PRIu64 " %9" PRIu64 " %8.2f s %9.0f/s  %7.0f %7.0f\n",
                side->command, r->n_sent, r->n_received, (double)r->duration_ns / 1e9,
                report_rate(r), (double)histogram_quantile(&r->latency.all_round, 0.5) / 1000,
                (double)histogram_quantile(&r->latency.all_round, 0.99) / 1000);
}

static void text_causes(const struct report *report, bool known, FILE *to)
{
        for (struct cause *c = report->causes.by_key; c; c = c->hh.next) {
                if (known != !!c->reason)
                        continue;
                fprintf(to, "\n  %" PRIu64 " x %s\n", c->n, c->title);
                if (c->n_consequences)
                        fprintf(to, "      and %" PRIu64 " more differences that follow from it\n",
                                c->n_consequences);
                if (c->reason)
                        fprintf(to, "      known: %s\n", c->reason);
                for (size_t i = 0; i < c->n_examples && (!known || i < 1); i++)
                        fprintf(to, "      e.g. %s\n", c->examples[i]);
                fprintf(to, "      [%s]\n", c->key);
        }
}

static void text_methods(const struct report *report, FILE *to)
{
        struct report_method rows[12];
        size_t n = report_methods(report, rows, ARRAY_SIZE(rows));

        if (!n)
                return;
        fprintf(to, "\nLatencies in microseconds, median and 99th percentile:\n"
                    "  %-52s %8s %17s %17s\n", "method", "calls", "reference", "candidate");
        for (size_t i = 0; i < n; i++)
                fprintf(to, "  %-52.52s %8" PRIu64 " %8.0f %8.0f %8.0f %8.0f\n", rows[i].name,
                        rows[i].n, quantile_us(rows[i].reference, 0.5),
                        quantile_us(rows[i].reference, 0.99), quantile_us(rows[i].candidate, 0.5),
                        quantile_us(rows[i].candidate, 0.99));
}

int report_text(const struct report *report, FILE *to)
{
        size_t n_known = report->causes.n - MIN(report->n_unexplained, report->causes.n);

        fprintf(to, "%s: %" PRIu64 " messages of %zu peers\n\n", report->rec->path,
                report->rec->n_messages, report->rec->n_peers);
        fprintf(to, "  %-34s %9s %9s %10s %11s  %7s %7s\n", "", "sent", "received", "time", "rate",
                "median", "p99 us");
        text_side(&report->reference, to);
        text_side(&report->candidate, to);
        text_methods(report, to);
        if (n_known) {
                fprintf(to, "\nKnown differences:\n");
                text_causes(report, true, to);
        }
        if (report->n_unexplained) {
                fprintf(to, "\nUnexplained differences:\n");
                text_causes(report, false, to);
        }
        if (report->causes.n_unlisted)
                fprintf(to, "\n  and %" PRIu64 " differences more that were not looked at\n",
                        report->causes.n_unlisted);
        if (report->n_unexplained)
                fprintf(to, "\nVerdict: they differ; %zu unexplained cause%s, %zu known.\n",
                        report->n_unexplained, report->n_unexplained == 1 ? "" : "s", n_known);
        else
                fprintf(to, "\nVerdict: no unexplained difference; %zu known.\n", n_known);
        return ferror(to) ? error_origin(-EIO) : 0;
}

/* ---- JSON ---- */

static json_t *json_histogram(const struct histogram *h)
{
        return json_pack("{s:I, s:f, s:f, s:f}", "count", (json_int_t)h->n, "p50_us",
                         (double)histogram_quantile(h, 0.5) / 1000, "p90_us",
                         (double)histogram_quantile(h, 0.9) / 1000, "p99_us",
                         (double)histogram_quantile(h, 0.99) / 1000);
}

static json_t *json_side(const struct report_side *side)
{
        const struct replay_result *r = &side->result;

        return json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:o, s:o}", "command", side->command,
                         "sent", (json_int_t)r->n_sent, "received", (json_int_t)r->n_received,
                         "lost", (json_int_t)r->n_lost, "skipped", (json_int_t)r->n_skipped,
                         "seconds", (double)r->duration_ns / 1e9, "received_per_second",
                         report_rate(r), "delivery", json_histogram(&r->latency.all_there),
                         "round_trip", json_histogram(&r->latency.all_round));
}

static json_t *json_cause(const struct cause *c)
{
        json_t *examples = json_array();

        for (size_t i = 0; i < c->n_examples; i++)
                json_array_append_new(examples, json_string(c->examples[i]));
        return json_pack("{s:s, s:s, s:s, s:I, s:I, s:s?, s:o}", "cause", c->key, "kind",
                         cause_kind_name(c->kind), "title", c->title, "count", (json_int_t)c->n,
                         "consequences", (json_int_t)c->n_consequences, "known", c->reason,
                         "examples", examples);
}

static json_t *json_methods(const struct report *report)
{
        struct report_method rows[REPORT_METHODS];
        size_t n = report_methods(report, rows, ARRAY_SIZE(rows));
        json_t *list = json_array();

        for (size_t i = 0; i < n; i++)
                json_array_append_new(
                        list, json_pack("{s:s, s:o, s:o}", "method", rows[i].name, "reference",
                                        json_histogram(told(rows[i].reference)), "candidate",
                                        json_histogram(told(rows[i].candidate))));
        return list;
}

int report_json(const struct report *report, FILE *to)
{
        json_t *causes = json_array(), *root;
        int r;

        for (struct cause *c = report->causes.by_key; c; c = c->hh.next)
                json_array_append_new(causes, json_cause(c));
        root = json_pack("{s:i, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:I, s:b}", "version", 1,
                         "recording", report->rec->path, "messages",
                         (json_int_t)report->rec->n_messages, "peers",
                         (json_int_t)report->rec->n_peers, "reference",
                         json_side(&report->reference), "candidate", json_side(&report->candidate),
                         "methods", json_methods(report), "differences", causes, "unlisted",
                         (json_int_t)report->causes.n_unlisted, "unexplained",
                         (json_int_t)report->n_unexplained, "same", !report->n_unexplained);
        if (!root)
                return error_origin(-ENOMEM);
        r = json_dumpf(root, to, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) || fputc('\n', to) == EOF;
        json_decref(root);
        return r ? error_origin(-EIO) : 0;
}
