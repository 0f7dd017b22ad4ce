/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shim/bus/log.h"
#include "shim/bus/poller.h"
#include "shim/bus/route.h"
#include "shim/kdbus/bridge-private.h"
#include "shim/kdbus/entry.h"

/*
 * The bridge itself: its life, what it does for the kdbus bus, and the turns in which its thread
 * empties the ghosts' inboxes. The rest stands in the files beside: see bridge-private.h.
 */

static const struct kbridge_ops bridge_ops = {
        .join = bridge_join,
        .leave = bridge_leave,
        .listen = bridge_listen,
        .send = bridge_send,
        .acquire = bridge_acquire,
        .release = bridge_release,
        .between = bridge_between,
        .watch = bridge_watch,
        .refuse = bridge_refuse,
        .stand_in = bridge_stand_in,
        .decline = bridge_decline,
        .find = bridge_find,
        .list = bridge_list,
};

/* --- inboxes --------------------------------------------------------------------------------- */

static void empty_inbox(struct ghost *ghost)
{
        struct client *client = &ghost->client;
        struct cds_list_head entries;
        struct inbox_entry *entry;

        CDS_INIT_LIST_HEAD(&entries);
        while (peer_receive(&client->peer, &entries, 64)) {
                while (!cds_list_empty(&entries)) {
                        entry = cds_list_first_entry(&entries, struct inbox_entry, link);
                        cds_list_del(&entry->link);
                        if (ghost->conn)
                                to_kdbus_on_message(ghost, envelope_of(entry->message));
                        peer_release(&client->peer, entry);
                }
        }
        /* the bus gave it up: so does kdbus */
        if (ghost->conn && client->state == CLIENT_GONE)
                kconn_disconnect(ghost->conn, false);
}

static struct ghost *next_pending(struct bridge *bridge)
{
        struct ghost *ghost = NULL;

        pthread_mutex_lock(&bridge->pending.lock);
        if (!cds_list_empty(&bridge->pending.list)) {
                ghost = cds_list_first_entry(&bridge->pending.list, struct ghost, link);
                cds_list_del(&ghost->link);
                ghost->pending = false; /* what comes from now on makes it pending again */
        }
        pthread_mutex_unlock(&bridge->pending.lock);
        return ghost;
}

static void on_inboxes(struct watch *watch, uint32_t events, struct turn *turn)
{
        struct bridge *bridge = container_of(watch, struct bridge, inboxes);
        struct ghost *ghost;
        uint64_t n;

        bridge->turn = turn;
        (void)!read(bridge->wake_fd, &n, sizeof(n));
        while ((ghost = next_pending(bridge))) {
                empty_inbox(ghost);
                client_unref(&ghost->client);
        }
        activators_tell(bridge);
        (void)entry_dispatch(bridge->entry); /* deadlines and ends that followed */
        bridge->turn = NULL;
}

static void on_events(struct watch *watch, uint32_t events, struct turn *turn)
{
        struct bridge *bridge = container_of(watch, struct bridge, events);

        bridge->turn = turn;
        if (entry_dispatch(bridge->entry))
                log_line(LOG_ERR, "the kdbus domain cannot go on");
        bridge->turn = NULL;
}

/* --- life ------------------------------------------------------------------------------------ */

static int hex(char c)
{
        return c >= 'a' ? c - 'a' + 10 : c - '0';
}

static int make_bus(struct bridge *bridge)
{
        bool system = bridge->bus->type && strcmp(bridge->bus->type, "system") == 0;
        uid_t uid = system ? 0 : geteuid();
        char name[64];
        struct kbus_make make = {
                .name = name,
                .flags = system ? KDBUS_MAKE_ACCESS_WORLD : 0,
                .attach_flags = _KDBUS_ATTACH_ALL,
                .bloom = {.size = 64, .n_hash = 8},
                .uid = uid,
                .real_uid = uid,
                .gid = system ? 0 : getegid(),
        };
        int r;

        snprintf(name, sizeof(name), "%u-%s", uid, system ? "system" : "user");
        r = kbus_new(&bridge->kbus, entry_domain(bridge->entry), &make);
        if (r)
                return error_fold(r);
        for (unsigned i = 0; i < 16; i++)
                bridge->kbus->id128[i] = hex(bridge->bus->id[2 * i]) << 4 | hex(bridge->bus->id[2 * i + 1]);
        bridge->kbus->bridge = &bridge_ops;
        bridge->kbus->bridge_data = bridge;
        return 0;
}

int bridge_new(struct bridge **bridgep, struct bus *bus, struct poller *poller,
               const char *state_dir)
{
        struct bridge *bridge = calloc(1, sizeof(*bridge));
        int r;

        if (!bridge)
                return error_origin(-ENOMEM);
        bridge->bus = bus;
        (void)atomic_compare_exchange_strong(&bus->next_id, &(uint64_t){0}, 1); /* 0 is no id here */
        bridge->events.fd = bridge->inboxes.fd = -1;
        pthread_mutex_init(&bridge->pending.lock, NULL);
        CDS_INIT_LIST_HEAD(&bridge->pending.list);
        bridge->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r = bridge->wake_fd < 0 ? error_origin(-errno) : entry_new(&bridge->entry, state_dir);
        if (!r) {
                stand_ins_init(&bridge->stand_ins, bus, bridge->wake_fd);
                r = make_bus(bridge);
        }
        if (!r)
                r = watch_start(&bridge->events, poller, entry_fd(bridge->entry), EPOLLIN, on_events);
        if (!r)
                r = watch_start(&bridge->inboxes, poller, bridge->wake_fd, EPOLLIN, on_inboxes);
        if (r) {
                bridge_free(bridge, NULL);
                return error_fold(r);
        }
        *bridgep = bridge;
        return 0;
}

struct bridge *bridge_free(struct bridge *bridge, struct turn *turn)
{
        struct ghost *ghost;

        if (!bridge)
                return NULL;
        bridge->turn = turn;
        if (bridge->inboxes.fd >= 0)
                watch_stop(&bridge->inboxes);
        if (bridge->events.fd >= 0)
                watch_stop(&bridge->events);
        entry_free(bridge->entry);
        while ((ghost = next_pending(bridge)))
                client_unref(&ghost->client);
        stand_ins_deinit(&bridge->stand_ins);
        closep(&bridge->wake_fd);
        pthread_mutex_destroy(&bridge->pending.lock);
        free(bridge);
        return NULL;
}
