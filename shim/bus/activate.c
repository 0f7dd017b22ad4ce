/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The state machine: who waits for what, and how it ends. */

#include "config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shim/bus/activate-private.h"
#include "shim/bus/log.h"
#include "shim/bus/notice.h"
#include "shim/bus/route.h"

#define ERROR_TEXT_MAX 4096

/* The results of StartServiceByName(). */
enum {
        START_SUCCESS = 1,
        START_ALREADY_RUNNING = 2,
};

/* One message, or one call of StartServiceByName(), that waits for an activation. */
struct waiter {
        struct activation *activation;
        struct client *client; /* borrowed: it forgets its waiters before it goes */
        struct envelope *e;    /* counted */
        bool start;            /* it is the call, not a message to be delivered */
        struct charge charge;
        struct cds_list_head link;        /* in activation->waiters */
        struct cds_list_head client_link; /* in client->waits */
};

/* --- waiters --------------------------------------------------------------------------------- */

static void waiter_free(struct waiter *w)
{
        w->activation->activator->n_waiters--;
        cds_list_del(&w->link);
        cds_list_del(&w->client_link);
        charge_drop(&w->charge);
        envelope_unref(w->e);
        free(w);
}

static int waiter_new(struct activation *a, struct client *client, struct envelope *e, bool start)
{
        const uint64_t amount[ACCOUNT_N_SLOTS] = {
                [ACCOUNT_BYTES] = e->message.size,
                [ACCOUNT_FDS] = message_n_fds(&e->message),
                [ACCOUNT_ENTRIES] = 1,
        };
        struct waiter *w;
        int r;

        w = calloc(1, sizeof(*w));
        if (!w)
                return error_origin(-ENOMEM);
        r = charge_take(&w->charge, a->activator->account, client->user->account, amount);
        if (r) {
                free(w);
                return r == ACCOUNT_E_QUOTA ? r : error_fold(r);
        }
        w->activation = a;
        w->client = client;
        w->start = start;
        message_ref(&e->message);
        w->e = e;
        cds_list_add_tail(&w->link, &a->waiters);
        cds_list_add_tail(&w->client_link, &client->waits);
        a->activator->n_waiters++;
        return 0;
}

void activation_forget(struct client *client)
{
        struct waiter *w, *next;

        cds_list_for_each_entry_safe(w, next, &client->waits, client_link)
                waiter_free(w);
}

static void answer_start(struct turn *turn, struct client *to, const struct envelope *e,
                         uint32_t result)
{
        struct writer w;

        if (e->header.flags & HEADER_NO_REPLY_EXPECTED)
                return;
        notice_begin(&w, turn, HEADER_RETURN, to);
        writer_field_u32(&w, FIELD_REPLY_SERIAL, e->header.serial);
        writer_body(&w, "u");
        writer_u32(&w, result);
        notice_send(&w, turn, to);
}

/* --- activations ----------------------------------------------------------------------------- */

/* The program, if one still runs, is killed or left to itself. */
static void activation_free(struct activation *a, bool kill)
{
        struct bus *bus = a->activator->bus;
        struct waiter *w, *next;

        cds_list_for_each_entry_safe(w, next, &a->waiters, link)
                waiter_free(w);
        if (a->launch)
                bus->keeper->abandon(bus, a->launch, kill);
        if (a->state == ACTIVATION_SUMMONED && bus->stand_ins)
                bus->stand_ins->dismiss(bus->stand_ins_data, a->name->text);
        cds_list_del(&a->link);
        a->name->activation = NULL;
        name_unref(a->name);
        service_unref(a->service);
        free(a->unit);
        job_deinit(&a->job);
        free(a);
}

void activation_fail(struct turn *turn, struct activation *a, const char *error_name,
                     const char *text, bool kill)
{
        struct waiter *w;

        assert(turn->hold == TURN_WRITE);
        cds_list_for_each_entry(w, &a->waiters, link)
                notice_error_named(turn, w->client, w->e, error_name, text);
        activation_free(a, kill);
}

static void arm(struct activator *activator, uint64_t due, uint64_t now)
{
        if (due >= activator->next_due)
                return;
        activator->next_due = due;
        timer_set(&activator->timer, activator->poller, due > now ? due - now : 0);
}

/* The timer: whoever has taken too long has failed. */
static void expire(struct timer *timer, struct turn *turn)
{
        struct activator *activator = container_of(timer, struct activator, timer);
        uint64_t now = now_usec(), ms = activator->bus->limits.service_start_timeout;
        struct activation *a, *next;
        char text[ERROR_TEXT_MAX];

        turn_write(turn);
        activator->next_due = UINT64_MAX;
        cds_list_for_each_entry_safe(a, next, &activator->pending, link) {
                if (a->due > now) {
                        arm(activator, a->due, now);
                        continue;
                }
                snprintf(text, sizeof(text),
                         "Failed to activate service '%s': timed out "
                         "(service_start_timeout=%" PRIu64 "ms)", a->name->text, ms);
                log_line(LOG_WARNING, "%s", text);
                activation_fail(turn, a, outcome_error_name(OUTCOME_TIMED_OUT), text, true);
        }
        turn_commit(turn);
        turn_release(turn);
}

/* @service is borrowed, NULL for a name that is only waited for */
static int activation_new(struct activation **out, struct activator *activator, const char *name,
                          struct service *service)
{
        uint64_t ms = activator->bus->limits.service_start_timeout, now = now_usec();
        struct activation *a;
        int r;

        a = calloc(1, sizeof(*a));
        if (!a)
                return error_origin(-ENOMEM);
        r = name_get(&a->name, &activator->bus->names, name, strlen(name));
        if (r) {
                free(a);
                return error_fold(r);
        }
        a->name->activation = a;
        a->activator = activator;
        a->service = service ? service_ref(service) : NULL;
        a->since = now;
        a->due = ms == LIMIT_NEVER ? UINT64_MAX : now + ms * 1000;
        CDS_INIT_LIST_HEAD(&a->waiters);
        cds_list_add_tail(&a->link, &activator->pending);
        r = systemd_choose(a);
        if (r) {
                activation_free(a, false);
                return error_fold(r);
        }
        arm(activator, a->due, now);
        *out = a;
        return 0;
}

static bool stands_in(const struct bus *bus, const char *name)
{
        return bus->stand_ins && bus->stand_ins->have(bus->stand_ins_data, name);
}

/* with the first that waits */
static void summon(struct bus *bus, struct activation *a)
{
        struct waiter *w = cds_list_entry(a->waiters.next, struct waiter, link);

        a->state = ACTIVATION_SUMMONED;
        bus->stand_ins->summon(bus->stand_ins_data, a->name->text, w->e);
}

static void begin(struct turn *turn, struct activation *a, struct client *who)
{
        if (!a->service && stands_in(turn->bus, a->name->text))
                summon(turn->bus, a);
        else if (!a->service)
                a->state = ACTIVATION_AWAITED;
        else if (a->unit)
                systemd_begin(turn, a, who);
        else
                activation_launch(turn, a, who);
}

/* --- requests -------------------------------------------------------------------------------- */

static bool is_awaited(const struct bus *bus, const char *name)
{
        return bus->systemd_activation && strcmp(name, SYSTEMD_NAME) == 0;
}

static void refuse_limit(struct turn *turn, struct client *sender, struct envelope *e,
                         const char *name, size_t index)
{
        char limit[BUS_LIMIT_MAX];

        bus_limit(turn->bus, index, limit, sizeof(limit));
        log_limited(LOG_WARNING, "activations", sender->peer.id,
                    "%s may not wait for the activation of %s: too much waits already (%s)",
                    sender->name, name, limit);
        notice_error(turn, sender, e, OUTCOME_LIMITS_EXCEEDED,
                     "The maximum number of pending activations has been reached, activation of "
                     "%s failed (%s)", name, limit);
}

/**
 * find_service() - who provides @name, if one more may wait for it
 * @out:        a reference, or NULL for a name that is only waited for
 *
 * Return:      0; SERVICE_E_UNKNOWN; or an OUTCOME_*, negated, that @sender has been told of.
 */
static int find_service(struct service **out, struct turn *turn, struct client *sender,
                        struct envelope *e, const char *name)
{
        struct activator *activator = turn->bus->activator;
        int r;

        if (activator->n_waiters >= turn->bus->limits.max_pending_service_starts) {
                refuse_limit(turn, sender, e, name, LIMIT_INDEX(max_pending_service_starts));
                return -OUTCOME_LIMITS_EXCEEDED;
        }
        *out = NULL;
        if (is_awaited(turn->bus, name) || stands_in(turn->bus, name))
                return 0;
        if (!activator->table)
                return SERVICE_E_UNKNOWN;
        r = service_table_find(activator->table, out, name);
        if (r < 0) {
                notice_error(turn, sender, e, OUTCOME_NO_MEMORY, "Not enough memory");
                return -OUTCOME_NO_MEMORY;
        }
        return r;
}

/* One more waits for @name, which is brought on its way unless it is already. */
static void wait_for(struct turn *turn, struct client *sender, struct envelope *e, bool start,
                     const char *name, struct service *service)
{
        struct bus *bus = turn->bus;
        struct name *known = name_find(&bus->names, name, strlen(name),
                                       table_hash(name, strlen(name)));
        struct activation *a = known ? known->activation : NULL;
        bool is_new = !a;
        int r = 0;

        if (is_new)
                r = activation_new(&a, bus->activator, name, service);
        if (!r)
                r = waiter_new(a, sender, e, start);
        if (!r) {
                if (is_new)
                        begin(turn, a, sender);
                return;
        }
        if (is_new && a)
                activation_free(a, false);
        if (r == ACCOUNT_E_QUOTA)
                refuse_limit(turn, sender, e, name,
                             message_n_fds(&e->message) ? LIMIT_INDEX(max_outgoing_unix_fds)
                                                        : LIMIT_INDEX(max_outgoing_bytes));
        else
                notice_error(turn, sender, e, OUTCOME_NO_MEMORY, "Not enough memory");
}

bool activation_wanted(const struct bus *bus, const struct envelope *e)
{
        const struct activator *activator = bus->activator;
        const char *name = envelope_text(e, e->header.destination);

        /* unlike the reference: nobody who is not there can have asked for an answer */
        if (!activator || activator->stopped || e->header.flags & HEADER_NO_AUTO_START ||
            name[0] == ':' ||
            (e->header.type != HEADER_CALL && e->header.type != HEADER_SIGNAL))
                return false;
        return is_awaited(bus, name) || stands_in(bus, name) ||
               (activator->table && service_table_may_have(activator->table, name));
}

bool activation_enqueue(struct turn *turn, struct client *sender, struct envelope *e)
{
        _cleanup_(service_unrefp) struct service *service = NULL;
        const char *name = envelope_text(e, e->header.destination);
        struct client *owner;
        int r;

        turn_write(turn);
        owner = bus_find(turn->bus, name, e->header.destination.len);
        if (owner) { /* it came while nothing was held */
                route_unicast(turn, sender, e, owner);
                return true;
        }
        r = find_service(&service, turn, sender, e, name);
        if (r == SERVICE_E_UNKNOWN)
                return false;
        if (r == 0 && route_may_start(turn, sender, e, service ? service->apparmor_label : NULL))
                wait_for(turn, sender, e, false, name, service);
        return true;
}

void activation_start(struct turn *turn, struct client *sender, struct envelope *e,
                      const char *name)
{
        _cleanup_(service_unrefp) struct service *service = NULL;
        struct activator *activator = turn->bus->activator;
        int r = SERVICE_E_UNKNOWN;

        assert(turn->hold == TURN_WRITE);
        if (activator && !activator->stopped)
                r = find_service(&service, turn, sender, e, name);
        if (r == SERVICE_E_UNKNOWN)
                notice_error(turn, sender, e, OUTCOME_SERVICE_UNKNOWN,
                             "The name %s was not provided by any .service files", name);
        else if (r == 0 && bus_find(turn->bus, name, strlen(name)))
                answer_start(turn, sender, e, START_ALREADY_RUNNING);
        else if (r == 0)
                wait_for(turn, sender, e, true, name, service);
}

/* --- ends ------------------------------------------------------------------------------------ */

/* In order: the signals of the change, answers to those who asked for a start, messages. */
static void deliver(struct turn *turn, struct activation *a, struct client *owner)
{
        struct waiter *w, *next;

        cds_list_for_each_entry_safe(w, next, &a->waiters, link) {
                if (!w->start)
                        continue;
                answer_start(turn, w->client, w->e, START_SUCCESS);
                waiter_free(w);
        }
        if (cds_list_empty(&a->waiters))
                return;
        turn_commit(turn); /* what is routed from here on comes behind it */
        cds_list_for_each_entry(w, &a->waiters, link)
                route_unicast(turn, w->client, w->e, owner);
}

void activation_succeeded(struct turn *turn, struct name *name, struct client *owner)
{
        struct activator *activator = turn->bus->activator;
        struct activation *a = name->activation;

        if (a) {
                log_line(LOG_INFO, "Successfully activated service '%s'", name->text);
                deliver(turn, a, owner);
                activation_free(a, false);
        }
        if (activator && is_awaited(turn->bus, name->text))
                systemd_arrived(turn, activator, owner);
}

void activation_declined(struct turn *turn, const char *name)
{
        struct name *known = name_find(&turn->bus->names, name, strlen(name),
                                       table_hash(name, strlen(name)));
        struct activation *a = known ? known->activation : NULL;

        if (a && a->state == ACTIVATION_SUMMONED)
                activation_fail(turn, a, outcome_error_name(OUTCOME_NO_REPLY),
                                "Who stands in for the service did not start it", false);
}

void activator_stop(struct activator *activator, struct turn *turn)
{
        struct activation *a, *next;

        if (!activator)
                return;
        activator->stopped = true;
        timer_clear(&activator->timer);
        cds_list_for_each_entry_safe(a, next, &activator->pending, link)
                activation_fail(turn, a, outcome_error_name(OUTCOME_FAILED),
                                "The message bus is shutting down", false);
}

/* --- the activator --------------------------------------------------------------------------- */

static void set_limits(struct activator *activator)
{
        const struct limits *limits = &activator->bus->limits;

        account_set_limit(activator->account, ACCOUNT_BYTES, limits->max_outgoing_bytes);
        account_set_limit(activator->account, ACCOUNT_FDS, limits->max_outgoing_unix_fds);
}

int activator_new(struct activator **out, struct bus *bus, struct poller *poller)
{
        const uint64_t none[ACCOUNT_N_SLOTS] = { [ACCOUNT_ENTRIES] = UINT64_MAX };
        _cleanup_(activator_freep) struct activator *activator = NULL;
        int r;

        activator = calloc(1, sizeof(*activator));
        if (!activator)
                return error_origin(-ENOMEM);
        activator->bus = bus;
        activator->poller = poller;
        activator->manager = BUS_ID;
        activator->timer.fn = expire;
        activator->next_due = UINT64_MAX;
        CDS_INIT_LIST_HEAD(&activator->pending);
        r = environment_inherit(&activator->environment);
        if (!r)
                r = account_new(&activator->account, bus->creds->uid, none);
        if (r)
                return error_fold(r);
        set_limits(activator);
        *out = steal(&activator);
        return 0;
}

struct activator *activator_free(struct activator *activator)
{
        if (!activator)
                return NULL;
        assert(cds_list_empty(&activator->pending));
        account_unref(activator->account);
        environment_deinit(&activator->environment);
        environment_deinit(&activator->untold);
        service_table_free(activator->table);
        free(activator->helper);
        free(activator);
        return NULL;
}

int activator_configure(struct activator *activator, struct service_table *table,
                        const char *helper)
{
        char *copy = NULL;

        if (helper) {
                copy = strdup(helper);
                if (!copy)
                        return error_origin(-ENOMEM);
        }
        free(activator->helper);
        activator->helper = copy;
        service_table_free(activator->table);
        activator->table = table;
        set_limits(activator);
        return 0;
}

const struct service_table *activator_services(const struct activator *activator)
{
        return activator->table;
}

void activator_look(const struct activator *activator,
                    void (*fn)(void *arg, const char *name, uint64_t usec, size_t n_waiters),
                    void *arg)
{
        uint64_t now = now_usec();
        const struct activation *a;
        struct waiter *w;
        size_t n;

        cds_list_for_each_entry(a, &activator->pending, link) {
                n = 0;
                cds_list_for_each_entry(w, &a->waiters, link)
                        n++;
                fn(arg, a->name->text, now - a->since, n);
        }
}

size_t activator_waiters(const struct activator *activator)
{
        return activator->n_waiters;
}

bool activator_has_helper(const struct activator *activator)
{
        return activator->helper;
}

int activator_update_environment(struct activator *activator, struct turn *turn,
                                 char *const *entries)
{
        _cleanup_(environment_deinit) struct environment updated = ENVIRONMENT_NULL;
        struct environment old;
        int r;

        r = environment_merge(&updated, activator->environment.entry);
        if (!r)
                r = environment_merge(&updated, entries);
        if (!r && turn->bus->systemd_activation)
                r = systemd_update_environment(turn, activator, entries);
        if (r)
                return error_fold(r);
        old = activator->environment;
        activator->environment = updated;
        updated = old;
        return 0;
}
