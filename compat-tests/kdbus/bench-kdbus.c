/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * bench-kdbus [SECONDS]
 *
 * How fast the kdbus door is: synchronous calls with a small payload, messages with a memfd, and
 * broadcasts to sixteen connections. One line each; rates are per second.
 */

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "compat-tests/kdbus/harness.h"
#include "compat-tests/kdbus/kit.h"

#define LISTENERS 16
#define SEALS     (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

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

static void calls(struct conn *c, uint64_t id, const char *what, size_t memfd_size)
{
        uint64_t start = now_ns(), end = start + seconds * 1e9, n = 0;
        int fd = memfd_size ? sealed_memfd(memfd_size) : -1;
        struct kdbus_msg_info info;
        struct build m;

        for (; now_ns() < end; n++) {
                msg_init(&m, id, NULL, KDBUS_MSG_EXPECT_REPLY, n + 1);
                msg_vec(&m, "call", 5);
                if (fd >= 0)
                        build_add(&m, KDBUS_ITEM_PAYLOAD_MEMFD,
                                  &(struct kdbus_memfd){.size = memfd_size, .fd = fd},
                                  sizeof(struct kdbus_memfd));
                must(msg_send(c, &m, KDBUS_SEND_SYNC_REPLY, &info), "call");
                must(conn_free(c, info.offset), "free");
        }
        printf("%-24s %8.0f /s %8.2f us\n", what, n / seconds, seconds * 1e6 / n);
        closep(&fd);
}

static void listen_all(void)
{
        struct conn c[LISTENERS];
        struct pollfd p[LISTENERS];
        struct kdbus_msg *msg;

        for (int i = 0; i < LISTENERS; i++) {
                must(conn_open(&c[i], bus_path(suffix, "bus"), 0, NULL), "listener");
                must(match_all(&c[i], 1), "match");
                plain_metadata(&c[i]);
                p[i] = (struct pollfd){.fd = c[i].fd, .events = POLLIN};
        }
        for (;;) {
                poll(p, LISTENERS, -1);
                for (int i = 0; i < LISTENERS; i++)
                        while ((p[i].revents & POLLIN) && msg_recv(&c[i], &msg) == 0)
                                msg_free(&c[i], msg);
        }
}

/* paced by one listener of our own, so that nothing is lost */
static void broadcasts(struct conn *c)
{
        uint64_t end, n = 0;
        pid_t pid = fork();
        struct kdbus_msg *msg;

        if (pid == 0)
                listen_all();
        usleep(200000);
        must(match_all(c, 1), "match");
        end = now_ns() + seconds * 1e9;
        for (; now_ns() < end; n++) {
                must(msg_signal(c, KDBUS_DST_ID_BROADCAST, 0), "broadcast");
                while (msg_recv(c, &msg) == 0)
                        msg_free(c, msg);
        }
        printf("%-24s %8.0f deliveries/s\n", "broadcast to 16", n * (LISTENERS + 1) / seconds);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
        static const char *const server[] = {KDBUS_SERVE, "@DIR@", NULL};
        struct conn c;
        uint64_t id;
        pid_t pid;
        int fd;

        harness_enter(argv, server);
        if (argc > 1)
                seconds = strtod(argv[1], NULL);
        setvbuf(stdout, NULL, _IOLBF, 0);
        must(bus_make(&fd, suffix, 0), "bus");
        pid = start_service(&id);
        must(conn_open(&c, bus_path(suffix, "bus"), KDBUS_HELLO_ACCEPT_FD, NULL), "connect");
        plain_metadata(&c);
        calls(&c, id, "synchronous call", 0);
        calls(&c, id, "with memfd of 4 KiB", 4096);
        calls(&c, id, "with memfd of 1 MiB", 1 << 20);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        broadcasts(&c);
        conn_close(&c);
        return 0;
}
