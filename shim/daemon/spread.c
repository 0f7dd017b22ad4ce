/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdlib.h>

#include "bus-core/core.h"
#include "shim/daemon/spread.h"

#define UNEVEN 300      /* difference of two workers that is worth a move, permille */
#define UNEVEN_MOVE 3   /* windows that it has to last */
#define MOVE_REST 5     /* windows between two moves */
#define PAYS 5          /* percent */

static bool saturated(unsigned int busy)
{
        return busy >= SPREAD_SATURATED;
}

bool spread_is_saturated(const struct spread_window *w)
{
        for (unsigned int i = 0; i < w->n; i++)
                if (!saturated(w->busy[i]))
                        return false;
        return true;
}

/* One worker less would do. */
static bool is_easy(const struct spread_window *w)
{
        unsigned int sum = 0;

        for (unsigned int i = 0; i < w->n; i++)
                sum += w->busy[i];
        return sum <= (w->n - 1) * SPREAD_EASY;
}

static bool has_room(const struct spread_window *w)
{
        if (w->n >= w->max || w->n >= w->processors)
                return false;
        return w->idle == SPREAD_UNKNOWN ? w->processors >= w->n + 2 : w->idle >= SPREAD_ROOM;
}

/* Returns true once it holds for @enough windows in a row; then it begins anew. */
static bool streak(struct spread_streak *s, bool holds, uint64_t rate, unsigned int enough,
                   uint64_t *mean)
{
        if (!holds) {
                *s = (struct spread_streak){};
                return false;
        }
        s->n++;
        s->sum += rate;
        if (s->n < enough)
                return false;
        *mean = s->sum / s->n;
        *s = (struct spread_streak){};
        return true;
}

/* --- trials ---------------------------------------------------------------------------------- */

static void begin_trial(struct spread *s, enum spread_trial what, uint64_t before)
{
        s->trial.what = what;
        s->trial.n = 0;
        s->trial.before = before;
        s->n_relaxed = s->n_uneven = s->rest = 0;
        s->saturated = s->crowded = (struct spread_streak){};
}

static void end_trial(struct spread *s, uint64_t now, bool well)
{
        s->trial.what = SPREAD_NO_TRIAL;
        if (well) {
                s->backoff = SPREAD_BACKOFF_USEC;
                return;
        }
        s->not_before = now + s->backoff;
        s->backoff = MIN(2 * s->backoff, (uint64_t)SPREAD_BACKOFF_MAX);
}

static int by_size(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

/* The trial goes on, or ends with this step. */
static enum spread_verdict judge(struct spread *s, const struct spread_window *w)
{
        enum spread_trial what = s->trial.what;
        unsigned int n;
        uint64_t median;

        if (what == SPREAD_HAS_GROWN && w->n > 1 && is_easy(w)) {
                s->trial.what = SPREAD_NO_TRIAL; /* there is less to do: that proves nothing */
                return SPREAD_STAY;
        }
        n = ++s->trial.n;
        if (n <= SPREAD_SETTLE)
                return SPREAD_STAY;
        s->trial.rates[n - SPREAD_SETTLE - 1] = w->rate;
        if (n < SPREAD_SETTLE + SPREAD_TRIAL)
                return SPREAD_STAY;
        qsort(s->trial.rates, SPREAD_TRIAL, sizeof(*s->trial.rates), by_size);
        median = s->trial.rates[SPREAD_TRIAL / 2];
        if (what == SPREAD_HAS_GROWN) {
                end_trial(s, w->now, median >= s->trial.before / 100 * (100 + PAYS));
                return s->not_before > w->now ? SPREAD_SHRINK : SPREAD_STAY;
        }
        end_trial(s, w->now, false);
        return median < s->trial.before / 100 * (100 - PAYS) ? SPREAD_GROW_NOW : SPREAD_STAY;
}

/* --- the rest -------------------------------------------------------------------------------- */

static struct spread_step level(struct spread *s, const struct spread_window *w)
{
        struct spread_step step = {};
        unsigned int most, least;

        for (unsigned int i = 1; i < w->n; i++) {
                if (w->busy[i] > w->busy[step.from])
                        step.from = i;
                if (w->busy[i] < w->busy[step.to])
                        step.to = i;
        }
        most = w->busy[step.from];
        least = w->busy[step.to];
        if (s->rest || !saturated(most) || most < least + UNEVEN) {
                s->rest -= s->rest > 0;
                s->n_uneven = 0;
                return (struct spread_step){};
        }
        if (++s->n_uneven < UNEVEN_MOVE) {
                step.verdict = s->n_uneven == 1 ? SPREAD_WEIGH : SPREAD_STAY;
                return step;
        }
        s->n_uneven = 0;
        s->rest = MOVE_REST;
        step.verdict = SPREAD_MOVE;
        step.share = (most - least) * 500 / most;
        return step;
}

struct spread_step spread_decide(struct spread *s, const struct spread_window *w)
{
        struct spread_step step = {};
        uint64_t before = 0;
        bool may_try = w->now >= s->not_before;

        if (s->trial.what)
                step.verdict = judge(s, w);
        if (step.verdict)
                return step;
        if (!s->trial.what) {
                if (streak(&s->saturated, may_try && spread_is_saturated(w) && has_room(w), w->rate,
                           SPREAD_GROW, &before)) {
                        begin_trial(s, SPREAD_HAS_GROWN, before);
                        step.verdict = SPREAD_GROW_NOW;
                        return step;
                }
                s->n_relaxed = w->n > 1 && is_easy(w) ? s->n_relaxed + 1 : 0;
                if (s->n_relaxed >= SPREAD_RELAX) {
                        s->n_relaxed = 0;
                        step.verdict = SPREAD_SHRINK;
                        return step;
                }
                if (streak(&s->crowded, may_try && w->n > 1 && w->idle < SPREAD_CROWDED, w->rate,
                           SPREAD_CROWD, &before)) {
                        begin_trial(s, SPREAD_HAS_SHRUNK, before);
                        step.verdict = SPREAD_SHRINK;
                        return step;
                }
        }
        return w->n > 1 ? level(s, w) : step;
}
