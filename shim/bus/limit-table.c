/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus-core/util/error.h"
#include "shim/bus/creds.h"
#include "shim/bus/limit-table.h"

struct text {
        struct text *next;
        char s[];
};

struct limit_table {
        atomic_uint refs;
        struct limit_override *overrides;
        size_t n_overrides;
        bool asks_unit, asks_executable;
        struct text *texts;      /* of origins and patterns, each once */
        struct limit_set common; /* for those whom no override matches */
};

static int intern(struct limit_table *table, const char **to, const char *s)
{
        struct text *text;
        size_t n;

        *to = NULL;
        if (!s)
                return 0;
        for (text = table->texts; text; text = text->next)
                if (strcmp(text->s, s) == 0)
                        break;
        if (!text) {
                n = strlen(s) + 1;
                text = malloc(sizeof(*text) + n);
                if (!text)
                        return error_origin(-ENOMEM);
                memcpy(text->s, s, n);
                text->next = table->texts;
                table->texts = text;
        }
        *to = text->s;
        return 0;
}

int limit_table_new(struct limit_table **tablep, const struct limits *limits,
                    const struct limit_origin origin[LIMITS_N])
{
        _cleanup_(limit_table_unrefp) struct limit_table *table = NULL;
        int r;

        table = calloc(1, sizeof(*table));
        if (!table)
                return error_origin(-ENOMEM);
        atomic_init(&table->refs, 1);
        table->common.table = table;
        table->common.limits = *limits;
        for (size_t i = 0; i < LIMITS_N; i++) {
                r = intern(table, &table->common.origin[i].file, origin[i].file);
                if (r)
                        return error_fold(r);
                table->common.origin[i].line = origin[i].line;
        }
        *tablep = steal(&table);
        return 0;
}

struct limit_table *limit_table_ref(struct limit_table *table)
{
        if (table)
                atomic_fetch_add(&table->refs, 1);
        return table;
}

struct limit_table *limit_table_unref(struct limit_table *table)
{
        struct text *text;

        if (!table || atomic_fetch_sub(&table->refs, 1) != 1)
                return NULL;
        while ((text = table->texts)) {
                table->texts = text->next;
                free(text);
        }
        free(table->overrides);
        free(table);
        return NULL;
}

const struct limit_set *limit_table_common(const struct limit_table *table)
{
        return &table->common;
}

int limit_table_append(struct limit_table *table, const struct limit_override *override)
{
        struct limit_override *grown, copy = *override;
        int r;

        r = intern(table, &copy.unit, override->unit);
        if (!r)
                r = intern(table, &copy.executable, override->executable);
        if (!r)
                r = intern(table, &copy.origin.file, override->origin.file);
        if (r)
                return error_fold(r);
        grown = reallocarray(table->overrides, table->n_overrides + 1, sizeof(*grown));
        if (!grown)
                return error_origin(-ENOMEM);
        table->overrides = grown;
        grown[table->n_overrides++] = copy;
        table->asks_unit |= copy.unit != NULL;
        table->asks_executable |= copy.executable != NULL;
        return 0;
}

size_t limit_table_n(const struct limit_table *table)
{
        return table->n_overrides;
}

const struct limit_override *limit_table_at(const struct limit_table *table, size_t i)
{
        return i < table->n_overrides ? &table->overrides[i] : NULL;
}

/* one part of a path, from behind a slash; systemd puts '_' before names that the kernel uses */
static bool part_matches(const char *pattern, const char *part, size_t n)
{
        char name[NAME_MAX + 1];

        if (n && *part == '_') {
                part++;
                n--;
        }
        if (!n || n > NAME_MAX)
                return false;
        memcpy(name, part, n);
        name[n] = '\0';
        return fnmatch(pattern, name, 0) == 0;
}

static bool unit_matches(const char *pattern, const char *cgroup)
{
        const char *end;

        for (; cgroup && *cgroup; cgroup = *end ? end + 1 : end) {
                end = strchrnul(cgroup, '/');
                if (part_matches(pattern, cgroup, end - cgroup))
                        return true;
        }
        return false;
}

bool limit_override_matches(const struct limit_override *o, const struct limit_subject *subject)
{
        if (o->has_user && (!subject->has_uid || subject->uid != o->user))
                return false;
        if (o->unit && !unit_matches(o->unit, subject->cgroup))
                return false;
        return !o->executable || (subject->executable &&
                                  fnmatch(o->executable, subject->executable, FNM_PATHNAME) == 0);
}

int limits_of(struct limit_set **setp, struct limit_table *table,
              const struct limit_subject *subject)
{
        struct limit_set *set = NULL;

        for (size_t i = 0; i < table->n_overrides; i++) {
                const struct limit_override *o = &table->overrides[i];

                if (!limit_override_matches(o, subject))
                        continue;
                if (!set) {
                        set = malloc(sizeof(*set));
                        if (!set)
                                return error_origin(-ENOMEM);
                        memcpy(&set->limits, &table->common.limits, sizeof(set->limits));
                        memcpy(set->origin, table->common.origin, sizeof(set->origin));
                        atomic_init(&set->refs, 1);
                        set->table = limit_table_ref(table);
                }
                *limit_at(&set->limits, o->limit) = o->value;
                set->origin[o->limit] = o->origin;
        }
        *setp = set ? set : limit_set_ref(&table->common);
        return 0;
}

static const char *read_executable(pid_t pid, char *buf, size_t size)
{
        char path[64];
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
        n = readlink(path, buf, size - 1);
        if (n < 0)
                return NULL;
        buf[n] = '\0';
        return buf;
}

int limits_for(struct limit_set **setp, struct limit_table *table, const struct creds *creds)
{
        struct limit_subject subject = { .has_uid = creds->has_uid, .uid = creds->uid };
        char executable[PATH_MAX], cgroup[2 * PATH_MAX];

        if (table->asks_unit && creds->pid > 0)
                subject.cgroup = creds_cgroup(creds, cgroup, sizeof(cgroup));
        if (table->asks_executable && creds->pid > 0)
                subject.executable = read_executable(creds->pid, executable, sizeof(executable));
        return error_fold(limits_of(setp, table, &subject));
}

struct limit_set *limit_set_ref(struct limit_set *set)
{
        if (set && set == &set->table->common)
                limit_table_ref(set->table);
        else if (set)
                atomic_fetch_add(&set->refs, 1);
        return set;
}

struct limit_set *limit_set_unref(struct limit_set *set)
{
        if (!set)
                return NULL;
        if (set == &set->table->common) {
                limit_table_unref(set->table);
        } else if (atomic_fetch_sub(&set->refs, 1) == 1) {
                limit_table_unref(set->table);
                free(set);
        }
        return NULL;
}
