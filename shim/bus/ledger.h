/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ledger
 *
 * What it is     What each connection has done and cost, and the same by process, by unit (the
 *                control group's last part that systemd made) and by user, of those that are here
 *                and of those that have gone.
 * How            A connection counts for itself (struct counts), without a lock: one thread at a
 *                time writes a number, others may read it. When it leaves, its counts are added to
 *                the three entries that it belongs to. stats.c adds up those that are here.
 * Bound          LEDGER_MAX entries of a kind. Beyond, the one that has been without a connection
 *                for longest gives way, and its counts go to "other".
 * Guard          struct ledger: the bus's guard, write side.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu/list.h>
#include <uthash.h>

#define LEDGER_MAX  1024
#define LEDGER_NAME 112

struct creds;

enum count {
        COUNT_MESSAGES_IN, /* sent by it; by the thread that reads it, as the next five */
        COUNT_BYTES_IN,
        COUNT_FDS_IN,
        COUNT_WAKEUPS_CAUSED, /* inboxes that were to be emptied because of it */
        COUNT_REFUSED,        /* messages of its that were answered with an error of the bus */
        COUNT_HELD,           /* times it was not read since a receiver's queue was nearly full */
        COUNT_MESSAGES_OUT,   /* received by it; by the thread that drains it, as the next three */
        COUNT_BYTES_OUT,
        COUNT_FDS_OUT,
        COUNT_WAKEUPS, /* writes to its socket */
        COUNT_LOST,    /* messages that did not fit its queue; any thread */
        COUNT_N,
};

struct counts {
        _Atomic uint64_t n[COUNT_N];
};

/* counts_add() - by the only thread that writes this number now */
static inline void counts_add(struct counts *counts, enum count what, uint64_t n)
{
        _Atomic uint64_t *at = &counts->n[what];

        atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + n,
                              memory_order_relaxed);
}

/* counts_add_shared() - by any thread */
static inline void counts_add_shared(struct counts *counts, enum count what, uint64_t n)
{
        atomic_fetch_add_explicit(&counts->n[what], n, memory_order_relaxed);
}

static inline uint64_t counts_get(const struct counts *counts, enum count what)
{
        return atomic_load_explicit(&counts->n[what], memory_order_relaxed);
}

/* count_name() - "messages_in" and so on */
const char *count_name(enum count what);

enum ledger_kind {
        LEDGER_USERS,
        LEDGER_UNITS,
        LEDGER_PROCESSES,
        LEDGER_N,
};

/* Numbers at a moment, to tell what is recent from what has added up. */
struct ledger_moment {
        uint64_t at; /* CLOCK_MONOTONIC, microseconds */
        uint64_t messages, bytes, connects, forced;
};

struct ledger_entry {
        char name[LEDGER_NAME];    /* uid, unit or pid */
        char comm[64];             /* of a process */
        char unit[LEDGER_NAME];    /* of a process */
        uint64_t seen;             /* when unit and comm were read; 0: not yet */
        struct counts gone;        /* of connections that have left */
        uint64_t connects;         /* connections ever */
        uint64_t forced;           /* of them, sent away */
        size_t n_clients, peak_clients;
        struct ledger_moment moment[2]; /* for stats.c: older, younger */
        void *row;                      /* stats.c, while it adds up */
        struct cds_list_head idle_link;
        bool oom;
        UT_hash_handle hh;
};

struct ledger_book {
        struct ledger_entry *entries;
        struct cds_list_head idle; /* longest first */
        struct ledger_entry other;
};

struct ledger {
        struct ledger_book book[LEDGER_N];
        struct ledger_entry total; /* its moments are of all together */
};

void ledger_init(struct ledger *ledger);
void ledger_deinit(struct ledger *ledger);

/* ledger_enter() - a connection of @creds; gives the three entries it belongs to */
void ledger_enter(struct ledger *ledger, const struct creds *creds,
                  struct ledger_entry *entries[LEDGER_N]);

/* ledger_leave() - it has gone; @forced: it was sent away */
void ledger_leave(struct ledger *ledger, struct ledger_entry *entries[LEDGER_N],
                  const struct counts *counts, bool forced);
