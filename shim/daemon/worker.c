/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "shim/bus/log.h"
#include "shim/daemon/worker.h"

#define IDLE_USEC 2000000 /* after so long without work, memory kept for reuse is given back */

struct adoption {
        struct cds_list_head link;
        const struct conn_config *config;
        int fd;
};

static void adopt_all(struct watch *watch, uint32_t events, struct turn *turn)
{
        struct worker *worker = container_of(watch, struct worker, adopt.watch);
        CDS_LIST_HEAD(list);
        struct adoption *a, *next;
        eventfd_t n;

        eventfd_read(watch->fd, &n);
        pthread_mutex_lock(&worker->adopt.lock);
        cds_list_splice(&worker->adopt.list, &list);
        CDS_INIT_LIST_HEAD(&worker->adopt.list);
        pthread_mutex_unlock(&worker->adopt.lock);
        cds_list_for_each_entry_safe(a, next, &list, link) {
                if (conn_new(turn, &worker->poller, &worker->conns, a->config, a->fd))
                        log_limited(LOG_WARNING, "accept", 0, "a connection could not be served");
                free(a);
        }
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

/* More processors than workers: who waits awake takes none from another worker, nor the last one. */
static bool processors_to_spare(const struct bus *bus)
{
        cpu_set_t set;

        return sched_getaffinity(0, sizeof(set), &set) == 0 &&
               (unsigned int)CPU_COUNT(&set) > bus->guard.n;
}

int worker_init(struct worker *worker, struct bus *bus, unsigned int slot)
{
        int r;

        *worker = (struct worker){ .adopt.event_fd = -1, .poller = { .epoll_fd = -1, .wake_fd = -1 } };
        CDS_INIT_LIST_HEAD(&worker->conns);
        CDS_INIT_LIST_HEAD(&worker->adopt.list);
        pthread_mutex_init(&worker->adopt.lock, NULL);
        worker->adopt.watch.fd = -1;
        r = turn_init(&worker->turn, bus, slot);
        if (!r)
                r = poller_init(&worker->poller);
        if (r)
                return error_fold(r);
        worker->poller.wakeful = processors_to_spare(bus);
        worker->adopt.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (worker->adopt.event_fd < 0)
                return error_origin(-errno);
        return error_fold(watch_start(&worker->adopt.watch, &worker->poller, worker->adopt.event_fd,
                                      EPOLLIN, adopt_all));
}

/* The thread has ended: what it owned ends here. */
void worker_deinit(struct worker *worker)
{
        struct adoption *a, *next;
        struct conn *conn;

        cds_list_for_each_entry_safe(a, next, &worker->adopt.list, link) {
                conn_refuse(worker->turn.bus, a->config, a->fd);
                free(a);
        }
        while (!cds_list_empty(&worker->conns)) {
                conn = cds_list_first_entry(&worker->conns, struct conn, link);
                conn_end(conn, &worker->turn, NULL);
        }
        turn_drain(&worker->turn);
        watch_stop(&worker->adopt.watch);
        closep(&worker->adopt.event_fd);
        turn_deinit(&worker->turn);
        poller_deinit(&worker->poller);
}

int worker_run(struct worker *worker)
{
        uint64_t wait = UINT64_MAX;
        int r;

        poller_enter(&worker->poller);
        while (!atomic_load_explicit(&worker->stop, memory_order_relaxed)) {
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
        return r ? error_origin(-r) : 0;
}

void worker_stop(struct worker *worker)
{
        atomic_store(&worker->stop, true);
        eventfd_write(worker->adopt.event_fd, 1);
        if (worker->threaded)
                pthread_join(worker->thread, NULL);
}
