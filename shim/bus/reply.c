/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>
#include <stdbool.h>

#include "bus-core/core.h"

#include "shim/bus/client.h"
#include "shim/bus/reply.h"

void replies_init(struct replies *replies)
{
        *replies = (struct replies){};
        pthread_mutex_init(&replies->lock, NULL);
        CDS_INIT_LIST_HEAD(&replies->awaited);
        CDS_INIT_LIST_HEAD(&replies->owed);
        table_init(&replies->by_key);
}

void replies_deinit(struct replies *replies)
{
        assert(cds_list_empty(&replies->owed) && !replies->n_awaited);
        table_deinit(&replies->by_key);
        pthread_mutex_destroy(&replies->lock);
}

static uint64_t hash_of(const struct reply_key *key)
{
        return table_hash_numbers(key->caller, key->serial);
}

static struct reply_slot *find_locked(struct client *callee, const struct reply_key *key,
                                      uint64_t hash)
{
        struct table_node *node;

        table_for_each_same(node, &callee->replies.by_key, hash) {
                struct reply_slot *slot = container_of(node, struct reply_slot, node);

                if (slot->key.caller == key->caller && slot->key.serial == key->serial)
                        return slot;
        }
        return NULL;
}

static void unlink_owed_locked(struct reply_slot *slot)
{
        cds_list_del(&slot->owed_link);
        table_remove(&slot->callee->replies.by_key, &slot->node);
}

/* The caller's half: the list, and the limit. */
static int link_awaited(struct reply_slot *slot, size_t max, size_t *n)
{
        struct replies *replies = &slot->caller->replies;
        int r = 0;

        lock_enter(&replies->lock);
        if (replies->n_awaited >= max) {
                r = REPLY_E_LIMIT;
        } else {
                cds_list_add_tail(&slot->awaited_link, &replies->awaited);
                *n = ++replies->n_awaited;
        }
        lock_leave(&replies->lock);
        return r;
}

static void unlink_awaited(struct reply_slot *slot)
{
        struct replies *replies = &slot->caller->replies;

        lock_enter(&replies->lock);
        cds_list_del(&slot->awaited_link);
        replies->n_awaited--;
        lock_leave(&replies->lock);
}

/* The callee's half: the table. Last, since a reply can come as soon as the slot is in it. */
static int link_owed(struct reply_slot *slot)
{
        struct replies *replies = &slot->callee->replies;
        uint64_t hash = hash_of(&slot->key);
        int r = 0;

        lock_enter(&replies->lock);
        if (find_locked(slot->callee, &slot->key, hash)) {
                r = REPLY_E_PENDING;
        } else {
                table_add(&replies->by_key, &slot->node, hash);
                cds_list_add(&slot->owed_link, &replies->owed);
        }
        lock_leave(&replies->lock);
        return r;
}

int reply_expect(struct client *caller, struct client *callee, uint64_t serial, size_t max,
                 uint64_t due, size_t *n)
{
        struct reply_slot *slot;
        int r;

        slot = cache_alloc(sizeof(*slot));
        if (!slot)
                return error_origin(-ENOMEM);
        *slot = (struct reply_slot){
                .key = { .caller = caller->peer.id, .serial = serial },
                .caller = caller,
                .callee = callee,
                .due = due,
        };
        r = link_awaited(slot, max, n);
        if (r) {
                cache_free(slot);
                return r;
        }
        r = link_owed(slot);
        if (r) {
                unlink_awaited(slot);
                cache_free(slot);
                return r;
        }
        return 0;
}

bool reply_is_expected(struct client *caller, struct client *callee, uint64_t serial)
{
        const struct reply_key key = { .caller = caller->peer.id, .serial = serial };
        bool found;

        lock_enter(&callee->replies.lock);
        found = find_locked(callee, &key, hash_of(&key));
        lock_leave(&callee->replies.lock);
        return found;
}

bool reply_end(struct client *caller, struct client *callee, uint64_t serial)
{
        const struct reply_key key = { .caller = caller->peer.id, .serial = serial };
        struct reply_slot *slot;

        lock_enter(&callee->replies.lock);
        slot = find_locked(callee, &key, hash_of(&key));
        if (slot)
                unlink_owed_locked(slot);
        lock_leave(&callee->replies.lock);
        if (!slot)
                return false;
        unlink_awaited(slot);
        cache_free(slot);
        return true;
}

struct reply_slot *reply_next_owed(struct client *callee)
{
        if (cds_list_empty(&callee->replies.owed))
                return NULL;
        return cds_list_first_entry(&callee->replies.owed, struct reply_slot, owed_link);
}

struct reply_slot *reply_next_awaited(struct client *caller)
{
        if (cds_list_empty(&caller->replies.awaited))
                return NULL;
        return cds_list_first_entry(&caller->replies.awaited, struct reply_slot, awaited_link);
}

void reply_slot_free(struct reply_slot *slot)
{
        lock_enter(&slot->callee->replies.lock);
        unlink_owed_locked(slot);
        lock_leave(&slot->callee->replies.lock);
        unlink_awaited(slot);
        cache_free(slot);
}

size_t reply_partners(struct client *client, const struct client **partners, size_t max)
{
        struct replies *replies = &client->replies;
        struct reply_slot *slot;
        size_t n = 0, left = max;

        lock_enter(&replies->lock);
        cds_list_for_each_entry(slot, &replies->awaited, awaited_link) {
                if (!left--)
                        break;
                if (!n || partners[n - 1] != slot->callee)
                        partners[n++] = slot->callee;
        }
        left = max - n;
        cds_list_for_each_entry(slot, &replies->owed, owed_link) {
                if (!left--)
                        break;
                if (!n || partners[n - 1] != slot->caller)
                        partners[n++] = slot->caller;
        }
        lock_leave(&replies->lock);
        return n;
}
