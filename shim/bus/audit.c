/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <unistd.h>

#ifdef HAVE_AUDIT
#include <libaudit.h>
#endif

#include "shim/bus/audit.h"
#include "shim/bus/log.h"

static int audit_fd = -1; /* of the process; never closed */

#ifdef HAVE_AUDIT
static int write_record(int fd, enum audit_kind kind, const char *text)
{
        static const int types[] = {
                [AUDIT_DENIAL] = AUDIT_USER_AVC,
                [AUDIT_POLICY_LOAD] = AUDIT_USER_MAC_POLICY_LOAD,
                [AUDIT_STATUS] = AUDIT_USER_MAC_STATUS,
        };

        return audit_log_user_avc_message(fd, types[kind], text, NULL, NULL, NULL, getuid());
}

struct audit_library audit_library = { .open = audit_open, .write = write_record };
#else
struct audit_library audit_library;
#endif

void audit_start(void)
{
        if (audit_library.open && audit_fd < 0)
                audit_fd = audit_library.open();
}

/* A kernel without audit, or a bus without the right to write there, is no error. */
void audit_record(enum audit_kind kind, int subject, const char *text)
{
        if (audit_fd >= 0 && audit_library.write(audit_fd, kind, text) > 0)
                return;
        if (kind == AUDIT_DENIAL)
                log_limited(LOG_WARNING, "mediation", subject, "%s", text);
        else
                log_line(LOG_NOTICE, "%s", text);
}
