/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/bus/limits.h"

#define MIB (UINT64_C(1024) * 1024)

#define LIMIT(field, unit_, preset_, scope_, text_)                                                \
        [LIMIT_INDEX(field)] = { #field, unit_, preset_, LIMIT_OF_##scope_, text_ }

static const struct limit_description descriptions[LIMITS_N] = {
        LIMIT(max_incoming_bytes, "bytes", 127 * MIB, CONNECTION,
              "unhandled input of one connection"),
        LIMIT(max_incoming_unix_fds, "descriptors", 64, CONNECTION,
              "descriptors in the unhandled input of one connection"),
        LIMIT(max_outgoing_bytes, "bytes", 127 * MIB, CONNECTION,
              "messages queued for one connection"),
        LIMIT(max_outgoing_unix_fds, "descriptors", 64, CONNECTION,
              "descriptors queued for one connection"),
        LIMIT(max_message_size, "bytes", 32 * MIB, CONNECTION,
              "size of one message"),
        LIMIT(max_message_unix_fds, "descriptors", 16, CONNECTION,
              "descriptors in one message"),
        LIMIT(service_start_timeout, "ms", 25000, BUS,
              "time for an activated service to own its name"),
        LIMIT(auth_timeout, "ms", 30000, BUS,
              "time from connecting to Hello"),
        LIMIT(pending_fd_timeout, "ms", 150000, CONNECTION,
              "time that descriptors wait for the rest of their message"),
        LIMIT(reply_timeout, "ms", LIMIT_NEVER, CONNECTION,
              "time until a caller is told that no reply came"),
        LIMIT(max_completed_connections, "connections", 2048, BUS,
              "connections that said Hello"),
        LIMIT(max_incomplete_connections, "connections", 64, BUS,
              "connections that did not say Hello yet"),
        LIMIT(max_connections_per_user, "connections", 256, USER,
              "connections of one user"),
        LIMIT(max_pending_service_starts, "requests", 512, BUS,
              "requests that wait for a service to start"),
        LIMIT(max_names_per_connection, "names", 512, CONNECTION,
              "names that one connection owns or waits for"),
        LIMIT(max_match_rules_per_connection, "rules", 512, CONNECTION,
              "match rules of one connection"),
        LIMIT(max_replies_per_connection, "calls", 128, CONNECTION,
              "calls of one connection that wait for a reply"),
        LIMIT(max_containers, "servers", 512, BUS,
              "container servers"),
        LIMIT(max_containers_per_user, "servers", 16, USER,
              "container servers of one user"),
        LIMIT(max_connections_per_container, "connections", 8, BUS,
              "connections through one container server"),
        LIMIT(max_container_metadata_bytes, "bytes", 4096, BUS,
              "metadata given with one container server"),
};

/**
 * limits_init() - the values that hold without any configuration
 */
void limits_init(struct limits *limits)
{
        size_t i;

        for (i = 0; i < LIMITS_N; ++i)
                *limit_at(limits, i) = descriptions[i].preset;
}

void limits_replace(struct limits *to, const struct limits *from)
{
        struct limits values = *from;

        for (size_t i = 0; i < LIMITS_N; i++)
                __atomic_store_n(limit_at(to, i), *limit_at(&values, i), __ATOMIC_RELAXED);
}

const struct limit_description *limit_describe(size_t index)
{
        return &descriptions[index];
}

/**
 * limit_find() - the number of the limit called @name
 *
 * Return:      0, or -ENOENT if there is no such limit.
 */
int limit_find(size_t *index, const char *name)
{
        size_t i;

        for (i = 0; i < LIMITS_N; ++i) {
                if (strcmp(descriptions[i].name, name) == 0) {
                        *index = i;
                        return 0;
                }
        }
        return -ENOENT;
}
