/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#undef uthash_nonfatal_oom
#define uthash_nonfatal_oom(elt) ((elt)->oom = true)

#include "bus-core/util/decimal.h"
#include "shim/bus/creds.h"
#include "shim/bus/ledger.h"
#include "shim/bus/poller.h"

#define FRESH_USEC 1000000 /* so long a process is taken to be the one that had its pid before */

static const char *const names[COUNT_N] = {
        [COUNT_MESSAGES_IN] = "messages_in",
        [COUNT_BYTES_IN] = "bytes_in",
        [COUNT_FDS_IN] = "fds_in",
        [COUNT_WAKEUPS_CAUSED] = "wakeups_caused",
        [COUNT_REFUSED] = "refused",
        [COUNT_HELD] = "held_back",
        [COUNT_MESSAGES_OUT] = "messages_out",
        [COUNT_BYTES_OUT] = "bytes_out",
        [COUNT_FDS_OUT] = "fds_out",
        [COUNT_WAKEUPS] = "wakeups",
        [COUNT_LOST] = "lost",
};

const char *count_name(enum count what)
{
        return names[what];
}

void ledger_init(struct ledger *ledger)
{
        *ledger = (struct ledger){};
        for (size_t i = 0; i < LEDGER_N; i++) {
                struct ledger_book *book = &ledger->book[i];

                CDS_INIT_LIST_HEAD(&book->idle);
                CDS_INIT_LIST_HEAD(&book->other.idle_link);
                strcpy(book->other.name, "other");
        }
}

void ledger_deinit(struct ledger *ledger)
{
        struct ledger_entry *entry, *next;

        for (size_t i = 0; i < LEDGER_N; i++) {
                HASH_ITER(hh, ledger->book[i].entries, entry, next) {
                        HASH_DEL(ledger->book[i].entries, entry);
                        free(entry);
                }
        }
}

static void add_counts(struct counts *to, const struct counts *from)
{
        for (int i = 0; i < COUNT_N; i++)
                counts_add(to, i, counts_get(from, i));
}

/* The entry that has been idle for longest goes. */
static bool make_room(struct ledger_book *book)
{
        struct ledger_entry *entry;

        if (HASH_COUNT(book->entries) < LEDGER_MAX)
                return true;
        if (cds_list_empty(&book->idle))
                return false;
        entry = cds_list_first_entry(&book->idle, struct ledger_entry, idle_link);
        cds_list_del(&entry->idle_link);
        HASH_DEL(book->entries, entry);
        add_counts(&book->other.gone, &entry->gone);
        book->other.connects += entry->connects;
        book->other.forced += entry->forced;
        free(entry);
        return true;
}

/* The entry of a name; "other" if there is no room for it. */
static struct ledger_entry *find(struct ledger_book *book, const char *name)
{
        struct ledger_entry *entry;

        HASH_FIND_STR(book->entries, name, entry);
        if (entry)
                return entry;
        entry = make_room(book) ? calloc(1, sizeof(*entry)) : NULL;
        if (!entry)
                return &book->other;
        snprintf(entry->name, sizeof(entry->name), "%s", name);
        HASH_ADD_STR(book->entries, name, entry);
        if (entry->oom) {
                free(entry);
                return &book->other;
        }
        cds_list_add_tail(&entry->idle_link, &book->idle);
        return entry;
}

static void add_client(struct ledger_book *book, struct ledger_entry *entry)
{
        if (!entry->n_clients && entry != &book->other)
                cds_list_del(&entry->idle_link);
        entry->connects++;
        entry->n_clients++;
        if (entry->n_clients > entry->peak_clients)
                entry->peak_clients = entry->n_clients;
}

/* "cron.service" of "/system.slice/cron.service/payload"; else the path itself. */
static const char *unit_of(const struct creds *creds, char *buf, size_t size)
{
        static const char *const suffixes[] = { ".service", ".scope", ".slice" };
        char path[2 * PATH_MAX], *save;
        const char *all = creds_cgroup(creds, path, sizeof(path));

        if (!all)
                return "unknown";
        snprintf(buf, size, "%s", all);
        for (char *part = strtok_r((char *)all, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
                size_t n = strlen(part);

                for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
                        size_t m = strlen(suffixes[i]);

                        if (n > m && strcmp(part + n - m, suffixes[i]) == 0)
                                snprintf(buf, size, "%s", part);
                }
        }
        return buf;
}

/* A process calls itself what it likes, and it goes into messages. */
static void copy_plain(char *to, size_t size, const char *from)
{
        size_t n = 0;

        for (; *from && n + 1 < size; from++)
                to[n++] = *from < ' ' || *from > '~' ? '?' : *from;
        to[n] = 0;
}

/* A pid that nobody had for a while may be another process by now. */
static void look_at_process(struct ledger_entry *process, const struct creds *creds)
{
        char unit[LEDGER_NAME], comm[sizeof(process->comm)];
        uint64_t now;

        if (process->seen && process->n_clients)
                return;
        now = now_usec();
        if (process->seen && now - process->seen < FRESH_USEC)
                return;
        process->seen = now;
        copy_plain(process->unit, sizeof(process->unit), unit_of(creds, unit, sizeof(unit)));
        copy_plain(process->comm, sizeof(process->comm), creds_comm(creds, comm, sizeof(comm)));
}

void ledger_enter(struct ledger *ledger, const struct creds *creds,
                  struct ledger_entry *entries[LEDGER_N])
{
        char name[32];

        decimal(name, creds->pid > 0 ? creds->pid : 0);
        entries[LEDGER_PROCESSES] = find(&ledger->book[LEDGER_PROCESSES], name);
        look_at_process(entries[LEDGER_PROCESSES], creds);
        entries[LEDGER_UNITS] = find(&ledger->book[LEDGER_UNITS], entries[LEDGER_PROCESSES]->unit);
        if (creds->has_uid)
                decimal(name, creds->uid);
        else
                strcpy(name, "anonymous");
        entries[LEDGER_USERS] = find(&ledger->book[LEDGER_USERS], name);
        for (size_t i = 0; i < LEDGER_N; i++)
                add_client(&ledger->book[i], entries[i]);
}

void ledger_leave(struct ledger *ledger, struct ledger_entry *entries[LEDGER_N],
                  const struct counts *counts, bool forced)
{
        for (size_t i = 0; i < LEDGER_N; i++) {
                struct ledger_book *book = &ledger->book[i];
                struct ledger_entry *entry = entries[i];

                if (!entry)
                        continue;
                assert(entry->n_clients);
                add_counts(&entry->gone, counts);
                entry->forced += forced;
                if (!--entry->n_clients && entry != &book->other)
                        cds_list_add_tail(&entry->idle_link, &book->idle);
                entries[i] = NULL;
        }
}
