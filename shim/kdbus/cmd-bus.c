/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/args.h"
#include "shim/kdbus/handle.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/kbus.h"
#include "shim/kdbus/kconn.h"

#define MAKE_FLAGS (KDBUS_MAKE_ACCESS_GROUP | KDBUS_MAKE_ACCESS_WORLD)

/* all-ones stands for all there are; other unknown bits are refused */
static int attach_flags(const struct kdbus_item *item, uint64_t *flags)
{
        *flags = item ? item->data64[0] : 0;
        if (*flags == _KDBUS_ATTACH_ANY)
                *flags = _KDBUS_ATTACH_ALL;
        return *flags & ~(uint64_t)_KDBUS_ATTACH_ALL ? -EINVAL : 0;
}

int cmd_bus_make(struct cmd *c)
{
        ARGS(args, MAKE_FLAGS,
             {.type = KDBUS_ITEM_MAKE_NAME, .mandatory = true},
             {.type = KDBUS_ITEM_BLOOM_PARAMETER, .mandatory = true},
             {.type = KDBUS_ITEM_ATTACH_FLAGS_SEND});
        struct kdbus_cmd *cmd = c->data;
        const struct kdbus_item *bloom;
        const struct kmeta *creds;
        struct kbus_make make = {};
        struct kbus *bus;
        int r;

        r = cmd_parse(c, &args, sizeof(*cmd));
        if (r)
                return MIN(r, 0);
        r = attach_flags(args_get(&args, KDBUS_ITEM_ATTACH_FLAGS_SEND), &make.attach_flags);
        if (r)
                return r;
        bloom = args_get(&args, KDBUS_ITEM_BLOOM_PARAMETER);
        creds = caller_creds(&c->caller);
        make.name = args_get(&args, KDBUS_ITEM_MAKE_NAME)->str;
        make.flags = cmd->flags;
        make.bloom = (struct bloom_params){bloom->bloom_parameter.size, bloom->bloom_parameter.n_hash};
        make.uid = creds->euid;
        make.gid = creds->egid;
        make.real_uid = creds->uid;
        r = kbus_new(&bus, c->handle->domain, &make);
        if (r)
                return r;
        kmeta_collect(&bus->creator_meta, c->caller.task, c->caller.tid, make.attach_flags);
        c->handle->kind = HANDLE_BUS_OWNER;
        c->handle->bus_owner = bus;
        return 0;
}

int cmd_endpoint_make(struct cmd *c)
{
        ARGS(args, MAKE_FLAGS, {.type = KDBUS_ITEM_MAKE_NAME, .mandatory = true});
        struct kdbus_cmd *cmd = c->data;
        const struct kmeta *creds;
        struct kep *ep;
        const char *name;
        int r;

        if (!handle_is_owner(c->handle))
                return -EPERM;
        r = cmd_parse(c, &args, sizeof(*cmd));
        if (r)
                return MIN(r, 0);
        name = args_get(&args, KDBUS_ITEM_MAKE_NAME)->str;
        if (strcmp(name, "bus") == 0)
                return -EINVAL;
        creds = caller_creds(&c->caller);
        r = kep_new(&ep, c->handle->ep->bus, name, cmd->flags & MAKE_FLAGS, creds->euid, creds->egid);
        if (r)
                return r;
        c->handle->kind = HANDLE_EP_OWNER;
        c->handle->ep_owner = kep_ref(ep);
        return 0;
}

int cmd_endpoint_update(struct cmd *c)
{
        ARGS(args, 0,
             {.type = KDBUS_ITEM_NAME, .multiple = true},
             {.type = KDBUS_ITEM_POLICY_ACCESS, .multiple = true});
        struct kep *ep = c->handle->ep_owner;
        int r;

        r = cmd_parse(c, &args, sizeof(struct kdbus_cmd));
        if (r)
                return MIN(r, 0);
        if (ep->dead)
                return -ESHUTDOWN;
        return kpolicy_set(&ep->policy, ep, args.items, args.items_size, 0, true, &c->handle->view);
}

int cmd_bus_creator_info(struct cmd *c)
{
        ARGS(args, 0);
        struct kdbus_cmd_info *cmd = c->data;
        struct kconn *conn = c->handle->conn;
        struct kbus *bus = conn->bus;
        struct pool_slice *slice;
        struct kdbus_info *info;
        uint64_t mask;
        size_t size;
        int r;

        r = cmd_parse(c, &args, sizeof(*cmd));
        if (r)
                return MIN(r, 0);
        mask = cmd->attach_flags == _KDBUS_ATTACH_ANY ? _KDBUS_ATTACH_ALL : cmd->attach_flags;
        if (mask & ~(uint64_t)_KDBUS_ATTACH_ALL)
                return -EINVAL;
        mask &= bus->attach_flags;
        size = sizeof(*info) + ITEM_ALIGN(ITEM_SIZE(strlen(bus->name) + 1)) +
               kmeta_size(&bus->creator_meta, &conn->view, mask);
        r = pool_alloc(conn->pool, &slice, size);
        if (r)
                return r;
        info = pool_slice_data(slice);
        *info = (struct kdbus_info){.size = size, .id = bus->id, .flags = bus->flags};
        kmeta_write(item_put(info->items, KDBUS_ITEM_MAKE_NAME, bus->name, strlen(bus->name) + 1),
                   &bus->creator_meta, &conn->view, mask);
        return cmd_publish(conn, slice, &cmd->offset, &cmd->info_size);
}
