/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fuzz target: each line is a rule. Canonical texts parse to equals; the index finds what a walk
 * over the rules finds, for a signal that is cut out of the same input, and ends empty. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shim/bus/match.h"

#define RULES_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_rule(const struct match_rule *rule)
{
        struct match_rule *again = NULL;
        int r;

        r = match_rule_new(&again, NULL, rule->canonical.s, rule->canonical.n);
        if (r == MATCH_E_TOO_LONG)
                return;
        assert(!r && match_rule_equal(rule, again));
        match_rule_free(again);
}

static void check_query(const struct match_index *index, const struct match_owner *owner,
                        struct match_text text)
{
        struct match_hits hits = MATCH_HITS_NULL;
        const struct match_link *link = NULL;
        const struct match_rule *rule;
        const struct match_value args[] = { { 's', text.n, text.s }, { 'o', text.n, text.s } };
        const struct match_query query = {
                .type = 4,
                .sender = 1,
                .destination = MATCH_NO_OWNER,
                .interface = text,
                .member = text,
                .path = text,
                .args = args,
                .n_args = 2,
        };
        size_t times, wanted = 0;

        while ((rule = match_owner_next(owner, &link, &times)))
                if (!rule->fields[MATCH_SENDER].s && !rule->fields[MATCH_DESTINATION].s &&
                    match_rule_accepts(rule, &query))
                        wanted = 1;
        if (match_index_query(index, &hits, &query))
                abort();
        assert(hits.n >= wanted && hits.n <= 1);
        match_hits_deinit(&hits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        const char *line = (const char *)data, *end = line + n, *next;
        struct match_text text = { line, n };
        struct match_index index;
        struct match_owner owner;
        struct match_rule *rule;
        size_t i;

        match_index_init(&index, NULL, NULL);
        match_owner_init(&owner);
        for (i = 0; i < RULES_MAX && line < end; i++, line = next + 1) {
                next = memchr(line, '\n', end - line);
                if (!next)
                        next = end;
                text = (struct match_text){ line, next - line };
                if (match_rule_new(&rule, NULL, text.s, text.n))
                        continue;
                check_rule(rule);
                if (match_add(&index, &owner, rule))
                        abort();
        }
        check_query(&index, &owner, text);
        match_owner_clear(&index, &owner);
        match_index_deinit(&index);
        return 0;
}
