/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The report as JUnit
 *
 * One test case per kind of difference, so that a passing comparison shows what was looked for;
 * a cause without a reason is a failure of its kind's case.
 */

#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "bus-core/util/error.h"
#include "tools/report-markup.h"
#include "tools/report.h"

static size_t count_failed_kinds(const struct report *report)
{
        size_t n = 0;

        for (int kind = 0; kind < CAUSE_KINDS_; kind++)
                for (struct cause *c = report->causes.by_key; c; c = c->hh.next)
                        if ((int)c->kind == kind && !c->reason) {
                                n++;
                                break;
                        }
        return n;
}

static void put_failures(const struct report *report, enum cause_kind kind, FILE *to)
{
        for (struct cause *c = report->causes.by_key; c; c = c->hh.next) {
                if (c->kind != kind)
                        continue;
                fputs(c->reason ? "      <system-out>known: " : "      <failure message=\"", to);
                markup_text(to, c->title);
                if (!c->reason)
                        fputs("\">", to);
                fprintf(to, "\n%" PRIu64 " times, [", c->n);
                markup_text(to, c->key);
                fputs("]\n", to);
                for (size_t i = 0; i < c->n_examples; i++) {
                        markup_text(to, c->examples[i]);
                        fputc('\n', to);
                }
                if (c->reason)
                        markup_text(to, c->reason);
                fputs(c->reason ? "</system-out>\n" : "</failure>\n", to);
        }
}

int report_junit(const struct report *report, FILE *to)
{
        fprintf(to,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                "<testsuites>\n  <testsuite name=\"lambusctl compare\" tests=\"%d\" "
                "failures=\"%zu\" time=\"%.3f\">\n",
                CAUSE_KINDS_, count_failed_kinds(report),
                (double)(report->reference.result.duration_ns +
                         report->candidate.result.duration_ns) /
                        1e9);
        for (int kind = 0; kind < CAUSE_KINDS_; kind++) {
                fprintf(to, "    <testcase classname=\"compare\" name=\"%s\">\n",
                        cause_kind_name((enum cause_kind)kind));
                put_failures(report, (enum cause_kind)kind, to);
                fputs("    </testcase>\n", to);
        }
        fputs("  </testsuite>\n</testsuites>\n", to);
        return ferror(to) ? error_origin(-EIO) : 0;
}
