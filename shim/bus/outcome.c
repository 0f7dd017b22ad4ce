/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>

#include "shim/bus/outcome.h"

struct row {
        const char *error_name;
        int error;
};

#define E(name) "org.freedesktop.DBus.Error." name

static const struct row rows[OUTCOME_N] = {
        [OUTCOME_OK] = { E("Failed"), 0 },
        [OUTCOME_FAILED] = { E("Failed"), EINVAL },
        [OUTCOME_NO_MEMORY] = { E("NoMemory"), ENOMEM },
        [OUTCOME_SERVICE_UNKNOWN] = { E("ServiceUnknown"), ESRCH },
        [OUTCOME_NAME_HAS_NO_OWNER] = { E("NameHasNoOwner"), ESRCH },
        [OUTCOME_NO_REPLY] = { E("NoReply"), EPIPE },
        [OUTCOME_NOT_SUPPORTED] = { E("NotSupported"), ECOMM },
        [OUTCOME_LIMITS_EXCEEDED] = { E("LimitsExceeded"), ENOBUFS },
        [OUTCOME_ACCESS_DENIED] = { E("AccessDenied"), EPERM },
        [OUTCOME_INVALID_ARGS] = { E("InvalidArgs"), EINVAL },
        [OUTCOME_UNKNOWN_METHOD] = { E("UnknownMethod"), ENOTTY },
        [OUTCOME_UNKNOWN_INTERFACE] = { E("UnknownInterface"), ENOTTY },
        [OUTCOME_UNKNOWN_PROPERTY] = { E("UnknownProperty"), ENOENT },
        [OUTCOME_PROPERTY_READ_ONLY] = { E("PropertyReadOnly"), EROFS },
        [OUTCOME_TIMED_OUT] = { E("TimedOut"), ETIMEDOUT },
        [OUTCOME_MATCH_RULE_INVALID] = { E("MatchRuleInvalid"), EINVAL },
        [OUTCOME_MATCH_RULE_NOT_FOUND] = { E("MatchRuleNotFound"), EBADSLT },
        [OUTCOME_PROCESS_ID_UNKNOWN] = { E("UnixProcessIdUnknown"), ESRCH },
        [OUTCOME_SELINUX_CONTEXT_UNKNOWN] = { E("SELinuxSecurityContextUnknown"), ENODATA },
        [OUTCOME_AUDIT_DATA_UNKNOWN] = { E("AdtAuditDataUnknown"), ENODATA },
        [OUTCOME_NOT_CONTAINER] = { E("NotContainer"), ENOENT },
        [OUTCOME_FILE_NOT_FOUND] = { E("FileNotFound"), ENOENT },
        [OUTCOME_SPAWN_EXEC_FAILED] = { E("Spawn.ExecFailed"), ENOEXEC },
        [OUTCOME_SPAWN_FORK_FAILED] = { E("Spawn.ForkFailed"), EAGAIN },
        [OUTCOME_SPAWN_CHILD_EXITED] = { E("Spawn.ChildExited"), ECHILD },
        [OUTCOME_SPAWN_CHILD_SIGNALED] = { E("Spawn.ChildSignaled"), ECHILD },
        [OUTCOME_SPAWN_FAILED] = { E("Spawn.Failed"), ECHILD },
        [OUTCOME_SPAWN_FAILED_TO_SETUP] = { E("Spawn.FailedToSetup"), ECHILD },
        [OUTCOME_SPAWN_CONFIG_INVALID] = { E("Spawn.ConfigInvalid"), EINVAL },
        [OUTCOME_SPAWN_SERVICE_NOT_VALID] = { E("Spawn.ServiceNotValid"), EINVAL },
        [OUTCOME_SPAWN_SERVICE_NOT_FOUND] = { E("Spawn.ServiceNotFound"), ESRCH },
        [OUTCOME_SPAWN_PERMISSIONS_INVALID] = { E("Spawn.PermissionsInvalid"), EACCES },
        [OUTCOME_SPAWN_FILE_INVALID] = { E("Spawn.FileInvalid"), EINVAL },
};

const char *outcome_error_name(enum outcome outcome)
{
        return rows[outcome].error_name;
}

int outcome_errno(enum outcome outcome)
{
        return rows[outcome].error;
}
