/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Explorer
 *
 * What it is     Runs a few scripted sends in every interleaving of their steps (steps.h) with
 *                each other and with the receivers' reads, and checks the guarantees of README.md.
 * How            Depth first over who takes the next step. The core's own functions run on real
 *                peers; going back is building the world anew and taking the same steps again.
 *                What can still happen depends on the state alone (clocks, inboxes, where every
 *                script is, what was read so far), so each state is entered once; the number of
 *                interleavings is counted through it all the same.
 * Breakage       A world may be broken on purpose (enum fault), to see that the checks notice.
 */

#include <stdint.h>

#define EXPLORE_PEERS    5
#define EXPLORE_THREADS  4
#define EXPLORE_OPS      4
#define EXPLORE_MESSAGES 8

/* Peers, and sets of them. */
enum { A, B, C, X, Y };
#define TO(peer) (1u << (peer))

enum op_kind {
        OP_END,
        OP_SEND,  /* a unicast of @message to the one peer of @to */
        OP_CAST,  /* a multicast of @message to @to, and of @message2 to @to2 if there are any */
        OP_WAIT,  /* go on when @message was read by this thread's peer */
        OP_CLOSE, /* close the one peer of @to */
};

struct op {
        enum op_kind kind;
        unsigned message, to;
        unsigned message2, to2;
};

/* What a thread does on behalf of @peer, one after another. A peer has one script at the most. */
struct script {
        unsigned peer;
        struct op ops[EXPLORE_OPS];
};

struct scenario {
        const char *name;
        uint64_t clock[EXPLORE_PEERS]; /* where the clocks stand at first */
        struct script threads[EXPLORE_THREADS];
};

/* What must hold; the numbers are those of README.md, 0 is the sum of 2 and 3. */
enum guarantee {
        ONE_ORDER, /* what was read anywhere and what caused what fit into a single order */
        FIFO,
        TOTAL_ORDER,
        CAUSALITY,
        PROGRESS,
        ATOMICITY,
        ACCOUNTING,
        N_GUARANTEES,
};

enum fault {
        FAULT_NONE,
        FAULT_NO_SYNC,         /* settle without having moved the clocks */
        FAULT_OWN_STAMPS,      /* every entry settles on its inbox's stamp */
        FAULT_TIES_BY_ARRIVAL, /* equal stamps are not told apart */
        FAULT_NO_STAGE,        /* a multicast is a row of unicasts */
        FAULT_NO_CLOCK,        /* a sender forgets its clock */
        FAULT_OVERTAKE,        /* a read takes the first committed entry, staged ones or not */
        FAULT_LAST_FIRST,      /* a read takes the last entry */
        FAULT_STALL,           /* a sender stops before it settles */
        FAULT_HALF,            /* a multicast forgets its second receiver */
        FAULT_KEEP_CHARGE,     /* what was read is never released */
};

struct verdict {
        unsigned broken; /* a bit per guarantee */
        uint64_t states;
        double interleavings;
        char path[256]; /* to the first breakage: who took each step, '*' before a read */
};

/* explore() - run all of @scenario, or up to the first breakage */
void explore(struct verdict *out, const struct scenario *scenario, enum fault fault);
