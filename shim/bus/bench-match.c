/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a query costs beside rules that do not match: build with `make shim/bus/bench-match`. Each
 * line adds 10,000 rules of one kind to a session's usual ones and asks for the same two signals,
 * one that nobody wants and one that sixteen clients want.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shim/bus/match.h"

#define RULES   10000
#define CLIENTS 64
#define ROUNDS  400000

static const struct match_text changed[] = {
        { "org.freedesktop.DBus.Properties", 31 },
        { "PropertiesChanged", 17 },
        { "/org/example/Device/Wlan0", 25 },
};

/* %u is the number of the rule */
static const char *const kinds[] = {
        NULL,
        "type='signal',sender=':1.%u'",
        "type='signal',interface='org.example.I%u',member='Changed'",
        "type='signal',interface='org.freedesktop.DBus.Properties',path='/org/example/%u'",
        "type='signal',member='PropertiesChanged',path_namespace='/org/example/%u'",
        "type='signal',interface='org.freedesktop.DBus.Properties',arg0='org.example.I%u'",
        "type='signal',arg0namespace='org.example.I%u'",
        "type='signal',arg1='value %u'",
        "type='signal',interface='org.example.I%u',arg7path='/a/'",
};

static struct match_index index_;
static struct match_owner owners[CLIENTS];

static void add(size_t owner, const char *format, unsigned int number)
{
        struct match_rule *rule;
        char text[MATCH_RULE_MAX];
        int n = snprintf(text, sizeof(text), format, number);

        if (match_rule_new(&rule, NULL, text, n) || match_add(&index_, &owners[owner], rule))
                abort();
}

/* What a desktop's clients have anyway. */
static void add_usual_rules(void)
{
        unsigned int i;

        for (i = 0; i < CLIENTS; i++) {
                add(i, "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',"
                       "arg0='org.example.S%u'", i % 10);
                add(i, "type='signal',sender=':1.%u',interface='org.freedesktop.DBus.Properties',"
                       "path='/org/example'", i + 100);
                add(i, "type='signal',interface='org.example.Manager%u'", i);
                if (i < 16)
                        add(i, "type='signal',path_namespace='/org/example/Wanted'", 0);
        }
}

static double measure(const struct match_query *query, size_t expected)
{
        struct match_hits hits = MATCH_HITS_NULL;
        struct timespec a, b;
        size_t i;

        clock_gettime(CLOCK_MONOTONIC, &a);
        for (i = 0; i < ROUNDS; i++)
                if (match_index_query(&index_, &hits, query) || hits.n != expected)
                        abort();
        clock_gettime(CLOCK_MONOTONIC, &b);
        match_hits_deinit(&hits);
        return ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / ROUNDS;
}

int main(void)
{
        struct match_value args[] = { { 's', 18, "org.example.Device" }, { 'a' }, { 'a' } };
        struct match_query query = {
                .type = 4,
                .sender = 42,
                .destination = MATCH_NO_OWNER,
                .interface = changed[0],
                .member = changed[1],
                .path = changed[2],
                .args = args,
                .n_args = 3,
        };
        struct match_query wanted = query;
        unsigned int i;
        size_t kind;

        wanted.path = (struct match_text){ "/org/example/Wanted/1", 21 };
        for (kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
                match_index_init(&index_, NULL, NULL);
                for (i = 0; i < CLIENTS; i++)
                        match_owner_init(&owners[i]);
                add_usual_rules();
                for (i = 0; kinds[kind] && i < RULES; i++)
                        add(i % CLIENTS, kinds[kind], i + 1000);
                printf("%6.0f ns without hits, %6.0f ns with 16: %s\n", measure(&query, 0),
                       measure(&wanted, 16), kinds[kind] ? kinds[kind] : "the usual rules only");
                for (i = 0; i < CLIENTS; i++)
                        match_owner_clear(&index_, &owners[i]);
                match_index_deinit(&index_);
        }
        return EXIT_SUCCESS;
}
