/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/args.h"
#include "shim/kdbus/handle.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/kbus.h"
#include "shim/kdbus/kconn.h"
#include "shim/kdbus/koutbox.h"
#include "shim/kdbus/kring.h"

#define SPECIAL (KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_POLICY_HOLDER | KDBUS_HELLO_MONITOR)
#define POOL_SIZE_MAX (1ULL << 40)

enum {
        CMD_E_FOREIGN = 1, /* not on kdbus: the bridge may know */
};

static int normalise_attach(__u64 *flags)
{
        if (*flags == _KDBUS_ATTACH_ANY)
                *flags = _KDBUS_ATTACH_ALL;
        return *flags & ~(uint64_t)_KDBUS_ATTACH_ALL ? -EINVAL : 0;
}

/* everything that can be refused before a connection is made, in the order of the ABI */
static int check_hello(const struct handle *h, struct kdbus_cmd_hello *cmd, const struct args *args)
{
        uint64_t special = cmd->flags & SPECIAL;
        bool named = special & (KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_POLICY_HOLDER);
        const struct kdbus_item *name = args_get(args, KDBUS_ITEM_NAME);
        bool fake = args_get(args, KDBUS_ITEM_CREDS) || args_get(args, KDBUS_ITEM_PIDS) ||
                    args_get(args, KDBUS_ITEM_SECLABEL);

        if (!cmd->pool_size || cmd->pool_size % sysconf(_SC_PAGESIZE))
                return -EINVAL;
        if (special & (special - 1))
                return -EINVAL;
        if (named != !!name)
                return -EINVAL;
        if (name && !item_bus_name_valid(name->str, true))
                return -EINVAL;
        if ((special & KDBUS_HELLO_MONITOR) && h->ep->custom)
                return -EOPNOTSUPP;
        if ((special || fake) && !handle_is_owner(h))
                return -EPERM;
        if (normalise_attach(&cmd->attach_flags_send) || normalise_attach(&cmd->attach_flags_recv))
                return -EINVAL;
        return cmd->pool_size > POOL_SIZE_MAX ? -ENOMEM : 0;
}

static bool fits_id(uint64_t id)
{
        return id == (uint64_t)-1 || id < UINT32_MAX;
}

static int fake_creds(struct kmeta *m, const struct kdbus_creds *creds)
{
        const uint64_t *ids = (const uint64_t *)creds;

        for (size_t i = 0; i < sizeof(*creds) / sizeof(*ids); i++)
                if (!fits_id(ids[i]))
                        return -EINVAL;
        m->fake_creds = *creds;
        m->have |= KDBUS_ATTACH_CREDS;
        return 0;
}

static bool pid_exists(uint64_t pid)
{
        char path[32];

        if (!pid)
                return true;
        if (pid > INT32_MAX)
                return false;
        snprintf(path, sizeof(path), "/proc/%u", (unsigned)pid);
        return access(path, F_OK) == 0;
}

static int fake_pids(struct kmeta *m, const struct kdbus_pids *pids)
{
        if (!pid_exists(pids->pid) || !pid_exists(pids->tid) || !pid_exists(pids->ppid))
                return -EINVAL;
        m->fake_pids = *pids;
        m->have |= KDBUS_ATTACH_PIDS;
        return 0;
}

/* a proxy speaks for someone else: only what it says is known */
static int collect_fake(struct kmeta *m, const struct args *args)
{
        const struct kdbus_item *creds = args_get(args, KDBUS_ITEM_CREDS);
        const struct kdbus_item *pids = args_get(args, KDBUS_ITEM_PIDS);
        const struct kdbus_item *label = args_get(args, KDBUS_ITEM_SECLABEL);
        int r = 0;

        if (!creds && !pids && !label)
                return 0;
        m->fake = true;
        if (creds)
                r = fake_creds(m, &creds->creds);
        if (!r && pids)
                r = fake_pids(m, &pids->pids);
        if (!r && label) {
                m->seclabel = strdup(label->str);
                m->have |= KDBUS_ATTACH_SECLABEL;
                r = m->seclabel ? 0 : error_origin(-ENOMEM);
        }
        return r;
}

static int find_payer(const struct cmd *c, const struct args *args, struct kuser **userp)
{
        const struct kdbus_item *creds = args_get(args, KDBUS_ITEM_CREDS);
        const struct handle *h = c->handle;
        uid_t uid = h->opener.uid;

        if (h->ep->custom) {
                *userp = kuser_ref(h->ep->user);
                return 0;
        }
        if (creds && handle_is_privileged(h) && creds->creds.uid < UINT32_MAX)
                uid = creds->creds.uid;
        return kuser_get(h->domain, uid, userp);
}

/* credentials for policy, namespaces for showing, and what CONN_INFO will report */
static int identify(struct kconn *conn, struct cmd *c, const struct args *args)
{
        struct handle *h = c->handle;
        struct kmeta_view view;
        int r;

        r = kmeta_copy_creds(&conn->opener, &h->opener);
        if (r)
                return r;
        kmeta_view_init(&view, c->caller.task, caller_creds(&c->caller));
        conn->view = h->view;
        h->view = (struct kmeta_view){.same_user_ns = conn->view.same_user_ns};
        conn->view.pid_ns = view.pid_ns;
        conn->view.pid_depth = view.pid_depth;
        conn->view.root_dev = view.root_dev;
        conn->view.root_ino = view.root_ino;
        kmeta_view_deinit(&view);
        r = collect_fake(&conn->meta, args);
        if (!r && !conn->meta.fake)
                kmeta_collect(&conn->meta, c->caller.task, c->caller.tid, _KDBUS_ATTACH_ALL);
        return r;
}

/* what the special kinds hold from the start */
static int take_position(struct kconn *conn, const struct args *args, const struct kmeta_view *view)
{
        const struct kdbus_item *name = args_get(args, KDBUS_ITEM_NAME);
        bool activator = kconn_is_activator(conn);
        __u64 ignored;
        int r;

        if (!name)
                return 0;
        r = kpolicy_set(&conn->bus->policy, conn, args->items, args->items_size, 1, !activator, view);
        if (!r && activator)
                r = kname_acquire(conn->bus, conn, name->str, KDBUS_NAME_ACTIVATOR, &ignored);
        if (!r && activator && conn->bus->bridge)
                r = conn->bus->bridge->stand_in(conn, name->str);
        return r;
}

static int write_bloom(struct kconn *conn, struct kdbus_cmd_hello *cmd)
{
        struct kdbus_bloom_parameter p = {conn->bus->bloom.size, conn->bus->bloom.n_hash};
        struct pool_slice *slice;
        int r;

        r = pool_alloc(conn->pool, &slice, ITEM_SIZE(sizeof(p)));
        if (r)
                return r;
        item_put(pool_slice_data(slice), KDBUS_ITEM_BLOOM_PARAMETER, &p, sizeof(p));
        return cmd_publish(conn, slice, &cmd->offset, &cmd->items_size);
}

static int connect_it(struct cmd *c, struct kconn *conn, const struct args *args)
{
        struct kdbus_cmd_hello *cmd = c->data;
        int r;

        r = identify(conn, c, args);
        if (r)
                return r;
        r = write_bloom(conn, cmd);
        if (r)
                return r;
        r = kconn_connect(conn, c->handle->socket, &c->caller);
        if (r)
                return r;
        r = take_position(conn, args, &conn->view);
        if (r)
                return r;
        cmd->bus_flags = conn->bus->flags;
        cmd->id = conn->id;
        memcpy(cmd->id128, conn->bus->id128, sizeof(cmd->id128));
        return 0;
}

int cmd_hello(struct cmd *c)
{
        ARGS(args, SPECIAL | KDBUS_HELLO_ACCEPT_FD,
             {.type = KDBUS_ITEM_NAME},
             {.type = KDBUS_ITEM_CREDS},
             {.type = KDBUS_ITEM_PIDS},
             {.type = KDBUS_ITEM_SECLABEL},
             {.type = KDBUS_ITEM_CONN_DESCRIPTION},
             {.type = KDBUS_ITEM_POLICY_ACCESS, .multiple = true});
        struct kdbus_cmd_hello *cmd = c->data;
        const struct kdbus_item *description;
        struct kconn_hello hello;
        struct kconn *conn;
        struct kuser *user;
        int r;

        r = cmd_parse(c, &args, sizeof(*cmd));
        if (r)
                return MIN(r, 0);
        r = check_hello(c->handle, cmd, &args);
        if (r)
                return r;
        r = find_payer(c, &args, &user);
        if (r)
                return r;
        description = args_get(&args, KDBUS_ITEM_CONN_DESCRIPTION);
        hello = (struct kconn_hello){
                .flags = cmd->flags,
                .attach_send = cmd->attach_flags_send,
                .attach_recv = cmd->attach_flags_recv,
                .pool_size = cmd->pool_size,
                .description = description ? description->str : NULL,
                .owner = handle_is_owner(c->handle),
                .privileged = handle_is_privileged(c->handle),
                .user = user,
        };
        r = kconn_new(&conn, c->handle->ep, &hello);
        kuser_unref(user);
        if (r)
                return r;
        r = connect_it(c, conn, &args);
        if (r) {
                /* the handle stays unused, and may try again */
                kmeta_view_deinit(&c->handle->view);
                c->handle->view = conn->view;
                conn->view = (struct kmeta_view){};
                kconn_free(conn);
                return r;
        }
        c->handle->kind = HANDLE_CONNECTED;
        c->handle->conn = conn;
        return 0;
}

int cmd_byebye(struct cmd *c)
{
        ARGS(args, 0);
        int r;

        r = cmd_parse(c, &args, sizeof(struct kdbus_cmd));
        return r ? MIN(r, 0) : kconn_disconnect(c->handle->conn, true);
}

int cmd_free(struct cmd *c)
{
        ARGS(args, 0);
        struct kdbus_cmd_free *cmd = c->data;
        struct kring *ring = c->handle->conn->ring;
        struct pool *pool = c->handle->conn->pool;
        int r;

        r = cmd_parse(c, &args, sizeof(*cmd));
        if (r)
                return MIN(r, 0);
        if (ring)
                kring_forget(ring, cmd->offset);
        return cmd->offset == pool->size ? 0 : pool_release_offset(pool, cmd->offset);
}

static int update_masks(struct kconn *conn, const struct args *args)
{
        const struct kdbus_item *send = args_get(args, KDBUS_ITEM_ATTACH_FLAGS_SEND);
        const struct kdbus_item *recv = args_get(args, KDBUS_ITEM_ATTACH_FLAGS_RECV);
        __u64 new_send = send ? send->data64[0] : conn->attach_send;
        __u64 new_recv = recv ? recv->data64[0] : conn->attach_recv;

        if (send && !kconn_is_ordinary(conn) && !kconn_is_monitor(conn))
                return -EOPNOTSUPP;
        if (recv && (conn->flags & KDBUS_HELLO_POLICY_HOLDER))
                return -EOPNOTSUPP;
        if (normalise_attach(&new_send) || normalise_attach(&new_recv))
                return -EINVAL;
        koutbox_heed(conn, new_recv);
        conn->attach_send = new_send;
        conn->attach_recv = new_recv;
        return 0;
}

int cmd_update(struct cmd *c)
{
        ARGS(args, 0,
             {.type = KDBUS_ITEM_ATTACH_FLAGS_SEND},
             {.type = KDBUS_ITEM_ATTACH_FLAGS_RECV},
             {.type = KDBUS_ITEM_NAME, .multiple = true},
             {.type = KDBUS_ITEM_POLICY_ACCESS, .multiple = true});
        struct kconn *conn = c->handle->conn;
        bool policy;
        int r;

        r = cmd_parse(c, &args, sizeof(struct kdbus_cmd));
        if (r)
                return MIN(r, 0);
        policy = args_get(&args, KDBUS_ITEM_NAME) || args_get(&args, KDBUS_ITEM_POLICY_ACCESS);
        if (policy && !(conn->flags & KDBUS_HELLO_POLICY_HOLDER))
                return -EOPNOTSUPP;
        r = update_masks(conn, &args);
        if (!r && policy)
                r = kpolicy_set(&conn->bus->policy, conn, args.items, args.items_size, 1, true,
                                &conn->view);
        return r;
}

static int find_peer(struct cmd *c, const struct args *args, struct kconn **peerp)
{
        const struct kdbus_item *name = args_get(args, KDBUS_ITEM_NAME);
        const struct kdbus_cmd_info *cmd = c->data;
        struct kconn *conn = c->handle->conn;
        struct kname_owner *owner;
        struct kname *found;

        if (!name) {
                if (!cmd->id)
                        return -EINVAL;
                *peerp = kbus_find(conn->bus, cmd->id);
                if (!*peerp && conn->bus->bridge && !conn->ep->custom)
                        return CMD_E_FOREIGN;
                return *peerp && kconn_may_see(conn, &c->caller, *peerp) ? 0 : -ENXIO;
        }
        found = kname_find(conn->bus, name->str);
        owner = found ? kname_primary(found) : NULL;
        if (owner && kconn_may_see_name(conn, &c->caller, name->str))
                *peerp = owner->conn;
        if ((!owner || kconn_is_activator(owner->conn)) && conn->bus->bridge && !conn->ep->custom)
                return CMD_E_FOREIGN;
        if (!*peerp)
                return -ESRCH;
        return cmd->id && owner->conn->id != cmd->id ? -ESRCH : 0;
}

/* someone on D-Bus */
static int foreign_info(struct cmd *c, const struct kdbus_item *name, uint64_t mask)
{
        struct kdbus_cmd_info *cmd = c->data;
        struct kconn *conn = c->handle->conn;
        struct kforeign peer = {};
        struct pool_slice *slice;
        struct kdbus_info *info;
        size_t size, n_items;
        int r;

        r = conn->bus->bridge->find(conn->bus, cmd->id, name ? name->str : NULL, &peer);
        if (r)
                return r;
        n_items = mask & KDBUS_ATTACH_NAMES ? peer.n_items : 0;
        size = sizeof(*info) + kmeta_size(&peer.meta, &conn->view, mask) + n_items;
        r = cmd->id && cmd->id != peer.id ? -ESRCH : pool_alloc(conn->pool, &slice, size);
        if (!r) {
                info = pool_slice_data(slice);
                *info = (struct kdbus_info){.size = size, .id = peer.id};
                memcpy(kmeta_write(info->items, &peer.meta, &conn->view, mask), peer.items, n_items);
                r = cmd_publish(conn, slice, &cmd->offset, &cmd->info_size);
        }
        kmeta_deinit(&peer.meta);
        free(peer.items);
        return r;
}

int cmd_conn_info(struct cmd *c)
{
        ARGS(args, 0, {.type = KDBUS_ITEM_NAME});
        struct kdbus_cmd_info *cmd = c->data;
        struct kconn *conn = c->handle->conn, *peer = NULL;
        struct pool_slice *slice;
        struct kdbus_info *info;
        size_t size;
        __u64 mask;
        int r;

        r = cmd_parse(c, &args, sizeof(*cmd));
        if (r)
                return MIN(r, 0);
        mask = cmd->attach_flags;
        if (normalise_attach(&mask))
                return -EINVAL;
        r = find_peer(c, &args, &peer);
        if (r == CMD_E_FOREIGN) {
                r = foreign_info(c, args_get(&args, KDBUS_ITEM_NAME), mask);
                if (r != -ESRCH || !peer)
                        return r;
                r = 0; /* nobody but its activator */
        }
        if (r)
                return r;
        mask &= peer->attach_send;
        size = sizeof(*info) + kmeta_size(&peer->meta, &conn->view, mask) +
               kconn_meta_size(peer, mask);
        r = pool_alloc(conn->pool, &slice, size);
        if (r)
                return r;
        info = pool_slice_data(slice);
        *info = (struct kdbus_info){.size = size, .id = peer->id, .flags = peer->flags};
        kconn_meta_write(kmeta_write(info->items, &peer->meta, &conn->view, mask), peer, mask);
        return cmd_publish(conn, slice, &cmd->offset, &cmd->info_size);
}

/* one record: a connection, and perhaps one of its names; @at NULL only counts */
static size_t put_record(uint8_t *at, uint64_t id, uint64_t flags, const char *name,
                         uint64_t name_flags)
{
        size_t n_name = name ? strlen(name) + 1 : 0;
        size_t item = name ? ITEM_SIZE(sizeof(struct kdbus_name) + n_name) : 0;
        struct kdbus_info *info = (void *)at;

        if (!at)
                return ITEM_ALIGN(sizeof(*info) + item);
        *info = (struct kdbus_info){.size = sizeof(*info) + item, .id = id, .flags = flags};
        if (name) {
                item_put(info->items, KDBUS_ITEM_OWNED_NAME, NULL, item - ITEM_HEADER);
                info->items->name.flags = name_flags;
                memcpy(info->items->name.name, name, n_name);
        }
        return ITEM_ALIGN(sizeof(*info) + item);
}

static bool selected(const struct kname_owner *o, uint64_t flags)
{
        if (o->flags & KDBUS_NAME_ACTIVATOR)
                return flags & KDBUS_LIST_ACTIVATORS;
        if (o->flags & KDBUS_NAME_IN_QUEUE)
                return flags & KDBUS_LIST_QUEUED;
        return flags & KDBUS_LIST_NAMES;
}

/* what is being listed: counted first, then written into a slice of that size */
struct list {
        struct cmd *cmd;
        uint8_t *at;
        size_t n, max;
};

static void list_add(void *data, uint64_t id, uint64_t flags, const char *name, uint64_t name_flags)
{
        struct list *l = data;
        size_t n = put_record(NULL, id, flags, name, name_flags);

        if (l->at && n <= l->max - l->n)
                put_record(l->at + l->n, id, flags, name, name_flags);
        else if (l->at)
                return; /* came between counting and writing */
        l->n += n;
}

static void list_all(struct list *l, uint64_t flags)
{
        struct cmd *c = l->cmd;
        struct kconn *conn = c->handle->conn, *peer;
        struct kname_owner *o;

        cds_list_for_each_entry(peer, &conn->bus->conn_list, by_bus) {
                bool listed = false;

                if (kconn_is_monitor(peer))
                        continue;
                cds_list_for_each_entry(o, &peer->names, by_conn) {
                        if (!selected(o, flags))
                                continue;
                        listed = true;
                        if (kconn_may_see_name(conn, &c->caller, o->name->name))
                                list_add(l, peer->id, peer->flags, o->name->name, o->flags);
                }
                if (!listed && (flags & KDBUS_LIST_UNIQUE) && kconn_may_see(conn, &c->caller, peer))
                        list_add(l, peer->id, peer->flags, NULL, 0);
        }
        if (conn->bus->bridge && !conn->ep->custom)
                conn->bus->bridge->list(conn->bus, flags, list_add, l);
}

int cmd_list(struct cmd *c)
{
        ARGS(args, KDBUS_LIST_UNIQUE | KDBUS_LIST_NAMES | KDBUS_LIST_ACTIVATORS | KDBUS_LIST_QUEUED);
        struct kdbus_cmd_list *cmd = c->data;
        struct kconn *conn = c->handle->conn;
        struct list list = {.cmd = c};
        struct pool_slice *slice;
        int r;

        r = cmd_parse(c, &args, sizeof(*cmd));
        if (r)
                return MIN(r, 0);
        list_all(&list, cmd->flags);
        if (!list.n) {
                cmd->offset = conn->pool->size;
                cmd->list_size = 0;
                return 0;
        }
        r = pool_alloc(conn->pool, &slice, list.n);
        if (r)
                return r;
        list = (struct list){.cmd = c, .at = pool_slice_data(slice), .max = list.n};
        list_all(&list, cmd->flags);
        return cmd_publish(conn, slice, &cmd->offset, &cmd->list_size);
}
