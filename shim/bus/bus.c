/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Users and clients have numbers, most of which follow each other. */
#define HASH_FUNCTION(key, n, hash) ((hash) = number_hash((key), (n)))
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#undef uthash_nonfatal_oom
#define uthash_nonfatal_oom(elt) ((elt)->oom = true)

#include "bus-core/util/decimal.h"
#include "shim/bus/activate.h"
#include "shim/bus/bus.h"
#include "shim/bus/container.h"
#include "shim/bus/log.h"
#include "shim/bus/mediate.h"
#include "shim/bus/notice.h"
#include "shim/bus/poller.h"
#include "shim/bus/pressure.h"

static inline unsigned int number_hash(const void *key, size_t n)
{
        uint64_t number = 0;

        memcpy(&number, key, n);
        return number * UINT64_C(0x9e3779b97f4a7c15) >> 32;
}

/* --- users ---------------------------------------------------------------------------------- */

/* What a user may keep in all inboxes of its connections together. */
static void user_limits(const struct limits *limits, uint64_t limit[ACCOUNT_N_SLOTS])
{
        uint64_t clients = limits->max_connections_per_user;

        if (__builtin_mul_overflow(clients, limits->max_outgoing_bytes, &limit[ACCOUNT_BYTES]))
                limit[ACCOUNT_BYTES] = UINT64_MAX;
        if (__builtin_mul_overflow(clients, limits->max_outgoing_unix_fds,
                                   &limit[ACCOUNT_FDS]))
                limit[ACCOUNT_FDS] = UINT64_MAX;
        limit[ACCOUNT_ENTRIES] = UINT64_MAX;
}

static int user_get(struct user **out, struct bus *bus, uid_t uid, const struct limits *limits)
{
        uint64_t limit[ACCOUNT_N_SLOTS];
        struct user *user;
        int r;

        HASH_FIND(hh, bus->users, &uid, sizeof(uid), user);
        if (!user) {
                user = calloc(1, sizeof(*user));
                if (!user)
                        return error_origin(-ENOMEM);
                user->uid = uid;
                user_limits(limits, limit);
                r = account_new(&user->account, uid, limit);
                if (r) {
                        free(user);
                        return error_fold(r);
                }
                HASH_ADD(hh, bus->users, uid, sizeof(user->uid), user);
                if (user->oom) {
                        account_unref(user->account);
                        free(user);
                        return error_origin(-ENOMEM);
                }
        }
        user->n_clients++;
        *out = user;
        return 0;
}

static void user_put(struct bus *bus, struct user *user)
{
        if (!user || --user->n_clients)
                return;
        HASH_DEL(bus->users, user);
        account_unref(user->account);
        free(user);
}

/* --- the bus -------------------------------------------------------------------------------- */

static uint64_t resolve_name(void *data, struct match_text name)
{
        struct client *client = bus_find(data, name.s, name.n);

        return client ? client->peer.id : match_name_id(name);
}

static void self_free(struct peer *peer)
{
        peer_deinit(peer);
}

int bus_init(struct bus *bus, unsigned int n_workers, const struct bus_local *local)
{
        const struct peer_limits none = { UINT64_MAX, UINT64_MAX };
        int r;

        *bus = (struct bus){ .local = local, .next_serial = 1, .started = now_usec() };
        guard_init(&bus->guard, n_workers);
        CDS_INIT_LIST_HEAD(&bus->containers);
        name_registry_init(&bus->names);
        ledger_init(&bus->ledger);
        CDS_INIT_LIST_HEAD(&bus->turns);
        match_index_init(&bus->rules, resolve_name, bus);
        match_index_init(&bus->monitors, resolve_name, bus);
        peer_init(&bus->self, BUS_ID, NULL, &none, self_free);
        limits_init(&bus->limits);
        r = limit_table_new(&bus->limit_table, &bus->limits, bus->limit_origin);
        if (r)
                return error_fold(r);
        r = policy_new(&bus->policy);
        if (!r) {
                policy_seal(bus->policy);
                r = creds_of_self(&bus->creds);
        }
        return error_fold(r);
}

void bus_deinit(struct bus *bus)
{
        assert(!bus->clients && !bus->users);
        bus->activator = activator_free(bus->activator);
        peer_unref(&bus->self);
        match_index_deinit(&bus->monitors);
        match_index_deinit(&bus->rules);
        name_registry_deinit(&bus->names);
        ledger_deinit(&bus->ledger);
        guard_deinit(&bus->guard);
        bus->policy = policy_unref(bus->policy);
        bus->limit_table = limit_table_unref(bus->limit_table);
        bus->mediation = mediation_free(bus->mediation);
        bus->creds = creds_unref(bus->creds);
        free(bus->type);
        free(bus->address);
}

struct client *bus_find_id(const struct bus *bus, uint64_t id)
{
        struct client *client;

        HASH_FIND(hh, bus->clients, &id, sizeof(id), client);
        return client;
}

/* ":1.<id>" without leading zeros; anything else names nobody */
static struct client *find_unique(const struct bus *bus, const char *name, size_t n)
{
        uint64_t id = 0;

        if (n < 4 || n > 22 || memcmp(name, ":1.", 3) != 0 || (name[3] == '0' && n > 4))
                return NULL;
        for (size_t i = 3; i < n; i++) {
                if (name[i] < '0' || name[i] > '9' || id > UINT64_MAX / 10 - 1)
                        return NULL;
                id = id * 10 + (name[i] - '0');
        }
        return bus_find_id(bus, id);
}

struct client *bus_find(const struct bus *bus, const char *name, size_t n)
{
        struct client *client;
        struct name *found;

        if (n && name[0] == ':') {
                client = find_unique(bus, name, n);
                return client && client->state == CLIENT_ACTIVE ? client : NULL;
        }
        found = name_find(&bus->names, name, n, table_hash(name, n));
        return client_of_owner(name_primary(found));
}

bool bus_is_privileged(const struct bus *bus, const struct client *client)
{
        return client->creds->has_uid && !client->container &&
               (client->creds->uid == 0 || client->creds->uid == bus->creds->uid);
}

static const char *describe_limit(const struct limits *limits, const struct limit_origin *origin,
                                  size_t index, char *buf, size_t size)
{
        const struct limit_description *d = limit_describe(index);
        uint64_t value = *limit_at((struct limits *)limits, index);

        if (origin[index].file)
                snprintf(buf, size, "%s=%" PRIu64 ", set in %s line %u", d->name, value,
                         origin[index].file, origin[index].line);
        else
                snprintf(buf, size, "%s=%" PRIu64 ", built in", d->name, value);
        return buf;
}

const char *bus_limit(const struct bus *bus, size_t index, char *buf, size_t size)
{
        return describe_limit(&bus->limits, bus->limit_origin, index, buf, size);
}

const char *client_limit(const struct client *client, size_t index, char *buf, size_t size)
{
        const struct limit_set *set = client->limit_set;

        return describe_limit(&set->limits, set->origin, index, buf, size);
}

static int judge_by(struct policy_list **out, struct policy *policy, const struct client *client)
{
        const struct creds *creds = client->creds;
        const struct policy_creds pc = {
                .uid = creds->has_uid ? creds->uid : (uid_t)-1,
                .gids = creds->gids,
                .n_gids = creds->has_gids ? creds->n_gids : 0,
                .at_console = client->at_console,
        };

        return error_fold(policy_list_new(out, policy, &pc));
}

/* Is the client's user at the console, as far as a policy wants to know? */
static bool sits_at_console(struct bus *bus, const struct policy *policy,
                            const struct client *client)
{
        return policy_asks_console(policy) && client->creds->has_uid && bus->keeper &&
               bus->keeper->at_console(bus, client->creds->uid);
}

int bus_review_console(struct bus *bus)
{
        return error_fold(bus_set_policy(bus, bus->policy));
}

/* @set is consumed */
/* The guard is held for writing; threads that hold nothing use limit_get(). */
static void client_set_limits(struct client *client, struct limit_set *set)
{
        struct peer_limits *queue = &client->peer.limits;

        limits_replace(&client->limits, &set->limits);
        __atomic_store_n(&queue->bytes, set->limits.max_outgoing_bytes, __ATOMIC_RELAXED);
        __atomic_store_n(&queue->fds, set->limits.max_outgoing_unix_fds, __ATOMIC_RELAXED);
        limit_set_unref(client->limit_set);
        client->limit_set = set;
}

int bus_set_limits(struct bus *bus, struct limit_table *table)
{
        const struct limit_set *common = limit_table_common(table);
        size_t n = HASH_COUNT(bus->clients), i = 0;
        struct limit_set **sets;
        struct client *client;
        int r = 0;

        sets = calloc(n + 1, sizeof(*sets));
        if (!sets)
                return error_origin(-ENOMEM);
        for (client = bus->clients; !r && client; client = client->hh.next)
                r = limits_for(&sets[i++], table, client->creds);
        for (i = 0, client = bus->clients; !r && client; client = client->hh.next)
                client_set_limits(client, steal(&sets[i++]));
        for (i = 0; i < n; i++)
                limit_set_unref(sets[i]);
        free(sets);
        if (r)
                return error_fold(r);
        limits_replace(&bus->limits, &common->limits);
        memcpy(bus->limit_origin, common->origin, sizeof(bus->limit_origin));
        limit_table_ref(table);
        limit_table_unref(bus->limit_table);
        bus->limit_table = table;
        return 0;
}

int bus_set_policy(struct bus *bus, struct policy *policy)
{
        size_t n = HASH_COUNT(bus->clients), i = 0;
        struct policy_list **lists;
        struct client *client;
        int r = 0;

        lists = calloc(n + 1, sizeof(*lists));
        if (!lists)
                return error_origin(-ENOMEM);
        for (client = bus->clients; !r && client; client = client->hh.next) {
                client->at_console = sits_at_console(bus, policy, client);
                r = judge_by(&lists[i++], policy, client);
        }
        for (i = 0, client = bus->clients; !r && client; client = client->hh.next, i++) {
                policy_list_unref(client->policy);
                client->policy = steal(&lists[i]);
        }
        for (i = 0; i < n; i++)
                policy_list_unref(lists[i]);
        free(lists);
        if (r)
                return error_fold(r);
        policy_ref(policy);
        policy_unref(bus->policy);
        bus->policy = policy;
        return 0;
}

void bus_expect_client(struct bus *bus)
{
        atomic_fetch_add(&bus->n_incomplete, 1);
}

void bus_forget_client(struct bus *bus)
{
        atomic_fetch_sub(&bus->n_incomplete, 1);
}

/* --- clients -------------------------------------------------------------------------------- */

static void client_free(struct peer *peer)
{
        struct client *client = client_of(peer);

        client->door->free(client);
}

int client_init(struct client *client, struct bus *bus, const struct door *door,
                struct creds *creds)
{
        _cleanup_(limit_set_unrefp) struct limit_set *set = NULL;
        struct user *user;
        int r;

        r = limits_for(&set, bus->limit_table, creds);
        if (!r)
                r = user_get(&user, bus, creds->has_uid ? creds->uid : (uid_t)-1, &set->limits);
        if (r)
                return error_fold(r);
        *client = (struct client){ .bus = bus, .door = door, .user = user };
        client->creds = creds_ref(creds);
        peer_init(&client->peer, atomic_fetch_add(&bus->next_id, 1), user->account,
                  &(struct peer_limits){}, client_free);
        client_set_limits(client, steal(&set));
        memcpy(client->name, ":1.", 3);
        client->name_len = 3 + decimal(client->name + 3, client->peer.id);
        name_owner_init(&client->names, client->peer.id);
        match_owner_init(&client->rules);
        CDS_INIT_LIST_HEAD(&client->waits);
        replies_init(&client->replies);
        ledger_enter(&bus->ledger, creds, client->ledger);
        return 0;
}

void client_deinit(struct client *client)
{
        assert(client->state == CLIENT_GONE);
        replies_deinit(&client->replies);
        peer_deinit(&client->peer);
        client->policy = policy_list_unref(client->policy);
        client->limit_set = limit_set_unref(client->limit_set);
        client->creds = creds_unref(client->creds);
        client->container = container_unref(client->container);
}

static bool next_name(const struct policy_peer *peer, void **pos, struct policy_text *text)
{
        const struct client *client = peer->data;
        const struct name_ownership *o;

        if (!*pos) {
                *pos = (void *)client;
                *text = (struct policy_text){ client->name, client->name_len };
                return true;
        }
        o = name_owner_next(&client->names, *pos == client ? NULL : *pos);
        if (!o)
                return false;
        *pos = (void *)o;
        *text = (struct policy_text){ o->name->text, o->name->n };
        return true;
}

struct policy_peer client_names(const struct client *client)
{
        return (struct policy_peer){ .next = next_name, .data = client };
}

const char *client_describe(const struct client *client, char *buf, size_t size)
{
        const struct creds *creds = client->creds;
        char comm[256];
        int n;

        n = snprintf(buf, size, "\"%s\"",
                     client->state == CLIENT_NEW ? ":not.active.yet" : client->name);
        if (creds->has_uid)
                n += snprintf(buf + n, size - n, " (uid=%u pid=%d comm=\"%s\"%s%s%s)",
                              (unsigned)creds->uid, (int)creds->pid,
                              creds_comm(creds, comm, sizeof(comm)), creds->label ? " label=\"" : "",
                              creds->label ? creds->label : "", creds->label ? "\"" : "");
        return buf;
}

int client_identify(struct turn *turn, struct client *client, struct creds *creds)
{
        _cleanup_(limit_set_unrefp) struct limit_set *set = NULL;
        struct user *user;
        int r;

        assert(turn->hold == TURN_WRITE && client->state == CLIENT_NEW);
        r = limits_for(&set, client->bus->limit_table, creds);
        if (!r)
                r = user_get(&user, client->bus, creds->has_uid ? creds->uid : (uid_t)-1,
                             &set->limits);
        if (r)
                return error_fold(r);
        client_set_limits(client, steal(&set));
        account_unref(client->peer.account);
        client->peer.account = account_ref(user->account);
        user_put(client->bus, client->user);
        client->user = user;
        creds_unref(client->creds);
        client->creds = creds_ref(creds);
        return 0;
}

int client_hello_check(struct turn *turn, struct client *client, char *why, size_t size)
{
        struct bus *bus = turn->bus;
        char limit[BUS_LIMIT_MAX];
        size_t index;

        if (bus->n_completed >= bus->limits.max_completed_connections)
                index = LIMIT_INDEX(max_completed_connections);
        else if (client->creds->has_uid &&
                 client->user->n_completed >= client->limits.max_connections_per_user)
                index = LIMIT_INDEX(max_connections_per_user);
        else
                return 0;
        snprintf(why, size, "The maximum number of active connections%s has been reached (%s)",
                 index == LIMIT_INDEX(max_connections_per_user) ? " for this user" : "",
                 client_limit(client, index, limit, sizeof(limit)));
        return OUTCOME_LIMITS_EXCEEDED;
}

size_t bus_n_names(const struct bus *bus)
{
        return bus->names.ownerships.n + bus->n_completed - bus->n_monitors;
}

void bus_note_names(struct bus *bus, struct client *client)
{
        client->peak_names = MAX(client->peak_names, client->names.n + 1);
        bus->peak_names_per_client = MAX(bus->peak_names_per_client, client->peak_names);
        bus->peak_names = MAX(bus->peak_names, bus_n_names(bus));
}

int bus_add_rule(struct bus *bus, struct client *client, struct match_rule *rule)
{
        struct match_index *index =
                client->state == CLIENT_MONITOR ? &bus->monitors : &bus->rules;
        int r;

        r = match_add(index, &client->rules, rule);
        if (r)
                return error_fold(r);
        bus->n_rules++;
        client->peak_rules = MAX(client->peak_rules, client->rules.n);
        bus->peak_rules = MAX(bus->peak_rules, bus->n_rules);
        bus->peak_rules_per_client = MAX(bus->peak_rules_per_client, client->peak_rules);
        return 0;
}

int client_hello(struct turn *turn, struct client *client)
{
        struct bus *bus = turn->bus;
        struct limit_set *set;
        int r;

        assert(turn->hold == TURN_WRITE && client->state == CLIENT_NEW);
        client->at_console = sits_at_console(bus, bus->policy, client);
        r = judge_by(&client->policy, bus->policy, client);
        if (!r)
                r = limits_for(&set, bus->limit_table, client->creds);
        if (r)
                return error_fold(r);
        client_set_limits(client, set);
        HASH_ADD(hh, bus->clients, peer.id, sizeof(client->peer.id), client);
        if (client->oom)
                return error_origin(-ENOMEM);
        client->state = CLIENT_ACTIVE;
        client->user->n_completed++;
        bus->n_completed++;
        bus_note_names(bus, client);
        bus_forget_client(bus);
        pressure_note(bus, NULL, LIMIT_INDEX(max_completed_connections),
                      bus->limits.max_completed_connections, bus->n_completed - 1,
                      bus->n_completed);
        pressure_note(bus, client, LIMIT_INDEX(max_connections_per_user),
                      client->limits.max_connections_per_user, client->user->n_completed - 1,
                      client->user->n_completed);
        return 0;
}

void client_welcome(struct turn *turn, struct client *client)
{
        notice_owner_changed(turn, client->name, "", client->name);
        notice_name(turn, client, "NameAcquired", client->name);
}

void bus_announce(struct turn *turn, const struct name_change *change)
{
        struct client *old_owner = client_of_owner(change->old_owner);
        struct client *new_owner = client_of_owner(change->new_owner);
        struct bus *bus = turn->bus;
        struct match_text name;
        const char *text;
        uint64_t id;

        if (!change->name)
                return;
        text = change->name->text;
        name = (struct match_text){ text, change->name->n };
        id = new_owner ? new_owner->peer.id : match_name_id(name);
        match_index_owner_changed(&bus->rules, name, id);
        match_index_owner_changed(&bus->monitors, name, id);
        if (old_owner)
                notice_name(turn, old_owner, "NameLost", text);
        notice_owner_changed(turn, text, old_owner ? old_owner->name : "",
                             new_owner ? new_owner->name : "");
        if (!new_owner)
                return;
        notice_name(turn, new_owner, "NameAcquired", text);
        activation_succeeded(turn, change->name, new_owner);
}

static void forget_rules(struct bus *bus, struct match_index *rules, struct client *client)
{
        bus->n_rules -= client->rules.n;
        match_owner_clear(rules, &client->rules);
}

static void lose_names(struct turn *turn, struct client *client)
{
        struct name_change change = NAME_CHANGE_NULL;

        while (name_release_last(&change, &client->names)) {
                bus_announce(turn, &change);
                name_change_deinit(&change);
        }
}

/* Whoever waits for an answer of this client hears that none will come. */
static void lose_replies(struct turn *turn, struct client *client)
{
        struct reply_slot *slot;

        while ((slot = reply_next_awaited(client)))
                reply_slot_free(slot);
        while ((slot = reply_next_owed(client))) {
                struct client *caller = slot->caller;
                uint32_t serial = slot->key.serial;

                reply_slot_free(slot);
                notice_error_to(turn, caller, serial, outcome_error_name(OUTCOME_NO_REPLY),
                                "Message recipient disconnected from message bus without replying");
        }
}

void bus_expire_replies(struct turn *turn, uint64_t now)
{
        struct client *client;
        struct reply_slot *slot;

        for (client = turn->bus->clients; client; client = client->hh.next) {
                while ((slot = reply_next_awaited(client)) && slot->due <= now) {
                        uint32_t serial = slot->key.serial;

                        reply_slot_free(slot);
                        notice_error_to(turn, client, serial, outcome_error_name(OUTCOME_NO_REPLY),
                                        "Message did not receive a reply (timeout by message bus)");
                }
        }
}

/* What an ACTIVE client has of the registry, given back. */
static void leave(struct turn *turn, struct client *client)
{
        struct bus *bus = turn->bus;

        lose_names(turn, client);
        forget_rules(bus, &bus->rules, client);
        HASH_DEL(bus->clients, client);
        client->user->n_completed--;
        bus->n_completed--;
}

void client_monitor(struct turn *turn, struct client *client)
{
        struct bus *bus = turn->bus;

        assert(turn->hold == TURN_WRITE && client->state == CLIENT_ACTIVE);
        lose_names(turn, client);
        notice_name(turn, client, "NameLost", client->name);
        notice_owner_changed(turn, client->name, client->name, "");
        forget_rules(bus, &bus->rules, client);
        activation_forget(client);
        lose_replies(turn, client);
        client->state = CLIENT_MONITOR;
        bus->n_monitors++;
}

void client_disconnect(struct turn *turn, struct client *client)
{
        struct bus *bus = turn->bus;
        enum client_state was = client->state;

        assert(turn->hold == TURN_WRITE);
        if (was == CLIENT_GONE)
                return;
        peer_close(&client->peer);
        if (was == CLIENT_NEW) {
                bus_forget_client(bus);
        } else if (was == CLIENT_MONITOR) {
                forget_rules(bus, &bus->monitors, client);
                HASH_DEL(bus->clients, client);
                client->user->n_completed--;
                bus->n_completed--;
                bus->n_monitors--;
        } else {
                leave(turn, client);
        }
        client->state = CLIENT_GONE;
        if (was == CLIENT_ACTIVE) {
                notice_owner_changed(turn, client->name, client->name, "");
                activation_forget(client);
                lose_replies(turn, client);
        }
        ledger_leave(&bus->ledger, client->ledger, &client->count, client->dismissed);
        if (client->container)
                container_leave(turn, client);
        if (bus->n_containers)
                container_abandon(turn, client);
        user_put(bus, steal(&client->user));
}
