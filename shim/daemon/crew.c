/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <sched.h>
#include <stdlib.h>

#include "bus-core/util/alone.h"
#include "shim/bus/log.h"
#include "shim/daemon/crew.h"

#define SHAKE_USEC 3000 /* between two changes of SPREAD_RANDOM */

static unsigned int n_processors(void)
{
        cpu_set_t set;

        return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* More processors than workers: who waits awake takes none from another worker, nor the last one. */
static void set_wakeful(struct crew *crew)
{
        bool wakeful = n_processors() > crew->n;

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

int crew_init(struct crew *crew, struct bus *bus, struct worker *workers, unsigned int max,
              enum options_spread spread)
{
        *crew = (struct crew){
                .bus = bus, .workers = workers, .max = max, .spread = spread,
        };
        set_n(crew, 1);
        return error_fold(worker_init(&workers[0], bus, 0));
}

int crew_start(struct crew *crew)
{
        int r = 0;

        while (!r && crew->spread == SPREAD_ALWAYS && crew->n < crew->max)
                r = add_worker(crew);
        if (!r && crew->spread == SPREAD_RANDOM && crew->max > 1) {
                crew->timer.fn = shake;
                timer_set(&crew->timer, &crew->workers[0].poller, SHAKE_USEC);
        }
        set_wakeful(crew);
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
