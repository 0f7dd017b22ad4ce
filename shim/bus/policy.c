/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/bus/policy-private.h"

static void rules_free(struct policy *policy)
{
        struct policy_file *file;
        size_t i;

        for (i = 0; i < policy->n_rules; ++i)
                free(policy->rules[i]);
        free(policy->rules);
        free(policy->sorted);
        while ((file = policy->files)) {
                policy->files = file->next;
                free(file);
        }
        pthread_mutex_destroy(&policy->cache.lock);
        free(policy);
}

/* policy_unpin() - one reader of the rules less */
void policy_unpin(struct policy *policy)
{
        if (atomic_fetch_sub(&policy->pins, 1) == 1)
                rules_free(policy);
}

static int file_intern(struct policy *policy, const char **namep, const char *name)
{
        struct policy_file *file;
        size_t n = strlen(name) + 1;

        for (file = policy->files; file; file = file->next)
                if (strcmp(file->name, name) == 0)
                        break;
        if (!file) {
                file = malloc(sizeof(*file) + n);
                if (!file)
                        return error_origin(-ENOMEM);
                memcpy(file->name, name, n);
                file->next = policy->files;
                policy->files = file;
        }
        *namep = file->name;
        return 0;
}

static void text_copy(struct policy_text *to, const struct policy_text *from, char **room)
{
        if (!from->ptr)
                return;
        memcpy(*room, from->ptr, from->n);
        (*room)[from->n] = '\0';
        to->ptr = *room;
        *room += from->n + 1;
}

/* one allocation: the rule, and its texts behind it */
static struct policy_rule *rule_copy(const struct policy_rule *rule)
{
        size_t n = rule->interface.n + rule->member.n + rule->path.n + rule->error.n +
                   rule->name.n + 5;
        struct policy_rule *copy;
        char *room;

        copy = malloc(sizeof(*copy) + n);
        if (!copy)
                return NULL;
        *copy = *rule;
        room = (char *)(copy + 1);
        text_copy(&copy->interface, &rule->interface, &room);
        text_copy(&copy->member, &rule->member, &room);
        text_copy(&copy->path, &rule->path, &room);
        text_copy(&copy->error, &rule->error, &room);
        text_copy(&copy->name, &rule->name, &room);
        return copy;
}

static int rules_reserve(struct policy *policy, size_t n)
{
        struct policy_rule **rules;
        size_t want = MAX(policy->n_rules + n, policy->n_allocated * 2);

        if (policy->n_rules + n <= policy->n_allocated)
                return 0;
        rules = reallocarray(policy->rules, want, sizeof(*rules));
        if (!rules)
                return error_origin(-ENOMEM);
        policy->rules = rules;
        policy->n_allocated = want;
        return 0;
}

int policy_new(struct policy **policyp)
{
        struct policy *policy;

        policy = calloc(1, sizeof(*policy));
        if (!policy)
                return error_origin(-ENOMEM);
        atomic_init(&policy->refs, 1);
        atomic_init(&policy->pins, 1);
        pthread_mutex_init(&policy->cache.lock, NULL);
        CDS_INIT_LIST_HEAD(&policy->cache.lists);
        *policyp = policy;
        return 0;
}

struct policy *policy_ref(struct policy *policy)
{
        if (policy)
                atomic_fetch_add(&policy->refs, 1);
        return policy;
}

/**
 * policy_append() - add a rule behind all others
 * @rule:       copied, its texts and file too; its place is given here
 */
int policy_append(struct policy *policy, const struct policy_rule *rule)
{
        struct policy_rule *copy;
        int r;

        assert(!policy->sorted);
        r = rules_reserve(policy, 1);
        if (r)
                return error_fold(r);
        copy = rule_copy(rule);
        if (!copy)
                return error_origin(-ENOMEM);
        r = file_intern(policy, &copy->file, rule->file ? rule->file : "(built in)");
        if (r) {
                free(copy);
                return error_fold(r);
        }
        if (rule->context == POLICY_DEFAULT || rule->context == POLICY_MANDATORY)
                copy->context_id = 0;
        copy->place = policy->n_rules;
        policy->rules[policy->n_rules++] = copy;
        return 0;
}

/**
 * policy_merge() - move all rules of a policy behind those of another
 * @from:       not sealed; empty afterwards
 */
int policy_merge(struct policy *into, struct policy *from)
{
        struct policy_file *file;
        size_t i;
        int r;

        assert(!into->sorted && !from->sorted);
        r = rules_reserve(into, from->n_rules);
        if (r)
                return error_fold(r);
        for (i = 0; i < from->n_rules; ++i) {
                from->rules[i]->place = into->n_rules;
                into->rules[into->n_rules++] = from->rules[i];
        }
        from->n_rules = 0;
        while ((file = from->files)) {
                from->files = file->next;
                file->next = into->files;
                into->files = file;
        }
        return 0;
}

static int rule_compare(const void *a, const void *b)
{
        const struct policy_rule *x = *(struct policy_rule *const *)a;
        const struct policy_rule *y = *(struct policy_rule *const *)b;

        if (x->context != y->context)
                return x->context < y->context ? -1 : 1;
        if (x->context_id != y->context_id)
                return x->context_id < y->context_id ? -1 : 1;
        return x->place < y->place ? -1 : x->place > y->place;
}

/**
 * policy_seal() - no rule will be added any more; lists can be made
 */
int policy_seal(struct policy *policy)
{
        assert(!policy->sorted);
        policy->sorted = reallocarray(NULL, policy->n_rules + 1, sizeof(*policy->sorted));
        if (!policy->sorted)
                return error_origin(-ENOMEM);
        if (policy->n_rules) {
                memcpy(policy->sorted, policy->rules, policy->n_rules * sizeof(*policy->sorted));
                qsort(policy->sorted, policy->n_rules, sizeof(*policy->sorted), rule_compare);
        }
        policy->asks_console = policy_run(policy, POLICY_AT_CONSOLE, 0).n > 0 ||
                               policy_run(policy, POLICY_AT_CONSOLE, 1).n > 0;
        return 0;
}

size_t policy_n_rules(const struct policy *policy)
{
        return policy->n_rules;
}

/* policy_rule_at() - the rule with the number @i in reading order */
const struct policy_rule *policy_rule_at(const struct policy *policy, size_t i)
{
        return i < policy->n_rules ? policy->rules[i] : NULL;
}

/**
 * policy_merged_at() - the rule with the number @i in the order in which they override each other
 *
 * The policy must be sealed. Users, groups and both states of the console stand side by side, the
 * lower number first.
 */
const struct policy_rule *policy_merged_at(const struct policy *policy, size_t i)
{
        return i < policy->n_rules ? policy->sorted[i] : NULL;
}

/* the first rule in sorted order that is not before (context, id) */
static size_t run_start(const struct policy *policy, enum policy_context context, uint64_t id)
{
        size_t low = 0, high = policy->n_rules;

        while (low < high) {
                size_t mid = low + (high - low) / 2;
                const struct policy_rule *rule = policy->sorted[mid];

                if (rule->context < context ||
                    (rule->context == context && rule->context_id < id))
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

struct policy_run policy_run(const struct policy *policy, enum policy_context context, uint32_t id)
{
        size_t start = run_start(policy, context, id);
        size_t end = run_start(policy, context, (uint64_t)id + 1);

        return (struct policy_run){ policy->sorted + start, end - start };
}

/**
 * policy_asks_console() - does any verdict depend on whether a user is at the console?
 */
bool policy_asks_console(const struct policy *policy)
{
        return policy->asks_console;
}

static bool connect_matches(const struct policy_rule *rule, const struct policy_creds *creds)
{
        size_t i;

        if (rule->kind == POLICY_CONNECT_USER)
                return rule->id == POLICY_ANY_ID || rule->id == creds->uid;
        if (rule->kind != POLICY_CONNECT_GROUP)
                return false;
        if (rule->id == POLICY_ANY_ID)
                return true;
        for (i = 0; i < creds->n_gids; ++i)
                if (creds->gids[i] == rule->id)
                        return true;
        return false;
}

/**
 * policy_can_connect() - may a user say Hello?
 * @bus_uid:    who the bus runs as: the one user who may connect if no rule matches
 *
 * Only rules of the default and mandatory contexts are asked: the others are about connections
 * that exist. Root is an ordinary user here.
 */
bool policy_can_connect(const struct policy *policy, const struct policy_creds *creds,
                        uid_t bus_uid, struct policy_verdict *verdict)
{
        static const enum policy_context contexts[] = { POLICY_DEFAULT, POLICY_MANDATORY };
        const struct policy_rule *last = NULL;
        size_t c, i;

        for (c = 0; c < ARRAY_SIZE(contexts); ++c) {
                struct policy_run run = policy_run(policy, contexts[c], 0);

                for (i = 0; i < run.n; ++i)
                        if (connect_matches(run.rules[i], creds))
                                last = run.rules[i];
        }
        *verdict = (struct policy_verdict){
                .rule = last,
                .allow = last ? last->allow : creds->uid == bus_uid,
        };
        return verdict->allow;
}

static void print_attribute(FILE *out, const char *name, struct policy_text text)
{
        size_t i;

        if (!text.ptr)
                return;
        fprintf(out, " %s=\"", name);
        for (i = 0; i < text.n; ++i) {
                switch (text.ptr[i]) {
                case '"':
                        fputs("&quot;", out);
                        break;
                case '&':
                        fputs("&amp;", out);
                        break;
                case '<':
                        fputs("&lt;", out);
                        break;
                default:
                        putc(text.ptr[i], out);
                }
        }
        putc('"', out);
}

static void print_id(FILE *out, const char *name, uint32_t id)
{
        if (id == POLICY_ANY_ID)
                fprintf(out, " %s=\"*\"", name);
        else
                fprintf(out, " %s=\"%" PRIu32 "\"", name, id);
}

static void print_message(FILE *out, const struct policy_rule *rule)
{
        static const char *const types[] = { "*", "method_call", "method_return", "error",
                                             "signal" };
        bool send = rule->kind == POLICY_SEND;

        print_attribute(out,
                        !send          ? "receive_sender"
                        : rule->prefix ? "send_destination_prefix"
                                       : "send_destination",
                        rule->name);
        print_attribute(out, send ? "send_interface" : "receive_interface", rule->interface);
        print_attribute(out, send ? "send_member" : "receive_member", rule->member);
        print_attribute(out, send ? "send_path" : "receive_path", rule->path);
        print_attribute(out, send ? "send_error" : "receive_error", rule->error);
        /* a rule that asks for nothing still has to say which kind it is */
        if (rule->type || (!rule->name.ptr && !rule->interface.ptr && !rule->path.ptr &&
                           !rule->error.ptr))
                fprintf(out, " %s_type=\"%s\"", send ? "send" : "receive", types[rule->type]);
        if (rule->broadcast)
                fprintf(out, " send_broadcast=\"%s\"",
                        rule->broadcast == POLICY_BROADCAST_ONLY ? "true" : "false");
        if (rule->requested_reply != rule->allow)
                fprintf(out, " %s_requested_reply=\"%s\"", send ? "send" : "receive",
                        rule->requested_reply ? "true" : "false");
        if (rule->eavesdrop)
                fputs(" eavesdrop=\"true\"", out);
        if (rule->min_fds)
                fprintf(out, " min_fds=\"%" PRIu32 "\"", rule->min_fds);
        if (rule->max_fds < POLICY_MAX_FDS)
                fprintf(out, " max_fds=\"%" PRIu32 "\"", rule->max_fds);
        if (rule->log)
                fputs(" log=\"true\"", out);
}

/**
 * policy_rule_print() - write a rule as it stands in a file, on one line, without its origin
 */
int policy_rule_print(const struct policy_rule *rule, FILE *out)
{
        fprintf(out, "<%s", rule->allow ? "allow" : "deny");
        switch (rule->kind) {
        case POLICY_SEND:
        case POLICY_RECEIVE:
                print_message(out, rule);
                break;
        case POLICY_OWN:
                print_attribute(out, rule->prefix ? "own_prefix" : "own",
                                rule->name.ptr ? rule->name : policy_text("*"));
                break;
        case POLICY_CONNECT_USER:
                print_id(out, "user", rule->id);
                break;
        case POLICY_CONNECT_GROUP:
                print_id(out, "group", rule->id);
                break;
        }
        fputs("/>", out);
        return ferror(out) ? error_origin(-EIO) : 0;
}

/**
 * policy_rule_print_context() - write which policy the rule belongs to: `user="0"`
 */
int policy_rule_print_context(const struct policy_rule *rule, FILE *out)
{
        switch (rule->context) {
        case POLICY_DEFAULT:
                fputs("context=\"default\"", out);
                break;
        case POLICY_MANDATORY:
                fputs("context=\"mandatory\"", out);
                break;
        case POLICY_GROUP:
                fprintf(out, "group=\"%" PRIu32 "\"", rule->context_id);
                break;
        case POLICY_USER:
                fprintf(out, "user=\"%" PRIu32 "\"", rule->context_id);
                break;
        case POLICY_AT_CONSOLE:
                fprintf(out, "at_console=\"%s\"", rule->context_id ? "true" : "false");
                break;
        }
        return ferror(out) ? error_origin(-EIO) : 0;
}

/**
 * policy_rule_describe() - the whole truth on a rule, for a log line or an error message
 * @rule:       NULL: none matched
 *
 * Text such as `<deny own="*"/> in <policy context="default"> (/etc/x.conf:12)`, cut to fit and
 * always terminated.
 */
int policy_rule_describe(const struct policy_rule *rule, char *buf, size_t n)
{
        _cleanup_(freep) char *text = NULL;
        size_t size;
        FILE *out;
        int r;

        if (!rule) {
                snprintf(buf, n, "no rule allows it");
                return 0;
        }
        out = open_memstream(&text, &size);
        if (!out)
                return error_origin(-errno);
        r = policy_rule_print(rule, out);
        fputs(" in <policy ", out);
        policy_rule_print_context(rule, out);
        fprintf(out, "> (%s:%u)", rule->file, rule->line);
        if (fclose(out) < 0)
                return error_origin(-errno);
        snprintf(buf, n, "%s", text);
        return error_fold(r);
}
