/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim/bus/mediate.h"
#include "shim/bus/notice.h"
#include "shim/bus/route.h"

#define MEDIATORS_MAX 4

struct association {
        struct association *next;
        char *name;
        char *context;
};

struct mediation {
        char *type;
        const struct mediator *on[MEDIATORS_MAX];
        struct mediate_bus bus[MEDIATORS_MAX];
        size_t n;
        struct association *associations;
};

/* --- which modules are on -------------------------------------------------------------------- */

static int start(struct mediation *m, const struct mediator *mediator)
{
        int r;

        m->bus[m->n].type = m->type;
        r = mediator->start(&m->bus[m->n]);
        if (r)
                return r < 0 ? error_fold(r) : r;
        m->on[m->n++] = mediator;
        return 0;
}

static int create(struct mediation **out, const char *type)
{
        _cleanup_(mediation_freep) struct mediation *m = NULL;

        m = calloc(1, sizeof(*m));
        if (!m)
                return error_origin(-ENOMEM);
        m->type = strdup(type ? type : "");
        if (!m->type)
                return error_origin(-ENOMEM);
        *out = steal(&m);
        return 0;
}

int mediation_of(struct mediation **out, const char *type, const struct mediator *const *mediators,
                 size_t n)
{
        _cleanup_(mediation_freep) struct mediation *m = NULL;
        int r;

        assert(n <= MEDIATORS_MAX);
        r = create(&m, type);
        if (r)
                return error_fold(r);
        for (size_t i = 0; i < n; i++) {
                r = start(m, mediators[i]);
                if (r < 0)
                        return error_fold(r);
        }
        *out = m->n ? steal(&m) : NULL;
        return 0;
}

static bool is_on(const struct mediation *m, const char *name)
{
        for (size_t i = 0; m && i < m->n; i++)
                if (strcmp(m->on[i]->name, name) == 0)
                        return true;
        return false;
}

int mediation_new(struct mediation **out, const char *type, enum mediate_mode apparmor, char *why,
                  size_t size)
{
        const struct mediator *want[MEDIATORS_MAX] = { NULL };
        size_t n = 0;
        int r;

#ifdef HAVE_SELINUX
        want[n++] = &mediator_selinux;
#endif
#ifdef HAVE_APPARMOR
        if (apparmor != MEDIATE_OFF)
                want[n++] = &mediator_apparmor;
#endif
        r = mediation_of(out, type, want, n);
        if (r)
                return error_fold(r);
        if (apparmor == MEDIATE_REQUIRED && !is_on(*out, "AppArmor")) {
                snprintf(why, size, "AppArmor mediation required but not present");
                *out = mediation_free(*out);
                return MEDIATION_E_REQUIRED;
        }
        return 0;
}

void mediation_forget_associations(struct mediation *m)
{
        struct association *a;

        while ((a = m->associations)) {
                m->associations = a->next;
                free(a->name);
                free(a->context);
                free(a);
        }
}

struct mediation *mediation_free(struct mediation *m)
{
        if (!m)
                return NULL;
        mediation_forget_associations(m);
        for (size_t i = 0; i < m->n; i++)
                free(m->bus[i].label);
        free(m->type);
        free(m);
        return NULL;
}

const struct mediator *mediation_at(const struct mediation *m, size_t i)
{
        return m && i < m->n ? m->on[i] : NULL;
}

const char *mediation_label(const struct mediation *m, const char *name)
{
        for (size_t i = 0; m && i < m->n; i++)
                if (strcmp(m->on[i]->name, name) == 0)
                        return m->bus[i].label;
        return NULL;
}

int mediation_associate(struct mediation *m, const char *name, const char *context)
{
        struct association *a;

        a = calloc(1, sizeof(*a));
        if (!a)
                return error_origin(-ENOMEM);
        a->name = strdup(name);
        a->context = strdup(context);
        a->next = m->associations;
        m->associations = a;
        return a->name && a->context ? 0 : error_origin(-ENOMEM);
}

/* The last one that was written counts. */
static const char *context_of(const struct mediation *m, const char *name)
{
        const struct association *a;

        for (a = m->associations; a; a = a->next)
                if (a->name && strcmp(a->name, name) == 0)
                        return a->context;
        return NULL;
}

/* --- questions ------------------------------------------------------------------------------- */

static struct mediate_party party(const struct creds *creds)
{
        return (struct mediate_party){ .label = creds->label, .pid = creds->pid };
}

/* The module that says no, or NULL. */
static const struct mediator *who_refuses(const struct mediation *m, struct mediate_question *q,
                                          bool to_bus)
{
        for (size_t i = 0; i < m->n; i++) {
                if (to_bus)
                        q->object.label = m->bus[i].label;
                if (!m->on[i]->may_send(&m->bus[i], q))
                        return m->on[i];
        }
        return NULL;
}

static struct mediate_message message_of(const struct client *sender, const struct envelope *e,
                                         bool requested)
{
        const struct header *h = &e->header;

        return (struct mediate_message){
                .type = h->type,
                .requested_reply = requested,
                .path = envelope_text(e, h->path),
                .interface = envelope_text(e, h->interface),
                .member = envelope_text(e, h->member),
                .error = envelope_text(e, h->error_name),
                .destination = envelope_text(e, h->destination),
                .sender = sender->name,
        };
}

static void refuse(struct turn *turn, const struct mediator *by, struct client *sender,
                   const struct envelope *e, const struct client *to)
{
        char text[ROUTE_DESCRIBE_MAX];

        route_describe(text, sizeof(text), sender, e, to);
        notice_error(turn, sender, e, OUTCOME_ACCESS_DENIED,
                     "An %s policy prevents this sender from sending this message to this "
                     "recipient; %s",
                     by->name, text);
}

/**
 * mediation_send() - may @sender send @e to @to?
 * @to:         NULL: to the bus itself
 * @addressed:  and not only shown to it: a refusal is told to the sender
 */
bool mediation_send(struct turn *turn, struct client *sender, const struct envelope *e,
                    const struct client *to, bool requested, bool addressed)
{
        const struct mediate_message message = message_of(sender, e, requested);
        struct mediate_question q = { .subject = party(sender->creds), .message = &message };
        const struct mediator *by;

        q.object = party(to ? to->creds : turn->bus->creds);
        by = who_refuses(turn->bus->mediation, &q, !to);
        if (by && addressed)
                refuse(turn, by, sender, e, to);
        return !by;
}

/**
 * mediation_start_service() - may @sender have a service started by sending it @e?
 * @label:      which its service file assumes; NULL: none
 */
bool mediation_start_service(struct turn *turn, struct client *sender, const struct envelope *e,
                             const char *label)
{
        const struct mediate_message message = message_of(sender, e, false);
        struct mediate_question q = {
                .subject = party(sender->creds),
                .object.label = label,
                .starting = true,
                .message = &message,
        };
        const struct mediator *by;

        by = who_refuses(turn->bus->mediation, &q, false);
        if (by)
                refuse(turn, by, sender, e, NULL);
        return !by;
}

/**
 * mediation_own() - may @client have a name?
 * @by:         the module that says no
 */
bool mediation_own(const struct mediation *m, const struct client *client, const char *name,
                   const char **by)
{
        struct mediate_question q = {
                .subject = party(client->creds),
                .name = name,
                .context = context_of(m, name),
        };

        for (size_t i = 0; i < m->n; i++) {
                q.object.label = m->bus[i].label;
                if (!m->on[i]->may_own(&m->bus[i], &q)) {
                        *by = m->on[i]->name;
                        return false;
                }
        }
        return true;
}

/* mediation_eavesdrop() - may @client see what is not for it? */
bool mediation_eavesdrop(const struct mediation *m, const struct client *client, const char **by)
{
        const struct mediate_question q = { .subject = party(client->creds) };

        for (size_t i = 0; i < m->n; i++)
                if (!m->on[i]->may_eavesdrop(&m->bus[i], &q)) {
                        *by = m->on[i]->name;
                        return false;
                }
        return true;
}
