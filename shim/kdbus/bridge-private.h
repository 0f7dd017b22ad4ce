/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of the bridge share. The concept is in bridge.h; what bridge_join() and the
 * like do, at struct kbridge_ops (kbus.h).
 *
 * bridge.c             life, emptying inboxes
 * bridge-ghost.c       coming, going, taking part
 * bridge-between.c     which way between two on kdbus
 * bridge-activator.c   stand-ins for services
 * bridge-name.c        one registry
 * bridge-to-dbus.c     messages, the one way
 * bridge-to-kdbus.c    messages, the other way
 */

#include "shim/bus/bus.h"
#include "shim/bus/poller.h"
#include "shim/kdbus/bridge.h"
#include "shim/kdbus/kbus.h"
#include "shim/kdbus/kconn.h"
#include "shim/kdbus/kmsg.h"
#include "shim/kdbus/stand-in.h"
#include "shim/wire/transcode.h"

#define DEPARTED 256 /* ids of ghosts remembered after they went: their broadcasts may follow */

/* how someone on kdbus sends: decides which way a message to another one takes */
struct manner {
        uint64_t id;
        bool judged; /* rules of the D-Bus bus hold for what it sends */
        enum transcode_style style;
};

struct bridge {
        struct bus *bus;
        struct kbus *kbus;
        struct entry *entry;
        struct watch events; /* the domain's */
        struct watch inboxes;
        int wake_fd;
        struct stand_ins stand_ins;
        struct turn *turn; /* of the event at hand */
        struct manner departed[DEPARTED];
        unsigned n_departed;

        struct { /* any thread */
                pthread_mutex_t lock;
                struct cds_list_head list; /* ghosts with something in their inbox */
        } pending;
};

struct ghost {
        struct client client; /* first: a ghost is a client */
        struct bridge *bridge;
        struct kconn *conn; /* NULL once it left */
        bool listening;     /* has the rule that brings it all signals */
        int pidfd;          /* of the process that opened the handle; -1: unknown */
        enum transcode_style style; /* as its program writes bodies: between_style() */
        bool asked;                 /* its process was looked at */

        bool pending; /* bridge->pending.lock */
        struct cds_list_head link;
};

static inline struct ghost *ghost_of(struct client *client)
{
        return container_of(client, struct ghost, client);
}

static inline struct bridge *bridge_of(struct kbus *kbus)
{
        return kbus->bridge_data;
}

/* --- bridge-ghost.c -------------------------------------------------------------------------- */

int bridge_join(struct kconn *conn, int socket, struct caller *caller, uint64_t *idp);
void bridge_leave(struct kconn *conn);
void bridge_listen(struct kconn *conn);

/* of a kdbus connection, not of another door */
bool ghost_is(const struct client *client);

/* of the process that opened the handle, for the caller to close; or -ESRCH */
int ghost_pidfd(struct client *client);

/* what the bus has given up, or made a monitor by D-Bus's own call, may say nothing; any side */
int ghost_may_act(const struct ghost *ghost);

/* --- bridge-between.c ------------------------------------------------------------------------ */

bool bridge_between(struct kconn *src, struct kconn *dst);

/* how its program writes, from the first message on that needs it */
enum transcode_style between_style(struct ghost *ghost);

/* the turn holds a side */
struct manner between_manner(struct ghost *ghost);

/* the turn holds nothing */
bool between_came_from_kdbus(const struct bridge *bridge, uint64_t id);

/* whether a broadcast from kdbus was or is to be heard there; the turn holds a side */
bool between_heard_there(struct ghost *ghost, uint64_t id);

/* --- bridge-activator.c ---------------------------------------------------------------------- */

int bridge_stand_in(struct kconn *conn, const char *name);
void bridge_decline(struct kconn *conn);
void bridge_refuse(struct kconn *conn, const struct kdbus_msg *call);

/* programs see what waits for them, or no longer does; the turn holds nothing */
void activators_tell(struct bridge *bridge);

/* --- bridge-name.c --------------------------------------------------------------------------- */

int bridge_acquire(struct kconn *conn, const char *name, uint64_t flags, __u64 *return_flags);
int bridge_release(struct kconn *conn, const char *name);
int bridge_find(struct kbus *kbus, uint64_t id, const char *name, struct kforeign *out);
void bridge_list(struct kbus *kbus, uint64_t flags, kforeign_fn fn, void *data);

/* one item per name that it owns */
void bridge_name_render(const struct client *client, struct gvariant_buf *b);

/* whether a client on the other side has a name; holds the registry */
bool bridge_name_has(void *data, const char *name);

/* what the bus itself says becomes notifications, or is known already */
bool bridge_name_on_signal(struct ghost *ghost, struct envelope *e);

/* --- bridge-to-dbus.c ------------------------------------------------------------------------ */

int bridge_send(struct kconn *src, struct kmsg *m, bool sync, struct kreply **replyp);
void bridge_watch(struct kconn *src, struct kmsg *m, struct kconn *dst);

/* --- bridge-to-kdbus.c ----------------------------------------------------------------------- */

/* from the inbox of a ghost whose connection is there */
void to_kdbus_on_message(struct ghost *ghost, struct envelope *e);

/* a D-Bus message in kdbus's clothes: everything that kconn_queue() needs of it */
struct arrival {
        struct gvariant_buf head; /* struct kdbus_msg and its items */
        struct gvariant_buf v2;
        struct gvariant_buf names;
        struct caller caller;
        struct task task;
        struct kuser *payer;
        uint64_t dst_id; /* if it is for one */
        struct kmsg m;
};

/* not of this process's own: clothed for one receiver; to be deinited, whatever it returns */
int arrival_clothe(struct arrival *a, struct ghost *ghost, const struct envelope *e);
void arrival_deinit(struct arrival *a);
