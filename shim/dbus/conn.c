/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "shim/bus/container.h"
#include "shim/bus/log.h"
#include "shim/bus/notice.h"
#include "shim/bus/pressure.h"
#include "shim/dbus/conn.h"

#define MAX_FDS 253            /* the kernel's SCM_MAX_FD */
#define COPY_MAX (32 * 1024)   /* bytes copied together for one sendmsg */
#define COPY_EACH 1024         /* a message up to this size is copied rather than pointed at */
#define IOV_MAX_ 64            /* pieces of one sendmsg */
#define TAKE_MAX 256           /* entries taken from the inbox at once */
#define HEADER_READ 512        /* bytes to read when the next message is likely to be large */
#define ANSWERS_MAX (64 * 1024) /* bytes of answers in a conversation that are not yet read */
#define REST_FREE 4096         /* bytes of an unfinished message that are not charged */
#define HOLD_MAX (64 << 20)    /* own unread bytes beyond which a client is not read */

static const struct door conn_door;

/* --- the end --------------------------------------------------------------------------------- */

static void conn_free(struct client *client)
{
        struct conn *conn = conn_of(client);

        fdset_close(conn->in.fds, conn->in.n_fds);
        free(conn->in.fds);
        cache_free(conn->in.data);
        envelope_unref(conn->in.large);
        charge_drop(&conn->charge);
        peer_release_all(&client->peer, &conn->out.entries);
        closep(&conn->fd);
        free(conn->auth);
        client_deinit(client);
        free(conn);
}

/* The bus gives the client up: the owner will find its socket at its end. */
static void conn_close(struct client *client)
{
        struct conn *conn = conn_of(client);

        atomic_store(&conn->doomed, true);
        shutdown(conn->fd, SHUT_RDWR);
}

void conn_end(struct conn *conn, struct turn *turn, const char *reason)
{
        struct client *client = &conn->client;

        if (conn->ended)
                return;
        conn->ended = true;
        timer_clear(&conn->timer);
        timer_clear(&conn->wait.timer);
        conn->wait.to = client_unref(conn->wait.to);
        cds_list_del(&conn->link);
        turn_release(turn);
        if (reason)
                client_drain(client); /* what it may still read: why it was refused */
        turn_write(turn);
        if (reason)
                client_record(client, conn->limit, reason);
        client_disconnect(turn, client);
        turn_commit(turn);
        turn_release(turn);
        /* also if it is closed right now: a child between fork and exec may have it still */
        watch_stop(&conn->watch);
        if (peer_is_shared(&client->peer))
                shutdown(conn->fd, SHUT_RDWR);
        client_unref(client);
}

/* --- arrive ---------------------------------------------------------------------------------- */

static const char *keep_fds(struct conn *conn, const int *fds, size_t n, struct turn *turn)
{
        const struct limits *limits = &conn->client.limits;
        int *more;

        if (conn->auth || !conn->client.accepts_fds) {
                fdset_close(fds, n);
                return conn->auth ? "descriptors sent during authentication"
                                  : "descriptors sent without having negotiated them";
        }
        more = realloc(conn->in.fds, (conn->in.n_fds + n) * sizeof(int));
        if (!more) {
                fdset_close(fds, n);
                return "not enough memory";
        }
        memcpy(more + conn->in.n_fds, fds, n * sizeof(int));
        conn->in.fds = more;
        conn->in.n_fds += n;
        peak_relaxed(&conn->client.partial.peak_fds, conn->in.n_fds);
        if (conn->in.n_fds > limit_get(&limits->max_message_unix_fds) + MAX_FDS) {
                conn->limit = LIMIT_INDEX(max_message_unix_fds);
                return "descriptors pile up that no message claims";
        }
        timer_set(&conn->timer, conn->watch.poller, limit_get(&limits->pending_fd_timeout) * 1000);
        return NULL;
}

static const char *take_control(struct conn *conn, struct msghdr *mh, struct turn *turn)
{
        const char *reason = NULL;
        struct cmsghdr *c;
        size_t n;

        for (c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                if (reason)
                        fdset_close((int *)CMSG_DATA(c), n);
                else
                        reason = keep_fds(conn, (int *)CMSG_DATA(c), n, turn);
        }
        if (!reason && (mh->msg_flags & MSG_CTRUNC))
                reason = "descriptors were lost: out of descriptors, or a security module took them";
        return reason;
}

/* One recvmsg. Returns the bytes read, 0 at the end, -EAGAIN, another errno, or 1 with @reason. */
static ssize_t receive(struct conn *conn, struct turn *turn, struct iovec *iov, size_t n_iov,
                       const char **reason)
{
        union {
                char buf[CMSG_SPACE(MAX_FDS * sizeof(int))];
                struct cmsghdr align;
        } control;
        struct msghdr mh = {
                .msg_iov = iov,
                .msg_iovlen = n_iov,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        ssize_t n;

        do {
                n = recvmsg(conn->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        } while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        turn_has_read(turn, n);
        *reason = mh.msg_controllen || (mh.msg_flags & MSG_CTRUNC) ? take_control(conn, &mh, turn)
                                                                   : NULL;
        return n;
}

static const char too_much[] =
        "its user has more on its way to the bus, and queued, than max_outgoing_bytes and "
        "max_outgoing_unix_fds for each of max_connections_per_user";

/* Keeps what is left of an unfinished line or message until more comes. */
static int keep_rest(struct conn *conn, const uint8_t *data, size_t n)
{
        uint8_t *block = NULL;

        if (n) {
                block = cache_alloc(n);
                if (!block)
                        return error_origin(-ENOMEM);
                memcpy(block, data, n);
        }
        cache_free(conn->in.data);
        conn->in.data = block;
        conn->in.n = n;
        return 0;
}

/* The conversation proved another identity than the kernel's: that of a cookie, or none. */
static int identify(struct conn *conn, struct turn *turn)
{
        _cleanup_(creds_unrefp) struct creds *creds = NULL;
        int r;

        if (conn->auth->has_uid)
                r = creds_of_uid(&creds, conn->auth->uid);
        else
                r = creds_anonymous(&creds, conn->client.creds);
        return error_fold(r ? r : client_identify(turn, &conn->client, creds));
}

static const char *authenticated(struct conn *conn, struct turn *turn)
{
        struct client *client = &conn->client;
        const struct auth *auth = conn->auth;
        struct policy_verdict verdict;

        if (!auth->has_uid && !conn->config->allow_anonymous)
                return "anonymous clients are not allowed here";
        turn_write(turn);
        if (auth->has_uid != client->creds->has_uid && identify(conn, turn))
                return "not enough memory";
        if (client->creds->has_uid) {
                const struct policy_creds pc = {
                        .uid = client->creds->uid,
                        .gids = client->creds->gids,
                        .n_gids = client->creds->has_gids ? client->creds->n_gids : 0,
                };

                if (!policy_can_connect(turn->bus->policy, &pc, turn->bus->creds->uid, &verdict))
                        return "policy does not let this user connect";
        }
        client->accepts_fds = auth->fds;
        free(steal(&conn->auth));
        return NULL;
}

/* Answers of the conversation take the way of all messages, so that they leave with Hello's. */
static const char *answer(struct conn *conn, struct turn *turn, const char *text, size_t n)
{
        _cleanup_(envelope_unrefp) struct envelope *e = NULL;
        struct client *client = &conn->client;

        if (!n)
                return NULL;
        if (client->peer.queued_bytes > ANSWERS_MAX)
                return "it does not read the answers to its authentication";
        if (envelope_of_text(&e, text, n) || peer_send(&turn->bus->self, &client->peer, &e->message))
                return "not enough memory";
        turn_touch(turn, client);
        return NULL;
}

/* Feeds the conversation; returns the bytes used, or -1 to drop. */
static ssize_t take_auth(struct conn *conn, struct turn *turn, const uint8_t *data, size_t n,
                         const char **reason)
{
        char reply[4 * AUTH_REPLY_MAX];
        size_t done = 0, used, n_reply;
        int verdict;

        do {
                verdict = auth_feed(conn->auth, data + done, n - done, &used, reply, sizeof(reply),
                                    &n_reply);
                if (verdict < 0) {
                        *reason = "authentication failed for lack of memory or files";
                        return -1;
                }
                done += used;
                *reason = answer(conn, turn, reply, n_reply);
                if (*reason)
                        return -1;
        } while (verdict == AUTH_FULL);
        if (verdict == AUTH_DROP)
                *reason = auth_reason(conn->auth);
        else if (verdict == AUTH_DONE)
                *reason = authenticated(conn, turn);
        return *reason ? -1 : (ssize_t)done;
}

/* Whatever whole lines and messages there are; the rest is kept. */
static const char *take(struct conn *conn, struct turn *turn, const uint8_t *data, size_t n)
{
        const char *reason = NULL;
        size_t done = 0;
        ssize_t used;

        if (conn->config->nonce && !conn->nonce_seen) {
                if (n < CONN_NONCE)
                        return keep_rest(conn, data, n) ? "not enough memory" : NULL;
                if (memcmp(data, conn->config->nonce, CONN_NONCE) != 0)
                        return "it does not know the nonce";
                conn->nonce_seen = true;
                done = CONN_NONCE;
        }
        if (conn->auth) {
                used = take_auth(conn, turn, data + done, n - done, &reason);
                if (used < 0)
                        return reason;
                done += used;
        }
        if (!conn->auth) {
                used = conn_take(conn, turn, data + done, n - done, &reason);
                if (used < 0)
                        return reason;
                done += used;
        }
        return keep_rest(conn, data + done, n - done) ? "not enough memory" : NULL;
}

/* Unread answers of its own beyond the limit: it is not read until it reads. */
static void hold_back(struct conn *conn)
{
        struct client *client = &conn->client;
        uint64_t max = MIN(limit_get(&client->peer.limits.bytes), (uint64_t)HOLD_MAX);

        if (atomic_load_explicit(&client->peer.queued_bytes, memory_order_relaxed) <= max)
                return;
        watch_change(&conn->watch, EPOLLIN, 0);
        atomic_store(&conn->held, true);
        client_drain(client);
}

/* Charges what has come of something unfinished; false if the user has too much of that. */
static bool charge_rest(struct conn *conn)
{
        struct client *client = &conn->client;
        uint64_t amount[ACCOUNT_N_SLOTS] = {
                [ACCOUNT_BYTES] = conn->in.large          ? conn->in.large->message.size
                                  : conn->in.n > REST_FREE ? conn->in.n
                                                           : 0,
                [ACCOUNT_FDS] = conn->in.n_fds,
        };
        uint64_t came = conn->in.large ? conn->in.have : conn->in.n;

        if (conn->auth)
                amount[ACCOUNT_BYTES] += sizeof(*conn) + sizeof(*conn->auth);
        if (came != client->partial.bytes)
                client->partial.bytes = came;
        if (conn->in.n_fds != client->partial.fds)
                client->partial.fds = conn->in.n_fds;
        if (amount[ACCOUNT_BYTES] == conn->charge.amount[ACCOUNT_BYTES] &&
            amount[ACCOUNT_FDS] == conn->charge.amount[ACCOUNT_FDS])
                return true;
        charge_drop(&conn->charge);
        conn->charge = CHARGE_NULL;
        if (!amount[ACCOUNT_BYTES] && !amount[ACCOUNT_FDS])
                return true;
        if (!charge_take(&conn->charge, client->peer.account, client->peer.account, amount))
                return true;
        conn->limit = LIMIT_INDEX(max_outgoing_bytes);
        return false;
}

/* --- waiting for a receiver ------------------------------------------------------------------ */

void conn_wait(struct conn *conn, struct turn *turn)
{
        if (conn->wait.to || conn->ended || turn->full == &conn->client) {
                turn->full = client_unref(turn->full);
                return;
        }
        conn->wait.to = steal(&turn->full);
        atomic_store(&conn->waits, true);
        conn->wait.since = now_usec();
        watch_change(&conn->watch, EPOLLIN, 0);
        timer_set(&conn->wait.timer, conn->watch.poller, PRESSURE_LOOK_USEC);
}

/* Whole messages may have been kept: they come before what is still in the socket. */
static void go_on(struct conn *conn, struct turn *turn)
{
        uint8_t *data = steal(&conn->in.data);
        size_t n = conn->in.n;
        const char *reason;

        conn->in.n = 0;
        reason = take(conn, turn, data, n);
        cache_free(data);
        if (!reason && !charge_rest(conn))
                reason = too_much;
        if (reason || conn->doomed)
                conn_end(conn, turn, reason);
        else if (!conn->wait.to && !atomic_load(&conn->held))
                watch_change(&conn->watch, 0, EPOLLIN);
        turn_release(turn);
        turn_drain(turn);
}

static void look_again(struct timer *timer, struct turn *turn)
{
        struct conn *conn = container_of(timer, struct conn, wait.timer);

        if (!conn->doomed && !pressure_is_over(conn->wait.to, conn->wait.since)) {
                timer_set(timer, conn->watch.poller, PRESSURE_LOOK_USEC);
                return;
        }
        conn->wait.to = client_unref(conn->wait.to);
        atomic_store(&conn->waits, false);
        go_on(conn, turn);
}

/* --- reading --------------------------------------------------------------------------------- */

static ssize_t read_large(struct conn *conn, struct turn *turn, const char **reason)
{
        struct envelope *e = conn->in.large;
        struct iovec iov[] = {
                { e->data + conn->in.have, e->size - conn->in.have },
                { turn->buffer, HEADER_READ },
        };
        ssize_t n;
        size_t over;

        n = receive(conn, turn, iov, 2, reason);
        if (n <= 0 || *reason)
                return n;
        over = (size_t)n > iov[0].iov_len ? n - iov[0].iov_len : 0;
        conn->in.have += n - over;
        peak_relaxed(&conn->client.partial.peak_bytes, conn->in.have + over);
        if (conn->in.have < e->size)
                return n;
        if (!conn_take_large(conn, turn, reason))
                *reason = take(conn, turn, turn->buffer, over);
        return n;
}

static ssize_t read_small(struct conn *conn, struct turn *turn, const char **reason)
{
        struct iovec iov;
        ssize_t n;

        memcpy(turn->buffer, conn->in.data ? conn->in.data : (uint8_t *)"", conn->in.n);
        iov.iov_base = turn->buffer + conn->in.n;
        iov.iov_len = conn->in.expect_large ? HEADER_READ : turn->budget;
        n = receive(conn, turn, &iov, 1, reason);
        if (n <= 0 || *reason)
                return n;
        peak_relaxed(&conn->client.partial.peak_bytes, conn->in.n + n);
        *reason = take(conn, turn, turn->buffer, conn->in.n + n);
        return n;
}

static void conn_readable(struct conn *conn, struct turn *turn)
{
        const char *reason = NULL;
        ssize_t n;

        n = conn->in.large ? read_large(conn, turn, &reason) : read_small(conn, turn, &reason);
        watch_more(&conn->watch, n >= (ssize_t)turn->budget);
        if (!reason && n > 0 && !charge_rest(conn))
                reason = too_much;
        if (reason || n == 0 || (n < 0 && n != -EAGAIN) || conn->doomed)
                conn_end(conn, turn, reason);
        else
                hold_back(conn);
        turn_release(turn);
}

static void conn_event(struct watch *watch, uint32_t events, struct turn *turn)
{
        struct conn *conn = container_of(watch, struct conn, watch);

        if (events & EPOLLOUT) {
                watch_change(watch, EPOLLOUT, 0);
                atomic_store(&conn->out.full, false);
                client_drain(&conn->client);
        }
        if (conn->wait.to)
                return; /* what it sent before it hung up is read when it may go on */
        if (events & EPOLLIN)
                conn_readable(conn, turn);
        else if (events & (EPOLLHUP | EPOLLERR))
                conn_end(conn, turn, NULL);
}

static void conn_timeout(struct timer *timer, struct turn *turn)
{
        struct conn *conn = container_of(timer, struct conn, timer);

        conn->limit = conn->in.n_fds ? LIMIT_INDEX(pending_fd_timeout) : LIMIT_INDEX(auth_timeout);
        conn_end(conn, turn, conn->in.n_fds
                                     ? "descriptors without their message (pending_fd_timeout)"
                                     : "not authenticated in time (auth_timeout)");
}

/* --- another owner --------------------------------------------------------------------------- */

void conn_leave(struct conn *conn)
{
        cds_list_del(&conn->link);
        timer_leave(&conn->timer);
        timer_leave(&conn->wait.timer);
        watch_leave(&conn->watch);
}

void conn_enter(struct conn *conn, struct turn *turn, struct poller *poller,
                struct cds_list_head *owned)
{
        int r;

        cds_list_add_tail(&conn->link, owned);
        conn->weighed = conn_work(conn);
        timer_enter(&conn->timer, poller);
        timer_enter(&conn->wait.timer, poller);
        r = watch_enter(&conn->watch, poller);
        if (r)
                conn_end(conn, turn, "it could not be served any longer");
}

/* A delivery, most often a write and a thread woken, costs as much as reading a few messages. */
uint64_t conn_work(const struct conn *conn)
{
        const struct counts *count = &conn->client.count;

        return counts_get(count, COUNT_MESSAGES_IN) + 4 * counts_get(count, COUNT_WAKEUPS_CAUSED) +
               counts_get(count, COUNT_BYTES_IN) / 2048;
}

/* --- leave ----------------------------------------------------------------------------------- */

/* What one sendmsg takes: pieces that point into envelopes, or into copies of small ones. */
struct batch {
        struct iovec iov[IOV_MAX_];
        size_t n_iov;
        size_t n_copied;
        size_t size;
        const struct fdset *fds;
        bool full;
        uint8_t copy[COPY_MAX];
};

static void batch_piece(struct batch *b, uint8_t *data, size_t n)
{
        struct iovec *last = b->n_iov ? &b->iov[b->n_iov - 1] : NULL;

        if (last && (uint8_t *)last->iov_base + last->iov_len == data)
                last->iov_len += n;
        else
                b->iov[b->n_iov++] = (struct iovec){ data, n };
        b->size += n;
}

/* What @conn is not to see of a message: others have asked for it. */
static struct span hidden(const struct conn *conn, const struct envelope *e)
{
        return conn->out.with_container ? (struct span){0, 0} : header_container_field(&e->header);
}

/* The same as batch_add() for a message without the field @hide. */
static void batch_add_without(struct batch *b, struct envelope *e, size_t offset, struct span hide)
{
        uint8_t *fixed = b->copy + b->n_copied;
        const struct iovec pieces[] = {
                { fixed, HEADER_FIXED },
                { e->data + HEADER_FIXED, hide.off - HEADER_FIXED },
                { e->data + hide.off + hide.len, e->size - hide.off - hide.len },
        };

        header_without_container(fixed, &e->header, e->data);
        b->n_copied += HEADER_FIXED;
        for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
                size_t skip = MIN(offset, pieces[i].iov_len);

                offset -= skip;
                if (skip < pieces[i].iov_len)
                        batch_piece(b, (uint8_t *)pieces[i].iov_base + skip,
                                    pieces[i].iov_len - skip);
        }
}

/* True if the message from its byte @offset on, without the field @hide, went in. */
static bool batch_add(struct batch *b, struct envelope *e, size_t offset, struct span hide)
{
        size_t n = e->size - offset;
        bool copy = n <= COPY_EACH && !hide.len;

        if (b->n_iov == IOV_MAX_ || (copy && b->n_copied + n > COPY_MAX))
                return false;
        if (hide.len && (b->n_iov + 3 > IOV_MAX_ || b->n_copied + HEADER_FIXED > COPY_MAX))
                return false;
        if (e->message.fds && !offset) {
                if (b->size)
                        return false; /* descriptors go with the first byte of a sendmsg */
                b->fds = e->message.fds;
        }
        if (hide.len) {
                batch_add_without(b, e, offset, hide);
                return true;
        }
        if (copy) {
                memcpy(b->copy + b->n_copied, e->data + offset, n);
                batch_piece(b, b->copy + b->n_copied, n);
                b->n_copied += n;
        } else {
                batch_piece(b, e->data + offset, n);
        }
        return true;
}

static void batch_fill(struct batch *b, struct conn *conn)
{
        size_t offset = conn->out.offset;
        struct inbox_entry *entry;

        b->n_iov = b->n_copied = b->size = 0;
        b->fds = NULL;
        if (!offset) /* a message that has begun goes on as it is */
                conn->out.with_container = atomic_load_explicit(&conn->client.wants_container,
                                                                memory_order_relaxed);
        cds_list_for_each_entry(entry, &conn->out.entries, link) {
                struct envelope *e = envelope_of(entry->message);

                if (!batch_add(b, e, offset, hidden(conn, e)))
                        return;
                offset = 0;
        }
}

static ssize_t batch_send(struct batch *b, int fd)
{
        union {
                char buf[CMSG_SPACE(MAX_FDS * sizeof(int))];
                struct cmsghdr align;
        } control;
        struct msghdr mh = { .msg_iov = b->iov, .msg_iovlen = b->n_iov };
        struct cmsghdr *c;
        ssize_t n;

        if (b->fds) {
                mh.msg_control = &control;
                mh.msg_controllen = CMSG_SPACE(b->fds->n * sizeof(int));
                memset(&control, 0, mh.msg_controllen); /* its padding too goes to the kernel */
                c = CMSG_FIRSTHDR(&mh);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(b->fds->n * sizeof(int));
                memcpy(CMSG_DATA(c), b->fds->fds, b->fds->n * sizeof(int));
        }
        do {
                n = sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
        } while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

/* @n more bytes are written: what is whole is given back. */
static void written(struct conn *conn, size_t n)
{
        struct client *client = &conn->client;
        struct inbox_entry *entry, *next;

        uint64_t done = 0;

        counts_add(&client->count, COUNT_BYTES_OUT, n);
        counts_add(&client->count, COUNT_WAKEUPS, 1);
        n += conn->out.offset;
        cds_list_for_each_entry_safe(entry, next, &conn->out.entries, link) {
                const struct envelope *e = envelope_of(entry->message);
                size_t size = e->size - hidden(conn, e).len;

                if (n < size)
                        break;
                n -= size;
                if (entry->fds)
                        counts_add(&client->count, COUNT_FDS_OUT, entry->fds);
                cds_list_del(&entry->link);
                peer_release(&client->peer, entry);
                done++;
        }
        counts_add(&client->count, COUNT_MESSAGES_OUT, done);
        conn->out.offset = n;
}

/* Nobody will read this: the owner will see the end of the socket. */
static void drop_output(struct conn *conn)
{
        conn->out.broken = true;
        conn->out.offset = 0;
        peer_release_all(&conn->client.peer, &conn->out.entries);
}

static void read_again(struct conn *conn)
{
        const struct peer *peer = &conn->client.peer;

        if (atomic_load(&conn->held) &&
            atomic_load(&peer->queued_bytes) <= MIN(limit_get(&peer->limits.bytes), (uint64_t)HOLD_MAX) / 2 &&
            atomic_exchange(&conn->held, false) && !atomic_load(&conn->waits))
                watch_change(&conn->watch, 0, EPOLLIN);
}

static void count_unsent(struct conn *conn)
{
        struct inbox_entry *entry;
        size_t n = 0;

        cds_list_for_each_entry(entry, &conn->out.entries, link)
                n++;
        atomic_store_explicit(&conn->client.unsent, n, memory_order_relaxed);
}

static void conn_drain(struct client *client)
{
        struct conn *conn = conn_of(client);
        struct batch batch;
        ssize_t n;

        while (!atomic_load_explicit(&conn->out.full, memory_order_relaxed)) {
                if (cds_list_empty(&conn->out.entries) &&
                    !peer_receive(&client->peer, &conn->out.entries, TAKE_MAX)) {
                        if (atomic_load_explicit(&client->stuck, memory_order_relaxed))
                                atomic_store(&client->stuck, false);
                        atomic_store_explicit(&client->unsent, 0, memory_order_relaxed);
                        break;
                }
                if (conn->out.broken) {
                        drop_output(conn);
                        continue;
                }
                batch_fill(&batch, conn);
                n = batch_send(&batch, conn->fd);
                if (n == -EAGAIN) {
                        count_unsent(conn);
                        atomic_store(&conn->out.full, true); /* before the event that ends it */
                        watch_change(&conn->watch, 0, EPOLLOUT);
                        break;
                }
                if (n < 0)
                        drop_output(conn);
                else
                        written(conn, n);
        }
        read_again(conn);
}

static int conn_pidfd(struct client *client)
{
        return creds_pidfd(conn_of(client)->fd);
}

static const struct door conn_door = {
        .drain = conn_drain,
        .pidfd = conn_pidfd,
        .close = conn_close,
        .free = conn_free,
};

/* --- the beginning --------------------------------------------------------------------------- */

static int conn_start(struct conn *conn, struct turn *turn, struct poller *poller)
{
        const struct creds *creds = conn->client.creds;
        const struct auth_config config = {
                .mechanisms = conn->config->mechanisms,
                .fds = conn->config->can_pass_fds,
                .has_uid = creds->has_uid,
                .uid = creds->uid,
                .challenge = conn->config->challenge,
                .ctx = conn->config->challenge_ctx,
        };
        uint64_t auth_timeout = limit_get(&turn->bus->limits.auth_timeout);
        int r;

        conn->auth = malloc(sizeof(*conn->auth));
        if (!conn->auth)
                return error_origin(-ENOMEM);
        auth_init(conn->auth, &config);
        memcpy(conn->auth->config.guid, conn->config->guid, sizeof(conn->config->guid));
        r = watch_start(&conn->watch, poller, conn->fd, EPOLLIN, conn_event);
        if (r)
                return error_fold(r);
        conn->timer.fn = conn_timeout;
        if (auth_timeout != LIMIT_NEVER)
                timer_set(&conn->timer, poller, auth_timeout * 1000);
        return 0;
}

void conn_refuse(struct bus *bus, const struct conn_config *config, int fd)
{
        bus_forget_client(bus);
        close(fd);
        container_unref(config->container);
}

int conn_new(struct turn *turn, struct poller *poller, struct cds_list_head *owned,
             const struct conn_config *config, int fd)
{
        _cleanup_(creds_unrefp) struct creds *creds = NULL;
        struct conn *conn;
        int r;

        r = creds_from_socket(&creds, fd);
        conn = r ? NULL : calloc(1, sizeof(*conn));
        if (!conn) {
                conn_refuse(turn->bus, config, fd);
                return r ? error_fold(r) : error_origin(-ENOMEM);
        }
        conn->config = config;
        conn->fd = fd;
        conn->watch.fd = -1;
        conn->limit = PRESSURE_NO_LIMIT;
        conn->wait.timer.fn = look_again;
        CDS_INIT_LIST_HEAD(&conn->out.entries);
        turn_write(turn);
        r = client_init(&conn->client, turn->bus, &conn_door, creds);
        if (!r && config->container)
                container_join(config->container, &conn->client);
        turn_release(turn);
        if (r) {
                conn_refuse(turn->bus, config, fd);
                free(conn);
                return error_fold(r);
        }
        cds_list_add_tail(&conn->link, owned);
        r = conn_start(conn, turn, poller);
        if (r)
                conn_end(conn, turn, "it could not be served");
        else
                conn_readable(conn, turn); /* who connects has something to say, most often already */
        return error_fold(r);
}
