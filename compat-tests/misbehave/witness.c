/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat-tests/memory.h"
#include "compat-tests/misbehave/limits.h"
#include "compat-tests/misbehave/witness.h"

#define KEPT      640     /* bytes beside a message's own: of the envelope, and of its place in a queue */
#define RULE      4096    /* one match rule of the largest size, in the index and as text */
#define NAME      1024    /* one name of 255 bytes, and that it is owned */
#define REPLY     256     /* one call that waits */
#define CLIENT    (96 << 10) /* a connection itself */
#define COMMON    (24 << 20) /* what does not grow with clients: buffers, and blocks kept for reuse */

/* --- memory ---------------------------------------------------------------------------------- */

void witness_look(struct witness *w)
{
        if (!w->quiet)
                w->quiet = process_memory(w->bus->pid, "VmRSS:");
        w->peak = process_memory(w->bus->pid, "VmHWM:");
}

bool witness_memory_counts(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        return false;
#else
        return !getenv("BUS_WRAPPER");
#endif
}

static uint64_t bound_of_client(const struct culprit *who)
{
        uint64_t queue = 2 * (uint64_t)LIMIT_max_outgoing_bytes + LIMIT_max_message_size;

        return queue + queue * KEPT / who->message + LIMIT_max_message_size +
               LIMIT_max_match_rules_per_connection * (uint64_t)RULE +
               LIMIT_max_names_per_connection * (uint64_t)NAME +
               LIMIT_max_replies_per_connection * (uint64_t)REPLY + CLIENT;
}

uint64_t witness_bound(const struct witness *w, const struct culprit *const *who, size_t n)
{
        uint64_t bound = w->quiet + COMMON + LIMIT_max_incomplete_connections * (uint64_t)CLIENT;

        for (size_t i = 0; i < n; i++)
                bound += who[i]->connections * bound_of_client(who[i]);
        return bound;
}

/* --- the report ------------------------------------------------------------------------------ */

/* The word after the next bracket that closes what is open at @i. */
static size_t skip_group(const struct words *body, size_t i)
{
        int depth = 0;

        for (; i < body->n; i++) {
                depth += !strcmp(body->word[i], "[");
                depth -= !strcmp(body->word[i], "]");
                if (!depth)
                        return i + 1;
        }
        return i;
}

/* Rows of "org.lambus.Processes" a(sssda{st}): pid, comm, unit, pressure, [ numbers ] */
static void take_rows(struct witness *w, const struct words *body)
{
        size_t i = 0;

        w->n_first = 0;
        while (i < body->n && strcmp(body->word[i], "org.lambus.Processes"))
                i++;
        i += 3; /* the key, the signature, the bracket */
        while (i + 4 < body->n && strcmp(body->word[i], "]") && w->n_first < WITNESS_FIRST) {
                w->first[w->n_first] = atoi(body->word[i]);
                w->pressure[w->n_first++] = atof(body->word[i + 3]);
                i = skip_group(body, i + 4);
        }
}

void witness_ask(struct witness *w)
{
        struct message *m = client_call(w->client, "GetStats if=org.freedesktop.DBus.Debug.Stats");

        w->n_first = 0;
        if (!m || m->type != TYPE_RETURN)
                bus_fail(w->bus, "the bus gives no report");
        take_rows(w, &m->body);
        if (!w->n_first)
                bus_fail(w->bus, "the report has no processes");
        message_free(m);
}

void witness_start(struct witness *w, const struct bus *bus)
{
        *w = (struct witness){ .bus = bus, .client = client_connect(bus->address) };
        if (!w->client)
                bus_fail(bus, "the witness could not connect");
}

void witness_stop(struct witness *w)
{
        w->client = (client_free(w->client), NULL);
}

/* --- the log --------------------------------------------------------------------------------- */

static bool is_one_of(pid_t pid, const pid_t *pids, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (pids[i] == pid)
                        return true;
        return false;
}

static FILE *open_log(const struct bus *bus)
{
        char *path = bus_path(bus, "log");
        FILE *f = fopen(path, "re");

        free(path);
        if (!f)
                bus_fail(bus, "the bus has no log");
        return f;
}

pid_t witness_disconnected(const struct witness *w, const pid_t *culprits, size_t n)
{
        FILE *f = open_log(w->bus);
        char line[4096], *pid;
        pid_t found = 0;

        while (!found && fgets(line, sizeof(line), f)) {
                if (!strstr(line, " is disconnected: "))
                        continue;
                pid = strstr(line, " (uid="); /* before it stands what the daemon says of itself */
                pid = pid ? strstr(pid, "pid=") : NULL;
                if (!pid || !is_one_of(atoi(pid + 4), culprits, n))
                        found = pid ? atoi(pid + 4) : -1;
        }
        fclose(f);
        return found;
}

unsigned int witness_log_lines(const struct bus *bus, const char *text)
{
        FILE *f = open_log(bus);
        unsigned int n = 0;
        char line[4096];

        while (fgets(line, sizeof(line), f))
                n += strstr(line, text) != NULL;
        fclose(f);
        return n;
}
