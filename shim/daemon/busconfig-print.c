/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "bus-core/util/error.h"
#include "shim/daemon/busconfig-private.h"

static void print_text(FILE *out, const char *what, const char *text)
{
        if (text)
                fprintf(out, "%s %s\n", what, text);
}

static void print_flag(FILE *out, const char *what, bool flag)
{
        if (flag)
                fprintf(out, "%s\n", what);
}

static void print_texts(FILE *out, const char *what, char *const *texts, size_t n)
{
        size_t i;

        for (i = 0; i < n; ++i)
                print_text(out, what, texts[i]);
}

static void print_notes(FILE *out, const char *what, const struct busconfig_note *notes, size_t n)
{
        size_t i;

        for (i = 0; i < n; ++i) {
                fprintf(out, "%s %s", what, notes[i].file);
                if (notes[i].line)
                        fprintf(out, ":%u", notes[i].line);
                fprintf(out, ": %s\n", notes[i].text);
        }
}

static void print_process(FILE *out, const struct busconfig *config)
{
        static const char *const apparmor[] = {
                [BUSCONFIG_APPARMOR_ENABLED] = "enabled",
                [BUSCONFIG_APPARMOR_DISABLED] = "disabled",
                [BUSCONFIG_APPARMOR_REQUIRED] = "required",
        };
        size_t i;

        print_text(out, "type", config->type);
        print_text(out, "user", config->user);
        print_text(out, "pidfile", config->pidfile);
        print_flag(out, "fork", config->fork);
        print_flag(out, "keep_umask", config->keep_umask);
        print_flag(out, "syslog", config->syslog);
        print_texts(out, "listen", config->listen, config->n_listen);
        print_texts(out, "auth", config->auth, config->n_auth);
        print_flag(out, "allow_anonymous", config->allow_anonymous);
        print_text(out, "servicehelper", config->servicehelper);
        for (i = 0; i < config->n_servicedirs; ++i)
                print_text(out, "servicedir", config->servicedirs[i].path);
        print_text(out, "apparmor", apparmor[config->apparmor]);
        for (i = 0; i < config->n_associations; ++i)
                fprintf(out, "associate %s %s\n", config->associations[i].own,
                        config->associations[i].context);
}

static void print_limits(FILE *out, const struct busconfig *config)
{
        struct limits limits = config->limits;
        uint64_t value;
        size_t i;

        for (i = 0; i < LIMITS_N; ++i) {
                value = *limit_at(&limits, i);
                if (value == LIMIT_NEVER)
                        fprintf(out, "limit %s never", limit_describe(i)->name);
                else
                        fprintf(out, "limit %s %" PRIu64 " %s", limit_describe(i)->name, value,
                                limit_describe(i)->unit);
                if (config->limit_origin[i].file)
                        fprintf(out, " (%s:%u)\n", config->limit_origin[i].file,
                                config->limit_origin[i].line);
                else
                        fputs(" (built in)\n", out);
        }
}

/* busconfig_describe_override() - all but where it stands; cut to fit */
void busconfig_describe_override(const struct limit_override *o, char *buf, size_t size)
{
        char user[32] = "";

        if (o->has_user)
                snprintf(user, sizeof(user), " user %u", (unsigned int)o->user);
        snprintf(buf, size, "%s %" PRIu64 " %s for%s%s%s%s%s", limit_describe(o->limit)->name,
                 o->value, limit_describe(o->limit)->unit, user, o->unit ? " unit " : "",
                 o->unit ? o->unit : "", o->executable ? " executable " : "",
                 o->executable ? o->executable : "");
}

static void print_overrides(FILE *out, const struct busconfig *config)
{
        const struct limit_override *o;
        char text[BUSCONFIG_TEXT_MAX];

        for (o = config->overrides; o < config->overrides + config->n_overrides; ++o) {
                busconfig_describe_override(o, text, sizeof(text));
                fprintf(out, "limit %s (%s:%u)\n", text, o->origin.file, o->origin.line);
        }
}

static bool same_policy(const struct policy_rule *a, const struct policy_rule *b)
{
        return a && b && a->context == b->context && a->context_id == b->context_id;
}

static int print_policy(FILE *out, const struct policy *policy)
{
        const struct policy_rule *rule, *previous = NULL;
        size_t i;
        int r = 0;

        for (i = 0; !r && (rule = policy_merged_at(policy, i)); ++i, previous = rule) {
                if (!same_policy(previous, rule)) {
                        fputs("<policy ", out);
                        policy_rule_print_context(rule, out);
                        fputs(">\n", out);
                }
                fputs("  ", out);
                r = policy_rule_print(rule, out);
                fprintf(out, " (%s:%u)\n", rule->file, rule->line);
        }
        return error_fold(r);
}

/**
 * busconfig_print() - write the whole configuration, with the file and line of rules and limits
 *
 * Rules stand in the order in which they override each other: a later one wins.
 */
int busconfig_print(const struct busconfig *config, FILE *out)
{
        int r;

        print_process(out, config);
        print_limits(out, config);
        print_overrides(out, config);
        r = print_policy(out, config->policy);
        if (r)
                return error_fold(r);
        print_texts(out, "file", config->files, config->n_files);
        print_texts(out, "dir", config->dirs, config->n_dirs);
        print_notes(out, "skipped", config->skipped, config->n_skipped);
        print_notes(out, "warning", config->warnings, config->n_warnings);
        return ferror(out) ? error_origin(-EIO) : 0;
}
