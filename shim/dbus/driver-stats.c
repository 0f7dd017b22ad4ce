/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Driver: org.freedesktop.DBus.Debug.Stats. The keys are the reference's. */

#include "config.h"

#include <malloc.h>

#include "shim/dbus/driver.h"

static void get_stats(struct call *call)
{
        const struct bus *bus = call->bus;
        struct mallinfo2 m = mallinfo2();
        struct writer w;

        driver_reply(&w, call, "a{sv}");
        writer_open(&w, 'a', NULL);
        writer_dict_u32(&w, "Serial", atomic_load(&call->bus->next_serial));
        writer_dict_u32(&w, "ListMemPoolUsedBytes", m.uordblks);
        writer_dict_u32(&w, "ListMemPoolCachedBytes", m.fordblks);
        writer_dict_u32(&w, "ListMemPoolAllocatedBytes", m.arena);
        writer_dict_u32(&w, "ActiveConnections", bus->n_completed);
        writer_dict_u32(&w, "IncompleteConnections", bus->n_incomplete);
        writer_dict_u32(&w, "MatchRules", bus->n_rules);
        writer_dict_u32(&w, "PeakMatchRules", bus->peak_rules);
        writer_dict_u32(&w, "PeakMatchRulesPerConnection", bus->peak_rules_per_client);
        writer_dict_u32(&w, "BusNames", bus->names.ownerships.n + bus->n_completed);
        writer_dict_u32(&w, "PeakBusNames", bus->peak_names);
        writer_dict_u32(&w, "PeakBusNamesPerConnection", bus->peak_names_per_client);
        writer_close(&w);
        driver_send(&w, call);
}

static void get_connection_stats(struct call *call)
{
        struct client *client;
        struct writer w;
        const char *name;

        client = driver_target(call, &name);
        if (!client) {
                if (name[0] == 'o')
                        driver_error(call, OUTCOME_NAME_HAS_NO_OWNER,
                                     "The bus itself has no connection statistics");
                return;
        }
        driver_reply(&w, call, "a{sv}");
        writer_open(&w, 'a', NULL);
        writer_dict_u32(&w, "MatchRules", client->rules.n);
        writer_dict_u32(&w, "PeakMatchRules", client->rules.n);
        writer_dict_u32(&w, "BusNames", client->names.n + 1);
        writer_dict_u32(&w, "PeakBusNames", client->peak_names);
        writer_dict_string(&w, "UniqueName", client->name);
        writer_dict_u32(&w, "IncomingMessages", client->count.messages_in);
        writer_dict_u32(&w, "IncomingBytes", client->count.bytes_in);
        writer_dict_u32(&w, "OutgoingMessages", client->count.messages_out);
        writer_dict_u32(&w, "OutgoingBytes", client->peer.queued_bytes);
        writer_dict_u32(&w, "OutgoingFDs", client->peer.queued_fds);
        writer_close(&w);
        driver_send(&w, call);
}

static void write_rules(struct writer *w, const struct client *client)
{
        const struct match_link *link = NULL;
        const struct match_rule *rule;
        size_t times;

        writer_open(w, '{', NULL);
        writer_string(w, client->name);
        writer_open(w, 'a', NULL);
        while ((rule = match_owner_next(&client->rules, &link, &times)))
                for (size_t i = 0; i < times; i++)
                        writer_string(w, match_rule_format(rule));
        writer_close(w);
        writer_close(w);
}

static void get_all_match_rules(struct call *call)
{
        const struct client *client;
        struct writer w;

        driver_reply(&w, call, "a{sas}");
        writer_open(&w, 'a', NULL);
        for (client = call->bus->clients; client; client = client->hh.next)
                if (client->state == CLIENT_ACTIVE)
                        write_rules(&w, client);
        writer_close(&w);
        driver_send(&w, call);
}

static const struct driver_method methods[] = {
        { "GetStats", "", "a{sv}", NULL, NULL, 0, get_stats },
        { "GetConnectionStats", "s", "a{sv}", NULL, NULL, 0, get_connection_stats },
        { "GetAllMatchRules", "", "a{sas}", NULL, NULL, 0, get_all_match_rules },
        {},
};

const struct driver_interface driver_stats = {
        .name = "org.freedesktop.DBus.Debug.Stats",
        .advertised = true,
        .methods = methods,
};
