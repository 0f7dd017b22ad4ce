/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/args.h"
#include "shim/kdbus/handle.h"
#include "shim/kdbus/kbus.h"
#include "shim/kdbus/kconn.h"
#include "shim/kdbus/kreply.h"

static uint64_t now_ns(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* who a message is for; @serial is the registration of the name it was sent to */
static int find_dst(struct kconn *src, const struct kmsg *m, struct kconn **dstp, uint64_t *serial)
{
        const struct kdbus_msg *msg = m->msg;
        struct kname_owner *owner;
        struct kname *name;

        *serial = 0;
        if (!m->dst_name) {
                *dstp = kbus_find(src->bus, msg->dst_id);
                return *dstp && kconn_is_ordinary(*dstp) ? 0 : -ENXIO;
        }
        name = kname_find(src->bus, m->dst_name);
        owner = name ? kname_primary(name) : NULL;
        if (!owner)
                return -ESRCH;
        if (msg->dst_id != KDBUS_DST_ID_NAME && msg->dst_id != owner->conn->id)
                return -EREMCHG;
        if ((msg->flags & KDBUS_MSG_NO_AUTO_START) && kconn_is_activator(owner->conn))
                return -EADDRNOTAVAIL;
        *serial = name->serial;
        *dstp = owner->conn;
        return 0;
}

/* those who watch get their copy first, whichever side they are on */
static void show(struct kconn *src, struct kmsg *m, struct kconn *dst)
{
        kbus_eavesdrop(src->bus, m);
        if (src->bus->bridge)
                src->bus->bridge->watch(src, m, dst);
}

/* delivered only to who wants it and may have it; nobody is told otherwise */
static int send_signal(struct kconn *src, struct kmsg *m)
{
        struct kmatch_subject subject = {
                .src = src, .src_id = src->id, .dst_id = m->msg->dst_id, .filter = m->filter};
        struct kconn *dst;
        uint64_t serial;
        int r;

        r = find_dst(src, m, &dst, &serial);
        if (r)
                return r;
        show(src, m, dst);
        if (kmatch_passes(&dst->matches, &src->bus->bloom, &subject) &&
            kconn_may_talk(dst, NULL, src))
                (void)kconn_queue(dst, m, NULL, serial);
        return 0;
}

static int send_reply(struct kconn *src, struct kmsg *m)
{
        struct kentry *answer = NULL;
        struct kreply *reply;
        struct kconn *dst;
        uint64_t serial;
        int r;

        r = find_dst(src, m, &dst, &serial);
        if (r)
                return r;
        reply = kreply_find(dst, src, m->msg->cookie_reply);
        if (!reply)
                return -EBADSLT;
        show(src, m, dst);
        if (!reply->sync) {
                kreply_free(reply);
                return kconn_queue(dst, m, NULL, serial);
        }
        r = kconn_make_entry(dst, m, &answer);
        kreply_finish(reply, r == -ECOMM ? -EREMOTEIO : r, answer);
        return r;
}

static int send_call(struct cmd *c, struct kconn *src, struct kmsg *m, bool sync)
{
        struct kreply *reply;
        struct kconn *dst;
        uint64_t serial;
        int r;

        if (sync) {
                reply = kreply_find(src, NULL, m->msg->cookie);
                if (reply) { /* interrupted before: wait on */
                        c->wait = reply;
                        return 0;
                }
                if (m->msg->timeout_ns <= now_ns())
                        return -ETIMEDOUT;
        }
        r = find_dst(src, m, &dst, &serial);
        if (r)
                return r;
        if (!kconn_may_talk(src, &c->caller, dst))
                return -EPERM;
        r = kreply_new(&reply, src, dst, m->msg->cookie, m->msg->timeout_ns, sync);
        if (r)
                return r;
        show(src, m, dst);
        r = kconn_queue(dst, m, reply, serial);
        if (r) {
                kreply_free(reply);
                return r;
        }
        if (sync)
                c->wait = reply;
        return 0;
}

static int send_one_way(struct cmd *c, struct kconn *src, struct kmsg *m)
{
        struct kconn *dst;
        uint64_t serial;
        int r;

        r = find_dst(src, m, &dst, &serial);
        if (r)
                return r;
        if (!kconn_may_talk(src, &c->caller, dst))
                return -EPERM;
        show(src, m, dst);
        return kconn_queue(dst, m, NULL, serial);
}

/* an answer to a call that came over the bridge, as it does when it had to wait for a service */
static bool answers_foreign(const struct kconn *src, const struct kconn *dst, const struct kmsg *m)
{
        return m->msg->cookie_reply && !kreply_find(dst, src, m->msg->cookie_reply) &&
               kreply_find_foreign(dst, m->msg->cookie_reply);
}

/* who on kdbus it is for; NULL: nobody, or only somebody who stands in */
static struct kconn *local_dst(const struct kconn *src, const struct kmsg *m)
{
        struct kname_owner *owner;
        struct kname *name;

        if (!m->dst_name)
                return kbus_find(src->bus, m->msg->dst_id);
        name = kname_find(src->bus, m->dst_name);
        owner = name ? kname_primary(name) : NULL;
        return owner && !kconn_is_activator(owner->conn) ? owner->conn : NULL;
}

/* whether it goes over the bridge: to someone who is not on kdbus, or because of the rules there */
static bool is_foreign(struct kconn *src, const struct kmsg *m)
{
        struct kconn *dst;

        if (!src->bus->bridge || src->ep->custom)
                return false;
        dst = local_dst(src, m);
        if (!dst)
                return true;
        if (!kconn_is_ordinary(dst) || dst->ep->custom)
                return false;
        return answers_foreign(src, dst, m) || src->bus->bridge->between(src, dst);
}

/* kdbus's own rules, for one who is on kdbus nevertheless; an answer was asked for */
static int check_crossing(struct cmd *c, struct kconn *src, const struct kmsg *m)
{
        struct kconn *dst = local_dst(src, m);

        if (!dst || m->msg->cookie_reply)
                return 0;
        if (m->msg->flags & KDBUS_MSG_SIGNAL)
                return kconn_may_talk(dst, NULL, src) ? 0 : -EPERM;
        return kconn_may_talk(src, &c->caller, dst) ? 0 : -EPERM;
}

static int send_foreign(struct cmd *c, struct kconn *src, struct kmsg *m, bool sync)
{
        struct kreply *reply = NULL;
        int r;

        if (sync) {
                c->wait = kreply_find(src, NULL, m->msg->cookie);
                if (c->wait)
                        return 0;
                if (m->msg->timeout_ns <= now_ns())
                        return -ETIMEDOUT;
        }
        r = check_crossing(c, src, m);
        if (!r)
                r = src->bus->bridge->send(src, m, sync, &reply);
        if (!r && sync)
                c->wait = reply;
        return r;
}

static int dispatch(struct cmd *c, struct kmsg *m, uint64_t send_flags)
{
        struct kconn *src = c->handle->conn;
        const struct kdbus_msg *msg = m->msg;

        kmsg_stamp(m, &src->bus->last_seq);
        if (msg->dst_id == KDBUS_DST_ID_BROADCAST) {
                kbus_broadcast(src->bus, src, m);
                if (src->bus->bridge)
                        (void)src->bus->bridge->send(src, m, false, NULL);
                return 0;
        }
        if (is_foreign(src, m))
                return send_foreign(c, src, m, send_flags & KDBUS_SEND_SYNC_REPLY);
        if (msg->flags & KDBUS_MSG_EXPECT_REPLY)
                return send_call(c, src, m, send_flags & KDBUS_SEND_SYNC_REPLY);
        if (msg->flags & KDBUS_MSG_SIGNAL)
                return send_signal(src, m);
        if (msg->cookie_reply)
                return send_reply(src, m);
        return send_one_way(c, src, m);
}

/* a descriptor that can say when to give up; without poll there is nothing to wait for */
static int check_cancel(const struct cmd *c, const struct args *args)
{
        if (!args_get(args, KDBUS_ITEM_CANCEL_FD))
                return 0;
        return c->cancel_fd < 0 ? -EBADF : 0;
}

static int parse_msg(struct cmd *c, struct args *args)
{
        int r;

        if (!c->msg)
                return -EFAULT;
        r = args_parse(args, c->msg, c->n_msg, sizeof(struct kdbus_msg), false);
        c->msg_back = r == ARGS_E_NEGOTIATED || (!r && args_get(args, KDBUS_ITEM_NEGOTIATE));
        return r;
}

int cmd_send(struct cmd *c)
{
        ARGS(args, KDBUS_SEND_SYNC_REPLY, {.type = KDBUS_ITEM_CANCEL_FD});
        ARGS(msg_args, KDBUS_MSG_EXPECT_REPLY | KDBUS_MSG_NO_AUTO_START | KDBUS_MSG_SIGNAL,
             {.type = KDBUS_ITEM_PAYLOAD_VEC, .multiple = true},
             {.type = KDBUS_ITEM_PAYLOAD_MEMFD, .multiple = true},
             {.type = KDBUS_ITEM_FDS},
             {.type = KDBUS_ITEM_BLOOM_FILTER},
             {.type = KDBUS_ITEM_DST_NAME});
        struct kconn *src = c->handle->conn;
        struct kdbus_cmd_send *cmd = c->data;
        struct kdbus_msg *msg = c->msg;
        struct kmsg m = {
                .payload = c->payload, .src = src, .caller = c->unasked ? NULL : &c->caller};
        bool negotiating;
        int r;

        r = cmd_parse(c, &args, sizeof(*cmd));
        if (r < 0)
                return r;
        negotiating = r == ARGS_E_NEGOTIATED;
        if (negotiating && !cmd->msg_address)
                return 0;
        r = check_cancel(c, &args);
        if (r && !negotiating)
                return r;
        cmd->reply = (struct kdbus_msg_info){};
        r = parse_msg(c, &msg_args);
        if (r < 0)
                return r;
        if (negotiating)
                return 0;
        if (r == ARGS_E_NEGOTIATED)
                return -EINVAL;
        r = kmsg_import(&m, &src->bus->bloom, msg, cmd->flags);
        if (!r)
                r = kmsg_take_fds(&m, c->fds, c->n_fds);
        if (!r && msg->src_id && msg->src_id != src->id)
                r = -EINVAL;
        if (!r)
                r = dispatch(c, &m, cmd->flags);
        kmsg_deinit(&m);
        return r;
}
