/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shim/bus/log.h"
#include "shim/bus/notice.h"
#include "shim/bus/pressure.h"
#include "shim/bus/route.h"

/* Nobody can be left believing what is no longer so: the client is given up. */
static void cannot_tell(struct client *to, int why)
{
        if (why < 0)
                client_dismiss(to, PRESSURE_NO_LIMIT,
                               "there is not enough memory to tell it what it must know");
        else if (to->peer.queued_fds > to->peer.limits.fds)
                client_dismiss(to, LIMIT_INDEX(max_outgoing_unix_fds),
                               "it does not read, and cannot be told what it must know: its queue "
                               "is full of descriptors");
        else
                client_dismiss(to, LIMIT_INDEX(max_outgoing_bytes),
                               "it does not read, and cannot be told what it must know: its queue "
                               "holds more than twice what it may");
}

static uint32_t begin(struct writer *w, struct turn *turn, uint8_t type, uint8_t flags,
                      const struct client *to)
{
        uint32_t serial;

        do {
                serial = atomic_fetch_add_explicit(&turn->bus->next_serial, 1, memory_order_relaxed);
        } while (!serial);
        writer_init(w, type, flags, serial);
        if (atomic_load_explicit(&turn->bus->container_headers, memory_order_relaxed))
                writer_field(w, FIELD_CONTAINER_INSTANCE, "/");
        writer_field(w, FIELD_SENDER, BUS_NAME);
        if (to)
                writer_field(w, FIELD_DESTINATION,
                             to->state == CLIENT_NEW ? ":not.active.yet" : to->name);
        return serial;
}

void notice_begin(struct writer *w, struct turn *turn, uint8_t type, const struct client *to)
{
        begin(w, turn, type, HEADER_NO_REPLY_EXPECTED, to);
}

uint32_t notice_begin_call(struct writer *w, struct turn *turn, const struct client *to)
{
        return begin(w, turn, HEADER_CALL, 0, to);
}

static int finish(struct envelope **out, struct writer *w)
{
        _cleanup_(freep) uint8_t *bytes = NULL;
        struct header h;
        size_t n;
        int r;

        r = writer_finish(w, &bytes, &n, &h);
        if (r)
                return error_fold(r);
        return error_fold(envelope_of_bus(out, &h, bytes));
}

static void write_error(struct writer *w, uint32_t reply_serial, const char *error_name,
                        const char *text)
{
        writer_field_u32(w, FIELD_REPLY_SERIAL, reply_serial);
        writer_field(w, FIELD_ERROR_NAME, error_name);
        writer_body(w, "s");
        writer_string(w, text);
}

void notice_show(struct writer *w, struct turn *turn, const struct client *to)
{
        _cleanup_(envelope_unrefp) struct envelope *e = NULL;

        if (finish(&e, w))
                log_line(LOG_ERR, "a copy for monitors was lost: not enough memory");
        else
                route_monitors(turn, &turn->tx, &turn->bus->self, e, to);
}

/* @sender: NULL for the bus itself, which then is the error's destination, too */
void notice_to_monitors(struct turn *turn, const struct client *sender, const struct envelope *e,
                        enum outcome outcome, const char *text)
{
        struct writer w;

        if (!turn->bus->n_monitors)
                return;
        notice_begin(&w, turn, HEADER_ERROR, sender);
        if (!sender)
                writer_field(&w, FIELD_DESTINATION, BUS_NAME);
        write_error(&w, e->header.serial, outcome_error_name(outcome), text);
        notice_show(&w, turn, sender);
}

/* The receiver's policy keeps the bus's own message from it; only those who watch can know. */
static void refused(struct turn *turn, const struct envelope *e)
{
        notice_to_monitors(turn, NULL, e, OUTCOME_ACCESS_DENIED,
                           "Policy keeps this message of the bus from its receiver");
}

static void say(struct writer *w, struct turn *turn, struct client *to, struct fdset *fds,
                bool seen)
{
        _cleanup_(envelope_unrefp) struct envelope *e = NULL;
        int r;

        r = finish(&e, w);
        if (r) {
                fdset_free(fds);
                cannot_tell(to, r);
                return;
        }
        e->message.fds = fds;
        if (seen)
                route_monitors(turn, &turn->tx, &turn->bus->self, e, to);
        if (route_refused_by_receiver(to, e)) {
                refused(turn, e);
                return;
        }
        r = turn_say(turn, to, &e->message);
        if (r)
                cannot_tell(to, r);
}

void notice_send(struct writer *w, struct turn *turn, struct client *to)
{
        notice_send_fds(w, turn, to, NULL);
}

void notice_send_fds(struct writer *w, struct turn *turn, struct client *to, struct fdset *fds)
{
        say(w, turn, to, fds, true);
}

void notice_send_unseen(struct writer *w, struct turn *turn, struct client *to)
{
        say(w, turn, to, NULL, false);
}

void notice_broadcast(struct writer *w, struct turn *turn)
{
        _cleanup_(envelope_unrefp) struct envelope *e = NULL;
        struct match_hits *hits = &turn->hits;
        int r;

        if (finish(&e, w)) {
                log_line(LOG_ERR, "a signal of the bus was lost: not enough memory");
                return;
        }
        route_monitors(turn, &turn->tx, &turn->bus->self, e, NULL);
        if (route_wanted(turn, &turn->bus->rules, BUS_ID, e, NULL, false)) {
                log_line(LOG_ERR, "a signal of the bus was lost: not enough memory");
                return;
        }
        for (size_t i = 0; i < hits->n; i++) {
                struct client *to = container_of(hits->owners[i], struct client, rules);

                if (route_refused_by_receiver(to, e))
                        continue;
                r = turn_say(turn, to, &e->message);
                if (r)
                        cannot_tell(to, r);
        }
}

void notice_error_to(struct turn *turn, struct client *to, uint32_t reply_serial,
                     const char *error_name, const char *text)
{
        struct writer w;

        notice_begin(&w, turn, HEADER_ERROR, to);
        write_error(&w, reply_serial, error_name, text);
        notice_send(&w, turn, to);
}


/* Unlike the reference: no error to who expects no answer, and none to an answer. */
static bool wants_error(const struct header *h)
{
        if (h->type == HEADER_CALL)
                return !(h->flags & HEADER_NO_REPLY_EXPECTED);
        return h->type != HEADER_RETURN && h->type != HEADER_ERROR;
}

void notice_error_named(struct turn *turn, struct client *to, const struct envelope *e,
                        const char *error_name, const char *text)
{
        counts_add_shared(&to->count, COUNT_REFUSED, 1);
        if (wants_error(&e->header))
                notice_error_to(turn, to, e->header.serial, error_name, text);
}

void notice_error(struct turn *turn, struct client *to, const struct envelope *e,
                  enum outcome outcome, const char *format, ...)
{
        char text[4096];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        notice_error_named(turn, to, e, outcome_error_name(outcome), text);
}

void notice_owner_changed(struct turn *turn, const char *name, const char *old_owner,
                          const char *new_owner)
{
        struct writer w;

        if (!turn->bus->n_rules && !turn->bus->n_monitors)
                return; /* nobody listens */
        notice_begin(&w, turn, HEADER_SIGNAL, NULL);
        writer_field(&w, FIELD_PATH, BUS_PATH);
        writer_field(&w, FIELD_INTERFACE, BUS_INTERFACE);
        writer_field(&w, FIELD_MEMBER, "NameOwnerChanged");
        writer_body(&w, "sss");
        writer_string(&w, name);
        writer_string(&w, old_owner);
        writer_string(&w, new_owner);
        notice_broadcast(&w, turn);
}

void notice_name(struct turn *turn, struct client *to, const char *member, const char *name)
{
        struct writer w;

        notice_begin(&w, turn, HEADER_SIGNAL, to);
        writer_field(&w, FIELD_PATH, BUS_PATH);
        writer_field(&w, FIELD_INTERFACE, BUS_INTERFACE);
        writer_field(&w, FIELD_MEMBER, member);
        writer_body(&w, "s");
        writer_string(&w, name);
        notice_send(&w, turn, to);
}
