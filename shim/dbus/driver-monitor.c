/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Driver: org.freedesktop.DBus.Monitoring. */

#include "config.h"

#include "shim/bus/pressure.h"
#include "shim/bus/mediate.h"
#include "shim/dbus/driver.h"

struct rules {
        struct match_rule *rule[4096];
        size_t n;
};

static void free_rules(struct rules *rules)
{
        for (size_t i = 0; i < rules->n; i++)
                match_rule_free(rules->rule[i]);
        free(rules);
}

static int parse_one(struct call *call, struct rules *rules, const char *text, size_t n)
{
        char reason[MATCH_REASON_MAX];
        int r;

        if (rules->n == ARRAY_SIZE(rules->rule)) {
                driver_error(call, OUTCOME_LIMITS_EXCEEDED, "Too many match rules");
                return -1;
        }
        r = match_rule_new(&rules->rule[rules->n], reason, text, n);
        if (r == 0)
                rules->n++;
        else if (r < 0)
                driver_error(call, OUTCOME_NO_MEMORY, "Not enough memory");
        else
                driver_error(call, OUTCOME_MATCH_RULE_INVALID, "%s", reason);
        return r;
}

/* All rules of the call, or one that matches everything; NULL: the error is sent. */
static struct rules *parse(struct call *call)
{
        struct rules *rules;
        const char *text;
        uint32_t flags;
        size_t n;

        rules = calloc(1, sizeof(*rules));
        if (!rules) {
                driver_error(call, OUTCOME_NO_MEMORY, "Not enough memory");
                return NULL;
        }
        reader_enter(&call->args, 'a');
        while (reader_peek(&call->args)) {
                reader_string(&call->args, &text, &n);
                if (parse_one(call, rules, text, n))
                        goto fail;
        }
        reader_leave(&call->args);
        flags = driver_u32(call);
        if (flags) {
                driver_error(call, OUTCOME_INVALID_ARGS, "Flags must be 0");
                goto fail;
        }
        if (!rules->n && parse_one(call, rules, "", 0))
                goto fail;
        return rules;
fail:
        free_rules(rules);
        return NULL;
}

bool driver_may_eavesdrop(struct call *call)
{
        const struct mediation *m = call->bus->mediation;
        const char *by;

        if (mediate_off(m) || mediation_eavesdrop(m, call->sender, &by))
                return true;
        driver_error(call, OUTCOME_ACCESS_DENIED,
                     "Connection \"%s\" is not allowed to eavesdrop due to %s policy",
                     call->sender->name, by);
        return false;
}

static void become_monitor(struct call *call)
{
        struct client *sender = call->sender;
        struct rules *rules;

        if (!driver_may_eavesdrop(call))
                return;
        rules = parse(call);
        if (!rules)
                return;
        driver_reply_empty(call);
        client_monitor(call->turn, sender);
        for (size_t i = 0; i < rules->n; i++) {
                rules->rule[i]->eavesdrop = false; /* a monitor sees everything as it is */
                if (bus_add_rule(call->bus, sender, steal(&rules->rule[i]))) {
                        client_dismiss(sender, PRESSURE_NO_LIMIT,
                                       "it cannot monitor: not enough memory");
                        break;
                }
        }
        free_rules(rules);
}

static const struct driver_method methods[] = {
        { "BecomeMonitor", "asu", "", NULL, NULL, DRIVER_WRITES | DRIVER_PRIVILEGED,
          become_monitor },
        {},
};

const struct driver_interface driver_monitoring = {
        .name = "org.freedesktop.DBus.Monitoring",
        .advertised = true,
        .methods = methods,
};
