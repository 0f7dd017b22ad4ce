/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Limits
 *
 * What it is     Every number that bounds what a client may make the bus hold, as a value that a
 *                bus keeps one of, replaced as a whole when the configuration is read again.
 * Promise        Each limit has a name (the one of `<limit name="...">`), a default (that of
 *                dbus-daemon for the system bus) and an origin: where it was last set, so that
 *                hitting it can be explained.
 * How            Every field is a uint64_t, so that limit number i is the i-th field: see
 *                LIMIT_INDEX(). Bytes are bytes, times are milliseconds.
 */

#include <stddef.h>
#include <stdint.h>

#define LIMIT_NEVER UINT64_MAX /* a time that does not come */

struct limits {
        uint64_t max_incoming_bytes;             /* taken, not needed: nothing waits unhandled */
        uint64_t max_incoming_unix_fds;          /* the same */
        uint64_t max_outgoing_bytes;             /* bytes queued for one connection */
        uint64_t max_outgoing_unix_fds;          /* descriptors in those */
        uint64_t max_message_size;               /* one message, header and body */
        uint64_t max_message_unix_fds;           /* descriptors in one message */
        uint64_t service_start_timeout;          /* ms for an activated service to own its name */
        uint64_t auth_timeout;                   /* ms from connect to Hello */
        uint64_t pending_fd_timeout;             /* ms that descriptors wait for their message */
        uint64_t reply_timeout;                  /* ms until a caller gets NoReply */
        uint64_t max_completed_connections;      /* connections that said Hello */
        uint64_t max_incomplete_connections;     /* connections that did not yet */
        uint64_t max_connections_per_user;       /* connections of one uid that said Hello */
        uint64_t max_pending_service_starts;     /* requests that wait for an activation */
        uint64_t max_names_per_connection;       /* names owned or queued for */
        uint64_t max_match_rules_per_connection; /* AddMatch rules held */
        uint64_t max_replies_per_connection;     /* calls of one caller that wait for a reply */
        uint64_t max_containers;                 /* container servers in all */
        uint64_t max_containers_per_user;        /* container servers that one uid made */
        uint64_t max_connections_per_container;  /* connections through one container server */
        uint64_t max_container_metadata_bytes;   /* size of the a{sv} given with a container */
};

#define LIMITS_N (sizeof(struct limits) / sizeof(uint64_t))

/* LIMIT_INDEX() - the number of a limit, for limit_describe(), from the name of its field */
#define LIMIT_INDEX(field) (offsetof(struct limits, field) / sizeof(uint64_t))

/* where a limit was set; file NULL: built in. The text belongs to the configuration. */
struct limit_origin {
        const char *file;
        unsigned int line;
};

enum limit_scope { /* for whom a limit may be another one: see limit-table.h */
        LIMIT_OF_BUS,
        LIMIT_OF_USER, /* for a user only */
        LIMIT_OF_CONNECTION,
};

struct limit_description {
        const char *name; /* as in <limit name="..."> and in log lines */
        const char *unit; /* "bytes", "ms", "descriptors", ... */
        uint64_t preset;  /* value without configuration */
        enum limit_scope scope;
        const char *text; /* one line for a reader */
};

void limits_init(struct limits *limits);
const struct limit_description *limit_describe(size_t index);
int limit_find(size_t *index, const char *name);

/*
 * A bus's limits are replaced under its guard. limit_get() is for whoever reads one without it; it
 * sees the old value or the new one.
 */
static inline uint64_t limit_get(const uint64_t *limit)
{
        return __atomic_load_n(limit, __ATOMIC_RELAXED);
}

void limits_replace(struct limits *to, const struct limits *from);

/* limit_at() - the value with the number @index */
static inline uint64_t *limit_at(struct limits *limits, size_t index)
{
        return (uint64_t *)limits + index;
}
