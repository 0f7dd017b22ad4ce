/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Test kit
 *
 * What it is     What every test of this room needs: accounts, peers and messages that are easy to
 *                make and are counted, memory that runs out on demand, and a runner.
 * Promise        Each test runs in a process of its own, and fails if it leaves a peer, a message
 *                or a descriptor behind.
 * Note           What runs often here asserts with assert(): Check's macros write to a pipe each
 *                time that they hold.
 */

#undef NDEBUG /* asserts here are the tests */
#include <assert.h>
#include <check.h>
#include <stdint.h>

#include "bus-core/core.h"

#define KIT_LIMIT (1024 * 1024)

/* kit_account() - an account of @uid with @limit in every slot */
struct account *kit_account(uid_t uid, uint64_t limit);

/* kit_peer() - a peer on the heap, with no ceilings of its own */
struct peer *kit_peer(uint64_t id, struct account *account);

/* kit_message() - a message known by its @tag; @account may be NULL */
struct message *kit_message(uint64_t tag, uint32_t size, struct account *account);
uint64_t kit_tag(const struct message *message);

/* kit_message_fd() - give it one descriptor */
void kit_message_fd(struct message *message);

/* kit_send() - make, send and forget a message; what peer_send() returned */
int kit_send(struct peer *from, struct peer *to, uint64_t tag);

/* kit_receive() - the tag of the next message, which is released; -1 for none */
int64_t kit_receive(struct peer *peer);

/* kit_live() - peers and messages that exist */
int kit_live(void);

/* kit_fail_alloc() - let the @n-th allocation from now on fail, once; 0: none */
void kit_fail_alloc(unsigned n);

/* A test, and for how many values of _i it runs (0: once). */
struct kit_test {
        const TTest *test;
        int loops;
};

/* kit_run() - run the tests of one suite; what main() returns */
int kit_run(const char *name, const struct kit_test *tests, size_t n);

#define KIT_RUN(name, ...)                                                                         \
        kit_run(name, (const struct kit_test[]){__VA_ARGS__},                                      \
                sizeof((const struct kit_test[]){__VA_ARGS__}) / sizeof(struct kit_test))
