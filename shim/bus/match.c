/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/bus/match.h"

#define INDEXED_ARGS     4U  /* arguments that may be part of a shape */
#define NAMESPACE_LEVELS 16U /* deeper namespaces are not indexed */
#define LEVEL_MAX        (MATCH_RULE_MAX + 1U) /* bytes; what lies behind is in no namespace */

/* What a rule can be filed by, and the bits of a shape. */
enum {
        KEY_SENDER,
        KEY_DESTINATION,
        KEY_INTERFACE,
        KEY_MEMBER,
        KEY_PATH,
        KEY_ARG0,
        KEY_PATH_NAMESPACE = KEY_ARG0 + INDEXED_ARGS,
        KEY_ARG0_NAMESPACE,
        KEY_HASHED_, /* the keys above take part in the hash */
        KEY_EAVESDROP = KEY_HASHED_,
};

#define KEY_BIT(key)  (UINT32_C(1) << (key))
#define KEYS_PEER     (KEY_BIT(KEY_SENDER) | KEY_BIT(KEY_DESTINATION))
#define KEYS_BY_LEVEL (KEY_BIT(KEY_PATH_NAMESPACE) | KEY_BIT(KEY_ARG0_NAMESPACE))

/* The rules that are filed by the same set of keys, of which at most one is a namespace. */
struct match_shape {
        struct cds_list_head link; /* in index->shapes */
        uint32_t keys;
        size_t n_entries; /* that hold on to it, filed or not */
        struct table table;
};

/* A well-known name that rules give as sender or destination. */
struct match_name {
        struct table_node node; /* in index->names */
        uint64_t id;            /* of its primary owner */
        struct cds_list_head peers;
        struct match_text text;
        char bytes[];
};

/* The sender or the destination of an entry. */
struct match_peer {
        uint64_t id;
        struct match_name *name; /* NULL if the rule has a unique name, the driver, or none */
        struct cds_list_head link; /* in name->peers */
        struct match_entry *entry;
};

/* A rule, however many owners have it. */
struct match_entry {
        struct match_rule *rule;
        struct match_shape *shape;
        struct match_peer sender;
        struct match_peer destination;
        uint64_t hash;              /* of its keys, but for the peers */
        struct table_node filed;    /* in shape->table */
        struct table_node content;  /* in index->entries */
        struct cds_list_head links;
};

struct match_link {
        struct match_entry *entry;
        struct match_owner *owner;
        struct cds_list_head entry_link; /* in entry->links */
        struct cds_list_head owner_link; /* in owner->links */
        struct table_node node;          /* in index->links */
        size_t times;
};

/* The hashes of one text's beginnings that may be a namespace it lies in. */
struct levels {
        size_t n;
        uint64_t hashes[NAMESPACE_LEVELS];
};

/* A message as the shapes see it: the keys it has, and the hash of each that is asked for. */
struct probe {
        uint32_t keys;
        uint64_t hashes[KEY_PATH_NAMESPACE];
        struct levels path;
        struct levels arg0;
};

static const struct match_text driver_name = { "org.freedesktop.DBus", 20 };

static bool text_equal(struct match_text a, struct match_text b)
{
        return a.n == b.n && !memcmp(a.s, b.s, a.n);
}

/* Hashes of keys are added up; an odd factor per key keeps equal texts in two keys apart. */
static uint64_t key_hash(unsigned int key, const void *data, size_t n)
{
        return table_hash(data, n) * ((2 * (uint64_t)key + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

static uint64_t text_hash(unsigned int key, struct match_text text)
{
        return key_hash(key, text.s, text.n);
}

static uint64_t peer_hash(unsigned int key, uint64_t id)
{
        return key_hash(key, &id, sizeof(id));
}

/* Where the first @n or more bytes of @text end that may be a namespace, or more than text.n. */
static size_t level_end(struct match_text text, size_t n, char separator)
{
        const char *found;

        if (n >= text.n)
                return n == text.n ? n : text.n + 1;
        found = memchr(text.s + n, separator, text.n - n);
        return found ? (size_t)(found - text.s) : text.n;
}

/* "/a/b" lies in "/", "/a" and "/a/b". False if there are more levels than fit. */
static bool path_levels(struct levels *levels, struct match_text path)
{
        size_t end;

        levels->n = 0;
        levels->hashes[levels->n++] = key_hash(KEY_PATH_NAMESPACE, "/", 1);
        for (end = level_end(path, 2, '/'); end <= path.n; end = level_end(path, end + 1, '/')) {
                if (levels->n == NAMESPACE_LEVELS)
                        return false;
                levels->hashes[levels->n++] = key_hash(KEY_PATH_NAMESPACE, path.s, end);
        }
        return true;
}

/* "a.b" lies in "a" and "a.b". */
static bool name_levels(struct levels *levels, struct match_text name)
{
        size_t end;

        levels->n = 0;
        for (end = level_end(name, 1, '.'); end <= name.n; end = level_end(name, end + 1, '.')) {
                if (levels->n == NAMESPACE_LEVELS)
                        return false;
                levels->hashes[levels->n++] = key_hash(KEY_ARG0_NAMESPACE, name.s, end);
        }
        return true;
}

/* ":1.N", N decimal and without leading zeros, is peer N, for all N that a peer can have. */
static uint64_t unique_name_id(struct match_text name)
{
        uint64_t id = 0;
        size_t i;

        if (name.n < 4 || memcmp(name.s, ":1.", 3) || (name.s[3] == '0' && name.n > 4))
                return MATCH_NO_OWNER;
        for (i = 3; i < name.n; i++)
                if (name.s[i] < '0' || name.s[i] > '9' ||
                    __builtin_mul_overflow(id, 10, &id) ||
                    __builtin_add_overflow(id, name.s[i] - '0', &id))
                        return MATCH_NO_OWNER;
        return id < MATCH_DRIVER ? id : MATCH_NO_OWNER;
}

/* --- names ------------------------------------------------------------------------------------ */

static struct match_name *name_find(const struct match_index *index, struct match_text text,
                                    uint64_t hash)
{
        struct table_node *node;

        table_for_each_same(node, &index->names, hash) {
                struct match_name *name = caa_container_of(node, struct match_name, node);

                if (text_equal(name->text, text))
                        return name;
        }
        return NULL;
}

static int name_get(struct match_name **out, struct match_index *index, struct match_text text)
{
        uint64_t hash = table_hash(text.s, text.n);
        struct match_name *name;

        name = name_find(index, text, hash);
        if (!name) {
                name = calloc(1, sizeof(*name) + text.n);
                if (!name)
                        return error_origin(-ENOMEM);
                memcpy(name->bytes, text.s, text.n);
                name->text = (struct match_text){ name->bytes, text.n };
                name->id = index->resolve ? index->resolve(index->userdata, text) : MATCH_NO_OWNER;
                CDS_INIT_LIST_HEAD(&name->peers);
                table_add(&index->names, &name->node, hash);
        }
        *out = name;
        return 0;
}

uint64_t match_name_id(struct match_text name)
{
        if (text_equal(name, driver_name))
                return MATCH_DRIVER;
        if (name.n && name.s[0] == ':')
                return unique_name_id(name);
        return (table_hash(name.s, name.n) >> 2) | UINT64_C(1) << 63;
}

static int peer_init(struct match_peer *peer, struct match_index *index, struct match_entry *entry,
                     struct match_text text)
{
        int r;

        peer->entry = entry;
        peer->id = MATCH_NO_OWNER;
        if (!text.s)
                return 0;
        if (text.s[0] == ':' || text_equal(text, driver_name)) {
                peer->id = match_name_id(text);
                return 0;
        }
        r = name_get(&peer->name, index, text);
        if (r)
                return error_fold(r);
        peer->id = peer->name->id;
        cds_list_add_tail(&peer->link, &peer->name->peers);
        return 0;
}

static void peer_deinit(struct match_peer *peer, struct match_index *index)
{
        if (!peer->name)
                return;
        cds_list_del(&peer->link);
        if (cds_list_empty(&peer->name->peers)) {
                table_remove(&index->names, &peer->name->node);
                free(peer->name);
        }
        peer->name = NULL;
}

/* --- shapes ----------------------------------------------------------------------------------- */

static int shape_get(struct match_shape **out, struct match_index *index, uint32_t keys)
{
        struct match_shape *shape;

        cds_list_for_each_entry(shape, &index->shapes, link) {
                if (shape->keys == keys) {
                        shape->n_entries++;
                        *out = shape;
                        return 0;
                }
        }
        shape = calloc(1, sizeof(*shape));
        if (!shape)
                return error_origin(-ENOMEM);
        shape->keys = keys;
        shape->n_entries = 1;
        table_init(&shape->table);
        cds_list_add(&shape->link, &index->shapes);
        index->keys |= keys;
        *out = shape;
        return 0;
}

static void shape_put(struct match_shape *shape, struct match_index *index)
{
        if (!shape || --shape->n_entries)
                return;
        cds_list_del(&shape->link);
        table_deinit(&shape->table);
        free(shape);

        index->keys = 0;
        cds_list_for_each_entry(shape, &index->shapes, link)
                index->keys |= shape->keys;
}

/* --- entries ---------------------------------------------------------------------------------- */

/* The first argument that can be indexed becomes a key; further ones are left to the rule. */
static uint32_t choose_arg(uint64_t *hash, const struct match_rule *rule)
{
        const struct match_arg *arg;
        struct levels levels;
        size_t i;

        for (i = 0; i < rule->n_args && rule->args[i].index < INDEXED_ARGS; i++) {
                arg = &rule->args[i];
                if (arg->kind == MATCH_ARG_EQUAL) {
                        *hash += text_hash(KEY_ARG0 + arg->index, arg->value);
                        return KEY_BIT(KEY_ARG0 + arg->index);
                }
                if (arg->kind == MATCH_ARG_NAMESPACE && name_levels(&levels, arg->value)) {
                        *hash += levels.hashes[levels.n - 1];
                        return KEY_BIT(KEY_ARG0_NAMESPACE);
                }
        }
        return 0;
}

/* Two namespaces in one shape would multiply probes: the second one is left to the rule. */
static uint32_t choose_keys(uint64_t *hash, const struct match_rule *rule)
{
        static const struct {
                enum match_field field;
                unsigned int key;
        } plain[] = {
                { MATCH_INTERFACE, KEY_INTERFACE },
                { MATCH_MEMBER, KEY_MEMBER },
                { MATCH_PATH, KEY_PATH },
        };
        struct levels levels;
        uint32_t keys;
        size_t i;

        *hash = 0;
        keys = choose_arg(hash, rule);
        for (i = 0; i < ARRAY_SIZE(plain); i++) {
                if (!rule->fields[plain[i].field].s)
                        continue;
                keys |= KEY_BIT(plain[i].key);
                *hash += text_hash(plain[i].key, rule->fields[plain[i].field]);
        }
        if (rule->fields[MATCH_PATH_NAMESPACE].s && !(keys & KEYS_BY_LEVEL) &&
            path_levels(&levels, rule->fields[MATCH_PATH_NAMESPACE])) {
                keys |= KEY_BIT(KEY_PATH_NAMESPACE);
                *hash += levels.hashes[levels.n - 1];
        }
        if (rule->fields[MATCH_SENDER].s)
                keys |= KEY_BIT(KEY_SENDER);
        if (rule->fields[MATCH_DESTINATION].s)
                keys |= KEY_BIT(KEY_DESTINATION);
        if (rule->eavesdrop)
                keys |= KEY_BIT(KEY_EAVESDROP);
        return keys;
}

/* File an entry where messages will find it; without a sender that exists, nowhere. */
static void entry_file(struct match_entry *entry)
{
        uint32_t keys = entry->shape->keys;
        uint64_t hash = entry->hash;

        table_remove(&entry->shape->table, &entry->filed);
        if (((keys & KEY_BIT(KEY_SENDER)) && entry->sender.id == MATCH_NO_OWNER) ||
            ((keys & KEY_BIT(KEY_DESTINATION)) && entry->destination.id == MATCH_NO_OWNER))
                return;
        if (keys & KEY_BIT(KEY_SENDER))
                hash += peer_hash(KEY_SENDER, entry->sender.id);
        if (keys & KEY_BIT(KEY_DESTINATION))
                hash += peer_hash(KEY_DESTINATION, entry->destination.id);
        table_add(&entry->shape->table, &entry->filed, hash);
}

/* Count what a rule needs in, or out again. */
static void index_count(struct match_index *index, const struct match_rule *rule, int by)
{
        size_t i;

        if (rule->eavesdrop)
                index->n_eavesdroppers += by;
        for (i = 0; i < rule->n_args; i++) {
                index->arg_users[rule->args[i].index] += by;
                index->n_args = MAX(index->n_args, rule->args[i].index + 1U);
        }
        while (index->n_args && !index->arg_users[index->n_args - 1])
                index->n_args--;
}

static void entry_free(struct match_entry *entry, struct match_index *index)
{
        if (entry->shape)
                table_remove(&entry->shape->table, &entry->filed);
        if (entry->content.chain.prev) {
                table_remove(&index->entries, &entry->content);
                index_count(index, entry->rule, -1);
        }
        peer_deinit(&entry->destination, index);
        peer_deinit(&entry->sender, index);
        shape_put(entry->shape, index);
        match_rule_free(entry->rule);
        free(entry);
}

/* The rule is consumed, also on failure. */
static int entry_new(struct match_entry **out, struct match_index *index, struct match_rule *rule)
{
        struct match_entry *entry;
        int r;

        entry = calloc(1, sizeof(*entry));
        if (!entry) {
                match_rule_free(rule);
                return error_origin(-ENOMEM);
        }
        entry->rule = rule;
        CDS_INIT_LIST_HEAD(&entry->links);
        r = shape_get(&entry->shape, index, choose_keys(&entry->hash, rule));
        if (!r)
                r = peer_init(&entry->sender, index, entry, rule->fields[MATCH_SENDER]);
        if (!r)
                r = peer_init(&entry->destination, index, entry, rule->fields[MATCH_DESTINATION]);
        if (r) {
                entry_free(entry, index);
                return error_fold(r);
        }
        table_add(&index->entries, &entry->content, rule->hash);
        index_count(index, rule, 1);
        entry_file(entry);
        *out = entry;
        return 0;
}

static struct match_entry *entry_find(const struct match_index *index,
                                      const struct match_rule *rule)
{
        struct table_node *node;

        table_for_each_same(node, &index->entries, rule->hash) {
                struct match_entry *entry = caa_container_of(node, struct match_entry, content);

                if (match_rule_equal(entry->rule, rule))
                        return entry;
        }
        return NULL;
}

/* --- links and owners ------------------------------------------------------------------------- */

static struct match_link *link_find(const struct match_index *index,
                                    const struct match_entry *entry,
                                    const struct match_owner *owner)
{
        struct table_node *node;

        table_for_each_same(node, &index->links, table_hash_pair(entry, owner)) {
                struct match_link *link = caa_container_of(node, struct match_link, node);

                if (link->entry == entry && link->owner == owner)
                        return link;
        }
        return NULL;
}

/* An owner has a slot while it has links. The list of free ones has room for all of them. */
static int slot_get(struct match_index *index, struct match_owner *owner)
{
        uint32_t *slots;

        if (!cds_list_empty(&owner->links))
                return 0;
        if (index->n_free) {
                owner->slot = index->free_slots[--index->n_free];
                return 0;
        }
        if (!(index->n_slots & (index->n_slots - 1))) {
                slots = realloc(index->free_slots, MAX(1U, 2 * index->n_slots) * sizeof(*slots));
                if (!slots)
                        return error_origin(-ENOMEM);
                index->free_slots = slots;
        }
        owner->slot = index->n_slots++;
        return 0;
}

static void slot_put(struct match_index *index, struct match_owner *owner)
{
        if (cds_list_empty(&owner->links))
                index->free_slots[index->n_free++] = owner->slot;
}

static int link_new(struct match_index *index, struct match_owner *owner,
                    struct match_entry *entry)
{
        struct match_link *link;
        int r;

        link = calloc(1, sizeof(*link));
        if (!link)
                return error_origin(-ENOMEM);
        r = slot_get(index, owner);
        if (r) {
                free(link);
                return error_fold(r);
        }
        link->entry = entry;
        link->owner = owner;
        link->times = 1;
        cds_list_add(&link->owner_link, &owner->links);
        cds_list_add(&link->entry_link, &entry->links);
        table_add(&index->links, &link->node, table_hash_pair(entry, owner));
        return 0;
}

static void link_free(struct match_link *link, struct match_index *index)
{
        table_remove(&index->links, &link->node);
        cds_list_del(&link->entry_link);
        cds_list_del(&link->owner_link);
        slot_put(index, link->owner);
        if (cds_list_empty(&link->entry->links))
                entry_free(link->entry, index);
        free(link);
}

/* --- queries ---------------------------------------------------------------------------------- */

static void probe_text(struct probe *probe, const struct match_index *index, unsigned int key,
                       struct match_text text)
{
        if (!text.s || text.n > MATCH_RULE_MAX || !(index->keys & KEY_BIT(key)))
                return;
        probe->keys |= KEY_BIT(key);
        probe->hashes[key] = text_hash(key, text);
}

static void probe_peer(struct probe *probe, const struct match_index *index, unsigned int key,
                       uint64_t id)
{
        if (id == MATCH_NO_OWNER || !(index->keys & KEY_BIT(key)))
                return;
        probe->keys |= KEY_BIT(key);
        probe->hashes[key] = peer_hash(key, id);
}

/* A message may well have more levels than are indexed: these then are the first ones. */
static void probe_levels(struct probe *probe, const struct match_index *index,
                         const struct match_query *query)
{
        struct match_text text;

        if ((index->keys & KEY_BIT(KEY_PATH_NAMESPACE)) && query->path.s) {
                probe->keys |= KEY_BIT(KEY_PATH_NAMESPACE);
                text = (struct match_text){ query->path.s, MIN(query->path.n, LEVEL_MAX) };
                path_levels(&probe->path, text);
        }
        if ((index->keys & KEY_BIT(KEY_ARG0_NAMESPACE)) && query->n_args &&
            query->args[0].type == 's') {
                probe->keys |= KEY_BIT(KEY_ARG0_NAMESPACE);
                text = (struct match_text){ query->args[0].s, MIN(query->args[0].n, LEVEL_MAX) };
                name_levels(&probe->arg0, text);
        }
}

static void probe_init(struct probe *probe, const struct match_index *index,
                       const struct match_query *query)
{
        const struct match_value *arg;
        size_t i;

        probe->keys = KEY_BIT(KEY_EAVESDROP);
        probe_peer(probe, index, KEY_SENDER, query->sender);
        probe_peer(probe, index, KEY_DESTINATION, query->destination);
        probe_text(probe, index, KEY_INTERFACE, query->interface);
        probe_text(probe, index, KEY_MEMBER, query->member);
        probe_text(probe, index, KEY_PATH, query->path);
        for (i = 0; i < MIN(query->n_args, INDEXED_ARGS); i++) {
                arg = &query->args[i];
                if (arg->type == 's')
                        probe_text(probe, index, KEY_ARG0 + i,
                                   (struct match_text){ arg->s, arg->n });
        }
        probe_levels(probe, index, query);
}

/* Room for all owners there are, so that a hit cannot fail. */
static int hits_reset(struct match_hits *hits, size_t n)
{
        struct match_owner **owners;
        uint64_t *seen;

        hits->n = 0;
        hits->round++;
        if (n <= hits->n_max)
                return 0;
        n = MAX(n, 2 * hits->n_max);
        owners = realloc(hits->owners, n * sizeof(*owners));
        if (!owners)
                return error_origin(-ENOMEM);
        hits->owners = owners;
        seen = realloc(hits->seen, n * sizeof(*seen));
        if (!seen)
                return error_origin(-ENOMEM);
        hits->seen = seen;
        memset(hits->seen + hits->n_max, 0, (n - hits->n_max) * sizeof(*seen));
        hits->n_max = n;
        return 0;
}

static void hits_add(struct match_hits *hits, const struct match_entry *entry)
{
        struct match_link *link;

        cds_list_for_each_entry(link, &entry->links, entry_link) {
                if (hits->seen[link->owner->slot] == hits->round)
                        continue;
                hits->seen[link->owner->slot] = hits->round;
                hits->owners[hits->n++] = link->owner;
        }
}

static bool entry_accepts(const struct match_entry *entry, const struct match_query *query)
{
        uint32_t keys = entry->shape->keys;

        return (!(keys & KEY_BIT(KEY_SENDER)) || entry->sender.id == query->sender) &&
               (!(keys & KEY_BIT(KEY_DESTINATION)) ||
                entry->destination.id == query->destination) &&
               match_rule_accepts(entry->rule, query);
}

static void shape_find(const struct match_shape *shape, struct match_hits *hits, uint64_t hash,
                       const struct match_query *query)
{
        struct table_node *node;

        table_for_each_same(node, &shape->table, hash) {
                const struct match_entry *entry =
                        caa_container_of(node, struct match_entry, filed);

                if (entry_accepts(entry, query))
                        hits_add(hits, entry);
        }
}

static void shape_query(const struct match_shape *shape, struct match_hits *hits,
                        const struct probe *probe, const struct match_query *query)
{
        uint32_t keys = shape->keys & (KEY_BIT(KEY_PATH_NAMESPACE) - 1);
        const struct levels *levels;
        uint64_t hash = 0;
        size_t i;

        for (; keys; keys &= keys - 1)
                hash += probe->hashes[__builtin_ctz(keys)];
        if (!(shape->keys & KEYS_BY_LEVEL)) {
                shape_find(shape, hits, hash, query);
                return;
        }
        levels = shape->keys & KEY_BIT(KEY_PATH_NAMESPACE) ? &probe->path : &probe->arg0;
        for (i = 0; i < levels->n; i++)
                shape_find(shape, hits, hash + levels->hashes[i], query);
}

/* --- the interface ---------------------------------------------------------------------------- */

void match_index_init(struct match_index *index, match_resolve_fn resolve, void *userdata)
{
        *index = (struct match_index){ .resolve = resolve, .userdata = userdata };
        table_init(&index->entries);
        table_init(&index->links);
        table_init(&index->names);
        CDS_INIT_LIST_HEAD(&index->shapes);
}

void match_index_deinit(struct match_index *index)
{
        if (!index)
                return;
        assert(!index->entries.n);
        table_deinit(&index->names);
        table_deinit(&index->links);
        table_deinit(&index->entries);
        free(index->free_slots);
        index->free_slots = NULL;
}

void match_index_owner_changed(struct match_index *index, struct match_text text, uint64_t id)
{
        struct match_name *name;
        struct match_peer *peer;

        name = name_find(index, text, table_hash(text.s, text.n));
        if (!name || name->id == id)
                return;
        name->id = id;
        cds_list_for_each_entry(peer, &name->peers, link) {
                peer->id = id;
                entry_file(peer->entry);
        }
}

int match_index_query(const struct match_index *index, struct match_hits *hits,
                      const struct match_query *query)
{
        const struct match_shape *shape;
        struct probe probe;
        uint32_t required;
        int r;

        r = hits_reset(hits, index->n_slots);
        if (r)
                return error_fold(r);
        required = query->eavesdrop ? KEY_BIT(KEY_EAVESDROP) : 0;
        if (required && !index->n_eavesdroppers)
                return 0;
        probe_init(&probe, index, query);
        cds_list_for_each_entry(shape, &index->shapes, link)
                if (!(shape->keys & ~probe.keys) && (shape->keys & required) == required)
                        shape_query(shape, hits, &probe, query);
        return 0;
}

void match_hits_deinit(struct match_hits *hits)
{
        if (!hits)
                return;
        free(hits->owners);
        free(hits->seen);
        *hits = MATCH_HITS_NULL;
}

void match_owner_init(struct match_owner *owner)
{
        *owner = (struct match_owner){ 0 };
        CDS_INIT_LIST_HEAD(&owner->links);
}

void match_owner_clear(struct match_index *index, struct match_owner *owner)
{
        struct match_link *link, *next;

        cds_list_for_each_entry_safe(link, next, &owner->links, owner_link)
                link_free(link, index);
        owner->n = 0;
}

const struct match_rule *match_owner_next(const struct match_owner *owner,
                                          const struct match_link **link, size_t *times)
{
        const struct cds_list_head *next = *link ? (*link)->owner_link.next : owner->links.next;

        if (next == &owner->links)
                return NULL;
        *link = caa_container_of(next, struct match_link, owner_link);
        *times = (*link)->times;
        return (*link)->entry->rule;
}

int match_add(struct match_index *index, struct match_owner *owner, struct match_rule *rule)
{
        struct match_entry *entry = entry_find(index, rule);
        struct match_link *link;
        int r = 0;

        if (entry)
                match_rule_free(rule);
        else
                r = entry_new(&entry, index, rule);
        if (r)
                return error_fold(r);

        link = link_find(index, entry, owner);
        if (link)
                link->times++;
        else
                r = link_new(index, owner, entry);
        if (r) {
                if (cds_list_empty(&entry->links))
                        entry_free(entry, index);
                return error_fold(r);
        }
        owner->n++;
        return 0;
}

int match_remove(struct match_index *index, struct match_owner *owner,
                 const struct match_rule *rule)
{
        struct match_entry *entry = entry_find(index, rule);
        struct match_link *link = entry ? link_find(index, entry, owner) : NULL;

        if (!link)
                return MATCH_E_NOT_FOUND;
        owner->n--;
        if (!--link->times)
                link_free(link, index);
        return 0;
}
