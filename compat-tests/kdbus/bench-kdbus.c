/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * bench-kdbus LOAD [SECONDS]
 *
 * How fast the kdbus door is. LOAD is
 *
 *      call            synchronous calls with a small payload, one at a time
 *      memfd-4k        the same with a memfd of 4 KiB
 *      memfd-1m        and of 1 MiB
 *      broadcast       broadcasts to sixteen connections, counted where they arrive
 *
 * Prints, as bench-load does: p50 and p99 in ns, rate per second, CPU time of the daemon in ns for
 * each call or delivery.
 */

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "compat-tests/kdbus/harness.h"
#include "compat-tests/kdbus/kit.h"

#define LISTENERS   16
#define AHEAD       200
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
        struct build u;

        build_init(&u, sizeof(u.cmd), 0);
        build_u64(&u, KDBUS_ITEM_ATTACH_FLAGS_RECV, KDBUS_ATTACH_TIMESTAMP | KDBUS_ATTACH_NAMES);
        must(build_run(&u, c->fd, KDBUS_CMD_UPDATE), "update");
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

/* how many broadcasts each listener got, where all processes see it */
static uint64_t *arrived;

static void hear(struct conn *c, uint64_t *n)
{
        struct kdbus_msg *msg;

        while (msg_recv(c, &msg) == 0) {
                msg_free(c, msg);
                __atomic_add_fetch(n, 1, __ATOMIC_RELAXED);
        }
}

static void listen_all(int ready)
{
        struct conn c[LISTENERS];
        struct pollfd p[LISTENERS];

        for (int i = 0; i < LISTENERS; i++) {
                must(conn_open(&c[i], bus_path(suffix, "bus"), 0, NULL), "listener");
                must(match_all(&c[i], 1), "match");
                plain_metadata(&c[i]);
                p[i] = (struct pollfd){.fd = c[i].fd, .events = POLLIN};
        }
        must(write(ready, "", 1) == 1 ? 0 : -EIO, "start");
        for (;;) {
                poll(p, LISTENERS, -1);
                for (int i = 0; i < LISTENERS; i++)
                        if (p[i].revents & POLLIN)
                                hear(&c[i], &arrived[i]);
        }
}

static uint64_t slowest(void)
{
        uint64_t n = UINT64_MAX;

        for (int i = 0; i < LISTENERS; i++)
                n = MIN(n, __atomic_load_n(&arrived[i], __ATOMIC_RELAXED));
        return n;
}

/* no further ahead than the queues are long, so that nothing is lost */
static void broadcasts(struct conn *c)
{
        uint64_t end, sent = 0;
        struct result r;
        int ready[2];
        pid_t pid;
        char byte;

        arrived = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        must(arrived == MAP_FAILED || pipe(ready) ? -errno : 0, "prepare");
        pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                listen_all(ready[1]);
        }
        must(read(ready[0], &byte, 1) == 1 ? 0 : -EIO, "listeners");
        result_start(&r);
        for (end = r.start + seconds * 1e9; now_ns() < end;) {
                if (sent - slowest() >= AHEAD) {
                        usleep(100);
                        continue;
                }
                must(msg_signal(c, KDBUS_DST_ID_BROADCAST, 0), "broadcast");
                sent++;
        }
        r.n = slowest() * LISTENERS;
        result_print(&r);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
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
