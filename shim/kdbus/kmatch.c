/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/kmatch.h"
#include "shim/kdbus/kname.h"
#include "shim/kdbus/limits.h"

/* an entry keeps its items as they came: they were checked, and are compared in place */
struct kmatch_entry {
        struct cds_list_head link;
        uint64_t cookie;
        bool any;          /* no condition at all */
        bool notification; /* the first condition is on notifications */
        unsigned word;     /* of a filter, that must have these bits: most entries fall here */
        uint64_t bits;
        size_t n_items;
        uint64_t items[];
};

void kmatch_init(struct kmatch_db *db)
{
        CDS_INIT_LIST_HEAD(&db->entries);
        db->n_entries = 0;
}

static void entry_free(struct kmatch_db *db, struct kmatch_entry *e)
{
        cds_list_del(&e->link);
        db->n_entries--;
        free(e);
}

void kmatch_deinit(struct kmatch_db *db)
{
        struct kmatch_entry *e, *next;

        cds_list_for_each_entry_safe(e, next, &db->entries, link)
                entry_free(db, e);
}

static int check_items(const struct bloom_params *bloom, struct kdbus_item *items, size_t n_items)
{
        struct kdbus_item *item;
        struct item_walk w;
        int r;

        for (item_walk_init(&w, items, n_items);;) {
                r = item_next(&w, &item);
                if (r || !item)
                        return r;
                if (item->type == KDBUS_ITEM_BLOOM_MASK &&
                    (ITEM_PAYLOAD(item) == 0 || ITEM_PAYLOAD(item) % bloom->size))
                        return -EDOM;
                if (item->type == KDBUS_ITEM_NAME && !item_bus_name_valid(item->str, false))
                        return -EINVAL;
        }
}

static bool on_notifications(uint64_t type)
{
        return type >= KDBUS_ITEM_NAME_ADD && type <= KDBUS_ITEM_ID_REMOVE;
}

/* what can be said of an entry at a glance */
static void summarise(struct kmatch_entry *e, const struct bloom_params *bloom)
{
        struct kdbus_item *item;
        struct item_walk w;

        e->any = true;
        for (item_walk_init(&w, e->items, e->n_items); !item_next(&w, &item) && item;) {
                if (item->type == KDBUS_ITEM_NEGOTIATE)
                        continue;
                if (e->any)
                        e->notification = on_notifications(item->type);
                e->any = false;
                /* of several generations, which counts is not known yet */
                if (item->type != KDBUS_ITEM_BLOOM_MASK || ITEM_PAYLOAD(item) != bloom->size)
                        continue;
                for (unsigned i = 0; i < bloom->size / 8; i++)
                        if (__builtin_popcountll(item->data64[i]) > __builtin_popcountll(e->bits)) {
                                e->word = i;
                                e->bits = item->data64[i];
                        }
        }
}

/**
 * kmatch_add() - add an entry
 * @replace:    first drop all with the same cookie
 *
 * Return: 0; -EMFILE at the limit; -EDOM for a mask of another bloom size; -EINVAL, -ENOMEM.
 */
int kmatch_add(struct kmatch_db *db, const struct bloom_params *bloom, uint64_t cookie,
               bool replace, struct kdbus_item *items, size_t n_items)
{
        struct kmatch_entry *e;
        int r;

        r = check_items(bloom, items, n_items);
        if (r)
                return r;
        e = calloc(1, sizeof(*e) + ITEM_ALIGN(n_items));
        if (!e)
                return error_origin(-ENOMEM);
        e->cookie = cookie;
        e->n_items = n_items;
        memcpy(e->items, items, n_items);
        summarise(e, bloom);
        if (replace)
                kmatch_remove(db, cookie);
        if (db->n_entries >= KD_MATCHES_MAX) {
                free(e);
                return -EMFILE;
        }
        cds_list_add_tail(&e->link, &db->entries);
        db->n_entries++;
        return 0;
}

/**
 * kmatch_remove() - drop all entries with a cookie
 *
 * Return: 0; -EBADSLT if there was none.
 */
int kmatch_remove(struct kmatch_db *db, uint64_t cookie)
{
        struct kmatch_entry *e, *next;
        int r = -EBADSLT;

        cds_list_for_each_entry_safe(e, next, &db->entries, link)
                if (e->cookie == cookie) {
                        entry_free(db, e);
                        r = 0;
                }
        return r;
}

static bool id_fits(uint64_t wanted, uint64_t id)
{
        return wanted == KDBUS_MATCH_ID_ANY || wanted == id;
}

static bool item_fits_message(const struct kdbus_item *item, const struct bloom_params *bloom,
                              const struct kmatch_subject *s)
{
        switch (item->type) {
        case KDBUS_ITEM_BLOOM_MASK:
                return s->filter && bloom_mask_passes(bloom, s->filter->generation,
                                                      (const uint64_t *)s->filter->data,
                                                      (const uint64_t *)item->data64,
                                                      ITEM_PAYLOAD(item));
        case KDBUS_ITEM_NAME:
                return s->src ? kname_held_by(s->src, item->str)
                              : s->holds && s->holds(s->holds_data, item->str);
        case KDBUS_ITEM_ID:
                return id_fits(item->id, s->src_id);
        case KDBUS_ITEM_DST_ID:
                return id_fits(item->id, s->dst_id);
        default:
                return false;
        }
}

static bool item_fits_notification(const struct kdbus_item *item, const struct kdbus_item *n)
{
        const char *name = item->name_change.name;

        if (item->type != n->type)
                return false;
        if (item->type == KDBUS_ITEM_ID_ADD || item->type == KDBUS_ITEM_ID_REMOVE)
                return id_fits(item->id_change.id, n->id_change.id);
        return id_fits(item->name_change.old_id.id, n->name_change.old_id.id) &&
               id_fits(item->name_change.new_id.id, n->name_change.new_id.id) &&
               (ITEM_PAYLOAD(item) == sizeof(item->name_change) ||
                strcmp(name, n->name_change.name) == 0);
}

static bool entry_fits(struct kmatch_entry *e, const struct bloom_params *bloom,
                       const struct kmatch_subject *s)
{
        struct kdbus_item *item;
        struct item_walk w;

        for (item_walk_init(&w, e->items, e->n_items); !item_next(&w, &item) && item;) {
                if (item->type == KDBUS_ITEM_NEGOTIATE)
                        continue;
                if (s->notification ? !item_fits_notification(item, s->notification)
                                    : !item_fits_message(item, bloom, s))
                        return false;
        }
        return true;
}

static bool may_fit(const struct kmatch_entry *e, const struct kmatch_subject *s)
{
        if (e->any)
                return true;
        if (e->notification != (s->notification != NULL))
                return false;
        return !e->bits || (s->filter && (s->filter->data[e->word] & e->bits) == e->bits);
}

/**
 * kmatch_passes() - whether some entry holds
 */
bool kmatch_passes(const struct kmatch_db *db, const struct bloom_params *bloom,
                   const struct kmatch_subject *subject)
{
        struct kmatch_entry *e;

        cds_list_for_each_entry(e, &db->entries, link)
                if (may_fit(e, subject) && entry_fits(e, bloom, subject))
                        return true;
        return false;
}
