/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "shim/bus/notice.h"
#include "shim/bus/route.h"
#include "shim/kdbus/bridge-private.h"

/*
 * Activators: connections that stand in for services. The D-Bus bus keeps what is sent to such a
 * name; the activator's program sees a copy of the first of it, and may start the service or
 * decline.
 */

int bridge_stand_in(struct kconn *conn, const char *name)
{
        struct bridge *bridge = bridge_of(conn->bus);
        int r;

        turn_write(bridge->turn);
        r = stand_in_add(&bridge->stand_ins, conn, name);
        turn_release(bridge->turn);
        return error_fold(r);
}

void bridge_decline(struct kconn *conn)
{
        struct bridge *bridge = bridge_of(conn->bus);

        turn_write(bridge->turn);
        stand_in_declined(&bridge->stand_ins, bridge->turn, conn);
        turn_commit(bridge->turn);
        turn_release(bridge->turn);
}

/* who called is told, if it still waits */
void bridge_refuse(struct kconn *conn, const struct kdbus_msg *call)
{
        struct bridge *bridge = bridge_of(conn->bus);
        struct client *caller;

        if (!(call->flags & KDBUS_MSG_EXPECT_REPLY) || call->cookie > UINT32_MAX)
                return;
        turn_read(bridge->turn);
        caller = bus_find_id(bridge->bus, call->src_id);
        if (caller && reply_end(caller, &conn->ghost->client, call->cookie))
                notice_error_to(bridge->turn, caller, call->cookie,
                                outcome_error_name(OUTCOME_NO_REPLY), "The call was dropped unread");
        turn_commit(bridge->turn);
        turn_release(bridge->turn);
}

static void unsummon(struct kconn *conn)
{
        struct kentry *e, *next;

        kconn_hold(conn);
        cds_list_for_each_entry_safe(e, next, &conn->queue, link)
                if (e->summons)
                        kentry_free(e);
        kconn_unhold(conn);
}

/* the program sees that something waits; it may look at what, and start the service */
static void summon(struct kconn *conn, const struct envelope *e)
{
        struct arrival a;
        int r;

        unsummon(conn);
        r = arrival_clothe(&a, conn->ghost, e);
        if (!r)
                r = kconn_queue(conn, &a.m, NULL, 0);
        if (!r)
                cds_list_entry(conn->queue.prev, struct kentry, link)->summons = true;
        else
                kconn_lose(conn);
        arrival_deinit(&a);
}

void activators_tell(struct bridge *bridge)
{
        struct envelope *e;
        struct kconn *conn;

        while ((conn = stand_ins_next(&bridge->stand_ins, &e))) {
                if (e && conn->ghost)
                        summon(conn, e);
                else
                        unsummon(conn);
                envelope_unref(e);
        }
}
