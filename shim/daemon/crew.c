/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bus-core/util/alone.h"
#include "shim/bus/log.h"
#include "shim/daemon/crew.h"
#include "shim/daemon/idle.h"

#define DEFAULT_MAX 8   /* workers; who has processors for more may say so */
#define SHAKE_USEC 3000 /* between two changes of SPREAD_RANDOM */

static unsigned int count_processors(cpu_set_t *set)
{
        /* more than a set holds are not for us to count */
        return sched_getaffinity(0, sizeof(*set), set) == 0 ? CPU_COUNT(set) : 1;
}

static unsigned int n_processors(struct crew *crew)
{
        return count_processors(&crew->processors);
}

/* More processors than workers: who waits awake takes none from another worker, nor the last one. */
static void set_wakeful(struct crew *crew)
{
        bool wakeful = n_processors(crew) > crew->n;

        for (unsigned int i = 0; i < crew->n; i++)
                atomic_store_explicit(&crew->workers[i].poller.wakeful, wakeful,
                                      memory_order_relaxed);
}

static void set_n(struct crew *crew, unsigned int n)
{
        crew->n = crew->n_taking = n;
        atomic_store_explicit(&crew->bus->n_workers, n, memory_order_relaxed);
        set_wakeful(crew);
}

/* --- come and go ----------------------------------------------------------------------------- */

static int add_worker(struct crew *crew)
{
        struct worker *worker = &crew->workers[crew->n];
        int r;

        alone_no_more();
        guard_resize(&crew->bus->guard, crew->n + 1);
        r = worker_init(worker, crew->bus, crew->n);
        if (!r)
                r = worker_start(worker);
        if (!r) {
                set_n(crew, crew->n + 1);
                return 0;
        }
        worker_deinit(worker);
        guard_resize(&crew->bus->guard, crew->n);
        if (crew->n == 1)
                alone_again();
        return error_fold(r);
}

static bool all_are_free(const struct crew *crew)
{
        for (unsigned int i = 0; i < crew->n; i++)
                if (!worker_is_free(&crew->workers[i]))
                        return false;
        return true;
}

/* The last one gives all it has to the first. Nobody is about to give it anything. */
static void retire_last(struct crew *crew)
{
        const struct worker_order order = { .task = WORKER_RETIRE, .to = &crew->workers[0] };

        crew->n_taking = crew->n - 1;
        worker_tell(&crew->workers[crew->n - 1], &order);
}

/* It has obeyed, so it is at its end. */
static void see_off_last(struct crew *crew)
{
        struct worker *worker = &crew->workers[crew->n - 1];

        worker_join(worker);
        worker_deinit(worker);
        guard_resize(&crew->bus->guard, crew->n - 1);
        set_n(crew, crew->n - 1);
        if (crew->n == 1)
                alone_again();
}

/* --- on demand ------------------------------------------------------------------------------- */

/* CPU time of a worker, and what it has waited awake, both in all; microseconds. */
static struct crew_clock clock_of(const struct worker *worker)
{
        struct crew_clock c = {};
        struct timespec ts;

        if (clock_gettime(worker->clock, &ts) == 0)
                c.cpu = ts.tv_sec * UINT64_C(1000000) + ts.tv_nsec / 1000;
        c.awake = atomic_load_explicit(&worker->poller.awake_usec, memory_order_relaxed);
        return c;
}

/* Of a window: who waits awake may let others run meanwhile, then that is more than the CPU time. */
static uint64_t worked(struct crew_clock before, struct crew_clock now)
{
        uint64_t cpu = now.cpu - MIN(now.cpu, before.cpu), awake = now.awake - before.awake;

        return cpu - MIN(cpu, awake);
}

static uint64_t all_read(const struct crew *crew)
{
        uint64_t n = 0;

        for (unsigned int i = 0; i < crew->n; i++)
                n += atomic_load_explicit(&crew->workers[i].turn.n_read, memory_order_relaxed);
        return n;
}

/* The next window begins now, with nothing known of the idle time before. */
static void begin_window(struct crew *crew)
{
        crew->last.at = now_usec();
        crew->last.idle = IDLE_UNKNOWN;
        crew->last.read = all_read(crew);
        for (unsigned int i = 0; i < crew->n; i++)
                crew->last.clocks[i] = clock_of(&crew->workers[i]);
}

/* Of a window that took @usec; it is asked for only where it matters. */
static unsigned int idle_in_window(struct crew *crew, uint64_t usec)
{
        uint64_t before = crew->last.idle, now = idle_now(&crew->processors);

        crew->last.idle = now;
        if (now == IDLE_UNKNOWN)
                return SPREAD_UNKNOWN;
        return before == IDLE_UNKNOWN || now < before ? 0 : (now - before) * 1000 / usec;
}

static void end_window(struct crew *crew, struct spread_window *w, unsigned int *busy)
{
        uint64_t now = now_usec(), usec = MAX(now - crew->last.at, UINT64_C(1)), read;
        struct crew_clock clock;

        *w = (struct spread_window){
                .now = now, .n = crew->n, .max = crew->max, .busy = busy,
                .processors = n_processors(crew),
        };
        for (unsigned int i = 0; i < crew->n; i++) {
                clock = clock_of(&crew->workers[i]);
                busy[i] = MIN(worked(crew->last.clocks[i], clock) * 1000 / usec, UINT64_C(1000));
                crew->last.clocks[i] = clock;
        }
        read = all_read(crew);
        w->rate = (read - MIN(read, crew->last.read)) * 1000000 / usec;
        crew->last.read = read;
        crew->last.at = now;
        if (crew->n > 1 || spread_is_saturated(w))
                w->idle = idle_in_window(crew, usec);
        else
                crew->last.idle = IDLE_UNKNOWN;
}

static void tell(struct crew *crew, unsigned int who, enum worker_task task, unsigned int to,
                 unsigned int share)
{
        const struct worker_order order = { .task = task, .to = &crew->workers[to], .share = share };

        if (worker_is_free(&crew->workers[who]))
                worker_tell(&crew->workers[who], &order);
}

static void grow(struct crew *crew)
{
        int r = add_worker(crew);

        if (r) {
                log_limited(LOG_WARNING, "worker", 0, "another worker could not be started: %s",
                            strerror(-r));
                return;
        }
        log_limited(LOG_INFO, "worker", 1, "%u workers: all were busy, and a processor idle",
                    crew->n);
        timer_set(&crew->timer, &crew->workers[0].poller, SPREAD_WINDOW_USEC);
        begin_window(crew);
}

/* Returns true if there is one on its way out; nothing is decided meanwhile. */
static bool is_shrinking(struct crew *crew)
{
        if (crew->shrink && all_are_free(crew)) {
                crew->shrink = false;
                retire_last(crew);
                return true;
        }
        if (crew->n_taking == crew->n)
                return crew->shrink;
        if (!worker_is_free(&crew->workers[crew->n - 1]))
                return true;
        see_off_last(crew);
        log_limited(LOG_INFO, "worker", 2, "%u %s enough again", crew->n,
                    crew->n == 1 ? "worker is" : "workers are");
        begin_window(crew);
        return true;
}

static void end_of_window(struct crew *crew)
{
        unsigned int busy[GUARD_MAX_SLOTS];
        struct spread_window window;
        struct spread_step step;

        if (is_shrinking(crew))
                return;
        end_window(crew, &window, busy);
        step = spread_decide(&crew->spread, &window);
        if (step.verdict == SPREAD_GROW_NOW)
                grow(crew);
        else if (step.verdict == SPREAD_WEIGH)
                tell(crew, step.from, WORKER_WEIGH, step.from, 0);
        else if (step.verdict == SPREAD_MOVE)
                tell(crew, step.from, WORKER_GIVE, step.to, step.share);
        else if (step.verdict == SPREAD_SHRINK)
                crew->shrink = crew->n > 1;
        if (crew->shrink)
                is_shrinking(crew);
}

static void window_is_over(struct timer *timer, struct turn *turn)
{
        struct crew *crew = container_of(timer, struct crew, timer);

        end_of_window(crew);
        if (crew->n > 1)
                timer_set(timer, &crew->workers[0].poller, SPREAD_WINDOW_USEC);
}

/* Every few turns of the main thread; while it is one of several, the timer does it. */
static void look(struct worker *worker)
{
        struct crew *crew = worker->look_data;
        uint64_t now = now_usec();

        if (crew->n > 1 || now - crew->last.at < SPREAD_WINDOW_USEC)
                return;
        end_of_window(crew);
}

/* --- at random ------------------------------------------------------------------------------- */

static void shake(struct timer *timer, struct turn *turn)
{
        struct crew *crew = container_of(timer, struct crew, timer);
        struct worker_order order = { .task = WORKER_SCATTER };
        struct worker *from;
        long what = random() % 32;

        timer_set(timer, &crew->workers[0].poller, SHAKE_USEC);
        if (crew->n_taking < crew->n) {
                if (worker_is_free(&crew->workers[crew->n - 1]))
                        see_off_last(crew);
                return;
        }
        if (crew->n < crew->max && (what == 0 || crew->n == 1)) {
                if (add_worker(crew))
                        log_limited(LOG_WARNING, "worker", 0, "another worker could not be started");
                return;
        }
        if (what == 1 && crew->n > 1 && all_are_free(crew)) {
                retire_last(crew);
                return;
        }
        from = &crew->workers[random() % crew->n];
        order.to = &crew->workers[random() % crew->n];
        if (order.to != from && worker_is_free(from))
                worker_tell(from, &order);
}

/* --- start and end --------------------------------------------------------------------------- */

unsigned int crew_default(void)
{
        cpu_set_t set;

        return MIN(count_processors(&set), (unsigned int)DEFAULT_MAX);
}

int crew_init(struct crew *crew, struct bus *bus, struct worker *workers, unsigned int max,
              enum options_spread mode)
{
        int r;

        *crew = (struct crew){
                .bus = bus, .workers = workers, .max = max, .mode = mode, .spread = SPREAD_NULL,
        };
        r = worker_init(&workers[0], bus, 0);
        set_n(crew, 1);
        return error_fold(r);
}

int crew_start(struct crew *crew)
{
        int r = 0;

        while (!r && crew->mode == SPREAD_ALWAYS && crew->n < crew->max)
                r = add_worker(crew);
        crew->timer.fn = crew->mode == SPREAD_RANDOM ? shake : window_is_over;
        if (!r && crew->mode == SPREAD_RANDOM && crew->max > 1)
                timer_set(&crew->timer, &crew->workers[0].poller, SHAKE_USEC);
        if (!r && crew->mode == SPREAD_ON_DEMAND && crew->max > 1) {
                crew->workers[0].look = look;
                crew->workers[0].look_data = crew;
                begin_window(crew);
        }
        return error_fold(r);
}

int crew_adopt(struct crew *crew, const struct conn_config *config, int fd)
{
        if (crew->next >= crew->n_taking)
                crew->next = 0;
        return error_fold(worker_adopt(&crew->workers[crew->next++], config, fd));
}

void crew_stop(struct crew *crew)
{
        timer_clear(&crew->timer);
        for (unsigned int i = 1; i < crew->n; i++)
                worker_ask_to_stop(&crew->workers[i]);
        for (unsigned int i = 1; i < crew->n; i++)
                worker_join(&crew->workers[i]);
}

void crew_deinit(struct crew *crew)
{
        for (unsigned int i = crew->n; i > 0; i--)
                worker_deinit(&crew->workers[i - 1]);
}
