/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/kpolicy.h"
#include "shim/kdbus/limits.h"
#include "shim/kdbus/kmeta.h"

struct kpolicy_access {
        uint64_t type;
        uint64_t access;
        uint32_t id;
};

struct kpolicy_entry {
        const void *owner;
        size_t n_access;
        struct kpolicy_access *access;
        struct kpolicy_entry *next_new; /* while a set is being built */
        UT_hash_handle hh;
        char name[]; /* wildcards with their star: it is in no other name */
};

static struct kpolicy_entry *entry_free(struct kpolicy_entry *e)
{
        if (e)
                free(e->access);
        free(e);
        return NULL;
}

static void list_free(struct kpolicy_entry *e)
{
        while (e) {
                struct kpolicy_entry *next = e->next_new;

                entry_free(e);
                e = next;
        }
}

DEFINE_FREEP(struct kpolicy_entry, list_free)

void kpolicy_deinit(struct kpolicy *p)
{
        struct kpolicy_entry *e, *next;

        HASH_ITER(hh, p->entries, e, next) {
                HASH_DEL(p->entries, e);
                entry_free(e);
        }
}

static int entry_new(struct kpolicy_entry **ep, const void *owner, const char *name, bool wildcards)
{
        struct kpolicy_entry *e;

        if (!item_bus_name_valid(name, wildcards))
                return -EINVAL;
        e = calloc(1, sizeof(*e) + strlen(name) + 1);
        if (!e)
                return error_origin(-ENOMEM);
        e->owner = owner;
        strcpy(e->name, name);
        *ep = e;
        return 0;
}

static int entry_add(struct kpolicy_entry *e, const struct kdbus_policy_access *a,
                     const struct kmeta_view *view)
{
        struct kpolicy_access *more, row = {.type = a->type, .access = a->access};

        if (a->access > KDBUS_POLICY_OWN)
                return -EINVAL;
        if (a->type == KDBUS_POLICY_ACCESS_USER) {
                if (!kmeta_unview_uid(view, a->id, &row.id))
                        return -EINVAL;
        } else if (a->type == KDBUS_POLICY_ACCESS_GROUP) {
                if (!kmeta_unview_gid(view, a->id, &row.id))
                        return -EINVAL;
        } else if (a->type != KDBUS_POLICY_ACCESS_WORLD) {
                return -EINVAL;
        }
        more = realloc(e->access, (e->n_access + 1) * sizeof(*more));
        if (!more)
                return error_origin(-ENOMEM);
        e->access = more;
        e->access[e->n_access++] = row;
        return 0;
}

/* the entries that an item list describes; other items in it are ignored */
static int parse(struct kpolicy_entry **listp, const void *owner, struct kdbus_item *items,
                 size_t n_items, size_t max_names, bool wildcards, const struct kmeta_view *view)
{
        _cleanup_(list_freep) struct kpolicy_entry *list = NULL;
        struct kdbus_item *item;
        struct item_walk w;
        size_t n = 0;
        int r;

        for (item_walk_init(&w, items, n_items);;) {
                r = item_next(&w, &item);
                if (r)
                        return r;
                if (!item)
                        break;
                if (item->type == KDBUS_ITEM_NAME) {
                        struct kpolicy_entry *e = NULL;

                        if (max_names && ++n > max_names)
                                return -E2BIG;
                        r = entry_new(&e, owner, item->str, wildcards);
                        if (r)
                                return r;
                        e->next_new = list;
                        list = e;
                } else if (item->type == KDBUS_ITEM_POLICY_ACCESS) {
                        r = list ? entry_add(list, &item->policy_access, view) : -EINVAL;
                        if (r)
                                return r;
                }
        }
        *listp = steal(&list);
        return 0;
}

static int check_taken(const struct kpolicy *p, const struct kpolicy_entry *list, const void *owner)
{
        for (const struct kpolicy_entry *e = list; e; e = e->next_new) {
                struct kpolicy_entry *old;

                HASH_FIND_STR(p->entries, e->name, old);
                if (old && old->owner != owner)
                        return -EEXIST;
                for (const struct kpolicy_entry *f = e->next_new; f; f = f->next_new)
                        if (strcmp(e->name, f->name) == 0)
                                return -EEXIST;
        }
        return 0;
}

/**
 * kpolicy_set() - replace the entries of an owner
 * @owner:      whoever holds them; only compared
 * @items:      NAME items, each followed by its POLICY_ACCESS items
 * @max_names:  more are E2BIG; 0 is no limit
 * @view:       in which user namespace the ids are meant
 *
 * Return: 0; -EEXIST if another holds one of the names; -EINVAL, -E2BIG, -ENOMEM. On failure
 *         nothing has changed.
 */
int kpolicy_set(struct kpolicy *p, const void *owner, struct kdbus_item *items, size_t n_items,
                size_t max_names, bool wildcards, const struct kmeta_view *view)
{
        struct kpolicy_entry *list = NULL, *e;
        struct kpolicy fresh = {};
        int r;

        r = parse(&list, owner, items, n_items, max_names, wildcards, view);
        if (r)
                return r;
        r = check_taken(p, list, owner);
        if (r) {
                list_free(list);
                return r;
        }
        /* into a table of their own first, so that running out of memory changes nothing */
        while ((e = list)) {
                HASH_ADD_KEYPTR(hh, fresh.entries, e->name, strlen(e->name), e);
                if (!e->hh.tbl)
                        break;
                list = e->next_new;
                e->next_new = NULL;
        }
        if (list) {
                list_free(list);
                kpolicy_deinit(&fresh);
                return error_origin(-ENOMEM);
        }
        kpolicy_drop(p, owner);
        if (!p->entries) {
                *p = fresh;
                return 0;
        }
        while ((e = fresh.entries)) {
                HASH_DEL(fresh.entries, e);
                HASH_ADD_KEYPTR(hh, p->entries, e->name, strlen(e->name), e);
                if (!e->hh.tbl)
                        entry_free(e); /* the table could not grow: denies, never grants */
        }
        return 0;
}

/**
 * kpolicy_drop() - remove the entries of an owner
 */
void kpolicy_drop(struct kpolicy *p, const void *owner)
{
        struct kpolicy_entry *e, *next;

        HASH_ITER(hh, p->entries, e, next) {
                if (e->owner != owner)
                        continue;
                HASH_DEL(p->entries, e);
                entry_free(e);
        }
}

static const struct kpolicy_entry *find(const struct kpolicy *p, const char *name)
{
        char prefix[KD_NAME_LEN_MAX + 3];
        const char *dot = strrchr(name, '.');
        struct kpolicy_entry *e;

        HASH_FIND_STR(p->entries, name, e);
        if (e || !dot || dot - name > KD_NAME_LEN_MAX)
                return e;
        memcpy(prefix, name, dot - name);
        strcpy(prefix + (dot - name), ".*");
        HASH_FIND_STR(p->entries, prefix, e);
        return e;
}

/**
 * kpolicy_query() - the highest access that credentials have to a name
 *
 * Return: KDBUS_POLICY_SEE, TALK or OWN; -EPERM if none.
 */
int kpolicy_query(const struct kpolicy *p, const char *name, const struct kmeta *creds)
{
        const struct kpolicy_entry *e = find(p, name);
        int highest = -EPERM;

        for (size_t i = 0; e && i < e->n_access; i++) {
                const struct kpolicy_access *a = &e->access[i];
                bool fits = a->type == KDBUS_POLICY_ACCESS_WORLD ||
                            (a->type == KDBUS_POLICY_ACCESS_USER && a->id == creds->euid) ||
                            (a->type == KDBUS_POLICY_ACCESS_GROUP && kmeta_in_group(creds, a->id));

                if (fits)
                        highest = MAX(highest, (int)a->access);
        }
        return highest;
}
