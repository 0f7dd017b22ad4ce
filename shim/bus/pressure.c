/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shim/bus/log.h"
#include "shim/bus/poller.h"
#include "shim/bus/pressure.h"

#define N_SORTS  32    /* different interface.member told apart in a queue */
#define LOOK_MAX 65536 /* entries looked at */
#define SORT_MAX 160   /* bytes of an interface.member that are shown */

/* --- warnings -------------------------------------------------------------------------------- */

void pressure_crossed(const struct bus *bus, const struct client *client, size_t limit, uint64_t now)
{
        static const char topic_half[] = "half of a limit", topic_most[] = "most of a limit";
        struct limits limits = client ? client->limits : bus->limits;
        uint64_t max = *limit_at(&limits, limit);
        bool most = now >= max - max / 5;
        char text[BUS_LIMIT_MAX], who[CLIENT_DESCRIBE_MAX] = "the bus";

        if (!max)
                return;
        if (client)
                client_describe(client, who, sizeof(who));
        log_limited(LOG_WARNING, most ? topic_most : topic_half,
                    (client ? client->peer.id : 0) * LIMITS_N + limit,
                    "%s has reached %s %% of a limit: %" PRIu64 " of %s (%s)", who,
                    most ? "80" : "50", now, limit_describe(limit)->unit,
                    client ? client_limit(client, limit, text, sizeof(text))
                           : bus_limit(bus, limit, text, sizeof(text)));
}

bool pressure_queue_half(struct client *to, const struct message *message, uint64_t now)
{
        uint64_t max = limit_get(&to->peer.limits.bytes);

        pressure_note(to->bus, to, LIMIT_INDEX(max_outgoing_bytes), max,
                      now > message->size ? now - message->size : 0, now);
        return now >= max - max / 4;
}

/* --- holding back ---------------------------------------------------------------------------- */

void pressure_hold(struct turn *turn, struct client *sender, struct client *to)
{
        if (turn->full || sender == to || atomic_load(&to->stuck) || atomic_load(&to->dismissed))
                return;
        turn->full = client_ref(to);
        counts_add(&sender->count, COUNT_HELD, 1);
        log_limited(LOG_NOTICE, "held back", sender->peer.id,
                    "%s is held back for a while: the queue of %s is nearly full", sender->name,
                    to->name);
}

bool pressure_is_over(struct client *to, uint64_t since)
{
        uint64_t now = atomic_load(&to->peer.queued_bytes);

        if (now <= limit_get(&to->peer.limits.bytes) / 2 || atomic_load(&to->dismissed) ||
            atomic_load(&to->stuck))
                return true;
        if (now_usec() - since < PRESSURE_HOLD_USEC)
                return false;
        atomic_store(&to->stuck, true);
        log_limited(LOG_WARNING, "stuck", to->peer.id,
                    "%s does not read: nobody waits for it any more, with %" PRIu64
                    " of %" PRIu64 " bytes in its queue",
                    to->name, now, limit_get(&to->peer.limits.bytes));
        return true;
}

/* --- what is in a queue ---------------------------------------------------------------------- */

struct sort {
        char text[SORT_MAX]; /* interface.member, or the error's name */
        uint64_t n, bytes;
};

struct tally {
        struct sort sort[N_SORTS];
        size_t n_sorts;
        uint64_t n, n_other;
};

static void name_sort(char text[SORT_MAX], const struct envelope *e)
{
        const char *interface = envelope_text(e, e->header.interface);
        const char *member = envelope_text(e, e->header.member);
        const char *error = envelope_text(e, e->header.error_name);

        if (error)
                snprintf(text, SORT_MAX, "%s", error);
        else if (!member)
                snprintf(text, SORT_MAX, "(answers)");
        else
                snprintf(text, SORT_MAX, "%s%s%s", interface ? interface : "",
                         interface ? "." : "", member);
}

static bool count_entry(void *data, const struct inbox_entry *entry)
{
        const struct envelope *e = envelope_of(entry->message);
        struct tally *tally = data;
        char text[SORT_MAX];
        size_t i;

        tally->n++;
        name_sort(text, e);
        for (i = 0; i < tally->n_sorts; i++)
                if (strcmp(tally->sort[i].text, text) == 0)
                        break;
        if (i == N_SORTS) {
                tally->n_other++;
        } else {
                if (i == tally->n_sorts) {
                        tally->n_sorts++;
                        memcpy(tally->sort[i].text, text, sizeof(text));
                        tally->sort[i].n = tally->sort[i].bytes = 0;
                }
                tally->sort[i].n++;
                tally->sort[i].bytes += entry->bytes;
        }
        return tally->n < LOOK_MAX;
}

static int by_count(const void *a, const void *b)
{
        const struct sort *x = a, *y = b;

        return (x->n < y->n) - (x->n > y->n);
}

/* "120 x com.example.If.Sig (240000 bytes), ..." */
static void top_sorts(char *buf, size_t size, struct client *client)
{
        struct tally tally;
        size_t n = 0;

        tally.n = tally.n_other = tally.n_sorts = 0;
        peer_look(&client->peer, count_entry, &tally);
        qsort(tally.sort, tally.n_sorts, sizeof(tally.sort[0]), by_count);
        buf[0] = 0;
        for (size_t i = 0; i < MIN(tally.n_sorts, (size_t)PRESSURE_TOP) && n < size; i++)
                n += snprintf(buf + n, size - n, "%s%" PRIu64 " x %s (%" PRIu64 " bytes)",
                              i ? ", " : ": ", tally.sort[i].n, tally.sort[i].text,
                              tally.sort[i].bytes);
}

/* --- the end of a client --------------------------------------------------------------------- */

void client_record(struct client *client, size_t limit, const char *why)
{
        char who[CLIENT_DESCRIBE_MAX], text[BUS_LIMIT_MAX] = "", top[1024];
        bool known = client->state == CLIENT_ACTIVE || client->state == CLIENT_MONITOR;

        if (atomic_exchange(&client->dismissed, true))
                return;
        if (limit < LIMITS_N)
                client_limit(client, limit, text, sizeof(text));
        top_sorts(top, sizeof(top), client);
        /* newcomers come in storms, and are counted by user; a client has a line of its own */
        log_limited(LOG_WARNING, "disconnect",
                    known                    ? client->peer.id + ((uint64_t)1 << 32)
                    : client->creds->has_uid ? client->creds->uid
                                             : 0,
                    "%s is disconnected: %s%s%s%s; it sent %" PRIu64 " messages; its queue holds "
                    "%" PRIu64 " bytes, %" PRIu64 " descriptors%s",
                    client_describe(client, who, sizeof(who)), why, text[0] ? " (" : "", text,
                    text[0] ? ")" : "", counts_get(&client->count, COUNT_MESSAGES_IN),
                    (uint64_t)client->peer.queued_bytes, (uint64_t)client->peer.queued_fds, top);
}

void client_dismiss(struct client *client, size_t limit, const char *why)
{
        client_record(client, limit, why);
        client->door->close(client);
}
