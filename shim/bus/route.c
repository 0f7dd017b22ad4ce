/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>
#include <string.h>

#include "shim/bus/activate.h"
#include "shim/bus/container.h"
#include "shim/bus/log.h"
#include "shim/bus/mediate.h"
#include "shim/bus/notice.h"
#include "shim/bus/poller.h"
#include "shim/bus/pressure.h"
#include "shim/bus/route.h"

/* --- what policies and rules ask of a message ------------------------------------------------ */

static struct policy_text policy_span(const struct envelope *e, struct span span)
{
        return (struct policy_text){ envelope_text(e, span), span.len };
}

static struct match_text match_span(const struct envelope *e, struct span span)
{
        return (struct match_text){ envelope_text(e, span), span.len };
}

static struct policy_query query_of(const struct envelope *e, const struct policy_peer *peer)
{
        return (struct policy_query){
                .type = e->header.type,
                .broadcast = e->header.type == HEADER_SIGNAL && !e->header.destination.off,
                .is_reply = e->header.reply_serial != 0,
                .n_fds = message_n_fds(&e->message),
                .interface = policy_span(e, e->header.interface),
                .member = policy_span(e, e->header.member),
                .path = policy_span(e, e->header.path),
                .error = policy_span(e, e->header.error_name),
                .peer = peer,
        };
}

/* The leading arguments, if some rule looks at them. */
static size_t arguments_of(struct turn *turn, const struct envelope *e, size_t wanted)
{
        const struct header *h = &e->header;
        const uint8_t *body = envelope_body(e);

        if (!wanted || !h->signature.off)
                return 0;
        if (body_validate(envelope_text(e, h->signature), h->signature.len, h->swap, body,
                          h->body_size, &turn->args))
                return 0;
        for (size_t i = 0; i < turn->args.n; i++) {
                const struct body_arg *arg = &turn->args.arg[i];

                turn->values[i] = (struct match_value){
                        .type = arg->type,
                        .n = arg->len,
                        .s = (const char *)body + arg->off,
                };
        }
        return turn->args.n;
}

static uint64_t destination_id(const struct envelope *e, const struct client *to)
{
        if (to)
                return to->peer.id;
        return e->header.destination.off ? match_name_id(match_span(e, e->header.destination))
                                         : MATCH_NO_OWNER;
}

int route_wanted(struct turn *turn, const struct match_index *index, uint64_t sender_id,
                 const struct envelope *e, const struct client *to, bool eavesdrop)
{
        const struct match_query query = {
                .type = e->header.type,
                .eavesdrop = eavesdrop,
                .sender = sender_id,
                .destination = destination_id(e, to),
                .interface = match_span(e, e->header.interface),
                .member = match_span(e, e->header.member),
                .path = match_span(e, e->header.path),
                .args = turn->values,
                .n_args = arguments_of(turn, e, match_index_wants_args(index)),
        };

        return error_fold(match_index_query(index, &turn->hits, &query));
}

/* --- judgement ------------------------------------------------------------------------------ */

#define REFUSAL_MAX (ROUTE_DESCRIBE_MAX + 1024)

static const char *or_unset(const struct envelope *e, struct span span)
{
        return span.off ? envelope_text(e, span) : "(unset)";
}

void route_describe(char *buf, size_t size, const struct client *sender, const struct envelope *e,
                    const struct client *to)
{
        static const char *const types[] = { "unknown", "method_call", "method_return", "error",
                                             "signal" };
        char a[CLIENT_DESCRIBE_MAX], b[CLIENT_DESCRIBE_MAX];
        const struct header *h = &e->header;

        snprintf(buf, size,
                 "type=\"%s\", sender=%s interface=\"%s\" member=\"%s\" error name=\"%s\" "
                 "requested_reply=\"%d\" destination=\"%s\" %s",
                 types[h->type <= 4 ? h->type : 0], client_describe(sender, a, sizeof(a)),
                 or_unset(e, h->interface),
                 or_unset(e, h->member),
                 or_unset(e, h->error_name), h->reply_serial != 0,
                 or_unset(e, h->destination),
                 to ? client_describe(to, b, sizeof(b)) : "(bus)");
}

/* The sentence for the log and the sender: who, what, to whom, and which rule decided. */
static void refusal_text(char *buf, size_t size, const struct policy_verdict *verdict,
                         const char *side, const struct client *sender, const struct envelope *e,
                         const struct client *to, bool show_rule)
{
        char message[ROUTE_DESCRIBE_MAX], rule[512] = "";

        if (show_rule) {
                if (verdict->rule)
                        policy_rule_describe(verdict->rule, rule, sizeof(rule));
                else
                        snprintf(rule, sizeof(rule), "no rule allows it");
        }
        route_describe(message, sizeof(message), sender, e, to);
        snprintf(buf, size, "Rejected %s message by the %s's policy%s%s; %s", side,
                 side[0] == 's' ? "sender" : "receiver", show_rule ? ": " : "", rule, message);
}

/* Tells the sender, and the log, that policy forbids it. */
static void refuse(struct turn *turn, const struct policy_verdict *verdict, const char *side,
                   struct client *sender, const struct envelope *e, const struct client *to)
{
        char text[REFUSAL_MAX];

        refusal_text(text, sizeof(text), verdict, side, sender, e, to, true);
        log_limited(LOG_WARNING, "policy", sender->peer.id, "%s", text);
        if (!bus_is_privileged(turn->bus, sender))
                refusal_text(text, sizeof(text), verdict, side, sender, e, to, false);
        notice_error(turn, sender, e, OUTCOME_ACCESS_DENIED, "%s", text);
}

/* Nothing to ask: a session's policies let all pass. */
static bool policies_are_open(const struct client *sender, const struct client *to)
{
        return policy_is_open(sender->policy, POLICY_SEND) &&
               (!to || policy_is_open(to->policy, POLICY_RECEIVE));
}

/*
 * May @sender send @e to @to, and may that receive it? NULL is the bus itself, or a service that is
 * yet to come: it has just the name that the message is for.
 */
static bool policy_allows(struct turn *turn, struct client *sender, struct envelope *e,
                          struct client *to, bool requested, bool addressed)
{
        const struct policy_text name = policy_span(e, e->header.destination);
        const struct policy_peer named = { .names = &name, .n_names = 1 };
        struct policy_peer receiver = to ? client_names(to) : named;
        struct policy_peer from = client_names(sender);
        struct policy_query query = query_of(e, &receiver);
        struct policy_verdict verdict;

        query.requested_reply = requested;
        query.eavesdropping = !addressed && !query.broadcast;
        if (!policy_can_send(sender->policy, &query, &verdict)) {
                if (addressed)
                        refuse(turn, &verdict, "send", sender, e, to);
                return false;
        }
        if (verdict.log) {
                char text[REFUSAL_MAX];

                refusal_text(text, sizeof(text), &verdict, "send", sender, e, to, true);
                log_line(LOG_NOTICE, "would be: %s", text);
        }
        if (!to)
                return true;
        query.peer = &from;
        if (!policy_can_receive(to->policy, &query, &verdict)) {
                if (addressed)
                        refuse(turn, &verdict, "receive", sender, e, to);
                return false;
        }
        return true;
}

/* The same, with a say for containers and security modules; NULL is the bus. */
static bool allowed(struct turn *turn, struct client *sender, struct envelope *e,
                    struct client *to, bool requested, bool addressed)
{
        return (!to || (!sender->container && !to->container) ||
                container_allows(turn, sender, e, to, requested, addressed)) &&
               (mediate_off(turn->bus->mediation) ||
                mediation_send(turn, sender, e, to, requested, addressed)) &&
               (policies_are_open(sender, to) ||
                policy_allows(turn, sender, e, to, requested, addressed));
}

bool route_may_start(struct turn *turn, struct client *sender, struct envelope *e,
                     const char *label)
{
        return (!sender->container || container_allows(turn, sender, e, NULL, false, true)) &&
               (mediate_off(turn->bus->mediation) ||
                mediation_start_service(turn, sender, e, label)) &&
               policy_allows(turn, sender, e, NULL, false, true);
}

bool route_refused_by_receiver(const struct client *to, const struct envelope *e)
{
        static const struct policy_text bus_name = { BUS_NAME, sizeof(BUS_NAME) - 1 };
        const struct policy_peer from = { .names = &bus_name, .n_names = 1 };
        struct policy_query query = query_of(e, &from);
        struct policy_verdict verdict;

        if (!to->policy)
                return false; /* before Hello there is only the bus to talk to */
        if (to->container && container_hides(to, e))
                return true;
        query.requested_reply = query.is_reply;
        return !policy_can_receive(to->policy, &query, &verdict);
}

/* --- monitors and eavesdroppers -------------------------------------------------------------- */

static void give_copy(struct tx *tx, struct client *to, struct envelope *e)
{
        if (!tx_add(tx, &to->peer, &e->message))
                return;
        counts_add_shared(&to->count, COUNT_LOST, 1);
        log_limited(LOG_WARNING, "lost copy", to->peer.id,
                    "%s does not read fast enough: a copy for it was dropped", to->name);
}

void route_monitors(struct turn *turn, struct tx *tx, struct peer *from, struct envelope *e,
                    const struct client *to)
{
        struct match_hits *hits = &turn->hits;

        if (!turn->bus->n_monitors)
                return;
        if (route_wanted(turn, &turn->bus->monitors, from->id, e, to, false))
                return;
        tx->from = from;
        for (size_t i = 0; i < hits->n; i++)
                give_copy(tx, container_of(hits->owners[i], struct client, rules), e);
}

static void touch_peer(void *data, struct peer *to)
{
        struct turn *turn = data;

        if (turn_touch(turn, client_of(to)))
                counts_add(&client_of(turn->out.from)->count, COUNT_WAKEUPS_CAUSED, 1);
}

void route_commit(struct turn *turn)
{
        if (turn->out.n)
                tx_commit(&turn->out, touch_peer, turn);
}

/* Clients with eavesdrop rules, whom policy lets see messages to others. */
static void route_eavesdroppers(struct turn *turn, struct client *sender, struct envelope *e,
                                struct client *to)
{
        struct match_hits *hits = &turn->hits;

        if (!match_index_eavesdrops(&turn->bus->rules))
                return;
        if (route_wanted(turn, &turn->bus->rules, sender->peer.id, e, to, true))
                return;
        turn->out.from = &sender->peer;
        for (size_t i = 0; i < hits->n; i++) {
                struct client *third = container_of(hits->owners[i], struct client, rules);

                if (third != to && (third->accepts_fds || !e->message.fds) &&
                    allowed(turn, sender, e, third, false, false))
                        give_copy(&turn->out, third, e);
        }
}

/* --- one receiver ---------------------------------------------------------------------------- */

static bool is_call(const struct envelope *e)
{
        return e->header.type == HEADER_CALL;
}

static bool is_reply(const struct envelope *e)
{
        return e->header.type == HEADER_RETURN || e->header.type == HEADER_ERROR;
}

static bool wants_reply(const struct envelope *e)
{
        return is_call(e) && !(e->header.flags & HEADER_NO_REPLY_EXPECTED);
}

/* Opens the slot for the answer; false if the call may not go out. */
static bool expect_reply(struct turn *turn, struct client *sender, struct envelope *e,
                         struct client *to)
{
        char limit[BUS_LIMIT_MAX];
        uint64_t due = UINT64_MAX;
        size_t n;
        int r;

        if (!wants_reply(e))
                return true;
        if (sender->limits.reply_timeout != LIMIT_NEVER)
                due = now_usec() + sender->limits.reply_timeout * 1000;
        r = reply_expect(sender, to, e->header.serial, sender->limits.max_replies_per_connection,
                         due, &n);
        if (r == 0) {
                pressure_note(turn->bus, sender, LIMIT_INDEX(max_replies_per_connection),
                              sender->limits.max_replies_per_connection, n - 1, n);
                return true;
        }
        if (r == REPLY_E_PENDING) {
                notice_error(turn, sender, e, OUTCOME_ACCESS_DENIED,
                             "Message has the same reply serial as a currently-outstanding "
                             "existing method call");
                return false;
        }
        if (r < 0) {
                notice_error(turn, sender, e, OUTCOME_NO_MEMORY, "Not enough memory");
                return false;
        }
        client_limit(sender, LIMIT_INDEX(max_replies_per_connection), limit, sizeof(limit));
        log_limited(LOG_WARNING, "max_replies", sender->peer.id,
                    "%s has too many calls without an answer (%s)", sender->name, limit);
        notice_error(turn, sender, e, OUTCOME_LIMITS_EXCEEDED,
                     "The maximum number of pending replies per connection has been reached (%s)",
                     limit);
        return false;
}

/* Was @e asked for? The slot ends with the first answer, whatever becomes of it. */
static bool take_reply(struct client *sender, struct envelope *e, struct client *to)
{
        return is_reply(e) && reply_end(to, sender, e->header.reply_serial);
}

/* The limit because of which the queue of @to takes no more. */
static size_t limit_of_queue(const struct client *to)
{
        return to->peer.queued_fds > to->peer.limits.fds ? LIMIT_INDEX(max_outgoing_unix_fds)
                                                         : LIMIT_INDEX(max_outgoing_bytes);
}

/* It is not the receiver's fault: the sender's user has filled all that others leave it. */
static void no_share(struct turn *turn, struct client *sender, struct envelope *e, struct client *to)
{
        uid_t actor = sender->peer.account->uid, owner = to->peer.account->uid;
        char limit[BUS_LIMIT_MAX];

        client_limit(to, LIMIT_INDEX(max_outgoing_bytes), limit, sizeof(limit));
        log_limited(LOG_WARNING, "share used up", actor,
                    "user %u has used up its share of what may wait for user %u; a message from %s to "
                    "%s was refused (%s, for each of max_connections_per_user)",
                    (unsigned)actor, (unsigned)owner, sender->name, to->name, limit);
        notice_error(turn, sender, e, OUTCOME_LIMITS_EXCEEDED,
                     "User %u has used up its share of what may wait for the user of \"%s\" (%s, for "
                     "each of max_connections_per_user)",
                     (unsigned)actor, to->name, limit);
}

/* The receiver's queue is full, or it is gone: say so to whoever waits because of it. */
static void undelivered(struct turn *turn, int why, struct client *sender, struct envelope *e,
                        struct client *to, bool requested)
{
        char limit[BUS_LIMIT_MAX];

        if (why == PEER_E_CLOSED) {
                notice_error(turn, sender, e, OUTCOME_SERVICE_UNKNOWN,
                             "The name %s was not provided by any .service files",
                             envelope_text(e, e->header.destination));
                return;
        }
        if (why < 0) {
                notice_error(turn, sender, e, OUTCOME_NO_MEMORY, "Not enough memory");
                return;
        }
        if (why == PEER_E_QUOTA) {
                no_share(turn, sender, e, to);
        } else {
                client_limit(to, limit_of_queue(to), limit, sizeof(limit));
                log_limited(LOG_WARNING, "queue full", to->peer.id,
                            "the queue of %s is full: it does not read; a message from %s was "
                            "refused (%s)",
                            to->name, sender->name, limit);
                notice_error(turn, sender, e, OUTCOME_LIMITS_EXCEEDED,
                             "The destination \"%s\" has a full message queue (%s)", to->name,
                             limit);
        }
        if (requested)
                notice_error_to(turn, to, e->header.reply_serial,
                                outcome_error_name(OUTCOME_LIMITS_EXCEEDED),
                                "The answer did not fit into your message queue");
}

/*
 * An answer that is kept from its caller: both are told, the replier as dbus-daemon does, and the
 * caller so that it does not wait for ever.
 */
static void withheld(struct turn *turn, enum outcome outcome, const char *why,
                     struct client *replier, const struct envelope *e, struct client *caller)
{
        notice_error_to(turn, replier, e->header.serial, outcome_error_name(outcome), why);
        notice_error_to(turn, caller, e->header.reply_serial, outcome_error_name(outcome), why);
}

/* Into the one inbox, or into the transaction with the copies for those who watch. */
static int deliver(struct turn *turn, struct client *sender, struct envelope *e, struct client *to)
{
        int r;

        if (turn->out.n) {
                r = tx_add(&turn->out, &to->peer, &e->message);
        } else {
                r = peer_send(&sender->peer, &to->peer, &e->message);
                if (!r && turn_touch(turn, to))
                        counts_add(&sender->count, COUNT_WAKEUPS_CAUSED, 1);
        }
        if (!r && pressure_in_queue(to, &e->message) && !is_reply(e))
                pressure_hold(turn, sender, to);
        return r;
}

static void unicast(struct turn *turn, struct client *sender, struct envelope *e,
                    struct client *to)
{
        static const char no_fds[] =
                "Tried to send message with Unix file descriptors to a client that doesn't support "
                "that.";
        bool requested = take_reply(sender, e, to);
        int r;

        if (is_reply(e) && !requested)
                return; /* nobody asked: dropped, unlike the reference's session bus */
        if (!expect_reply(turn, sender, e, to))
                return;
        if (!allowed(turn, sender, e, to, requested, true)) {
                if (requested)
                        withheld(turn, OUTCOME_ACCESS_DENIED,
                                 "An answer was withheld: policy does not let it pass", sender, e,
                                 to);
                goto cancel;
        }
        if (e->message.fds && !to->accepts_fds) {
                if (requested)
                        withheld(turn, OUTCOME_NOT_SUPPORTED, no_fds, sender, e, to);
                else
                        notice_error(turn, sender, e, OUTCOME_NOT_SUPPORTED, "%s", no_fds);
                goto cancel;
        }
        route_eavesdroppers(turn, sender, e, to);
        r = deliver(turn, sender, e, to);
        if (r) {
                undelivered(turn, r, sender, e, to, requested);
                goto cancel;
        }
        trace("queue", "%s#%u -> %s", sender->name, e->header.serial, to->name);
        return;
cancel:
        if (wants_reply(e))
                reply_end(sender, to, e->header.serial);
}

void route_unicast(struct turn *turn, struct client *sender, struct envelope *e,
                   struct client *to)
{
        unicast(turn, sender, e, to);
        route_commit(turn);
}

/* --- all that want it ------------------------------------------------------------------------ */

static void skip_receiver(struct client *to, int why)
{
        counts_add_shared(&to->count, COUNT_LOST, 1);
        log_limited(LOG_WARNING, "lost broadcast", to->peer.id,
                    why < 0               ? "not enough memory for a broadcast to %s"
                    : why == PEER_E_QUOTA ? "no broadcast to %s: its sender's user has used up its "
                                            "share of what may wait for that user"
                                          : "the queue of %s is full: it does not read; a broadcast "
                                            "was dropped",
                    to->name);
}

static void broadcast(struct turn *turn, struct client *sender, struct envelope *e)
{
        struct match_hits *hits = &turn->hits;
        size_t n_refused = 0;
        int r;

        if (route_wanted(turn, &turn->bus->rules, sender->peer.id, e, NULL, false)) {
                notice_error(turn, sender, e, OUTCOME_NO_MEMORY, "Not enough memory");
                return;
        }
        turn->out.from = &sender->peer;
        for (size_t i = 0; i < hits->n; i++) {
                struct client *to = container_of(hits->owners[i], struct client, rules);

                if (e->message.fds && !to->accepts_fds)
                        continue;
                if (!allowed(turn, sender, e, to, false, false)) {
                        n_refused++;
                        continue;
                }
                r = tx_add(&turn->out, &to->peer, &e->message);
                if (r)
                        skip_receiver(to, r);
                else
                        pressure_in_queue(to, &e->message);
        }
        trace("order", "%s#%u to %zu", sender->name, e->header.serial, turn->out.n);
        /* the sender never hears of it, but who watches does, once for each receiver */
        for (; n_refused; n_refused--)
                notice_to_monitors(turn, sender, e, OUTCOME_ACCESS_DENIED,
                                   "Policy keeps this broadcast from one of its receivers");
}

/* --- enter ----------------------------------------------------------------------------------- */

static void unknown_destination(struct turn *turn, struct client *sender, struct envelope *e)
{
        const char *name = envelope_text(e, e->header.destination);

        if (e->header.flags & HEADER_NO_AUTO_START)
                notice_error(turn, sender, e, OUTCOME_NAME_HAS_NO_OWNER,
                             "Name \"%s\" does not exist", name);
        else
                notice_error(turn, sender, e, OUTCOME_SERVICE_UNKNOWN,
                             "The name %s was not provided by any .service files", name);
}

static void to_bus(struct turn *turn, struct client *sender, struct envelope *e, bool judged)
{
        if (e->header.type > HEADER_SIGNAL) {
                notice_error(turn, sender, e, OUTCOME_ACCESS_DENIED,
                             "Messages of the unknown type %u are not delivered", e->header.type);
                return;
        }
        if (is_reply(e) && activation_answered(turn, sender, e))
                return;
        if (judged && !allowed(turn, sender, e, NULL, false, true))
                return;
        turn->bus->local->call(turn, sender, e);
}

/* For a name that a service may have: monitors see what is done for it before the message. */
static void to_service(struct turn *turn, struct client *sender, struct envelope *e)
{
        bool kept = activation_enqueue(turn, sender, e);

        turn_commit(turn);
        route_monitors(turn, &turn->out, &sender->peer, e, NULL);
        route_commit(turn);
        if (!kept)
                unknown_destination(turn, sender, e);
}

void client_send(struct turn *turn, struct client *sender, struct envelope *e)
{
        const struct header *h = &e->header;
        const char *name = envelope_text(e, h->destination);
        struct bus *bus = turn->bus;
        struct client *to;

        assert(turn->hold != TURN_NOTHING && sender->state == CLIENT_ACTIVE);
        kinds_count(turn->kinds, e);
        trace("enter", "%s#%u type %u to %s", sender->name, h->serial, h->type, name ? name : "*");
        if (!name) {
                if (h->type != HEADER_SIGNAL) {
                        to_bus(turn, sender, e, false);
                        return;
                }
                route_monitors(turn, &turn->out, &sender->peer, e, NULL);
                broadcast(turn, sender, e);
                route_commit(turn);
                activation_hear(turn, sender, e);
                return;
        }
        if (h->destination.len == strlen(BUS_NAME) && memcmp(name, BUS_NAME, h->destination.len) == 0) {
                if (h->type == HEADER_SIGNAL) { /* monitors see what it does before it */
                        to_bus(turn, sender, e, true);
                        turn_commit(turn);
                }
                route_monitors(turn, &turn->out, &sender->peer, e, NULL);
                route_commit(turn); /* what the bus says to it comes after it */
                if (h->type != HEADER_SIGNAL)
                        to_bus(turn, sender, e, true);
                return;
        }
        to = bus_find(bus, name, h->destination.len);
        if (!to && h->type <= HEADER_SIGNAL && activation_wanted(bus, e)) {
                to_service(turn, sender, e);
                return;
        }
        route_monitors(turn, &turn->out, &sender->peer, e, to);
        if (to && h->type <= HEADER_SIGNAL) {
                route_unicast(turn, sender, e, to);
                return;
        }
        route_commit(turn);
        if (h->type > HEADER_SIGNAL)
                notice_error(turn, sender, e, OUTCOME_ACCESS_DENIED,
                             "Messages of the unknown type %u are not delivered", h->type);
        else
                unknown_destination(turn, sender, e);
}
