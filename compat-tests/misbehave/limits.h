/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Limits
 *
 * What it is     The limits that the bus under test is given: one list, for its configuration, for
 *                those who go up to them, and for the bound on its memory.
 */

/* clang-format off */
#define EACH_LIMIT(X)                              \
        X(max_incoming_bytes, 2000000)             \
        X(max_outgoing_bytes, 2000000)             \
        X(max_message_size, 1000000)               \
        X(max_message_unix_fds, 16)                \
        X(max_incoming_unix_fds, 64)               \
        X(max_outgoing_unix_fds, 64)               \
        X(max_completed_connections, 256)          \
        X(max_incomplete_connections, 16)          \
        X(max_connections_per_user, 128)           \
        X(max_names_per_connection, 256)           \
        X(max_match_rules_per_connection, 512)     \
        X(max_replies_per_connection, 128)
/* clang-format on */

#define LIMIT_VALUE(name, value) LIMIT_##name = (value),
enum { EACH_LIMIT(LIMIT_VALUE) };

#define LIMIT_TEXT(name, value) #name "=" #value " "
#define LIMITS_TEXT             EACH_LIMIT(LIMIT_TEXT)
