/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "shim/bus/mediate.h"
#include "shim/kdbus/bridge-private.h"

/*
 * Ghosts: what each kdbus connection is on the D-Bus bus. It comes and goes with its connection, is
 * greeted and judged like any client of its user, and what is put into its inbox wakes the bridge.
 */

/* --- the door: what threads of the bus call -------------------------------------------------- */

static void ghost_drain(struct client *client)
{
        struct ghost *ghost = ghost_of(client);
        struct bridge *bridge = ghost->bridge;
        uint64_t one = 1;
        bool wake;

        pthread_mutex_lock(&bridge->pending.lock);
        wake = !ghost->pending;
        if (wake) {
                ghost->pending = true;
                client_ref(client);
                cds_list_add_tail(&ghost->link, &bridge->pending.list);
        }
        pthread_mutex_unlock(&bridge->pending.lock);
        if (wake)
                (void)!write(bridge->wake_fd, &one, sizeof(one));
}

static void ghost_close(struct client *client)
{
        ghost_drain(client); /* the driving thread sees that the client is gone */
}

static void ghost_free(struct client *client)
{
        closep(&ghost_of(client)->pidfd);
        client_deinit(client);
        free(ghost_of(client));
}

int ghost_pidfd(struct client *client)
{
        struct ghost *ghost = ghost_of(client);

        return ghost->pidfd < 0 ? -ESRCH : fcntl(ghost->pidfd, F_DUPFD_CLOEXEC, 3);
}

static const struct door ghost_door = {
        .pidfd = ghost_pidfd,
        .drain = ghost_drain,
        .close = ghost_close,
        .free = ghost_free,
};

bool ghost_is(const struct client *client)
{
        return client->door == &ghost_door;
}

/* --- monitors -------------------------------------------------------------------------------- */

/* sees what D-Bus clients say, too; the turn holds the write side */
static int watch_all(struct turn *turn, struct client *client)
{
        const struct mediation *mediation = turn->bus->mediation;
        struct match_rule *rule;
        const char *by;
        int r;

        if (!mediate_off(mediation) && !mediation_eavesdrop(mediation, client, &by))
                return -EPERM;
        r = match_rule_new(&rule, NULL, "", 0);
        if (r)
                return r < 0 ? error_fold(r) : -EINVAL;
        client_monitor(turn, client);
        return error_fold(bus_add_rule(turn->bus, client, rule));
}

/* --- coming and going ------------------------------------------------------------------------ */

/* it takes part from now on; the turn holds the write side */
static int greet(struct turn *turn, struct ghost *ghost)
{
        char why[512];
        int r;

        if (client_hello_check(turn, &ghost->client, why, sizeof(why)))
                return -EMFILE;
        r = client_hello(turn, &ghost->client);
        if (r)
                return r;
        client_welcome(turn, &ghost->client);
        return kconn_is_monitor(ghost->conn) ? watch_all(turn, &ghost->client) : 0;
}

/* whom a supervisor spoke for: the kernel's word about its process, not about the socket's */
static int creds_of_caller(struct creds **out, struct caller *caller)
{
        const struct kmeta *m = caller_meta(caller, KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS |
                                                            KDBUS_ATTACH_AUXGROUPS |
                                                            KDBUS_ATTACH_SECLABEL);

        if (!(m->have & KDBUS_ATTACH_CREDS))
                return error_origin(-ESRCH);
        return creds_of_process(out, caller->task->pid, m->euid, m->egid, m->groups, m->n_groups,
                                m->have & KDBUS_ATTACH_SECLABEL ? m->seclabel : NULL);
}

int bridge_join(struct kconn *conn, int socket, struct caller *caller, uint64_t *idp)
{
        struct bridge *bridge = bridge_of(conn->bus);
        _cleanup_(creds_unrefp) struct creds *creds = NULL;
        struct turn *turn = bridge->turn;
        struct ghost *ghost;
        int r;

        r = socket < 0 ? creds_of_caller(&creds, caller) : creds_from_socket(&creds, socket);
        ghost = r ? NULL : calloc(1, sizeof(*ghost));
        if (!ghost)
                return r ? error_fold(r) : error_origin(-ENOMEM);
        ghost->pidfd = socket < 0 ? fcntl(caller->task->pidfd, F_DUPFD_CLOEXEC, 3)
                                  : creds_pidfd(socket);
        turn_write(turn);
        bus_expect_client(bridge->bus);
        r = client_init(&ghost->client, bridge->bus, &ghost_door, creds);
        if (r) {
                bus_forget_client(bridge->bus);
                closep(&ghost->pidfd);
                free(ghost);
        } else {
                ghost->bridge = bridge;
                ghost->conn = conn;
                ghost->client.accepts_fds = kconn_is_monitor(conn) ||
                                            (conn->flags & KDBUS_HELLO_ACCEPT_FD);
                r = greet(turn, ghost);
                if (!r) {
                        conn->ghost = ghost;
                        *idp = ghost->client.peer.id;
                } else {
                        ghost->conn = NULL;
                        client_disconnect(turn, &ghost->client);
                        client_unref(&ghost->client);
                }
        }
        turn_commit(turn);
        turn_release(turn);
        return r;
}

void bridge_leave(struct kconn *conn)
{
        struct ghost *ghost = steal(&conn->ghost);
        struct bridge *bridge = bridge_of(conn->bus);
        struct turn *turn = bridge->turn;

        if (!ghost)
                return;
        ghost->asked = true; /* too late to */
        turn_write(turn);
        bridge->departed[bridge->n_departed++ % DEPARTED] = between_manner(ghost);
        ghost->conn = NULL;
        stand_in_remove(&bridge->stand_ins, turn, conn);
        client_disconnect(turn, &ghost->client);
        turn_commit(turn);
        turn_release(turn);
        client_unref(&ghost->client);
}

/* --- taking part ----------------------------------------------------------------------------- */

void bridge_listen(struct kconn *conn)
{
        static const char rule_text[] = "type='signal'";
        struct bridge *bridge = bridge_of(conn->bus);
        struct ghost *ghost = conn->ghost;
        struct match_rule *rule;

        if (!ghost || ghost->listening || kconn_is_monitor(conn) ||
            match_rule_new(&rule, NULL, rule_text, sizeof(rule_text) - 1))
                return;
        turn_write(bridge->turn);
        ghost->listening = bus_add_rule(bridge->bus, &ghost->client, rule) == 0;
        turn_release(bridge->turn);
}

int ghost_may_act(const struct ghost *ghost)
{
        return ghost->client.state == CLIENT_ACTIVE    ? 0
               : ghost->client.state == CLIENT_MONITOR ? -EOPNOTSUPP
                                                       : -ECONNRESET;
}
