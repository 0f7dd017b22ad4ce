/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "compat-tests/kdbus/kit.h"

#define ALIGN8(n) (((n) + 7) & ~(size_t)7)

void build_init(struct build *b, size_t fixed, uint64_t flags)
{
        memset(b, 0, sizeof(*b));
        b->n = fixed;
        b->cmd.flags = flags;
}

struct kdbus_item *build_add(struct build *b, uint64_t type, const void *payload, size_t n)
{
        struct kdbus_item *item = (void *)((uint8_t *)b->words + ALIGN8(b->n));

        item->size = 16 + n;
        item->type = type;
        if (payload)
                memcpy(item->data, payload, n);
        b->n = ALIGN8(b->n) + item->size;
        return item;
}

void build_string(struct build *b, uint64_t type, const char *s)
{
        build_add(b, type, s, strlen(s) + 1);
}

void build_u64(struct build *b, uint64_t type, uint64_t v)
{
        build_add(b, type, &v, sizeof(v));
}

int run(int fd, unsigned long code, void *arg)
{
        return ioctl(fd, code, arg) < 0 ? -errno : 0;
}

int build_run(struct build *b, int fd, unsigned long code)
{
        b->cmd.size = b->n;
        return run(fd, code, &b->cmd);
}

const char *bus_name(const char *suffix)
{
        static char name[256];

        snprintf(name, sizeof(name), "%u-%s", geteuid(), suffix);
        return name;
}

const char *bus_path(const char *suffix, const char *endpoint)
{
        static char path[512];

        snprintf(path, sizeof(path), KDBUS_MOUNT "/%s/%s", bus_name(suffix), endpoint);
        return path;
}

int bus_make(int *fd, const char *suffix, uint64_t flags)
{
        struct kdbus_bloom_parameter bloom = {BLOOM_SIZE, 8};
        struct build b;

        *fd = open(KDBUS_MOUNT "/control", O_RDWR | O_CLOEXEC);
        if (*fd < 0)
                return -errno;
        build_init(&b, sizeof(b.cmd), flags);
        build_add(&b, KDBUS_ITEM_BLOOM_PARAMETER, &bloom, sizeof(bloom));
        build_u64(&b, KDBUS_ITEM_ATTACH_FLAGS_SEND, _KDBUS_ATTACH_ANY);
        build_string(&b, KDBUS_ITEM_MAKE_NAME, bus_name(suffix));
        return build_run(&b, *fd, KDBUS_CMD_BUS_MAKE);
}

int conn_free(struct conn *c, uint64_t offset)
{
        struct kdbus_cmd_free cmd = {.size = sizeof(cmd), .offset = offset};

        return run(c->fd, KDBUS_CMD_FREE, &cmd);
}

int conn_want(struct conn *c, uint64_t attach_recv)
{
        struct build m;

        build_init(&m, sizeof(m.cmd), 0);
        build_u64(&m, KDBUS_ITEM_ATTACH_FLAGS_RECV, attach_recv);
        return build_run(&m, c->fd, KDBUS_CMD_UPDATE);
}

int conn_hello(struct conn *c, uint64_t hello_flags, const char *name)
{
        struct build b;
        int r;

        build_init(&b, sizeof(b.hello), hello_flags);
        b.hello.attach_flags_send = b.hello.attach_flags_recv = _KDBUS_ATTACH_ANY;
        b.hello.pool_size = POOL_SIZE;
        if (name)
                build_string(&b, KDBUS_ITEM_NAME, name);
        r = build_run(&b, c->fd, KDBUS_CMD_HELLO);
        if (r)
                return r;
        c->id = b.hello.id;
        c->pool_size = POOL_SIZE;
        c->pool = mmap(NULL, POOL_SIZE, PROT_READ, MAP_SHARED, c->fd, 0);
        if (c->pool == MAP_FAILED)
                return -errno;
        /* a policy holder may not */
        return hello_flags & KDBUS_HELLO_POLICY_HOLDER ? 0 : conn_free(c, b.hello.offset);
}

int conn_open(struct conn *c, const char *path, uint64_t hello_flags, const char *name)
{
        *c = (struct conn){.fd = open(path, O_RDWR | O_CLOEXEC)};
        if (c->fd < 0)
                return -errno;
        return conn_hello(c, hello_flags, name);
}

void conn_close(struct conn *c)
{
        if (c->pool && c->pool != MAP_FAILED)
                munmap(c->pool, c->pool_size);
        if (c->fd >= 0)
                close(c->fd);
        c->pool = NULL;
        c->fd = -1;
}

void msg_init(struct build *b, uint64_t dst, const char *dst_name, uint64_t flags, uint64_t cookie)
{
        build_init(b, sizeof(b->msg), flags);
        b->msg.dst_id = dst;
        b->msg.payload_type = KDBUS_PAYLOAD_DBUS;
        b->msg.cookie = cookie;
        if (flags & KDBUS_MSG_EXPECT_REPLY)
                b->msg.timeout_ns = now_ns() + 5000000000ULL;
        if (dst_name)
                build_string(b, KDBUS_ITEM_DST_NAME, dst_name);
}

void msg_vec(struct build *b, const void *data, size_t n)
{
        struct kdbus_vec vec = {.size = n, .address = (uintptr_t)data};

        build_add(b, KDBUS_ITEM_PAYLOAD_VEC, &vec, sizeof(vec));
}

void msg_bloom(struct build *b, uint8_t fill)
{
        struct kdbus_item *item = build_add(b, KDBUS_ITEM_BLOOM_FILTER, NULL, 8 + BLOOM_SIZE);

        item->bloom_filter.generation = 0;
        memset(item->bloom_filter.data, fill, BLOOM_SIZE);
}

int msg_send(struct conn *c, struct build *b, uint64_t send_flags, struct kdbus_msg_info *reply)
{
        struct kdbus_cmd_send cmd = {
                .size = sizeof(cmd), .flags = send_flags, .msg_address = (uintptr_t)&b->msg};
        int r;

        b->msg.size = b->n;
        r = run(c->fd, KDBUS_CMD_SEND, &cmd);
        if (reply)
                *reply = cmd.reply;
        return r;
}

int msg_simple(struct conn *c, uint64_t dst, const char *dst_name, uint64_t cookie)
{
        struct build b;

        msg_init(&b, dst, dst_name, 0, cookie);
        msg_vec(&b, "payload", 8);
        return msg_send(c, &b, 0, NULL);
}

int msg_signal(struct conn *c, uint64_t dst, uint8_t bloom)
{
        struct build b;

        msg_init(&b, dst, NULL, KDBUS_MSG_SIGNAL, 1);
        msg_vec(&b, "signal", 7);
        msg_bloom(&b, bloom);
        return msg_send(c, &b, 0, NULL);
}

int msg_recv(struct conn *c, struct kdbus_msg **msg)
{
        struct kdbus_cmd_recv cmd = {.size = sizeof(cmd)};
        int r = run(c->fd, KDBUS_CMD_RECV, &cmd);

        if (!r)
                *msg = (void *)(c->pool + cmd.msg.offset);
        return r;
}

int msg_wait(struct conn *c, int timeout_ms, struct kdbus_msg **msg)
{
        struct pollfd p = {.fd = c->fd, .events = POLLIN};

        if (poll(&p, 1, timeout_ms) <= 0)
                return -ETIMEDOUT;
        return msg_recv(c, msg);
}

void msg_free(struct conn *c, struct kdbus_msg *msg)
{
        conn_free(c, (uint8_t *)msg - c->pool);
}

struct kdbus_item *msg_item(struct kdbus_msg *msg, uint64_t type)
{
        uint8_t *p = (uint8_t *)msg->items;

        while (p < (uint8_t *)msg + msg->size) {
                struct kdbus_item *item = (void *)p;

                if (item->type == type)
                        return item;
                p += ALIGN8(item->size);
        }
        return NULL;
}

int name_acquire(struct conn *c, const char *name, uint64_t flags, uint64_t *return_flags)
{
        struct build b;
        int r;

        build_init(&b, sizeof(b.cmd), flags);
        build_string(&b, KDBUS_ITEM_NAME, name);
        r = build_run(&b, c->fd, KDBUS_CMD_NAME_ACQUIRE);
        if (return_flags)
                *return_flags = b.cmd.return_flags;
        return r;
}

int name_release(struct conn *c, const char *name)
{
        struct build b;

        build_init(&b, sizeof(b.cmd), 0);
        build_string(&b, KDBUS_ITEM_NAME, name);
        return build_run(&b, c->fd, KDBUS_CMD_NAME_RELEASE);
}

int match_all(struct conn *c, uint64_t cookie)
{
        struct kdbus_cmd_match cmd = {.size = sizeof(cmd), .cookie = cookie};

        return run(c->fd, KDBUS_CMD_MATCH_ADD, &cmd);
}

int match_remove(struct conn *c, uint64_t cookie)
{
        struct kdbus_cmd_match cmd = {.size = sizeof(cmd), .cookie = cookie};

        return run(c->fd, KDBUS_CMD_MATCH_REMOVE, &cmd);
}

uint64_t now_ns(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}
