/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Service
 *
 * What it is     What makes a program a daemon: pid file, fork, user, descriptor limit, log, and
 *                readiness told to systemd.
 */

#include <stdbool.h>
#include <stddef.h>

#include "shim/bus/poller.h"
#include "shim/daemon/options.h"

/* service_std_fds() - descriptors 0 to 2 are open, 0 reads nothing, the rest closes on exec */
void service_std_fds(void);

/* service_leave_terminal() - what reads our output, or waits for its end, is let go */
void service_leave_terminal(void);

/* service_lonely_nss() - look-ups of users must not ask services on this very bus */
void service_lonely_nss(void);

/* service_raise_fds() - room for many connections; a failure is a warning */
void service_raise_fds(void);

/* service_restore_fds() - the old limit, for a child */
void service_restore_fds(void);

/**
 * service_fork() - go on in a child; the parent exits once it is told that all is well
 * @tell:       the child writes a byte here when it serves
 */
int service_fork(int *tell, bool keep_umask);

/* service_pidfile() - write it; -EEXIST if there is one already */
int service_pidfile(const char *path);

/*
 * service_change_user() - drop to @user for good; keeps CAP_AUDIT_WRITE. Who is not root stays who he
 * is, as with the reference.
 */
int service_change_user(const char *user, char *why, size_t size);

/* service_log() - where log lines go from now on */
void service_log(enum options_log log, const char *type);

/* service_log_by() - who sees to it that the log goes on when it is taken again; NULL: nobody */
void service_log_by(struct poller *poller);

/* service_logs_to_syslog() - then the output of services goes to the journal */
bool service_logs_to_syslog(void);

/* service_notify() - to systemd, if it listens */
void service_notify(const char *state);

/* service_notify_reloading() - with the time, which a unit of Type=notify-reload wants to know */
void service_notify_reloading(void);

/* service_print() - one line to a descriptor given on the command line */
int service_print(int fd, const char *line);
