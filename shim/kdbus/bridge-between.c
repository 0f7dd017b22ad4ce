/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "shim/bus/mediate.h"
#include "shim/kdbus/bridge-private.h"
#include "shim/kdbus/dialect.h"

/*
 * Between two on kdbus: what they say to each other goes directly, or crosses the D-Bus bus and
 * comes back, so that its rules judge it and bodies are written anew. Both directions ask here, as
 * each message is to be heard once.
 */

enum transcode_style between_style(struct ghost *ghost)
{
        struct task task = TASK_NULL;
        int fd = ghost->asked ? -1 : ghost_pidfd(&ghost->client);

        ghost->asked = true;
        if (fd >= 0 && task_open(&task, ghost->client.creds->pid, fd) == 0) {
                (void)dialect_of(&ghost->style, &task);
                task_close(&task);
        }
        return ghost->style;
}

struct manner between_manner(struct ghost *ghost)
{
        struct client *client = &ghost->client;

        return (struct manner){
                .id = client->peer.id,
                .judged = !mediate_off(client->bus->mediation) ||
                          (client->policy && !policy_is_open(client->policy, POLICY_SEND)),
                .style = between_style(ghost),
        };
}

static bool is_between(const struct manner *src, struct ghost *dst)
{
        return src->judged || src->style != between_style(dst) ||
               (dst->client.policy && !policy_is_open(dst->client.policy, POLICY_RECEIVE));
}

bool bridge_between(struct kconn *src, struct kconn *dst)
{
        struct bridge *bridge = bridge_of(src->bus);
        struct manner manner;
        bool yes;

        if (!src->ghost || !dst->ghost)
                return false;
        turn_read(bridge->turn);
        manner = between_manner(src->ghost);
        yes = is_between(&manner, dst->ghost);
        turn_release(bridge->turn);
        return yes;
}

/* how a sender sends that is or was on kdbus; the turn holds a side */
static bool find_manner(const struct bridge *bridge, uint64_t id, struct manner *out)
{
        struct kconn *conn = kbus_find(bridge->kbus, id);

        if (conn && conn->ghost) {
                *out = between_manner(conn->ghost);
                return true;
        }
        for (unsigned i = 0; i < DEPARTED; i++)
                if (id && bridge->departed[i].id == id) {
                        *out = bridge->departed[i];
                        return true;
                }
        return false;
}

bool between_came_from_kdbus(const struct bridge *bridge, uint64_t id)
{
        struct manner ignored;
        bool yes;

        turn_read(bridge->turn);
        yes = find_manner(bridge, id, &ignored);
        turn_release(bridge->turn);
        return yes;
}

bool between_heard_there(struct ghost *ghost, uint64_t id)
{
        struct kconn *src = kbus_find(ghost->bridge->kbus, id);
        struct manner manner;

        return find_manner(ghost->bridge, id, &manner) &&
               (!is_between(&manner, ghost) || (src && !kconn_may_talk(ghost->conn, NULL, src)));
}
