/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <string.h>

/* A share comes and goes with each large message: that must not go to malloc. */
#define HASH_NONFATAL_OOM        1
#define uthash_nonfatal_oom(elt) ((elt)->oom = true)
#define uthash_malloc(size)      cache_alloc(size)
#define uthash_free(block, size) cache_free(block)
#include <uthash.h>

#include "bus-core/account.h"
#include "bus-core/util/cache.h"
#include "bus-core/util/error.h"

/* What one actor holds of one owner's account. Lives while it holds anything. */
struct account_share {
        struct account *owner; /* counted: charges outlive the owner's last peer */
        uid_t actor;
        bool oom;
        uint64_t used[ACCOUNT_N_SLOTS];
        uint64_t n_charges;
        UT_hash_handle hh;
};

int account_new(struct account **out, uid_t uid, const uint64_t limit[ACCOUNT_N_SLOTS])
{
        struct account *account;

        account = calloc(1, sizeof(*account));
        if (!account)
                return error_origin(-ENOMEM);
        account->refs = 1;
        account->uid = uid;
        pthread_mutex_init(&account->lock, NULL);
        memcpy(account->limit, limit, sizeof(account->limit));
        *out = account;
        return 0;
}

struct account *account_ref(struct account *account)
{
        if (account)
                ref_inc(&account->refs);
        return account;
}

struct account *account_unref(struct account *account)
{
        if (!account || !ref_dec(&account->refs))
                return NULL;
        assert(!account->shares);
        pthread_mutex_destroy(&account->lock);
        free(account);
        return NULL;
}

void account_set_limit(struct account *account, enum account_slot slot, uint64_t limit)
{
        pthread_mutex_lock(&account->lock);
        account->limit[slot] = limit;
        pthread_mutex_unlock(&account->lock);
}

/* The rule of promise 2, for one slot. */
static bool share_allows(const struct account *owner, const struct account_share *share,
                         enum account_slot slot, uint64_t amount)
{
        uint64_t n = HASH_COUNT(owner->shares);
        uint64_t left, want;

        if (amount == 0)
                return true;
        if (owner->used[slot] > owner->limit[slot])
                return false;
        left = owner->limit[slot] - owner->used[slot];
        if (amount > left)
                return false;
        if (owner->uid == share->actor)
                return true; /* one's own account may be filled by oneself */
        if (__builtin_add_overflow(share->used[slot], amount, &want) ||
            __builtin_mul_overflow(want, n + 1, &want))
                return false;
        return want - share->used[slot] <= left;
}

static struct account_share *share_get_locked(struct account *owner, uid_t actor)
{
        struct account_share *share;

        HASH_FIND(hh, owner->shares, &actor, sizeof(actor), share);
        if (share)
                return share;
        share = cache_alloc(sizeof(*share));
        if (!share)
                return NULL;
        *share = (struct account_share){ .actor = actor };
        HASH_ADD(hh, owner->shares, actor, sizeof(share->actor), share);
        if (share->oom) {
                cache_free(share);
                return NULL;
        }
        share->owner = account_ref(owner);
        return share;
}

/* Forgets a share that holds nothing; returns the owner whose reference the caller must drop. */
static struct account *share_put_locked(struct account_share *share)
{
        struct account *owner = share->owner;

        if (share->n_charges)
                return NULL;
        HASH_DEL(owner->shares, share);
        cache_free(share);
        return owner;
}

int charge_take(struct charge *out, struct account *owner, struct account *actor,
                const uint64_t amount[ACCOUNT_N_SLOTS])
{
        struct account_share *share;
        struct account *drop = NULL;
        int r = 0;

        assert(!out->share);
        pthread_mutex_lock(&owner->lock);
        share = share_get_locked(owner, actor->uid);
        if (!share) {
                r = error_origin(-ENOMEM);
                goto out;
        }
        for (int i = 0; i < ACCOUNT_N_SLOTS; i++)
                if (!share_allows(owner, share, i, amount[i]))
                        r = ACCOUNT_E_QUOTA;
        if (r) {
                drop = share_put_locked(share);
                goto out;
        }
        for (int i = 0; i < ACCOUNT_N_SLOTS; i++) {
                share->used[i] += amount[i];
                owner->used[i] += amount[i];
                owner->peak[i] = MAX(owner->peak[i], owner->used[i]);
                out->amount[i] = amount[i];
        }
        share->n_charges++;
        out->share = share;
out:
        pthread_mutex_unlock(&owner->lock);
        account_unref(drop);
        return r;
}

void charge_drop(struct charge *charge)
{
        struct account_share *share = steal(&charge->share);
        struct account *owner, *drop;

        if (!share)
                return;
        owner = share->owner;
        pthread_mutex_lock(&owner->lock);
        for (int i = 0; i < ACCOUNT_N_SLOTS; i++) {
                share->used[i] -= charge->amount[i];
                owner->used[i] -= charge->amount[i];
        }
        share->n_charges--;
        drop = share_put_locked(share);
        pthread_mutex_unlock(&owner->lock);
        account_unref(drop);
}
