/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Message
 *
 * What it is     What peers send: bytes that the core does not look into, descriptors, and the
 *                account of who sent it.
 * Promise        Immutable once it was sent. It exists once, however many inboxes hold it.
 * How            Embedded in what a room above makes of it (shim/bus's envelope); the last
 *                reference calls @free.
 */

#include <stdint.h>

#include "bus-core/account.h"
#include "bus-core/util/fdset.h"
#include "bus-core/util/ref.h"

struct message {
        ref_t refs;
        uint32_t size;           /* bytes that it keeps allocated; what is charged */
        struct fdset *fds;       /* owned; NULL for none */
        struct account *account; /* the sender's, counted; NULL: the bus itself, never charged */
        void (*free)(struct message *message);
};

/* message_init() - one reference; @account is borrowed and counted, @free is called by the last */
void message_init(struct message *message, uint32_t size, struct account *account,
                  void (*free)(struct message *));

/* message_deinit() - for @free: drops descriptors and account, not the memory */
void message_deinit(struct message *message);

static inline struct message *message_ref(struct message *message)
{
        ref_inc(&message->refs);
        return message;
}

static inline struct message *message_unref(struct message *message)
{
        if (message && ref_dec(&message->refs))
                message->free(message);
        return NULL;
}
DEFINE_FREEP(struct message, message_unref)

static inline uint32_t message_n_fds(const struct message *message)
{
        return message->fds ? message->fds->n : 0;
}
