/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * bench-kdbus LOAD [SECONDS]
 *
 * How fast the kdbus door is. LOAD is
 *
 *      call            synchronous calls with a small payload, one at a time
 *      memfd-4k        the same with a memfd of 4 KiB
 *      memfd-1m        and of 1 MiB
 *      broadcast       broadcasts of 64 bytes to sixteen connections, counted where they arrive
 *
 * Prints, as bench-load does: p50 and p99 in ns, rate per second, CPU time of the daemon in ns for
 * each call or delivery.
 */

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "compat-tests/kdbus/harness.h"
#include "compat-tests/kdbus/kit.h"

#define LISTENERS   16
#define CHUNK       32
#define WARM_UP_NS  200000000
#define SAMPLES_MAX (1 << 20)
#define SEALS       (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static const char suffix[] = "bench";
static double seconds = 2;

static void must(int r, const char *what)
{
        if (r == 0)
                return;
        fprintf(stderr, "bench-kdbus: %s: %s\n", what, strerror(-r));
        exit(1);
}

/* what sd-bus asks for unless it is told otherwise */
static void plain_metadata(struct conn *c)
{
        must(conn_want(c, KDBUS_ATTACH_TIMESTAMP | KDBUS_ATTACH_NAMES), "update");
}

/* answers every call, for ever */
static void answer(struct conn *c)
{
        struct kdbus_msg *msg;
        struct build m;

        for (;;) {
                must(msg_wait(c, -1, &msg), "receive");
                msg_init(&m, msg->src_id, NULL, 0, 1);
                m.msg.cookie_reply = msg->cookie;
                msg_vec(&m, "reply", 6);
                for (struct kdbus_item *i; (i = msg_item(msg, KDBUS_ITEM_PAYLOAD_MEMFD));) {
                        close(i->memfd.fd);
                        break;
                }
                msg_free(c, msg);
                must(msg_send(c, &m, 0, NULL), "reply");
        }
}

static pid_t start_service(uint64_t *id)
{
        int fds[2];
        pid_t pid;

        must(pipe(fds) ? -errno : 0, "pipe");
        pid = fork();
        if (pid == 0) {
                struct conn c;

                prctl(PR_SET_PDEATHSIG, SIGKILL);
                must(conn_open(&c, bus_path(suffix, "bus"), KDBUS_HELLO_ACCEPT_FD, NULL), "service");
                plain_metadata(&c);
                if (write(fds[1], &c.id, sizeof(c.id)) == sizeof(c.id))
                        answer(&c);
                _exit(1);
        }
        if (read(fds[0], id, sizeof(*id)) != sizeof(*id))
                exit(1);
        close(fds[0]);
        close(fds[1]);
        return pid;
}

static int sealed_memfd(size_t n)
{
        int fd = memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        must(fd < 0 || ftruncate(fd, n) || fcntl(fd, F_ADD_SEALS, SEALS) ? -errno : 0, "memfd");
        return fd;
}

/* CPU time of the daemon so far, ns */
static uint64_t daemon_cpu(void)
{
        const char *pid = getenv("KDBUS_SERVER_PID");
        struct timespec ts;
        clockid_t clock;

        if (!pid || clock_getcpuclockid(atoi(pid), &clock) || clock_gettime(clock, &ts))
                return 0;
        return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static int by_size(const void *x, const void *y)
{
        uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

        return a < b ? -1 : a > b;
}

/* what was measured, and what it took the daemon */
struct result {
        uint64_t start, cpu;
        uint64_t n;
};

static void result_start(struct result *r)
{
        *r = (struct result){.start = now_ns(), .cpu = daemon_cpu()};
}

static void result_print(const struct result *r)
{
        double n = r->n ? r->n : 1;

        printf("rate=%.1f cpu_ns=%.0f\n", r->n / ((now_ns() - r->start) / 1e9),
               (daemon_cpu() - r->cpu) / n);
}

static void call(struct conn *c, uint64_t id, uint64_t cookie, size_t memfd_size, int fd)
{
        struct kdbus_memfd memfd = {.size = memfd_size, .fd = fd};
        struct kdbus_msg_info info;
        struct build m;

        msg_init(&m, id, NULL, KDBUS_MSG_EXPECT_REPLY, cookie);
        msg_vec(&m, "call", 5);
        if (fd >= 0)
                build_add(&m, KDBUS_ITEM_PAYLOAD_MEMFD, &memfd, sizeof(memfd));
        must(msg_send(c, &m, KDBUS_SEND_SYNC_REPLY, &info), "call");
        must(conn_free(c, info.offset), "free");
}

static void calls(struct conn *c, uint64_t id, size_t memfd_size)
{
        int fd = memfd_size ? sealed_memfd(memfd_size) : -1;
        uint32_t *samples = calloc(SAMPLES_MAX, sizeof(*samples));
        uint64_t end = now_ns() + seconds * 1e9, last, now;
        struct result r;
        size_t kept;

        must(samples ? 0 : -ENOMEM, "samples");
        result_start(&r);
        for (last = r.start; last < end; last = now, r.n++) {
                call(c, id, r.n + 1, memfd_size, fd);
                now = now_ns();
                samples[r.n % SAMPLES_MAX] = now - last;
        }
        kept = MIN(r.n, (uint64_t)SAMPLES_MAX);
        qsort(samples, kept, sizeof(*samples), by_size);
        printf("p50=%u p99=%u ", samples[kept / 2], samples[kept * 99 / 100]);
        result_print(&r);
        free(samples);
        closep(&fd);
}

/*
 * As bench-load has it for signals: sender and listeners are one process, and the sender is at most
 * two chunks ahead of the slowest: the next leaves when all have all of the one before the last.
 */
struct cast {
        struct conn *sender, listeners[LISTENERS];
        struct build signal;
        uint64_t heard[LISTENERS];
        uint64_t missing[2]; /* deliveries of an odd and of an even chunk still to come */
        unsigned due;        /* chunks that may leave */
        uint64_t total;
};

static void cast_prepare(struct cast *b, struct conn *sender, int epoll)
{
        static const uint8_t body[64] = {0};

        b->sender = sender;
        msg_init(&b->signal, KDBUS_DST_ID_BROADCAST, NULL, KDBUS_MSG_SIGNAL, 1);
        msg_vec(&b->signal, body, sizeof(body));
        msg_bloom(&b->signal, 0xff);
        for (unsigned i = 0; i < LISTENERS; i++) {
                struct conn *c = &b->listeners[i];
                struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};

                must(conn_open(c, bus_path(suffix, "bus"), 0, NULL), "listener");
                plain_metadata(c);
                must(match_all(c, 1), "match");
                must(epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) ? -errno : 0, "epoll");
        }
        b->missing[0] = b->missing[1] = LISTENERS * CHUNK;
        b->due = 2;
}

/* no more than a chunk at a time: the others have their turn, too */
static void hear(struct cast *b, unsigned i)
{
        struct kdbus_msg *msg;

        for (unsigned n = 0; n < CHUNK && msg_recv(&b->listeners[i], &msg) == 0; n++) {
                unsigned chunk = b->heard[i]++ / CHUNK % 2;

                msg_free(&b->listeners[i], msg);
                b->total++;
                if (--b->missing[chunk])
                        continue;
                b->missing[chunk] = LISTENERS * CHUNK;
                b->due++;
        }
}

static void cast_turn(struct cast *b, int epoll)
{
        struct epoll_event events[LISTENERS];
        int n;

        for (; b->due; b->due--)
                for (unsigned i = 0; i < CHUNK; i++)
                        must(msg_send(b->sender, &b->signal, 0, NULL), "broadcast");
        n = epoll_wait(epoll, events, LISTENERS, 100);
        for (int i = 0; i < n; i++)
                hear(b, events[i].data.u32);
}

static void broadcasts(struct conn *c)
{
        static struct cast b;
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        struct result r;
        uint64_t start;

        cast_prepare(&b, c, epoll);
        for (start = now_ns(); now_ns() < start + WARM_UP_NS;)
                cast_turn(&b, epoll);
        result_start(&r);
        start = b.total;
        while (now_ns() < r.start + seconds * 1e9)
                cast_turn(&b, epoll);
        r.n = b.total - start;
        result_print(&r);
        close(epoll);
}

/* a service to call, in a process of its own */
static void calls_to_service(struct conn *c, size_t memfd_size)
{
        uint64_t id;
        pid_t pid = start_service(&id);

        calls(c, id, memfd_size);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

static int run_load(struct conn *c, const char *load)
{
        if (strcmp(load, "call") == 0)
                calls_to_service(c, 0);
        else if (strcmp(load, "memfd-4k") == 0)
                calls_to_service(c, 4096);
        else if (strcmp(load, "memfd-1m") == 0)
                calls_to_service(c, 1 << 20);
        else if (strcmp(load, "broadcast") == 0)
                broadcasts(c);
        else
                return 2;
        return 0;
}

int main(int argc, char **argv)
{
        static const char *const server[] = {KDBUS_SERVE, "@DIR@", NULL};
        struct conn c;
        int fd, r;

        harness_enter(argv, server);
        if (argc > 2)
                seconds = strtod(argv[2], NULL);
        must(bus_make(&fd, suffix, 0), "bus");
        must(conn_open(&c, bus_path(suffix, "bus"), KDBUS_HELLO_ACCEPT_FD, NULL), "connect");
        plain_metadata(&c);
        r = run_load(&c, argc > 1 ? argv[1] : "call");
        conn_close(&c);
        return r;
}
