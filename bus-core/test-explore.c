/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <string.h>
#include <uthash.h>

#include "bus-core/steps.h"
#include "bus-core/test-explore.h"
#include "bus-core/test-kit.h"

#define BIT(n)    (1u << (n))
#define MAX_DEPTH 80
#define MAX_GOT   EXPLORE_MESSAGES
#define SIZE      (PEER_ALLOWANCE + 1) /* of every message: charged from the first */

/* A thread on its way through its script. */
struct actor {
        const struct script *script;
        unsigned pc;
        bool running; /* between the steps of one operation */
        bool stalled;
        uint64_t stamp; /* of a unicast that has yet to move its sender's clock */
        unsigned row;   /* FAULT_NO_STAGE: receivers still to come */
        struct tx tx;
};

struct world {
        const struct scenario *scenario;
        enum fault fault;
        struct account *account;
        struct peer *peers[EXPLORE_PEERS];
        struct message *messages[EXPLORE_MESSAGES];
        struct actor actors[EXPLORE_THREADS];
        struct cds_list_head kept; /* FAULT_KEEP_CHARGE */

        /* history: what peers have read, and what each message's sender knew of when it sent it */
        unsigned n_got[EXPLORE_PEERS];
        unsigned got[EXPLORE_PEERS][MAX_GOT];
        unsigned known[EXPLORE_PEERS];
        unsigned past[EXPLORE_MESSAGES];
};

#define KEY_MAX 512

/* A state that was entered before. */
struct seen {
        double interleavings;
        UT_hash_handle hh;
        unsigned n;
        uint16_t key[];
};

struct explorer {
        struct world world;
        struct verdict *verdict;
        struct seen *seen;
        unsigned path[MAX_DEPTH]; /* threads, then readers */
};

/* ---- the world ------------------------------------------------------------------------------ */

static void world_init(struct world *w, const struct scenario *scenario, enum fault fault)
{
        memset(w, 0, sizeof(*w));
        w->scenario = scenario;
        w->fault = fault;
        CDS_INIT_LIST_HEAD(&w->kept);
        w->account = kit_account(1000, UINT64_MAX);
        for (unsigned i = 0; i < EXPLORE_PEERS; i++) {
                w->peers[i] = kit_peer(i + 1, w->account);
                peer_sync(w->peers[i], scenario->clock[i]);
        }
        for (unsigned i = 0; i < EXPLORE_MESSAGES; i++)
                w->messages[i] = kit_message(i, SIZE, w->account);
        for (unsigned i = 0; i < EXPLORE_THREADS; i++)
                w->actors[i].script = &scenario->threads[i];
}

static const struct op *actor_op(const struct actor *actor)
{
        return &actor->script->ops[actor->pc];
}

/* Wherever the world stands: transactions under way are run to their end. */
static void world_deinit(struct world *w)
{
        for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
                struct actor *actor = &w->actors[i];

                if (!actor->running || actor_op(actor)->kind != OP_CAST || actor->row)
                        continue;
                if (w->fault == FAULT_OWN_STAMPS)
                        actor->tx.stamp = UINT16_MAX + 1; /* beyond any place */
                while (tx_step(&actor->tx))
                        ;
                tx_finish(&actor->tx, NULL, NULL);
        }
        for (unsigned i = 0; i < EXPLORE_MESSAGES; i++)
                message_unref(w->messages[i]);
        peer_release_all(w->peers[0], &w->kept);
        for (unsigned i = 0; i < EXPLORE_PEERS; i++)
                peer_unref(w->peers[i]);
        account_unref(w->account);
}

/* The one peer of a set, or the first of several. */
static unsigned only(unsigned set)
{
        return __builtin_ctz(set);
}

static bool has_read(const struct world *w, unsigned peer, unsigned message)
{
        for (unsigned i = 0; i < w->n_got[peer]; i++)
                if (w->got[peer][i] == message)
                        return true;
        return false;
}

static void note_sent(struct world *w, unsigned peer, unsigned message)
{
        w->past[message] = w->known[peer];
        w->known[peer] |= BIT(message);
}

static void note_read(struct world *w, unsigned peer, unsigned message)
{
        w->known[peer] |= BIT(message) | w->past[message];
        w->got[peer][w->n_got[peer]++] = message;
}

/* ---- steps ---------------------------------------------------------------------------------- */

static void place(struct world *w, struct actor *actor, unsigned to, unsigned message)
{
        struct peer *receiver = w->peers[to];
        struct inbox_entry *e;

        assert(peer_charge(&e, receiver, w->messages[message]) == 0);
        message_ref(w->messages[message]);
        if (peer_place(w->peers[actor->script->peer], receiver, e, &actor->stamp)) {
                peer_release(receiver, e);
                actor->stamp = 0;
        }
}

/* First the locked section, then the sender's clock. Returns true at the end. */
static bool step_send(struct world *w, struct actor *actor, const struct op *op)
{
        unsigned from = actor->script->peer;

        if (!actor->running) {
                if (w->fault == FAULT_NO_CLOCK)
                        w->peers[from]->clock = 0;
                note_sent(w, from, op->message);
                place(w, actor, only(op->to), op->message);
                return false;
        }
        peer_sync(w->peers[from], actor->stamp);
        actor->stamp = 0;
        return true;
}

/* FAULT_NO_STAGE. */
static bool step_row(struct world *w, struct actor *actor, const struct op *op)
{
        if (!actor->running) {
                note_sent(w, actor->script->peer, op->message);
                actor->row = op->to;
        }
        place(w, actor, only(actor->row), op->message);
        peer_sync(w->peers[actor->script->peer], actor->stamp);
        actor->stamp = 0;
        actor->row &= actor->row - 1;
        return !actor->row;
}

static void cast_add(struct world *w, struct actor *actor, unsigned message, unsigned to)
{
        if (!to)
                return;
        note_sent(w, actor->script->peer, message);
        if (w->fault == FAULT_HALF)
                to = BIT(only(to));
        for (; to; to &= to - 1)
                assert(tx_add(&actor->tx, w->peers[only(to)], w->messages[message]) == 0);
        if (w->fault == FAULT_TIES_BY_ARRIVAL)
                for (size_t i = 0; i < actor->tx.n; i++)
                        actor->tx.few[i].entry->sender = actor->tx.few[i].entry->seq = 0;
}

static bool step_cast(struct world *w, struct actor *actor, const struct op *op)
{
        struct tx *tx = &actor->tx;

        if (w->fault == FAULT_NO_STAGE)
                return step_row(w, actor, op);
        if (!actor->running) {
                tx_init(tx, w->peers[actor->script->peer]);
                cast_add(w, actor, op->message, op->to);
                cast_add(w, actor, op->message2, op->to2);
        }
        if (w->fault == FAULT_NO_SYNC && tx->state == TX_SYNCING)
                tx->state = TX_SETTLING;
        if (w->fault == FAULT_OWN_STAMPS && tx->state == TX_SETTLING)
                tx->stamp = tx->few[tx->at].entry->stamp + 1;
        if (tx_step(tx)) {
                actor->stalled = w->fault == FAULT_STALL && tx->state == TX_SETTLING;
                return false;
        }
        tx_finish(tx, NULL, NULL);
        return true;
}

static void step_thread(struct world *w, struct actor *actor)
{
        const struct op *op = actor_op(actor);
        bool done = true;

        switch (op->kind) {
        case OP_SEND:
                done = step_send(w, actor, op);
                break;
        case OP_CAST:
                done = step_cast(w, actor, op);
                break;
        case OP_CLOSE:
                peer_close(w->peers[only(op->to)]);
                break;
        case OP_WAIT:
        case OP_END:
                break;
        }
        actor->running = !done;
        actor->pc += done;
}

/* What a read would take. */
static struct inbox_entry *readable(const struct world *w, unsigned peer)
{
        struct inbox *in = &w->peers[peer]->data.inbox;
        struct inbox_entry *e;

        if (w->fault == FAULT_LAST_FIRST && inbox_front(in))
                cds_list_for_each_entry_reverse(e, &in->entries, link)
                        if (!stamp_is_staged(e->stamp))
                                return e;
        if (w->fault == FAULT_OVERTAKE)
                cds_list_for_each_entry(e, &in->entries, link)
                        if (!stamp_is_staged(e->stamp))
                                return e;
        return inbox_front(in);
}

static void step_read(struct world *w, unsigned peer)
{
        struct peer *receiver = w->peers[peer];
        struct inbox_entry *e = readable(w, peer);
        CDS_LIST_HEAD(got);

        if (e == inbox_front(&receiver->data.inbox)) {
                assert(peer_receive(receiver, &got, 1) == 1);
                assert(got.next == &e->link);
        } else {
                inbox_remove(&receiver->data.inbox, e);
                cds_list_add(&e->link, &got);
        }
        note_read(w, peer, kit_tag(e->message));
        if (w->fault == FAULT_KEEP_CHARGE)
                cds_list_splice(&got, &w->kept);
        else
                peer_release_all(receiver, &got);
}

/* Choices are numbered: threads, then readers. */
static bool choice_enabled(const struct world *w, unsigned choice)
{
        const struct actor *actor;
        const struct op *op;

        if (choice >= EXPLORE_THREADS)
                return readable(w, choice - EXPLORE_THREADS);
        actor = &w->actors[choice];
        op = actor->pc < EXPLORE_OPS ? actor_op(actor) : NULL;
        if (!op || op->kind == OP_END || actor->stalled)
                return false;
        return op->kind != OP_WAIT || has_read(w, actor->script->peer, op->message);
}

static void step(struct world *w, unsigned choice)
{
        if (choice < EXPLORE_THREADS)
                step_thread(w, &w->actors[choice]);
        else
                step_read(w, choice - EXPLORE_THREADS);
}

/* ---- the guarantees ------------------------------------------------------------------------- */

static const struct op *op_of(const struct world *w, unsigned message, unsigned *peer)
{
        for (unsigned t = 0; t < EXPLORE_THREADS; t++)
                for (unsigned i = 0; i < EXPLORE_OPS; i++) {
                        const struct op *op = &w->scenario->threads[t].ops[i];

                        *peer = w->scenario->threads[t].peer;
                        if ((op->kind == OP_SEND || op->kind == OP_CAST) &&
                            ((op->to && op->message == message) ||
                             (op->to2 && op->message2 == message)))
                                return op;
                }
        return NULL;
}

/* Where @peer has @message in the order of its reads, or -1. */
static int read_at(const struct world *w, unsigned peer, unsigned message)
{
        for (unsigned i = 0; i < w->n_got[peer]; i++)
                if (w->got[peer][i] == message)
                        return i;
        return -1;
}

/* 1 and 3, for one message that was read before another by the same peer. */
static unsigned check_pair(const struct world *w, unsigned first, unsigned second)
{
        unsigned sender_first, sender_second;

        op_of(w, first, &sender_first);
        op_of(w, second, &sender_second);
        if (!(w->past[first] & BIT(second)))
                return 0;
        return BIT(CAUSALITY) | (sender_first == sender_second ? BIT(FIFO) : 0);
}

/* 2, for one pair of messages and all pairs of peers. */
static unsigned check_total(const struct world *w, unsigned m, unsigned n)
{
        bool before = false, after = false;

        for (unsigned p = 0; p < EXPLORE_PEERS; p++) {
                int at_m = read_at(w, p, m), at_n = read_at(w, p, n);

                if (at_m < 0 || at_n < 0)
                        continue;
                before |= at_m < at_n;
                after |= at_m > at_n;
        }
        return before && after ? BIT(TOTAL_ORDER) : 0;
}

static unsigned check_one_order(const struct world *w)
{
        unsigned before[EXPLORE_MESSAGES]; /* what must come before a message */

        memcpy(before, w->past, sizeof(before));
        for (unsigned p = 0; p < EXPLORE_PEERS; p++)
                for (unsigned i = 1; i < w->n_got[p]; i++)
                        before[w->got[p][i]] |= BIT(w->got[p][i - 1]);
        for (unsigned k = 0; k < EXPLORE_MESSAGES; k++)
                for (unsigned i = 0; i < EXPLORE_MESSAGES; i++)
                        if (before[i] & BIT(k))
                                before[i] |= before[k];
        for (unsigned i = 0; i < EXPLORE_MESSAGES; i++)
                if (before[i] & BIT(i))
                        return BIT(ONE_ORDER);
        return 0;
}

static unsigned check_order(const struct world *w)
{
        unsigned broken = check_one_order(w);

        for (unsigned p = 0; p < EXPLORE_PEERS; p++)
                for (unsigned i = 0; i < w->n_got[p]; i++)
                        for (unsigned j = i + 1; j < w->n_got[p]; j++)
                                broken |= check_pair(w, w->got[p][i], w->got[p][j]);
        for (unsigned m = 0; m < EXPLORE_MESSAGES; m++)
                for (unsigned n = 0; n < m; n++)
                        broken |= check_total(w, m, n);
        return broken;
}

/* 4: whatever holds an inbox back is under way. */
static bool is_under_way(const struct world *w, const struct inbox_entry *e)
{
        for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
                const struct actor *actor = &w->actors[i];

                if (!actor->running || actor->stalled)
                        continue;
                for (size_t k = 0; k < actor->tx.n; k++)
                        if (actor->tx.few[k].entry == e)
                                return true;
        }
        return false;
}

static unsigned check_progress(const struct world *w)
{
        for (unsigned p = 0; p < EXPLORE_PEERS; p++) {
                struct inbox *in = &w->peers[p]->data.inbox;

                if (cds_list_empty(&in->entries) || inbox_front(in))
                        continue;
                if (!is_under_way(w, cds_list_first_entry(&in->entries, struct inbox_entry, link)))
                        return BIT(PROGRESS);
        }
        return 0;
}

/* 5: one copy for each receiver, unless it was closed, and none for others. */
static unsigned check_atomicity(const struct world *w)
{
        for (unsigned m = 0; m < EXPLORE_MESSAGES; m++) {
                unsigned sender;
                const struct op *op = op_of(w, m, &sender);

                for (unsigned p = 0; op && p < EXPLORE_PEERS; p++) {
                        unsigned to = op->message == m ? op->to : op->to2;
                        unsigned copies = 0;

                        for (unsigned i = 0; i < w->n_got[p]; i++)
                                copies += w->got[p][i] == m;
                        if (copies > (to >> p & 1))
                                return BIT(ATOMICITY);
                        if (copies < (to >> p & 1) && !w->peers[p]->data.inbox.closed)
                                return BIT(ATOMICITY);
                }
        }
        return 0;
}

/* 6, when everything was read. */
static unsigned check_accounting(const struct world *w)
{
        uint64_t left = 0;

        for (int i = 0; i < ACCOUNT_N_SLOTS; i++)
                left += w->account->used[i];
        for (unsigned p = 0; p < EXPLORE_PEERS; p++)
                left += w->peers[p]->queued_bytes;
        for (unsigned m = 0; m < EXPLORE_MESSAGES; m++)
                left += w->messages[m]->refs - 1;
        return left ? BIT(ACCOUNTING) : 0;
}

static unsigned check_end(const struct world *w)
{
        unsigned broken = check_order(w) | check_atomicity(w) | check_accounting(w);

        for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
                const struct actor *actor = &w->actors[i];

                if (actor->pc < EXPLORE_OPS && actor_op(actor)->kind != OP_END)
                        broken |= BIT(PROGRESS);
        }
        return broken;
}

/* ---- the search ----------------------------------------------------------------------------- */

struct key {
        unsigned n;
        uint16_t v[KEY_MAX];
};

static void key_put(struct key *key, uint64_t v)
{
        assert(key->n < KEY_MAX);
        assert(v < UINT16_MAX);
        key->v[key->n++] = v;
}

static void key_put_peer(struct key *key, const struct world *w, unsigned p)
{
        struct inbox_entry *e;

        key_put(key, peer_now(w->peers[p]));
        key_put(key, w->peers[p]->data.inbox.closed);
        key_put(key, w->known[p]);
        cds_list_for_each_entry(e, &w->peers[p]->data.inbox.entries, link) {
                key_put(key, kit_tag(e->message) + 1);
                key_put(key, e->stamp);
                key_put(key, e->sender);
                key_put(key, e->seq);
        }
        key_put(key, 0);
        for (unsigned i = 0; i < w->n_got[p]; i++)
                key_put(key, w->got[p][i] + 1);
        key_put(key, 0);
}

static void key_put_actor(struct key *key, const struct actor *actor)
{
        key_put(key, actor->pc);
        key_put(key, actor->running);
        key_put(key, actor->stamp);
        key_put(key, actor->row);
        if (!actor->running || actor_op(actor)->kind != OP_CAST || actor->row)
                return;
        key_put(key, actor->tx.state);
        key_put(key, actor->tx.at);
        key_put(key, actor->tx.floor);
        key_put(key, actor->tx.stamp);
}

static void key_make(struct key *key, const struct world *w)
{
        key->n = 0;
        for (unsigned p = 0; p < EXPLORE_PEERS; p++)
                key_put_peer(key, w, p);
        for (unsigned i = 0; i < EXPLORE_THREADS; i++)
                key_put_actor(key, &w->actors[i]);
        for (unsigned m = 0; m < EXPLORE_MESSAGES; m++)
                key_put(key, w->past[m]);
}

static void remember(struct explorer *x, const struct key *key, double interleavings)
{
        size_t size = key->n * sizeof(key->v[0]);
        struct seen *seen = malloc(sizeof(*seen) + size);

        assert(seen);
        seen->interleavings = interleavings;
        seen->n = key->n;
        memcpy(seen->key, key->v, size);
        HASH_ADD_KEYPTR(hh, x->seen, seen->key, size, seen);
        x->verdict->states++;
}

static void replay(struct explorer *x, unsigned depth)
{
        const struct scenario *scenario = x->world.scenario;
        enum fault fault = x->world.fault;

        world_deinit(&x->world);
        world_init(&x->world, scenario, fault);
        for (unsigned i = 0; i < depth; i++)
                step(&x->world, x->path[i]);
}

static void judge(struct explorer *x, unsigned depth, unsigned broken)
{
        char *p = x->verdict->path, *end = p + sizeof(x->verdict->path) - 3;

        x->verdict->broken |= broken;
        for (unsigned i = 0; broken && i < depth && p < end; i++) {
                bool reads = x->path[i] >= EXPLORE_THREADS;

                if (reads)
                        *p++ = '*';
                *p++ = "ABCXY"[reads ? x->path[i] - EXPLORE_THREADS
                                     : x->world.scenario->threads[x->path[i]].peer];
                *p = 0;
        }
}

/* Runs everything that may follow the state in which the world is; returns how many ways. */
static double search(struct explorer *x, unsigned depth)
{
        double interleavings = 0;
        unsigned enabled = 0;
        bool replayed = true;
        struct seen *seen;
        struct key key;

        key_make(&key, &x->world);
        HASH_FIND(hh, x->seen, key.v, key.n * sizeof(key.v[0]), seen);
        if (seen)
                return seen->interleavings;

        assert(depth < MAX_DEPTH);
        for (unsigned c = 0; c < EXPLORE_THREADS + EXPLORE_PEERS; c++)
                enabled |= choice_enabled(&x->world, c) ? BIT(c) : 0;
        judge(x, depth, check_progress(&x->world) | (enabled ? 0 : check_end(&x->world)));
        for (; enabled && !x->verdict->broken; enabled &= enabled - 1) {
                if (!replayed)
                        replay(x, depth);
                replayed = false;
                x->path[depth] = only(enabled);
                step(&x->world, x->path[depth]);
                interleavings += search(x, depth + 1);
        }
        if (interleavings == 0)
                interleavings = 1;
        remember(x, &key, interleavings);
        return interleavings;
}

void explore(struct verdict *out, const struct scenario *scenario, enum fault fault)
{
        struct explorer x = {.verdict = out};
        struct seen *seen, *next;

        *out = (struct verdict){};
        world_init(&x.world, scenario, fault);
        out->interleavings = search(&x, 0);
        world_deinit(&x.world);
        HASH_ITER(hh, x.seen, seen, next) {
                HASH_DEL(x.seen, seen);
                free(seen);
        }
}
