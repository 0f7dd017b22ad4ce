/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Security modules: which are on, what the configuration tells them, and when they change. */

#include "config.h"

#include <stdio.h>
#include <string.h>

#include "shim/bus/audit.h"
#include "shim/bus/log.h"
#include "shim/bus/mediate.h"
#include "shim/daemon/daemon.h"

static enum mediate_mode mode_of(const struct busconfig *config)
{
        switch (config->apparmor) {
        case BUSCONFIG_APPARMOR_DISABLED:
                return MEDIATE_OFF;
        case BUSCONFIG_APPARMOR_REQUIRED:
                return MEDIATE_REQUIRED;
        default:
                return MEDIATE_IF_PRESENT;
        }
}

int daemon_mediate(struct daemon *d)
{
        const struct mediator *m;
        char why[256];
        int r;

        audit_start();
        r = mediation_new(&d->bus.mediation, d->config->type, mode_of(d->config), why, sizeof(why));
        if (r) {
                return r > 0 ? daemon_fail(d, -ENOTSUP, "%s", why) : error_fold(r);
        }
        for (size_t i = 0; (m = mediation_at(d->bus.mediation, i)); i++)
                log_line(LOG_NOTICE, "%s mediates what clients do", m->name);
        return 0;
}

int daemon_associate(struct daemon *d, const struct busconfig *config)
{
        struct mediation *m = d->bus.mediation;
        int r;

        if (!m)
                return 0;
        mediation_forget_associations(m);
        for (size_t i = 0; i < config->n_associations; i++) {
                r = mediation_associate(m, config->associations[i].own,
                                        config->associations[i].context);
                if (r)
                        return error_fold(r);
        }
        return 0;
}

static void policy_event(struct watch *watch, uint32_t events, struct turn *turn)
{
        struct daemon *d = container_of(watch, struct daemon, policy_events);
        const struct mediator *m;
        bool loaded = false;
        char why[1024];

        for (size_t i = 0; (m = mediation_at(d->bus.mediation, i)); i++)
                if (m->event_fd() == watch->fd && m->happened())
                        loaded = true;
        if (!loaded)
                return;
        turn_write(turn);
        daemon_reload(d, turn, why, sizeof(why));
        turn_commit(turn);
        turn_release(turn);
}

int daemon_watch_mediation(struct daemon *d)
{
        const struct mediator *m;

        for (size_t i = 0; (m = mediation_at(d->bus.mediation, i)); i++)
                if (m->event_fd() >= 0)
                        return error_fold(watch_start(&d->policy_events, &d->workers[0].poller,
                                                      m->event_fd(), EPOLLIN, policy_event));
        return 0;
}

void daemon_unwatch_mediation(struct daemon *d)
{
        watch_stop(&d->policy_events);
}
