/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * stress-kdbus [SECONDS]
 *
 * Eight programs on one bus, each doing everything in random order: unicasts, broadcasts, calls of
 * both sorts, descriptors, memfds, names, matches. They are killed at random and replaced. Two
 * more watch: from one sender messages must arrive in order, and of its broadcasts none may be
 * missing that was not counted as lost. At the end nothing may be left in the server: no descriptor, no mapping, no
 * memory, no connection, no name, and the watchers' pools are as they were.
 */

#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "compat-tests/kdbus/harness.h"
#include "compat-tests/kdbus/kit.h"

#define ACTORS    8
#define SLACK_KIB 4096 /* the cache keeps so much of two sizes */
#define SEALS     (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static const char suffix[] = "stress";
static double seconds = 3;

static void die(const char *what)
{
        fprintf(stderr, "stress-kdbus: %s\n", what);
        exit(1);
}

/* what the server holds */
struct footprint {
        uint64_t fds, maps, memory_kib, conns, names;
};

static FILE *server_file(const char *name)
{
        char path[64];

        snprintf(path, sizeof(path), "/proc/%s/%s", getenv("KDBUS_SERVER_PID"), name);
        return fopen(path, "re");
}

static uint64_t count_fds(void)
{
        char path[64];
        uint64_t n = 0;
        DIR *dir;

        snprintf(path, sizeof(path), "/proc/%s/fd", getenv("KDBUS_SERVER_PID"));
        dir = opendir(path);
        if (!dir)
                return 0;
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

/* pools and rings */
static uint64_t count_maps(void)
{
        FILE *f = server_file("maps");
        char line[1024];
        uint64_t n = 0;

        while (f && fgets(line, sizeof(line), f))
                n += strstr(line, "memfd:kdbus") != NULL;
        if (f)
                fclose(f);
        return n;
}

static uint64_t memory_kib(void)
{
        FILE *f = server_file("status");
        unsigned long long kib = 0;
        char line[256];

        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "RssAnon: %llu", &kib) == 1)
                        break;
        if (f)
                fclose(f);
        return kib;
}

static void count_bus(struct conn *c, struct footprint *now)
{
        struct kdbus_cmd_list list = {
                .size = sizeof(list),
                .flags = KDBUS_LIST_UNIQUE | KDBUS_LIST_NAMES | KDBUS_LIST_QUEUED};
        struct kdbus_info *info;

        now->conns = now->names = 0;
        if (run(c->fd, KDBUS_CMD_LIST, &list))
                die("list");
        for (uint64_t at = 0; at < list.list_size; at += (info->size + 7) & ~7ULL) {
                info = (void *)(c->pool + list.offset + at);
                if (info->size > sizeof(*info))
                        now->names++;
                else
                        now->conns++;
        }
        conn_free(c, list.offset);
}

static void measure(struct conn *c, struct footprint *now)
{
        *now = (struct footprint){
                .fds = count_fds(), .maps = count_maps(), .memory_kib = memory_kib()};
        count_bus(c, now);
}

/* memory is the allocator's, which keeps some; a sanitizer keeps nearly all */
static bool fits(const struct footprint *now, const struct footprint *before)
{
        bool judge_memory = !getenv("BUS_WRAPPER");

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        judge_memory = false;
#endif
        return now->fds <= before->fds && now->maps <= before->maps &&
               now->conns <= before->conns && now->names <= before->names &&
               (!judge_memory || now->memory_kib <= before->memory_kib + SLACK_KIB);
}

static void print_footprint(const char *when, const struct footprint *f)
{
        printf("%s: %llu descriptors, %llu pools and rings, %llu connections, %llu names, %llu KiB\n",
               when, (unsigned long long)f->fds, (unsigned long long)f->maps,
               (unsigned long long)f->conns, (unsigned long long)f->names,
               (unsigned long long)f->memory_kib);
}

/* deaths are noticed one by one */
static bool settles(struct conn *c, const struct footprint *before)
{
        struct footprint now;

        for (int i = 0; i < 200; i++) {
                measure(c, &now);
                if (fits(&now, before))
                        break;
                usleep(10000);
        }
        print_footprint("after", &now);
        return fits(&now, before);
}

/* a pool that nothing is in takes what one user may send, again and again */
static bool pool_is_free(struct conn *from, struct conn *to)
{
        static char data[POOL_SIZE / 2 / 3 - 4096];
        struct kdbus_msg *msg;
        struct build m;

        for (int i = 0; i < 12; i++) {
                msg_init(&m, to->id, NULL, 0, 1);
                msg_vec(&m, data, sizeof(data));
                if (msg_send(from, &m, 0, NULL) || msg_wait(to, 1000, &msg))
                        return false;
                if (i % 4)
                        msg_free(to, msg); /* some stay out */
        }
        return true;
}

/* --- those who act --- */

static void receive_all(struct conn *c)
{
        struct kdbus_msg *msg;

        while (msg_recv(c, &msg) == 0) {
                struct kdbus_item *fds = msg_item(msg, KDBUS_ITEM_FDS);
                struct kdbus_item *memfd = msg_item(msg, KDBUS_ITEM_PAYLOAD_MEMFD);

                if (fds && fds->fds[0] >= 0)
                        close(fds->fds[0]);
                if (memfd && memfd->memfd.fd >= 0)
                        close(memfd->memfd.fd);
                if ((msg->flags & KDBUS_MSG_EXPECT_REPLY) && rand() % 4) {
                        struct build m;

                        msg_init(&m, msg->src_id, NULL, 0, 1);
                        m.msg.cookie_reply = msg->cookie;
                        msg_vec(&m, "reply", 6);
                        msg_send(c, &m, 0, NULL);
                }
                if (rand() % 50)
                        msg_free(c, msg);
        }
}

static void send_something(struct conn *c, uint64_t dst, uint64_t cookie)
{
        static char data[100000];
        unsigned kind = rand() % 6;
        struct kdbus_msg_info info;
        struct build m;
        int fd = -1;

        msg_init(&m, dst, NULL, kind < 2 ? KDBUS_MSG_EXPECT_REPLY : 0, cookie);
        if (kind < 2)
                m.msg.timeout_ns = now_ns() + 1 + rand() % 5000000;
        msg_vec(&m, data, 1 + rand() % (kind == 2 ? sizeof(data) : 500));
        if (kind == 3) {
                fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
                build_add(&m, KDBUS_ITEM_FDS, &fd, sizeof(fd));
        } else if (kind == 4) {
                fd = memfd_create("stress", MFD_CLOEXEC | MFD_ALLOW_SEALING);
                if (ftruncate(fd, 4096) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
                        build_add(&m, KDBUS_ITEM_PAYLOAD_MEMFD,
                                  &(struct kdbus_memfd){.size = 4096, .fd = fd},
                                  sizeof(struct kdbus_memfd));
        }
        if (msg_send(c, &m, kind == 0 ? KDBUS_SEND_SYNC_REPLY : 0, &info) == 0 && kind == 0)
                conn_free(c, info.offset);
        closep(&fd);
}

static void act(unsigned seed)
{
        struct conn c;
        char name[32];

        srand(seed);
        if (conn_open(&c, bus_path(suffix, "bus"), KDBUS_HELLO_ACCEPT_FD, NULL))
                _exit(1);
        /* one that wants more makes all broadcasts requests as long as it listens */
        if (seed % 8)
                conn_want(&c, KDBUS_ATTACH_TIMESTAMP | KDBUS_ATTACH_NAMES);
        for (uint64_t i = 1;; i++) {
                switch (rand() % 8) {
                case 0:
                        for (int n = 1 + rand() % 8; n; n--)
                                msg_signal(&c, KDBUS_DST_ID_BROADCAST, rand());
                        break;
                case 1:
                        snprintf(name, sizeof(name), "com.example.n%d", rand() % 5);
                        name_acquire(&c, name, rand() % 8, NULL);
                        break;
                case 2:
                        snprintf(name, sizeof(name), "com.example.n%d", rand() % 5);
                        name_release(&c, name);
                        break;
                case 3:
                        match_all(&c, rand() % 4);
                        break;
                case 4:
                        snprintf(name, sizeof(name), "com.example.n%d", rand() % 5);
                        msg_simple(&c, 0, name, i);
                        break;
                default:
                        send_something(&c, c.id - ACTORS + rand() % (2 * ACTORS), i);
                }
                receive_all(&c);
        }
}

static pid_t start_actor(void)
{
        static unsigned seed;
        pid_t pid;

        seed++;
        pid = fork();
        if (pid == 0)
                act(seed);
        return pid;
}

/* --- those who watch --- */

static void announce(struct conn *c, uint64_t cookie)
{
        struct build m;

        msg_init(&m, KDBUS_DST_ID_BROADCAST, NULL, KDBUS_MSG_SIGNAL, cookie);
        msg_vec(&m, "signal", 7);
        msg_bloom(&m, 0xff);
        if (msg_send(c, &m, 0, NULL))
                die("a broadcast is refused");
}

static void speak(struct conn *c, uint64_t listener, uint64_t end)
{
        uint64_t n_announced = 0;

        for (uint64_t i = 1; now_ns() < end;) {
                for (int n = i % 5; n; n--)
                        announce(c, ++n_announced);
                if (msg_simple(c, listener, NULL, i) == 0)
                        i++;
                else
                        usleep(1000);
        }
        /* the last one is a zero */
        while (msg_simple(c, listener, NULL, 0))
                usleep(1000);
        _exit(0);
}

struct heard {
        uint64_t unicasts, broadcasts; /* the last one's number */
        uint64_t missing;              /* broadcasts */
        uint64_t lost;                 /* as counted, of everybody's */
};

/* poll may say that there is something while broadcasts are under way */
static int wait_counting(struct conn *c, struct kdbus_msg **msg, struct heard *heard)
{
        struct kdbus_cmd_recv cmd = {.size = sizeof(cmd)};
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        int r = poll(&p, 1, 30000) == 1 ? 0 : -ETIMEDOUT;

        if (!r)
                r = run(c->fd, KDBUS_CMD_RECV, &cmd);
        heard->lost += cmd.dropped_msgs;
        *msg = (void *)(c->pool + cmd.msg.offset);
        return r;
}

/* in order, and whole: a unicast is never lost, and of broadcasts it is counted */
static bool note_heard(struct heard *heard, const struct kdbus_msg *msg)
{
        if (msg->dst_id == KDBUS_DST_ID_BROADCAST) {
                if (msg->cookie <= heard->broadcasts)
                        die("broadcasts out of order");
                heard->missing += msg->cookie - heard->broadcasts - 1;
                heard->broadcasts = msg->cookie;
                return true;
        }
        if (msg->cookie && msg->cookie != ++heard->unicasts)
                die("out of order, or lost");
        return msg->cookie;
}

static void listen_to(struct conn *c, uint64_t speaker)
{
        struct heard heard = {};
        struct kdbus_msg *msg;
        bool more = true;

        while (more) {
                int r = wait_counting(c, &msg, &heard);

                if (r == -EAGAIN)
                        continue;
                if (r)
                        die(msg_recv(c, &msg) ? "nothing arrives any more"
                                              : "poll does not say what receive does");
                if (msg->src_id == speaker)
                        more = note_heard(&heard, msg);
                msg_free(c, msg);
        }
        if (heard.missing > heard.lost)
                die("broadcasts are missing");
        printf("%llu messages in order, %llu broadcasts but for %llu\n",
               (unsigned long long)heard.unicasts, (unsigned long long)heard.broadcasts,
               (unsigned long long)heard.missing);
}

/* actors come and are killed until the time has passed */
static void kill_actors(uint64_t end)
{
        pid_t actors[ACTORS];
        unsigned kills = 0;

        for (int i = 0; i < ACTORS; i++)
                actors[i] = start_actor();
        while (now_ns() < end) {
                int i = rand() % ACTORS;

                usleep(rand() % 30000);
                kill(actors[i], SIGKILL);
                waitpid(actors[i], NULL, 0);
                actors[i] = start_actor();
                kills++;
        }
        for (int i = 0; i < ACTORS; i++) {
                kill(actors[i], SIGKILL);
                waitpid(actors[i], NULL, 0);
        }
        printf("%u killed\n", kills + ACTORS);
}

static void drain(struct conn *c)
{
        struct kdbus_cmd_recv cmd = {.size = sizeof(cmd), .flags = KDBUS_RECV_DROP};

        while (run(c->fd, KDBUS_CMD_RECV, &cmd) == 0)
                ;
}

static void stress(struct conn *from, struct conn *to, double duration)
{
        uint64_t end = now_ns() + duration * 1e9;
        pid_t speaker, killer;

        if (conn_want(to, KDBUS_ATTACH_TIMESTAMP | KDBUS_ATTACH_NAMES) || match_all(to, 1))
                die("match");
        speaker = fork();
        if (speaker == 0)
                speak(from, to->id, end);
        killer = fork();
        if (killer == 0) {
                srand(now_ns());
                kill_actors(end);
                exit(0);
        }
        listen_to(to, from->id);
        waitpid(killer, NULL, 0);
        waitpid(speaker, NULL, 0);
        usleep(500000); /* every death has been noticed */
        if (match_remove(to, 1))
                die("match");
        drain(from); /* the actors wrote to whomever they found */
        drain(to);
}

int main(int argc, char **argv)
{
        static const char *const server[] = {KDBUS_SERVE, "@DIR@", NULL};
        struct footprint before;
        struct conn from, to;
        int fd;

        harness_enter(argv, server);
        if (argc > 1)
                seconds = strtod(argv[1], NULL);
        setvbuf(stdout, NULL, _IOLBF, 0);
        if (bus_make(&fd, suffix, 0) || conn_open(&to, bus_path(suffix, "bus"), 0, NULL) ||
            conn_open(&from, bus_path(suffix, "bus"), 0, NULL))
                die("no bus");
        stress(&from, &to, 1); /* what is made once: the watchers' rings, the allocator's arena */
        measure(&to, &before);
        print_footprint("before", &before);
        stress(&from, &to, seconds);
        if (!settles(&to, &before))
                die("something is left in the server");
        if (!pool_is_free(&from, &to))
                die("something is left in a pool");
        return 0;
}
