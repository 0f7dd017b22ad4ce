/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim/bus/activate.h"
#include "shim/bus/bus.h"
#include "shim/bus/log.h"
#include "shim/bus/mediate.h"
#include "shim/bus/notice.h"
#include "shim/bus/poller.h"
#include "shim/bus/route.h"
#include "shim/bus/service-file.h"
#include "shim/kdbus/bridge.h"
#include "shim/kdbus/dialect.h"
#include "shim/kdbus/entry.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/kbus.h"
#include "shim/kdbus/kconn.h"
#include "shim/kdbus/kmsg.h"
#include "shim/kdbus/kreply.h"
#include "shim/kdbus/limits.h"
#include "shim/kdbus/stand-in.h"
#include "shim/wire/body.h"
#include "shim/wire/reader.h"
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
        enum transcode_style style; /* as its program writes bodies: style_of() */
        bool asked;                 /* its process was looked at */

        bool pending; /* bridge->pending.lock */
        struct cds_list_head link;
};

static struct ghost *ghost_of(struct client *client)
{
        return container_of(client, struct ghost, client);
}

static struct bridge *bridge_of(struct kbus *kbus)
{
        return kbus->bridge_data;
}

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

static int ghost_pidfd(struct client *client)
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

/* --- between two on kdbus -------------------------------------------------------------------- */

/* how its program writes, from the first message on that needs it */
static enum transcode_style style_of(struct ghost *ghost)
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

/* the turn holds a side */
static struct manner manner_of(struct ghost *ghost)
{
        struct client *client = &ghost->client;

        return (struct manner){
                .id = client->peer.id,
                .judged = !mediate_off(client->bus->mediation) ||
                          (client->policy && !policy_is_open(client->policy, POLICY_SEND)),
                .style = style_of(ghost),
        };
}

static bool is_between(const struct manner *src, struct ghost *dst)
{
        return src->judged || src->style != style_of(dst) ||
               (dst->client.policy && !policy_is_open(dst->client.policy, POLICY_RECEIVE));
}

static bool bridge_between(struct kconn *src, struct kconn *dst)
{
        struct bridge *bridge = bridge_of(src->bus);
        struct manner manner;
        bool yes;

        if (!src->ghost || !dst->ghost)
                return false;
        turn_read(bridge->turn);
        manner = manner_of(src->ghost);
        yes = is_between(&manner, dst->ghost);
        turn_release(bridge->turn);
        return yes;
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
        return error_fold(match_add(&turn->bus->monitors, &client->rules, rule));
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

static int bridge_join(struct kconn *conn, int socket, struct caller *caller, uint64_t *idp)
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

static void bridge_leave(struct kconn *conn)
{
        struct ghost *ghost = steal(&conn->ghost);
        struct bridge *bridge = bridge_of(conn->bus);
        struct turn *turn = bridge->turn;

        if (!ghost)
                return;
        ghost->asked = true; /* too late to */
        turn_write(turn);
        bridge->departed[bridge->n_departed++ % DEPARTED] = manner_of(ghost);
        ghost->conn = NULL;
        stand_in_remove(&bridge->stand_ins, turn, conn);
        client_disconnect(turn, &ghost->client);
        turn_commit(turn);
        turn_release(turn);
        client_unref(&ghost->client);
}

/* --- activators ------------------------------------------------------------------------------ */

static int bridge_stand_in(struct kconn *conn, const char *name)
{
        struct bridge *bridge = bridge_of(conn->bus);
        int r;

        turn_write(bridge->turn);
        r = stand_in_add(&bridge->stand_ins, conn, name);
        turn_release(bridge->turn);
        return error_fold(r);
}

static void bridge_decline(struct kconn *conn)
{
        struct bridge *bridge = bridge_of(conn->bus);

        turn_write(bridge->turn);
        stand_in_declined(&bridge->stand_ins, bridge->turn, conn);
        turn_commit(bridge->turn);
        turn_release(bridge->turn);
}

/* who called is told, if it still waits */
static void bridge_refuse(struct kconn *conn, const struct kdbus_msg *call)
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

static void bridge_listen(struct kconn *conn)
{
        static const char rule_text[] = "type='signal'";
        struct bridge *bridge = bridge_of(conn->bus);
        struct ghost *ghost = conn->ghost;
        struct match_rule *rule;

        if (!ghost || ghost->listening || kconn_is_monitor(conn) ||
            match_rule_new(&rule, NULL, rule_text, sizeof(rule_text) - 1))
                return;
        turn_write(bridge->turn);
        ghost->listening = match_add(&bridge->bus->rules, &ghost->client.rules, rule) == 0;
        bridge->bus->n_rules += ghost->listening;
        turn_release(bridge->turn);
}

/* what the bus has given up, or made a monitor by D-Bus's own call, may say nothing; any side */
static int may_act(const struct ghost *ghost)
{
        return ghost->client.state == CLIENT_ACTIVE    ? 0
               : ghost->client.state == CLIENT_MONITOR ? -EOPNOTSUPP
                                                       : -ECONNRESET;
}

/* --- names ----------------------------------------------------------------------------------- */

/* by the D-Bus bus's rules, as for any client of it; the turn holds a side */
static int may_own(const struct ghost *ghost, const char *name)
{
        const struct client *client = &ghost->client;
        const struct bus *bus = client->bus;
        struct policy_verdict verdict;
        const char *by;
        int r;

        r = may_act(ghost);
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

static int bridge_acquire(struct kconn *conn, const char *name, uint64_t flags, __u64 *return_flags)
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

static int bridge_release(struct kconn *conn, const char *name)
{
        struct bridge *bridge = bridge_of(conn->bus);
        struct name_change change = NAME_CHANGE_NULL;
        struct turn *turn = bridge->turn;
        int r;

        turn_write(turn);
        r = may_act(conn->ghost);
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

static bool is_ghost(const struct client *client)
{
        return client->door == &ghost_door;
}

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

/* one item per name that it owns */
static void render_names(const struct client *client, struct gvariant_buf *b)
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

static int bridge_find(struct kbus *kbus, uint64_t id, const char *name, struct kforeign *out)
{
        struct bridge *bridge = bridge_of(kbus);
        struct gvariant_buf names = GVARIANT_BUF_NULL;
        struct client *client;

        turn_read(bridge->turn);
        client = name ? bus_find(bridge->bus, name, strlen(name)) : bus_find_id(bridge->bus, id);
        if (client) {
                out->id = client->peer.id;
                collect(&out->meta, client, _KDBUS_ATTACH_ALL);
                render_names(client, &names);
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
        bool listed = is_ghost(client);

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

static void bridge_list(struct kbus *kbus, uint64_t flags, kforeign_fn fn, void *data)
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

/* whether a client on the other side has a name; holds the registry */
static bool client_has(void *data, const char *name)
{
        const struct client *client = data;
        struct name_ownership *o = NULL;

        while (client && (o = name_owner_next(&client->names, o)))
                if (name_ownership_is_primary(o) && strcmp(o->name->text, name) == 0)
                        return true;
        return false;
}

/* --- from kdbus to D-Bus --------------------------------------------------------------------- */

static int gather_memfd(struct gvariant_buf *b, int fd, uint64_t start, uint64_t size)
{
        uint8_t *to;

        if (size > TYPE_MESSAGE_MAX)
                return -EMSGSIZE;
        to = gvariant_buf_add(b, size);
        while (to && size) {
                ssize_t n = pread(fd, to, size, start);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return -EFAULT;
                to += n;
                start += n;
                size -= n;
        }
        return 0;
}

static int gather_vec(struct gvariant_buf *b, const struct kpayload *p, size_t *from, uint64_t size)
{
        int r = 0;

        if (p->fault)
                return -EFAULT;
        if (p->file >= 0)
                r = gather_memfd(b, p->file, *from, size);
        else if (size > p->n_bytes || *from > p->n_bytes - size)
                r = -EFAULT;
        else
                gvariant_buf_put(b, p->bytes + *from, size);
        *from += size;
        return r;
}

/* the parts of a payload, one after the other, as the receiver would see them */
static int gather(struct gvariant_buf *b, struct kmsg *m)
{
        struct kdbus_item *item;
        size_t from = 0, memfd = 0;
        struct item_walk w;
        int r = 0;

        for (item_walk_init(&w, m->msg->items, m->n_items); !r && !item_next(&w, &item) && item;) {
                if (item->type == KDBUS_ITEM_PAYLOAD_MEMFD)
                        r = gather_memfd(b, m->fds->fds[memfd++], item->memfd.start,
                                         item->memfd.size);
                else if (item->type == KDBUS_ITEM_PAYLOAD_VEC && item->vec.address)
                        r = gather_vec(b, &m->payload, &from, item->vec.size);
                else if (item->type == KDBUS_ITEM_PAYLOAD_VEC)
                        gvariant_buf_add(b, item->vec.size);
        }
        return r ?: b->error == -EBADMSG ? -EMSGSIZE : b->error;
}

static int copy_fds(struct fdset **out, const int *fds, size_t n)
{
        int copies[KD_FDS_MAX];
        size_t i;
        int r;

        for (i = 0; i < n; i++) {
                copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
                if (copies[i] < 0) {
                        r = -errno;
                        fdset_close(copies, i);
                        return error_origin(r);
                }
        }
        r = fdset_new(out, copies, n);
        if (r)
                fdset_close(copies, n);
        return error_fold(r);
}

/* the same message as D-Bus has it, stamped with the ghost's name */
static int translate(struct ghost *ghost, struct kmsg *m, const char *destination,
                     struct envelope **out)
{
        struct envelope_sender sender = {
                .id = ghost->client.peer.id,
                .name = ghost->client.name,
                .name_len = ghost->client.name_len,
                .account = ghost->client.peer.account,
        };
        struct gvariant_buf v2 = GVARIANT_BUF_NULL, dbus = GVARIANT_BUF_NULL;
        struct transcode_info info;
        struct header h;
        int r;

        r = gather(&v2, m);
        if (!r)
                r = transcode_from_v2(&dbus, &info, style_of(ghost), v2.data, v2.n, NULL, destination);
        if (!r && (header_parse(&h, dbus.data, dbus.n) || h.n_fds != (m->fds ? m->fds->n_fds : 0)))
                r = -EBADMSG;
        if (!r)
                r = envelope_copy(out, &h, dbus.data, &sender);
        if (!r && h.n_fds) {
                r = copy_fds(&(*out)->message.fds, m->fds->fds + m->fds->n_memfds, h.n_fds);
                if (r)
                        *out = envelope_unref(*out);
        }
        if (!r && info.style == TRANSCODE_BARE) /* beyond doubt, as parentheses are not */
                ghost->style = info.style;
        gvariant_buf_deinit(&v2);
        gvariant_buf_deinit(&dbus);
        return r;
}

/* what the header says must be what the envelope around it says */
static bool agrees(const struct kdbus_msg *msg, const struct header *h)
{
        bool wants = h->type == HEADER_CALL && !(h->flags & HEADER_NO_REPLY_EXPECTED);

        if (msg->payload_type != KDBUS_PAYLOAD_DBUS || msg->cookie != h->serial)
                return false;
        if (!!(msg->flags & KDBUS_MSG_SIGNAL) != (h->type == HEADER_SIGNAL))
                return false;
        if (msg->flags & KDBUS_MSG_EXPECT_REPLY)
                return wants;
        return !wants && msg->cookie_reply == h->reply_serial;
}

/* where it goes: a name, a unique name, or all */
static int destination_of(struct bridge *bridge, const struct kmsg *m, char buf[32],
                          const char **destination)
{
        struct client *to = NULL;

        *destination = "";
        if (m->msg->dst_id == KDBUS_DST_ID_BROADCAST)
                return 0;
        *destination = m->dst_name;
        if (m->dst_name && (m->msg->flags & KDBUS_MSG_NO_AUTO_START) &&
            kname_find(bridge->kbus, m->dst_name) &&
            !bus_find(bridge->bus, m->dst_name, strlen(m->dst_name)))
                return -EADDRNOTAVAIL;
        if (m->msg->dst_id != KDBUS_DST_ID_NAME) {
                to = bus_find_id(bridge->bus, m->msg->dst_id);
                if (!to)
                        return -ENXIO;
                if (m->dst_name && bus_find(bridge->bus, m->dst_name, strlen(m->dst_name)) != to)
                        return -EREMCHG;
        }
        if (!m->dst_name) {
                memcpy(buf, to->name, to->name_len + 1);
                *destination = buf;
        }
        return 0;
}

static int bridge_send(struct kconn *src, struct kmsg *m, bool sync, struct kreply **replyp)
{
        struct bridge *bridge = bridge_of(src->bus);
        _cleanup_(envelope_unrefp) struct envelope *e = NULL;
        struct kreply *reply = NULL;
        const char *destination;
        char buf[32];
        int r;

        turn_read(bridge->turn);
        r = may_act(src->ghost);
        if (!r)
                r = destination_of(bridge, m, buf, &destination);
        if (!r)
                r = translate(src->ghost, m, destination, &e);
        if (!r && !agrees(m->msg, &e->header))
                r = -EBADMSG;
        if (!r && (m->msg->flags & KDBUS_MSG_EXPECT_REPLY))
                r = kreply_new(&reply, src, NULL, m->msg->cookie, m->msg->timeout_ns, sync);
        if (!r) {
                kbus_eavesdrop(src->bus, m);
                client_send(bridge->turn, &src->ghost->client, e);
                turn_commit(bridge->turn);
        }
        turn_release(bridge->turn);
        if (replyp)
                *replyp = reply;
        return r;
}

static void bridge_watch(struct kconn *src, struct kmsg *m, struct kconn *dst)
{
        struct bridge *bridge = bridge_of(src->bus);
        _cleanup_(envelope_unrefp) struct envelope *e = NULL;
        struct turn *turn = bridge->turn;
        struct ghost *ghost = src->ghost;

        turn_read(turn);
        if (bridge->bus->n_monitors && dst->ghost &&
            !translate(ghost, m, m->dst_name ?: dst->ghost->client.name, &e)) {
                route_monitors(turn, &turn->out, &ghost->client.peer, e, &dst->ghost->client);
                route_commit(turn);
                turn_commit(turn);
        }
        turn_release(turn);
}

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

/* --- from D-Bus to kdbus --------------------------------------------------------------------- */

/* what the bus itself says becomes notifications, or is known already */
static bool on_driver_signal(struct ghost *ghost, struct envelope *e)
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

/* argument @i, if it is an array of texts, as match rules of sd-bus since 223 ask for it */
static void fill_array_bloom(const struct bloom_params *p, uint64_t *bits, const struct envelope *e,
                             unsigned i)
{
        struct reader rd;
        const char *s;
        char key[32];

        snprintf(key, sizeof(key), "arg%u-has", i);
        reader_init_message(&rd, &e->header, e->data);
        while (i--)
                if (reader_skip(&rd))
                        return;
        if (reader_peek(&rd) != 'a' || reader_enter(&rd, 'a'))
                return;
        while (!reader_string(&rd, &s, NULL) || !reader_path(&rd, &s, NULL) ||
               !reader_signature(&rd, &s, NULL))
                bloom_add_pair(p, bits, key, s);
}

/* the bits that a program on kdbus would have set for the same signal */
static void fill_bloom(const struct bloom_params *p, uint64_t *bits, const struct envelope *e)
{
        const struct header *h = &e->header;
        const char *interface = envelope_text(e, h->interface);
        const char *member = envelope_text(e, h->member);
        const char *path = envelope_text(e, h->path);
        const char *sig = envelope_text(e, h->signature);
        struct body_args args;
        unsigned i;
        char key[32];

        if (!bloom_params_hashable(p)) {
                memset(bits, 0xff, p->size);
                return;
        }
        bloom_add_pair(p, bits, "message-type", "signal");
        if (interface)
                bloom_add_pair(p, bits, "interface", interface);
        if (member)
                bloom_add_pair(p, bits, "member", member);
        if (path) {
                bloom_add_pair(p, bits, "path", path);
                bloom_add_prefixes(p, bits, "path-slash-prefix", path, '/');
        }
        if (!sig || body_validate(sig, h->signature.len, h->swap, envelope_body(e), h->body_size,
                                  &args))
                return;
        for (i = 0; i < args.n && strchr("sog", args.arg[i].type); i++) {
                const char *s = (const char *)envelope_body(e) + args.arg[i].off;

                snprintf(key, sizeof(key), "arg%u", i);
                bloom_add_pair(p, bits, key, s);
                snprintf(key, sizeof(key), "arg%u-dot-prefix", i);
                bloom_add_prefixes(p, bits, key, s, '.');
                snprintf(key, sizeof(key), "arg%u-slash-prefix", i);
                bloom_add_prefixes(p, bits, key, s, '/');
        }
        fill_array_bloom(p, bits, e, i);
}

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

static void arrival_deinit(struct arrival *a)
{
        kmsg_deinit(&a->m);
        gvariant_buf_deinit(&a->head);
        gvariant_buf_deinit(&a->v2);
        gvariant_buf_deinit(&a->names);
        kmeta_deinit(&a->caller.meta);
        task_close(&a->task);
        kuser_unref(a->payer);
}

static void *add_item(struct gvariant_buf *b, uint64_t type, const void *payload, size_t n)
{
        void *at = gvariant_buf_add(b, ITEM_ALIGN(ITEM_SIZE(n)));

        if (at)
                item_put(at, type, payload, n);
        return at;
}

static void put_head(struct arrival *a, const struct kconn *conn, const struct envelope *e)
{
        const struct header *h = &e->header;
        const char *destination = envelope_text(e, h->destination);
        bool wants = h->type == HEADER_CALL && !(h->flags & HEADER_NO_REPLY_EXPECTED);
        struct kdbus_msg msg = {
                .dst_id = destination ? a->dst_id : KDBUS_DST_ID_BROADCAST,
                .src_id = e->sender == MATCH_DRIVER ? KDBUS_SRC_ID_KERNEL : e->sender,
                .payload_type = KDBUS_PAYLOAD_DBUS,
                .cookie = h->serial,
        };

        if (wants) {
                msg.flags |= KDBUS_MSG_EXPECT_REPLY;
                msg.timeout_ns = INT64_MAX; /* the D-Bus bus keeps the time */
        } else {
                msg.cookie_reply = h->reply_serial;
        }
        if (h->flags & HEADER_NO_AUTO_START)
                msg.flags |= KDBUS_MSG_NO_AUTO_START;
        if (h->type == HEADER_SIGNAL)
                msg.flags |= KDBUS_MSG_SIGNAL;
        gvariant_buf_put(&a->head, &msg, sizeof(msg));
        if (destination && destination[0] != ':')
                add_item(&a->head, KDBUS_ITEM_DST_NAME, destination, h->destination.len + 1);
}

static void put_items(struct arrival *a, const struct kconn *conn, const struct envelope *e)
{
        struct kdbus_vec vec = {.size = a->v2.n, .address = 1};
        size_t n_bloom = sizeof(struct kdbus_bloom_filter) + conn->bus->bloom.size;
        struct kdbus_item *item;

        add_item(&a->head, KDBUS_ITEM_PAYLOAD_VEC, &vec, sizeof(vec));
        if (e->header.type == HEADER_SIGNAL) {
                item = add_item(&a->head, KDBUS_ITEM_BLOOM_FILTER, NULL, n_bloom);
                if (item) {
                        memset(item->data, 0, n_bloom);
                        fill_bloom(&conn->bus->bloom, (uint64_t *)item->bloom_filter.data, e);
                }
        }
        if (e->message.fds)
                add_item(&a->head, KDBUS_ITEM_FDS, NULL, e->message.fds->n * sizeof(int));
}

static int take_fds(struct kmsg *m, const struct fdset *fds)
{
        if (!fds)
                return 0;
        m->fds = calloc(1, sizeof(*m->fds) + fds->n * sizeof(int));
        if (!m->fds)
                return error_origin(-ENOMEM);
        m->fds->n_refs = 1;
        for (; m->fds->n_fds < fds->n; m->fds->n_fds++) {
                int fd = fcntl(fds->fds[m->fds->n_fds], F_DUPFD_CLOEXEC, 3);

                if (fd < 0)
                        return error_origin(-errno);
                m->fds->fds[m->fds->n_fds] = fd;
        }
        return 0;
}

/* a monitor sees who it is for; all others, that it is for them; holds the registry */
static uint64_t addressee(const struct bridge *bridge, const struct kconn *conn,
                          const struct envelope *e)
{
        const char *destination = envelope_text(e, e->header.destination);
        struct client *client;

        if (!destination || !kconn_is_monitor(conn))
                return conn->id;
        client = bus_find(bridge->bus, destination, e->header.destination.len);
        return client ? client->peer.id : KDBUS_DST_ID_NAME;
}

/* who sends, as far as the receiver wants to know; holds the registry */
static void identify(struct arrival *a, struct bridge *bridge, const struct kconn *conn, uint64_t id)
{
        struct client *client = bus_find_id(bridge->bus, id);
        int fd;

        a->caller.task = &a->task;
        if (!client)
                return;
        fd = conn->attach_recv & KMETA_PROC ? client->door->pidfd(client) : -1;
        if (fd >= 0)
                (void)task_open(&a->task, client->creds->pid, fd);
        a->caller.tid = client->creds->pid;
        render_names(client, &a->names);
        if (client->creds->has_uid)
                (void)kuser_get(conn->bus->domain, client->creds->uid, &a->payer);
}

/* not of this process's own: clothed for one receiver */
static int clothe(struct arrival *a, struct ghost *ghost, const struct envelope *e)
{
        struct kconn *conn = ghost->conn;
        struct kbus *kbus = conn->bus;
        int r;

        *a = (struct arrival){.task = TASK_NULL};
        r = transcode_to_v2(&a->v2, &e->header, e->data, envelope_body(e), style_of(ghost), false);
        if (r)
                return r;
        turn_read(ghost->bridge->turn);
        identify(a, ghost->bridge, conn, e->sender);
        a->dst_id = addressee(ghost->bridge, conn, e);
        turn_release(ghost->bridge->turn);
        put_head(a, conn, e);
        put_items(a, conn, e);
        if (a->head.error || a->names.error)
                return error_origin(-ENOMEM);
        a->m = (struct kmsg){
                .msg = (struct kdbus_msg *)a->head.data,
                .n_items = a->head.n - sizeof(struct kdbus_msg),
                .n_out = a->head.n - sizeof(struct kdbus_msg),
                .payload = {.bytes = a->v2.data, .n_bytes = a->v2.n, .file = -1},
                .n_vec = a->v2.n,
                .n_stream = a->v2.n,
                .foreign = true,
                .payer = a->payer,
                .caller = &a->caller,
                .extra = a->names.data,
                .n_extra = a->names.n,
        };
        a->m.msg->size = a->head.n;
        kmsg_stamp(&a->m, &kbus->last_seq);
        return take_fds(&a->m, e->message.fds);
}

/* how a sender sends that is or was on kdbus; the turn holds a side */
static bool find_manner(const struct bridge *bridge, uint64_t id, struct manner *out)
{
        struct kconn *conn = kbus_find(bridge->kbus, id);

        if (conn && conn->ghost) {
                *out = manner_of(conn->ghost);
                return true;
        }
        for (unsigned i = 0; i < DEPARTED; i++)
                if (id && bridge->departed[i].id == id) {
                        *out = bridge->departed[i];
                        return true;
                }
        return false;
}

static bool came_from_kdbus(const struct bridge *bridge, uint64_t id)
{
        struct manner ignored;
        bool yes;

        turn_read(bridge->turn);
        yes = find_manner(bridge, id, &ignored);
        turn_release(bridge->turn);
        return yes;
}

/* whether a broadcast from kdbus was or is to be heard there; the turn holds a side */
static bool heard_there(struct ghost *ghost, uint64_t id)
{
        struct kconn *src = kbus_find(ghost->bridge->kbus, id);
        struct manner manner;

        return find_manner(ghost->bridge, id, &manner) &&
               (!is_between(&manner, ghost) || (src && !kconn_may_talk(ghost->conn, NULL, src)));
}

/* whether a broadcast is for this one: its matches decide, and the filter a program would send */
static bool wants(struct ghost *ghost, const struct envelope *e)
{
        struct kconn *conn = ghost->conn;
        uint64_t filter[1 + KD_BLOOM_SIZE_MAX / 8] = {};
        struct kmatch_subject subject = {
                .src_id = e->sender,
                .dst_id = KDBUS_DST_ID_BROADCAST,
                .filter = (const struct kdbus_bloom_filter *)filter,
                .holds = client_has,
        };
        bool yes;

        fill_bloom(&conn->bus->bloom, filter + 1, e);
        turn_read(ghost->bridge->turn);
        subject.holds_data = bus_find_id(ghost->bridge->bus, e->sender);
        yes = !heard_there(ghost, e->sender) &&
              kmatch_passes(&conn->matches, &conn->bus->bloom, &subject);
        turn_release(ghost->bridge->turn);
        return yes;
}

/* an answer to a call: only if someone still waits for it */
static int on_reply(struct kconn *conn, struct kmsg *m, uint64_t cookie)
{
        struct kreply *reply = kreply_find_foreign(conn, cookie);
        struct kentry *answer = NULL;
        int r;

        if (!reply)
                return 0;
        if (!reply->sync) {
                kreply_free(reply);
                return kconn_queue(conn, m, NULL, 0);
        }
        r = kconn_make_entry(conn, m, &answer);
        kreply_finish(reply, r == -ECOMM ? -EREMOTEIO : r, answer);
        return 0;
}

static void on_message(struct ghost *ghost, struct envelope *e)
{
        struct kconn *conn = ghost->conn;
        struct arrival a;
        int r;

        if (on_driver_signal(ghost, e))
                return;
        if (kconn_is_monitor(conn) && came_from_kdbus(ghost->bridge, e->sender))
                return; /* it has seen it there */
        if (e->header.type == HEADER_SIGNAL && !e->header.destination.off &&
            !kconn_is_monitor(conn) && !wants(ghost, e))
                return;
        r = clothe(&a, ghost, e);
        if (!r && !kconn_is_monitor(conn) &&
            (e->header.type == HEADER_RETURN || e->header.type == HEADER_ERROR))
                r = on_reply(conn, &a.m, e->header.reply_serial);
        else if (!r)
                r = kconn_queue(conn, &a.m, NULL, 0);
        if (r)
                kconn_lose(conn);
        arrival_deinit(&a);
}

/* the program sees that something waits; it may look at what, and start the service */
static void summon(struct kconn *conn, const struct envelope *e)
{
        struct arrival a;
        int r;

        unsummon(conn);
        r = clothe(&a, conn->ghost, e);
        if (!r)
                r = kconn_queue(conn, &a.m, NULL, 0);
        if (!r)
                cds_list_entry(conn->queue.prev, struct kentry, link)->summons = true;
        else
                kconn_lose(conn);
        arrival_deinit(&a);
}

static void tell_activators(struct bridge *bridge)
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
                                on_message(ghost, envelope_of(entry->message));
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
        tell_activators(bridge);
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
