/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Service
 *
 * What it is     What the scenarios let the bus activate. Its arguments are carried out one by one:
 *
 *      own NAME        request the name on $DBUS_STARTER_ADDRESS
 *      sleep MS        wait
 *      note FILE       append a line to the file
 *      exit N          end with this status; `kill` by SIGKILL
 *      serve           answer calls until the bus goes: Environment and Arguments with `as`, Pid
 *                      with `u`, Quit with nothing and the end, all others with their member
 */

#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat-tests/client.h"

#define FOR_EVER 3600000

static void add_strings(struct words *w, char **strings)
{
        char *word;

        words_append(w, "[", 1);
        for (; *strings; strings++) {
                word = word_escape(*strings, strlen(*strings));
                words_append(w, word, strlen(word));
                free(word);
        }
        words_append(w, "]", 1);
}

static void fill_reply(struct message *reply, const char *member, char **argv)
{
        char pid[16];

        reply->has_body = true;
        if (!strcmp(member, "Environment") || !strcmp(member, "Arguments")) {
                reply->signature = strdup("as");
                add_strings(&reply->body, *member == 'E' ? environ : argv);
        } else if (!strcmp(member, "Pid")) {
                sprintf(pid, "%d", getpid());
                reply->signature = strdup("u");
                words_append(&reply->body, pid, strlen(pid));
        } else if (strcmp(member, "Quit")) {
                reply->signature = strdup("s");
                words_append(&reply->body, member, strlen(member));
        }
}

static bool answer(struct client *c, const struct message *call, char **argv)
{
        const char *member = call->field[FIELD_MEMBER];
        char *word = NULL;
        struct message *reply = message_parse(&word, 0);

        reply->type = TYPE_RETURN;
        reply->field[FIELD_DESTINATION] = strdup(call->field[FIELD_SENDER]);
        if (asprintf(&reply->field[FIELD_REPLY_SERIAL], "%u", (unsigned int)call->serial) < 0)
                abort();
        fill_reply(reply, member, argv);
        client_send(c, reply);
        message_free(reply);
        return strcmp(member, "Quit");
}

static void serve(struct client *c, char **argv)
{
        struct message *m;
        bool more = true;

        while (more && client_receive(c, &m, FOR_EVER) == CLIENT_MESSAGE) {
                if (m->type == TYPE_CALL)
                        more = answer(c, m, argv);
                message_free(m);
        }
}

static void own(struct client *c, const char *name)
{
        char *text;

        if (asprintf(&text, "RequestName su %s 0", name) < 0)
                abort();
        message_free(client_call(c, text));
        free(text);
}

static void note(const char *path)
{
        FILE *f = fopen(path, "a");

        if (f) {
                fprintf(f, "started\n");
                fclose(f);
        }
}

int main(int argc, char **argv)
{
        struct client *c = NULL;
        char **a;

        for (a = argv + 1; *a; a++) {
                if (!c && (!strcmp(*a, "own") || !strcmp(*a, "serve")))
                        c = client_connect(getenv("DBUS_STARTER_ADDRESS") ?: "");
                if (!strcmp(*a, "serve") && c)
                        serve(c, argv);
                else if (!strcmp(*a, "kill"))
                        raise(SIGKILL);
                else if (!a[1])
                        break;
                else if (!strcmp(*a, "own") && c)
                        own(c, *++a);
                else if (!strcmp(*a, "sleep"))
                        usleep(atoi(*++a) * 1000);
                else if (!strcmp(*a, "note"))
                        note(*++a);
                else if (!strcmp(*a, "exit"))
                        exit(atoi(*++a));
        }
        client_free(c);
        return 0;
}
