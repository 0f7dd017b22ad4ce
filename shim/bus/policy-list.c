/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/bus/policy-private.h"

/*
 * One ruleset per kind of rule. Entries lie bucket by bucket in one array, the last rule of the
 * list first, so that the first match in a bucket is its best. A slot of the hash table
 * holds the number of a bucket plus one.
 */
enum bucket_class {
        BUCKET_NAME,      /* key: the destination, the sender, the name to own */
        BUCKET_PREFIX,    /* key: the same, as a prefix */
        BUCKET_INTERFACE, /* key: the interface; no name asked for */
        BUCKET_N_KEYED,
        BUCKET_GENERAL = BUCKET_N_KEYED, /* neither name nor interface */
        BUCKET_UNSAID, /* denials by interface only: they hit messages that say none, too */
        BUCKET_N_CLASSES,
};

struct entry {
        uint32_t place;         /* in the list; larger wins */
        uint32_t interface_tag; /* see tag(); 0: any */
        uint32_t member_tag;
        const struct policy_rule *rule;
};

struct bucket {
        enum bucket_class class;
        uint64_t hash;
        struct policy_text key;
        uint32_t first, n; /* entries */
};

struct ruleset {
        const struct policy_rule **rules; /* those that may matter, in order */
        size_t n_rules;
        struct entry *entries;
        struct bucket *buckets; /* the unkeyed ones stand first, at [class - BUCKET_GENERAL] */
        size_t n_buckets;
        uint32_t *slots;
        size_t mask; /* number of slots - 1; slots NULL: no keyed buckets */
        bool has[BUCKET_N_KEYED];
        bool open; /* the one rule that is left allows everything, and need not be heard of */
};

struct policy_list {
        atomic_uint refs;
        struct policy *policy; /* pinned */
        struct ruleset sets[POLICY_OWN + 1];
        struct cds_list_head link; /* policy->cache.lists */
        size_t n_key;
        uint32_t key[]; /* what of the credentials matters to the policy */
};

/*
 * A word that differs for most texts that differ; never 0 for a text, 0 for none. It decides
 * nearly all comparisons without a look at the text.
 */
static inline uint32_t tag(struct policy_text text)
{
        if (!text.ptr)
                return 0;
        if (!text.n)
                return 1;
        return (uint32_t)(text.n & 0x7f) << 24 | (uint32_t)(uint8_t)text.ptr[0] << 16 |
               (uint32_t)(uint8_t)text.ptr[text.n / 2] << 8 | (uint8_t)text.ptr[text.n - 1] |
               UINT32_C(1) << 31;
}

static inline bool text_equal(struct policy_text a, struct policy_text b)
{
        return a.n == b.n && memcmp(a.ptr, b.ptr, a.n) == 0;
}

/* eight bytes at a time; the keys come from configuration files, so nobody can aim at it */
static uint64_t hash(enum bucket_class class, struct policy_text text)
{
        uint64_t h = (class + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ text.n, word;
        size_t i;

        for (i = 0; i < text.n; i += sizeof(word)) {
                word = 0;
                memcpy(&word, text.ptr + i, MIN(sizeof(word), text.n - i));
                h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
                h ^= h >> 32;
        }
        return h;
}

/* is @name the name @prefix or one below it? */
static bool name_below(struct policy_text name, struct policy_text prefix)
{
        return name.n >= prefix.n && memcmp(name.ptr, prefix.ptr, prefix.n) == 0 &&
               (name.n == prefix.n || name.ptr[prefix.n] == '.');
}

/* ---- what a rule says on a message ---- */

/*
 * Does the rule make dbus-daemon forget all rules of its kind before it? It takes a rule that asks
 * for no name, type or header field for one that matches always, although the flags below may
 * still keep it from matching.
 */
static bool rule_forgets(const struct policy_rule *rule)
{
        return !rule->name.ptr && !rule->type && !rule->interface.ptr && !rule->member.ptr &&
               !rule->path.ptr && !rule->error.ptr;
}

/*
 * For a reply, an allowing rule holds for requested replies only, unless it says
 * requested_reply="false" or eavesdrop="true"; a denying one for unrequested only, unless it says
 * requested_reply="true". When the message passes by someone it is not addressed to, an
 * allowing rule must say eavesdrop="true"; a denying one that says so holds only then.
 */
static bool flags_match(const struct policy_rule *rule, const struct policy_query *query)
{
        if (rule->kind == POLICY_RECEIVE &&
            (rule->allow ? query->eavesdropping && !rule->eavesdrop
                         : !query->eavesdropping && rule->eavesdrop))
                return false;
        if (query->is_reply &&
            (rule->allow ? !query->requested_reply && rule->requested_reply && !rule->eavesdrop
                         : query->requested_reply && !rule->requested_reply))
                return false;
        if (rule->broadcast && query->broadcast != (rule->broadcast == POLICY_BROADCAST_ONLY))
                return false;
        return query->n_fds >= rule->min_fds &&
               (query->n_fds <= rule->max_fds || rule->max_fds >= POLICY_MAX_FDS);
}

/* Does it allow all there is? */
static bool rule_opens(const struct policy_rule *rule)
{
        return rule_forgets(rule) && rule->allow && !rule->log && rule->eavesdrop &&
               !rule->broadcast && !rule->min_fds && rule->max_fds >= POLICY_MAX_FDS;
}

/* a field that the message does not have is as good as equal */
static inline bool field_matches(struct policy_text asked, struct policy_text said)
{
        return !asked.ptr || !said.ptr || text_equal(asked, said);
}

/* a message without an interface is denied by rules for any, but allowed by none of them */
static inline bool interface_matches(const struct policy_rule *rule, struct policy_text said)
{
        if (!rule->interface.ptr)
                return true;
        return said.ptr ? text_equal(rule->interface, said) : !rule->allow;
}

/* everything but the name, which the choice of the bucket has settled */
static bool rule_matches(const struct policy_rule *rule, const struct policy_query *query)
{
        return (!rule->type || rule->type == query->type) &&
               interface_matches(rule, query->interface) &&
               field_matches(rule->member, query->member) &&
               field_matches(rule->path, query->path) &&
               field_matches(rule->error, query->error) && flags_match(rule, query);
}

/* ---- the peer's names ---- */

static bool peer_next(const struct policy_peer *peer, void **pos, struct policy_text *name)
{
        size_t i = (size_t)(uintptr_t)*pos;

        if (!peer)
                return false;
        if (peer->next)
                return peer->next(peer, pos, name);
        if (i >= peer->n_names)
                return false;
        *name = peer->names[i];
        *pos = (void *)(uintptr_t)(i + 1);
        return true;
}

static bool peer_has(const struct policy_peer *peer, struct policy_text asked, bool prefix)
{
        struct policy_text name;
        void *pos = NULL;

        while (peer_next(peer, &pos, &name))
                if (prefix ? name_below(name, asked) : text_equal(name, asked))
                        return true;
        return false;
}

/* ---- building a ruleset ---- */

static enum bucket_class rule_class(const struct policy_rule *rule, struct policy_text *key)
{
        *key = rule->name;
        if (rule->name.ptr)
                return rule->prefix ? BUCKET_PREFIX : BUCKET_NAME;
        *key = rule->interface;
        return rule->interface.ptr ? BUCKET_INTERFACE : BUCKET_GENERAL;
}

static bool rule_is_unsaid(const struct policy_rule *rule, enum bucket_class class)
{
        return class == BUCKET_INTERFACE && !rule->allow;
}

/* the bucket for a key, made if it is new; there is always a free slot */
static struct bucket *ruleset_bucket(struct ruleset *set, enum bucket_class class,
                                   struct policy_text key)
{
        struct bucket *b;
        uint64_t h;
        size_t i;

        if (class >= BUCKET_N_KEYED)
                return &set->buckets[class - BUCKET_GENERAL];
        h = hash(class, key);
        for (i = h & set->mask; set->slots[i]; i = (i + 1) & set->mask) {
                b = &set->buckets[set->slots[i] - 1];
                if (b->hash == h && b->class == class && text_equal(b->key, key))
                        return b;
        }
        b = &set->buckets[set->n_buckets++];
        *b = (struct bucket){ .class = class, .hash = h, .key = key };
        set->slots[i] = set->n_buckets;
        set->has[class] = true;
        return b;
}

static const struct bucket *ruleset_find(const struct ruleset *set, enum bucket_class class,
                                       struct policy_text key)
{
        uint64_t h = hash(class, key);
        size_t i;

        for (i = h & set->mask; set->slots[i]; i = (i + 1) & set->mask) {
                const struct bucket *b = &set->buckets[set->slots[i] - 1];

                if (b->hash == h && b->class == class && text_equal(b->key, key))
                        return b;
        }
        return NULL;
}

static void ruleset_deinit(struct ruleset *set)
{
        free(set->rules);
        free(set->entries);
        free(set->buckets);
        free(set->slots);
}

/* room for the worst case: each rule with a bucket of its own, each in BUCKET_UNSAID too */
static int ruleset_reserve(struct ruleset *set)
{
        size_t n_slots = 2;

        while (n_slots < 2 * set->n_rules + 2)
                n_slots *= 2;
        set->entries = calloc(2 * set->n_rules + 1, sizeof(*set->entries));
        set->buckets = calloc(set->n_rules + BUCKET_N_CLASSES - BUCKET_GENERAL, sizeof(*set->buckets));
        set->slots = calloc(n_slots, sizeof(*set->slots));
        if (!set->entries || !set->buckets || !set->slots)
                return error_origin(-ENOMEM);
        set->mask = n_slots - 1;
        set->buckets[0].class = BUCKET_GENERAL;
        set->buckets[BUCKET_UNSAID - BUCKET_GENERAL].class = BUCKET_UNSAID;
        set->n_buckets = BUCKET_N_CLASSES - BUCKET_GENERAL;
        return 0;
}

static void bucket_put(struct ruleset *set, struct bucket *b, size_t place)
{
        const struct policy_rule *rule = set->rules[place];

        set->entries[b->first + b->n++] = (struct entry){
                .place = place,
                .interface_tag = tag(rule->interface),
                .member_tag = tag(rule->member),
                .rule = rule,
        };
}

/* count, lay out, fill from the last rule to the first */
static void ruleset_index(struct ruleset *set)
{
        enum bucket_class class;
        struct policy_text key;
        size_t i, first = 0;

        for (i = 0; i < set->n_rules; ++i) {
                class = rule_class(set->rules[i], &key);
                ruleset_bucket(set, class, key)->n++;
                if (rule_is_unsaid(set->rules[i], class))
                        ruleset_bucket(set, BUCKET_UNSAID, key)->n++;
        }
        for (i = 0; i < set->n_buckets; ++i) {
                set->buckets[i].first = first;
                first += set->buckets[i].n;
                set->buckets[i].n = 0;
        }
        for (i = set->n_rules; i-- > 0;) {
                class = rule_class(set->rules[i], &key);
                bucket_put(set, ruleset_bucket(set, class, key), i);
                if (rule_is_unsaid(set->rules[i], class))
                        bucket_put(set, ruleset_bucket(set, BUCKET_UNSAID, key), i);
        }
}

/* take over @rules, of one kind and in order, without those that are forgotten */
static int ruleset_init(struct ruleset *set, const struct policy_rule **rules, size_t n)
{
        size_t i, start = 0;
        int r;

        for (i = 0; i < n; ++i)
                if (rule_forgets(rules[i]))
                        start = i;
        memmove(rules, rules + start, (n - start) * sizeof(*rules));
        set->rules = rules;
        set->n_rules = n - start;
        r = ruleset_reserve(set);
        if (r)
                return error_fold(r);
        ruleset_index(set);
        set->open = set->n_rules == 1 && rule_opens(set->rules[0]);
        return 0;
}

/* ---- judging ---- */

struct search {
        const struct ruleset *set;
        const struct policy_query *query;
        uint32_t interface_tag;
        uint32_t member_tag;
        const struct entry *best;
};

static inline bool tag_differs(uint32_t asked, uint32_t said)
{
        return asked && said && asked != said;
}

static void search_bucket(struct search *s, const struct bucket *b)
{
        const struct entry *e = s->set->entries + b->first, *end = e + b->n;

        for (; e < end; ++e) {
                if (s->best && e->place < s->best->place)
                        return;
                if (tag_differs(e->member_tag, s->member_tag) ||
                    tag_differs(e->interface_tag, s->interface_tag))
                        continue;
                if (rule_matches(e->rule, s->query)) {
                        s->best = e;
                        return;
                }
        }
}

static void search_key(struct search *s, enum bucket_class class, struct policy_text key)
{
        const struct bucket *b = ruleset_find(s->set, class, key);

        if (b)
                search_bucket(s, b);
}

/* a.b.c, then a.b, then a */
static void search_prefixes(struct search *s, struct policy_text name)
{
        const char *dot;

        for (;;) {
                search_key(s, BUCKET_PREFIX, name);
                dot = memrchr(name.ptr, '.', name.n);
                if (!dot)
                        return;
                name.n = dot - name.ptr;
        }
}

static void search_names(struct search *s)
{
        struct policy_text name;
        void *pos = NULL;

        while (peer_next(s->query->peer, &pos, &name)) {
                if (s->set->has[BUCKET_NAME])
                        search_key(s, BUCKET_NAME, name);
                if (s->set->has[BUCKET_PREFIX])
                        search_prefixes(s, name);
        }
}

static bool ruleset_judge(const struct ruleset *set, const struct policy_query *query,
                        struct policy_verdict *verdict)
{
        struct search s = { .set = set, .query = query };

        if (set->n_buckets > BUCKET_N_CLASSES - BUCKET_GENERAL || set->n_rules > 1) {
                s.interface_tag = tag(query->interface);
                s.member_tag = tag(query->member);
        }
        search_bucket(&s, &set->buckets[0]);
        if (set->has[BUCKET_NAME] || set->has[BUCKET_PREFIX])
                search_names(&s);
        if (set->has[BUCKET_INTERFACE]) {
                if (query->interface.ptr)
                        search_key(&s, BUCKET_INTERFACE, query->interface);
                else
                        search_bucket(&s, &set->buckets[BUCKET_UNSAID - BUCKET_GENERAL]);
        }
        *verdict = (struct policy_verdict){
                .rule = s.best ? s.best->rule : NULL,
                .allow = s.best && s.best->rule->allow,
                .log = s.best && s.best->rule->log,
        };
        return verdict->allow;
}

/**
 * policy_can_send() - may a connection with this list send this message to query->peer?
 */
bool policy_can_send(const struct policy_list *list, const struct policy_query *query,
                     struct policy_verdict *verdict)
{
        return ruleset_judge(&list->sets[POLICY_SEND], query, verdict);
}

/**
 * policy_can_receive() - may a connection with this list receive this message from query->peer?
 */
bool policy_can_receive(const struct policy_list *list, const struct policy_query *query,
                        struct policy_verdict *verdict)
{
        return ruleset_judge(&list->sets[POLICY_RECEIVE], query, verdict);
}

/**
 * policy_is_open() - does policy_can_send() or policy_can_receive() say yes to every message?
 */
bool policy_is_open(const struct policy_list *list, enum policy_kind kind)
{
        return list->sets[kind].open;
}

/**
 * policy_can_own() - may a connection with this list own @name?
 */
bool policy_can_own(const struct policy_list *list, struct policy_text name,
                    struct policy_verdict *verdict)
{
        const struct policy_peer peer = { .names = &name, .n_names = 1 };
        const struct policy_query query = { .peer = &peer };

        return ruleset_judge(&list->sets[POLICY_OWN], &query, verdict);
}

/**
 * policy_explain() - name every rule that matches, in order; the last one decided
 * @query:      the message; for POLICY_OWN only its peer is looked at, whose one name is the
 *              name to own
 * @fn:         called for each, or NULL to count only
 *
 * Slow: it walks the list. Rules that are forgotten are not named.
 *
 * Return:      how many matched.
 */
size_t policy_explain(const struct policy_list *list, enum policy_kind kind,
                      const struct policy_query *query, policy_explain_fn *fn, void *arg)
{
        const struct ruleset *set = &list->sets[kind];
        const struct policy_rule *rule;
        size_t i, n = 0;

        for (i = 0; i < set->n_rules; ++i) {
                rule = set->rules[i];
                if (rule->name.ptr && !peer_has(query->peer, rule->name, rule->prefix))
                        continue;
                if (kind != POLICY_OWN && !rule_matches(rule, query))
                        continue;
                ++n;
                if (fn)
                        fn(arg, rule);
        }
        return n;
}

/**
 * policy_list_at() - rule number @i of a kind, in the order in which they override each other
 *
 * Rules that are forgotten are left out.
 *
 * Return:      NULL behind the last.
 */
const struct policy_rule *policy_list_at(const struct policy_list *list, enum policy_kind kind,
                                         size_t i)
{
        const struct ruleset *set = &list->sets[kind];

        return i < set->n_rules ? set->rules[i] : NULL;
}

/* ---- lists and their cache ---- */

static struct policy_list *list_free(struct policy_list *list)
{
        size_t i;

        for (i = 0; i < ARRAY_SIZE(list->sets); ++i)
                ruleset_deinit(&list->sets[i]);
        policy_unpin(list->policy);
        free(list);
        return NULL;
}
DEFINE_FREEP(struct policy_list, list_free)

/* the runs that make up a list, in order; the key is { uid, console, gids ... } */
static size_t list_n_runs(const struct policy_list *list)
{
        return list->n_key + 2;
}

static struct policy_run list_run(const struct policy_list *list, size_t i)
{
        size_t n_gids = list->n_key - 2;

        if (i == 0)
                return policy_run(list->policy, POLICY_DEFAULT, 0);
        if (i <= n_gids)
                return policy_run(list->policy, POLICY_GROUP, list->key[1 + i]);
        if (i == n_gids + 1)
                return policy_run(list->policy, POLICY_USER, list->key[0]);
        if (i == n_gids + 2)
                return policy_run(list->policy, POLICY_AT_CONSOLE, list->key[1]);
        return policy_run(list->policy, POLICY_MANDATORY, 0);
}

static size_t list_collect(const struct policy_list *list, enum policy_kind kind,
                           const struct policy_rule **rules)
{
        size_t i, k, n = 0;

        for (i = 0; i < list_n_runs(list); ++i) {
                struct policy_run run = list_run(list, i);

                for (k = 0; k < run.n; ++k) {
                        if (run.rules[k]->kind != kind)
                                continue;
                        if (rules)
                                rules[n] = run.rules[k];
                        ++n;
                }
        }
        return n;
}

static int list_fill(struct policy_list *list)
{
        const struct policy_rule **rules;
        size_t kind, n;
        int r;

        for (kind = 0; kind < ARRAY_SIZE(list->sets); ++kind) {
                n = list_collect(list, kind, NULL);
                rules = calloc(n + 1, sizeof(*rules));
                if (!rules)
                        return error_origin(-ENOMEM);
                list_collect(list, kind, rules);
                r = ruleset_init(&list->sets[kind], rules, n);
                if (r)
                        return error_fold(r);
        }
        return 0;
}

static int gid_compare(const void *a, const void *b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return x < y ? -1 : x > y;
}

/*
 * An empty list whose key has only those credentials that some rule asks for. Groups are merged
 * by their numbers, as dbus-daemon does, whichever is the primary one.
 */
static int list_alloc(struct policy_list **listp, struct policy *policy,
                      const struct policy_creds *creds)
{
        bool known = policy_run(policy, POLICY_USER, creds->uid).n > 0;
        struct policy_list *list;
        size_t i;

        list = calloc(1, sizeof(*list) + (creds->n_gids + 2) * sizeof(*list->key));
        if (!list)
                return error_origin(-ENOMEM);
        atomic_init(&list->refs, 1);
        atomic_fetch_add(&policy->pins, 1);
        list->policy = policy;
        list->key[list->n_key++] = known ? creds->uid : POLICY_ANY_ID;
        list->key[list->n_key++] = policy_asks_console(policy) && creds->at_console;
        for (i = 0; i < creds->n_gids; ++i)
                if (policy_run(policy, POLICY_GROUP, creds->gids[i]).n > 0)
                        list->key[list->n_key++] = creds->gids[i];
        qsort(list->key + 2, list->n_key - 2, sizeof(*list->key), gid_compare);
        *listp = list;
        return 0;
}

static struct policy_list *cache_find_locked(struct policy *policy, const struct policy_list *like)
{
        struct policy_list *list;

        cds_list_for_each_entry(list, &policy->cache.lists, link)
                if (list->n_key == like->n_key &&
                    memcmp(list->key, like->key, like->n_key * sizeof(*like->key)) == 0)
                        return list;
        return NULL;
}

/* drop the lists that only the cache holds, beyond those used last */
static void cache_trim_locked(struct policy *policy)
{
        struct policy_list *list, *next;
        size_t n = 0;

        cds_list_for_each_entry_safe(list, next, &policy->cache.lists, link) {
                if (atomic_load(&list->refs) > 1 || ++n <= POLICY_CACHE_IDLE_MAX)
                        continue;
                cds_list_del(&list->link);
                policy_list_unref(list);
        }
}

/**
 * policy_list_new() - the rules for a connection, shared with all that have equal credentials
 * @policy:     sealed; need not outlive the list
 */
int policy_list_new(struct policy_list **listp, struct policy *policy,
                    const struct policy_creds *creds)
{
        _cleanup_(list_freep) struct policy_list *list = NULL;
        struct policy_list *found;
        int r;

        assert(policy->sorted);
        r = list_alloc(&list, policy, creds);
        if (r)
                return error_fold(r);
        pthread_mutex_lock(&policy->cache.lock);
        found = cache_find_locked(policy, list);
        if (found) {
                cds_list_del(&found->link);
        } else {
                r = list_fill(list);
                if (!r)
                        found = steal(&list);
        }
        if (found) {
                cds_list_add(&found->link, &policy->cache.lists);
                *listp = policy_list_ref(found);
                cache_trim_locked(policy);
        }
        pthread_mutex_unlock(&policy->cache.lock);
        return error_fold(r);
}

struct policy_list *policy_list_ref(struct policy_list *list)
{
        if (list)
                atomic_fetch_add(&list->refs, 1);
        return list;
}

struct policy_list *policy_list_unref(struct policy_list *list)
{
        if (list && atomic_fetch_sub(&list->refs, 1) == 1)
                list_free(list);
        return NULL;
}

struct policy *policy_unref(struct policy *policy)
{
        struct policy_list *list, *next;

        if (!policy || atomic_fetch_sub(&policy->refs, 1) != 1)
                return NULL;
        cds_list_for_each_entry_safe(list, next, &policy->cache.lists, link) {
                cds_list_del(&list->link);
                policy_list_unref(list);
        }
        policy_unpin(policy);
        return NULL;
}
