/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The report as one page of HTML
 *
 * No script, no font, no picture from elsewhere: it opens from a mail or a build's artefacts. The
 * plots are SVG; colours follow the reader's choice of light or dark.
 */

#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "bus-core/util/error.h"
#include "tools/report-markup.h"
#include "tools/report.h"

#define PLOT_WIDTH 640
#define PLOT_HEIGHT 220
#define PLOT_LEFT 64
#define PLOT_BOTTOM 34
#define PLOT_TOP 14
#define CURVE_POINTS 80

static const char style[] =
        ":root{color-scheme:light dark;--bg:#fff;--fg:#1c1e21;--dim:#5c6370;--line:#d9dce1;"
        "--card:#f5f6f8;--ref:#2f6fb3;--cand:#c2571a;--good:#1b7f3b;--bad:#b3261e}"
        "@media(prefers-color-scheme:dark){:root{--bg:#16181b;--fg:#e6e7e9;--dim:#9aa1ac;"
        "--line:#363a41;--card:#1f2226;--ref:#6fb0f2;--cand:#f0975a;--good:#5fc77e;--bad:#ff8a80}}"
        "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);"
        "font:16px/1.5 system-ui,sans-serif}main{max-width:62rem;margin:0 auto;padding:1rem}"
        "h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem}"
        ".verdict{border-left:.4rem solid var(--good);background:var(--card);padding:.75rem 1rem;"
        "font-size:1.1rem;margin:1rem 0}.verdict.bad{border-color:var(--bad)}"
        ".dim{color:var(--dim)}.scroll{overflow-x:auto}"
        "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
        "th,td{text-align:right;padding:.3rem .6rem;border-bottom:1px solid var(--line);"
        "white-space:nowrap}th:first-child,td:first-child{text-align:left;white-space:normal;"
        "overflow-wrap:anywhere;min-width:11rem}th{color:var(--dim);font-weight:600}"
        "details{background:var(--card);border-radius:.4rem;margin:.5rem 0;padding:.5rem .8rem}"
        "summary{cursor:pointer;overflow-wrap:anywhere}summary b{color:var(--bad)}"
        "details.known summary b{color:var(--good)}"
        "li{overflow-wrap:anywhere;margin:.2rem 0}ul{padding-left:1.2rem;margin:.4rem 0}"
        "code{font:.85em ui-monospace,monospace;overflow-wrap:anywhere}"
        "svg{width:100%;height:auto;background:var(--card);border-radius:.4rem;display:block}"
        "svg text{fill:var(--dim);font:11px system-ui,sans-serif}th i{display:inline-block;"
        "width:.8rem;height:.8rem;border-radius:.2rem;vertical-align:-.1rem;margin-right:.4rem}"
        ".grid{stroke:var(--line);stroke-width:1}.ref{stroke:var(--ref)}.cand{stroke:var(--cand)}"
        ".curve{fill:none;stroke-width:2}.sides{table-layout:fixed}"
        ".sides th{white-space:normal;overflow-wrap:anywhere;vertical-align:bottom}"
        ".sides td:first-child{min-width:0}"
        /* on a narrow screen a method has a line of its own above its numbers */
        "@media(max-width:36rem){svg text{font-size:17px}th,td{padding:.3rem .2rem}"
        ".methods tr{display:grid;grid-template-columns:repeat(5,1fr);"
        "border-bottom:1px solid var(--line)}.methods th,.methods td{border:0;white-space:normal}"
        ".methods tr>:first-child{grid-column:1/-1;padding-bottom:0}}";

/* ---- text ---- */

/* long names may be broken behind their elements */
static void put_text(FILE *to, const char *text)
{
        while (*text) {
                char piece[64];
                size_t n = MIN(strcspn(text, ".:/") + 1, sizeof(piece) - 1);

                n = strnlen(text, n);
                memcpy(piece, text, n);
                piece[n] = 0;
                text += n;
                markup_text(to, piece);
                if (strchr(".:/", piece[n - 1]) && isalpha((unsigned char)*text))
                        fputs("<wbr>", to);
        }
}

/* ---- plots ---- */

struct plot {
        FILE *to;
        double x_min, x_max, y_max; /* x is logarithmic if x_min is not 0 */
};

static double plot_x(const struct plot *p, double x)
{
        double share = p->x_min > 0 ? log(MAX(x, p->x_min) / p->x_min) / log(p->x_max / p->x_min)
                                    : x / p->x_max;

        return PLOT_LEFT + MIN(MAX(share, 0.0), 1.0) * (PLOT_WIDTH - PLOT_LEFT - 12);
}

static double plot_y(const struct plot *p, double y)
{
        return PLOT_TOP + (1 - y / p->y_max) * (PLOT_HEIGHT - PLOT_TOP - PLOT_BOTTOM);
}

static void plot_begin(const struct plot *p, const char *label)
{
        fprintf(p->to, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">", PLOT_WIDTH,
                PLOT_HEIGHT, label);
}

static void plot_tick_x(const struct plot *p, double x, const char *text)
{
        double at = plot_x(p, x);
        bool last = at > PLOT_WIDTH - 40; /* there is no room for half of the text behind it */

        fprintf(p->to,
                "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
                "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%s</text>",
                at, at, PLOT_TOP, PLOT_HEIGHT - PLOT_BOTTOM, last ? PLOT_WIDTH - 4.0 : at,
                PLOT_HEIGHT - 8, last ? "end" : "middle", text);
}

/* the distance of ticks, about four of them: 1, 2 or 5 and zeros */
static double tick_step(double max)
{
        double ten = pow(10, floor(log10(max / 4))), n = max / 4 / ten;

        return ten * (n > 5 ? 10 : n > 2 ? 5 : n > 1 ? 2 : 1);
}

static void plot_tick_y(const struct plot *p, double y, const char *text)
{
        fprintf(p->to,
                "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
                PLOT_LEFT, PLOT_WIDTH - 12, plot_y(p, y), plot_y(p, y), PLOT_LEFT - 6,
                plot_y(p, y) + 4, text);
}

static const char *short_time(double us, char text[static 32])
{
        if (us < 1000)
                snprintf(text, 32, "%.3g µs", us);
        else if (us < 1000000)
                snprintf(text, 32, "%.3g ms", us / 1000);
        else
                snprintf(text, 32, "%.3g s", us / 1000000);
        return text;
}

static void put_curve(const struct plot *p, const struct histogram *h, const char *class)
{
        fprintf(p->to, "<polyline class=\"curve %s\" points=\"", class);
        for (int i = 0; h->n && i <= CURVE_POINTS; i++) {
                double q = MIN((double)i / CURVE_POINTS, 0.999);

                fprintf(p->to, "%.1f,%.1f ", plot_x(p, (double)histogram_quantile(h, q) / 1000),
                        plot_y(p, q * 100));
        }
        fputs("\"/>", p->to);
}

static void put_latency_plot(const struct report *report, FILE *to)
{
        const struct histogram *a = &report->reference.result.latency.all_round;
        const struct histogram *b = &report->candidate.result.latency.all_round;
        double low = (double)MIN(histogram_quantile(a, 0), histogram_quantile(b, 0)) / 1000;
        double high = (double)MAX(histogram_quantile(a, 0.999), histogram_quantile(b, 0.999)) /
                      1000;
        struct plot p = { .to = to, .x_min = MAX(low, 1.0), .y_max = 100 };
        char text[32];

        if (!a->n || !b->n)
                return;
        p.x_max = MAX(high, p.x_min * 10);
        fputs("<h2>How long calls took</h2><p class=\"dim\">Share of the calls whose reply was "
              "there after this time.</p>", to);
        plot_begin(&p, "distribution of round-trip times");
        for (double x = pow(10, ceil(log10(p.x_min))); x <= p.x_max; x *= 10)
                plot_tick_x(&p, x, short_time(x, text));
        for (int y = 0; y <= 100; y += 25) {
                snprintf(text, sizeof(text), "%d %%", y);
                plot_tick_y(&p, y, text);
        }
        put_curve(&p, a, "ref");
        put_curve(&p, b, "cand");
        fputs("</svg>", to);
}

static double slot_rate(const struct latency *l, uint32_t i)
{
        return (double)l->slots[i] * 1e9 / (double)l->slot_ns;
}

static double peak_rate(const struct latency *l)
{
        double peak = 0;

        for (uint32_t i = 0; i < l->n_slots; i++)
                peak = MAX(peak, slot_rate(l, i));
        return peak;
}

static void put_rate(const struct plot *p, const struct latency *l, const char *class)
{
        fprintf(p->to, "<polyline class=\"curve %s\" points=\"", class);
        for (uint32_t i = 0; i < l->n_slots; i++)
                fprintf(p->to, "%.1f,%.1f ",
                        plot_x(p, ((double)i + 0.5) * (double)l->slot_ns / 1e9),
                        plot_y(p, slot_rate(l, i)));
        fputs("\"/>", p->to);
}

static void put_rate_plot(const struct report *report, FILE *to)
{
        const struct latency *a = &report->reference.result.latency;
        const struct latency *b = &report->candidate.result.latency;
        struct plot p = { .to = to };
        char text[32];

        p.x_max = (double)MAX(report->reference.result.duration_ns,
                              report->candidate.result.duration_ns) / 1e9;
        p.y_max = MAX(peak_rate(a), peak_rate(b)) * 1.05;
        if (p.x_max <= 0 || p.y_max <= 0)
                return;
        fputs("<h2>Throughput</h2><p class=\"dim\">Messages received a second, over the seconds of "
              "the replay.</p>", to);
        plot_begin(&p, "messages a second over time");
        for (double x = 0, step = tick_step(p.x_max); x <= p.x_max; x += step)
                plot_tick_x(&p, x, x > 0 ? short_time(x * 1e6, text) : "0 s");
        for (double y = 0, step = tick_step(p.y_max); y <= p.y_max; y += step) {
                snprintf(text, sizeof(text), y < 1000 ? "%.0f" : "%.3g k", y < 1000 ? y : y / 1000);
                plot_tick_y(&p, y, text);
        }
        put_rate(&p, a, "ref");
        put_rate(&p, b, "cand");
        fputs("</svg>", to);
}

/* ---- tables ---- */

static void put_side_head(const struct report_side *side, const char *what, const char *color,
                          FILE *to)
{
        fprintf(to, "<th><i style=\"background:var(--%s)\"></i>%s:<br>", color, what);
        put_text(to, side->command);
        fputs("</th>", to);
}

static double seconds_of(const struct replay_result *r)
{
        return (double)r->duration_ns / 1e9;
}

static double quantile_of(const struct replay_result *r, double q)
{
        return (double)histogram_quantile(&r->latency.all_round, q) / 1000;
}

static void put_summary(const struct report *report, FILE *to)
{
        const struct report_side *a = &report->reference, *b = &report->candidate;
        const struct replay_result *ra = &a->result, *rb = &b->result;

        fputs("<table class=\"sides\"><tr><th></th>", to);
        put_side_head(a, "reference", "ref", to);
        put_side_head(b, "candidate", "cand", to);
        fprintf(to,
                "</tr><tr><td>messages sent</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td></tr>"
                "<tr><td>received</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td></tr>"
                "<tr><td>time</td><td>%.2f s</td><td>%.2f s</td></tr>"
                "<tr><td>received a second</td><td>%.0f</td><td>%.0f</td></tr>"
                "<tr><td>round trip, median</td><td>%.0f µs</td><td>%.0f µs</td></tr>"
                "<tr><td>99 %% below</td><td>%.0f µs</td><td>%.0f µs</td></tr></table>",
                ra->n_sent, rb->n_sent, ra->n_received, rb->n_received, seconds_of(ra),
                seconds_of(rb), report_rate(ra), report_rate(rb), quantile_of(ra, 0.5),
                quantile_of(rb, 0.5), quantile_of(ra, 0.99), quantile_of(rb, 0.99));
}

static void put_number_cells(const struct latency_method *m, FILE *to)
{
        const struct histogram *h = m->round.n ? &m->round : &m->there;

        fprintf(to, "<td>%.0f</td><td>%.0f</td>", (double)histogram_quantile(h, 0.5) / 1000,
                (double)histogram_quantile(h, 0.99) / 1000);
}

static void put_methods(const struct report *report, FILE *to)
{
        struct report_method rows[REPORT_METHODS];
        size_t n = report_methods(report, rows, ARRAY_SIZE(rows));

        if (!n)
                return;
        fputs("<h2>Methods</h2><p class=\"dim\">Microseconds until the reply, or until delivery "
              "where there is none; the methods called most.</p><div class=\"scroll\">"
              "<table class=\"methods\"><tr>"
              "<th>method</th><th>calls</th><th>ref. median</th><th>p99</th><th>cand. median</th>"
              "<th>p99</th></tr>", to);
        for (size_t i = 0; i < n; i++) {
                fputs("<tr><td>", to);
                put_text(to, rows[i].name);
                fprintf(to, "</td><td>%" PRIu64 "</td>", rows[i].n);
                put_number_cells(rows[i].reference, to);
                put_number_cells(rows[i].candidate, to);
                fputs("</tr>", to);
        }
        fputs("</table></div>", to);
}

/* ---- differences ---- */

static void put_cause(const struct cause *c, FILE *to)
{
        fprintf(to, "<details%s><summary><b>%" PRIu64 " ×</b> ",
                c->reason ? " class=\"known\"" : " open", c->n);
        put_text(to, c->title);
        if (c->reason) {
                fputs("<br><span class=\"dim\">", to);
                put_text(to, c->reason);
                fputs("</span>", to);
        }
        fputs("</summary>", to);
        if (c->n_consequences)
                fprintf(to, "<p>%" PRIu64 " more differences follow from it.</p>",
                        c->n_consequences);
        fputs("<ul>", to);
        for (size_t i = 0; i < c->n_examples; i++) {
                fputs("<li>", to);
                put_text(to, c->examples[i]);
                fputs("</li>", to);
        }
        fputs("</ul><code class=\"dim\">", to);
        put_text(to, c->key);
        fputs("</code></details>", to);
}

static void put_causes(const struct report *report, bool known, const char *heading, FILE *to)
{
        bool any = false;

        for (struct cause *c = report->causes.by_key; c; c = c->hh.next) {
                if (known != !!c->reason)
                        continue;
                if (!any)
                        fprintf(to, "<h2>%s</h2>", heading);
                any = true;
                put_cause(c, to);
        }
}

static void put_verdict(const struct report *report, FILE *to)
{
        if (report->n_unexplained)
                fprintf(to, "<p class=\"verdict bad\">They differ: %zu unexplained %s.</p>",
                        report->n_unexplained, report->n_unexplained == 1 ? "cause" : "causes");
        else
                fprintf(to, "<p class=\"verdict\">No unexplained difference.%s</p>",
                        report->causes.n ? " What differs is known and listed below." : "");
}

int report_html(const struct report *report, FILE *to)
{
        time_t now = time(NULL);
        char date[64] = "";
        struct tm tm;

        if (localtime_r(&now, &tm))
                strftime(date, sizeof(date), "%Y-%m-%d %H:%M %Z", &tm);
        fprintf(to,
                "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"
                "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                "<title>Bus comparison</title><style>%s</style></head><body><main>"
                "<h1>Bus comparison</h1><p class=\"dim\">",
                style);
        put_text(to, report->rec->path);
        fprintf(to, ": %" PRIu64 " messages of %zu peers, compared on %s</p>",
                report->rec->n_messages, report->rec->n_peers, date);
        put_verdict(report, to);
        put_summary(report, to);
        put_causes(report, false, "Unexplained differences", to);
        put_causes(report, true, "Known differences", to);
        put_latency_plot(report, to);
        put_rate_plot(report, to);
        put_methods(report, to);
        fputs("</main></body></html>\n", to);
        return ferror(to) ? error_origin(-EIO) : 0;
}
