/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Order
 *
 * What it is     A check of what a bus promises about broadcasts of different senders, within one
 *                replay:
 *                1. total order: two receivers which both get M and N get them in the same order;
 *                2. causality: no receiver gets N before M if M was handled before N was sent by
 *                   somebody who had asked for M.
 * How            Numbers are those of the recording. As long as a receiver's numbers rise, nothing
 *                can be wrong, and nothing is done. A number that is lower than a recent one is an
 *                inversion: it is held against the recent past of all other receivers, and kept for
 *                a while for those who receive the two later.
 * Not promised   More than the last ORDER_RECENT messages of each receiver.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORDER_RECENT 64U
#define ORDER_INVERSIONS 64U

struct order_message {
        uint64_t index; /* of the recorded message; 0: none */
        uint32_t sender;
        bool broadcast;
};

/* what one receiver got last */
struct order_receiver {
        struct order_message recent[ORDER_RECENT]; /* a ring */
        uint64_t n;
        uint64_t highest; /* index */
};

struct order_inversion {
        uint64_t first, second; /* indices; somebody got the second first */
};

struct order {
        struct order_receiver *receivers;
        size_t n_receivers;
        struct order_inversion inversions[ORDER_INVERSIONS]; /* a ring */
        uint64_t n_inversions;
};

enum order_verdict {
        ORDER_FINE,
        ORDER_TOTAL,    /* somebody else got these two the other way round */
        ORDER_CAUSALITY,
};

int order_init(struct order *o, size_t n_receivers);
void order_deinit(struct order *o);

/**
 * order_received() - note that a receiver got a message
 * @asked_for:  did this sender ask for the message @m by a rule? Called with senders whose later
 *              message came first
 * @other:      set to the message it is out of order with, unless all is fine
 */
enum order_verdict order_received(struct order *o, uint32_t receiver,
                                  const struct order_message *m,
                                  bool (*asked_for)(void *context, uint32_t sender), void *context,
                                  struct order_message *other);
