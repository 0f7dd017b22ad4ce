/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim/bus/activate.h"
#include "shim/bus/poller.h"
#include "shim/bus/stats.h"

#define MOMENT_USEC 1000000 /* "lately" is this to twice this */

/* What of each would keep the bus busy if one did it: a whole share of the pressure, per second. */
#define BUSY_MESSAGES 20000.0
#define BUSY_BYTES    (200.0 * 1024 * 1024)
#define BUSY_CONNECTS 500.0
#define BUSY_FORCED   50.0

static const char *const names[GAUGE_N] = {
        [GAUGE_CONNECTIONS] = "connections",
        [GAUGE_PEAK_CONNECTIONS] = "peak_connections",
        [GAUGE_CONNECTS] = "connects",
        [GAUGE_FORCED] = "forced_disconnects",
        [GAUGE_QUEUED_BYTES] = "queued_bytes",
        [GAUGE_PEAK_QUEUED_BYTES] = "peak_queued_bytes",
        [GAUGE_QUEUED_FDS] = "queued_fds",
        [GAUGE_PARTIAL_BYTES] = "partial_bytes",
        [GAUGE_PARTIAL_FDS] = "partial_fds",
        [GAUGE_MATCH_RULES] = "match_rules",
        [GAUGE_NAMES] = "names",
        [GAUGE_CALLS_WAITING] = "calls_waiting",
};

const char *gauge_name(enum gauge what)
{
        return names[what];
}

static struct stats_row *add_row(struct stats_list *list)
{
        struct stats_row *row;

        if (list->n == list->room)
                return NULL;
        row = &list->rows[list->n++];
        *row = (struct stats_row){};
        return row;
}

static int make_room(struct stats_list *list, size_t n)
{
        list->rows = malloc((n ? n : 1) * sizeof(*list->rows));
        if (!list->rows)
                return error_origin(-ENOMEM);
        list->room = n;
        return 0;
}

/* --- pressure -------------------------------------------------------------------------------- */

static void press(struct stats_row *row, double part, double whole)
{
        double share = whole > 0 ? part / whole : 0;

        if (share > row->pressure)
                row->pressure = share;
}

/* Among the limits that are nearest to full, if it is one of them. */
static void note_limit(struct stats *out, size_t limit, const struct client *client, uint64_t now,
                       uint64_t max)
{
        double share = max ? (double)now / max : 0;
        size_t i = out->n_limits;

        if (!now || !max)
                return;
        while (i && share > (double)out->limits[i - 1].now / out->limits[i - 1].max)
                i--;
        if (i == STATS_LIMITS)
                return;
        out->n_limits = MIN(out->n_limits + 1, (size_t)STATS_LIMITS);
        memmove(&out->limits[i + 1], &out->limits[i],
                (out->n_limits - 1 - i) * sizeof(out->limits[0]));
        out->limits[i].limit = limit;
        out->limits[i].client = client;
        out->limits[i].now = now;
        out->limits[i].max = max;
}

/* How full a connection is of what it may have. */
static void press_client(struct stats *out, struct stats_row *row, const struct client *client)
{
        static const struct {
                enum gauge gauge;
                size_t limit;
        } limited[] = {
                { GAUGE_QUEUED_BYTES, LIMIT_INDEX(max_outgoing_bytes) },
                { GAUGE_QUEUED_FDS, LIMIT_INDEX(max_outgoing_unix_fds) },
                { GAUGE_PARTIAL_BYTES, LIMIT_INDEX(max_message_size) },
                { GAUGE_PARTIAL_FDS, LIMIT_INDEX(max_message_unix_fds) },
                { GAUGE_MATCH_RULES, LIMIT_INDEX(max_match_rules_per_connection) },
                { GAUGE_NAMES, LIMIT_INDEX(max_names_per_connection) },
                { GAUGE_CALLS_WAITING, LIMIT_INDEX(max_replies_per_connection) },
        };
        struct limits *limits = (struct limits *)&client->limits;

        for (size_t i = 0; i < ARRAY_SIZE(limited); i++) {
                uint64_t max = limit_get(limit_at(limits, limited[i].limit));

                press(row, row->gauge[limited[i].gauge], max);
                note_limit(out, limited[i].limit, client, row->gauge[limited[i].gauge], max);
        }
}

/* The limits of all together. */
static void note_shared_limits(struct stats *out, const struct bus *bus)
{
        const struct limits *limits = &bus->limits;

        note_limit(out, LIMIT_INDEX(max_completed_connections), NULL, bus->n_completed,
                   limits->max_completed_connections);
        note_limit(out, LIMIT_INDEX(max_incomplete_connections), NULL,
                   atomic_load(&bus->n_incomplete), limits->max_incomplete_connections);
        note_limit(out, LIMIT_INDEX(max_containers), NULL, bus->n_containers,
                   limits->max_containers);
        if (bus->activator)
                note_limit(out, LIMIT_INDEX(max_pending_service_starts), NULL,
                           activator_waiters(bus->activator), limits->max_pending_service_starts);
}

/* A user's limit, by the first of his clients. */
static void note_user(struct stats *out, const struct client *client)
{
        const size_t limit = LIMIT_INDEX(max_connections_per_user);

        for (size_t i = 0; i < out->n_limits; i++)
                if (out->limits[i].limit == limit && out->limits[i].client->user == client->user)
                        return;
        note_limit(out, limit, client, client->user->n_completed,
                   client->limits.max_connections_per_user);
}

/* Who it is and where it was set, of those that have stayed in the list. */
static void describe_limits(struct stats *out, const struct bus *bus)
{
        struct stats_limit *l;

        for (l = out->limits; l < out->limits + out->n_limits; l++) {
                if (!l->client)
                        l->who[0] = 0;
                else if (l->limit == LIMIT_INDEX(max_connections_per_user))
                        snprintf(l->who, sizeof(l->who), "uid %u", (unsigned)l->client->user->uid);
                else
                        memcpy(l->who, l->client->name, sizeof(l->client->name));
                if (l->client)
                        client_limit(l->client, l->limit, l->text, sizeof(l->text));
                else
                        bus_limit(bus, l->limit, l->text, sizeof(l->text));
        }
}

/* What was done between an entry's moments and now. */
static struct ledger_moment recent(struct ledger_entry *entry, const struct stats_row *row,
                                   uint64_t now)
{
        const struct ledger_moment here = {
                .at = now,
                .messages = row->count[COUNT_MESSAGES_IN],
                .bytes = row->count[COUNT_BYTES_IN],
                .connects = row->gauge[GAUGE_CONNECTS],
                .forced = row->gauge[GAUGE_FORCED],
        };
        struct ledger_moment *then = entry->moment;

        if (now - then[1].at >= MOMENT_USEC) {
                then[0] = then[1];
                then[1] = here;
        }
        return (struct ledger_moment){
                .at = now - then[0].at,
                .messages = here.messages - then[0].messages,
                .bytes = here.bytes - then[0].bytes,
                .connects = here.connects - then[0].connects,
                .forced = here.forced - then[0].forced,
        };
}

/* A share of the work weighs as much as there was work. */
static void press_work(struct stats_row *row, double part, double all, double usec, double busy)
{
        double rate = usec > 0 ? all / usec * 1000000 : 0;

        press(row, part * MIN(rate / busy, 1.0), all);
}

/* --- rows ------------------------------------------------------------------------------------ */

void stats_count_client(struct stats_row *row, const struct client *client)
{
        for (int i = 0; i < COUNT_N; i++)
                row->count[i] = counts_get(&client->count, i);
        row->gauge[GAUGE_CONNECTIONS] = row->gauge[GAUGE_PEAK_CONNECTIONS] = 1;
        row->gauge[GAUGE_CONNECTS] = 1;
        row->gauge[GAUGE_QUEUED_BYTES] = client->peer.queued_bytes;
        row->gauge[GAUGE_PEAK_QUEUED_BYTES] = client->peer.peak_bytes;
        row->gauge[GAUGE_QUEUED_FDS] = client->peer.queued_fds;
        row->gauge[GAUGE_PARTIAL_BYTES] = client->partial.bytes;
        row->gauge[GAUGE_PARTIAL_FDS] = client->partial.fds;
        row->gauge[GAUGE_MATCH_RULES] = client->rules.n;
        row->gauge[GAUGE_NAMES] = client->names.n + 1;
        row->gauge[GAUGE_CALLS_WAITING] = client->replies.n_awaited;
}

/* A connection's numbers go to a row of those it belongs to. */
static void add_client(struct stats_row *to, const struct stats_row *row)
{
        for (int i = 0; i < COUNT_N; i++)
                to->count[i] += row->count[i];
        for (int i = GAUGE_QUEUED_BYTES; i < GAUGE_N; i++)
                if (i != GAUGE_PEAK_QUEUED_BYTES)
                        to->gauge[i] += row->gauge[i];
                else
                        to->gauge[i] = MAX(to->gauge[i], row->gauge[i]);
        press(to, row->pressure, 1);
}

static void add_entry(struct stats_list *list, struct ledger_entry *entry)
{
        struct stats_row *row = add_row(list);

        entry->row = row;
        if (!row)
                return;
        memcpy(row->name, entry->name, sizeof(row->name));
        memcpy(row->comm, entry->comm, sizeof(row->comm));
        memcpy(row->owner, entry->unit, sizeof(row->owner));
        for (int i = 0; i < COUNT_N; i++)
                row->count[i] = counts_get(&entry->gone, i);
        row->gauge[GAUGE_CONNECTIONS] = entry->n_clients;
        row->gauge[GAUGE_PEAK_CONNECTIONS] = entry->peak_clients;
        row->gauge[GAUGE_CONNECTS] = entry->connects;
        row->gauge[GAUGE_FORCED] = entry->forced;
}

static int take_entries(struct stats *out, struct bus *bus)
{
        struct ledger_entry *entry;
        int r;

        for (size_t i = 0; i < LEDGER_N; i++) {
                struct ledger_book *book = &bus->ledger.book[i];

                r = make_room(&out->list[i], HASH_COUNT(book->entries) + 1);
                if (r)
                        return error_fold(r);
                for (entry = book->entries; entry; entry = entry->hh.next)
                        add_entry(&out->list[i], entry);
                if (book->other.connects)
                        add_entry(&out->list[i], &book->other);
        }
        return 0;
}

static int take_clients(struct stats *out, struct bus *bus)
{
        struct stats_list *list = &out->list[STATS_CONNECTIONS];
        const struct name_ownership *owned;
        struct client *client;
        struct stats_row *row;
        int r;

        r = make_room(list, HASH_COUNT(bus->clients));
        if (r)
                return error_fold(r);
        for (client = bus->clients; client; client = client->hh.next) {
                row = add_row(list);
                memcpy(row->name, client->name, sizeof(client->name));
                snprintf(row->owner, sizeof(row->owner), "%d", (int)client->creds->pid);
                owned = name_owner_next(&client->names, NULL);
                if (owned)
                        snprintf(row->comm, sizeof(row->comm), "%s", owned->name->text);
                stats_count_client(row, client);
                press_client(out, row, client);
                note_user(out, client);
                for (size_t i = 0; i < LEDGER_N; i++)
                        if (client->ledger[i] && client->ledger[i]->row)
                                add_client(client->ledger[i]->row, row);
        }
        return 0;
}

static void press_entry(struct ledger_entry *entry, uint64_t now, const struct ledger_moment *all)
{
        struct stats_row *row = entry->row;
        struct ledger_moment part;

        if (!row)
                return;
        part = recent(entry, row, now);
        press_work(row, part.messages, all->messages, all->at, BUSY_MESSAGES);
        press_work(row, part.bytes, all->bytes, all->at, BUSY_BYTES);
        press_work(row, part.connects, all->connects, all->at, BUSY_CONNECTS);
        press_work(row, part.forced, all->forced, all->at, BUSY_FORCED);
}

/* The work of lately is shared out; needs all rows to be complete. */
static void press_all(struct stats *out, struct bus *bus)
{
        uint64_t now = now_usec();
        struct ledger_entry *entry;
        struct ledger_moment all;

        for (size_t i = 0; i < out->list[STATS_USERS].n; i++) {
                const struct stats_row *row = &out->list[STATS_USERS].rows[i];

                for (int j = 0; j < COUNT_N; j++)
                        out->total.count[j] += row->count[j];
                for (int j = 0; j < GAUGE_N; j++)
                        out->total.gauge[j] += row->gauge[j];
        }
        all = recent(&bus->ledger.total, &out->total, now);
        for (size_t i = 0; i < LEDGER_N; i++) {
                struct ledger_book *book = &bus->ledger.book[i];

                for (entry = book->entries; entry; entry = entry->hh.next)
                        press_entry(entry, now, &all);
        }
}

/* --- kinds of messages ----------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
        const struct stats_message *x = a, *y = b;

        return strcmp(x->text, y->text);
}

static int by_number(const void *a, const void *b)
{
        const struct stats_message *x = a, *y = b;

        return (x->messages < y->messages) - (x->messages > y->messages);
}

static size_t copy_kinds(struct stats_message *to, const struct kinds *kinds)
{
        const struct kind *kind = &kinds->kind[0][0];
        size_t n = 0;

        for (size_t i = 0; i < KINDS_SETS * KINDS_WAYS; i++, kind++) {
                if (!kind->hash)
                        continue;
                to[n].messages = kind->messages;
                to[n].bytes = kind->bytes;
                memcpy(to[n].text, kind->text, sizeof(to[n].text));
                n++;
        }
        return n;
}

static int take_kinds(struct stats *out, struct bus *bus)
{
        struct turn *turn;
        size_t n = 0;

        cds_list_for_each_entry(turn, &bus->turns, link)
                n += KINDS_SETS * KINDS_WAYS;
        out->messages = malloc((n ? n : 1) * sizeof(*out->messages));
        if (!out->messages)
                return error_origin(-ENOMEM);
        cds_list_for_each_entry(turn, &bus->turns, link) {
                out->n_messages += copy_kinds(out->messages + out->n_messages, turn->kinds);
                out->other_messages += turn->kinds->other_messages;
                out->other_bytes += turn->kinds->other_bytes;
        }
        return 0;
}

/*
 * Each thread counted for itself, and the end of a long name is not kept: what reads the same
 * becomes one.
 */
static void join_kinds(struct stats *stats)
{
        struct stats_message *m = stats->messages;
        size_t n = 0;

        qsort(m, stats->n_messages, sizeof(*m), by_text);
        for (size_t i = 0; i < stats->n_messages; i++) {
                if (n && strcmp(m[n - 1].text, m[i].text) == 0) {
                        m[n - 1].messages += m[i].messages;
                        m[n - 1].bytes += m[i].bytes;
                } else {
                        m[n++] = m[i];
                }
        }
        stats->n_messages = n;
        qsort(m, n, sizeof(*m), by_number);
}

/* --- the report ------------------------------------------------------------------------------ */

int stats_take(struct stats *out, struct turn *turn)
{
        struct bus *bus = turn->bus;
        int r;

        assert(turn->hold == TURN_WRITE);
        out->n_rules = bus->n_rules;
        out->n_names = bus->names.ownerships.n + bus->n_completed;
        out->n_incomplete = bus->n_incomplete;
        out->n_monitors = bus->n_monitors;
        out->n_workers = bus->n_workers;
        out->n_moved = bus->n_moved;
        r = take_entries(out, bus);
        if (!r)
                r = take_clients(out, bus);
        if (!r)
                r = take_kinds(out, bus);
        if (r)
                return error_fold(r);
        press_all(out, bus);
        note_shared_limits(out, bus);
        describe_limits(out, bus);
        return 0;
}

static int by_pressure(const void *a, const void *b)
{
        const struct stats_row *x = a, *y = b;

        return (x->pressure < y->pressure) - (x->pressure > y->pressure);
}

void stats_sort(struct stats *stats)
{
        for (size_t i = 0; i < STATS_N; i++)
                qsort(stats->list[i].rows, stats->list[i].n, sizeof(struct stats_row), by_pressure);
        join_kinds(stats);
}

void stats_deinit(struct stats *stats)
{
        for (size_t i = 0; i < STATS_N; i++)
                free(stats->list[i].rows);
        free(stats->messages);
        *stats = STATS_NULL;
}
