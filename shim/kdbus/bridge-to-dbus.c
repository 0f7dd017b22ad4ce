/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "shim/bus/route.h"
#include "shim/kdbus/bridge-private.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/kmsg.h"
#include "shim/kdbus/kreply.h"
#include "shim/kdbus/limits.h"
#include "shim/wire/transcode.h"
#include "shim/wire/type.h"

/*
 * From kdbus to D-Bus: a message's parts are gathered, translated, compared with the envelope they
 * came in, and sent by the ghost, as by any client.
 */

static int gather_memfd(struct gvariant_buf *b, int fd, uint64_t start, uint64_t size)
{
        uint8_t *to;

        if (size > TYPE_MESSAGE_MAX)
                return -EMSGSIZE;
        to = gvariant_buf_add(b, size);
        while (to && size) {
                ssize_t n = pread(fd, to, size, start);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return -EFAULT;
                to += n;
                start += n;
                size -= n;
        }
        return 0;
}

static int gather_vec(struct gvariant_buf *b, const struct kpayload *p, size_t *from, uint64_t size)
{
        int r = 0;

        if (p->fault)
                return -EFAULT;
        if (p->file >= 0)
                r = gather_memfd(b, p->file, *from, size);
        else if (size > p->n_bytes || *from > p->n_bytes - size)
                r = -EFAULT;
        else
                gvariant_buf_put(b, p->bytes + *from, size);
        *from += size;
        return r;
}

/* the parts of a payload, one after the other, as the receiver would see them */
static int gather(struct gvariant_buf *b, struct kmsg *m)
{
        struct kdbus_item *item;
        size_t from = 0, memfd = 0;
        struct item_walk w;
        int r = 0;

        for (item_walk_init(&w, m->msg->items, m->n_items); !r && !item_next(&w, &item) && item;) {
                if (item->type == KDBUS_ITEM_PAYLOAD_MEMFD)
                        r = gather_memfd(b, m->fds->fds[memfd++], item->memfd.start,
                                         item->memfd.size);
                else if (item->type == KDBUS_ITEM_PAYLOAD_VEC && item->vec.address)
                        r = gather_vec(b, &m->payload, &from, item->vec.size);
                else if (item->type == KDBUS_ITEM_PAYLOAD_VEC)
                        gvariant_buf_add(b, item->vec.size);
        }
        return r ?: b->error == -EBADMSG ? -EMSGSIZE : b->error;
}

static int copy_fds(struct fdset **out, const int *fds, size_t n)
{
        int copies[KD_FDS_MAX];
        size_t i;
        int r;

        for (i = 0; i < n; i++) {
                copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
                if (copies[i] < 0) {
                        r = -errno;
                        fdset_close(copies, i);
                        return error_origin(r);
                }
        }
        r = fdset_new(out, copies, n);
        if (r)
                fdset_close(copies, n);
        return error_fold(r);
}

/* the same message as D-Bus has it, stamped with the ghost's name */
static int translate(struct ghost *ghost, struct kmsg *m, const char *destination,
                     struct envelope **out)
{
        struct envelope_sender sender = {
                .id = ghost->client.peer.id,
                .name = ghost->client.name,
                .name_len = ghost->client.name_len,
                .account = ghost->client.peer.account,
        };
        struct gvariant_buf v2 = GVARIANT_BUF_NULL, dbus = GVARIANT_BUF_NULL;
        struct transcode_info info;
        struct header h;
        int r;

        r = gather(&v2, m);
        if (!r)
                r = transcode_from_v2(&dbus, &info, between_style(ghost), v2.data, v2.n, NULL,
                                      destination);
        if (!r && (header_parse(&h, dbus.data, dbus.n) || h.n_fds != (m->fds ? m->fds->n_fds : 0)))
                r = -EBADMSG;
        if (!r)
                r = envelope_copy(out, &h, dbus.data, &sender);
        if (!r && h.n_fds) {
                r = copy_fds(&(*out)->message.fds, m->fds->fds + m->fds->n_memfds, h.n_fds);
                if (r)
                        *out = envelope_unref(*out);
        }
        if (!r && info.style == TRANSCODE_BARE) /* beyond doubt, as parentheses are not */
                ghost->style = info.style;
        gvariant_buf_deinit(&v2);
        gvariant_buf_deinit(&dbus);
        return r;
}

/* what the header says must be what the envelope around it says */
static bool agrees(const struct kdbus_msg *msg, const struct header *h)
{
        bool wants = h->type == HEADER_CALL && !(h->flags & HEADER_NO_REPLY_EXPECTED);

        if (msg->payload_type != KDBUS_PAYLOAD_DBUS || msg->cookie != h->serial)
                return false;
        if (!!(msg->flags & KDBUS_MSG_SIGNAL) != (h->type == HEADER_SIGNAL))
                return false;
        if (msg->flags & KDBUS_MSG_EXPECT_REPLY)
                return wants;
        return !wants && msg->cookie_reply == h->reply_serial;
}

/* where it goes: a name, a unique name, or all */
static int destination_of(struct bridge *bridge, const struct kmsg *m, char buf[32],
                          const char **destination)
{
        struct client *to = NULL;

        *destination = "";
        if (m->msg->dst_id == KDBUS_DST_ID_BROADCAST)
                return 0;
        *destination = m->dst_name;
        if (m->dst_name && (m->msg->flags & KDBUS_MSG_NO_AUTO_START) &&
            kname_find(bridge->kbus, m->dst_name) &&
            !bus_find(bridge->bus, m->dst_name, strlen(m->dst_name)))
                return -EADDRNOTAVAIL;
        if (m->msg->dst_id != KDBUS_DST_ID_NAME) {
                to = bus_find_id(bridge->bus, m->msg->dst_id);
                if (!to)
                        return -ENXIO;
                if (m->dst_name && bus_find(bridge->bus, m->dst_name, strlen(m->dst_name)) != to)
                        return -EREMCHG;
        }
        if (!m->dst_name) {
                memcpy(buf, to->name, to->name_len + 1);
                *destination = buf;
        }
        return 0;
}

int bridge_send(struct kconn *src, struct kmsg *m, bool sync, struct kreply **replyp)
{
        struct bridge *bridge = bridge_of(src->bus);
        _cleanup_(envelope_unrefp) struct envelope *e = NULL;
        struct kreply *reply = NULL;
        const char *destination;
        char buf[32];
        int r;

        turn_read(bridge->turn);
        r = ghost_may_act(src->ghost);
        if (!r)
                r = destination_of(bridge, m, buf, &destination);
        if (!r)
                r = translate(src->ghost, m, destination, &e);
        if (!r && !agrees(m->msg, &e->header))
                r = -EBADMSG;
        if (!r && (m->msg->flags & KDBUS_MSG_EXPECT_REPLY))
                r = kreply_new(&reply, src, NULL, m->msg->cookie, m->msg->timeout_ns, sync);
        if (!r) {
                kbus_eavesdrop(src->bus, m);
                client_send(bridge->turn, &src->ghost->client, e);
                turn_commit(bridge->turn);
        }
        turn_release(bridge->turn);
        if (replyp)
                *replyp = reply;
        return r;
}

void bridge_watch(struct kconn *src, struct kmsg *m, struct kconn *dst)
{
        struct bridge *bridge = bridge_of(src->bus);
        _cleanup_(envelope_unrefp) struct envelope *e = NULL;
        struct turn *turn = bridge->turn;
        struct ghost *ghost = src->ghost;

        turn_read(turn);
        if (bridge->bus->n_monitors && dst->ghost &&
            !translate(ghost, m, m->dst_name ?: dst->ghost->client.name, &e)) {
                route_monitors(turn, &turn->out, &ghost->client.peer, e, &dst->ghost->client);
                route_commit(turn);
                turn_commit(turn);
        }
        turn_release(turn);
}
