/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/client/proto.h"
#include "shim/kdbus/handle.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/kbus.h"
#include "shim/kdbus/kconn.h"
#include "shim/kdbus/koutbox.h"
#include "shim/kdbus/kring.h"
#include "shim/kdbus/shared.h"

#define STREAM_NS  1000000 /* broadcasts no further apart are a stream */
#define IDLE_MAX   1024    /* looked at so often in vain, an outbox is closed */
#define IDLE_OTHER 32      /* and so often, another connection may have one */

struct koutbox {
        struct cds_list_head link; /* domain->outboxes */
        struct handle *handle;
        struct kdp_ring *map; /* of the connection's ring */
        struct kuser *user;   /* whose flow it is in */
        uint64_t taken;
        uint64_t sent; /* of the flow, before this was looked at */
        unsigned idle;
};

/* --- flow: what receivers must know of others' outboxes --- */

struct kflow {
        int fd;
        struct kdp_flow *map;
};

struct kflow *kflow_free(struct kflow *flow)
{
        if (!flow)
                return NULL;
        if (flow->map)
                munmap(flow->map, sizeof(*flow->map));
        closep(&flow->fd);
        free(flow);
        return NULL;
}

static void tell_user(struct domain *domain, struct kuser *user)
{
        uint64_t who = KDP_FLOW_NONE;
        struct koutbox *o;

        cds_list_for_each_entry(o, &domain->outboxes, link)
                who = MAX(who, (uint64_t)(o->user == user ? KDP_FLOW_OWN : KDP_FLOW_STRANGERS));
        kdp_store(&user->flow->map->who, who);
}

static void tell_users(struct domain *domain)
{
        struct kuser *user, *next;

        HASH_ITER(hh, domain->users, user, next)
                if (user->flow)
                        tell_user(domain, user);
}

/**
 * kflow_get() - what a user's programs map beside each ring
 * @user:       not an anonymous one
 * @fdp:        set to a borrowed descriptor
 */
int kflow_get(struct kuser *user, int *fdp)
{
        struct kflow *flow = user->flow;
        void *map;
        int r;

        if (!flow) {
                flow = calloc(1, sizeof(*flow));
                if (!flow)
                        return error_origin(-ENOMEM);
                r = shared_map("kdbus-flow", sizeof(*flow->map), &flow->fd, &map);
                flow->map = map;
                if (r) {
                        kflow_free(flow);
                        return r;
                }
                user->flow = flow;
                tell_user(user->domain, user);
        }
        *fdp = flow->fd;
        return 0;
}

/* --- what is in there --- */

static uint64_t n_waiting(const struct koutbox *o)
{
        return (kdp_load(&o->map->sends) & ~KDP_SENDS_CLOSED) - o->taken;
}

/* what comes by this way is a plain broadcast: it needs nothing that only a request brings */
static bool is_fit(const struct kdbus_msg *msg, uint32_t n_msg)
{
        return n_msg >= sizeof(*msg) && msg->size == n_msg &&
               msg->dst_id == KDBUS_DST_ID_BROADCAST && msg->flags == KDBUS_MSG_SIGNAL;
}

/* returns an error that no honest program causes */
static int run_one(struct koutbox *o, const struct kdp_send *send)
{
        uint32_t n_msg = __atomic_load_n(&send->n_msg, __ATOMIC_RELAXED);
        uint32_t n_payload = __atomic_load_n(&send->n_payload, __ATOMIC_RELAXED);
        struct kdbus_cmd_send cmd = {.size = sizeof(cmd), .msg_address = -1ULL};
        uint64_t data[KDP_SEND_MAX / 8];
        struct cmd c = {
                .handle = o->handle,
                .code = KDBUS_CMD_SEND,
                .data = &cmd,
                .n_data = sizeof(cmd),
                .msg = data,
                .n_msg = n_msg,
                .payload = {.n_bytes = n_payload, .file = -1},
                .cancel_fd = -1,
                .unasked = true,
        };

        if (n_msg > sizeof(data) || n_payload > sizeof(data) - ITEM_ALIGN(n_msg))
                return -EINVAL;
        memcpy(data, send->data, ITEM_ALIGN(n_msg) + n_payload);
        c.payload.bytes = (uint8_t *)data + ITEM_ALIGN(n_msg);
        return is_fit(c.msg, n_msg) ? handle_run(&c) : -EINVAL;
}

/* returns whether it was all right */
static bool take(struct koutbox *o)
{
        uint64_t n = n_waiting(o);

        if (!n)
                return true;
        o->idle = 0;
        if (n > KDP_SENDS)
                return false;
        for (; n; n--, o->taken++) {
                if (run_one(o, &o->map->out[o->taken % KDP_SENDS]))
                        return false;
                kdp_store(&o->map->sends_taken, o->taken + 1);
        }
        return true;
}

/* --- open and closed --- */

static bool asks_too_much(const struct kconn *of, uint64_t attach_recv)
{
        return (attach_recv & KMETA_PROC) && !of->meta.fake;
}

/* somebody wants to know what only the process that sends could tell */
static bool is_watched(const struct kconn *src)
{
        struct kconn *c;

        cds_list_for_each_entry(c, &src->bus->listeners, by_listener)
                if (asks_too_much(src, c->attach_recv))
                        return true;
        cds_list_for_each_entry(c, &src->bus->monitors, by_monitor)
                if (asks_too_much(src, c->attach_recv))
                        return true;
        return false;
}

static void open_outbox(struct handle *handle, struct kuser *user)
{
        struct kconn *conn = handle->conn;
        struct koutbox *o = calloc(1, sizeof(*o));

        if (!o)
                return;
        o->handle = handle;
        o->map = conn->ring->map;
        o->user = kuser_ref(user);
        o->taken = o->map->sends_taken;
        conn->bus->outbox = o;
        cds_list_add_tail(&o->link, &conn->bus->domain->outboxes);
        tell_users(conn->bus->domain); /* before anything can be in there */
        kdp_store(&o->map->asleep, 0);
        kdp_store(&o->map->sends, o->taken);
}

static uint64_t now_ns(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static bool is_stream(struct kconn *conn)
{
        uint64_t last = conn->last_broadcast;

        conn->last_broadcast = now_ns();
        return conn->last_broadcast - last < STREAM_NS;
}

/**
 * koutbox_offer() - a program that has a ring broadcast by a request
 * @user:       whose flow it knows
 */
void koutbox_offer(struct handle *handle, struct kuser *user)
{
        struct kconn *conn = handle->conn;
        struct koutbox *o = conn->bus->outbox;

        if (!is_stream(conn) || !conn->ring || conn->no_outbox || conn->bus->bridge ||
            !user->flow || is_watched(conn))
                return;
        if (o && (o->handle == handle || o->idle < IDLE_OTHER))
                return;
        koutbox_close(conn->bus);
        open_outbox(handle, user);
}

/**
 * koutbox_close() - no more by this way; what is in there is delivered
 */
void koutbox_close(struct kbus *bus)
{
        struct koutbox *o = bus->outbox;

        if (!o)
                return;
        bus->outbox = NULL; /* what is delivered now may say the same */
        __atomic_fetch_or(&o->map->sends, KDP_SENDS_CLOSED, __ATOMIC_SEQ_CST);
        if (!o->handle->conn->no_outbox)
                o->handle->conn->no_outbox = !take(o);
        cds_list_del(&o->link);
        tell_users(bus->domain);
        kuser_unref(o->user);
        free(o);
}

struct kconn *koutbox_conn(const struct koutbox *outbox)
{
        return outbox->handle->conn;
}

/**
 * koutbox_heed() - a connection is about to hear broadcasts, and to be told so much of the sender
 */
void koutbox_heed(struct kconn *conn, uint64_t attach_recv)
{
        struct koutbox *o = conn->bus->outbox;

        if (o && asks_too_much(o->handle->conn, attach_recv))
                koutbox_close(conn->bus);
}

/* --- all of a domain --- */

static void drain_once(struct domain *domain)
{
        struct koutbox *o, *next;

        cds_list_for_each_entry(o, &domain->outboxes, link)
                o->sent = kdp_load(&o->user->flow->map->sent);
        cds_list_for_each_entry_safe(o, next, &domain->outboxes, link) {
                struct kconn *conn = o->handle->conn;

                o->idle++;
                conn->no_outbox = !take(o);
                if (conn->no_outbox || o->idle > IDLE_MAX)
                        koutbox_close(conn->bus);
        }
        cds_list_for_each_entry(o, &domain->outboxes, link)
                kdp_store(&o->user->flow->map->seen, o->sent);
}

/**
 * koutbox_drain() - deal with all that was sent before now
 * @ns:         and with what comes meanwhile, but not for longer
 *
 * To wake the receivers costs more than the rest, and happens once.
 */
void koutbox_drain(struct domain *domain, uint64_t ns)
{
        uint64_t end;

        if (cds_list_empty(&domain->outboxes))
                return;
        end = ns ? now_ns() + ns : 0;
        kconn_batch(domain);
        do
                drain_once(domain);
        while (ns && koutbox_waits(domain) && now_ns() < end);
        kconn_unbatch(domain);
}

/**
 * koutbox_wake() - senders need not ring
 */
void koutbox_wake(struct domain *domain)
{
        struct koutbox *o;

        cds_list_for_each_entry(o, &domain->outboxes, link)
                if (kdp_load(&o->map->asleep))
                        kdp_store(&o->map->asleep, 0);
}

/**
 * koutbox_sleep() - senders are to ring from here on
 *
 * A sender appends, then looks whether it must ring; this says so, then looks whether something was
 * appended. Whatever the order, one of the two sees the other.
 *
 * Return: false if there is something to do first.
 */
bool koutbox_sleep(struct domain *domain)
{
        struct koutbox *o;

        cds_list_for_each_entry(o, &domain->outboxes, link)
                kdp_store(&o->map->asleep, KDP_ASLEEP);
        if (!koutbox_waits(domain))
                return true;
        koutbox_wake(domain);
        return false;
}

/**
 * koutbox_waits() - whether there is something in an outbox
 */
bool koutbox_waits(const struct domain *domain)
{
        struct koutbox *o;

        cds_list_for_each_entry(o, &domain->outboxes, link)
                if (n_waiting(o))
                        return true;
        return false;
}
