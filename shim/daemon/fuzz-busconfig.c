/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fuzz target: a configuration is whole or has a reason, and its policy can be asked anything. */

#include <assert.h>
#include <stdint.h>

#include "shim/daemon/busconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void ask(const struct busconfig *config)
{
        const struct policy_creds creds = { .uid = 0 };
        const struct policy_text name = policy_text("org.example.Name");
        const struct policy_peer peer = { .names = &name, .n_names = 1 };
        const struct policy_query query = { .type = 1, .member = name, .peer = &peer };
        struct policy_verdict verdict;
        struct policy_list *list;
        char text[200];

        if (policy_list_new(&list, config->policy, &creds))
                return;
        assert(policy_can_send(list, &query, &verdict) == verdict.allow);
        assert(!verdict.rule == !policy_explain(list, POLICY_SEND, &query, NULL, NULL));
        policy_rule_describe(verdict.rule, text, sizeof(text));
        policy_can_own(list, name, &verdict);
        assert(!verdict.rule == !policy_explain(list, POLICY_OWN, &query, NULL, NULL));
        policy_list_unref(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        struct busconfig_note note = BUSCONFIG_NOTE_NULL;
        struct busconfig *config;
        int r;

        r = busconfig_parse(&config, "fuzz.conf", (const char *)data, n, BUSCONFIG_ALONE, &note);
        assert(r > 0 ? note.file && note.text : r < 0 || !note.text);
        if (!r) {
                ask(config);
                busconfig_free(config);
        }
        busconfig_note_deinit(&note);
        return 0;
}
