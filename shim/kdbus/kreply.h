/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kdbus reply
 *
 * What it is     An open call: the window through which exactly one reply may come.
 * How            Linked from the caller, from whoever is to answer, and, by its deadline, from the
 *                domain. A synchronous one also says who is blocked on it.
 *
 *      kreply_new()         waiting
 *      kreply_finish()      gone: the blocked caller, if any, is answered
 *      kreply_interrupt()   interrupted: nobody is blocked; the window stays until its deadline,
 *                           and the same call again resumes it (kreply_resume())
 */

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

struct domain;
struct kconn;
struct kentry;
struct waiter;

struct kreply {
        struct kconn *caller, *callee; /* callee NULL: someone on D-Bus */
        struct domain *domain;
        uint64_t cookie;
        uint64_t deadline; /* CLOCK_MONOTONIC, ns */
        bool sync;
        struct waiter *waiter;            /* sync: who is blocked; NULL while interrupted */
        struct kentry *entry;             /* the queued call, until it is received */
        struct kentry *answer;            /* sync, interrupted: what came meanwhile */
        int error;                        /* sync, interrupted: or how it ended */
        bool ended;
        struct cds_list_head by_caller;   /* newest first */
        struct cds_list_head by_callee;
        struct cds_list_head by_deadline;
};

int kreply_new(struct kreply **replyp, struct kconn *caller, struct kconn *callee, uint64_t cookie,
               uint64_t deadline, bool sync);
struct kreply *kreply_free(struct kreply *reply);

struct kreply *kreply_find_foreign(const struct kconn *caller, uint64_t cookie);
struct kreply *kreply_find(const struct kconn *caller, const struct kconn *callee, uint64_t cookie);
void kreply_set_callee(struct kreply *reply, struct kconn *callee);
void kreply_finish(struct kreply *reply, int error, struct kentry *answer);
void kreply_dead(struct kreply *reply);
bool kreply_resume(struct kreply *reply, struct waiter *waiter);
void kreply_interrupt(struct kreply *reply);
void kreply_expire(struct domain *domain, uint64_t now);
uint64_t kreply_next_deadline(struct domain *domain);
