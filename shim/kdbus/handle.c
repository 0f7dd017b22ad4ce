/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/args.h"
#include "shim/kdbus/handle.h"
#include "shim/kdbus/kbus.h"
#include "shim/kdbus/kconn.h"

#define CAP_IPC_OWNER_BIT (1ULL << 15)

/**
 * handle_init() - a node was opened
 * @ep:         the endpoint, or NULL for the control file
 * @caller:     who opened it
 */
int handle_init(struct handle *h, struct domain *domain, int socket, struct kep *ep,
                const struct caller *caller)
{
        int r;

        *h = (struct handle){.domain = domain, .socket = socket};
        r = kmeta_copy_creds(&h->opener, &caller->meta);
        if (r)
                return r;
        h->ep = ep ? kep_ref(ep) : NULL;
        kmeta_view_init(&h->view, caller->task, &h->opener);
        return 0;
}

/**
 * handle_deinit() - the last descriptor of it was closed
 */
void handle_deinit(struct handle *h)
{
        switch (h->kind) {
        case HANDLE_BUS_OWNER:
                kbus_remove(h->bus_owner);
                break;
        case HANDLE_EP_OWNER:
                kep_remove(h->ep_owner);
                kep_unref(h->ep_owner);
                break;
        case HANDLE_CONNECTED:
                kconn_free(h->conn);
                break;
        case HANDLE_UNUSED:
                break;
        }
        kep_unref(h->ep);
        kmeta_deinit(&h->opener);
        kmeta_view_deinit(&h->view);
        *h = (struct handle){};
}

/* had CAP_IPC_OWNER where the domain lives, and came through the front door */
bool handle_is_privileged(const struct handle *h)
{
        return h->ep && !h->ep->custom && h->view.same_user_ns &&
               (h->opener.cap_effective & CAP_IPC_OWNER_BIT);
}

bool handle_is_owner(const struct handle *h)
{
        return h->ep && !h->ep->custom &&
               (h->opener.euid == h->ep->bus->uid || handle_is_privileged(h));
}

/**
 * cmd_parse() - args_parse() on the command's own structure
 *
 * Return: as args_parse(); -EFAULT if it could not be read.
 */
int cmd_parse(struct cmd *c, struct args *args, size_t fixed)
{
        int r;

        if (!c->data)
                return -EFAULT;
        r = args_parse(args, c->data, c->n_data, fixed, true);
        c->back = args->copied_in;
        return r;
}

/**
 * cmd_publish() - hand a slice made for a query to the program
 */
int cmd_publish(struct kconn *conn, struct pool_slice *slice, __u64 *offset, __u64 *size)
{
        *offset = slice->offset;
        *size = slice->size;
        pool_slice_publish(slice);
        pool_slice_release(slice);
        return 0;
}

struct row {
        uint32_t code;
        enum handle_kind kind;
        bool on_endpoint;
        uint64_t not_for; /* HELLO flags of connections that may not */
        int (*run)(struct cmd *c);
};

#define SPECIAL (KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_POLICY_HOLDER | KDBUS_HELLO_MONITOR)

static const struct row rows[] = {
        {KDBUS_CMD_BUS_MAKE, HANDLE_UNUSED, false, 0, cmd_bus_make},
        {KDBUS_CMD_ENDPOINT_MAKE, HANDLE_UNUSED, true, 0, cmd_endpoint_make},
        {KDBUS_CMD_ENDPOINT_UPDATE, HANDLE_EP_OWNER, true, 0, cmd_endpoint_update},
        {KDBUS_CMD_HELLO, HANDLE_UNUSED, true, 0, cmd_hello},
        {KDBUS_CMD_UPDATE, HANDLE_CONNECTED, true, 0, cmd_update},
        {KDBUS_CMD_BYEBYE, HANDLE_CONNECTED, true, SPECIAL, cmd_byebye},
        {KDBUS_CMD_FREE, HANDLE_CONNECTED, true, KDBUS_HELLO_POLICY_HOLDER, cmd_free},
        {KDBUS_CMD_CONN_INFO, HANDLE_CONNECTED, true, 0, cmd_conn_info},
        {KDBUS_CMD_BUS_CREATOR_INFO, HANDLE_CONNECTED, true, 0, cmd_bus_creator_info},
        {KDBUS_CMD_LIST, HANDLE_CONNECTED, true, 0, cmd_list},
        {KDBUS_CMD_SEND, HANDLE_CONNECTED, true, SPECIAL, cmd_send},
        {KDBUS_CMD_RECV, HANDLE_CONNECTED, true, KDBUS_HELLO_POLICY_HOLDER, cmd_recv},
        {KDBUS_CMD_NAME_ACQUIRE, HANDLE_CONNECTED, true, SPECIAL, cmd_name_acquire},
        {KDBUS_CMD_NAME_RELEASE, HANDLE_CONNECTED, true, SPECIAL, cmd_name_release},
        {KDBUS_CMD_MATCH_ADD, HANDLE_CONNECTED, true, SPECIAL, cmd_match_add},
        {KDBUS_CMD_MATCH_REMOVE, HANDLE_CONNECTED, true, SPECIAL, cmd_match_remove},
};

static const struct row *find_row(uint32_t code)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].code == code)
                        return &rows[i];
        return NULL;
}

/**
 * handle_run() - carry out a command
 *
 * Return: 0 or the errno of the ABI; with c->wait set the answer comes later.
 */
int handle_run(struct cmd *c)
{
        const struct row *row = find_row(c->code);
        struct handle *h = c->handle;

        if (!row)
                return -ENOTTY;
        if (row->kind != h->kind || row->on_endpoint != !!h->ep)
                return -EBADFD;
        if (h->kind == HANDLE_CONNECTED) {
                if (!h->conn->connected)
                        return -ECONNRESET;
                if (h->conn->flags & row->not_for)
                        return -EOPNOTSUPP;
                kconn_sync(h->conn);
        } else if (h->ep && h->ep->dead) {
                return -ESHUTDOWN;
        }
        return row->run(c);
}
