/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lambusctl why
 *
 * May it be sent, and which rule says so? Nothing is sent: the rules are read by the daemon's parser
 * and judged by the daemon's code.
 */

#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "tools/configured.h"
#include "tools/party.h"
#include "tools/reach.h"
#include "tools/verb.h"

#define RULE_TEXT_MAX 1024

struct why {
        struct configured config;
        const char *address; /* of the bus to ask; NULL: that of --system or --session */
        bool offline;
        bool at_console; /* the sender, and the receiver */
        bool unwanted;   /* a reply that nobody waits for */
        struct policy_query query;

        struct busconfig *read;
        sd_bus *bus;
        struct party sender, receiver;
};

static const char help[] =
        "Usage: lambusctl why [OPTION...] SENDER DESTINATION [INTERFACE.]MEMBER\n"
        "       lambusctl why [OPTION...] SENDER own NAME\n"
        "       lambusctl why [OPTION...] SENDER connect\n\n"
        "May SENDER send this message to DESTINATION, own NAME, or connect? Prints allow or\n"
        "deny, and the rules that match, each with file and line; the last one decides.\n"
        "Nothing is sent. Both sides are written as USER[=NAME,...], for someone who need not\n"
        "be there, or as the name of someone on the bus: :1.5, org.freedesktop.login1.\n\n"
        "      --system          rules of the system bus (default)\n"
        "      --session         rules of a session bus\n"
        "      --config=FILE     rules of this file; no bus is asked unless there is\n"
        "      --address=ADDRESS the bus to ask who is who\n"
        "      --offline         ask no bus\n"
        "      --type=TYPE       call (default), signal, return, error\n"
        "      --path=PATH       object path of a call or signal (default: /)\n"
        "      --error=NAME      error name of an error\n"
        "      --fds=N           descriptors with it\n"
        "      --broadcast       a signal to all, of which DESTINATION is one\n"
        "      --unwanted        a reply that nobody waits for\n"
        "      --at-console      the users sit at the console\n\n"
        "Exit status: 0 allow, 1 deny, 2 it cannot be said.\n";

enum {
        OPT_OFFLINE = OPT_OWN,
        OPT_TYPE,
        OPT_PATH,
        OPT_ERROR,
        OPT_FDS,
        OPT_BROADCAST,
        OPT_UNWANTED,
        OPT_AT_CONSOLE,
};

static const struct option options[] = {
        { "help", no_argument, NULL, OPT_HELP },
        CONFIGURED_OPTIONS,
        { "address", required_argument, NULL, OPT_ADDRESS },
        { "offline", no_argument, NULL, OPT_OFFLINE },
        { "type", required_argument, NULL, OPT_TYPE },
        { "path", required_argument, NULL, OPT_PATH },
        { "error", required_argument, NULL, OPT_ERROR },
        { "fds", required_argument, NULL, OPT_FDS },
        { "broadcast", no_argument, NULL, OPT_BROADCAST },
        { "unwanted", no_argument, NULL, OPT_UNWANTED },
        { "at-console", no_argument, NULL, OPT_AT_CONSOLE },
        { NULL, 0, NULL, 0 },
};

static int take_type(struct why *w, const char *text)
{
        static const char *const types[] = { NULL, "call", "return", "error", "signal" };

        for (size_t i = 1; i < ARRAY_SIZE(types); i++) {
                if (!strcmp(text, types[i])) {
                        w->query.type = i;
                        return VERB_OK;
                }
        }
        return verb_fail("'%s' is none of call, return, error, signal", text);
}

static int take_fds(struct why *w, const char *text)
{
        uint64_t n;

        if (!verb_size(text, &n) || n > POLICY_MAX_FDS)
                return verb_fail("'%s' is no number of descriptors", text);
        w->query.n_fds = n;
        return VERB_OK;
}

static int take_option(void *verb, int opt)
{
        struct why *w = verb;

        switch (opt) {
        case OPT_ADDRESS:
                w->address = optarg;
                return VERB_OK;
        case OPT_OFFLINE:
                w->offline = true;
                return VERB_OK;
        case OPT_TYPE:
                return take_type(w, optarg);
        case OPT_PATH:
                w->query.path = policy_text(optarg);
                return VERB_OK;
        case OPT_ERROR:
                w->query.error = policy_text(optarg);
                return VERB_OK;
        case OPT_FDS:
                return take_fds(w, optarg);
        case OPT_BROADCAST:
                w->query.broadcast = true;
                w->query.type = 4;
                return VERB_OK;
        case OPT_UNWANTED:
                w->unwanted = true;
                return VERB_OK;
        case OPT_AT_CONSOLE:
                w->at_console = true;
                return VERB_OK;
        default:
                return configured_take(&w->config, opt) ? VERB_OK : VERB_FAILED;
        }
}

/* the bus that can say who is who; without one, names stand for themselves */
static void meet(struct why *w)
{
        int r;

        if (w->offline || (w->config.path && !w->address))
                return;
        r = reach_connect(&w->bus, &(struct reach){ w->address, w->config.session });
        if (r < 0)
                verb_fail("no bus can be asked who is who: %s", strerror(-r));
}

static struct policy_creds creds_of(const struct why *w, const struct party *party)
{
        return (struct policy_creds){
                .uid = party->uid,
                .gids = party->gids,
                .n_gids = party->n_gids,
                .at_console = w->at_console,
        };
}

static void print_party(const char *does, const struct party *party)
{
        printf("%s: %s, uid %u", does, party->text, (unsigned int)party->uid);
        for (size_t i = 0; i < party->n_gids; i++)
                printf("%s%u", i ? "," : ", gids ", (unsigned int)party->gids[i]);
        for (size_t i = 0; i < party->n_names; i++)
                printf("%s%s", i ? "," : ", names ", party->names[i]);
        putchar('\n');
}

static void print_rule(void *arg, const struct policy_rule *rule)
{
        const struct policy_rule *deciding = arg;
        char text[RULE_TEXT_MAX];

        policy_rule_describe(rule, text, sizeof(text));
        printf("%s %s\n", rule == deciding ? "  =>" : "    ", text);
}

static void print_verdict(const struct policy_list *list, enum policy_kind kind,
                          const struct policy_query *query, const struct policy_verdict *v)
{
        policy_explain(list, kind, query, print_rule, (void *)v->rule);
        if (!v->rule)
                print_rule(NULL, NULL);
        printf("  %s\n", v->allow ? "allow" : "deny");
}

/* one side's say: @self is judged, @other is whom the message goes to or comes from */
static int judge(struct why *w, enum policy_kind kind, const struct party *self,
                 const struct party *other)
{
        _cleanup_(policy_list_unrefp) struct policy_list *list = NULL;
        const struct policy_creds creds = creds_of(w, self);
        struct policy_text names[PARTY_NAMES_MAX];
        const struct policy_peer peer = { .names = names, .n_names = other->n_names };
        struct policy_query query = w->query;
        struct policy_verdict verdict;

        for (size_t i = 0; i < other->n_names; i++)
                names[i] = policy_text(other->names[i]);
        query.peer = &peer;
        if (policy_list_new(&list, w->read->policy, &creds))
                return verb_fail("out of memory");
        if (kind == POLICY_SEND)
                policy_can_send(list, &query, &verdict);
        else if (kind == POLICY_RECEIVE)
                policy_can_receive(list, &query, &verdict);
        else
                policy_can_own(list, names[0], &verdict);
        print_party(kind == POLICY_SEND      ? "send"
                    : kind == POLICY_RECEIVE ? "receive"
                                             : "own",
                    self);
        print_verdict(list, kind, &query, &verdict);
        return verdict.allow ? VERB_OK : VERB_FOUND;
}

static int conclude(int r)
{
        if (r != VERB_FAILED)
                puts(r ? "deny" : "allow");
        return r;
}

static int ask_message(struct why *w)
{
        int r, s;

        r = judge(w, POLICY_SEND, &w->sender, &w->receiver);
        if (r == VERB_FAILED || w->receiver.is_bus)
                return conclude(r);
        if (!w->receiver.has_user) {
                printf("receive: nobody has %s now, so whose rules hold is not known\n",
                       w->receiver.text);
                return conclude(r);
        }
        s = judge(w, POLICY_RECEIVE, &w->receiver, &w->sender);
        return conclude(MAX(r, s));
}

static int ask_own(struct why *w, char *name)
{
        const struct party other = { .names = { name }, .n_names = 1 };

        return conclude(judge(w, POLICY_OWN, &w->sender, &other));
}

static int ask_connect(struct why *w)
{
        const struct policy_creds creds = creds_of(w, &w->sender);
        struct policy_verdict v;
        struct party bus_user = { .text = w->read->user };

        if (w->read->user && party_read(&bus_user, w->read->user, NULL))
                return VERB_FAILED;
        policy_can_connect(w->read->policy, &creds, bus_user.uid, &v);
        print_party("connect", &w->sender);
        if (v.rule)
                print_rule((void *)v.rule, v.rule);
        else
                printf("    no rule says so; the user of the bus, %u, may\n",
                       (unsigned int)bus_user.uid);
        return conclude(v.allow ? VERB_OK : VERB_FOUND);
}

static void take_message(struct why *w, const char *text)
{
        const char *dot = text ? strrchr(text, '.') : NULL;

        if (dot)
                w->query.interface = (struct policy_text){ text, dot - text };
        w->query.member = policy_text(dot ? dot + 1 : text);
        if (!w->query.path.ptr && (w->query.type == 1 || w->query.type == 4))
                w->query.path = policy_text("/"); /* none is without */
        w->query.is_reply = w->query.type == 2 || w->query.type == 3;
        w->query.requested_reply = w->query.is_reply && !w->unwanted;
}

static int ask(struct why *w, int n, char **words)
{
        int r;

        r = configured_read(&w->read, &w->config);
        if (r)
                return r;
        if (party_needs_bus(words[0]) ||
            (party_needs_bus(words[1]) && strcmp(words[1], "org.freedesktop.DBus")))
                meet(w);
        r = party_read(&w->sender, words[0], w->bus);
        if (r)
                return r;
        if (w->sender.is_bus || !w->sender.has_user)
                return verb_fail("no rules are known for %s as a sender", words[0]);
        if (n == 2 && !strcmp(words[1], "connect"))
                return ask_connect(w);
        if (n == 3 && !strcmp(words[1], "own"))
                return ask_own(w, words[2]);
        r = party_read(&w->receiver, words[1], w->bus);
        if (r)
                return r;
        take_message(w, n == 3 ? words[2] : NULL);
        return ask_message(w);
}

static const struct verb_options verb = {
        .options = options,
        .letters = "",
        .help = help,
        .max_words = 3,
        .take = take_option,
};

int verb_why(int argc, char **argv)
{
        struct why w = { .query.type = 1 };
        int n, r;

        r = verb_read_options(&verb, &w, argc, argv);
        if (r)
                return MAX(r, 0);
        n = argc - optind;
        if (n < 2)
                return verb_fail("who, to whom, and what? See lambusctl why --help");
        r = ask(&w, n, argv + optind);
        party_deinit(&w.sender);
        party_deinit(&w.receiver);
        busconfig_free(w.read);
        sd_bus_flush_close_unref(w.bus);
        return r;
}
