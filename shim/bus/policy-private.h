/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Policy, inside
 *
 * What it is     What policy.c and policy-list.c share: the store of rules and the cache of lists.
 * Lifetime       A policy has two counts. `refs` are those who may make lists from it; when they
 *                are gone, the cache is dropped. `pins` are those who read its rules: each list,
 *                and one for all refs together; when they are gone, the rules are freed.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <urcu/list.h>

#include "shim/bus/policy.h"

/* lists that nobody uses are kept up to this number, for clients that come and go */
#define POLICY_CACHE_IDLE_MAX 64

struct policy_file {
        struct policy_file *next;
        char name[];
};

struct policy {
        atomic_uint refs;
        atomic_uint pins;

        struct policy_rule **rules; /* in reading order */
        size_t n_rules;
        size_t n_allocated;
        struct policy_file *files; /* what rules name as their origin */

        struct policy_rule **sorted; /* by context, id, place; from policy_seal() on */
        bool asks_console;           /* some rule does; from policy_seal() on */

        struct {
                pthread_mutex_t lock;
                struct cds_list_head lists; /* one reference each; used last is first */
        } cache;
};

/* the rules of one context and id, a run of policy->sorted */
struct policy_run {
        struct policy_rule **rules;
        size_t n;
};

void policy_unpin(struct policy *policy);
struct policy_run policy_run(const struct policy *policy, enum policy_context context,
                             uint32_t id);
