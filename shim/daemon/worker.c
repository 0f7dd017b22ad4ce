/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "shim/bus/log.h"
#include "shim/daemon/pick.h"
#include "shim/daemon/slice.h"
#include "shim/daemon/worker.h"

enum { /* worker.asked */
        ASKED_TO_STOP = 1 << 0,
        ASKED_TO_OBEY = 1 << 1,
};

#define LOOK_TURNS 64 /* a power of two: turns between two calls of look() */
#define IDLE_USEC 2000000 /* after so long without work, memory kept for reuse is given back */

struct adoption {
        struct cds_list_head link;
        const struct conn_config *config;
        int fd;
};

/* Takes in what is on its way. */
static void adopt_all(struct worker *worker)
{
        struct adoption *a, *next;
        struct conn *conn, *next_conn;
        CDS_LIST_HEAD(list);
        CDS_LIST_HEAD(conns);

        pthread_mutex_lock(&worker->adopt.lock);
        cds_list_splice(&worker->adopt.list, &list);
        CDS_INIT_LIST_HEAD(&worker->adopt.list);
        cds_list_splice(&worker->adopt.conns, &conns);
        CDS_INIT_LIST_HEAD(&worker->adopt.conns);
        pthread_mutex_unlock(&worker->adopt.lock);
        cds_list_for_each_entry_safe(conn, next_conn, &conns, link)
                conn_enter(conn, &worker->turn, &worker->poller, &worker->conns);
        cds_list_for_each_entry_safe(a, next, &list, link) {
                if (conn_new(&worker->turn, &worker->poller, &worker->conns, a->config, a->fd))
                        log_limited(LOG_WARNING, "accept", 0, "a connection could not be served");
                free(a);
        }
}

static void adopt_event(struct watch *watch, uint32_t events, struct turn *turn)
{
        eventfd_t n;

        eventfd_read(watch->fd, &n);
        adopt_all(container_of(watch, struct worker, adopt.watch));
}

int worker_adopt(struct worker *worker, const struct conn_config *config, int fd)
{
        struct adoption *a;

        if (!worker->threaded)
                return error_fold(conn_new(&worker->turn, &worker->poller, &worker->conns, config,
                                           fd));
        a = malloc(sizeof(*a));
        if (!a) {
                conn_refuse(worker->turn.bus, config, fd);
                return error_origin(-ENOMEM);
        }
        *a = (struct adoption){ .config = config, .fd = fd };
        pthread_mutex_lock(&worker->adopt.lock);
        cds_list_add_tail(&a->link, &worker->adopt.list);
        pthread_mutex_unlock(&worker->adopt.lock);
        eventfd_write(worker->adopt.event_fd, 1);
        return 0;
}

int worker_init(struct worker *worker, struct bus *bus, unsigned int slot)
{
        int r;

        *worker = (struct worker){ .adopt.event_fd = -1, .poller = { .epoll_fd = -1, .wake_fd = -1 } };
        CDS_INIT_LIST_HEAD(&worker->conns);
        CDS_INIT_LIST_HEAD(&worker->adopt.list);
        CDS_INIT_LIST_HEAD(&worker->adopt.conns);
        pthread_mutex_init(&worker->adopt.lock, NULL);
        worker->adopt.watch.fd = -1;
        r = turn_init(&worker->turn, bus, slot);
        if (!r)
                r = poller_init(&worker->poller);
        if (r)
                return error_fold(r);
        pthread_getcpuclockid(pthread_self(), &worker->clock);
        worker->adopt.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (worker->adopt.event_fd < 0)
                return error_origin(-errno);
        return error_fold(watch_start(&worker->adopt.watch, &worker->poller, worker->adopt.event_fd,
                                      EPOLLIN, adopt_event));
}

/* The thread has ended: what it owned ends here. */
void worker_deinit(struct worker *worker)
{
        struct adoption *a, *next;
        struct conn *conn, *next_conn;

        cds_list_for_each_entry_safe(a, next, &worker->adopt.list, link) {
                conn_refuse(worker->turn.bus, a->config, a->fd);
                free(a);
        }
        cds_list_for_each_entry_safe(conn, next_conn, &worker->adopt.conns, link)
                conn_enter(conn, &worker->turn, &worker->poller, &worker->conns);
        while (!cds_list_empty(&worker->conns)) {
                conn = cds_list_first_entry(&worker->conns, struct conn, link);
                conn_end(conn, &worker->turn, NULL);
        }
        turn_drain(&worker->turn);
        watch_stop(&worker->adopt.watch);
        closep(&worker->adopt.event_fd);
        turn_deinit(&worker->turn);
        poller_deinit(&worker->poller);
        pthread_mutex_destroy(&worker->adopt.lock);
}

/* --- orders ---------------------------------------------------------------------------------- */

static uint64_t recent_work(const struct conn *conn)
{
        return conn_work(conn) - conn->weighed;
}

static void weigh(struct worker *worker)
{
        struct conn *conn;

        cds_list_for_each_entry(conn, &worker->conns, link)
                conn->weighed = conn_work(conn);
}

/* Gives one away; the other worker is woken when the last one has gone. */
static void give(struct worker *worker, struct worker *to, struct conn *conn)
{
        conn_leave(conn);
        pthread_mutex_lock(&to->adopt.lock);
        cds_list_add_tail(&conn->link, &to->adopt.conns);
        pthread_mutex_unlock(&to->adopt.lock);
        atomic_fetch_add_explicit(&worker->n_given, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&worker->turn.bus->n_moved, 1, memory_order_relaxed);
}

static size_t list_busy(struct worker *worker, struct pick *list, size_t max, uint64_t *work)
{
        const struct client *partners[PICK_PARTNERS];
        struct conn *conn;
        size_t n = 0;

        *work = 0;
        cds_list_for_each_entry(conn, &worker->conns, link) {
                struct pick *p = &list[n];

                if (n == max || !recent_work(conn))
                        continue;
                *p = (struct pick){ .who = &conn->client, .weight = recent_work(conn) };
                p->n_partners = reply_partners(&conn->client, partners, PICK_PARTNERS);
                for (size_t i = 0; i < p->n_partners; i++)
                        p->partners[i] = partners[i];
                *work += p->weight;
                n++;
        }
        return n;
}

static void give_share(struct worker *worker, const struct worker_order *order)
{
        struct conn *conn;
        size_t n = 0, max = 0;
        struct pick *list;
        uint64_t work;

        cds_list_for_each_entry(conn, &worker->conns, link)
                max += recent_work(conn) != 0;
        list = max ? calloc(max, sizeof(*list)) : NULL;
        if (!list)
                return; /* then not */
        n = list_busy(worker, list, max, &work);
        if (pick_some(list, n, work * order->share / 1000) > 0)
                for (size_t i = 0; i < n; i++)
                        if (list[i].goes)
                                give(worker, order->to, conn_of((struct client *)list[i].who));
        free(list);
}

static void scatter(struct worker *worker, struct worker *to)
{
        struct conn *conn, *next;

        cds_list_for_each_entry_safe(conn, next, &worker->conns, link)
                if (random() % 4 == 0)
                        give(worker, to, conn);
}

/* Nobody gives it any more: what is on its way to it now is the last. */
static void give_all(struct worker *worker, struct worker *to)
{
        struct conn *conn, *next;

        adopt_all(worker);
        turn_drain(&worker->turn);
        cds_list_for_each_entry_safe(conn, next, &worker->conns, link)
                give(worker, to, conn);
}

/* Returns true if the worker is to end. */
static bool obey(struct worker *worker)
{
        const struct worker_order order = worker->order;
        uint64_t before = worker->n_given;

        if (order.task == WORKER_WEIGH)
                weigh(worker);
        else if (order.task == WORKER_GIVE)
                give_share(worker, &order);
        else if (order.task == WORKER_SCATTER)
                scatter(worker, order.to);
        else
                give_all(worker, order.to);
        if (worker->n_given != before)
                eventfd_write(order.to->adopt.event_fd, 1);
        return order.task == WORKER_RETIRE;
}

/* Between two turns: returns true if there is to be no other. */
static bool is_over(struct worker *worker)
{
        unsigned int asked = atomic_load_explicit(&worker->asked, memory_order_acquire);
        bool over;

        if (!asked)
                return false;
        if (asked & ASKED_TO_STOP)
                return true;
        over = obey(worker);
        atomic_fetch_and_explicit(&worker->asked, ~ASKED_TO_OBEY, memory_order_release);
        return over;
}

void worker_tell(struct worker *worker, const struct worker_order *order)
{
        worker->order = *order;
        atomic_fetch_or_explicit(&worker->asked, ASKED_TO_OBEY, memory_order_release);
        eventfd_write(worker->adopt.event_fd, 1);
}

bool worker_is_free(const struct worker *worker)
{
        return !(atomic_load_explicit(&worker->asked, memory_order_acquire) & ASKED_TO_OBEY);
}

/* --- its life -------------------------------------------------------------------------------- */

int worker_run(struct worker *worker)
{
        uint64_t wait = UINT64_MAX;
        int r;

        poller_enter(&worker->poller);
        slice_shorten();
        while (!is_over(worker)) {
                r = poller_wait(&worker->poller, &worker->turn, wait);
                if (r < 0)
                        return error_fold(r);
                turn_drain(&worker->turn);
                if (r == 0 && wait != UINT64_MAX) {
                        cache_trim();
                        malloc_trim(0);
                        wait = UINT64_MAX;
                } else if (r > 0) {
                        wait = IDLE_USEC;
                }
                if (worker->poller.calls % LOOK_TURNS == 0 && worker->look)
                        worker->look(worker);
        }
        return 0;
}

static void *worker_main(void *data)
{
        struct worker *worker = data;
        int r;

        r = worker_run(worker);
        if (r < 0)
                log_line(LOG_ERR, "a worker ended: %s", strerror(-r));
        cache_trim();
        return NULL;
}

int worker_start(struct worker *worker)
{
        sigset_t all, old;
        int r;

        worker->threaded = true;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(&worker->thread, NULL, worker_main, worker);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (r)
                worker->threaded = false;
        else
                pthread_getcpuclockid(worker->thread, &worker->clock);
        return r ? error_origin(-r) : 0;
}

void worker_ask_to_stop(struct worker *worker)
{
        atomic_fetch_or(&worker->asked, ASKED_TO_STOP);
        eventfd_write(worker->adopt.event_fd, 1);
}

void worker_join(struct worker *worker)
{
        if (worker->threaded)
                pthread_join(worker->thread, NULL);
        worker->threaded = false;
}
