/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdio.h>

#include "bus-core/test-explore.h"
#include "bus-core/test-kit.h"

/* clang-format off */
#define SEND(m, peer) { OP_SEND, m, TO(peer) }
#define CAST(...)     { OP_CAST, __VA_ARGS__ }
#define WAIT(m)       { OP_WAIT, m }
#define CLOSE(peer)   { OP_CLOSE, 0, TO(peer) }
/* clang-format on */

static const struct scenario two_casts = {
        "two multicasts to the same two",
        .threads =
                {
                        {A, {CAST(0, TO(X) | TO(Y))}},
                        {B, {CAST(1, TO(X) | TO(Y))}},
                },
};

static const struct scenario two_casts_to_three = {
        "two multicasts to the same three",
        .clock = {[Y] = 4},
        .threads =
                {
                        {A, {CAST(0, TO(C) | TO(X) | TO(Y))}},
                        {B, {CAST(1, TO(C) | TO(X) | TO(Y))}},
                },
};

static const struct scenario three_casts = {
        "three multicasts to the same two",
        .threads =
                {
                        {A, {CAST(0, TO(X) | TO(Y))}},
                        {B, {CAST(1, TO(X) | TO(Y))}},
                        {C, {CAST(2, TO(X) | TO(Y))}},
                },
};

static const struct scenario ring = {
        "three multicasts, each sharing one receiver with each other one",
        .threads =
                {
                        {A, {CAST(0, TO(X) | TO(Y))}},
                        {B, {CAST(1, TO(Y) | TO(C))}},
                        {C, {CAST(2, TO(C) | TO(X))}},
                },
};

static const struct scenario mixed = {
        "one sender's unicasts and multicast against another's",
        .clock = {[Y] = 6},
        .threads =
                {
                        {A, {SEND(0, X), CAST(1, TO(X) | TO(Y)), SEND(2, X)}},
                        {B, {CAST(3, TO(X) | TO(Y)), SEND(4, Y)}},
                },
};

static const struct scenario three_unicasts = {
        "unicasts of three to two",
        .threads =
                {
                        {A, {SEND(0, X), SEND(1, Y), SEND(2, X)}},
                        {B, {SEND(3, Y), SEND(4, X)}},
                        {C, {SEND(5, X)}},
                },
};

static const struct scenario answer = {
        "who has read a multicast tells another receiver",
        .clock = {[C] = 8},
        .threads =
                {
                        {A, {CAST(0, TO(B) | TO(C) | TO(X))}},
                        {B, {WAIT(0), SEND(1, X)}},
                },
};

static const struct scenario rumour = {
        "who has read a multicast tells a third, which tells another receiver",
        .clock = {[Y] = 8},
        .threads =
                {
                        {A, {CAST(0, TO(B) | TO(X) | TO(Y))}},
                        {B, {WAIT(0), SEND(1, C)}},
                        {C, {WAIT(1), CAST(2, TO(A) | TO(X))}},
                },
};

static const struct scenario forgetful = {
        "unicasts to two, which also get a multicast",
        .threads =
                {
                        {A, {CAST(0, TO(X) | TO(Y))}},
                        {B, {SEND(1, X), SEND(2, Y)}},
                },
};

static const struct scenario closing = {
        "a receiver closes while two multicasts and a unicast are under way",
        .threads =
                {
                        {A, {CAST(0, TO(X) | TO(Y)), SEND(2, Y)}},
                        {B, {CAST(1, TO(X) | TO(Y))}},
                        {Y, {CLOSE(Y)}},
                },
};

static const struct scenario each_other = {
        "two send to each other and to themselves",
        .threads =
                {
                        {A, {CAST(0, TO(A) | TO(B)), SEND(2, B)}},
                        {B, {CAST(1, TO(A) | TO(B)), SEND(3, A)}},
                },
};

static const struct scenario driver = {
        "a signal for two and a reply for one, in one transaction, against a multicast",
        .threads =
                {
                        {A, {CAST(0, TO(X) | TO(Y), 1, TO(X)), SEND(2, X)}},
                        {B, {CAST(3, TO(X) | TO(Y))}},
                },
};

static const struct scenario crowd = {
        "two multicasts to three, a unicast and a multicast that follow from them",
        .clock = {[C] = 4},
        .threads =
                {
                        {A, {CAST(0, TO(C) | TO(X) | TO(Y)), SEND(1, X)}},
                        {B, {CAST(2, TO(X) | TO(Y))}},
                        {C, {WAIT(0), CAST(3, TO(X) | TO(Y))}},
                },
};

static const struct scenario *const scenarios[] = {
        &two_casts,   &two_casts_to_three,
        &three_casts, &ring,
        &mixed,       &three_unicasts,
        &answer,      &rumour,
        &forgetful,   &closing,
        &each_other,  &driver,
        &crowd,
};

START_TEST(every_interleaving_keeps_every_guarantee)
{
        const struct scenario *scenario = scenarios[_i];
        struct verdict verdict;

        explore(&verdict, scenario, FAULT_NONE);
        printf("%-80s %8.3g interleavings, %7ju states\n", scenario->name, verdict.interleavings,
               (uintmax_t)verdict.states);
        ck_assert_msg(!verdict.broken, "%s: guarantees %#x broken by %s", scenario->name,
                      verdict.broken, verdict.path);
        ck_assert_double_gt(verdict.interleavings, 100);
}
END_TEST

/* The checks must be able to fail: what each fault breaks, and where that shows. */
static const struct {
        enum fault fault;
        const struct scenario *scenario;
        enum guarantee breaks;
} faults[] = {
        {FAULT_NO_SYNC, &answer, CAUSALITY},
        {FAULT_NO_SYNC, &rumour, CAUSALITY},
        {FAULT_OWN_STAMPS, &two_casts, TOTAL_ORDER},
        {FAULT_TIES_BY_ARRIVAL, &two_casts, TOTAL_ORDER},
        {FAULT_NO_STAGE, &two_casts, TOTAL_ORDER},
        {FAULT_NO_STAGE, &ring, ONE_ORDER},
        {FAULT_OVERTAKE, &two_casts, TOTAL_ORDER},
        {FAULT_NO_CLOCK, &forgetful, ONE_ORDER},
        {FAULT_LAST_FIRST, &three_unicasts, FIFO},
        {FAULT_STALL, &two_casts, PROGRESS},
        {FAULT_HALF, &two_casts, ATOMICITY},
        {FAULT_KEEP_CHARGE, &mixed, ACCOUNTING},
};

START_TEST(every_fault_is_noticed)
{
        struct verdict verdict;

#ifdef LAMBUS_DEBUG
        return; /* the core's own assertions would notice first */
#endif
        explore(&verdict, faults[_i].scenario, faults[_i].fault);
        printf("fault %d: %#x broken by %s\n", faults[_i].fault, verdict.broken, verdict.path);
        ck_assert_msg(verdict.broken & 1u << faults[_i].breaks, "fault %d in \"%s\" broke only %#x",
                      faults[_i].fault, faults[_i].scenario->name, verdict.broken);
}
END_TEST

int main(void)
{
        return KIT_RUN("order", {every_interleaving_keeps_every_guarantee, ARRAY_SIZE(scenarios)},
                       {every_fault_is_noticed, ARRAY_SIZE(faults)});
}
