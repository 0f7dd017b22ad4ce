/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bus-core/util/cleanup.h"
#include "shim/kdbus/args.h"
#include "shim/kdbus/handle.h"
#include "shim/kdbus/kconn.h"
#include "shim/kdbus/koutbox.h"

int cmd_match_add(struct cmd *c)
{
        ARGS(args, KDBUS_MATCH_REPLACE, KMATCH_ITEMS);
        struct kdbus_cmd_match *cmd = c->data;
        struct kconn *conn = c->handle->conn;
        int r;

        r = cmd_parse(c, &args, sizeof(*cmd));
        if (r)
                return MIN(r, 0);
        if (!conn->matches.n_entries)
                koutbox_heed(conn, conn->attach_recv);
        r = kmatch_add(&conn->matches, &conn->bus->bloom, cmd->cookie,
                       cmd->flags & KDBUS_MATCH_REPLACE, args.items, args.items_size);
        kconn_update_listening(conn);
        if (!r && conn->bus->bridge)
                conn->bus->bridge->listen(conn);
        return r;
}

int cmd_match_remove(struct cmd *c)
{
        ARGS(args, 0);
        struct kdbus_cmd_match *cmd = c->data;
        struct kconn *conn = c->handle->conn;
        int r;

        r = cmd_parse(c, &args, sizeof(*cmd));
        if (r)
                return MIN(r, 0);
        r = kmatch_remove(&conn->matches, cmd->cookie);
        kconn_update_listening(conn);
        return r;
}
