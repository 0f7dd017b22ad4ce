/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>

#include "bus-core/util/cleanup.h"
#include "shim/kdbus/args.h"
#include "shim/kdbus/handle.h"
#include "shim/kdbus/kconn.h"
#include "shim/kdbus/kreply.h"

static void drop(struct kconn *conn, struct kentry *e)
{
        struct kreply *reply = e->reply;
        const struct kbridge_ops *bridge = conn->bus->bridge;
        bool summons = e->summons;

        if (bridge && !reply && !summons)
                bridge->refuse(conn, pool_slice_data(e->slice));
        kentry_free(e);
        if (reply)
                kreply_dead(reply);
        if (summons)
                bridge->decline(conn);
}

static void report_lost(struct kconn *conn, struct kdbus_cmd_recv *cmd)
{
        cmd->dropped_msgs = conn->lost;
        if (!conn->lost)
                return;
        cmd->return_flags |= KDBUS_RECV_RETURN_DROPPED_MSGS;
        conn->lost = 0;
        kconn_update_readable(conn);
}

static int receive(struct cmd *c, struct kconn *conn, struct kdbus_cmd_recv *cmd)
{
        struct kentry *e;
        int r;

        cmd->msg = (struct kdbus_msg_info){.offset = conn->pool->size};
        report_lost(conn, cmd);
        r = kconn_peek(conn, cmd->flags & KDBUS_RECV_USE_PRIORITY, cmd->priority, &e);
        if (r)
                return r;
        if ((cmd->flags & KDBUS_RECV_DROP) && !(cmd->flags & KDBUS_RECV_PEEK)) {
                drop(conn, e);
                return 0;
        }
        cmd->msg.offset = e->slice->offset;
        cmd->msg.msg_size = e->slice->size;
        pool_slice_publish(e->slice);
        if (cmd->flags & KDBUS_RECV_PEEK)
                return 0;
        kconn_unqueue(e);
        c->install = e;
        c->install_info = &cmd->msg;
        return 0;
}

int cmd_recv(struct cmd *c)
{
        ARGS(args, KDBUS_RECV_PEEK | KDBUS_RECV_DROP | KDBUS_RECV_USE_PRIORITY);
        struct kdbus_cmd_recv *cmd = c->data;
        struct kconn *conn = c->handle->conn;
        int r;

        r = cmd_parse(c, &args, sizeof(*cmd));
        if (r)
                return MIN(r, 0);
        if ((cmd->flags & KDBUS_RECV_DROP) && (cmd->flags & KDBUS_RECV_USE_PRIORITY))
                return -EINVAL;
        kconn_hold(conn);
        r = receive(c, conn, cmd);
        kconn_unhold(conn);
        return r;
}
