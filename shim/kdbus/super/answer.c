/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "shim/kdbus/super/answer.h"
#include "shim/kdbus/super/kdbusfs.h"
#include "shim/kdbus/super/line.h"
#include "shim/kdbus/super/relay.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS   SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1
#endif

#define IDLE_MAX    4   /* threads beyond that end when they have nothing to do */
#define RESTART     512 /* ERESTARTSYS: the kernel makes EINTR of it, or calls again */

struct answerer {
        int listener;
        struct kdbusfs *fs;
        struct lines *lines;
        dev_t dev; /* of the file system */

        pthread_mutex_t lock;
        unsigned n_idle; /* waiting at the listener */
};

/* a call under way */
struct question {
        struct answerer *a;
        struct seccomp_notif notif;
        struct line *line;
        bool gone;        /* killed */
        bool interrupted; /* by a signal */
        bool shared;      /* that another thread may take */
};

/* --- answers --- */

static bool is_waiting(const struct question *q)
{
        uint64_t id = q->notif.id;

        return ioctl(q->a->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

static int respond(const struct question *q, int error, uint32_t flags)
{
        struct seccomp_notif_resp resp = {.id = q->notif.id, .error = error, .flags = flags};

        return ioctl(q->a->listener, SECCOMP_IOCTL_NOTIF_SEND, &resp) < 0 ? -errno : 0;
}

static void let_go_on(const struct question *q)
{
        (void)respond(q, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

static int install(void *userdata, int fd)
{
        struct question *q = userdata;
        struct seccomp_notif_addfd add = {
                .id = q->notif.id, .srcfd = fd, .newfd_flags = O_CLOEXEC};
        int number = ioctl(q->a->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);

        return number < 0 ? -errno : number;
}

static bool interrupted(void *userdata)
{
        struct question *q = userdata;

        q->gone = !is_waiting(q);
        q->interrupted = line_signal_pending(q->line, &q->shared);
        return q->gone || q->interrupted;
}

static const struct relay_ops ops = {.install = install, .interrupted = interrupted};

/* a signal that another thread may yet take would leave RESTART with the program */
static int restart_code(const struct question *q)
{
        return q->interrupted && !q->shared ? -RESTART : -EINTR;
}

/* --- calls --- */

/* the handle behind the descriptor a call names, with our copy of it */
static int find_handle(struct question *q, uint64_t fd, int *copyp, struct fshandle **handlep)
{
        int r = line_take_fd(q->line, (int)fd);

        if (r < 0)
                return r;
        *copyp = r;
        return kdbusfs_find(q->a->fs, *copyp, handlep);
}

/* our parts in a call end before it does: the thread may be back with its next one at once */
static void leave(struct question *q, int *copyp)
{
        closep(copyp); /* or the handle would outlive its program's descriptor */
        *copyp = -1;
        line_put(q->a->lines, q->line);
        q->line = NULL;
}

/* a program that was killed will not free what it was given, but others may have its handle */
static void free_for(struct question *q, const struct relay *relay)
{
        struct line *own;

        if (!relay->size || line_get(q->a->lines, gettid(), &own))
                return;
        relay_free_slice(own, relay);
        line_put(q->a->lines, own);
}

static void answer_ioctl(struct question *q)
{
        struct relay relay = {.line = q->line, .ops = &ops, .userdata = q};
        struct fshandle *h = NULL;
        int copy = -1, r;

        if (find_handle(q, q->notif.data.args[0], &copy, &h)) {
                leave(q, &copy);
                let_go_on(q);
                return;
        }
        kdbusfs_settle(q->a->fs);
        r = fshandle_ioctl(h, &relay, q->notif.data.args[1], q->notif.data.args[2]);
        leave(q, &copy);
        if (r == -EINTR)
                r = restart_code(q);
        if (respond(q, r, 0) && !r)
                free_for(q, &relay);
        fshandle_unref(h);
}

static void answer_mmap(struct question *q)
{
        const uint64_t *args = (const uint64_t *)q->notif.data.args; /* as in mmap(2) */
        struct fshandle *h = NULL;
        int copy = -1, r;

        r = find_handle(q, args[4], &copy, &h) ? 0 : fshandle_check_map(h, args[1], args[2]);
        leave(q, &copy);
        fshandle_unref(h);
        if (r)
                (void)respond(q, r, 0);
        else
                let_go_on(q);
}

static void fclosep(FILE **f)
{
        if (*f)
                fclose(*f);
}

/* whether a pool is mapped somewhere in a range */
static bool has_pool(const struct question *q, uint64_t from, uint64_t to)
{
        _cleanup_(fclosep) FILE *f = NULL;
        unsigned long start, end;
        unsigned major, minor;
        char path[48], text[PATH_MAX + 128];

        snprintf(path, sizeof(path), "/proc/%d/maps", q->line->tid);
        f = fopen(path, "re");
        while (f && fgets(text, sizeof(text), f))
                if (sscanf(text, "%lx-%lx %*s %*x %x:%x", &start, &end, &major, &minor) == 4 &&
                    start < to && end > from && makedev(major, minor) == q->a->dev)
                        return true;
        return false;
}

static void answer_mprotect(struct question *q)
{
        uint64_t from = q->notif.data.args[0];
        bool pool = has_pool(q, from, from + q->notif.data.args[1]);

        leave(q, &(int){-1});
        if (pool)
                (void)respond(q, -EACCES, 0);
        else
                let_go_on(q);
}

static void answer(struct question *q)
{
        if (line_get(q->a->lines, q->notif.pid, &q->line) || !is_waiting(q)) {
                leave(q, &(int){-1});
                let_go_on(q);
                return;
        }
        switch (q->notif.data.nr) {
        case SYS_ioctl:
                answer_ioctl(q);
                break;
        case SYS_mmap:
                answer_mmap(q);
                break;
        default:
                answer_mprotect(q);
        }
}

/* --- threads --- */

static void *work(void *data);

static int spawn(struct answerer *a)
{
        pthread_t thread;

        if (pthread_create(&thread, NULL, work, a))
                return -ENOMEM;
        pthread_detach(thread);
        a->n_idle++;
        return 0;
}

static void become_busy(struct answerer *a)
{
        pthread_mutex_lock(&a->lock);
        if (!--a->n_idle)
                (void)spawn(a);
        pthread_mutex_unlock(&a->lock);
}

/* returns false if there are enough without this one */
static bool become_idle(struct answerer *a)
{
        bool stay;

        pthread_mutex_lock(&a->lock);
        stay = a->n_idle < IDLE_MAX;
        a->n_idle += stay;
        pthread_mutex_unlock(&a->lock);
        return stay;
}

/* nobody is left under the filter */
static bool is_over(const struct answerer *a)
{
        struct pollfd p = {.fd = a->listener, .events = POLLIN};

        return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
}

static void *work(void *data)
{
        struct answerer *a = data;

        for (;;) {
                struct question q = {.a = a};

                if (ioctl(a->listener, SECCOMP_IOCTL_NOTIF_RECV, &q.notif) < 0) {
                        if ((errno != EINTR && errno != ENOENT) || is_over(a))
                                return NULL;
                        continue;
                }
                become_busy(a);
                answer(&q);
                if (!become_idle(a))
                        return NULL;
        }
}

int answer_start(int listener, struct kdbusfs *fs, struct lines *lines, dev_t dev)
{
        struct answerer *a = calloc(1, sizeof(*a));
        int r;

        if (!a)
                return -ENOMEM;
        *a = (struct answerer){.listener = listener, .fs = fs, .lines = lines, .dev = dev};
        pthread_mutex_init(&a->lock, NULL);
        /* the caller waits for us and we for it: one processor serves both best; new kernels only */
        (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
        pthread_mutex_lock(&a->lock);
        r = spawn(a);
        pthread_mutex_unlock(&a->lock);
        return r; /* the rest lives as long as the process */
}
