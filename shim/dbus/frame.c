/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Frame: from bytes to messages
 *
 * Every whole message of what arrived is judged (shim/wire), put into an envelope with its
 * descriptors, and entered into the bus. Whatever breaks a rule of the wire costs the client its
 * connection: nothing after it can be trusted to begin where it seems to.
 */

#include "config.h"

#include <string.h>

#include "shim/bus/container.h"
#include "shim/bus/log.h"
#include "shim/bus/mediate.h"
#include "shim/bus/notice.h"
#include "shim/bus/route.h"
#include "shim/dbus/conn.h"
#include "shim/wire/body.h"
#include "shim/wire/error.h"
#include "shim/wire/type.h"

/* The rules about descriptors: as many as it says came with it, and not too many. */
static const char *check_fds(struct conn *conn, const struct header *h)
{
        if (h->n_fds > limit_get(&conn->client.limits.max_message_unix_fds)) {
                conn->limit = LIMIT_INDEX(max_message_unix_fds);
                return "message has more descriptors than max_message_unix_fds allows";
        }
        if (h->n_fds > conn->in.n_fds)
                return "message has fewer descriptors than it says";
        return NULL;
}

static const char *check(struct conn *conn, struct header *h, struct header_memo *memo,
                         const uint8_t *msg, size_t n)
{
        int r;

        r = header_parse_like(h, memo, msg, n);
        if (!r)
                r = body_validate(header_text(msg, h->signature), h->signature.len, h->swap,
                                  msg + h->size, h->body_size, NULL);
        return r ? wire_strerror(r) : check_fds(conn, h);
}

/* The first @n of the descriptors that came become the message's. */
static int give_fds(struct conn *conn, struct envelope *e, size_t n)
{
        int r;

        if (!n)
                return 0;
        r = fdset_new(&e->message.fds, conn->in.fds, n);
        if (r)
                return error_fold(r);
        conn->in.n_fds -= n;
        memmove(conn->in.fds, conn->in.fds + n, conn->in.n_fds * sizeof(int));
        if (!conn->in.n_fds)
                timer_clear(&conn->timer);
        return 0;
}

static struct envelope_sender sender_of(struct conn *conn)
{
        struct client *client = &conn->client;
        const char *container = NULL;

        if (atomic_load_explicit(&client->bus->container_headers, memory_order_relaxed))
                container = client->container ? client->container->path : "/";
        return (struct envelope_sender){
                .id = client->peer.id,
                .name = client->state == CLIENT_NEW ? ":not.active.yet" : client->name,
                .name_len = client->state == CLIENT_NEW ? strlen(":not.active.yet")
                                                        : client->name_len,
                .account = client->peer.account,
                .container = container,
                .container_len = container ? strlen(container) : 0,
        };
}

/* Before Hello there is nobody to talk to but the bus. */
static const char *enter_new(struct conn *conn, struct turn *turn, struct envelope *e)
{
        const char *name = envelope_text(e, e->header.destination);

        if (e->header.type != HEADER_CALL || (name && strcmp(name, BUS_NAME) != 0))
                return "message sent before Hello";
        route_monitors(turn, &turn->out, &conn->client.peer, e, NULL);
        route_commit(turn);
        if (!mediate_off(turn->bus->mediation) &&
            !mediation_send(turn, &conn->client, e, NULL, false, true))
                return NULL;
        turn->bus->local->call(turn, &conn->client, e);
        return NULL;
}

/* Enters one message that was found good; consumes @e. */
static const char *enter(struct conn *conn, struct turn *turn, struct envelope *e)
{
        struct client *client = &conn->client;
        const char *reason = NULL;

        counts_add(&client->count, COUNT_MESSAGES_IN, 1);
        counts_add(&client->count, COUNT_BYTES_IN, e->size);
        if (e->message.fds)
                counts_add(&client->count, COUNT_FDS_IN, e->message.fds->n);
        turn_read(turn);
        if (client->state == CLIENT_ACTIVE)
                client_send(turn, client, e);
        else if (client->state == CLIENT_NEW)
                reason = enter_new(conn, turn, e);
        else
                reason = "a monitor may not send";
        turn_commit(turn);
        envelope_unref(e);
        if (turn->full)
                conn_wait(conn, turn);
        if (client->state == CLIENT_ACTIVE && conn->timer.due && !conn->in.n_fds)
                timer_clear(&conn->timer); /* Hello was in time */
        return reason;
}

static const char *handle(struct conn *conn, struct turn *turn, struct header_memo *memo,
                          const uint8_t *msg, size_t n)
{
        const struct envelope_sender sender = sender_of(conn);
        struct envelope *e;
        const char *reason;
        struct header h;

        reason = check(conn, &h, memo, msg, n);
        if (reason)
                return reason;
        if (envelope_copy(&e, &h, msg, &sender))
                return "not enough memory";
        if (give_fds(conn, e, h.n_fds)) {
                envelope_unref(e);
                return "not enough memory";
        }
        return enter(conn, turn, e);
}

/* Its sender's name made it longer than any message may be: nobody could receive it. */
static void refuse_too_long(struct conn *conn, struct turn *turn, struct envelope *e)
{
        turn_read(turn);
        notice_error(turn, &conn->client, e, OUTCOME_LIMITS_EXCEEDED,
                     "The message has %u bytes with the sender's name in it: %u are allowed",
                     e->size, TYPE_MESSAGE_MAX);
        turn_commit(turn);
        envelope_unref(e);
}

int conn_take_large(struct conn *conn, struct turn *turn, const char **reason)
{
        const struct envelope_sender sender = sender_of(conn);
        struct envelope *e = steal(&conn->in.large);
        struct header_memo memo = {};
        struct header h;

        *reason = check(conn, &h, &memo, e->data, e->size);
        if (!*reason && (envelope_stamp(e, &h, &sender) || give_fds(conn, e, h.n_fds)))
                *reason = "not enough memory";
        if (*reason)
                envelope_unref(e);
        else if (e->size > TYPE_MESSAGE_MAX)
                refuse_too_long(conn, turn, e);
        else
                *reason = enter(conn, turn, e);
        return *reason ? -1 : 0;
}

/* A large message has begun: what there is of it moves to where all of it will be. */
static int begin_large(struct conn *conn, const uint8_t *data, size_t n, uint32_t total)
{
        int r;

        r = envelope_reserve(&conn->in.large, total);
        if (r)
                return error_fold(r);
        memcpy(conn->in.large->data, data, n);
        conn->in.have = n;
        conn->in.expect_large = true;
        return 0;
}

ssize_t conn_take(struct conn *conn, struct turn *turn, const uint8_t *data, size_t n,
                  const char **reason)
{
        uint32_t max = MIN(limit_get(&conn->client.limits.max_message_size), (uint64_t)UINT32_MAX);
        struct header_memo memo = { .msg = NULL };
        size_t done = 0;
        uint32_t total;
        int r;

        while (n - done >= HEADER_FIXED && !conn->wait.to) {
                r = header_frame(data + done, max, NULL, &total);
                if (r) {
                        if (r == WIRE_E_MESSAGE_SIZE)
                                conn->limit = LIMIT_INDEX(max_message_size);
                        *reason = wire_strerror(r);
                        return -1;
                }
                if (total > n - done) {
                        if (total < CONN_LARGE)
                                return done;
                        if (!begin_large(conn, data + done, n - done, total))
                                return n;
                        *reason = "not enough memory";
                        return -1;
                }
                conn->in.expect_large = total >= CONN_LARGE;
                *reason = handle(conn, turn, &memo, data + done, total);
                if (*reason)
                        return -1;
                done += total;
                if (conn->doomed)
                        return n;
                turn_relieve(turn);
        }
        return done;
}
