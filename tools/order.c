/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "tools/order.h"

int order_init(struct order *o, size_t n_receivers)
{
        *o = (struct order){ .n_receivers = n_receivers };
        o->receivers = calloc(n_receivers + 1, sizeof(*o->receivers));
        return o->receivers ? 0 : error_origin(-ENOMEM);
}

void order_deinit(struct order *o)
{
        free(o->receivers);
        *o = (struct order){ 0 };
}

/* where in the order of arrival a receiver got this message, counted from 1; 0: not lately */
static uint64_t place_of(const struct order_receiver *r, uint64_t index)
{
        for (uint64_t i = r->n; i > 0 && i + ORDER_RECENT > r->n; i--)
                if (r->recent[(i - 1) % ORDER_RECENT].index == index)
                        return i;
        return 0;
}

static void note_inversion(struct order *o, uint64_t first, uint64_t second)
{
        o->inversions[o->n_inversions++ % ORDER_INVERSIONS] =
                (struct order_inversion){ first, second };
}

/* did anybody get these two in the order of the recording? */
static bool others_disagree(const struct order *o, uint32_t receiver, uint64_t first,
                            uint64_t second)
{
        for (size_t i = 0; i < o->n_receivers; i++) {
                uint64_t a = place_of(&o->receivers[i], first);
                uint64_t b = place_of(&o->receivers[i], second);

                if (i != receiver && a && b && a < b)
                        return true;
        }
        return false;
}

/* did somebody get this message before one that this receiver got before it? */
static enum order_verdict check_against_inversions(const struct order *o,
                                                   const struct order_receiver *r,
                                                   const struct order_message *m,
                                                   struct order_message *other)
{
        for (uint64_t i = 0; i < MIN(o->n_inversions, (uint64_t)ORDER_INVERSIONS); i++) {
                const struct order_inversion *v = &o->inversions[i];
                uint64_t place = v->second == m->index ? place_of(r, v->first) : 0;

                if (!place)
                        continue;
                *other = r->recent[(place - 1) % ORDER_RECENT];
                return ORDER_TOTAL;
        }
        return ORDER_FINE;
}

static void append(struct order_receiver *r, const struct order_message *m)
{
        r->recent[r->n++ % ORDER_RECENT] = *m;
        r->highest = MAX(r->highest, m->index);
}

/* a message came after one of a higher number and another sender */
static enum order_verdict check_inversion(struct order *o, uint32_t receiver,
                                          const struct order_message *m,
                                          const struct order_message *before,
                                          bool (*asked_for)(void *context, uint32_t sender),
                                          void *context)
{
        if (!m->broadcast)
                return ORDER_FINE;
        if (asked_for(context, before->sender))
                return ORDER_CAUSALITY;
        if (!before->broadcast)
                return ORDER_FINE;
        if (others_disagree(o, receiver, m->index, before->index))
                return ORDER_TOTAL;
        note_inversion(o, m->index, before->index);
        return ORDER_FINE;
}

enum order_verdict order_received(struct order *o, uint32_t receiver,
                                  const struct order_message *m,
                                  bool (*asked_for)(void *context, uint32_t sender), void *context,
                                  struct order_message *other)
{
        struct order_receiver *r = &o->receivers[receiver];
        enum order_verdict verdict = ORDER_FINE;

        if (m->index > r->highest) {
                if (m->broadcast)
                        verdict = check_against_inversions(o, r, m, other);
                append(r, m);
                return verdict;
        }
        for (uint64_t i = r->n; i > 0 && i + ORDER_RECENT > r->n && !verdict; i--) {
                const struct order_message *before = &r->recent[(i - 1) % ORDER_RECENT];

                if (before->index <= m->index || before->sender == m->sender)
                        continue;
                verdict = check_inversion(o, receiver, m, before, asked_for, context);
                if (verdict)
                        *other = *before;
        }
        append(r, m);
        return verdict;
}
