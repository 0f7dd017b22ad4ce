/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Match
 *
 * What it is     All match rules of a bus, filed so that a message finds those which want it.
 * Promise        1. A rule that differs from a message in what it asks of the sender, the
 *                   destination, the interface, the member, the path or its namespace, one of the
 *                   first four arguments or the namespace of the first, is not looked at.
 *                2. A query costs one probe per combination of these that some rule uses, plus
 *                   its hits. It writes only to the caller's hits, and allocates only while these
 *                   grow to the number of owners.
 *                3. An owner is among the hits at most once, whatever number of its rules match.
 *                4. Adding and removing cost O(1). A failure leaves the index as it was.
 * How            Tuple space search. A rule's shape is the set of indexed keys it has; each
 *                shape in use has one table, by the sum of the keys' hashes. Equal rules of any
 *                number of owners are one entry; a link joins an entry and an owner and counts
 *                how often that owner added the rule. A sender or destination is filed by peer
 *                id: that of the unique name, or of the well-known name's owner at present; the
 *                entry is filed anew when the owner changes, and nowhere while there is none.
 *
 *                        owner --< link >-- entry --- shape
 *                                             |
 *                                           name (well-known sender or destination)
 *
 * Not promised   An order of the hits.
 * Guard          The caller's: any number of queries, or one writer. Hits belong to one thread.
 */

#include <urcu/list.h>

#include "shim/bus/match-rule.h"
#include "shim/bus/table.h"

#define MATCH_DRIVER   (UINT64_MAX - 1) /* the peer id of org.freedesktop.DBus */
#define MATCH_NO_OWNER UINT64_MAX   /* no peer: nobody owns the name, or no name is given */

struct match_link;

/**
 * match_name_id() - what stands for a name that nobody has
 *
 * The bus's own id for its name, the number in a unique name, and for a well-known name a number
 * that no peer ever has: so that a monitor's rule finds messages which wait for their receiver.
 */
uint64_t match_name_id(struct match_text name);

/* the peer id of the primary owner of @name; match_name_id() or MATCH_NO_OWNER without one */
typedef uint64_t (*match_resolve_fn)(void *userdata, struct match_text name);

struct match_index {
        match_resolve_fn resolve; /* constant */
        void *userdata;
        struct table entries; /* by content */
        struct table links;   /* by entry and owner */
        struct table names;
        struct cds_list_head shapes;
        uint32_t keys;               /* those that some shape has */
        uint32_t n_slots;            /* slots of owners ever given out */
        uint32_t n_free;             /* of these, the ones that are in @free_slots */
        uint32_t *free_slots;        /* has room for n_slots */
        uint32_t n_args;             /* arguments a query needs */
        size_t n_eavesdroppers;      /* entries that eavesdrop */
        size_t arg_users[MATCH_ARGS_MAX];
};

/* Whoever adds rules; embedded in the client, belongs to one index. */
struct match_owner {
        struct cds_list_head links; /* newest first */
        size_t n;                   /* rules added, equal ones counted */
        uint32_t slot;              /* a small number of its own; meaningless without links */
};

/* Who wants a message; one per thread, used again and again. */
struct match_hits {
        struct match_owner **owners;
        size_t n;
        size_t n_max;
        uint64_t *seen; /* by slot: the last round that hit it */
        uint64_t round;
};

#define MATCH_HITS_NULL ((struct match_hits){ 0 })

/* match_index_init() - @resolve is asked during match_add() only, and may not call back */
void match_index_init(struct match_index *index, match_resolve_fn resolve, void *userdata);

/* match_index_deinit() - all owners have been cleared before */
void match_index_deinit(struct match_index *index);

/**
 * match_index_owner_changed() - a well-known name has another primary owner
 * @index:      index
 * @name:       the name
 * @id:         peer id of the new owner, or MATCH_NO_OWNER
 *
 * Costs O(rules that name it as sender or destination); cannot fail.
 */
void match_index_owner_changed(struct match_index *index, struct match_text name, uint64_t id);

/* match_index_wants_args() - how many of a message's first arguments a query has to have: 0..64 */
static inline size_t match_index_wants_args(const struct match_index *index)
{
        return index->n_args;
}

/* match_index_eavesdrops() - is there any rule that a message with one receiver can match? */
static inline bool match_index_eavesdrops(const struct match_index *index)
{
        return index->n_eavesdroppers > 0;
}

/**
 * match_index_query() - find out who wants a message
 * @index:      index
 * @hits:       the answer, whatever it held before is forgotten
 * @query:      the message
 *
 * Return:      0, or -ENOMEM.
 */
int match_index_query(const struct match_index *index, struct match_hits *hits,
                      const struct match_query *query);

void match_hits_deinit(struct match_hits *hits);

void match_owner_init(struct match_owner *owner);

/* match_owner_clear() - remove all rules of @owner, as when it disconnects */
void match_owner_clear(struct match_index *index, struct match_owner *owner);

/**
 * match_owner_next() - walk the rules of an owner
 * @owner:      owner
 * @link:       where the walk is; NULL at first
 * @times:      how often the owner added that rule
 *
 * Return:      the next rule, newest first, or NULL.
 */
const struct match_rule *match_owner_next(const struct match_owner *owner,
                                          const struct match_link **link, size_t *times);

/**
 * match_add() - add a rule, once more if the owner has it already
 * @index:      index
 * @owner:      who wants what matches; outlives its rules
 * @rule:       consumed, also on failure
 *
 * Return:      0, or -ENOMEM.
 */
int match_add(struct match_index *index, struct match_owner *owner, struct match_rule *rule);

/* match_remove() - undo one match_add() of a rule equal to @rule; 0 or MATCH_E_NOT_FOUND */
int match_remove(struct match_index *index, struct match_owner *owner,
                 const struct match_rule *rule);
