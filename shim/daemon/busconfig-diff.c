/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/daemon/busconfig-private.h"

#define SHOWN_MAX 6 /* of each kind, in one line */

/* a log line that grows */
struct report {
        char *text;
        size_t size;
        FILE *out;
};

static int report_open(struct report *report)
{
        *report = (struct report){ 0 };
        report->out = open_memstream(&report->text, &report->size);
        return report->out ? 0 : error_origin(-ENOMEM);
}

/* hand it over, unless it says nothing */
static int report_close(struct report *report, bool any, busconfig_change_fn *fn, void *arg)
{
        int r = fclose(report->out) ? error_origin(-ENOMEM) : 0;

        if (!r && any)
                fn(arg, report->text);
        free(report->text);
        return r;
}

static void say_item(struct report *report, size_t i, const char *item)
{
        if (i < SHOWN_MAX)
                fprintf(report->out, "%s%s", i ? "; " : ": ", item);
}

static void say_rest(struct report *report, size_t n)
{
        if (n > SHOWN_MAX)
                fprintf(report->out, "; and %zu more", n - SHOWN_MAX);
}

static int by_text(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* say what sorted @a has and sorted @b lacks; how many these are */
static size_t say_missing(struct report *report, char *const *a, size_t n_a, char *const *b,
                          size_t n_b)
{
        size_t i, k = 0, n = 0;

        for (i = 0; i < n_a; ++i) {
                while (k < n_b && strcmp(b[k], a[i]) < 0)
                        ++k;
                if (k < n_b && strcmp(b[k], a[i]) == 0)
                        ++k;
                else
                        say_item(report, n++, a[i]);
        }
        say_rest(report, n);
        return n;
}

/**
 * busconfig_diff_texts() - report what one list has and the other has not
 * @what:       "rules"
 * @from:       sorted here, and so is @to
 */
int busconfig_diff_texts(const char *what, char **from, size_t n_from, char **to, size_t n_to,
                         busconfig_change_fn *fn, void *arg)
{
        struct report added, removed;
        char *both = NULL;
        size_t plus, minus;
        int r;

        if (n_from)
                qsort(from, n_from, sizeof(*from), by_text);
        if (n_to)
                qsort(to, n_to, sizeof(*to), by_text);
        r = report_open(&added);
        if (r)
                return error_fold(r);
        r = report_open(&removed);
        if (r) {
                report_close(&added, false, fn, arg);
                return error_fold(r);
        }
        plus = say_missing(&added, to, n_to, from, n_from);
        minus = say_missing(&removed, from, n_from, to, n_to);
        if (fflush(added.out) || fflush(removed.out) ||
            asprintf(&both, "%s: %zu added%s, %zu removed%s", what, plus, added.text, minus,
                     removed.text) < 0) {
                both = NULL;
                r = error_origin(-ENOMEM);
        }
        report_close(&added, false, fn, arg);
        report_close(&removed, false, fn, arg);
        if (!r && (plus || minus))
                fn(arg, both);
        free(both);
        return r;
}

struct texts {
        char **v;
        size_t n;
};

static void texts_deinit(struct texts *texts)
{
        for (size_t i = 0; i < texts->n; ++i)
                free(texts->v[i]);
        free(texts->v);
}

static bool same_texts(const struct texts *a, const struct texts *b)
{
        for (size_t i = 0; i < a->n; ++i)
                if (strcmp(a->v[i], b->v[i]) != 0)
                        return false;
        return true;
}

/* each rule with its policy, without its origin: a rule that only moved has not changed */
static int rules_of(struct texts *texts, const struct busconfig *config)
{
        const struct policy_rule *rule;
        char text[BUSCONFIG_TEXT_MAX];
        char *origin;
        int r = 0;

        for (size_t i = 0; !r && (rule = policy_merged_at(config->policy, i)); ++i) {
                r = policy_rule_describe(rule, text, sizeof(text));
                origin = strrchr(text, '(');
                if (origin > text)
                        origin[-1] = '\0';
                if (!r)
                        r = strings_append(&texts->v, &texts->n, text);
        }
        return error_fold(r);
}

static int diff_rules(const struct busconfig *from, const struct busconfig *to,
                      busconfig_change_fn *fn, void *arg)
{
        _cleanup_(texts_deinit) struct texts a = { 0 }, b = { 0 };
        bool moved;
        int r;

        r = rules_of(&a, from);
        if (!r)
                r = rules_of(&b, to);
        if (r)
                return error_fold(r);
        moved = a.n == b.n && !same_texts(&a, &b);
        r = busconfig_diff_texts("rules", a.v, a.n, b.v, b.n, fn, arg);
        if (!r && moved && same_texts(&a, &b)) /* now that they are sorted */
                fn(arg, "rules: the same in another order");
        return error_fold(r);
}

static void say_value(FILE *out, uint64_t value)
{
        if (value == LIMIT_NEVER)
                fputs("never", out);
        else
                fprintf(out, "%" PRIu64, value);
}

static int diff_limits(const struct busconfig *from, const struct busconfig *to,
                       busconfig_change_fn *fn, void *arg)
{
        struct limits old = from->limits, new = to->limits;
        struct report report;
        size_t n = 0;
        int r;

        r = report_open(&report);
        if (r)
                return error_fold(r);
        fputs("limits", report.out);
        for (size_t i = 0; i < LIMITS_N; ++i) {
                if (*limit_at(&old, i) == *limit_at(&new, i))
                        continue;
                fprintf(report.out, "%s%s ", n++ ? "; " : ": ", limit_describe(i)->name);
                say_value(report.out, *limit_at(&old, i));
                fputs(" is now ", report.out);
                say_value(report.out, *limit_at(&new, i));
                if (to->limit_origin[i].file)
                        fprintf(report.out, " (%s:%u)", to->limit_origin[i].file,
                                to->limit_origin[i].line);
                else
                        fputs(" (built in)", report.out);
        }
        return error_fold(report_close(&report, n > 0, fn, arg));
}

static int overrides_of(struct texts *texts, const struct busconfig *config)
{
        const struct limit_override *o;
        char text[BUSCONFIG_TEXT_MAX];
        int r = 0;

        for (size_t i = 0; !r && i < config->n_overrides; ++i) {
                o = &config->overrides[i];
                busconfig_describe_override(o, text, sizeof(text));
                r = strings_append(&texts->v, &texts->n, text);
        }
        return error_fold(r);
}

static int diff_overrides(const struct busconfig *from, const struct busconfig *to,
                          busconfig_change_fn *fn, void *arg)
{
        _cleanup_(texts_deinit) struct texts a = { 0 }, b = { 0 };
        int r;

        r = overrides_of(&a, from);
        if (!r)
                r = overrides_of(&b, to);
        if (!r)
                r = busconfig_diff_texts("overrides of limits", a.v, a.n, b.v, b.n, fn, arg);
        return error_fold(r);
}

static int dirs_of(struct texts *texts, const struct busconfig *config)
{
        int r = 0;

        for (size_t i = 0; !r && i < config->n_servicedirs; ++i)
                r = strings_append(&texts->v, &texts->n, config->servicedirs[i].path);
        return error_fold(r);
}

static int diff_dirs(const struct busconfig *from, const struct busconfig *to,
                     busconfig_change_fn *fn, void *arg)
{
        _cleanup_(texts_deinit) struct texts a = { 0 }, b = { 0 };
        int r;

        r = dirs_of(&a, from);
        if (!r)
                r = dirs_of(&b, to);
        if (!r)
                r = busconfig_diff_texts("service directories", a.v, a.n, b.v, b.n, fn, arg);
        return error_fold(r);
}

/**
 * busconfig_diff() - what a new configuration changes
 * @fn:         called once for each group in which something has changed
 */
int busconfig_diff(const struct busconfig *from, const struct busconfig *to,
                   busconfig_change_fn *fn, void *arg)
{
        int r;

        r = diff_rules(from, to, fn, arg);
        if (!r)
                r = diff_limits(from, to, fn, arg);
        if (!r)
                r = diff_overrides(from, to, fn, arg);
        if (!r)
                r = diff_dirs(from, to, fn, arg);
        return error_fold(r);
}
