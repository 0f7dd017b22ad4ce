/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <selinux/avc.h>
#include <selinux/selinux.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/bus/audit.h"
#include "shim/bus/log.h"
#include "shim/bus/selinux.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int events = -1;
static bool loaded; /* a policy was, since last asked; under lock */

/* --- the library ----------------------------------------------------------------------------- */

static int on_policy_load(int sequence)
{
        loaded = true;
        return 0;
}

static int on_audit(void *question, security_class_t class, char *buf, size_t size)
{
        return question ? selinux_explain(question, buf, size) : 0;
}

static _printf_(2, 3) int on_log(int type, const char *format, ...)
{
        char text[4096];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        text[strcspn(text, "\n")] = 0;
        if (type == SELINUX_AVC)
                audit_record(AUDIT_DENIAL, 0, text);
        else if (type == SELINUX_POLICYLOAD)
                audit_record(AUDIT_POLICY_LOAD, 0, text);
        else if (type == SELINUX_SETENFORCE)
                audit_record(AUDIT_STATUS, 0, text);
        else
                log_line(type == SELINUX_ERROR ? LOG_ERR : LOG_INFO, "SELinux: %s", text);
        return 0;
}

static int open_events(void)
{
        selinux_set_callback(SELINUX_CB_LOG, (union selinux_callback){ .func_log = on_log });
        selinux_set_callback(SELINUX_CB_AUDIT, (union selinux_callback){ .func_audit = on_audit });
        selinux_set_callback(SELINUX_CB_POLICYLOAD,
                             (union selinux_callback){ .func_policyload = on_policy_load });
        return avc_netlink_open(0) < 0 ? -1 : avc_netlink_acquire_fd();
}

static int take_events(void)
{
        bool was_loaded;

        avc_netlink_check_nb();
        was_loaded = loaded;
        loaded = false;
        return was_loaded;
}

struct selinux_library selinux_library = {
        .is_enabled = is_selinux_enabled,
        .getcon = getcon,
        .enforcing = security_getenforce,
        .check_access = selinux_check_access,
        .open_events = open_events,
        .take_events = take_events,
};

/* --- the mediator ---------------------------------------------------------------------------- */

static int start(struct mediate_bus *bus)
{
        char *context;

        if (selinux_library.is_enabled() <= 0)
                return MEDIATOR_E_ABSENT;
        if (selinux_library.getcon(&context) < 0)
                return error_origin(-errno);
        bus->label = strdup(context);
        free(context);
        if (!bus->label)
                return error_origin(-ENOMEM);
        if (events < 0)
                events = selinux_library.open_events();
        return 0;
}

static const char *or_none(const char *s)
{
        return s ? s : "(none)";
}

int selinux_explain(const struct mediate_question *q, char *buf, size_t size)
{
        static const char *const types[] = { "invalid", "method_call", "method_return", "error",
                                             "signal" };
        const struct mediate_message *m = q->message;
        size_t n = 0;

        if (!m)
                return snprintf(buf, size, "service=%s spid=%d", or_none(q->name),
                                (int)q->subject.pid);
#define SAY(...) (n += snprintf(n < size ? buf + n : NULL, n < size ? size - n : 0, __VA_ARGS__))
        SAY("msgtype=%s", types[m->type <= 4 ? m->type : 0]);
        if (m->interface)
                SAY(" interface=%s", m->interface);
        if (m->member)
                SAY(" member=%s", m->member);
        if (m->error)
                SAY(" error_name=%s", m->error);
        if (m->destination)
                SAY(" dest=%s", m->destination);
        if (q->subject.pid)
                SAY(" spid=%d", (int)q->subject.pid);
        if (q->object.pid)
                SAY(" tpid=%d", (int)q->object.pid);
#undef SAY
        return n;
}

static bool check(const struct mediate_question *q, const char *object, const char *permission)
{
        bool yes;

        pthread_mutex_lock(&lock);
        if (q->subject.label && object)
                yes = selinux_library.check_access(q->subject.label, object, "dbus", permission,
                                                   (void *)q) == 0;
        else
                yes = selinux_library.enforcing() == 0;
        pthread_mutex_unlock(&lock);
        return yes;
}

static bool may_send(const struct mediate_bus *bus, const struct mediate_question *q)
{
        return q->starting || check(q, q->object.label, "send_msg");
}

static bool may_own(const struct mediate_bus *bus, const struct mediate_question *q)
{
        return check(q, q->context ? q->context : bus->label, "acquire_svc");
}

static bool may_eavesdrop(const struct mediate_bus *bus, const struct mediate_question *q)
{
        return true;
}

static int event_fd(void)
{
        return events;
}

static bool happened(void)
{
        bool was_loaded;

        pthread_mutex_lock(&lock);
        was_loaded = selinux_library.take_events() > 0;
        pthread_mutex_unlock(&lock);
        return was_loaded;
}

const struct mediator mediator_selinux = {
        .name = "SELinux",
        .start = start,
        .may_send = may_send,
        .may_own = may_own,
        .may_eavesdrop = may_eavesdrop,
        .event_fd = event_fd,
        .happened = happened,
};
