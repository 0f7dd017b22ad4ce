/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "shim/kdbus/item.h"
#include "shim/kdbus/limits.h"

static int check_string(const char *s, uint64_t n)
{
        if (n < 1 || memchr(s, 0, n) != s + n - 1)
                return -EINVAL;
        return 0;
}

static bool char_is_alnum(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/**
 * item_node_name_valid() - check the name of a bus or endpoint, or a description
 * @name:       NUL-terminated
 * @errp:       set to the errno of the refusal: ENAMETOOLONG or EINVAL
 */
bool item_node_name_valid(const char *name, size_t max, int *errp)
{
        size_t n = strlen(name);

        *errp = n > max ? ENAMETOOLONG : EINVAL;
        if (n < 1 || n > max)
                return false;
        for (size_t i = 0; i < n; i++) {
                bool inner = i > 0 && i < n - 1;

                if (!char_is_alnum(name[i]) && name[i] != '_' &&
                    !(inner && (name[i] == '-' || name[i] == '.')))
                        return false;
        }
        return true;
}

/**
 * item_bus_name_valid() - check a well-known name
 * @wildcard:   a last element of "*" is allowed
 */
bool item_bus_name_valid(const char *name, bool wildcard)
{
        bool start = true, dotted = false;
        const char *p;

        for (p = name; *p; p++) {
                bool digit = *p >= '0' && *p <= '9';

                if (*p == '.') {
                        if (start)
                                return false;
                        start = dotted = true;
                        continue;
                }
                if (*p == '*' && wildcard && start && dotted && !p[1])
                        return p - name < KD_NAME_LEN_MAX;
                if (!(char_is_alnum(*p) && !(start && digit)) && *p != '_' && *p != '-')
                        return false;
                start = false;
        }
        return dotted && !start && p - name <= KD_NAME_LEN_MAX;
}

static int check_caps(const struct kdbus_item *item)
{
        uint64_t n = ITEM_PAYLOAD(item);
        uint64_t words;

        if (n < sizeof(uint32_t))
                return -EINVAL;
        words = ((uint64_t)item->caps.last_cap + 32) / 32;
        return n >= sizeof(uint32_t) + 4 * words * sizeof(uint32_t) ? 0 : -EINVAL;
}

static int check_name_change(const struct kdbus_item *item)
{
        uint64_t n = ITEM_PAYLOAD(item), head = sizeof(struct kdbus_notify_name_change);

        if (n < head)
                return -EINVAL;
        return n == head ? 0 : check_string(item->name_change.name, n - head);
}

static int check_description(const struct kdbus_item *item)
{
        int r, e;

        r = check_string(item->str, ITEM_PAYLOAD(item));
        if (r)
                return r;
        return item_node_name_valid(item->str, KD_NODE_LEN_MAX, &e) ? 0 : -e;
}

static int check_owned_name(const struct kdbus_item *item)
{
        uint64_t n = ITEM_PAYLOAD(item), head = sizeof(struct kdbus_name);

        return n < head ? -EINVAL : check_string(item->name.name, n - head);
}

/* the payload size of types that have only one, or 0 */
static uint64_t fixed_payload(uint64_t type)
{
        switch (type) {
        case KDBUS_ITEM_PAYLOAD_VEC:
        case KDBUS_ITEM_PAYLOAD_OFF:
                return sizeof(struct kdbus_vec);
        case KDBUS_ITEM_PAYLOAD_MEMFD:
                return sizeof(struct kdbus_memfd);
        case KDBUS_ITEM_CANCEL_FD:
                return sizeof(int);
        case KDBUS_ITEM_BLOOM_PARAMETER:
                return sizeof(struct kdbus_bloom_parameter);
        case KDBUS_ITEM_ATTACH_FLAGS_SEND:
        case KDBUS_ITEM_ATTACH_FLAGS_RECV:
        case KDBUS_ITEM_ID:
        case KDBUS_ITEM_DST_ID:
                return sizeof(uint64_t);
        case KDBUS_ITEM_TIMESTAMP:
                return sizeof(struct kdbus_timestamp);
        case KDBUS_ITEM_CREDS:
                return sizeof(struct kdbus_creds);
        case KDBUS_ITEM_PIDS:
                return sizeof(struct kdbus_pids);
        case KDBUS_ITEM_AUDIT:
                return sizeof(struct kdbus_audit);
        case KDBUS_ITEM_POLICY_ACCESS:
                return sizeof(struct kdbus_policy_access);
        case KDBUS_ITEM_ID_ADD:
        case KDBUS_ITEM_ID_REMOVE:
                return sizeof(struct kdbus_notify_id_change);
        default:
                return 0;
        }
}

/**
 * item_check() - check the payload of an item whose size is known to lie inside its buffer
 *
 * Return: 0, or the errno that the ABI has for it.
 */
int item_check(const struct kdbus_item *item)
{
        uint64_t n = ITEM_PAYLOAD(item), fixed = fixed_payload(item->type);

        if (fixed) {
                if (n != fixed)
                        return -EINVAL;
                if (item->type == KDBUS_ITEM_PAYLOAD_VEC || item->type == KDBUS_ITEM_PAYLOAD_OFF)
                        return item->vec.size ? 0 : -EINVAL;
                if (item->type == KDBUS_ITEM_PAYLOAD_MEMFD)
                        return !item->memfd.size ? -EINVAL : item->memfd.fd < 0 ? -EBADF : 0;
                return 0;
        }

        switch (item->type) {
        case KDBUS_ITEM_NEGOTIATE:
                return n % sizeof(uint64_t) ? -EINVAL : 0;
        case KDBUS_ITEM_FDS:
        case KDBUS_ITEM_AUXGROUPS:
                return n % sizeof(uint32_t) ? -EINVAL : 0;
        case KDBUS_ITEM_BLOOM_FILTER:
                return n < sizeof(struct kdbus_bloom_filter) ? -EINVAL : 0;
        case KDBUS_ITEM_CAPS:
                return check_caps(item);
        case KDBUS_ITEM_DST_NAME:
        case KDBUS_ITEM_MAKE_NAME:
        case KDBUS_ITEM_NAME:
        case KDBUS_ITEM_TID_COMM:
        case KDBUS_ITEM_PID_COMM:
        case KDBUS_ITEM_EXE:
        case KDBUS_ITEM_CMDLINE:
        case KDBUS_ITEM_CGROUP:
        case KDBUS_ITEM_SECLABEL:
                return check_string(item->str, n);
        case KDBUS_ITEM_OWNED_NAME:
                return check_owned_name(item);
        case KDBUS_ITEM_CONN_DESCRIPTION:
                return check_description(item);
        case KDBUS_ITEM_NAME_ADD:
        case KDBUS_ITEM_NAME_REMOVE:
        case KDBUS_ITEM_NAME_CHANGE:
                return check_name_change(item);
        default:
                return 0;
        }
}

/**
 * item_walk_init() - walk the items in [items, items + size)
 * @items:      8-aligned
 */
void item_walk_init(struct item_walk *w, void *items, size_t size)
{
        w->at = items;
        w->end = w->at + size;
}

/**
 * item_next() - the next item, checked
 * @itemp:      set to the item, or to NULL at the proper end
 *
 * Return: 0, or the errno that the ABI has for it.
 */
int item_next(struct item_walk *w, struct kdbus_item **itemp)
{
        struct kdbus_item *item = (void *)w->at;
        size_t left;
        int r;

        *itemp = NULL;
        if (w->at >= w->end)
                return 0;
        left = w->end - w->at;
        if (left < ITEM_HEADER || item->size < ITEM_HEADER || item->size > left)
                return -EINVAL;
        r = item_check(item);
        if (r)
                return r;
        w->at += ITEM_ALIGN(item->size); /* at most 7 beyond the end: the last may be unpadded */
        *itemp = item;
        return 0;
}

/**
 * item_put() - write an item and zero its padding
 * @at:         8-aligned, with ITEM_ALIGN(ITEM_SIZE(n_payload)) bytes of room
 * @payload:    may be NULL: the caller fills it in
 *
 * Return: where the next item goes.
 */
void *item_put(void *at, uint64_t type, const void *payload, size_t n_payload)
{
        struct kdbus_item *item = at;
        size_t padded = ITEM_ALIGN(ITEM_SIZE(n_payload));

        item->size = ITEM_SIZE(n_payload);
        item->type = type;
        if (payload)
                memcpy(item->data, payload, n_payload);
        memset(item->data + n_payload, 0, padded - item->size);
        return (uint8_t *)at + padded;
}
