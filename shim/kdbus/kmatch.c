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
        uint64_t cookie;
        size_t n_items;
        uint64_t items[];
};

enum kind {
        ANY,          /* no condition at all */
        MESSAGE,
        NOTIFICATION, /* the first condition is on notifications */
};

struct kmatch_glance {
        uint64_t bits; /* that this word of a filter must have */
        uint32_t word;
        uint32_t kind;
};

void kmatch_init(struct kmatch_db *db)
{
        *db = (struct kmatch_db){};
}

void kmatch_deinit(struct kmatch_db *db)
{
        for (size_t i = 0; i < db->n_entries; i++)
                free(db->entries[i]);
        free(db->entries);
        free(db->glances);
        kmatch_init(db);
}

static int make_room(struct kmatch_db *db)
{
        size_t n = MAX(db->n_room * 2, (size_t)4);
        struct kmatch_entry **entries;
        struct kmatch_glance *glances;

        if (db->n_entries < db->n_room)
                return 0;
        entries = realloc(db->entries, n * sizeof(*entries));
        if (!entries)
                return error_origin(-ENOMEM);
        db->entries = entries;
        glances = realloc(db->glances, n * sizeof(*glances));
        if (!glances)
                return error_origin(-ENOMEM);
        db->glances = glances;
        db->n_room = n;
        return 0;
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

static struct kmatch_glance glance_at(struct kmatch_entry *e, const struct bloom_params *bloom)
{
        struct kmatch_glance g = {.kind = ANY};
        struct kdbus_item *item;
        struct item_walk w;

        for (item_walk_init(&w, e->items, e->n_items); !item_next(&w, &item) && item;) {
                if (item->type == KDBUS_ITEM_NEGOTIATE)
                        continue;
                if (g.kind == ANY)
                        g.kind = on_notifications(item->type) ? NOTIFICATION : MESSAGE;
                /* of several generations, which counts is not known yet */
                if (item->type != KDBUS_ITEM_BLOOM_MASK || ITEM_PAYLOAD(item) != bloom->size)
                        continue;
                for (unsigned i = 0; i < bloom->size / 8; i++)
                        if (__builtin_popcountll(item->data64[i]) > __builtin_popcountll(g.bits)) {
                                g.word = i;
                                g.bits = item->data64[i];
                        }
        }
        return g;
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
        if (replace)
                kmatch_remove(db, cookie);
        r = db->n_entries >= KD_MATCHES_MAX ? -EMFILE : make_room(db);
        if (r) {
                free(e);
                return r;
        }
        db->glances[db->n_entries] = glance_at(e, bloom);
        db->entries[db->n_entries++] = e;
        return 0;
}

/**
 * kmatch_remove() - drop all entries with a cookie
 *
 * Return: 0; -EBADSLT if there was none.
 */
int kmatch_remove(struct kmatch_db *db, uint64_t cookie)
{
        size_t kept = 0, n = db->n_entries;

        for (size_t i = 0; i < n; i++) {
                if (db->entries[i]->cookie == cookie) {
                        free(db->entries[i]);
                        continue;
                }
                db->entries[kept] = db->entries[i];
                db->glances[kept++] = db->glances[i];
        }
        db->n_entries = kept;
        return kept < n ? 0 : -EBADSLT;
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

static bool may_fit(const struct kmatch_glance *g, const struct kmatch_subject *s)
{
        if (g->kind == ANY)
                return true;
        if ((g->kind == NOTIFICATION) != (s->notification != NULL))
                return false;
        return !g->bits || (s->filter && (s->filter->data[g->word] & g->bits) == g->bits);
}

/**
 * kmatch_passes() - whether some entry holds
 */
bool kmatch_passes(const struct kmatch_db *db, const struct bloom_params *bloom,
                   const struct kmatch_subject *subject)
{
        for (size_t i = 0; i < db->n_entries; i++)
                if (may_fit(&db->glances[i], subject) && entry_fits(db->entries[i], bloom, subject))
                        return true;
        return false;
}
