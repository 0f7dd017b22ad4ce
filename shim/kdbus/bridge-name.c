/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shim/bus/activate.h"
#include "shim/bus/mediate.h"
#include "shim/bus/service-file.h"
#include "shim/kdbus/bridge-private.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/limits.h"
#include "shim/wire/reader.h"

/*
 * Names: one registry, the D-Bus bus's. What kdbus programs acquire, release, look up and list is
 * done there; what the bus then announces to a ghost becomes its program's notification, and the
 * kdbus side's own table follows it.
 */

/* --- owning ---------------------------------------------------------------------------------- */

/* by the D-Bus bus's rules, as for any client of it; the turn holds a side */
static int may_own(const struct ghost *ghost, const char *name)
{
        const struct client *client = &ghost->client;
        const struct bus *bus = client->bus;
        struct policy_verdict verdict;
        const char *by;
        int r;

        r = ghost_may_act(ghost);
        if (r)
                return r;
        if (strcmp(name, BUS_NAME) == 0 ||
            !policy_can_own(client->policy, (struct policy_text){name, strlen(name)}, &verdict))
                return -EPERM;
        if (!mediate_off(bus->mediation) && !mediation_own(bus->mediation, client, name, &by))
                return -EPERM;
        return client->names.n >= MIN((uint64_t)KD_NAMES_MAX, client->limits.max_names_per_connection)
                       ? -E2BIG
                       : 0;
}

static uint32_t request_flags(uint64_t flags)
{
        return (flags & KDBUS_NAME_ALLOW_REPLACEMENT ? NAME_ALLOW_REPLACEMENT : 0) |
               (flags & KDBUS_NAME_REPLACE_EXISTING ? NAME_REPLACE_EXISTING : 0) |
               (flags & KDBUS_NAME_QUEUE ? 0 : NAME_DO_NOT_QUEUE);
}

/* the kdbus side learns who of its own is primary; nobody is told twice */
static int mirror(struct kconn *conn, const char *name, uint64_t flags, __u64 *return_flags)
{
        struct kname *known = kname_find(conn->bus, name);
        struct kname_owner *old = known ? kname_primary(known) : NULL;

        if (old && old->conn != conn && !kconn_is_activator(old->conn))
                kname_release(conn->bus, old->conn, name);
        return kname_acquire(conn->bus, conn, name, flags & ~(uint64_t)KDBUS_NAME_REPLACE_EXISTING,
                             return_flags);
}

static int request_result(struct kconn *conn, enum name_result result, const char *name,
                          uint64_t flags, __u64 *return_flags)
{
        uint64_t saved = flags & (KDBUS_NAME_ALLOW_REPLACEMENT | KDBUS_NAME_QUEUE);

        switch (result) {
        case NAME_PRIMARY_OWNER:
        case NAME_ALREADY_OWNER:
                return mirror(conn, name, flags, return_flags);
        case NAME_IN_QUEUE:
                *return_flags = saved | KDBUS_NAME_IN_QUEUE | KDBUS_NAME_ACQUIRED;
                return 0;
        default:
                return -EEXIST;
        }
}

int bridge_acquire(struct kconn *conn, const char *name, uint64_t flags, __u64 *return_flags)
{
        struct bridge *bridge = bridge_of(conn->bus);
        struct name_change change = NAME_CHANGE_NULL;
        struct ghost *ghost = conn->ghost;
        struct turn *turn = bridge->turn;
        enum name_result result;
        int r;

        turn_write(turn);
        r = may_own(ghost, name);
        if (!r)
                r = name_request(&change, &result, &bridge->bus->names, &ghost->client.names, name,
                                 strlen(name), request_flags(flags));
        if (!r) {
                bus_announce(turn, &change);
                name_change_deinit(&change);
        }
        turn_commit(turn);
        turn_release(turn);
        return r ? error_fold(r) : request_result(conn, result, name, flags, return_flags);
}

int bridge_release(struct kconn *conn, const char *name)
{
        struct bridge *bridge = bridge_of(conn->bus);
        struct name_change change = NAME_CHANGE_NULL;
        struct turn *turn = bridge->turn;
        int r;

        turn_write(turn);
        r = ghost_may_act(conn->ghost);
        if (!r)
                r = name_release(&change, &bridge->bus->names, &conn->ghost->client.names, name,
                                 strlen(name));
        bus_announce(turn, &change);
        name_change_deinit(&change);
        turn_commit(turn);
        turn_release(turn);
        if (r < 0)
                return r;
        if (r)
                return r == NAME_E_NON_EXISTENT ? -ESRCH : -EADDRINUSE;
        (void)kname_release(conn->bus, conn, name);
        return 0;
}

/* --- looking --------------------------------------------------------------------------------- */

/* of its process, what is asked for of any kdbus connection */
static void collect(struct kmeta *m, struct client *client, uint64_t mask)
{
        const struct creds *creds = client->creds;
        struct task task = TASK_NULL;
        int fd = client->door->pidfd(client);

        if (fd >= 0 && task_open(&task, creds->pid, fd) == 0) {
                kmeta_collect(m, &task, creds->pid, mask);
                task_close(&task);
        } else if (creds->has_uid) {
                m->uid = m->euid = m->suid = m->fsuid = creds->uid;
                m->gid = m->egid = m->sgid = m->fsgid = creds->n_gids ? creds->gids[0] : (gid_t)-1;
                m->have |= KDBUS_ATTACH_CREDS;
        }
}

void bridge_name_render(const struct client *client, struct gvariant_buf *b)
{
        struct name_ownership *o = NULL;

        while ((o = name_owner_next(&client->names, o))) {
                size_t n = sizeof(struct kdbus_name) + o->name->n + 1;
                struct kdbus_item *item;

                if (!name_ownership_is_primary(o))
                        continue;
                item = gvariant_buf_add(b, ITEM_ALIGN(ITEM_SIZE(n)));
                if (!item)
                        return;
                item->size = ITEM_SIZE(n);
                item->type = KDBUS_ITEM_OWNED_NAME;
                item->name.flags = KDBUS_NAME_PRIMARY;
                memcpy(item->name.name, o->name->text, o->name->n);
        }
}

int bridge_find(struct kbus *kbus, uint64_t id, const char *name, struct kforeign *out)
{
        struct bridge *bridge = bridge_of(kbus);
        struct gvariant_buf names = GVARIANT_BUF_NULL;
        struct client *client;

        turn_read(bridge->turn);
        client = name ? bus_find(bridge->bus, name, strlen(name)) : bus_find_id(bridge->bus, id);
        if (client) {
                out->id = client->peer.id;
                collect(&out->meta, client, _KDBUS_ATTACH_ALL);
                bridge_name_render(client, &names);
                out->items = names.data;
                out->n_items = names.n;
        }
        turn_release(bridge->turn);
        return client ? 0 : name ? -ESRCH : -ENXIO;
}

/* a name, if it is of the kind that is asked for */
static bool list_name(const struct name_ownership *o, uint64_t id, uint64_t flags, kforeign_fn fn,
                      void *data)
{
        bool primary = name_ownership_is_primary(o);

        if (!(flags & (primary ? KDBUS_LIST_NAMES : KDBUS_LIST_QUEUED)))
                return false;
        fn(data, id, 0, o->name->text, primary ? KDBUS_NAME_PRIMARY : KDBUS_NAME_IN_QUEUE);
        return true;
}

/* of a kdbus connection, only what it waits for: the rest kdbus knows */
static void list_one(const struct client *client, uint64_t flags, kforeign_fn fn, void *data)
{
        struct name_ownership *o = NULL;
        bool listed = ghost_is(client);

        if (listed)
                flags &= KDBUS_LIST_QUEUED;
        while ((o = name_owner_next(&client->names, o)))
                if (list_name(o, client->peer.id, flags, fn, data))
                        listed = true;
        if (!listed && (flags & KDBUS_LIST_UNIQUE))
                fn(data, client->peer.id, 0, NULL, 0);
}

/* services that files describe: like activators, but of no connection */
static void list_services(const struct bus *bus, kforeign_fn fn, void *data)
{
        const struct service_table *services = NULL;
        const struct service *service;

        if (bus->activator)
                services = activator_services(bus->activator);
        for (size_t i = 0; services && (service = service_table_at(services, i)); i++)
                if (!bus->stand_ins->have(bus->stand_ins_data, service->name))
                        fn(data, 0, KDBUS_HELLO_ACTIVATOR, service->name, KDBUS_NAME_ACTIVATOR);
}

void bridge_list(struct kbus *kbus, uint64_t flags, kforeign_fn fn, void *data)
{
        struct bridge *bridge = bridge_of(kbus);
        struct client *client, *next;

        turn_read(bridge->turn);
        HASH_ITER(hh, bridge->bus->clients, client, next)
                if (client->state == CLIENT_ACTIVE)
                        list_one(client, flags, fn, data);
        if (flags & KDBUS_LIST_ACTIVATORS)
                list_services(bridge->bus, fn, data);
        turn_release(bridge->turn);
}

bool bridge_name_has(void *data, const char *name)
{
        const struct client *client = data;
        struct name_ownership *o = NULL;

        while (client && (o = name_owner_next(&client->names, o)))
                if (name_ownership_is_primary(o) && strcmp(o->name->text, name) == 0)
                        return true;
        return false;
}

/* --- hearing --------------------------------------------------------------------------------- */

bool bridge_name_on_signal(struct ghost *ghost, struct envelope *e)
{
        const char *member = envelope_text(e, e->header.member);
        const char *name = NULL, *from = NULL, *into = NULL;
        struct kconn *conn = ghost->conn;
        struct reader rd;
        uint64_t old_id, new_id;
        __u64 ignored;

        if (e->sender != MATCH_DRIVER || e->header.type != HEADER_SIGNAL)
                return false;
        reader_init_message(&rd, &e->header, e->data);
        if (reader_string(&rd, &name, NULL))
                return true;
        if (strcmp(member, "NameAcquired") == 0) {
                if (!kconn_is_monitor(conn) && name[0] != ':' && !kname_held_by(conn, name))
                        (void)mirror(conn, name, 0, &ignored);
                return true;
        }
        if (strcmp(member, "NameLost") == 0) {
                if (!kconn_is_monitor(conn) && name[0] != ':')
                        (void)kname_release(conn->bus, conn, name);
                return true;
        }
        if (strcmp(member, "NameOwnerChanged") != 0 || reader_string(&rd, &from, NULL) ||
            reader_string(&rd, &into, NULL))
                return true;
        old_id = *from ? strtoull(from + 3, NULL, 10) : 0; /* ":1.N" */
        new_id = *into ? strtoull(into + 3, NULL, 10) : 0;
        if (name[0] != ':')
                kbus_tell_name(conn,
                               !old_id   ? KDBUS_ITEM_NAME_ADD
                               : !new_id ? KDBUS_ITEM_NAME_REMOVE
                                         : KDBUS_ITEM_NAME_CHANGE,
                               name, old_id, new_id);
        else if (old_id + new_id != conn->id)
                kbus_tell_id(conn, new_id ? KDBUS_ITEM_ID_ADD : KDBUS_ITEM_ID_REMOVE,
                             old_id + new_id);
        return true;
}
