/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * raw
 *
 * A kdbus program that no library can be put under: linked statically, and with system calls of its
 * own making. Two connections of one bus say something to each other, with a descriptor. Prints the
 * user that the receiver saw.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/kdbus/kdbus-abi.h"

#define MOUNT     "/sys/fs/kdbus"
#define POOL_SIZE (64 * 1024)
#define BLOOM     64

struct item {
        uint64_t size, type;
        uint8_t data[32];
};

struct conn {
        int fd;
        uint64_t id;
        const uint8_t *pool;
};

static int fail(const char *what)
{
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        return 1;
}

static int raw_open(const char *path)
{
        return syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
}

static int raw_ioctl(int fd, unsigned long code, void *arg)
{
        return syscall(SYS_ioctl, fd, code, arg);
}

static int make_bus(const char *name)
{
        struct {
                struct kdbus_cmd cmd;
                struct {
                        uint64_t size, type;
                        struct kdbus_bloom_parameter bloom;
                } bloom;
                struct item name;
        } make = {
                .bloom = {16 + sizeof(struct kdbus_bloom_parameter), KDBUS_ITEM_BLOOM_PARAMETER,
                          {BLOOM, 8}},
                .name = {17 + strlen(name), KDBUS_ITEM_MAKE_NAME, ""},
        };
        int fd = raw_open(MOUNT "/control");

        memcpy(make.name.data, name, strlen(name));
        make.cmd.size = sizeof(make) - sizeof(make.name) + make.name.size;
        return fd < 0 || raw_ioctl(fd, KDBUS_CMD_BUS_MAKE, &make) < 0 ? -1 : fd;
}

static int join(struct conn *c, const char *path)
{
        struct kdbus_cmd_hello hello = {.size = sizeof(hello),
                                        .flags = KDBUS_HELLO_ACCEPT_FD,
                                        .pool_size = POOL_SIZE,
                                        .attach_flags_send = _KDBUS_ATTACH_ANY,
                                        .attach_flags_recv = KDBUS_ATTACH_CREDS};

        c->fd = raw_open(path);
        if (c->fd < 0 || raw_ioctl(c->fd, KDBUS_CMD_HELLO, &hello) < 0)
                return -1;
        c->id = hello.id;
        c->pool = (void *)syscall(SYS_mmap, NULL, POOL_SIZE, PROT_READ, MAP_SHARED, c->fd, 0);
        return c->pool == MAP_FAILED ? -1 : 0;
}

static int say(const struct conn *from, uint64_t to, int passed)
{
        struct {
                struct kdbus_msg msg;
                uint64_t vec_size, vec_type;
                struct kdbus_vec vec;
                uint64_t fds_size, fds_type;
                int fd, pad;
        } m = {
                .msg = {.size = sizeof(m) - sizeof(int), .dst_id = to, .cookie = 7,
                        .payload_type = KDBUS_PAYLOAD_DBUS},
                .vec_size = 16 + sizeof(struct kdbus_vec), .vec_type = KDBUS_ITEM_PAYLOAD_VEC,
                .vec = {.size = 5, .address = (uintptr_t)"hello"},
                .fds_size = 16 + sizeof(int), .fds_type = KDBUS_ITEM_FDS,
                .fd = passed,
        };
        struct kdbus_cmd_send send = {.size = sizeof(send), .msg_address = (uintptr_t)&m};

        return raw_ioctl(from->fd, KDBUS_CMD_SEND, &send);
}

static const struct kdbus_item *find(const struct kdbus_msg *msg, uint64_t type)
{
        const uint8_t *p = (const uint8_t *)msg->items, *end = (const uint8_t *)msg + msg->size;

        for (; p < end; p += (((const struct kdbus_item *)p)->size + 7) & ~7ULL)
                if (((const struct kdbus_item *)p)->type == type)
                        return (const struct kdbus_item *)p;
        return NULL;
}

/* what was said, and through which descriptor */
static int check(const struct kdbus_msg *msg, const struct conn *to)
{
        const struct kdbus_item *off = find(msg, KDBUS_ITEM_PAYLOAD_OFF);
        const struct kdbus_item *fds = find(msg, KDBUS_ITEM_FDS);
        const struct kdbus_item *creds = find(msg, KDBUS_ITEM_CREDS);

        if (msg->cookie != 7 || !off || !fds || !creds)
                return errno = EBADMSG, -1;
        if (memcmp((const uint8_t *)msg + off->vec.offset, "hello", 5) != 0 ||
            write(fds->fds[0], "x", 1) != 1)
                return -1;
        printf("%llu\n", (unsigned long long)creds->creds.euid);
        return 0;
}

int main(void)
{
        struct kdbus_cmd_recv recv = {.size = sizeof(recv)};
        struct conn a, b;
        struct pollfd p = {.events = POLLIN};
        char name[16], path[64], byte;
        int ends[2];

        snprintf(name, sizeof(name), "%u-raw%d", geteuid(), getpid() % 1000);
        snprintf(path, sizeof(path), MOUNT "/%s/bus", name);
        if (make_bus(name) < 0)
                return fail("BUS_MAKE");
        if (join(&a, path) < 0 || join(&b, path) < 0 || pipe(ends) < 0)
                return fail("HELLO");
        if (say(&a, b.id, ends[1]) < 0)
                return fail("SEND");
        p.fd = b.fd;
        if (poll(&p, 1, 5000) != 1 || p.revents != POLLIN)
                return fail("poll");
        if (raw_ioctl(b.fd, KDBUS_CMD_RECV, &recv) < 0)
                return fail("RECV");
        if (check((const struct kdbus_msg *)(b.pool + recv.msg.offset), &b) < 0)
                return fail("message");
        return read(ends[0], &byte, 1) == 1 ? 0 : fail("descriptor");
}
