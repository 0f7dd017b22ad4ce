/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/bus/container-rule.h"
#include "shim/wire/type.h"

struct rule {
        char *text; /* as given */
        char *copy; /* what the others point into */
        enum container_kind kind;
        enum container_level level;
        const char *name, *interface, *member, *path; /* NULL: any */
        size_t name_n;
        bool below, path_below; /* it stands for all below it, too */
};

struct container_rules {
        struct rule *rule;
        size_t n;
};

static const struct {
        const char *word;
        enum container_kind kind;
        enum container_level level;
} words[] = {
        { "see", CONTAINER_NAME, CONTAINER_SEE },
        { "talk", CONTAINER_NAME, CONTAINER_TALK },
        { "own", CONTAINER_NAME, CONTAINER_OWN },
        { "call", CONTAINER_CALL, CONTAINER_SEE },
        { "broadcast", CONTAINER_BROADCAST, CONTAINER_SEE },
};

int container_rules_new(struct container_rules **out)
{
        *out = calloc(1, sizeof(**out));
        return *out ? 0 : error_origin(-ENOMEM);
}

struct container_rules *container_rules_free(struct container_rules *rules)
{
        if (!rules)
                return NULL;
        for (size_t i = 0; i < rules->n; i++) {
                free(rules->rule[i].text);
                free(rules->rule[i].copy);
        }
        free(rules->rule);
        free(rules);
        return NULL;
}

/* --- reading --------------------------------------------------------------------------------- */

/* Cuts @tail off the end of @text, if it is there. */
static bool cut(char *text, const char *tail)
{
        size_t n = strlen(text), tail_n = strlen(tail);

        if (n < tail_n || strcmp(text + n - tail_n, tail) != 0)
                return false;
        text[n - tail_n] = 0;
        return true;
}

static bool parse_name(struct rule *r, char *name)
{
        r->below = cut(name, ".*");
        r->name = name;
        r->name_n = strlen(name);
        return r->below ? valid_bus_namespace(name, r->name_n)
                        : valid_well_known_name(name, r->name_n);
}

static bool parse_path(struct rule *r, char *path)
{
        r->path_below = cut(path, "/*");
        if (r->path_below && !*path)
                return true; /* all paths */
        r->path = path;
        return valid_path(path, strlen(path));
}

static bool parse_method(struct rule *r, char *method)
{
        char *dot;

        if (!*method || strcmp(method, "*") == 0)
                return true;
        r->interface = method;
        if (cut(method, ".*"))
                return valid_interface(method, strlen(method));
        dot = strrchr(method, '.');
        if (!dot)
                return false;
        *dot = 0;
        r->member = dot + 1;
        return valid_interface(method, strlen(method)) && valid_member(r->member, strlen(r->member));
}

static bool parse(struct rule *r)
{
        char *text = r->copy, *name, *what, *path;

        if (strncmp(text, "--", 2) == 0)
                text += 2;
        name = strchr(text, '=');
        if (!name)
                return false;
        *name++ = 0;
        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                if (strcmp(text, words[i].word) != 0)
                        continue;
                r->kind = words[i].kind;
                r->level = words[i].level;
                if (r->kind == CONTAINER_NAME)
                        return parse_name(r, name);
                what = strchr(name, '=');
                if (!what)
                        return false;
                *what++ = 0;
                path = strchr(what, '@');
                if (path)
                        *path++ = 0;
                return parse_name(r, name) && parse_method(r, what) &&
                       (!path || parse_path(r, path));
        }
        return false;
}

int container_rules_add(struct container_rules *rules, const char *text, char *why)
{
        struct rule *more, *r;
        bool no_memory;

        more = reallocarray(rules->rule, rules->n + 1, sizeof(*more));
        if (!more)
                return error_origin(-ENOMEM);
        rules->rule = more;
        r = &more[rules->n];
        *r = (struct rule){ .text = strdup(text), .copy = strdup(text) };
        no_memory = !r->text || !r->copy;
        if (!no_memory && parse(r)) {
                rules->n++;
                return 0;
        }
        snprintf(why, CONTAINER_WHY_MAX, "\"%.200s\" is no rule: see=NAME, talk=NAME, own=NAME, "
                                         "call=NAME=RULE or broadcast=NAME=RULE", text);
        free(r->text);
        free(r->copy);
        return no_memory ? error_origin(-ENOMEM) : CONTAINER_RULE_E_INVALID;
}

size_t container_rules_n(const struct container_rules *rules)
{
        return rules->n;
}

const char *container_rules_at(const struct container_rules *rules, size_t i)
{
        return rules->rule[i].text;
}

/* --- judging --------------------------------------------------------------------------------- */

static bool is_about(const struct rule *r, const char *name, size_t n)
{
        return n >= r->name_n && memcmp(name, r->name, r->name_n) == 0 &&
               (n == r->name_n || (r->below && name[r->name_n] == '.'));
}

enum container_level container_rules_level(const struct container_rules *rules, const char *name,
                                           size_t n)
{
        enum container_level level = CONTAINER_HIDDEN;

        for (size_t i = 0; i < rules->n; i++)
                if (rules->rule[i].level > level && is_about(&rules->rule[i], name, n))
                        level = rules->rule[i].level;
        return level;
}

static bool same(const char *wanted, const char *s)
{
        return !wanted || (s && strcmp(wanted, s) == 0);
}

static bool path_is(const struct rule *r, const char *path)
{
        size_t n;

        if (!r->path)
                return true;
        if (!path)
                return false;
        n = strlen(r->path);
        return strncmp(path, r->path, n) == 0 && (!path[n] || (r->path_below && path[n] == '/'));
}

bool container_rules_match(const struct container_rules *rules, enum container_kind kind,
                           const char *name, size_t n, const char *interface, const char *member,
                           const char *path)
{
        for (size_t i = 0; i < rules->n; i++) {
                const struct rule *r = &rules->rule[i];

                if (r->kind == kind && is_about(r, name, n) && same(r->interface, interface) &&
                    same(r->member, member) && path_is(r, path))
                        return true;
        }
        return false;
}
