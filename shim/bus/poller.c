/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <sched.h>
#include <sys/eventfd.h>
#include <time.h>

#include "bus-core/core.h"
#include "shim/bus/poller.h"
#include "shim/bus/turn.h"

#define BATCH 64 /* descriptors taken from epoll at once */
#define PATIENCE 64    /* turns on end after which one who is busy counts as flooding */
#define GRACE_USEC 50  /* what it may take a client to be woken, and to answer */
#define PACE_USEC 100  /* a short turn takes less than a tenth of it */
#define SHORT_USEC 500 /* turns are short for so long after one who is not busy came among the busy */
#define AWAKE_USEC 50 /* about what it costs to sleep and to be woken, of all processors together */
#define YIELD_USEC 5   /* so long nobody who was woken can have answered */
#define DOUBT_MAX 1000U

uint64_t now_usec(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * UINT64_C(1000000) + ts.tv_nsec / 1000;
}

int poller_init(struct poller *poller)
{
        struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };

        poller->patience = PATIENCE;
        poller->grace = GRACE_USEC;
        poller->pace = PACE_USEC;
        CDS_INIT_LIST_HEAD(&poller->timers);
        pthread_mutex_init(&poller->lock, NULL);
        poller->wake_fd = -1;
        poller->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (poller->epoll_fd < 0)
                return error_origin(-errno);
        poller->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (poller->wake_fd < 0 ||
            epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, poller->wake_fd, &ev) < 0)
                return error_origin(-errno);
        return 0;
}

void poller_deinit(struct poller *poller)
{
        closep(&poller->epoll_fd);
        closep(&poller->wake_fd);
        poller->epoll_fd = poller->wake_fd = -1;
        pthread_mutex_destroy(&poller->lock);
}

/* When the first timer is due; UINT64_MAX if none is set. */
static uint64_t first_due(struct poller *poller)
{
        uint64_t due = UINT64_MAX;

        pthread_mutex_lock(&poller->lock);
        if (!cds_list_empty(&poller->timers))
                due = cds_list_first_entry(&poller->timers, struct timer, link)->due;
        pthread_mutex_unlock(&poller->lock);
        return due;
}

/* Milliseconds for epoll_wait(), rounded up so that a timer is not early. */
static int timeout_until(struct poller *poller, uint64_t max_usec)
{
        uint64_t due = first_due(poller), now, usec = max_usec;

        if (due != UINT64_MAX) {
                now = now_usec();
                usec = MIN(usec, due > now ? due - now : 0);
        }
        if (usec == UINT64_MAX)
                return -1;
        return MIN(usec / 1000 + (usec % 1000 != 0), (uint64_t)60 * 1000);
}

/* Takes the first timer off that is due at @now, or NULL. */
static struct timer *take_due(struct poller *poller, uint64_t now)
{
        struct timer *t = NULL;

        pthread_mutex_lock(&poller->lock);
        if (!cds_list_empty(&poller->timers)) {
                t = cds_list_first_entry(&poller->timers, struct timer, link);
                if (t->due <= now) {
                        cds_list_del(&t->link);
                        t->due = 0;
                } else {
                        t = NULL;
                }
        }
        pthread_mutex_unlock(&poller->lock);
        return t;
}

static void run_timers(struct poller *poller, struct turn *turn)
{
        struct timer *t;
        uint64_t now;

        if (first_due(poller) == UINT64_MAX)
                return;
        now = now_usec();
        while ((t = take_due(poller, now)))
                t->fn(t, turn);
}

void poller_enter(struct poller *poller)
{
        pthread_mutex_lock(&poller->lock);
        poller->thread = pthread_self();
        pthread_mutex_unlock(&poller->lock);
}

static void call(struct poller *poller, struct epoll_event *event, struct turn *turn)
{
        struct watch *watch = event->data.ptr;
        eventfd_t woken;

        if (!watch) {
                eventfd_read(poller->wake_fd, &woken);
                return;
        }
        watch->called = poller->calls;
        watch->fn(watch, event->events, turn);
}

/* Of those that are ready and busy, the ones that have waited longest; NULL if there is none. */
struct choice {
        struct epoll_event *busy;
        struct epoll_event *flooding;
        bool quiet; /* others were called */
};

static struct epoll_event *longer(struct epoll_event *a, struct epoll_event *b)
{
        if (!a || !b)
                return a ? a : b;
        return ((struct watch *)a->data.ptr)->called <= ((struct watch *)b->data.ptr)->called ? a : b;
}

/* Calls who is not busy. */
static struct choice call_all_but_busy(struct poller *poller, struct epoll_event *events, int n,
                                       struct turn *turn)
{
        struct choice c = { .quiet = false };

        for (int i = 0; i < n; i++) {
                struct watch *watch = events[i].data.ptr;

                if (!watch || !watch->busy) {
                        call(poller, &events[i], turn);
                        c.quiet = true;
                } else if (watch->busy < poller->patience) {
                        c.busy = longer(c.busy, &events[i]);
                } else {
                        c.flooding = longer(c.flooding, &events[i]);
                }
        }
        return c;
}

/* One of the busy, or none as long as those who flood have to wait. */
static void call_busy(struct poller *poller, const struct choice *c, struct turn *turn)
{
        struct epoll_event *event = longer(c->busy, c->flooding);
        uint64_t now;

        if (!event)
                return;
        if (poller->yields)
                sched_yield(); /* to whoever the last turn woke: the busy take this processor for long */
        poller->yields = c->quiet;
        now = now_usec();
        if (c->quiet)
                poller->quiet_at = now;
        if (c->flooding && now - poller->quiet_at < poller->grace &&
            now - poller->flood_at < poller->pace)
                event = c->busy;
        else if (event == c->flooding)
                poller->flood_at = now;
        turn->budget = now - poller->quiet_at < SHORT_USEC ? TURN_SHORT : TURN_BUFFER;
        if (event)
                call(poller, event, turn);
        else if (now - poller->quiet_at >= YIELD_USEC)
                sched_yield(); /* as in wait_awake() */
}

/*
 * Looks for events without sleeping, for AWAKE_USEC at most. If the first do not come at once, who
 * is to cause them may be waiting for this very processor.
 */
static int wait_awake(struct poller *poller, struct epoll_event *events, uint64_t since)
{
        uint64_t usec = 0;
        int n;

        for (;;) {
                n = epoll_wait(poller->epoll_fd, events, BATCH, 0);
                if (n || usec >= AWAKE_USEC)
                        break;
                if (usec >= YIELD_USEC)
                        sched_yield();
                usec = now_usec() - since;
        }
        if (usec) /* this thread alone writes it */
                atomic_store_explicit(&poller->awake_usec, usec +
                                      atomic_load_explicit(&poller->awake_usec, memory_order_relaxed),
                                      memory_order_relaxed);
        return n;
}

static int wait_for_events(struct poller *poller, struct epoll_event *events, int timeout)
{
        uint64_t since;
        int n;

        if (timeout == 0 || !atomic_load_explicit(&poller->wakeful, memory_order_relaxed))
                return epoll_wait(poller->epoll_fd, events, BATCH, timeout);
        since = now_usec();
        if (!poller->asleep) {
                n = wait_awake(poller, events, since);
                if (n) {
                        poller->doubt -= poller->doubt > 0;
                        return n;
                }
                poller->doubt = MIN(2 * poller->doubt + 1, DOUBT_MAX);
                poller->asleep = poller->doubt;
        }
        n = epoll_wait(poller->epoll_fd, events, BATCH, timeout);
        if (now_usec() - since < AWAKE_USEC)
                poller->asleep--;
        return n;
}

int poller_wait(struct poller *poller, struct turn *turn, uint64_t max_usec)
{
        struct epoll_event events[BATCH];
        struct choice c;
        int n;

        n = wait_for_events(poller, events, timeout_until(poller, max_usec));
        if (n < 0)
                return errno == EINTR ? 0 : error_origin(-errno);
        poller->calls++;
        c = call_all_but_busy(poller, events, n, turn);
        call_busy(poller, &c, turn);
        run_timers(poller, turn);
        return n;
}

int watch_start(struct watch *watch, struct poller *poller, int fd, uint32_t events,
                void (*fn)(struct watch *, uint32_t, struct turn *))
{
        struct epoll_event ev = { .events = events, .data.ptr = watch };

        *watch = (struct watch){ .fd = -1, .poller = poller, .fn = fn, .events = events };
        pthread_mutex_init(&watch->lock, NULL);
        if (epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
                pthread_mutex_destroy(&watch->lock);
                return error_origin(-errno);
        }
        watch->fd = fd;
        return 0;
}

void watch_change(struct watch *watch, uint32_t clear, uint32_t set)
{
        struct epoll_event ev = { .data.ptr = watch };
        int op;

        pthread_mutex_lock(&watch->lock);
        ev.events = (watch->events & ~clear) | set;
        /* one that waits for nothing leaves the set: there it would be told of a hang-up always */
        op = !watch->events ? EPOLL_CTL_ADD : !ev.events ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
        if (watch->fd >= 0 && ev.events != watch->events &&
            (!watch->poller || epoll_ctl(watch->poller->epoll_fd, op, watch->fd, &ev) == 0))
                watch->events = ev.events;
        pthread_mutex_unlock(&watch->lock);
}

void watch_leave(struct watch *watch)
{
        pthread_mutex_lock(&watch->lock);
        if (watch->events)
                epoll_ctl(watch->poller->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
        watch->poller = NULL;
        watch->busy = false;
        pthread_mutex_unlock(&watch->lock);
}

int watch_enter(struct watch *watch, struct poller *poller)
{
        struct epoll_event ev = { .data.ptr = watch };
        int r = 0;

        pthread_mutex_lock(&watch->lock);
        watch->poller = poller;
        watch->called = poller->calls;
        ev.events = watch->events;
        if (ev.events && epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, watch->fd, &ev) < 0) {
                r = error_origin(-errno);
                watch->events = 0;
        }
        pthread_mutex_unlock(&watch->lock);
        return r;
}

void watch_stop(struct watch *watch)
{
        if (watch->fd < 0)
                return;
        pthread_mutex_lock(&watch->lock);
        if (watch->events && watch->poller)
                epoll_ctl(watch->poller->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
        watch->fd = -1;
        pthread_mutex_unlock(&watch->lock);
}

static void clear_locked(struct timer *timer)
{
        if (!timer->due)
                return;
        cds_list_del(&timer->link);
        timer->due = 0;
}

static void set_at(struct timer *timer, struct poller *poller, uint64_t due)
{
        struct cds_list_head *at;

        pthread_mutex_lock(&poller->lock);
        clear_locked(timer);
        timer->due = due;
        timer->poller = poller;
        /* most timers of a bus have the same length: the place is near the end */
        for (at = poller->timers.prev; at != &poller->timers; at = at->prev)
                if (cds_list_entry(at, struct timer, link)->due <= due)
                        break;
        cds_list_add(&timer->link, at);
        if (at == &poller->timers && !pthread_equal(poller->thread, pthread_self()))
                eventfd_write(poller->wake_fd, 1);
        pthread_mutex_unlock(&poller->lock);
}

void timer_set(struct timer *timer, struct poller *poller, uint64_t usec)
{
        set_at(timer, poller, now_usec() + usec);
}

void timer_clear(struct timer *timer)
{
        if (!timer->poller) {
                timer->due = 0;
                return;
        }
        pthread_mutex_lock(&timer->poller->lock);
        clear_locked(timer);
        pthread_mutex_unlock(&timer->poller->lock);
}

void timer_leave(struct timer *timer)
{
        uint64_t due = timer->due;

        timer_clear(timer);
        timer->due = due;
        timer->poller = NULL;
}

void timer_enter(struct timer *timer, struct poller *poller)
{
        uint64_t due = timer->due;

        timer->due = 0;
        if (due)
                set_at(timer, poller, due);
}
