/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broadcasts by the ring, as the daemon takes them: from a program that speaks its protocol by
 * hand, and does not always tell the truth.
 */

#include "config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/test-run.h"
#include "shim/kdbus/client/proto.h"
#include "shim/kdbus/kdbus-abi.h"
#include "shim/kdbus/test-server.h"

#define ALIGN8(n) (((n) + 7) & ~(size_t)7)
#define POOL      (64 * 1024)
#define BLOOM     64

static struct server server;

/* a handle and a channel */
struct peer {
        int fd, channel;
        uint64_t id, serial;
        struct kdp_ring *ring;
        struct kdp_flow *flow;
        uint8_t *pool;
};

static struct peer owner, sender, listener;

/* --- the protocol --- */

struct packet {
        struct kdp_request rq;
        uint64_t body[512];
        size_t n_body;
        int fds[3];
        size_t n_fds;
};

static struct packet packet(uint32_t op, uint32_t code)
{
        return (struct packet){.rq = {.magic = KDP_MAGIC, .op = op, .code = code, .tid = getpid()}};
}

static void packet_add(struct packet *p, const void *data, size_t n)
{
        memcpy((uint8_t *)p->body + p->n_body, data, n);
        p->n_body += ALIGN8(n);
}

static void packet_send(const struct packet *p, int fd)
{
        union {
                struct cmsghdr align;
                char buf[CMSG_SPACE(3 * sizeof(int))];
        } control = {.align = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                               .cmsg_len = CMSG_LEN(p->n_fds * sizeof(int))}};
        struct iovec iov[] = {{(void *)&p->rq, sizeof(p->rq)}, {(void *)p->body, p->n_body}};
        struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};

        if (p->n_fds) {
                mh.msg_control = &control;
                mh.msg_controllen = CMSG_SPACE(p->n_fds * sizeof(int));
                memcpy(CMSG_DATA(&control.align), p->fds, p->n_fds * sizeof(int));
        }
        ck_assert_int_gt(sendmsg(fd, &mh, MSG_NOSIGNAL), 0);
}

/* @back: where the structure goes that is sent back; @fds: descriptors, or NULL */
static int answer(struct peer *peer, uint64_t *channel, void *back, size_t n_back, int *fds)
{
        union {
                struct cmsghdr align;
                char buf[CMSG_SPACE(4 * sizeof(int))];
        } control;
        struct kdp_reply reply;
        struct iovec iov[] = {{&reply, sizeof(reply)}, {back, n_back}};
        struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = &control,
                            .msg_controllen = sizeof(control)};
        struct cmsghdr *c;

        ck_assert_int_ge(recvmsg(peer->channel, &mh, MSG_CMSG_CLOEXEC), sizeof(reply));
        c = CMSG_FIRSTHDR(&mh);
        if (fds && c)
                memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
        *channel = reply.channel;
        return reply.error;
}

static uint64_t channel_id(struct peer *peer, uint64_t set)
{
        static uint64_t ids[64];

        if (set)
                ids[peer->fd] = set;
        return ids[peer->fd];
}

static int run(struct peer *peer, struct packet *p, void *back, size_t n_back, int *fds)
{
        uint64_t channel;
        int r;

        p->rq.channel = channel_id(peer, 0);
        p->rq.serial = ++peer->serial;
        packet_send(p, peer->fd);
        r = answer(peer, &channel, back, n_back, fds);
        channel_id(peer, channel);
        return r;
}

static int command(struct peer *peer, uint32_t code, void *cmd, size_t n_cmd)
{
        struct packet p = packet(KDP_IOCTL, code);

        p.rq.n_cmd = n_cmd;
        packet_add(&p, cmd, n_cmd);
        return run(peer, &p, cmd, n_cmd, NULL);
}

/* what was said before the server accepted carries no credentials, and is to be said again */
static void peer_open(struct peer *peer, const char *path)
{
        char full[128];
        int r = -ESTALE, pair[2];

        snprintf(full, sizeof(full), "%s/root/%s", server.dir, path);
        for (int i = 0; i < 100 && r == -ESTALE; i++) {
                struct packet p = packet(KDP_OPEN, 0);

                *peer = (struct peer){.fd = server_connect(&server)};
                ck_assert_int_ge(peer->fd, 0);
                ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
                usleep(i * 1000);
                peer->channel = pair[0];
                p.rq.flags = KDP_NEW_CHANNEL;
                p.fds[0] = pair[1];
                p.fds[1] = open(full, O_RDWR | O_CLOEXEC);
                ck_assert_int_ge(p.fds[1], 0);
                p.n_fds = 2;
                r = run(peer, &p, NULL, 0, NULL);
                close(p.fds[0]);
                close(p.fds[1]);
                if (r) {
                        close(peer->fd);
                        close(pair[0]);
                }
        }
        ck_assert_int_eq(r, 0);
}

static void peer_close(struct peer *peer)
{
        close(peer->fd);
        close(peer->channel);
        if (peer->ring)
                munmap(peer->ring, sizeof(*peer->ring));
        if (peer->flow)
                munmap(peer->flow, sizeof(*peer->flow));
        if (peer->pool)
                munmap(peer->pool, POOL);
        *peer = (struct peer){.fd = -1, .channel = -1};
}

static void *map(int fd, size_t n, int prot)
{
        void *p = mmap(NULL, n, prot, MAP_SHARED, fd, 0);

        ck_assert_ptr_ne(p, MAP_FAILED);
        close(fd);
        return p;
}

static void peer_hello(struct peer *peer, const char *bus)
{
        struct kdbus_cmd_hello hello = {
                .size = sizeof(hello), .pool_size = POOL, .attach_flags_send = _KDBUS_ATTACH_ANY};
        struct packet p = packet(KDP_MMAP, 0);
        int fds[2];

        peer_open(peer, bus);
        ck_assert_int_eq(command(peer, KDBUS_CMD_HELLO, &hello, sizeof(hello)), 0);
        peer->id = hello.id;
        p.rq.arg[0] = POOL;
        p.rq.arg[1] = PROT_READ;
        p.rq.arg[2] = MAP_SHARED;
        ck_assert_int_eq(run(peer, &p, NULL, 0, fds), 0);
        peer->pool = map(fds[0], POOL, PROT_READ);
        p = packet(KDP_RING, 0);
        ck_assert_int_eq(run(peer, &p, NULL, 0, fds), 0);
        peer->ring = map(fds[0], sizeof(*peer->ring), PROT_READ | PROT_WRITE);
        peer->flow = map(fds[1], sizeof(*peer->flow), PROT_READ | PROT_WRITE);
}

/* --- a broadcast --- */

struct broadcast {
        struct kdbus_msg msg;
        uint64_t items[64];
};

static uint64_t *put_item(uint64_t *at, uint64_t type, const void *data, size_t n)
{
        at[0] = 16 + n;
        at[1] = type;
        memcpy(at + 2, data, n);
        return at + 2 + ALIGN8(n) / 8;
}

static void compose(struct broadcast *b, uint64_t cookie)
{
        struct kdbus_vec vec = {.size = 4, .address = 4096};
        uint64_t filter[1 + BLOOM / 8], *at = b->items;

        memset(b, 0, sizeof(*b));
        memset(filter, 0xff, sizeof(filter));
        at = put_item(at, KDBUS_ITEM_PAYLOAD_VEC, &vec, sizeof(vec));
        at = put_item(at, KDBUS_ITEM_BLOOM_FILTER, filter, sizeof(filter));
        b->msg.size = (uint8_t *)at - (uint8_t *)b;
        b->msg.flags = KDBUS_MSG_SIGNAL;
        b->msg.dst_id = KDBUS_DST_ID_BROADCAST;
        b->msg.payload_type = KDBUS_PAYLOAD_DBUS;
        b->msg.cookie = cookie;
}

static int request_broadcast(struct peer *peer, uint64_t cookie)
{
        struct kdbus_cmd_send cmd = {.size = sizeof(cmd), .msg_address = 4096};
        struct packet p = packet(KDP_IOCTL, KDBUS_CMD_SEND);
        struct broadcast b;

        compose(&b, cookie);
        p.rq.flags = KDP_RINGED;
        p.rq.n_cmd = sizeof(cmd);
        p.rq.n_msg = b.msg.size;
        packet_add(&p, &cmd, sizeof(cmd));
        packet_add(&p, &b, b.msg.size);
        packet_add(&p, "abc", 4);
        return run(peer, &p, &cmd, sizeof(cmd), NULL);
}

static uint64_t load(const uint64_t *p)
{
        return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static struct kdp_send *slot(struct peer *peer)
{
        return &peer->ring->out[load(&peer->ring->sends) % KDP_SENDS];
}

static void fill(struct kdp_send *out, uint64_t cookie)
{
        struct broadcast b;

        compose(&b, cookie);
        memcpy(out->data, &b, b.msg.size);
        memcpy((uint8_t *)out->data + b.msg.size, "abc", 4);
        out->n_msg = b.msg.size;
        out->n_payload = 4;
}

static void add(struct peer *peer)
{
        __atomic_add_fetch(&peer->ring->sends, 1, __ATOMIC_SEQ_CST);
}

static void put(struct peer *peer, uint64_t cookie)
{
        fill(slot(peer), cookie);
        add(peer);
}

static void bell(struct peer *peer)
{
        struct packet p = packet(KDP_BELL, 0);

        packet_send(&p, peer->fd);
}

static bool is_open(const struct peer *peer)
{
        return !(load(&peer->ring->sends) & KDP_SENDS_CLOSED);
}

/* it is open for who broadcasts a lot: two within a millisecond, on a machine that lets one */
static void make_stream(struct peer *peer)
{
        for (int i = 0; i < 1000 && !is_open(peer); i++)
                ck_assert_int_eq(request_broadcast(peer, 1), 0);
}

/* by request, so that nothing is in the ring beforehand */
static int receive(struct peer *peer, uint64_t *cookie)
{
        struct kdbus_cmd_recv cmd = {.size = sizeof(cmd)};
        struct kdbus_cmd_free release = {.size = sizeof(release)};
        int r = command(peer, KDBUS_CMD_RECV, &cmd, sizeof(cmd));

        if (r)
                return r;
        *cookie = ((struct kdbus_msg *)(peer->pool + cmd.msg.offset))->cookie;
        release.offset = cmd.msg.offset;
        return command(peer, KDBUS_CMD_FREE, &release, sizeof(release));
}

static void forget_all(struct peer *peer)
{
        uint64_t cookie;

        while (receive(peer, &cookie) == 0)
                ;
}

static void expect(struct peer *peer, uint64_t cookie)
{
        uint64_t got = 0;

        ck_assert_int_eq(receive(peer, &got), 0);
        ck_assert_uint_eq(got, cookie);
}

/* --- fixture --- */

static void make_bus(char name[static 64])
{
        struct kdbus_bloom_parameter bloom = {.size = BLOOM, .n_hash = 1};
        struct {
                struct kdbus_cmd cmd;
                uint64_t items[32];
        } make = {};
        uint64_t *at = make.items;

        snprintf(name, 64, "%u-outbox", geteuid());
        at = put_item(at, KDBUS_ITEM_BLOOM_PARAMETER, &bloom, sizeof(bloom));
        at = put_item(at, KDBUS_ITEM_MAKE_NAME, name, strlen(name) + 1);
        make.cmd.size = (uint8_t *)at - (uint8_t *)&make;
        make.cmd.size -= ALIGN8(strlen(name) + 1) - (strlen(name) + 1);
        peer_open(&owner, "control");
        ck_assert_int_eq(command(&owner, KDBUS_CMD_BUS_MAKE, &make, make.cmd.size), 0);
        strcat(name, "/bus");
}

static void setup(void)
{
        struct kdbus_cmd_match match = {.size = sizeof(match), .cookie = 1};
        char path[64];

        server_start(&server);
        make_bus(path);
        peer_hello(&listener, path);
        peer_hello(&sender, path);
        ck_assert_int_eq(command(&listener, KDBUS_CMD_MATCH_ADD, &match, sizeof(match)), 0);
}

static void teardown(void)
{
        peer_close(&sender);
        peer_close(&listener);
        peer_close(&owner);
        ck_assert_int_eq(server_stop(&server), 0);
}

/* --- tests --- */

START_TEST(it_is_open_for_who_broadcasts_a_lot)
{
        ck_assert_uint_eq(sender.ring->id, sender.id);
        ck_assert_uint_eq(sender.ring->bloom_size, BLOOM);
        ck_assert(!is_open(&sender));
        ck_assert_int_eq(request_broadcast(&sender, 1), 0);
        ck_assert(!is_open(&sender));
        ck_assert_uint_eq(load(&sender.flow->who), KDP_FLOW_NONE);
        make_stream(&sender);
        ck_assert(is_open(&sender));
        ck_assert(!is_open(&listener));
        ck_assert_uint_eq(load(&listener.flow->who), KDP_FLOW_OWN);
}
END_TEST

START_TEST(what_is_in_there_comes_before_any_request)
{
        make_stream(&sender);
        forget_all(&listener);
        for (uint64_t i = 100; i < 150; i++)
                put(&sender, i);
        for (uint64_t i = 100; i < 150; i++)
                expect(&listener, i);
        ck_assert_int_eq(receive(&listener, &(uint64_t){0}), -EAGAIN);
}
END_TEST

START_TEST(a_bell_wakes_the_daemon)
{
        struct pollfd p = {.fd = listener.fd, .events = POLLIN};

        make_stream(&sender);
        forget_all(&listener);
        for (int i = 0; i < 500 && load(&sender.ring->asleep) != KDP_ASLEEP; i++)
                usleep(10000);
        ck_assert_uint_eq(load(&sender.ring->asleep), KDP_ASLEEP);
        recv(listener.fd, &(char){0}, 1, MSG_DONTWAIT);
        __atomic_store_n(&listener.ring->heard, load(&listener.ring->rung), __ATOMIC_SEQ_CST);
        put(&sender, 100);
        bell(&sender);
        ck_assert_int_eq(poll(&p, 1, 10000), 1);
        expect(&listener, 100);
}
END_TEST

START_TEST(the_flow_says_how_far_the_daemon_has_got)
{
        make_stream(&sender);
        put(&sender, 100);
        __atomic_add_fetch(&sender.flow->sent, 1, __ATOMIC_SEQ_CST);
        ck_assert_int_eq(receive(&sender, &(uint64_t){0}), -EAGAIN);
        ck_assert_uint_eq(load(&listener.flow->seen), load(&listener.flow->sent));
}
END_TEST

START_TEST(the_last_words_are_heard)
{
        struct pollfd p = {.fd = listener.fd, .events = POLLIN};

        make_stream(&sender);
        forget_all(&listener);
        recv(listener.fd, &(char){0}, 1, MSG_DONTWAIT);
        __atomic_store_n(&listener.ring->heard, load(&listener.ring->rung), __ATOMIC_SEQ_CST);
        put(&sender, 100);
        put(&sender, 101);
        peer_close(&sender);
        ck_assert_int_eq(poll(&p, 1, 10000), 1);
        expect(&listener, 100);
        expect(&listener, 101);
        ck_assert_uint_eq(load(&listener.flow->who), KDP_FLOW_NONE);
}
END_TEST

START_TEST(it_is_closed_when_somebody_asks_who_sent)
{
        struct {
                struct kdbus_cmd cmd;
                uint64_t items[3];
        } update = {.cmd.size = sizeof(update)};
        uint64_t flags = KDBUS_ATTACH_PIDS;

        make_stream(&sender);
        forget_all(&listener);
        put(&sender, 100);
        put_item(update.items, KDBUS_ITEM_ATTACH_FLAGS_RECV, &flags, sizeof(flags));
        ck_assert_int_eq(command(&listener, KDBUS_CMD_UPDATE, &update, sizeof(update)), 0);
        ck_assert(!is_open(&sender));
        expect(&listener, 100);
        for (int i = 0; i < 10; i++)
                ck_assert_int_eq(request_broadcast(&sender, 101), 0);
        ck_assert(!is_open(&sender));
}
END_TEST

START_TEST(it_goes_to_another_once_the_one_is_silent)
{
        make_stream(&sender);
        for (int i = 0; i < 1000 && is_open(&sender); i++)
                ck_assert_int_eq(request_broadcast(&listener, 1), 0);
        make_stream(&listener);
        ck_assert(is_open(&listener));
        ck_assert(!is_open(&sender));
}
END_TEST

enum lie {
        MSG_TOO_LONG,
        MSG_TOO_SHORT,
        MSG_OF_ANOTHER_SIZE,
        PAYLOAD_TOO_LONG,
        PAYLOAD_MISSING,
        TO_ONE,
        A_CALL,
        BAD_ITEM,
        ITEM_WITHOUT_END,
        OTHER_BLOOM,
        A_MEMFD,
        OF_ANOTHER,
        TOO_MANY,
        BACKWARDS,
        N_LIES,
};

/* whether it is a message that nobody gets, but not a lie: its payload is found wanting late */
static bool is_excused(enum lie lie)
{
        return lie == PAYLOAD_MISSING;
}

static void lie(enum lie lie)
{
        struct kdp_send *out = slot(&sender);
        struct kdbus_msg *msg = (void *)out->data;

        fill(out, 666);
        switch (lie) {
        case MSG_TOO_LONG:
                out->n_msg = 0x80000000;
                break;
        case MSG_TOO_SHORT:
                out->n_msg = msg->size = 8;
                break;
        case MSG_OF_ANOTHER_SIZE:
                msg->size += 8;
                break;
        case PAYLOAD_TOO_LONG:
                out->n_payload = 0xfffffff0;
                break;
        case PAYLOAD_MISSING:
                out->n_payload = 2;
                break;
        case TO_ONE:
                msg->dst_id = listener.id;
                break;
        case A_CALL:
                msg->flags |= KDBUS_MSG_EXPECT_REPLY;
                msg->timeout_ns = 1;
                break;
        case BAD_ITEM:
                msg->items[0].type = KDBUS_ITEM_NAME;
                break;
        case ITEM_WITHOUT_END:
                msg->items[0].size = ~0ULL;
                break;
        case OTHER_BLOOM:
                msg->size -= 8;
                out->n_msg -= 8;
                ((uint64_t *)msg->items)[4] -= 8;
                break;
        case A_MEMFD:
                msg->items[0].type = KDBUS_ITEM_PAYLOAD_MEMFD;
                break;
        case OF_ANOTHER:
                msg->src_id = listener.id;
                break;
        case TOO_MANY:
                __atomic_add_fetch(&sender.ring->sends, KDP_SENDS, __ATOMIC_SEQ_CST);
                break;
        case BACKWARDS:
                __atomic_sub_fetch(&sender.ring->sends, 2, __ATOMIC_SEQ_CST);
                break;
        case N_LIES:
                break;
        }
        add(&sender);
}

START_TEST(who_lies_has_seen_the_last_of_it)
{
        uint64_t cookie;

        make_stream(&sender);
        forget_all(&listener);
        lie(_i);
        ck_assert_int_eq(receive(&listener, &cookie), -EAGAIN);
        if (is_excused(_i))
                return;
        ck_assert(!is_open(&sender));
        for (int i = 0; i < 10; i++)
                ck_assert_int_eq(request_broadcast(&sender, 100 + i), 0);
        ck_assert(!is_open(&sender));
        for (int i = 0; i < 10; i++)
                expect(&listener, 100 + i);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("outbox");
        TCase *tcase = tcase_create("outbox");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, it_is_open_for_who_broadcasts_a_lot);
        tcase_add_test(tcase, what_is_in_there_comes_before_any_request);
        tcase_add_test(tcase, a_bell_wakes_the_daemon);
        tcase_add_test(tcase, the_flow_says_how_far_the_daemon_has_got);
        tcase_add_test(tcase, the_last_words_are_heard);
        tcase_add_test(tcase, it_is_closed_when_somebody_asks_who_sent);
        tcase_add_test(tcase, it_goes_to_another_once_the_one_is_silent);
        tcase_add_loop_test(tcase, who_lies_has_seen_the_last_of_it, 0, N_LIES);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
