/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/apparmor.h>
#include <unistd.h>

#include "bus-core/util/error.h"
#include "shim/bus/apparmor.h"
#include "shim/bus/audit.h"

#define UNCONFINED "unconfined"

/* --- the library ----------------------------------------------------------------------------- */

static bool is_enabled(void)
{
        _cleanup_(freep) char *root = NULL, *mask = NULL;

        return aa_is_enabled() && aa_find_mountpoint(&root) == 0 &&
               asprintf(&mask, "%s/features/dbus/mask", root) >= 0 && access(mask, F_OK) == 0;
}

struct apparmor_library apparmor_library = {
        .is_enabled = is_enabled,
        .getcon = aa_getcon,
        .query = aa_query_label,
};

/* --- labels ---------------------------------------------------------------------------------- */

/* A label taken apart. */
struct profile {
        const char *name; /* NULL: unknown */
        size_t n;
        bool unconfined;
        bool complains; /* it refuses nothing */
};

static struct profile profile_of(const char *label)
{
        struct profile p = { .name = label };
        const char *mode;
        size_t n;

        if (!label)
                return p;
        p.n = n = strlen(label);
        mode = n && label[n - 1] == ')' ? strrchr(label, '(') : NULL;
        if (mode && mode >= label + 2 && mode[-1] == ' ') {
                p.n = mode - 1 - label;
                p.complains = strcmp(mode, "(complain)") == 0;
                p.unconfined = strcmp(mode, "(" UNCONFINED ")") == 0;
        }
        p.unconfined = p.unconfined ||
                       (p.n == strlen(UNCONFINED) && memcmp(label, UNCONFINED, p.n) == 0);
        return p;
}

/* --- queries --------------------------------------------------------------------------------- */

/* Parts of a query, each but the last followed by a NUL; what the kernel's policy is matched on. */
static char *query_text(const struct profile *subject, const struct mediate_bus *bus,
                        const char *const *parts, const size_t *lengths, size_t n, size_t *size)
{
        char *text, *p;

        *size = AA_QUERY_CMD_LABEL_SIZE + subject->n + 2 + strlen(bus->type);
        for (size_t i = 0; i < n; i++)
                *size += 1 + lengths[i];
        text = malloc(*size);
        if (!text)
                return NULL;
        p = mempcpy(text, AA_QUERY_CMD_LABEL, AA_QUERY_CMD_LABEL_SIZE);
        p = mempcpy(p, subject->name, subject->n);
        *p++ = 0;
        *p++ = AA_CLASS_DBUS;
        p = mempcpy(p, bus->type, strlen(bus->type));
        for (size_t i = 0; i < n; i++) {
                *p++ = 0;
                p = mempcpy(p, parts[i] ? parts[i] : "", lengths[i]);
        }
        return text;
}

struct verdict {
        bool allow;
        bool tell; /* the profile wants it to be heard of */
};

static struct verdict ask(uint32_t mask, const struct profile *subject,
                          const struct mediate_bus *bus, const char *const *parts,
                          const size_t *lengths, size_t n)
{
        _cleanup_(freep) char *text = NULL;
        int allow = 0, audit = 1;
        size_t size;

        if (subject->unconfined)
                return (struct verdict){ .allow = true };
        if (!subject->name)
                return (struct verdict){ .tell = true };
        text = query_text(subject, bus, parts, lengths, n, &size);
        if (!text || apparmor_library.query(mask, text, size, &allow, &audit) < 0)
                return (struct verdict){ .tell = true };
        return (struct verdict){ .allow = allow, .tell = audit };
}

/* --- records --------------------------------------------------------------------------------- */

struct record {
        char text[4096];
        size_t n;
};

static _printf_(2, 3) void say(struct record *r, const char *format, ...)
{
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(r->text + r->n, sizeof(r->text) - r->n, format, ap);
        va_end(ap);
        if (n > 0)
                r->n = MIN(r->n + n, sizeof(r->text) - 1);
}

static void say_text(struct record *r, const char *key, const char *value)
{
        if (value)
                say(r, " %s=\"%s\"", key, value);
}

static void say_party(struct record *r, const char *prefix, const struct mediate_party *party)
{
        if (party->pid)
                say(r, " %spid=%d", prefix, (int)party->pid);
        if (party->label)
                say(r, " %slabel=\"%.*s\"", prefix, (int)profile_of(party->label).n, party->label);
}

static void say_message(struct record *r, const struct mediate_message *m)
{
        say_text(r, "path", m->path);
        say_text(r, "interface", m->interface);
        say_text(r, "member", m->member);
        say_text(r, "error_name", m->error);
}

/* Writes what was decided about one side, if it was a denial or the profile asks for it. */
static bool decide(const struct verdict *v, const struct profile *subject, const char *operation,
                   const char *mask, const char *name, const struct mediate_bus *bus,
                   const struct mediate_party *self, const struct mediate_party *peer,
                   const struct mediate_message *message)
{
        bool allow = v->allow || subject->complains;
        struct record r = { .n = 0 };

        if (!v->tell)
                return allow;
        say(&r, "apparmor=\"%s\" operation=\"dbus_%s\"",
            v->allow ? "AUDIT" : allow ? "ALLOWED" : "DENIED", operation);
        say_text(&r, "bus", bus->type);
        if (message)
                say_message(&r, message);
        say_text(&r, "mask", mask);
        say_text(&r, "name", name);
        say_party(&r, "", self);
        if (peer)
                say_party(&r, "peer_", peer);
        audit_record(AUDIT_DENIAL, self->pid, r.text);
        return allow;
}

/* --- the mediator ---------------------------------------------------------------------------- */

static int start(struct mediate_bus *bus)
{
        char *label, *mode;

        if (!apparmor_library.is_enabled())
                return MEDIATOR_E_ABSENT;
        if (apparmor_library.getcon(&label, &mode) < 0)
                return error_origin(-errno);
        if (mode ? asprintf(&bus->label, "%s (%s)", label, mode) < 0
                 : !(bus->label = strdup(label)))
                bus->label = NULL;
        free(label);
        return bus->label ? 0 : error_origin(-ENOMEM);
}

/* One end of a message: may @self send it to, or receive it from, @peer, who is called @name? */
static bool end_allows(uint32_t mask, const struct mediate_bus *bus,
                       const struct mediate_party *self, const struct mediate_party *peer,
                       const char *name, const struct mediate_message *m)
{
        static const char *const operations[] = { "unknown", "method_call", "method_return",
                                                  "error", "signal" };
        struct profile subject = profile_of(self->label), object = profile_of(peer->label);
        const char *parts[] = { name, object.name, m->path, m->interface, m->member };
        size_t lengths[ARRAY_SIZE(parts)];
        struct verdict v;

        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                lengths[i] = parts[i] ? strlen(parts[i]) : 0;
        lengths[1] = object.n;
        v = ask(mask, &subject, bus, parts, lengths, ARRAY_SIZE(parts));
        return decide(&v, &subject, operations[m->type <= 4 ? m->type : 0],
                      mask == AA_DBUS_SEND ? "send" : "receive", name, bus, self, peer, m);
}

static bool may_send(const struct mediate_bus *bus, const struct mediate_question *q)
{
        static const struct mediate_party unknown_service = { .label = UNCONFINED };
        const struct mediate_party *object = &q->object;
        bool sends, receives;

        if (q->message->requested_reply)
                return true;
        if (q->starting && !object->label)
                object = &unknown_service;
        sends = end_allows(AA_DBUS_SEND, bus, &q->subject, object, q->message->destination,
                           q->message);
        receives = end_allows(AA_DBUS_RECEIVE, bus, object, &q->subject, q->message->sender,
                              q->message);
        return sends && receives;
}

static bool may_own(const struct mediate_bus *bus, const struct mediate_question *q)
{
        struct profile subject = profile_of(q->subject.label);
        const size_t length = strlen(q->name);
        struct verdict v;

        v = ask(AA_DBUS_BIND, &subject, bus, &q->name, &length, 1);
        return decide(&v, &subject, "bind", "bind", q->name, bus, &q->subject, NULL, NULL);
}

static bool may_eavesdrop(const struct mediate_bus *bus, const struct mediate_question *q)
{
        struct profile subject = profile_of(q->subject.label);
        struct verdict v;

        v = ask(AA_DBUS_EAVESDROP, &subject, bus, NULL, NULL, 0);
        return decide(&v, &subject, "eavesdrop", "eavesdrop", NULL, bus, &q->subject, NULL, NULL);
}

static int event_fd(void)
{
        return -1; /* each question is answered by the policy of the moment */
}

static bool happened(void)
{
        return false;
}

const struct mediator mediator_apparmor = {
        .name = "AppArmor",
        .start = start,
        .may_send = may_send,
        .may_own = may_own,
        .may_eavesdrop = may_eavesdrop,
        .event_fd = event_fd,
        .happened = happened,
};
