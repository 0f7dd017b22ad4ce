/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim/bus/route.h"
#include "shim/kdbus/bridge-private.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/kreply.h"
#include "shim/kdbus/limits.h"
#include "shim/wire/body.h"
#include "shim/wire/reader.h"
#include "shim/wire/transcode.h"

/*
 * From D-Bus to kdbus: what a ghost received is clothed as a kdbus message, with the sender's
 * metadata and the bloom filter that its program would have set, and queued for its connection, if
 * the connection would have had it from a sender on kdbus.
 */

/* --- bloom filters --------------------------------------------------------------------------- */

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

/* --- arrivals -------------------------------------------------------------------------------- */

void arrival_deinit(struct arrival *a)
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
        bridge_name_render(client, &a->names);
        if (client->creds->has_uid)
                (void)kuser_get(conn->bus->domain, client->creds->uid, &a->payer);
}

int arrival_clothe(struct arrival *a, struct ghost *ghost, const struct envelope *e)
{
        struct kconn *conn = ghost->conn;
        struct kbus *kbus = conn->bus;
        int r;

        *a = (struct arrival){.task = TASK_NULL};
        r = transcode_to_v2(&a->v2, &e->header, e->data, envelope_body(e), between_style(ghost),
                            false);
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

/* --- delivery -------------------------------------------------------------------------------- */

/* whether a broadcast is for this one: its matches decide, and the filter a program would send */
static bool wants(struct ghost *ghost, const struct envelope *e)
{
        struct kconn *conn = ghost->conn;
        uint64_t filter[1 + KD_BLOOM_SIZE_MAX / 8] = {};
        struct kmatch_subject subject = {
                .src_id = e->sender,
                .dst_id = KDBUS_DST_ID_BROADCAST,
                .filter = (const struct kdbus_bloom_filter *)filter,
                .holds = bridge_name_has,
        };
        bool yes;

        fill_bloom(&conn->bus->bloom, filter + 1, e);
        turn_read(ghost->bridge->turn);
        subject.holds_data = bus_find_id(ghost->bridge->bus, e->sender);
        yes = !between_heard_there(ghost, e->sender) &&
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

void to_kdbus_on_message(struct ghost *ghost, struct envelope *e)
{
        struct kconn *conn = ghost->conn;
        struct arrival a;
        int r;

        if (bridge_name_on_signal(ghost, e))
                return;
        if (kconn_is_monitor(conn) && between_came_from_kdbus(ghost->bridge, e->sender))
                return; /* it has seen it there */
        if (e->header.type == HEADER_SIGNAL && !e->header.destination.off &&
            !kconn_is_monitor(conn) && !wants(ghost, e))
                return;
        r = arrival_clothe(&a, ghost, e);
        if (!r && !kconn_is_monitor(conn) &&
            (e->header.type == HEADER_RETURN || e->header.type == HEADER_ERROR))
                r = on_reply(conn, &a.m, e->header.reply_serial);
        else if (!r)
                r = kconn_queue(conn, &a.m, NULL, 0);
        if (r)
                kconn_lose(conn);
        arrival_deinit(&a);
}
