/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Driver: Hello, and who owns which name. A skin over bus/name.c. */

#include "config.h"

#include <string.h>

#include "shim/bus/log.h"
#include "shim/bus/pressure.h"
#include "shim/bus/mediate.h"
#include "shim/dbus/driver.h"
#include "shim/wire/type.h"

void driver_hello(struct call *call)
{
        char why[BUS_LIMIT_MAX + 128];
        int r;

        if (call->sender->state != CLIENT_NEW) {
                driver_error(call, OUTCOME_FAILED, "Already handled an Hello message");
                return;
        }
        r = client_hello_check(call->turn, call->sender, why, sizeof(why));
        if (r) {
                log_limited(LOG_WARNING, "connections", call->sender->user->uid, "%s", why);
                driver_error(call, r, "%s", why);
                return;
        }
        r = client_hello(call->turn, call->sender);
        if (r) {
                driver_error(call, OUTCOME_NO_MEMORY, "Not enough memory");
                return;
        }
        driver_reply_string(call, call->sender->name);
        client_welcome(call->turn, call->sender);
}

/* Names that nobody may ask for; the errors are the same for both methods. */
static bool may_be_owned(struct call *call, const char *name, size_t n, const char *verb)
{
        if (!valid_bus_name(name, n))
                driver_error(call, OUTCOME_INVALID_ARGS, "%s bus name \"%s\" is not valid",
                             verb[0] == 'a' ? "Requested" : "Given", name);
        else if (name[0] == ':')
                driver_error(call, OUTCOME_INVALID_ARGS,
                             "Cannot %s a service starting with ':' such as \"%s\"", verb, name);
        else if (strcmp(name, BUS_NAME) == 0)
                driver_error(call, OUTCOME_INVALID_ARGS,
                             "Connection \"%s\" is not allowed to %s the service \"%s\" because it "
                             "is reserved for the bus",
                             call->sender->name, verb, BUS_NAME);
        else
                return true;
        return false;
}

static bool may_own(struct call *call, const char *name, size_t n)
{
        struct client *sender = call->sender;
        struct policy_verdict verdict;
        char rule[512] = "no rule allows it", who[CLIENT_DESCRIBE_MAX];
        const char *by;

        if (driver_level(call, name, n) < CONTAINER_OWN) {
                driver_error(call, OUTCOME_ACCESS_DENIED,
                             "No rule of container %s allows \"%s\" to own the service \"%s\"",
                             sender->container->path, sender->name, name);
                return false;
        }
        if (!mediate_off(call->bus->mediation) &&
            !mediation_own(call->bus->mediation, sender, name, &by)) {
                driver_error(call, OUTCOME_ACCESS_DENIED,
                             "Connection \"%s\" is not allowed to own the service \"%s\" due to "
                             "%s policy",
                             sender->name, name, by);
                return false;
        }
        if (policy_can_own(sender->policy, (struct policy_text){ name, n }, &verdict))
                return true;
        if (verdict.rule)
                policy_rule_describe(verdict.rule, rule, sizeof(rule));
        log_limited(LOG_WARNING, "own", sender->peer.id, "%s may not own \"%s\": %s",
                    client_describe(sender, who, sizeof(who)), name, rule);
        driver_error(call, OUTCOME_ACCESS_DENIED,
                     "Connection \"%s\" is not allowed to own the service \"%s\" due to security "
                     "policies in the configuration file%s%s",
                     sender->name, name, bus_is_privileged(call->bus, sender) ? ": " : "",
                     bus_is_privileged(call->bus, sender) ? rule : "");
        return false;
}

/* One more name, unless it has it or waits for it already. The unique name counts as one. */
static bool has_room(struct call *call, const char *text, size_t n)
{
        struct bus *bus = call->bus;
        struct client *sender = call->sender;
        struct name *name = name_find(&bus->names, text, n, table_hash(text, n));
        char limit[BUS_LIMIT_MAX];

        if (sender->names.n + 1 < sender->limits.max_names_per_connection ||
            (name && name_ownership_find(name, &sender->names)))
                return true;
        client_limit(sender, LIMIT_INDEX(max_names_per_connection), limit, sizeof(limit));
        log_limited(LOG_WARNING, "names", sender->peer.id, "%s owns too many names (%s)",
                    sender->name, limit);
        driver_error(call, OUTCOME_LIMITS_EXCEEDED,
                     "Connection \"%s\" is not allowed to own more services (%s)", sender->name,
                     limit);
        return false;
}

static void count_names(struct bus *bus, struct client *client)
{
        bus_note_names(bus, client);
        pressure_note(bus, client, LIMIT_INDEX(max_names_per_connection),
                      client->limits.max_names_per_connection, client->names.n, client->names.n + 1);
}

void driver_request_name(struct call *call)
{
        struct name_change change = NAME_CHANGE_NULL;
        enum name_result result;
        const char *name;
        uint32_t flags;
        size_t n;

        name = driver_string(call, &n);
        flags = driver_u32(call);
        if (!may_be_owned(call, name, n, "acquire") || !may_own(call, name, n) ||
            !has_room(call, name, n))
                return;
        if (name_request(&change, &result, &call->bus->names, &call->sender->names, name, n,
                         flags)) {
                driver_error(call, OUTCOME_NO_MEMORY, "Not enough memory");
                return;
        }
        count_names(call->bus, call->sender);
        bus_announce(call->turn, &change);
        name_change_deinit(&change);
        driver_reply_u32(call, result);
}

void driver_release_name(struct call *call)
{
        struct name_change change = NAME_CHANGE_NULL;
        const char *name;
        size_t n;
        int r;

        name = driver_string(call, &n);
        if (!may_be_owned(call, name, n, "release"))
                return;
        r = name_release(&change, &call->bus->names, &call->sender->names, name, n);
        bus_announce(call->turn, &change);
        name_change_deinit(&change);
        driver_reply_u32(call, r ? r : NAME_RELEASED);
}

void driver_name_has_owner(struct call *call)
{
        struct writer w;
        const char *name;
        size_t n;

        name = driver_string(call, &n);
        driver_reply(&w, call, "b");
        writer_bool(&w, strcmp(name, BUS_NAME) == 0 ||
                               (bus_find(call->bus, name, n) &&
                                driver_level(call, name, n) >= CONTAINER_SEE));
        driver_send(&w, call);
}

void driver_get_name_owner(struct call *call)
{
        struct client *owner;
        const char *name;

        owner = driver_target(call, &name, "owner");
        if (owner)
                driver_reply_string(call, owner->name);
        else if (strcmp(name, BUS_NAME) == 0)
                driver_reply_string(call, BUS_NAME);
}

void driver_list_queued_owners(struct call *call)
{
        const struct name_ownership *o = NULL;
        const struct name *found;
        struct client *owner;
        struct writer w;
        const char *name;

        owner = driver_target(call, &name, "owners");
        if (!owner && strcmp(name, BUS_NAME) != 0)
                return;
        driver_reply(&w, call, "as");
        writer_open(&w, 'a', NULL);
        if (!owner) {
                writer_string(&w, BUS_NAME);
        } else if (name[0] == ':') {
                writer_string(&w, owner->name);
        } else {
                found = name_find(&call->bus->names, name, strlen(name),
                                  table_hash(name, strlen(name)));
                while ((o = name_queue_next(found, o)))
                        writer_string(&w, client_of_owner(o->owner)->name);
        }
        writer_close(&w);
        driver_send(&w, call);
}

void driver_list_names(struct call *call)
{
        const struct bus *bus = call->bus;
        const struct client *client;
        const struct name *name = NULL;
        struct writer w;

        driver_reply(&w, call, "as");
        writer_open(&w, 'a', NULL);
        writer_string(&w, BUS_NAME);
        for (client = bus->clients; client; client = client->hh.next)
                if (client->state == CLIENT_ACTIVE &&
                    driver_level(call, client->name, client->name_len) >= CONTAINER_SEE)
                        writer_string(&w, client->name);
        while ((name = name_next(&bus->names, name)))
                if (name_primary(name) && driver_level(call, name->text, name->n) >= CONTAINER_SEE)
                        writer_string(&w, name->text);
        writer_close(&w);
        driver_send(&w, call);
}

void driver_get_id(struct call *call)
{
        driver_reply_string(call, call->bus->id);
}
