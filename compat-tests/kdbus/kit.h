/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kit
 *
 * What it is     A kdbus program's own small library: what the scenarios need to say to the kernel,
 *                or to whatever stands in for it. Everything returns 0 or a negative errno.
 * How            Nothing in here knows of lambus: paths below KDBUS_MOUNT, and the ABI header.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/kdbus/kdbus-abi.h"

#define KDBUS_MOUNT "/sys/fs/kdbus"
#define POOL_SIZE   (1024 * 1024)
#define BLOOM_SIZE  64

/* a structure under construction, with its items */
struct build {
        union {
                uint64_t words[8192];
                struct kdbus_cmd cmd;
                struct kdbus_cmd_hello hello;
                struct kdbus_cmd_info info;
                struct kdbus_cmd_list list;
                struct kdbus_cmd_send send;
                struct kdbus_cmd_recv recv;
                struct kdbus_cmd_match match;
                struct kdbus_cmd_free free;
                struct kdbus_msg msg;
        };
        size_t n;
};

struct conn {
        int fd;
        uint64_t id;
        uint8_t *pool;
        uint64_t pool_size;
};

void build_init(struct build *b, size_t fixed, uint64_t flags);
struct kdbus_item *build_add(struct build *b, uint64_t type, const void *payload, size_t n);
void build_string(struct build *b, uint64_t type, const char *s);
void build_u64(struct build *b, uint64_t type, uint64_t v);
int build_run(struct build *b, int fd, unsigned long code); /* sets size */
int run(int fd, unsigned long code, void *arg);

const char *bus_name(const char *suffix); /* "<uid>-<suffix>", in a static buffer */
int bus_make(int *fd, const char *suffix, uint64_t flags);
const char *bus_path(const char *suffix, const char *endpoint);

int conn_open(struct conn *c, const char *path, uint64_t hello_flags, const char *name);
int conn_hello(struct conn *c, uint64_t hello_flags, const char *name);
void conn_close(struct conn *c);
int conn_free(struct conn *c, uint64_t offset);
int conn_want(struct conn *c, uint64_t attach_recv); /* metadata */

/* messages: start, add items, send */
void msg_init(struct build *b, uint64_t dst, const char *dst_name, uint64_t flags, uint64_t cookie);
void msg_vec(struct build *b, const void *data, size_t n);
void msg_bloom(struct build *b, uint8_t fill);
int msg_send(struct conn *c, struct build *b, uint64_t send_flags, struct kdbus_msg_info *reply);
int msg_simple(struct conn *c, uint64_t dst, const char *dst_name, uint64_t cookie);
int msg_signal(struct conn *c, uint64_t dst, uint8_t bloom);
int msg_recv(struct conn *c, struct kdbus_msg **msg); /* to be freed with msg_free() */
int msg_wait(struct conn *c, int timeout_ms, struct kdbus_msg **msg);
void msg_free(struct conn *c, struct kdbus_msg *msg);
struct kdbus_item *msg_item(struct kdbus_msg *msg, uint64_t type);

int name_acquire(struct conn *c, const char *name, uint64_t flags, uint64_t *return_flags);
int name_release(struct conn *c, const char *name);
int match_all(struct conn *c, uint64_t cookie);
int match_remove(struct conn *c, uint64_t cookie);
uint64_t now_ns(void);
