/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "tools/actor.h"
#include "tools/message.h"

#define LOST_MAX 4096U

void actor_init(struct actor *a, const struct recorded_peer *peer, uint32_t index,
                uint64_t *total_unsettled)
{
        *a = (struct actor){ .peer = peer, .index = index, .conn = BUSCONN_NULL,
                             .total_unsettled = total_unsettled };
        a->ops_tail = &a->ops;
}

void actor_deinit(struct actor *a)
{
        while (a->ops)
                op_unref(actor_pop_op(a));
        actor_settled_n(a, a->n_unsettled);
        for (size_t i = 0; i < a->n_rules; i++)
                match_rule_free(a->rules[i]);
        busconn_deinit(&a->conn);
        free(a->rules);
        free(a->awaited);
        free(a->unsettled);
        free(a->lost);
        a->rules = NULL;
        a->awaited = NULL;
        a->unsettled = NULL;
        a->lost = NULL;
        a->n_rules = a->n_unsettled = a->n_lost = 0;
}

/* ---- ops ---- */

struct op *op_new(const struct recorded_message *m)
{
        size_t n = m->h.size + (size_t)m->h.body_size;
        struct op *op = calloc(1, sizeof(*op) + n);

        if (!op)
                return NULL;
        op->n_refs = 1;
        op->index = m->index;
        op->sender = m->sender;
        op->destination = m->destination;
        op->h = m->h;
        op->n = n;
        memcpy(op->data, m->data, n);
        return op;
}

struct op *op_unref(struct op *op)
{
        if (op && !--op->n_refs)
                free(op);
        return NULL;
}

void actor_push_op(struct actor *a, struct op *op)
{
        *a->ops_tail = op;
        a->ops_tail = &op->next;
        a->n_ops++;
}

struct op *actor_pop_op(struct actor *a)
{
        struct op *op = a->ops;

        a->ops = op->next;
        if (!a->ops)
                a->ops_tail = &a->ops;
        a->n_ops--;
        return op;
}

/* ---- awaited ---- */

struct awaited *actor_awaited(const struct actor *a, uint64_t number)
{
        return &a->awaited[number & (a->awaited_size - 1)];
}

static int awaited_grow(struct actor *a)
{
        size_t size = MAX(2 * a->awaited_size, (size_t)16);
        struct awaited *p = calloc(size, sizeof(*p));

        if (!p)
                return error_origin(-ENOMEM);
        for (uint64_t i = a->awaited_first; i < a->awaited_end; i++)
                p[i & (size - 1)] = *actor_awaited(a, i);
        free(a->awaited);
        a->awaited = p;
        a->awaited_size = size;
        return 0;
}

int actor_await(struct actor *a, const struct awaited *awaited)
{
        if (a->awaited_end - a->awaited_first == a->awaited_size) {
                int r = awaited_grow(a);

                if (r)
                        return r;
        }
        *actor_awaited(a, a->awaited_end++) = *awaited;
        return 0;
}

static struct awaited *find_awaited(const struct actor *a, uint32_t from, uint32_t serial)
{
        for (uint64_t i = a->awaited_first; i < a->awaited_end; i++) {
                struct awaited *w = actor_awaited(a, i);

                if (w->serial == serial && w->from == from && !w->done)
                        return w;
        }
        return NULL;
}

bool actor_awaits(const struct actor *a, uint32_t from, uint32_t serial)
{
        return find_awaited(a, from, serial);
}

static void awaited_advance(struct actor *a)
{
        while (a->awaited_first < a->awaited_end && actor_awaited(a, a->awaited_first)->done)
                a->awaited_first++;
}

void actor_arrived(struct actor *a, uint32_t from, uint32_t serial)
{
        struct awaited *w = find_awaited(a, from, serial);

        if (w)
                w->done = true;
        awaited_advance(a);
}

static void note_lost(struct actor *a, const struct awaited *w)
{
        struct awaited *p;

        if (w->guess || w->from == ACTOR_BUS)
                return;
        if (a->n_lost >= LOST_MAX)
                a->n_lost = 0; /* the oldest ones' replies would have come long ago */
        p = a->lost ? a->lost : calloc(LOST_MAX, sizeof(*p));
        if (!p)
                return;
        a->lost = p;
        p[a->n_lost++] = *w;
}

void actor_refused(struct actor *a, uint32_t from, uint32_t serial)
{
        struct awaited *w = find_awaited(a, from, serial);

        if (!w)
                return;
        note_lost(a, w);
        w->done = true;
        awaited_advance(a);
}

unsigned int actor_give_up(struct actor *a, bool all)
{
        unsigned int n = 0;

        for (uint64_t i = a->awaited_first; i < a->awaited_end; i++) {
                struct awaited *w = actor_awaited(a, i);

                if (w->done || !(w->suspect || all))
                        continue;
                note_lost(a, w);
                w->done = true;
                n += !w->guess;
        }
        awaited_advance(a);
        return n;
}

bool actor_lost(const struct actor *a, uint32_t from, uint32_t serial)
{
        for (size_t i = 0; i < a->n_lost; i++)
                if (a->lost[i].from == from && a->lost[i].serial == serial)
                        return true;
        return false;
}

/* ---- unsettled ---- */

int actor_sent(struct actor *a, uint32_t serial, bool answered)
{
        size_t end = a->unsettled_start + a->n_unsettled;

        if (end == a->unsettled_size && a->unsettled_start > a->unsettled_size / 2) {
                memmove(a->unsettled, a->unsettled + a->unsettled_start,
                        a->n_unsettled * sizeof(*a->unsettled));
                a->unsettled_start = 0;
                end = a->n_unsettled;
        }
        if (end == a->unsettled_size) {
                size_t size = MAX(2 * a->unsettled_size, (size_t)16);
                struct unsettled *p = reallocarray(a->unsettled, size, sizeof(*p));

                if (!p)
                        return error_origin(-ENOMEM);
                a->unsettled = p;
                a->unsettled_size = size;
        }
        a->unsettled[end] = (struct unsettled){ serial, answered };
        a->n_unsettled++;
        a->n_sent++;
        ++*a->total_unsettled;
        return 0;
}

void actor_settled_n(struct actor *a, size_t n)
{
        n = MIN(n, a->n_unsettled);
        a->n_unsettled -= n;
        *a->total_unsettled -= n;
        a->unsettled_start = a->n_unsettled ? a->unsettled_start + n : 0;
        a->ping_covers -= MIN(a->ping_covers, n);
}

void actor_settled(struct actor *a, uint32_t serial)
{
        for (size_t i = 0; i < a->n_unsettled; i++)
                if (a->unsettled[a->unsettled_start + i].serial == serial) {
                        actor_settled_n(a, i + 1);
                        return;
                }
}

int actor_ping(struct actor *a, uint64_t step)
{
        _cleanup_(buf_deinit) struct buf call = BUF_NULL;
        int r;

        if (a->ping || a->state != ACTOR_LIVE)
                return 0;
        if (a->conn.serial < ACTOR_PING_SERIAL)
                a->conn.serial = ACTOR_PING_SERIAL;
        r = message_call_driver(&call, ++a->conn.serial, NULL, "GetId", NULL, NULL);
        if (!r)
                r = busconn_send(&a->conn, buf_head(&call), buf_n(&call), 0);
        if (r)
                return r;
        a->ping = a->conn.serial;
        a->ping_covers = a->n_unsettled;
        a->ping_step = step;
        return 0;
}

/* ---- rules ---- */

int actor_add_rule(struct actor *a, const char *text, size_t n)
{
        _cleanup_(match_rule_freep) struct match_rule *rule = NULL;
        struct match_rule **p;
        int r = match_rule_new(&rule, NULL, text, n);

        if (r)
                return MIN(r, 0);
        p = reallocarray(a->rules, a->n_rules + 1, sizeof(*p));
        if (!p)
                return error_origin(-ENOMEM);
        a->rules = p;
        p[a->n_rules++] = steal(&rule);
        return 0;
}

void actor_remove_rule(struct actor *a, const char *text, size_t n)
{
        _cleanup_(match_rule_freep) struct match_rule *rule = NULL;

        if (match_rule_new(&rule, NULL, text, n))
                return;
        for (size_t i = 0; i < a->n_rules; i++) {
                if (!match_rule_equal(a->rules[i], rule))
                        continue;
                match_rule_free(a->rules[i]);
                a->rules[i] = a->rules[--a->n_rules];
                return;
        }
}
