/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/bus/table.h"
#include "tools/cause.h"
#include "tools/message.h"
#include "tools/meta.h"
#include "tools/value.h"

/* a message loaded from a transcript */
struct said {
        uint8_t *data;
        struct header h;
};

/* one difference under examination */
struct item {
        struct diff *diff;
        struct said said; /* what is there: the reference's, or if surplus the candidate's */
        struct cause *cause;
        bool settled;
        UT_hash_handle hh;
        uint64_t id;
};

struct finder {
        struct cause_list *out;
        const struct recording *rec;
        struct replay_result *reference, *candidate;
        struct item *items;
        size_t n;
        struct item *missing_calls; /* by receiver, sender and serial */
        struct item *surplus;       /* by receiver and contents but for the sender */
        struct buf text;
};

static const char *const kinds[CAUSE_KINDS_] = {
        [CAUSE_LOST] = "lost",
        [CAUSE_RULE_IGNORED] = "rule-ignored",
        [CAUSE_UNASKED] = "unasked",
        [CAUSE_MISDELIVERED] = "misdelivered",
        [CAUSE_DUPLICATED] = "duplicated",
        [CAUSE_REORDERED] = "reordered",
        [CAUSE_TOTAL_ORDER] = "total-order",
        [CAUSE_CAUSALITY] = "causality",
        [CAUSE_SENDER] = "sender",
        [CAUSE_CONTENTS] = "contents",
        [CAUSE_REFUSED] = "refused",
        [CAUSE_ALLOWED] = "allowed",
        [CAUSE_ERROR] = "error",
        [CAUSE_ANSWER] = "answer",
        [CAUSE_NO_ANSWER] = "no-answer",
        [CAUSE_SURPLUS_ANSWER] = "surplus-answer",
        [CAUSE_UNWANTED_ANSWER] = "unwanted-answer",
        [CAUSE_UNREQUESTED] = "unrequested",
        [CAUSE_OWNER] = "owner",
        [CAUSE_BUS_SIGNAL] = "bus-signal",
        [CAUSE_BUS_ORDER] = "bus-order",
        [CAUSE_DISCONNECTED] = "disconnected",
        [CAUSE_DESCRIPTORS] = "descriptors",
        [CAUSE_SURPLUS] = "surplus",
};

const char *cause_kind_name(enum cause_kind kind)
{
        return kinds[kind];
}

/* ---- names for people ---- */

static const char *peer_name(const struct finder *f, uint32_t peer)
{
        if (peer == TRANSCRIPT_BUS || peer == TRANSCRIPT_LATE)
                return "the bus";
        return peer < f->rec->n_peers ? f->rec->peers[peer]->name : "(unknown)";
}

/* "interface.member" of a message, or of the call it answers if that is known */
static const char *subject(const struct said *s)
{
        static char text[2][520];
        static unsigned int turn;
        const char *interface = header_text(s->data, s->h.interface);
        const char *member = header_text(s->data, s->h.member);
        const char *error = header_text(s->data, s->h.error_name);
        char *to = text[turn++ & 1];

        if (member)
                snprintf(to, sizeof(text[0]), "%s%s%s", interface ? interface : "",
                         interface ? "." : "", member);
        else
                snprintf(to, sizeof(text[0]), "%s", error ? error : "reply");
        return to;
}

static const char *type_name(const struct said *s)
{
        static const char *const names[] = { "message", "call", "reply", "error", "signal" };

        return names[s->h.type <= HEADER_SIGNAL ? s->h.type : 0];
}

/* ---- groups ---- */

static struct cause *new_cause(struct finder *f, enum cause_kind kind, const char *key,
                               const char *title)
{
        struct cause *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        c->kind = kind;
        c->key = strdup(key);
        c->title = strdup(title);
        if (!c->key || !c->title) {
                free(c->key);
                free(c->title);
                free(c);
                return NULL;
        }
        HASH_ADD_KEYPTR(hh, f->out->by_key, c->key, strlen(c->key), c);
        f->out->n++;
        return c;
}

/* puts a difference into the group of this key, with @example as what was seen */
static int put(struct finder *f, struct item *item, enum cause_kind kind, const char *what,
               const char *title, const char *example)
{
        char key[CAUSE_KEY_MAX];
        struct cause *c;

        snprintf(key, sizeof(key), "%s:%s", kinds[kind], what);
        HASH_FIND_STR(f->out->by_key, key, c);
        if (!c)
                c = new_cause(f, kind, key, title);
        if (!c)
                return error_origin(-ENOMEM);
        c->n++;
        item->cause = c;
        item->settled = true;
        if (c->n_examples < CAUSE_EXAMPLES) {
                c->examples[c->n_examples] = strdup(example);
                if (!c->examples[c->n_examples])
                        return error_origin(-ENOMEM);
                c->n_examples++;
        }
        return 0;
}

static _printf_(2, 3) const char *say(struct buf *to, const char *format, ...)
{
        char text[1024];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        buf_reset(to);
        buf_put(to, text, strlen(text));
        return buf_text(to);
}

/* the method whose call the bus answers here */
static const char *called(const struct finder *f, const struct item *item)
{
        const struct transcript_entry *e = diff_entry(item->diff);
        const struct replay_result *side = item->diff->kind == DIFF_EXTRA ? f->candidate
                                                                          : f->reference;

        return e->method ? side->latency.methods[e->method - 1]->name : "a call";
}

/* "message 12: call a.b.C from :1.2 to :1.3" */
static const char *describe(struct finder *f, const struct item *item)
{
        const struct transcript_entry *e = diff_entry(item->diff);
        const char *args[META_ARGS_MAX + 1];
        char number[32] = "";

        if (e->origin)
                snprintf(number, sizeof(number), "message %llu: ", (unsigned long long)e->origin);
        if (item->said.h.reply_serial)
                return say(&f->text, "%s%s to %s from %s to %s", number, subject(&item->said),
                           called(f, item), peer_name(f, e->sender), peer_name(f, e->receiver));
        say(&f->text, "%s%s %s from %s to %s", number, type_name(&item->said), subject(&item->said),
            peer_name(f, e->sender), peer_name(f, e->receiver));
        if (message_field_is(item->said.data, item->said.h.member, "NameOwnerChanged") &&
            meta_read(item->said.data, &item->said.h, args) == 3)
                buf_printf(&f->text, " (%s, \"%s\" to \"%s\")", args[0], args[1], args[2]);
        return buf_text(&f->text);
}

/* ---- loading ---- */

static int load(struct transcript *t, const struct transcript_entry *e, struct said *out)
{
        int r = transcript_load(t, e, &out->data);

        if (!r && e->kind == TRANSCRIPT_MESSAGE && header_parse(&out->h, out->data, e->n))
                r = error_origin(-EBADMSG);
        return r;
}

static int load_side(struct finder *f, const struct item *item, bool candidate, struct said *out)
{
        return load(candidate ? &f->candidate->transcript : &f->reference->transcript,
                    candidate ? &item->diff->candidate : &item->diff->reference, out);
}

static uint64_t call_id(uint32_t receiver, uint32_t sender, uint32_t serial)
{
        const uint32_t words[] = { receiver, sender, serial };

        return table_hash(words, sizeof(words));
}

/* receiver and all that a message says, but for who says it */
static uint64_t contents_id(uint32_t receiver, const struct said *s)
{
        uint64_t words[3] = { receiver, (uint64_t)s->h.serial << 8 | s->h.type };
        char text[1024];
        int n = snprintf(text, sizeof(text), "%s|%s|%s|%u",
                         header_text(s->data, s->h.path) ?: "", subject(s),
                         header_text(s->data, s->h.signature) ?: "", s->h.reply_serial);

        words[1] ^= table_hash(text, (size_t)MIN(n, (int)sizeof(text) - 1));
        words[2] = table_hash(s->data + s->h.size, s->h.body_size);
        return table_hash(words, sizeof(words));
}

static int load_items(struct finder *f, struct diff_list *diffs)
{
        int r = 0;

        f->items = calloc(diffs->n + 1, sizeof(*f->items));
        if (!f->items)
                return error_origin(-ENOMEM);
        for (f->n = 0; f->n < diffs->n && !r; f->n++) {
                struct item *item = &f->items[f->n];

                item->diff = &diffs->list[f->n];
                r = load_side(f, item, item->diff->kind == DIFF_EXTRA, &item->said);
        }
        return r;
}

static void index_items(struct finder *f)
{
        for (size_t i = 0; i < f->n; i++) {
                struct item *item = &f->items[i];
                const struct transcript_entry *e = diff_entry(item->diff);

                if (e->kind != TRANSCRIPT_MESSAGE || transcript_from_bus(e))
                        continue;
                if (item->diff->kind == DIFF_MISSING) {
                        item->id = call_id(e->receiver, e->sender, item->said.h.serial);
                        HASH_ADD(hh, f->missing_calls, id, sizeof(item->id), item);
                } else if (item->diff->kind == DIFF_EXTRA) {
                        item->id = contents_id(e->receiver, &item->said);
                        HASH_ADD(hh, f->surplus, id, sizeof(item->id), item);
                }
        }
}

/* ---- what belongs to one recorded message ---- */

/* items are sorted by origin: those of @item's message are neighbours */
static int compare_origin(const void *a, const void *b)
{
        const struct item *x = a, *y = b;
        uint64_t i = diff_entry(x->diff)->origin, k = diff_entry(y->diff)->origin;

        if (i != k)
                return i < k ? -1 : 1;
        return (diff_entry(x->diff)->offset > diff_entry(y->diff)->offset) -
               (diff_entry(x->diff)->offset < diff_entry(y->diff)->offset);
}

struct family {
        struct item *first;
        size_t n;
};

static struct family family_of(const struct finder *f, struct item *item)
{
        uint64_t origin = diff_entry(item->diff)->origin;
        struct item *first = item, *end = item + 1;

        if (!origin)
                return (struct family){ item, 1 };
        while (first > f->items && diff_entry(first[-1].diff)->origin == origin)
                first--;
        while (end < f->items + f->n && diff_entry(end->diff)->origin == origin)
                end++;
        return (struct family){ first, (size_t)(end - first) };
}

/* an unsettled member of this kind that the bus (or no bus) sent */
static struct item *relative(const struct finder *f, struct item *item, enum diff_kind kind,
                             bool from_bus)
{
        struct family family = family_of(f, item);

        for (size_t i = 0; i < family.n; i++) {
                struct item *other = &family.first[i];
                const struct transcript_entry *e = diff_entry(other->diff);

                if (other != item && !other->settled && other->diff->kind == kind &&
                    e->kind == TRANSCRIPT_MESSAGE && transcript_from_bus(e) == from_bus)
                        return other;
        }
        return NULL;
}

static void absorb(struct cause *cause, struct item *item)
{
        if (!item || item->settled)
                return;
        item->settled = true;
        item->cause = cause;
        cause->n_consequences++;
}

static bool is_broadcast(const struct said *s)
{
        return s->h.type == HEADER_SIGNAL && !s->h.destination.off;
}

/* ---- messages between peers ---- */

static int judge_forged(struct finder *f, struct item *item, struct item *twin)
{
        char what[CAUSE_KEY_MAX], title[CAUSE_TITLE_MAX];
        const char *stated = header_text(twin->said.data, twin->said.h.sender);
        int r;

        snprintf(what, sizeof(what), "%s", subject(&item->said));
        snprintf(title, sizeof(title), "%s arrives with a sender that did not send it", what);
        describe(f, item);
        buf_printf(&f->text, ", but says it is from %s", stated ? stated : "nobody");
        r = put(f, item, CAUSE_SENDER, what, title, buf_text(&f->text));
        if (!r) {
                twin->settled = true;
                twin->cause = item->cause;
        }
        return r;
}

static int judge_astray(struct finder *f, struct item *item, struct item *twin)
{
        char title[CAUSE_TITLE_MAX];
        int r;

        snprintf(title, sizeof(title), "%s %s is delivered to the wrong peer",
                 type_name(&item->said), subject(&item->said));
        describe(f, item);
        buf_printf(&f->text, " went to %s", peer_name(f, twin->diff->candidate.receiver));
        r = put(f, item, CAUSE_MISDELIVERED, subject(&item->said), title, buf_text(&f->text));
        if (!r) {
                twin->settled = true;
                twin->cause = item->cause;
        }
        return r;
}

/* the candidate answers with an error what the reference delivers */
static int judge_refused(struct finder *f, struct item *item, struct item *error)
{
        const char *name = header_text(error->said.data, error->said.h.error_name);
        char what[CAUSE_KEY_MAX], title[CAUSE_TITLE_MAX];
        int r;

        snprintf(what, sizeof(what), "%s:%s", name, subject(&item->said));
        snprintf(title, sizeof(title), "%s is refused with %s; the reference delivers it",
                 subject(&item->said), name);
        r = put(f, item, CAUSE_REFUSED, what, title, describe(f, item));
        if (!r)
                absorb(item->cause, error);
        return r;
}

static int judge_lost(struct finder *f, struct item *item)
{
        bool rule = is_broadcast(&item->said) && item->diff->none;
        char title[CAUSE_TITLE_MAX];

        if (rule)
                snprintf(title, sizeof(title),
                         "a match rule is ignored: no signal %s arrives where it is asked for",
                         subject(&item->said));
        else
                snprintf(title, sizeof(title), "%s %s is lost on the way", type_name(&item->said),
                         subject(&item->said));
        return put(f, item, rule ? CAUSE_RULE_IGNORED : CAUSE_LOST, subject(&item->said), title,
                   describe(f, item));
}

/* "reference" or "candidate": which of both has it */
static const char *side_name(const struct item *item)
{
        return item->diff->kind == DIFF_EXTRA ? "candidate" : "reference";
}

static int judge_unrequested(struct finder *f, struct item *item)
{
        char title[CAUSE_TITLE_MAX];

        snprintf(title, sizeof(title), "only the %s delivers replies that no call waits for",
                 side_name(item));
        return put(f, item, CAUSE_UNREQUESTED, side_name(item), title, describe(f, item));
}

static int judge_unwanted(struct finder *f, struct item *item)
{
        char what[CAUSE_KEY_MAX], title[CAUSE_TITLE_MAX];

        snprintf(what, sizeof(what), "%s:%s", side_name(item), called(f, item));
        snprintf(title, sizeof(title), "only the %s's bus answers %s although it expects no reply",
                 side_name(item), called(f, item));
        return put(f, item, CAUSE_UNWANTED_ANSWER, what, title, describe(f, item));
}

static int judge_missing(struct finder *f, struct item *item)
{
        const struct transcript_entry *e = &item->diff->reference;
        uint64_t id = contents_id(e->receiver, &item->said);
        struct item *twin, *call = NULL;

        HASH_FIND(hh, f->surplus, &id, sizeof(id), twin);
        if (twin && !twin->settled && twin->diff->candidate.sender != e->sender)
                return judge_forged(f, item, twin);
        if (item->said.h.reply_serial) {
                id = call_id(e->sender, e->receiver, item->said.h.reply_serial);
                HASH_FIND(hh, f->missing_calls, &id, sizeof(id), call);
        }
        if (call && call->cause) {
                absorb(call->cause, item);
                return 0;
        }
        twin = is_broadcast(&item->said) ? NULL : relative(f, item, DIFF_EXTRA, false);
        if (twin)
                return judge_astray(f, item, twin);
        twin = relative(f, item, DIFF_EXTRA, true);
        if (twin && twin->said.h.type == HEADER_ERROR)
                return judge_refused(f, item, twin);
        return judge_lost(f, item);
}

static int judge_surplus(struct finder *f, struct item *item)
{
        struct item *error = relative(f, item, DIFF_MISSING, true);
        char what[CAUSE_KEY_MAX], title[CAUSE_TITLE_MAX];
        enum cause_kind kind = CAUSE_SURPLUS;
        int r;

        snprintf(what, sizeof(what), "%s", subject(&item->said));
        if (item->diff->again) {
                kind = CAUSE_DUPLICATED;
                snprintf(title, sizeof(title), "%s %s is delivered more than once",
                         type_name(&item->said), what);
        } else if (error && error->said.h.type == HEADER_ERROR) {
                const char *name = header_text(error->said.data, error->said.h.error_name);

                kind = CAUSE_ALLOWED;
                snprintf(what, sizeof(what), "%s:%s", name, subject(&item->said));
                snprintf(title, sizeof(title), "%s is delivered; the reference refuses it with %s",
                         subject(&item->said), name);
        } else if (is_broadcast(&item->said)) {
                kind = CAUSE_UNASKED;
                snprintf(title, sizeof(title), "signal %s arrives where no rule asks for it", what);
        } else {
                snprintf(title, sizeof(title), "%s %s is delivered; the reference drops it",
                         type_name(&item->said), what);
        }
        r = put(f, item, kind, what, title, describe(f, item));
        if (!r && kind == CAUSE_ALLOWED)
                absorb(item->cause, error);
        return r;
}

/* ---- the same message with other contents ---- */

static void append_field(struct buf *to, const struct said *s, const char *name, struct span span)
{
        if (span.off)
                buf_printf(to, "%s = \"%s\"\n", name, header_text(s->data, span));
}

/* header and body as lines "place = value" */
static int describe_all(struct buf *to, const struct said *s)
{
        const struct header *h = &s->h;

        buf_reset(to);
        buf_printf(to, "type = %s\n", type_name(s));
        buf_printf(to, "flags = 0x%x\nserial = %u\n", h->flags, h->serial);
        buf_printf(to, "byte order = %c\n", h->endian);
        if (h->reply_serial)
                buf_printf(to, "reply serial = %u\n", h->reply_serial);
        append_field(to, s, "path", h->path);
        append_field(to, s, "interface", h->interface);
        append_field(to, s, "member", h->member);
        append_field(to, s, "error name", h->error_name);
        append_field(to, s, "destination", h->destination);
        append_field(to, s, "sender", h->sender);
        append_field(to, s, "signature", h->signature);
        if (h->n_fds)
                buf_printf(to, "descriptors = %u\n", h->n_fds);
        if (!h->body_size)
                return buf_error(to);
        return value_describe(to, header_text(s->data, h->signature), h->signature.len, h->swap,
                              s->data + h->size, h->body_size);
}

/* what a place in a body is called in a key: without the indices, so that all elements are one */
static void strip_indices(char *place)
{
        char *to = place;

        for (const char *p = place; *p; p++) {
                *to++ = *p;
                if (*p == '[')
                        while (p[1] && p[1] != ']')
                                p++;
        }
        *to = 0;
}

#define LINES_MAX 400U
#define PLACES_MAX 4U /* differences told of one message */

struct line {
        const char *text;
        size_t n_place, n;
};

/* a description as its lines, "place = value" each */
static size_t split_lines(const char *text, struct line lines[static LINES_MAX])
{
        size_t n = 0;

        for (; *text && n < LINES_MAX; n++) {
                const char *equals = strstr(text, " = ");

                lines[n].text = text;
                lines[n].n = strcspn(text, "\n");
                lines[n].n_place = equals ? MIN((size_t)(equals - text), lines[n].n) : lines[n].n;
                text += lines[n].n + (text[lines[n].n] == '\n');
        }
        return n;
}

static const struct line *find_line(const struct line *lines, size_t n, const struct line *wanted)
{
        for (size_t i = 0; i < n; i++)
                if (lines[i].n_place == wanted->n_place &&
                    !memcmp(lines[i].text, wanted->text, wanted->n_place))
                        return &lines[i];
        return NULL;
}

static bool same_line(const struct line *a, const struct line *b)
{
        return a && b && a->n == b->n && !memcmp(a->text, b->text, a->n);
}

/* a text that only one bus has in a list is named, so that it is not taken for another one */
static void name_element(char *place, size_t size, const struct line *one, char sign)
{
        size_t at = strlen(place), n = one->n - MIN(one->n, one->n_place + 3);
        const char *value = one->text + one->n - n;

        if (!at || place[at - 1] != ']' || n < 3 || n > 80 || value[0] != '"' || value[1] == ':')
                return;
        snprintf(place + at - 1, size - at + 1, "%c%.*s]", sign, (int)(n - 2), value + 1);
}

/* one place in which two messages differ; @a or @b may be NULL */
static int put_place(struct finder *f, struct item *item, enum cause_kind kind, const char *what,
                     const struct line *a, const struct line *b)
{
        char place[256], key[CAUSE_KEY_MAX], title[CAUSE_TITLE_MAX];
        const struct line *one = a ? a : b;

        snprintf(place, sizeof(place), "%.*s", (int)MIN(one->n_place, (size_t)127), one->text);
        strip_indices(place);
        if (kind == CAUSE_ANSWER && (!a || !b))
                name_element(place, sizeof(place), one, a ? '-' : '+');
        snprintf(key, sizeof(key), "%s:%s", what, place);
        if (kind == CAUSE_ANSWER)
                snprintf(title, sizeof(title), "the bus answers %s with another value (%s)", what,
                         place);
        else
                snprintf(title, sizeof(title), "%s arrives with another %s", what, place);
        describe(f, item);
        buf_printf(&f->text, ": reference has %.*s, candidate has %.*s",
                   a ? (int)MIN(a->n, (size_t)300) : 7, a ? a->text : "nothing",
                   b ? (int)MIN(b->n, (size_t)300) : 7, b ? b->text : "nothing");
        return put(f, item, kind, key, title, buf_text(&f->text));
}

static int put_places(struct finder *f, struct item *item, enum cause_kind kind, const char *what,
                      const char *reference, const char *candidate)
{
        _cleanup_(freep) struct line *a = calloc(2 * LINES_MAX, sizeof(*a));
        struct line *b = a + LINES_MAX;
        size_t n_a, n_b, told = 0;
        int r = 0;

        if (!a)
                return error_origin(-ENOMEM);
        n_a = split_lines(reference, a);
        n_b = split_lines(candidate, b);
        for (size_t i = 0; i < n_a && told < PLACES_MAX && !r; i++) {
                const struct line *other = find_line(b, n_b, &a[i]);

                if (same_line(&a[i], other))
                        continue;
                r = put_place(f, item, kind, what, &a[i], other);
                told++;
        }
        for (size_t i = 0; i < n_b && told < PLACES_MAX && !r; i++)
                if (!find_line(a, n_a, &b[i])) {
                        r = put_place(f, item, kind, what, NULL, &b[i]);
                        told++;
                }
        if (!told && !r)
                r = put_place(f, item, kind, what,
                              &(struct line){ "a long body", 11, 11 }, NULL);
        return r;
}

static int judge_contents(struct finder *f, struct item *item, const struct said *candidate,
                          enum cause_kind kind, const char *what)
{
        struct buf a = BUF_NULL, b = BUF_NULL;
        int r;

        r = describe_all(&a, &item->said);
        if (!r)
                r = describe_all(&b, candidate);
        if (!r)
                r = put_places(f, item, kind, what, buf_text(&a), buf_text(&b));
        buf_deinit(&a);
        buf_deinit(&b);
        return r;
}

/* ---- what the bus itself says ---- */

/* the group of what happened to the very message that the bus speaks of here */
static struct cause *cause_of_kin(const struct finder *f, struct item *item)
{
        struct family family = family_of(f, item);

        for (size_t i = 0; i < family.n; i++)
                if (!transcript_from_bus(diff_entry(family.first[i].diff)) &&
                    family.first[i].cause)
                        return family.first[i].cause;
        return NULL;
}

static int judge_answer(struct finder *f, struct item *item, const struct said *candidate)
{
        const char *was = header_text(item->said.data, item->said.h.error_name);
        const char *is = header_text(candidate->data, candidate->h.error_name);
        char what[CAUSE_KEY_MAX], title[CAUSE_TITLE_MAX];
        const char *call = called(f, item);
        enum cause_kind kind = CAUSE_ERROR;

        if (was && is && !strcmp(was, is))
                return judge_contents(f, item, candidate, CAUSE_CONTENTS, is);
        if (!was && !is)
                return judge_contents(f, item, candidate, CAUSE_ANSWER, call);
        if (was && is) {
                snprintf(what, sizeof(what), "%s:%s:%s", was, is, call);
                snprintf(title, sizeof(title), "%s fails with %s instead of %s", call, is, was);
        } else if (is) {
                kind = CAUSE_REFUSED;
                snprintf(what, sizeof(what), "%s:%s", is, call);
                snprintf(title, sizeof(title), "%s is refused with %s; the reference does it", call,
                         is);
        } else {
                kind = CAUSE_ALLOWED;
                snprintf(what, sizeof(what), "%s:%s", was, call);
                snprintf(title, sizeof(title), "%s is done; the reference refuses it with %s", call,
                         was);
        }
        return put(f, item, kind, what, title, describe(f, item));
}

/* a signal of the bus on one side only; a change of owner on both sides is another owner */
static int judge_bus_signal(struct finder *f, struct item *item)
{
        bool missing = item->diff->kind == DIFF_MISSING;
        const char *member = header_text(item->said.data, item->said.h.member);
        char what[CAUSE_KEY_MAX], title[CAUSE_TITLE_MAX];

        snprintf(what, sizeof(what), "%s:%s", member, missing ? "missing" : "surplus");
        snprintf(title, sizeof(title), "the bus's signal %s is %s", member,
                 missing ? "missing" : "surplus");
        if (item->diff->again)
                snprintf(title, sizeof(title), "the bus's signal %s comes more than once", member);
        else if (missing && item->diff->none)
                snprintf(title, sizeof(title),
                         "the bus's signal %s does not arrive at all where it is asked for", member);
        return put(f, item, CAUSE_BUS_SIGNAL, what, title, describe(f, item));
}

static bool same_topic(const struct item *a, const struct item *b)
{
        const struct transcript_entry *x = diff_entry(a->diff), *y = diff_entry(b->diff);

        return x->topic == y->topic && x->receiver == y->receiver && x->sender == y->sender;
}

/* a signal of the bus that is missing here, surplus there: it says something else */
static struct item *changed_signal(const struct finder *f, const struct item *item)
{
        for (size_t i = 0; i < f->n; i++) {
                struct item *other = &f->items[i];

                if (!other->settled && other->diff->kind == DIFF_EXTRA && !other->diff->again &&
                    same_topic(item, other))
                        return other;
        }
        return NULL;
}

static int judge_owner(struct finder *f, struct item *item, struct item *other)
{
        const char *member = header_text(item->said.data, item->said.h.member);
        int r;

        if (strcmp(member, "NameOwnerChanged"))
                return judge_contents(f, item, &other->said, CAUSE_BUS_SIGNAL, member);
        r = judge_contents(f, item, &other->said, CAUSE_OWNER, member);
        return r;
}

static int judge_bus_missing(struct finder *f, struct item *item)
{
        struct item *other;
        int r;

        if (item->said.h.type != HEADER_SIGNAL && relative(f, item, DIFF_EXTRA, true)) {
                other = relative(f, item, DIFF_EXTRA, true);
                r = judge_answer(f, item, &other->said);
                other->settled = true;
                other->cause = item->cause;
                return r;
        }
        if (item->said.h.type != HEADER_SIGNAL) {
                const char *call = called(f, item);
                char what[CAUSE_KEY_MAX], title[CAUSE_TITLE_MAX];
                const char *error = header_text(item->said.data, item->said.h.error_name);

                snprintf(what, sizeof(what), "%s%s%s", call, error ? ":" : "", error ? error : "");
                snprintf(title, sizeof(title), "the bus does not answer %s%s%s", call,
                         error ? "; the reference says " : "", error ? error : "");
                return put(f, item, CAUSE_NO_ANSWER, what, title, describe(f, item));
        }
        other = changed_signal(f, item);
        if (!other)
                return judge_bus_signal(f, item);
        r = judge_owner(f, item, other);
        if (!r) {
                other->settled = true;
                other->cause = item->cause;
        }
        return r;
}

static int judge_bus_extra(struct finder *f, struct item *item)
{
        const char *error = header_text(item->said.data, item->said.h.error_name);
        char what[CAUSE_KEY_MAX], title[CAUSE_TITLE_MAX];
        const char *call;

        if (item->said.h.type == HEADER_SIGNAL)
                return judge_bus_signal(f, item);
        call = called(f, item);
        snprintf(what, sizeof(what), "%s%s%s", call, error ? ":" : "", error ? error : "");
        snprintf(title, sizeof(title), "the bus answers %s%s%s; the reference does not", call,
                 error ? " with " : "", error ? error : "");
        if (item->diff->again)
                snprintf(title, sizeof(title), "the bus answers %s more than once", call);
        return put(f, item, item->diff->again ? CAUSE_DUPLICATED : CAUSE_SURPLUS_ANSWER, what,
                   title, describe(f, item));
}

/* ---- putting it together ---- */

static int judge_reordered(struct finder *f, struct item *item)
{
        bool bus = transcript_from_bus(&item->diff->reference);
        char title[CAUSE_TITLE_MAX];

        if (bus)
                snprintf(title, sizeof(title),
                         "the bus's own %s %s comes in another order among its messages",
                         type_name(&item->said), subject(&item->said));
        else
                snprintf(title, sizeof(title),
                         "%s %s arrives out of order: messages of one sender were swapped",
                         type_name(&item->said), subject(&item->said));
        return put(f, item, bus ? CAUSE_BUS_ORDER : CAUSE_REORDERED, subject(&item->said), title,
                   describe(f, item));
}

static int judge_changed(struct finder *f, struct item *item)
{
        struct said candidate = { 0 };
        int r;

        r = load_side(f, item, true, &candidate);
        if (!r && transcript_from_bus(&item->diff->reference) &&
            item->said.h.type != HEADER_SIGNAL)
                r = judge_answer(f, item, &candidate);
        else if (!r)
                r = judge_contents(f, item, &candidate, CAUSE_CONTENTS, subject(&item->said));
        free(candidate.data);
        return r;
}

/* broadcasts that one of both buses delivered against its promises */
static int judge_order(struct finder *f, struct item *item)
{
        const struct transcript_entry *e = diff_entry(item->diff);
        bool total = e->kind == TRANSCRIPT_ORDER;
        char what[CAUSE_KEY_MAX], title[CAUSE_TITLE_MAX];
        uint64_t other;

        memcpy(&other, item->said.data, sizeof(other));
        snprintf(what, sizeof(what), "%s:%s", side_name(item), called(f, item));
        if (total)
                snprintf(title, sizeof(title),
                         "the %s delivers signal %s to two receivers in different orders",
                         side_name(item), called(f, item));
        else
                snprintf(title, sizeof(title),
                         "the %s delivers signal %s after a message that it prompted",
                         side_name(item), called(f, item));
        return put(f, item, total ? CAUSE_TOTAL_ORDER : CAUSE_CAUSALITY, what, title,
                   say(&f->text, "message %llu after message %llu at %s",
                       (unsigned long long)e->origin, (unsigned long long)other,
                       peer_name(f, e->receiver)));
}

static int judge_event(struct finder *f, struct item *item)
{
        const struct transcript_entry *e = diff_entry(item->diff);
        char title[CAUSE_TITLE_MAX];

        if (e->kind == TRANSCRIPT_ORDER || e->kind == TRANSCRIPT_CAUSALITY)
                return judge_order(f, item);
        if (e->kind == TRANSCRIPT_SILENCE)
                return put(f, item, CAUSE_NO_ANSWER, "ping",
                           "the bus did not answer a question of the kit's own",
                           say(&f->text, "at %s", peer_name(f, e->receiver)));
        if (e->kind == TRANSCRIPT_FDS)
                return put(f, item, CAUSE_DESCRIPTORS, "count",
                           "the number of descriptors that arrive is not what the message says",
                           say(&f->text, "at %s", peer_name(f, e->receiver)));
        snprintf(title, sizeof(title), "only the %s closes a connection", side_name(item));
        return put(f, item, CAUSE_DISCONNECTED, side_name(item), title,
                   say(&f->text, "that of %s", peer_name(f, e->receiver)));
}

static int judge(struct finder *f, struct item *item)
{
        const struct transcript_entry *e = diff_entry(item->diff);
        bool one_sided = item->diff->kind == DIFF_MISSING || item->diff->kind == DIFF_EXTRA;
        bool bus = transcript_from_bus(e);

        if (item->settled)
                return 0;
        if (e->kind != TRANSCRIPT_MESSAGE)
                return judge_event(f, item);
        if (bus && item->said.h.type != HEADER_SIGNAL && cause_of_kin(f, item)) {
                absorb(cause_of_kin(f, item), item);
                return 0;
        }
        if (one_sided && e->traits & TRANSCRIPT_UNWANTED)
                return judge_unwanted(f, item);
        if (one_sided && e->traits & TRANSCRIPT_UNREQUESTED)
                return judge_unrequested(f, item);
        switch (item->diff->kind) {
        case DIFF_MISSING:
                return bus ? judge_bus_missing(f, item) : judge_missing(f, item);
        case DIFF_EXTRA:
                return bus ? judge_bus_extra(f, item) : judge_surplus(f, item);
        case DIFF_CHANGED:
                return judge_changed(f, item);
        case DIFF_REORDERED:
                return judge_reordered(f, item);
        }
        return 0;
}

/* what a peer whose connection was closed would have sent or received follows from that */
static int judge_closed(struct finder *f)
{
        int r = 0;

        for (size_t i = 0; i < f->n && !r; i++) {
                struct item *item = &f->items[i];
                uint32_t peer = diff_entry(item->diff)->receiver;

                if (diff_entry(item->diff)->kind != TRANSCRIPT_CLOSED)
                        continue;
                r = judge_event(f, item);
                for (size_t k = 0; k < f->n && !r; k++)
                        if (diff_entry(f->items[k].diff)->receiver == peer ||
                            diff_entry(f->items[k].diff)->sender == peer)
                                absorb(item->cause, &f->items[k]);
        }
        return r;
}

/* in which order the differences are looked at: what explains others comes first */
static int turn_of(const struct item *item)
{
        bool bus = transcript_from_bus(diff_entry(item->diff));

        return (bus ? 2 : 0) + (item->diff->kind == DIFF_EXTRA);
}

static int judge_all(struct finder *f)
{
        int r = judge_closed(f);

        for (int turn = 0; turn < 4; turn++)
                for (size_t i = 0; i < f->n && !r; i++)
                        if (turn_of(&f->items[i]) == turn)
                                r = judge(f, &f->items[i]);
        return r;
}

static int by_weight(struct cause *a, struct cause *b)
{
        return a->n < b->n ? 1 : a->n > b->n ? -1 : strcmp(a->key, b->key);
}

int cause_find(struct cause_list *out, const struct recording *rec, struct diff_list *diffs,
               struct replay_result *reference, struct replay_result *candidate)
{
        struct finder f = { .out = out, .rec = rec, .reference = reference,
                            .candidate = candidate };
        int r;

        *out = (struct cause_list){ .n_unlisted = diffs->n_unlisted };
        r = load_items(&f, diffs);
        if (!r) {
                qsort(f.items, f.n, sizeof(*f.items), compare_origin);
                index_items(&f);
                r = judge_all(&f);
        }
        HASH_CLEAR(hh, f.missing_calls);
        HASH_CLEAR(hh, f.surplus);
        for (size_t i = 0; i < f.n; i++)
                free(f.items[i].said.data);
        free(f.items);
        buf_deinit(&f.text);
        HASH_SORT(out->by_key, by_weight);
        return error_fold(r);
}

void cause_list_deinit(struct cause_list *list)
{
        struct cause *c, *tmp;

        HASH_ITER(hh, list->by_key, c, tmp) {
                HASH_DEL(list->by_key, c);
                for (size_t i = 0; i < c->n_examples; i++)
                        free(c->examples[i]);
                free(c->key);
                free(c->title);
                free(c);
        }
        *list = (struct cause_list){ 0 };
}
