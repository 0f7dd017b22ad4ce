/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "tools/diff.h"

#define BATCH_ENTRIES 500000U /* of each side, that are in memory at a time */

/* one side of the streams that are being compared */
struct side {
        struct transcript_entry *entries;
        size_t n, size;
};

struct place {
        const struct transcript_entry *entry;
        const struct place *other; /* the one it is matched with */
        bool again;                /* its key was there before, among the same side's */
};

/* ---- the streams to look at ---- */

struct todo {
        uint64_t id;
        uint64_t n; /* entries of the longer side */
        bool chosen;
        UT_hash_handle hh;
};

static int add_todo(struct todo **todos, const struct transcript_stream *a,
                    const struct transcript_stream *b)
{
        struct todo *t;

        if (a && b && a->n == b->n && a->digest == b->digest)
                return 0;
        t = calloc(1, sizeof(*t));
        if (!t)
                return error_origin(-ENOMEM);
        t->id = a ? a->id : b->id;
        t->n = MAX(a ? a->n : 0, b ? b->n : 0);
        HASH_ADD(hh, *todos, id, sizeof(t->id), t);
        return 0;
}

static int find_todos(struct todo **todos, const struct transcript *a, const struct transcript *b)
{
        struct transcript_stream *s, *other;
        int r = 0;

        for (s = a->streams; s && !r; s = s->hh.next) {
                HASH_FIND(hh, b->streams, &s->id, sizeof(s->id), other);
                r = add_todo(todos, s, other);
        }
        for (s = b->streams; s && !r; s = s->hh.next) {
                HASH_FIND(hh, a->streams, &s->id, sizeof(s->id), other);
                if (!other)
                        r = add_todo(todos, NULL, s);
        }
        return r;
}

/* ---- collecting the entries ---- */

static int push_entry(struct side *side, const struct transcript_entry *e)
{
        if (side->n == side->size) {
                size_t size = MAX(2 * side->size, (size_t)1024);
                struct transcript_entry *p = reallocarray(side->entries, size, sizeof(*p));

                if (!p)
                        return error_origin(-ENOMEM);
                side->entries = p;
                side->size = size;
        }
        side->entries[side->n++] = *e;
        return 0;
}

/* by stream, then by arrival: the offset says which came first */
static int compare_entries(const void *a, const void *b)
{
        const struct transcript_entry *x = a, *y = b;
        uint64_t i = transcript_stream_id(x), k = transcript_stream_id(y);

        if (i != k)
                return i < k ? -1 : 1;
        return (x->offset > y->offset) - (x->offset < y->offset);
}

static int collect(struct side *side, struct transcript *t, struct todo *todos)
{
        struct transcript_entry e;
        int r = transcript_rewind(t);

        side->n = 0;
        while (!r && !(r = transcript_next(t, &e))) {
                uint64_t id = transcript_stream_id(&e);
                struct todo *todo;

                HASH_FIND(hh, todos, &id, sizeof(id), todo);
                if (todo && todo->chosen && side->n < 2 * BATCH_ENTRIES)
                        r = push_entry(side, &e);
        }
        if (r < 0)
                return r;
        if (side->n)
                qsort(side->entries, side->n, sizeof(*side->entries), compare_entries);
        return 0;
}

/* ---- comparing one stream ---- */

static int put_diff(struct diff_list *out, enum diff_kind kind,
                    const struct transcript_entry *reference,
                    const struct transcript_entry *candidate, bool again, bool none)
{
        struct diff *d;

        if (out->n == DIFF_MAX) {
                out->n_unlisted++;
                return 0;
        }
        if (out->n == out->size) {
                size_t size = MAX(2 * out->size, (size_t)64);
                struct diff *p = reallocarray(out->list, size, sizeof(*p));

                if (!p)
                        return error_origin(-ENOMEM);
                out->list = p;
                out->size = size;
        }
        d = &out->list[out->n++];
        *d = (struct diff){ .kind = kind, .again = again, .none = none };
        if (reference)
                d->reference = *reference;
        if (candidate)
                d->candidate = *candidate;
        return 0;
}

/* equal keys stay in the order of arrival: the first is matched with the first */
static int compare_keys(const void *a, const void *b)
{
        const struct place *const *x = a, *const *y = b;
        const struct transcript_entry *i = (*x)->entry, *k = (*y)->entry;

        if (i->key != k->key)
                return i->key < k->key ? -1 : 1;
        return (i->offset > k->offset) - (i->offset < k->offset);
}

static struct place **sort_places(struct place *places, const struct transcript_entry *e, size_t n)
{
        struct place **sorted = calloc(n + 1, sizeof(struct place *));

        if (!sorted)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                places[i].entry = &e[i];
                sorted[i] = &places[i];
        }
        qsort(sorted, n, sizeof(*sorted), compare_keys);
        for (size_t i = 1; i < n; i++)
                sorted[i]->again = sorted[i]->entry->key == sorted[i - 1]->entry->key;
        return sorted;
}

static void match(struct place **a, size_t n_a, struct place **b, size_t n_b)
{
        size_t i = 0, k = 0;

        while (i < n_a && k < n_b) {
                uint64_t x = a[i]->entry->key, y = b[k]->entry->key;

                if (x == y) {
                        a[i]->other = b[k];
                        b[k]->other = a[i];
                }
                i += x <= y;
                k += y <= x;
        }
}

/* what arrives at all, by topic; two topics with the same place are told apart by nobody */
#define TOPICS 65536U

static void note_topics(bool topics[static TOPICS], const struct transcript_entry *e, size_t n)
{
        for (size_t i = 0; i < n; i++)
                topics[e[i].topic % TOPICS] = true;
}

/* the longest run of matched places whose order both sides share; marks the others in @out_of */
static int find_disorder(const struct place *a, size_t n_a, const struct place *b, bool *out_of)
{
        _cleanup_(freep) size_t *tails = calloc(n_a + 1, sizeof(*tails));
        _cleanup_(freep) size_t *before = calloc(n_a + 1, sizeof(*before));
        size_t n = 0;

        if (!tails || !before)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < n_a; i++) {
                size_t low = 0, high = n;

                if (!a[i].other)
                        continue;
                while (low < high) {
                        size_t middle = (low + high) / 2;

                        if (a[tails[middle]].other < a[i].other)
                                low = middle + 1;
                        else
                                high = middle;
                }
                before[i] = low ? tails[low - 1] : SIZE_MAX;
                tails[low] = i;
                n = MAX(n, low + 1);
                out_of[i] = true;
        }
        for (size_t i = n ? tails[n - 1] : SIZE_MAX; i != SIZE_MAX; i = before[i])
                out_of[i] = false;
        return 0;
}

struct pairing {
        struct place *a, *b; /* reference and candidate, in the order of arrival */
        size_t n_a, n_b;
        bool *out_of;
        bool *topics; /* that the candidate's receiver gets */
};

static int report_pairing(struct diff_list *out, const struct pairing *p)
{
        int r = 0;

        for (size_t i = 0; i < p->n_a && !r; i++) {
                const struct transcript_entry *e = p->a[i].entry, *other;

                if (!p->a[i].other) {
                        r = put_diff(out, DIFF_MISSING, e, NULL, false,
                                     !p->topics[e->topic % TOPICS]);
                        continue;
                }
                other = p->a[i].other->entry;
                if (e->digest != other->digest || e->kind != other->kind)
                        r = put_diff(out, DIFF_CHANGED, e, other, false, false);
                if (!r && p->out_of[i])
                        r = put_diff(out, DIFF_REORDERED, e, other, false, false);
        }
        for (size_t i = 0; i < p->n_b && !r; i++)
                if (!p->b[i].other)
                        r = put_diff(out, DIFF_EXTRA, NULL, p->b[i].entry, p->b[i].again, false);
        return r;
}

static int compare_stream(struct diff_list *out, const struct transcript_entry *a, size_t n_a,
                          const struct transcript_entry *b, size_t n_b)
{
        _cleanup_(freep) struct place *places_a = calloc(n_a + 1, sizeof(*places_a));
        _cleanup_(freep) struct place *places_b = calloc(n_b + 1, sizeof(*places_b));
        _cleanup_(freep) struct place **sorted_a = NULL;
        _cleanup_(freep) struct place **sorted_b = NULL;
        _cleanup_(freep) bool *out_of = calloc(n_a + 1, sizeof(*out_of));
        _cleanup_(freep) bool *topics = calloc(TOPICS, sizeof(*topics));
        int r;

        if (!places_a || !places_b || !out_of || !topics)
                return error_origin(-ENOMEM);
        sorted_a = sort_places(places_a, a, n_a);
        sorted_b = sort_places(places_b, b, n_b);
        if (!sorted_a || !sorted_b)
                return error_origin(-ENOMEM);
        match(sorted_a, n_a, sorted_b, n_b);
        r = n_a && a->sender == TRANSCRIPT_LATE ? 0
                                                : find_disorder(places_a, n_a, places_b, out_of);
        if (r)
                return r;
        note_topics(topics, b, n_b);
        return report_pairing(out, &(struct pairing){ places_a, places_b, n_a, n_b, out_of,
                                                      topics });
}

static size_t run_length(const struct side *side, size_t at, uint64_t id)
{
        size_t n = 0;

        while (at + n < side->n && transcript_stream_id(&side->entries[at + n]) == id)
                n++;
        return n;
}

static int compare_sides(struct diff_list *out, const struct side *a, const struct side *b)
{
        size_t i = 0, k = 0;
        int r = 0;

        while (!r && (i < a->n || k < b->n)) {
                uint64_t x = i < a->n ? transcript_stream_id(&a->entries[i]) : UINT64_MAX;
                uint64_t y = k < b->n ? transcript_stream_id(&b->entries[k]) : UINT64_MAX;
                size_t n_a = run_length(a, i, MIN(x, y)), n_b = run_length(b, k, MIN(x, y));

                r = compare_stream(out, n_a ? a->entries + i : NULL, n_a,
                                   n_b ? b->entries + k : NULL, n_b);
                i += n_a;
                k += n_b;
        }
        return r;
}

/* chooses streams until the memory for them is used up; false if none is left */
static bool choose(struct todo *todos)
{
        struct todo *t;
        uint64_t n = 0;

        for (t = todos; t; t = t->hh.next) {
                t->chosen = t->n && (!n || n + t->n <= BATCH_ENTRIES);
                n += t->chosen ? t->n : 0;
        }
        return n;
}

static void done_with_chosen(struct todo *todos)
{
        for (struct todo *t = todos; t; t = t->hh.next)
                if (t->chosen)
                        t->n = 0;
}

int diff_transcripts(struct diff_list *out, struct transcript *reference,
                     struct transcript *candidate)
{
        struct side a = { 0 }, b = { 0 };
        struct todo *todos = NULL, *t, *tmp;
        int r;

        *out = (struct diff_list){ 0 };
        r = find_todos(&todos, reference, candidate);
        while (!r && choose(todos)) {
                r = collect(&a, reference, todos);
                if (!r)
                        r = collect(&b, candidate, todos);
                if (!r)
                        r = compare_sides(out, &a, &b);
                done_with_chosen(todos);
        }
        HASH_ITER(hh, todos, t, tmp) {
                HASH_DEL(todos, t);
                free(t);
        }
        free(a.entries);
        free(b.entries);
        return error_fold(r);
}

void diff_list_deinit(struct diff_list *list)
{
        free(list->list);
        *list = (struct diff_list){ 0 };
}
