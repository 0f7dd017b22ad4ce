/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>

#include "bus-core/util/cleanup.h"
#include "shim/kdbus/args.h"
#include "shim/kdbus/handle.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/kconn.h"

int cmd_name_acquire(struct cmd *c)
{
        ARGS(args,
             KDBUS_NAME_REPLACE_EXISTING | KDBUS_NAME_ALLOW_REPLACEMENT | KDBUS_NAME_QUEUE,
             {.type = KDBUS_ITEM_NAME, .mandatory = true});
        struct kdbus_cmd *cmd = c->data;
        struct kconn *conn = c->handle->conn;
        const char *name;
        int r;

        r = cmd_parse(c, &args, sizeof(*cmd));
        if (r)
                return MIN(r, 0);
        name = args_get(&args, KDBUS_ITEM_NAME)->str;
        if (!item_bus_name_valid(name, false))
                return -EINVAL;
        if (!kconn_may_own(conn, &c->caller, name))
                return -EPERM;
        if (conn->bus->bridge)
                return conn->bus->bridge->acquire(conn, name, cmd->flags, &cmd->return_flags);
        return kname_acquire(conn->bus, conn, name, cmd->flags, &cmd->return_flags);
}

int cmd_name_release(struct cmd *c)
{
        ARGS(args, 0, {.type = KDBUS_ITEM_NAME, .mandatory = true});
        struct kconn *conn = c->handle->conn;
        const char *name;
        int r;

        r = cmd_parse(c, &args, sizeof(struct kdbus_cmd));
        if (r)
                return MIN(r, 0);
        name = args_get(&args, KDBUS_ITEM_NAME)->str;
        if (conn->bus->bridge)
                return conn->bus->bridge->release(conn, name);
        return kname_release(conn->bus, conn, name);
}
