/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Driver: AddMatch and RemoveMatch. A skin over bus/match.c. */

#include "config.h"

#include "shim/bus/log.h"
#include "shim/bus/pressure.h"
#include "shim/dbus/driver.h"

/* Parses the call's rule, or answers why it is none. */
static struct match_rule *parse(struct call *call)
{
        char reason[MATCH_REASON_MAX];
        struct match_rule *rule;
        const char *text;
        size_t n;
        int r;

        text = driver_string(call, &n);
        r = match_rule_new(&rule, reason, text, n);
        if (r == 0)
                return rule;
        if (r < 0)
                driver_error(call, OUTCOME_NO_MEMORY, "Not enough memory");
        else
                driver_error(call,
                             r == MATCH_E_TOO_LONG ? OUTCOME_LIMITS_EXCEEDED
                                                   : OUTCOME_MATCH_RULE_INVALID,
                             "%s", reason);
        return NULL;
}

void driver_add_match(struct call *call)
{
        struct client *sender = call->sender;
        struct bus *bus = call->bus;
        struct match_rule *rule;
        char limit[BUS_LIMIT_MAX];

        if (sender->rules.n >= sender->limits.max_match_rules_per_connection) {
                client_limit(sender, LIMIT_INDEX(max_match_rules_per_connection), limit, sizeof(limit));
                log_limited(LOG_WARNING, "match rules", sender->peer.id,
                            "%s has too many match rules (%s)", sender->name, limit);
                driver_error(call, OUTCOME_LIMITS_EXCEEDED,
                             "Connection \"%s\" is not allowed to add more match rules (%s)",
                             sender->name, limit);
                return;
        }
        rule = parse(call);
        if (!rule)
                return;
        if (rule->eavesdrop && !bus_is_privileged(bus, sender)) {
                match_rule_free(rule);
                driver_error(call, OUTCOME_ACCESS_DENIED,
                             "Connection \"%s\" is not allowed to eavesdrop: it is neither root nor "
                             "the user of the bus",
                             sender->name);
                return;
        }
        if (rule->eavesdrop && !driver_may_eavesdrop(call)) {
                match_rule_free(rule);
                return;
        }
        if (bus_add_rule(bus, sender, rule)) {
                driver_error(call, OUTCOME_NO_MEMORY, "Not enough memory");
                return;
        }
        pressure_note(bus, sender, LIMIT_INDEX(max_match_rules_per_connection),
                      sender->limits.max_match_rules_per_connection, sender->rules.n - 1,
                      sender->rules.n);
        driver_reply_empty(call);
}

void driver_remove_match(struct call *call)
{
        struct match_rule *rule;
        int r;

        rule = parse(call);
        if (!rule)
                return;
        r = match_remove(&call->bus->rules, &call->sender->rules, rule);
        match_rule_free(rule);
        if (r) {
                driver_error(call, OUTCOME_MATCH_RULE_NOT_FOUND,
                             "The given match rule wasn't found and can't be removed");
                return;
        }
        call->bus->n_rules--;
        driver_reply_empty(call);
}
