/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * SELinux
 *
 * What it is     The mediator for SELinux: class "dbus", permissions send_msg and acquire_svc.
 * Rules          send       sender's context -> receiver's (the bus's, if it is the receiver)
 *                own        caller's context -> the name's, from <associate>, or the bus's
 *                eavesdrop  is not asked about: each delivery is
 *                start      is not asked about: the delivery will be
 *                A process without a context is refused, unless SELinux is permissive.
 * Guard          libselinux's cache is not safe for threads: a lock around each call.
 */

#include "shim/bus/mediate.h"

/* What is used of libselinux; replaced by tests. */
struct selinux_library {
        int (*is_enabled)(void);
        int (*getcon)(char **context);
        int (*enforcing)(void);
        int (*check_access)(const char *subject, const char *object, const char *class,
                            const char *permission, void *question);
        int (*open_events)(void); /* descriptor, or -1 */
        int (*take_events)(void); /* 1: a policy was loaded */
};
extern struct selinux_library selinux_library;

/* selinux_explain() - what a denial record says beside contexts and class */
int selinux_explain(const struct mediate_question *q, char *buf, size_t size);
