/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Account
 *
 * What it is     What one user may keep in the inboxes of the bus: bytes, descriptors and
 *                entries. Every inbox belongs to a user (its owner); what lies in it was put
 *                there by users (the actors).
 * Promise        1. An account never holds more than its limit in any slot.
 *                2. No actor can use up another user's account: with n actors, an actor whose
 *                   share would be s may go on while s * (n + 1) stays within what is left plus
 *                   its own share, so each keeps between 1/n and 1/n^2 of the total.
 *                3. A charge is a value. It sits in what it pays for and is dropped with it; a
 *                   failed charge changes nothing.
 * How            The owner's limit and the actors' shares are kept together under the owner's
 *                lock. Peers keep a small allowance of their own (PEER_ALLOWANCE), so that only
 *                queues that grow ever come here.
 * Guard          struct account: its own lock, the innermost of the core.
 */

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/ref.h"

enum account_slot {
        ACCOUNT_BYTES,
        ACCOUNT_FDS,
        ACCOUNT_ENTRIES,
        ACCOUNT_N_SLOTS,
};

enum {
        ACCOUNT_E_OK,
        ACCOUNT_E_QUOTA, /* the actor's share of the owner's account is used up */
};

struct account_share;

struct account {
        ref_t refs;
        uid_t uid;

        pthread_mutex_t lock;
        uint64_t limit[ACCOUNT_N_SLOTS];
        uint64_t used[ACCOUNT_N_SLOTS];
        uint64_t peak[ACCOUNT_N_SLOTS];
        struct account_share *shares; /* by the actor's uid */
};

/* A charge that is zeroed pays nothing; dropping it does nothing. */
struct charge {
        struct account_share *share;
        uint64_t amount[ACCOUNT_N_SLOTS];
};

#define CHARGE_NULL ((struct charge){})

int account_new(struct account **out, uid_t uid, const uint64_t limit[ACCOUNT_N_SLOTS]);
struct account *account_ref(struct account *account);
struct account *account_unref(struct account *account);
DEFINE_FREEP(struct account, account_unref)

/* account_set_limit() - applies to new charges; what is held already is kept */
void account_set_limit(struct account *account, enum account_slot slot, uint64_t limit);

/**
 * charge_take() - charge an actor for what it puts into an owner's inbox
 * @out:        receives the charge; must be CHARGE_NULL
 * @owner:      the account of the inbox's user
 * @actor:      the account of the sending user
 *
 * Lock:        takes owner->lock
 * Return:      0, ACCOUNT_E_QUOTA, or -ENOMEM.
 */
int charge_take(struct charge *out, struct account *owner, struct account *actor,
                const uint64_t amount[ACCOUNT_N_SLOTS]);

/* charge_drop() - give back what a charge holds and leave it CHARGE_NULL */
void charge_drop(struct charge *charge);
