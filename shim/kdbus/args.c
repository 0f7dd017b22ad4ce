/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>

#include "shim/kdbus/args.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/limits.h"

static struct args_item *args_find(const struct args *a, uint64_t type)
{
        for (size_t i = 0; i < a->argc; i++)
                if (a->argv[i].type == type)
                        return &a->argv[i];
        return NULL;
}

/**
 * args_get() - the item of @type, or NULL; of several, the last
 */
struct kdbus_item *args_get(const struct args *a, uint64_t type)
{
        struct args_item *arg = args_find(a, type);

        return arg ? arg->item : NULL;
}

static int args_collect(struct args *a)
{
        struct kdbus_item *item;
        struct item_walk w;
        int r;

        for (item_walk_init(&w, a->items, a->items_size);;) {
                struct args_item *arg;

                /* an unknown type is refused before its payload is looked at */
                if (w.at + ITEM_HEADER <= w.end && !args_find(a, ((struct kdbus_item *)w.at)->type))
                        return -EINVAL;
                r = item_next(&w, &item);
                if (r || !item)
                        return r;
                arg = args_find(a, item->type);
                if (arg->item && !arg->multiple)
                        return -EINVAL;
                arg->item = item;
        }
}

/* answer what the caller asked about: flags by their set, items by clearing the unknown */
static void args_negotiate(struct args *a, struct kdbus_cmd *cmd)
{
        struct kdbus_item *ask = a->argv[0].item;

        if (cmd->flags & KDBUS_FLAG_NEGOTIATE)
                cmd->flags = a->allowed_flags;
        for (size_t i = 0; ask && i < ITEM_PAYLOAD(ask) / sizeof(uint64_t); i++)
                if (!args_find(a, ask->data64[i]))
                        ask->data64[i] = 0;
}

/**
 * args_parse() - check a structure against its table
 * @data:       the snapshot, 8-aligned; changed by negotiation
 * @n_data:     bytes of it that could be read: those the first look at `size` announced
 * @fixed:      size of the structure without items
 * @is_cmd:     there is a return_flags field to clear (messages have none)
 *
 * Return: 0, ARGS_E_NEGOTIATED, or the errno that the ABI has for it.
 */
int args_parse(struct args *a, void *data, size_t n_data, size_t fixed, bool is_cmd)
{
        struct kdbus_cmd *cmd = data;
        bool negotiate;
        int r;

        if (n_data < sizeof(cmd->size) || cmd->size < fixed)
                return -EINVAL;
        if (cmd->size > KD_CMD_SIZE_MAX)
                return -EMSGSIZE;
        if (cmd->size != n_data)
                return -EINVAL;

        a->copied_in = true;
        if (is_cmd)
                cmd->return_flags = 0;
        a->items = (void *)((uint8_t *)data + fixed);
        a->items_size = n_data - fixed;

        if (cmd->flags & ~(a->allowed_flags | KDBUS_FLAG_NEGOTIATE))
                return -EINVAL;
        r = args_collect(a);
        if (r)
                return r;
        negotiate = cmd->flags & KDBUS_FLAG_NEGOTIATE;
        args_negotiate(a, cmd);
        if (negotiate)
                return ARGS_E_NEGOTIATED;
        for (size_t i = 0; i < a->argc; i++)
                if (a->argv[i].mandatory && !a->argv[i].item)
                        return -EINVAL;
        return 0;
}
