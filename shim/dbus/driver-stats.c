/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Driver: org.freedesktop.DBus.Debug.Stats. The keys are the reference's, and ours, which begin
 * with "org.lambus."; lambus-daemon(1) explains them.
 */

#include "config.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "bus-core/util/alone.h"
#include "shim/bus/activate.h"
#include "shim/bus/log.h"
#include "shim/bus/poller.h"
#include "shim/bus/stats.h"
#include "shim/dbus/driver.h"

#define ROWS_MAX 256 /* of each sort: the most troubling, the most frequent */

static void write_u64(struct writer *w, const char *key, uint64_t v)
{
        writer_open(w, '{', NULL);
        writer_string(w, key);
        writer_u64(w, v);
        writer_close(w);
}

static void write_numbers(struct writer *w, const struct stats_row *row)
{
        writer_open(w, 'a', NULL);
        for (int i = 0; i < COUNT_N; i++)
                if (row->count[i])
                        write_u64(w, count_name(i), row->count[i]);
        for (int i = 0; i < GAUGE_N; i++)
                if (row->gauge[i])
                        write_u64(w, gauge_name(i), row->gauge[i]);
        writer_close(w);
}

static void write_list(struct writer *w, const char *key, const struct stats_list *list)
{
        writer_open(w, '{', NULL);
        writer_string(w, key);
        writer_open(w, 'v', "a(sssda{st})");
        writer_open(w, 'a', NULL);
        for (size_t i = 0; i < MIN(list->n, (size_t)ROWS_MAX); i++) {
                const struct stats_row *row = &list->rows[i];

                writer_open(w, '(', NULL);
                writer_string(w, row->name);
                writer_string(w, row->comm);
                writer_string(w, row->owner);
                writer_double(w, row->pressure);
                write_numbers(w, row);
                writer_close(w);
        }
        writer_close(w);
        writer_close(w);
        writer_close(w);
}

static void write_messages(struct writer *w, const struct stats *stats)
{
        writer_open(w, '{', NULL);
        writer_string(w, "org.lambus.Messages");
        writer_open(w, 'v', "a(stt)");
        writer_open(w, 'a', NULL);
        for (size_t i = 0; i < MIN(stats->n_messages, (size_t)ROWS_MAX); i++) {
                writer_open(w, '(', NULL);
                writer_string(w, stats->messages[i].text);
                writer_u64(w, stats->messages[i].messages);
                writer_u64(w, stats->messages[i].bytes);
                writer_close(w);
        }
        writer_close(w);
        writer_close(w);
        writer_close(w);
}

static void write_dict_u64(struct writer *w, const char *key, uint64_t v)
{
        writer_open(w, '{', NULL);
        writer_string(w, key);
        writer_open(w, 'v', "t");
        writer_u64(w, v);
        writer_close(w);
        writer_close(w);
}

/* write_array() - begin an entry whose value is an array; ends with three writer_close() */
static void write_array(struct writer *w, const char *key, const char *signature)
{
        writer_open(w, '{', NULL);
        writer_string(w, key);
        writer_open(w, 'v', signature);
        writer_open(w, 'a', NULL);
}

static void write_total(struct writer *w, const struct stats *stats)
{
        writer_open(w, '{', NULL);
        writer_string(w, "org.lambus.Total");
        writer_open(w, 'v', "a{st}");
        write_numbers(w, &stats->total);
        writer_close(w);
        writer_close(w);
        write_dict_u64(w, "org.lambus.Monitors", stats->n_monitors);
        write_dict_u64(w, "org.lambus.Workers", stats->n_workers);
        write_dict_u64(w, "org.lambus.ConnectionsMoved", stats->n_moved);
}

static void write_limits(struct writer *w, const struct stats *stats)
{
        write_array(w, "org.lambus.Limits", "a(ssttss)");
        for (size_t i = 0; i < stats->n_limits; i++) {
                const struct stats_limit *limit = &stats->limits[i];
                const struct limit_description *d = limit_describe(limit->limit);

                writer_open(w, '(', NULL);
                writer_string(w, d->name);
                writer_string(w, limit->who);
                writer_u64(w, limit->now);
                writer_u64(w, limit->max);
                writer_string(w, d->unit);
                writer_string(w, limit->text);
                writer_close(w);
        }
        writer_close(w);
        writer_close(w);
        writer_close(w);
}

static void write_activation(void *arg, const char *name, uint64_t usec, size_t n_waiters)
{
        struct writer *w = arg;

        writer_open(w, '(', NULL);
        writer_string(w, name);
        writer_u64(w, usec);
        writer_u32(w, n_waiters);
        writer_close(w);
}

static void write_activations(struct writer *w, const struct bus *bus)
{
        write_array(w, "org.lambus.Activations", "a(stu)");
        if (bus->activator)
                activator_look(bus->activator, write_activation, w);
        writer_close(w);
        writer_close(w);
        writer_close(w);
}

/* Lines of the log name rules and programs: not for everyone, as in refusals. */
static void write_log(struct writer *w)
{
        struct log_memory memory[LOG_RECALL];
        size_t n = log_recall(memory);
        uint64_t now = now_usec();

        write_array(w, "org.lambus.Log", "a(tus)");
        for (size_t i = 0; i < n; i++) {
                writer_open(w, '(', NULL);
                writer_u64(w, now > memory[i].at ? now - memory[i].at : 0);
                writer_u32(w, memory[i].priority);
                writer_string(w, memory[i].text);
                writer_close(w);
        }
        writer_close(w);
        writer_close(w);
        writer_close(w);
}

/* What the bus is, and how it is set up. */
static void write_identity(struct writer *w, struct bus *bus)
{
        writer_dict_string(w, "org.lambus.Program", "lambus-daemon " VERSION);
        writer_dict_u32(w, "org.lambus.ProcessID", bus->creds->pid);
        write_dict_u64(w, "org.lambus.Uptime", now_usec() - bus->started);
        writer_dict_string(w, "org.lambus.Type", bus->type ? bus->type : "");
        writer_dict_string(w, "org.lambus.Address", bus->address ? bus->address : "");
        if (!bus->keeper || !bus->keeper->describe)
                return;
        writer_open(w, '{', NULL);
        writer_string(w, "org.lambus.Configuration");
        writer_open(w, 'v', BUS_CONFIG_TYPE);
        bus->keeper->describe(bus, w);
        writer_close(w);
        writer_close(w);
}

/* What dbus-daemon does not tell. */
static void write_own(struct writer *w, struct call *call)
{
        struct stats stats = STATS_NULL;

        if (!stats_take(&stats, call->turn)) {
                stats_sort(&stats);
                writer_dict_u32(w, "org.lambus.Version", STATS_VERSION);
                write_identity(w, call->bus);
                write_total(w, &stats);
                write_limits(w, &stats);
                write_activations(w, call->bus);
                if (bus_is_privileged(call->bus, call->sender))
                        write_log(w);
                write_list(w, "org.lambus.Users", &stats.list[STATS_USERS]);
                write_list(w, "org.lambus.Units", &stats.list[STATS_UNITS]);
                write_list(w, "org.lambus.Processes", &stats.list[STATS_PROCESSES]);
                write_list(w, "org.lambus.Connections", &stats.list[STATS_CONNECTIONS]);
                write_messages(w, &stats);
        }
        stats_deinit(&stats);
}

/* The numbers of one connection, each a key of its own. */
static void write_own_connection(struct writer *w, const struct client *client)
{
        struct stats_row row = {};
        char key[64];

        stats_count_client(&row, client);
        for (int i = 0; i < COUNT_N + GAUGE_N; i++) {
                snprintf(key, sizeof(key), "org.lambus.%s",
                         i < COUNT_N ? count_name(i) : gauge_name(i - COUNT_N));
                writer_open(w, '{', NULL);
                writer_string(w, key);
                writer_open(w, 'v', "t");
                writer_u64(w, i < COUNT_N ? row.count[i] : row.gauge[i - COUNT_N]);
                writer_close(w);
                writer_close(w);
        }
}

static void get_stats(struct call *call)
{
        const struct bus *bus = call->bus;
        struct mallinfo2 m = mallinfo2();
        struct writer w;

        driver_reply(&w, call, "a{sv}");
        writer_open(&w, 'a', NULL);
        writer_dict_u32(&w, "Serial", add_relaxed(&call->bus->n_stats, 1));
        writer_dict_u32(&w, "ListMemPoolUsedBytes", m.uordblks);
        writer_dict_u32(&w, "ListMemPoolCachedBytes", m.fordblks);
        writer_dict_u32(&w, "ListMemPoolAllocatedBytes", m.arena);
        writer_dict_u32(&w, "ActiveConnections", bus->n_completed);
        writer_dict_u32(&w, "IncompleteConnections", bus->n_incomplete);
        writer_dict_u32(&w, "MatchRules", bus->n_rules);
        writer_dict_u32(&w, "PeakMatchRules", bus->peak_rules);
        writer_dict_u32(&w, "PeakMatchRulesPerConnection", bus->peak_rules_per_client);
        writer_dict_u32(&w, "BusNames", bus_n_names(bus));
        writer_dict_u32(&w, "PeakBusNames", bus->peak_names);
        writer_dict_u32(&w, "PeakBusNamesPerConnection", bus->peak_names_per_client);
        write_own(&w, call);
        writer_close(&w);
        driver_send(&w, call);
}

/* Messages are handled as they come: what comes in and waits is what is not complete. */
static void write_traffic(struct writer *w, struct client *client)
{
        size_t waiting = client->unsent + peer_n_waiting(&client->peer);

        writer_dict_u32(w, "IncomingMessages", client->partial.bytes > 0);
        writer_dict_u32(w, "IncomingBytes", client->partial.bytes);
        writer_dict_u32(w, "IncomingFDs", client->partial.fds);
        writer_dict_u32(w, "PeakIncomingBytes", client->partial.peak_bytes);
        writer_dict_u32(w, "PeakIncomingFDs", client->partial.peak_fds);
        writer_dict_u32(w, "OutgoingMessages", waiting);
        writer_dict_u32(w, "OutgoingBytes", client->peer.queued_bytes);
        writer_dict_u32(w, "OutgoingFDs", client->peer.queued_fds);
        writer_dict_u32(w, "PeakOutgoingBytes", client->peer.peak_bytes);
        writer_dict_u32(w, "PeakOutgoingFDs", client->peer.peak_fds);
}

static void get_connection_stats(struct call *call)
{
        struct client *client;
        struct writer w;
        const char *name;

        client = driver_target(call, &name, "statistics");
        if (!client) {
                if (strcmp(name, BUS_NAME) == 0)
                        driver_error(call, OUTCOME_INVALID_ARGS,
                                     "The bus itself has no connection statistics");
                return;
        }
        driver_reply(&w, call, "a{sv}");
        writer_open(&w, 'a', NULL);
        writer_dict_u32(&w, "Serial", add_relaxed(&call->bus->n_connection_stats, 1));
        writer_dict_u32(&w, "MatchRules", client->rules.n);
        writer_dict_u32(&w, "PeakMatchRules", client->peak_rules);
        writer_dict_u32(&w, "BusNames", client->names.n + 1);
        writer_dict_u32(&w, "PeakBusNames", client->peak_names);
        writer_dict_string(&w, "UniqueName", client->name);
        write_traffic(&w, client);
        write_own_connection(&w, client);
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
        { "GetStats", "", "a{sv}", NULL, NULL, DRIVER_WRITES | DRIVER_UNCONTAINED,
          get_stats },
        { "GetConnectionStats", "s", "a{sv}", NULL, NULL, DRIVER_UNCONTAINED, get_connection_stats },
        { "GetAllMatchRules", "", "a{sas}", NULL, NULL, DRIVER_UNCONTAINED, get_all_match_rules },
        {},
};

const struct driver_interface driver_stats = {
        .name = "org.freedesktop.DBus.Debug.Stats",
        .advertised = true,
        .methods = methods,
};
