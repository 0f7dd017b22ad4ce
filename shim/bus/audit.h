/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Audit
 *
 * What it is     Where the denials of security modules go: the kernel's audit log, if there is
 *                one and we may write to it (CAP_AUDIT_WRITE), and the bus's own log otherwise.
 * Guard          audit_start() before any thread starts; the rest any thread.
 */

enum audit_kind {
        AUDIT_DENIAL,      /* a decision on access */
        AUDIT_POLICY_LOAD, /* a module has a new policy */
        AUDIT_STATUS,      /* it enforces from now on, or no more */
};

/* How a record is written; replaced by tests. */
struct audit_library {
        int (*open)(void);
        int (*write)(int fd, enum audit_kind kind, const char *text);
};
extern struct audit_library audit_library;

void audit_start(void);

/* audit_record() - one record; @subject is the process it is about, for counting repetitions */
void audit_record(enum audit_kind kind, int subject, const char *text);
