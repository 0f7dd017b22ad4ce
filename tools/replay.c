/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "bus-core/util/error.h"
#include "shim/bus/table.h"
#include "shim/wire/body.h"
#include "shim/wire/bytes.h"
#include "tools/actor.h"
#include "tools/message.h"
#include "tools/meta.h"
#include "tools/normal.h"
#include "tools/order.h"
#include "tools/replay.h"
#include "tools/rewrite.h"
#include "tools/sent.h"

#define WINDOW_MESSAGES 2048U         /* admitted and not yet sent */
#define WINDOW_BYTES (32U << 20)
#define OUT_MAX (4U << 20)            /* bytes that one connection may have waiting */
#define UNSETTLED_MAX 512U            /* then the actor pings without being asked */
#define PATIENCE_NS UINT64_C(10000000) /* without progress, before something is taken for lost */
#define PATIENCE_MIN_NS UINT64_C(1000000)
#define STALL_MS 20000U
#define LATE_NS UINT64_C(10000000000) /* for a program to fail to start, at the very most */
#define PONG_NS UINT64_C(2000000000) /* without any progress, before a ping is taken for lost */
#define GONE_POLLS 2000               /* of the bus, until it has noticed a disconnect */
#define NOBODY UINT32_MAX
#define N_EVENTS 64

struct live_name {
        char name[64];
        uint32_t actor;
        UT_hash_handle hh;
};

struct replay {
        struct recording *rec;
        const struct replay_options *options;
        struct replay_result *result;
        struct actor *actors;
        size_t n_actors;
        uint32_t *active;
        size_t n_active;
        struct live_name *live; /* unique names of now */
        struct busconn watcher; /* a connection of our own, for questions */
        struct sent_table sent;
        struct order order;
        struct buf scratch;
        int epoll, stand_in;
        uint32_t own_pid;

        struct recorded_message next; /* read, not admitted yet */
        bool has_next, at_end;
        uint32_t exclusive; /* the actor which alone may send, since it changes the bus's state */
        size_t n_queued, queued_bytes;
        uint64_t n_unsettled;

        struct op **signals; /* admitted, not settled; a ring */
        uint64_t signals_first, signals_end;

        uint64_t start_ns, first_time_ns, progress_ns, patience_ns, shown_ns;
        bool pings_forgotten; /* since there was progress */
        uint64_t step; /* goes up with all that makes the bus send something */
};

#define SIGNALS_SIZE 8192U /* more than the window */

static uint64_t now_ns(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static int end_early(struct replay *r, const char *what, int e)
{
        snprintf(r->result->error, sizeof(r->result->error), "%s%s%s", what, e ? ": " : "",
                 e ? busconn_strerror(e) : "");
        return 1;
}

static void make_active(struct replay *r, struct actor *a)
{
        if (!a->active)
                r->active[r->n_active++] = a->index;
        a->active = true;
}

static bool is_idle(const struct actor *a)
{
        return !a->n_ops && !a->n_unsettled && !a->ping && !buf_n(&a->conn.out);
}

/* ---- names, then and now ---- */

/* recorded -> live; a peer which is not there gets a name that nobody has */
static const char *to_live(void *context, const char *name, size_t n)
{
        static char nobody[32];
        struct replay *r = context;
        struct recorded_peer *peer = recording_peer(r->rec, name, n);

        if (peer && r->actors[peer->index].conn.name[0])
                return r->actors[peer->index].conn.name;
        snprintf(nobody, sizeof(nobody), ":0.%u", peer ? peer->index : NOBODY);
        return nobody;
}

static uint32_t live_actor(const struct replay *r, const char *name, size_t n)
{
        struct live_name *live;

        HASH_FIND(hh, r->live, name, n, live);
        return live ? live->actor : NOBODY;
}

/* live -> recorded */
static const char *to_recorded(void *context, const char *name, size_t n)
{
        struct replay *r = context;
        uint32_t i = live_actor(r, name, n);

        if (i != NOBODY)
                return r->actors[i].peer->name;
        return n == strlen(r->watcher.name) && !memcmp(name, r->watcher.name, n) ? ":0.kit" : NULL;
}

/* ---- connections ---- */

static int connect_actor(struct replay *r, struct actor *a)
{
        struct epoll_event event = { .events = EPOLLIN, .data.u32 = a->index };
        uid_t uid = a->peer->uid >= 0 && !geteuid() ? (uid_t)a->peer->uid : (uid_t)-1;
        struct live_name *live;
        int e;

        e = busconn_connect(&a->conn, r->options->address, uid);
        if (!e)
                e = busconn_hello(&a->conn);
        if (e < 0)
                return error_fold(e);
        a->state = e ? ACTOR_GONE : ACTOR_LIVE;
        if (e) {
                snprintf(r->result->error, sizeof(r->result->error), "cannot connect as %s: %s %s",
                         a->peer->name, busconn_strerror(e), a->conn.error);
                return 1;
        }
        a->conn.stand_in = r->stand_in;
        r->step++;
        live = calloc(1, sizeof(*live));
        if (!live)
                return error_origin(-ENOMEM);
        memcpy(live->name, a->conn.name, sizeof(live->name));
        live->actor = a->index;
        HASH_ADD_STR(r->live, name, live);
        if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, a->conn.fd, &event) < 0)
                return error_origin(-errno);
        return 0;
}

static void close_actor(struct replay *r, struct actor *a)
{
        char name[sizeof(a->conn.name)];

        while (a->ops) {
                struct op *op = actor_pop_op(a);

                r->n_queued--;
                r->queued_bytes -= op->n;
                op->sent_as = UINT64_MAX;
                op_unref(op);
        }
        memcpy(name, a->conn.name, sizeof(name));
        actor_settled_n(a, a->n_unsettled);
        actor_give_up(a, true);
        busconn_deinit(&a->conn);
        memcpy(a->conn.name, name, sizeof(name)); /* messages may still speak of it */
        a->state = ACTOR_GONE;
        a->ping = 0;
}

/* closes a connection and waits until the bus knows */
static int disconnect_actor(struct replay *r, struct actor *a)
{
        const char *args[] = { a->conn.name };
        const uint8_t *msg;
        struct header h;
        int e;

        r->step++;
        close_actor(r, a);
        for (int i = 0; i < GONE_POLLS; i++) {
                e = busconn_call(&r->watcher, NULL, "NameHasOwner", "s", args, &msg, &h);
                if (e)
                        return e < 0 ? error_fold(e) : end_early(r, "asking who is there", e);
                if (h.body_size == 4 && !msg[h.size] && !msg[h.size + 3])
                        return 0;
        }
        return 0;
}

/* ---- receiving ---- */

static int put_event(struct replay *r, struct actor *a, enum transcript_kind kind)
{
        struct transcript_entry e = { .receiver = a->index, .sender = TRANSCRIPT_BUS,
                                      .kind = kind, .key = kind };

        return transcript_put(&r->result->transcript, &e, "", 0);
}

static void measure(struct replay *r, const struct sent *s, bool answered, uint64_t now)
{
        struct latency *l = &r->result->latency;
        struct latency_method *m = l->methods[s->method];
        uint64_t ns = now - s->time_ns;

        if (s->type != HEADER_CALL)
                return;
        histogram_add(answered ? &m->round : &m->there, ns);
        histogram_add(answered ? &l->all_round : &l->all_there, ns);
}

static uint32_t topic_of(const uint8_t *msg, const struct header *h)
{
        char text[520];
        int n = snprintf(text, sizeof(text), "%d %.255s %.255s", h->type,
                         header_text(msg, h->interface) ?: "", header_text(msg, h->member) ?: "");

        return (uint32_t)table_hash(text, (size_t)n);
}

/* which message this is, so that the other replay's transcript calls it the same */
static void identify(const struct sent *s, const struct header *h, struct transcript_entry *e)
{
        if (!transcript_from_bus(e))
                e->key = s ? s->index : 0;
        else if (h->reply_serial)
                e->key = UINT64_C(1) << 63 | h->reply_serial;
        e->origin = s ? s->index : 0;
        e->method = s ? s->method + 1 : 0;
        if (s && s->no_reply && h->reply_serial && transcript_from_bus(e))
                e->traits |= TRANSCRIPT_UNWANTED;
        if (s && s->unrequested)
                e->traits |= TRANSCRIPT_UNREQUESTED;
}

static int write_down(struct replay *r, struct actor *a, const uint8_t *msg, const struct header *h,
                      const struct sent *s, uint32_t sender)
{
        struct transcript_entry e = { .receiver = a->index, .sender = sender,
                                      .topic = topic_of(msg, h) };
        struct rewrite how = { .name = to_recorded, .context = r, .own_pid = r->own_pid };
        int x;

        normal_prepare(&how, h, transcript_from_bus(&e),
                       s ? (enum normal_answer)s->answer : NORMAL_PLAIN);
        x = rewrite_message(&r->scratch, msg, h, &how);
        if (x)
                return x;
        identify(s, h, &e);
        if (!e.key)
                e.key = table_hash(buf_head(&r->scratch), buf_n(&r->scratch)) >> 2 |
                        UINT64_C(1) << 62;
        return transcript_put(&r->result->transcript, &e, buf_head(&r->scratch),
                              buf_n(&r->scratch));
}

static int got_pong(struct replay *r, struct actor *a)
{
        unsigned int n = 0;

        actor_settled_n(a, a->ping_covers);
        if (a->ping_step) {
                n = actor_give_up(a, false);
                a->drained_step = a->ping_step;
        }
        if (n)
                r->patience_ns = MAX(r->patience_ns / 2, PATIENCE_MIN_NS);
        r->result->n_lost += n;
        a->ping = 0;
        return 0;
}

static int got_from_bus(struct replay *r, struct actor *a, const uint8_t *msg,
                        const struct header *h, uint64_t now)
{
        struct sent *s = NULL;

        if (h->reply_serial) {
                s = sent_find(&r->sent, a->index, h->reply_serial);
                if (s)
                        s->bus_answered = true;
                actor_settled(a, h->reply_serial);
                actor_arrived(a, ACTOR_BUS, h->reply_serial);
        }
        if (s && h->type == HEADER_ERROR && s->destination < r->n_actors)
                actor_refused(&r->actors[s->destination], a->index, h->reply_serial);
        if (s && s->to_bus)
                measure(r, s, true, now);
        return write_down(r, a, msg, h, s, s && s->late ? TRANSCRIPT_LATE : TRANSCRIPT_BUS);
}

static bool rules_accept(const struct actor *a, const uint8_t *msg, const struct header *h)
{
        struct match_value values[BODY_ARGS_MAX];
        struct match_query query = { .type = HEADER_SIGNAL, .args = values };
        struct body_args args = { 0 };

        if (!a->n_rules)
                return false;
        query.interface = (struct match_text){ header_text(msg, h->interface),
                                               h->interface.len };
        query.member = (struct match_text){ header_text(msg, h->member), h->member.len };
        query.path = (struct match_text){ header_text(msg, h->path), h->path.len };
        if (h->signature.off)
                body_validate(header_text(msg, h->signature), h->signature.len, h->swap,
                              msg + h->size, h->body_size, &args);
        query.n_args = args.n;
        for (size_t i = 0; i < args.n; i++)
                values[i] = (struct match_value){ args.arg[i].type, args.arg[i].len,
                                                  (const char *)msg + h->size +
                                                          args.arg[i].off };
        for (size_t i = 0; i < a->n_rules; i++)
                if (match_rule_accepts(a->rules[i], &query))
                        return true;
        return false;
}

struct asking {
        const struct replay *r;
        const uint8_t *msg;
        const struct header *h;
};

static bool asked_for(void *context, uint32_t sender)
{
        const struct asking *asking = context;

        return sender < asking->r->n_actors &&
               rules_accept(&asking->r->actors[sender], asking->msg, asking->h);
}

/* holds a message against those that came before it, from other senders too */
static int check_order(struct replay *r, struct actor *a, const uint8_t *msg,
                       const struct header *h, const struct sent *s)
{
        const struct order_message m = { s->index, s->sender,
                                         h->type == HEADER_SIGNAL && !h->destination.off };
        struct asking asking = { r, msg, h };
        struct order_message other;
        enum order_verdict verdict;
        struct transcript_entry e = { .receiver = a->index, .sender = s->sender,
                                      .origin = s->index, .method = s->method + 1 };

        verdict = order_received(&r->order, a->index, &m, asked_for, &asking, &other);
        if (!verdict)
                return 0;
        e.kind = verdict == ORDER_TOTAL ? TRANSCRIPT_ORDER : TRANSCRIPT_CAUSALITY;
        e.key = UINT64_C(3) << 61 | s->index;
        return transcript_put(&r->result->transcript, &e, &other.index, sizeof(other.index));
}

static int got_from_peer(struct replay *r, struct actor *a, const uint8_t *msg,
                         const struct header *h, uint32_t from, uint64_t now)
{
        struct sent *s = NULL, *call;
        int e;

        if (from != NOBODY) {
                s = sent_find(&r->sent, from, h->serial);
                actor_settled(&r->actors[from], h->serial);
                actor_arrived(a, from, h->serial);
        }
        if (s && !s->delivered) {
                s->delivered = true;
                measure(r, s, false, now);
        }
        e = s ? check_order(r, a, msg, h, s) : 0;
        if (e)
                return e;
        call = h->reply_serial ? sent_find(&r->sent, a->index, h->reply_serial) : NULL;
        if (call)
                measure(r, call, true, now);
        return write_down(r, a, msg, h, s, from == NOBODY ? TRANSCRIPT_OTHER : from);
}

static bool is_from_bus(struct replay *r, const struct actor *a, const uint8_t *msg,
                        const struct header *h)
{
        const struct sent *call;

        if (h->sender.off || !h->reply_serial)
                return message_field_is(msg, h->sender, DRIVER_NAME);
        call = sent_find(&r->sent, a->index, h->reply_serial);
        return call && call->unaddressed;
}

static int got_message(struct replay *r, struct actor *a, const uint8_t *msg,
                       const struct header *h, uint64_t now)
{
        bool from_bus = is_from_bus(r, a, msg, h);

        a->fds_announced += h->n_fds;
        if (from_bus && h->reply_serial >= ACTOR_PING_SERIAL)
                return h->reply_serial == a->ping ? got_pong(r, a) : 0;
        r->result->n_received++;
        latency_delivered(&r->result->latency, now - r->start_ns);
        if (from_bus)
                return got_from_bus(r, a, msg, h, now);
        return got_from_peer(r, a, msg, h,
                             h->sender.off ? live_actor(r, header_text(msg, h->sender),
                                                        h->sender.len)
                                           : NOBODY,
                             now);
}

/* the bus closed the connection, or spoke nonsense */
static int lost_connection(struct replay *r, struct actor *a)
{
        int e = put_event(r, a, TRANSCRIPT_CLOSED);

        close_actor(r, a);
        return e;
}

static int check_fds(struct replay *r, struct actor *a)
{
        if (buf_n(&a->conn.in) > a->conn.n_handed || a->conn.n_fds_received == a->fds_announced)
                return 0;
        a->fds_announced = a->conn.n_fds_received;
        return put_event(r, a, TRANSCRIPT_FDS);
}

static int receive(struct replay *r, struct actor *a)
{
        uint64_t now = now_ns();
        const uint8_t *msg;
        struct header h;
        int e, got;

        if (a->state != ACTOR_LIVE)
                return 0;
        r->progress_ns = now;
        got = busconn_receive(&a->conn);
        if (got < 0)
                return error_fold(got);
        while (!(e = busconn_next(&a->conn, &msg, &h))) {
                e = got_message(r, a, msg, &h, now);
                if (e)
                        return error_fold(e);
        }
        if (got == BUSCONN_E_CLOSED || e != BUSCONN_E_NONE)
                return error_fold(lost_connection(r, a));
        return error_fold(check_fds(r, a));
}

/* ---- sending ---- */

static bool is_settled(const struct replay *r, const struct op *op)
{
        const struct actor *a = &r->actors[op->sender];

        return op->sent_as && (op->sent_as == UINT64_MAX || a->state != ACTOR_LIVE ||
                               op->sent_as <= a->n_sent - a->n_unsettled);
}

static void forget_signals(struct replay *r)
{
        while (r->signals_first < r->signals_end) {
                struct op **op = &r->signals[r->signals_first & (SIGNALS_SIZE - 1)];

                if (!is_settled(r, *op))
                        return;
                *op = op_unref(*op);
                r->signals_first++;
        }
}

/* is there a signal before it that its sender had received, and that the bus still holds? */
static int waits_for_signal(struct replay *r, struct actor *a, struct op *op, bool *waits)
{
        *waits = false;
        forget_signals(r);
        for (uint64_t i = r->signals_first; i < MIN(r->signals_end, op->after_signals); i++) {
                struct op *signal = r->signals[i & (SIGNALS_SIZE - 1)];

                if (signal->sender == a->index || is_settled(r, signal) ||
                    !rules_accept(a, signal->data, &signal->h))
                        continue;
                *waits = true;
                if (!signal->sent_as)
                        return 0;
                make_active(r, &r->actors[signal->sender]);
                return actor_ping(&r->actors[signal->sender], 0);
        }
        op->after_signals = 0;
        return 0;
}

/* keeps our idea of the rules an actor has */
static int follow_rules(struct actor *a, const struct op *op)
{
        const char *args[META_ARGS_MAX + 1];

        if (!op->to_bus || !op->h.body_size)
                return 0;
        if (message_field_is(op->data, op->h.member, "AddMatch") &&
            meta_read(op->data, &op->h, args) == 1)
                return actor_add_rule(a, args[0], strlen(args[0]));
        if (message_field_is(op->data, op->h.member, "RemoveMatch") &&
            meta_read(op->data, &op->h, args) == 1)
                actor_remove_rule(a, args[0], strlen(args[0]));
        return 0;
}

/* is this a reply to a call that expects none, or that has been answered? */
static bool is_unrequested(struct replay *r, const struct op *op)
{
        struct sent *call;
        bool answered;

        if (!op->h.reply_serial || op->destination >= r->n_actors)
                return false;
        call = sent_find(&r->sent, op->destination, op->h.reply_serial);
        if (!call)
                return true; /* from before the recording, so nobody has asked here */
        answered = call->answered;
        call->answered = true;
        return answered || call->no_reply;
}

/* is it for a name whose program fails to start in the sandbox? */
static bool starts_in_vain(const struct replay *r, const struct op *op)
{
        const char *args[META_ARGS_MAX + 1] = { header_text(op->data, op->h.destination) };
        const struct recorded_name *name;

        if (op->to_bus && (op->answered || !meta_read(op->data, &op->h, args)))
                return false;
        name = args[0] ? recording_name(r->rec, args[0], strlen(args[0])) : NULL;
        return name && name->activatable && !name->ever_owned;
}

static int send_op(struct replay *r, struct actor *a, struct op *op)
{
        const struct rewrite how = { .name = to_live, .context = r, .drop_sender = true };
        struct sent s = {
                .sender = a->index,
                .serial = op->h.serial,
                .index = op->index,
                .time_ns = now_ns(),
                .destination = op->destination,
                .method = op->method,
                .type = op->h.type,
                .to_bus = op->to_bus,
                .unaddressed = !op->h.destination.off,
                .late = op->to_bus ? !op->answered : op->destination >= r->n_actors,
                .fails = starts_in_vain(r, op),
                .no_reply = op->h.type == HEADER_CALL &&
                            op->h.flags & HEADER_NO_REPLY_EXPECTED,
                .unrequested = is_unrequested(r, op),
                .answer = (uint8_t)(op->to_bus ? normal_answer(op->data, &op->h) : NORMAL_PLAIN),
        };
        int e;

        e = rewrite_message(&r->scratch, op->data, &op->h, &how);
        if (!e)
                e = busconn_send(&a->conn, buf_head(&r->scratch), buf_n(&r->scratch), op->h.n_fds);
        if (!e)
                e = actor_sent(a, op->h.serial, op->answered);
        if (!e)
                e = follow_rules(a, op);
        if (e)
                return error_fold(e);
        op->sent_as = a->n_sent;
        r->step++;
        sent_add(&r->sent, &s);
        if (s.fails && !(op->h.flags & HEADER_NO_REPLY_EXPECTED) &&
            !actor_awaits(a, ACTOR_BUS, s.serial)) {
                /* the recorded peer may not have waited for that; here it depends on nobody's pace */
                e = actor_await(a, &(struct awaited){ .from = ACTOR_BUS, .serial = s.serial,
                                                      .error = true, .guess = true });
                if (e)
                        return error_fold(e);
        }
        r->result->n_sent++;
        return 0;
}

/* is this a reply to a call that never came to its sender: lost, or refused by the bus? */
static bool answers_nothing(struct replay *r, const struct actor *a, const struct op *op)
{
        const struct sent *call;

        if (!op->h.reply_serial || op->destination >= r->n_actors)
                return false;
        if (actor_lost(a, op->destination, op->h.reply_serial))
                return true;
        call = sent_find(&r->sent, op->destination, op->h.reply_serial);
        return call && call->bus_answered && !call->delivered;
}

/* sends or drops the first op if it may go now; *went: it did */
static int try_first(struct replay *r, struct actor *a, uint64_t since_start, bool *went)
{
        struct op *op = a->ops;
        bool waits;
        int e;

        *went = false;
        if (a->awaited_first < op->awaits || since_start < op->due_ns ||
            buf_n(&a->conn.out) > OUT_MAX)
                return 0;
        e = waits_for_signal(r, a, op, &waits);
        if (e || waits)
                return e;
        if (answers_nothing(r, a, op)) {
                op->sent_as = UINT64_MAX;
                r->result->n_skipped++;
        } else {
                e = send_op(r, a, op);
        }
        actor_pop_op(a);
        r->n_queued--;
        r->queued_bytes -= op->n;
        op_unref(op);
        *went = true;
        return e;
}

/* lets one actor send what it can */
static int act(struct replay *r, struct actor *a)
{
        uint64_t since_start = now_ns() - r->start_ns;
        bool went = true;
        int e = 0;

        if (a->state != ACTOR_LIVE)
                return 0;
        while (!e && a->ops && went) {
                e = try_first(r, a, since_start, &went);
                if (went)
                        r->progress_ns = r->start_ns + since_start;
        }
        if (!e && a->n_unsettled > UNSETTLED_MAX)
                e = actor_ping(a, 0);
        if (e)
                return e;
        e = busconn_flush(&a->conn);
        if (e == BUSCONN_E_CLOSED)
                return 0; /* what it still says to us is read first */
        return e == BUSCONN_E_NONE ? 0 : e;
}

static int act_all(struct replay *r)
{
        int e = 0;

        for (size_t i = 0; !e && i < r->n_active;) {
                struct actor *a = &r->actors[r->active[i]];

                e = act(r, a);
                if (a->state != ACTOR_LIVE || is_idle(a)) {
                        a->active = false;
                        r->active[i] = r->active[--r->n_active];
                } else {
                        i++;
                }
        }
        return e;
}

/* ---- what is lost ---- */

/* an error that comes when a program has failed to start: no ping tells when that is */
static bool may_come_late(struct replay *r, const struct actor *a, const struct awaited *w)
{
        const struct sent *call = w->error ? sent_find(&r->sent, a->index, w->serial) : NULL;

        return !w->done && call && call->fails && now_ns() - call->time_ns < LATE_NS;
}

static bool awaits_late(struct replay *r, const struct actor *a)
{
        for (uint64_t i = a->awaited_first; i < a->awaited_end; i++)
                if (may_come_late(r, a, actor_awaited(a, i)))
                        return true;
        return false;
}

/* has its sender sent it, or decided not to? */
static bool is_past(struct replay *r, const struct actor *a, const struct awaited *w)
{
        const struct actor *from = w->from < r->n_actors ? &r->actors[w->from] : NULL;

        if (may_come_late(r, a, w))
                return false;
        return !from || !w->index || from->state != ACTOR_LIVE || !from->ops ||
               from->ops->index > w->index;
}

/* pings an actor when the bus has handled all there is: what was sent to it and does not come
 * before the answer is lost */
static int drain(struct replay *r, struct actor *a)
{
        if (a->ping)
                return 0;
        for (uint64_t i = a->awaited_first; i < a->awaited_end; i++) {
                struct awaited *w = actor_awaited(a, i);

                w->suspect = is_past(r, a, w);
        }
        make_active(r, a);
        return actor_ping(a, r->step);
}

/* ---- admitting ---- */

/* pings whoever has sent something that the bus gave no sign of; but for @except, and unless
 * @force, for those who are about to get an answer anyway */
static int settle(struct replay *r, uint32_t except, bool force)
{
        for (size_t i = 0; i < r->n_active; i++) {
                struct actor *a = &r->actors[r->active[i]];
                int e;

                if (a->index == except || !a->n_unsettled)
                        continue;
                if (!force && a->unsettled[a->unsettled_start + a->n_unsettled - 1].answered)
                        continue;
                e = actor_ping(a, 0);
                if (e)
                        return e;
        }
        return 0;
}

/* has the bus handled all that was sent by others than this one, and is nothing waiting? */
static int is_quiet(struct replay *r, uint32_t except, bool *quiet)
{
        uint64_t own = except == NOBODY ? 0 : r->actors[except].n_unsettled;
        size_t own_ops = except == NOBODY ? 0 : r->actors[except].n_ops;

        *quiet = r->n_queued == own_ops && r->n_unsettled == own;
        return *quiet || r->n_queued != own_ops ? 0 : settle(r, except, false);
}

/* makes sure that @a may change the state of the bus, or (NOBODY) that no one is changing it */
static int take_turn(struct replay *r, uint32_t a, bool *taken)
{
        int e = 0;

        *taken = true;
        if (r->exclusive == a)
                return 0;
        if (a != NOBODY)
                e = is_quiet(r, a, taken);
        else
                e = is_quiet(r, NOBODY, taken);
        if (!e && *taken)
                r->exclusive = a;
        return e;
}

static bool changes_state(const struct recorded_message *m)
{
        static const char *const members[] = {
                "RequestName", "ReleaseName", "AddMatch", "RemoveMatch", "StartServiceByName",
                "UpdateActivationEnvironment", "ReloadConfig",
        };

        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                if (message_field_is(m->data, m->h.member, members[i]))
                        return true;
        return false;
}

static int add_signal(struct replay *r, struct op *op)
{
        if (r->signals_end - r->signals_first == SIGNALS_SIZE)
                return error_origin(-ENOBUFS);
        op->n_refs++;
        r->signals[r->signals_end++ & (SIGNALS_SIZE - 1)] = op;
        return 0;
}

static int await_at_receiver(struct replay *r, const struct recorded_message *m)
{
        struct actor *to = m->destination < r->n_actors ? &r->actors[m->destination] : NULL;

        if (!to || to->state != ACTOR_LIVE || to->peer->monitor)
                return 0;
        return actor_await(to, &(struct awaited){ .from = m->sender, .serial = m->h.serial,
                                                  .index = m->index });
}

/* a reply whose call had no known receiver when it was sent (a service was started for it) */
static int await_call(struct replay *r, struct actor *a, const struct recorded_message *m)
{
        struct sent *call;

        if (!m->h.reply_serial || m->destination >= r->n_actors ||
            actor_awaits(a, m->destination, m->h.reply_serial))
                return 0;
        call = sent_find(&r->sent, m->destination, m->h.reply_serial);
        if (call && call->delivered)
                return 0;
        return actor_await(a, &(struct awaited){ .from = m->destination,
                                                 .serial = m->h.reply_serial, .index = m->index,
                                                 .guess = true });
}

static int enqueue(struct replay *r, struct actor *a, const struct recorded_message *m, bool to_bus)
{
        struct op *op;
        int e;

        e = await_call(r, a, m);
        if (e)
                return e;
        op = op_new(m);
        if (!op)
                return error_origin(-ENOMEM);
        op->awaits = a->awaited_end;
        op->after_signals = r->signals_end;
        op->to_bus = to_bus;
        op->answered = to_bus && m->h.type == HEADER_CALL &&
                       !(m->h.flags & HEADER_NO_REPLY_EXPECTED) &&
                       !message_field_is(m->data, m->h.member, "StartServiceByName");
        if (r->options->recorded_pace)
                op->due_ns = m->time_ns - MIN(m->time_ns, r->first_time_ns);
        actor_push_op(a, op);
        r->n_queued++;
        r->queued_bytes += op->n;
        make_active(r, a);
        e = latency_method(&r->result->latency, header_text(m->data, m->h.interface),
                           header_text(m->data, m->h.member) ?: "(reply)", &op->method);
        if (!e && m->h.type == HEADER_SIGNAL && !m->h.destination.off)
                e = add_signal(r, op);
        return e ? e : await_at_receiver(r, m);
}

/* the replies that an actor got from the bus are awaited like all others, unless its call went
 * out before its reply was read here: then it is awaited already, or there */
static int admit_from_bus(struct replay *r, const struct recorded_message *m)
{
        struct actor *to = m->destination < r->n_actors ? &r->actors[m->destination] : NULL;
        const struct sent *call;

        if (!to || to->state != ACTOR_LIVE || !m->h.reply_serial || m->h.reply_serial == 1)
                return 0;
        call = sent_find(&r->sent, to->index, m->h.reply_serial);
        if (call && (call->bus_answered || actor_awaits(to, ACTOR_BUS, m->h.reply_serial)))
                return 0;
        return actor_await(to, &(struct awaited){ .from = ACTOR_BUS, .serial = m->h.reply_serial,
                                                  .error = m->h.type == HEADER_ERROR,
                                                  .guess = true });
}

static int join(struct replay *r, struct actor *a, bool *done)
{
        int e = take_turn(r, NOBODY, done);

        if (!e && *done)
                e = is_quiet(r, NOBODY, done);
        if (e || !*done)
                return e;
        return connect_actor(r, a);
}

/* everything is handled, everything is read: only then the connection ends */
static int part(struct replay *r, struct actor *a, bool *done)
{
        int e = take_turn(r, NOBODY, done);

        if (!e && *done)
                e = is_quiet(r, NOBODY, done);
        if (e || !*done)
                return e;
        *done = a->drained_step == r->step && !awaits_late(r, a);
        if (a->drained_step == r->step && !*done)
                return 0;
        return *done ? disconnect_actor(r, a) : drain(r, a);
}

/* a unique name that comes or goes */
static int admit_change(struct replay *r, const struct recorded_message *m, bool *done)
{
        const char *args[META_ARGS_MAX + 1];
        struct recorded_peer *peer;
        struct actor *a;

        if (meta_read(m->data, &m->h, args) != 3 || args[0][0] != ':')
                return 0;
        peer = recording_peer(r->rec, args[0], strlen(args[0]));
        if (!peer || peer->monitor)
                return 0;
        a = &r->actors[peer->index];
        if (*args[2] && a->state == ACTOR_ABSENT)
                return join(r, a, done);
        if (!*args[2] && a->state == ACTOR_LIVE)
                return part(r, a, done);
        return 0;
}

static int admit_from_peer(struct replay *r, const struct recorded_message *m, bool *done)
{
        struct actor *a = m->sender < r->n_actors ? &r->actors[m->sender] : NULL;
        bool to_bus = message_field_is(m->data, m->h.destination, DRIVER_NAME);
        bool changes = to_bus && changes_state(m);
        int e;

        if (!a || a->peer->monitor || a->state == ACTOR_GONE ||
            (to_bus && message_field_is(m->data, m->h.member, "Hello"))) {
                r->result->n_ignored += !to_bus;
                return 0;
        }
        if (a->state == ACTOR_ABSENT) {
                e = join(r, a, done);
                if (e || !*done)
                        return e;
        }
        if (changes || r->exclusive != a->index) {
                e = take_turn(r, changes ? a->index : NOBODY, done);
                if (e || !*done)
                        return e;
        }
        return enqueue(r, a, m, to_bus);
}

static int admit_one(struct replay *r, const struct recorded_message *m, bool *done)
{
        *done = true;
        if (!m->from_bus)
                return admit_from_peer(r, m, done);
        if (message_field_is(m->data, m->h.member, "NameOwnerChanged"))
                return admit_change(r, m, done);
        return admit_from_bus(r, m);
}

static int admit(struct replay *r)
{
        bool done = true;
        int e = 0;

        while (!e && done && r->n_queued < WINDOW_MESSAGES && r->queued_bytes < WINDOW_BYTES) {
                if (!r->has_next) {
                        e = recording_next(r->rec, &r->next);
                        r->at_end = e == PCAP_E_END;
                        if (e)
                                return r->at_end ? 0 : e;
                        r->has_next = true;
                        if (!r->first_time_ns)
                                r->first_time_ns = r->next.time_ns;
                }
                e = admit_one(r, &r->next, &done);
                r->has_next = !done;
        }
        return e;
}

/* ---- the loop ---- */

/* nothing has moved for a while: finds out whether what is awaited can still come */
static int probe(struct replay *r)
{
        if (r->n_unsettled)
                return settle(r, NOBODY, true);
        for (size_t i = 0; i < r->n_active; i++) {
                struct actor *a = &r->actors[r->active[i]];
                int e;

                if (!a->n_ops || a->awaited_first >= a->ops->awaits)
                        continue;
                e = drain(r, a);
                if (e)
                        return e;
        }
        return 0;
}

/* a ping without an answer is a fault of the bus; the next one serves as well */
static int forget_pings(struct replay *r)
{
        int e = 0;

        for (size_t i = 0; i < r->n_active && !e; i++) {
                struct actor *a = &r->actors[r->active[i]];

                if (!a->ping)
                        continue;
                a->ping = 0;
                e = put_event(r, a, TRANSCRIPT_SILENCE);
        }
        return e;
}

static uint64_t stall_ns(const struct replay *r)
{
        return (r->options->stall_ms ? r->options->stall_ms : STALL_MS) * UINT64_C(1000000);
}

static bool something_due_later(const struct replay *r, uint64_t now)
{
        for (size_t i = 0; i < r->n_active; i++) {
                const struct actor *a = &r->actors[r->active[i]];

                if (a->ops && a->ops->due_ns > now - r->start_ns)
                        return true;
        }
        return false;
}

static int wait_events(struct replay *r)
{
        struct epoll_event events[N_EVENTS];
        uint64_t now;
        int n, e = 0;

        n = epoll_wait(r->epoll, events, N_EVENTS, 1);
        if (n < 0)
                return errno == EINTR ? 0 : error_origin(-errno);
        for (int i = 0; !e && i < n; i++)
                e = receive(r, &r->actors[events[i].data.u32]);
        now = now_ns();
        r->pings_forgotten = r->pings_forgotten && !n;
        if (!e && r->options->stop && *r->options->stop)
                return end_early(r, "interrupted", 0);
        if (e || n || now - r->progress_ns < r->patience_ns)
                return e;
        if (something_due_later(r, now)) {
                r->progress_ns = now;
                return 0;
        }
        if (now - r->progress_ns > stall_ns(r))
                return end_early(r, "the bus stopped answering", 0);
        if (now - r->progress_ns > PONG_NS && !r->pings_forgotten) {
                r->pings_forgotten = true;
                e = forget_pings(r);
        }
        return e ? e : probe(r);
}

static void show_progress(struct replay *r, bool at_end)
{
        uint64_t now = now_ns();

        if (!r->options->progress || (!at_end && now - r->shown_ns < 100000000U))
                return;
        r->shown_ns = now;
        r->options->progress(r->options->context, r->has_next ? r->next.index : r->rec->next_index,
                             r->rec->n_messages);
}

static int loop(struct replay *r)
{
        bool quiet = false;
        int e = 0;

        r->start_ns = r->progress_ns = now_ns();
        while (!e && !(r->at_end && quiet)) {
                e = admit(r);
                if (!e)
                        e = act_all(r);
                if (!e && r->at_end)
                        e = is_quiet(r, NOBODY, &quiet);
                if (!e && !(r->at_end && quiet))
                        e = wait_events(r);
                show_progress(r, false);
        }
        return e;
}

/* reads what is still on its way to anybody: an answer that came behind it shows that it is all */
static int drain_all(struct replay *r)
{
        size_t waiting = 1;
        int e = 0;

        r->step++;
        while (!e && waiting) {
                waiting = 0;
                for (size_t i = 0; !e && i < r->n_actors; i++) {
                        struct actor *a = &r->actors[i];

                        if (a->state != ACTOR_LIVE ||
                            (a->drained_step == r->step && !awaits_late(r, a)))
                                continue;
                        waiting++;
                        e = drain(r, a);
                }
                if (!e)
                        e = act_all(r);
                if (!e && waiting)
                        e = wait_events(r);
        }
        show_progress(r, true);
        return e;
}

/* ---- the state at the start ---- */

static int call_quietly(struct replay *r, struct actor *a, const char *member,
                        const char *signature, const char *const *args)
{
        int e = busconn_call(&a->conn, NULL, member, signature, args, NULL, NULL);

        if (e == BUSCONN_E_ERROR)
                return 0;
        return e > 0 ? end_early(r, member, e) : e;
}

/* RequestName takes a number beside the name, so it is built here */
static int request_name(struct replay *r, struct actor *a, const char *name)
{
        _cleanup_(buf_deinit) struct buf call = BUF_NULL;
        size_t base;
        int e;

        message_begin(&call, bytes_native(), HEADER_CALL, 0, ++a->conn.serial);
        message_text(&call, FIELD_PATH, 'o', DRIVER_PATH, strlen(DRIVER_PATH));
        message_text(&call, FIELD_INTERFACE, 's', DRIVER_NAME, strlen(DRIVER_NAME));
        message_text(&call, FIELD_MEMBER, 's', "RequestName", strlen("RequestName"));
        message_text(&call, FIELD_DESTINATION, 's', DRIVER_NAME, strlen(DRIVER_NAME));
        message_text(&call, FIELD_SIGNATURE, 'g', "su", 2);
        base = message_body(&call);
        message_put_string(&call, base, name);
        buf_align(&call, base, 4);
        buf_put32(&call, 0, false);
        message_end(&call, base);
        e = buf_error(&call);
        if (!e)
                e = busconn_send(&a->conn, buf_head(&call), buf_n(&call), 0);
        if (!e)
                e = busconn_flush(&a->conn);
        if (!e)
                e = busconn_wait_reply(&a->conn, a->conn.serial, NULL, NULL);
        if (e == BUSCONN_E_ERROR)
                return 0;
        return e > 0 ? end_early(r, "RequestName", e) : e;
}

static int set_up_names(struct replay *r)
{
        struct recorded_name *name;
        int e = 0;

        for (name = r->rec->names; name && !e; name = name->hh.next)
                for (size_t i = 0; i < name->n_queue && !e; i++) {
                        struct actor *a = &r->actors[name->queue[i]];

                        if (a->state == ACTOR_LIVE)
                                e = request_name(r, a, name->name);
                }
        return e;
}

static int set_up_rules(struct replay *r)
{
        int e = 0;

        for (size_t i = 0; i < r->rec->n_rules && !e; i++) {
                const struct recorded_rule *rule = &r->rec->rules[i];
                struct actor *a = &r->actors[rule->peer];
                _cleanup_(buf_deinit) struct buf text = BUF_NULL;
                const char *args[1];

                if (a->state != ACTOR_LIVE)
                        continue;
                rewrite_text(&text, rule->text, strlen(rule->text), to_live, r);
                args[0] = buf_text(&text);
                e = actor_add_rule(a, rule->text, strlen(rule->text));
                if (!e)
                        e = call_quietly(r, a, "AddMatch", "s", args);
        }
        return e;
}

/* whoever was there before the first message connects, takes its names and adds its rules; what
 * they receive of that is thrown away */
static int set_up(struct replay *r)
{
        int e = 0;

        for (size_t i = 0; i < r->n_actors && !e; i++)
                if (r->actors[i].peer->at_start && !r->actors[i].peer->monitor)
                        e = connect_actor(r, &r->actors[i]);
        if (!e)
                e = set_up_names(r);
        if (!e)
                e = set_up_rules(r);
        for (size_t i = 0; i < r->n_actors && !e; i++)
                if (r->actors[i].state == ACTOR_LIVE)
                        e = call_quietly(r, &r->actors[i], "GetId", NULL, NULL);
        return e;
}

/* ---- beginning and end ---- */

static int replay_init(struct replay *r)
{
        int e;

        r->n_actors = r->rec->n_peers;
        r->actors = calloc(r->n_actors + 1, sizeof(*r->actors));
        r->active = calloc(r->n_actors + 1, sizeof(*r->active));
        r->signals = calloc(SIGNALS_SIZE, sizeof(struct op *));
        if (!r->actors || !r->active || !r->signals) {
                r->n_actors = 0;
                return error_origin(-ENOMEM);
        }
        for (size_t i = 0; i < r->n_actors; i++)
                actor_init(&r->actors[i], r->rec->peers[i], (uint32_t)i, &r->n_unsettled);
        e = sent_init(&r->sent);
        if (!e)
                e = order_init(&r->order, r->n_actors);
        if (e)
                return e;
        r->epoll = epoll_create1(EPOLL_CLOEXEC);
        r->stand_in = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (r->epoll < 0 || r->stand_in < 0)
                return error_origin(-errno);
        e = busconn_connect(&r->watcher, r->options->address, (uid_t)-1);
        if (!e)
                e = busconn_hello(&r->watcher);
        if (e) {
                snprintf(r->result->error, sizeof(r->result->error), "cannot connect to %s: %s",
                         r->options->address, busconn_strerror(e));
                return 1;
        }
        return recording_rewind(r->rec);
}

static void replay_deinit(struct replay *r)
{
        struct live_name *live, *tmp;

        for (; r->signals_first < r->signals_end; r->signals_first++)
                op_unref(r->signals[r->signals_first & (SIGNALS_SIZE - 1)]);
        for (size_t i = 0; i < r->n_actors; i++)
                actor_deinit(&r->actors[i]);
        HASH_ITER(hh, r->live, live, tmp) {
                HASH_DEL(r->live, live);
                free(live);
        }
        sent_deinit(&r->sent);
        order_deinit(&r->order);
        busconn_deinit(&r->watcher);
        buf_deinit(&r->scratch);
        closep(&r->epoll);
        closep(&r->stand_in);
        free(r->signals);
        free(r->actors);
        free(r->active);
}

int replay_result_init(struct replay_result *result)
{
        *result = (struct replay_result){ 0 };
        return transcript_init(&result->transcript);
}

void replay_result_deinit(struct replay_result *result)
{
        transcript_deinit(&result->transcript);
        latency_deinit(&result->latency);
}

int replay_run(struct replay_result *result, struct recording *rec,
               const struct replay_options *options)
{
        struct replay r = {
                .rec = rec,
                .options = options,
                .result = result,
                .watcher = BUSCONN_NULL,
                .epoll = -1,
                .stand_in = -1,
                .own_pid = (uint32_t)getpid(),
                .exclusive = NOBODY,
                .patience_ns = PATIENCE_NS,
                .step = 1,
        };
        int e;

        e = replay_init(&r);
        if (!e)
                e = set_up(&r);
        if (!e)
                e = loop(&r);
        if (!e)
                e = drain_all(&r);
        if (r.start_ns)
                result->duration_ns = now_ns() - r.start_ns;
        replay_deinit(&r);
        return e;
}
