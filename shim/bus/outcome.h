/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Outcome
 *
 * What it is     The one table of everything a bus can answer but "yes": the D-Bus error name of
 *                each, and the errno that a kdbus client gets for it.
 */

enum outcome {
        OUTCOME_OK,
        OUTCOME_FAILED,
        OUTCOME_NO_MEMORY,
        OUTCOME_SERVICE_UNKNOWN,
        OUTCOME_NAME_HAS_NO_OWNER,
        OUTCOME_NO_REPLY,
        OUTCOME_NOT_SUPPORTED,
        OUTCOME_LIMITS_EXCEEDED,
        OUTCOME_ACCESS_DENIED,
        OUTCOME_INVALID_ARGS,
        OUTCOME_UNKNOWN_METHOD,
        OUTCOME_UNKNOWN_INTERFACE,
        OUTCOME_UNKNOWN_PROPERTY,
        OUTCOME_PROPERTY_READ_ONLY,
        OUTCOME_TIMED_OUT,
        OUTCOME_MATCH_RULE_INVALID,
        OUTCOME_MATCH_RULE_NOT_FOUND,
        OUTCOME_PROCESS_ID_UNKNOWN,
        OUTCOME_SELINUX_CONTEXT_UNKNOWN,
        OUTCOME_AUDIT_DATA_UNKNOWN,
        OUTCOME_NOT_CONTAINER,
        OUTCOME_FILE_NOT_FOUND,
        OUTCOME_SPAWN_EXEC_FAILED,
        OUTCOME_SPAWN_FORK_FAILED,
        OUTCOME_SPAWN_CHILD_EXITED,
        OUTCOME_SPAWN_CHILD_SIGNALED,
        OUTCOME_SPAWN_FAILED,
        OUTCOME_SPAWN_FAILED_TO_SETUP,
        OUTCOME_SPAWN_CONFIG_INVALID,
        OUTCOME_SPAWN_SERVICE_NOT_VALID,
        OUTCOME_SPAWN_SERVICE_NOT_FOUND,
        OUTCOME_SPAWN_PERMISSIONS_INVALID,
        OUTCOME_SPAWN_FILE_INVALID,
        OUTCOME_N,
};

/* outcome_error_name() - "org.freedesktop.DBus.Error.…" */
const char *outcome_error_name(enum outcome outcome);

/* outcome_errno() - positive errno for a kdbus client */
int outcome_errno(enum outcome outcome);
