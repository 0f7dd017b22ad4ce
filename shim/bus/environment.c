/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/bus/environment.h"

void environment_deinit(struct environment *env)
{
        for (size_t i = 0; i < env->n; i++)
                free(env->entry[i]);
        free(env->entry);
        *env = ENVIRONMENT_NULL;
}

/* The place of a variable by the first @n bytes of @name; env->n if it is not there. */
static size_t find(const struct environment *env, const char *name, size_t n)
{
        size_t i;

        for (i = 0; i < env->n; i++)
                if (strncmp(env->entry[i], name, n) == 0 && env->entry[i][n] == '=')
                        break;
        return i;
}

static int make_room(struct environment *env)
{
        size_t want = env->allocated * 2 + 32;
        char **grown;

        if (env->n + 1 < env->allocated)
                return 0;
        grown = reallocarray(env->entry, want, sizeof(*grown));
        if (!grown)
                return error_origin(-ENOMEM);
        env->entry = grown;
        env->allocated = want;
        return 0;
}

/* @entry is consumed; its name has @n bytes */
static int take(struct environment *env, char *entry, size_t n)
{
        size_t i = find(env, entry, n);
        int r;

        if (i < env->n) {
                free(env->entry[i]);
                env->entry[i] = entry;
                return 0;
        }
        r = make_room(env);
        if (r) {
                free(entry);
                return error_fold(r);
        }
        env->entry[env->n++] = entry;
        env->entry[env->n] = NULL;
        return 0;
}

int environment_set(struct environment *env, const char *name, const char *value)
{
        char *entry;

        if (asprintf(&entry, "%s=%s", name, value) < 0)
                return error_origin(-ENOMEM);
        return error_fold(take(env, entry, strlen(name)));
}

void environment_unset(struct environment *env, const char *name)
{
        size_t i = find(env, name, strlen(name));

        if (i == env->n)
                return;
        free(env->entry[i]);
        env->n--;
        memmove(env->entry + i, env->entry + i + 1, (env->n - i + 1) * sizeof(*env->entry));
}

int environment_merge(struct environment *env, char *const *from)
{
        char *entry;
        int r;

        for (; from && *from; from++) {
                entry = strdup(*from);
                if (!entry)
                        return error_origin(-ENOMEM);
                r = take(env, entry, strcspn(entry, "="));
                if (r)
                        return error_fold(r);
        }
        return 0;
}

int environment_inherit(struct environment *env)
{
        static const char *const ours[] = {
                "LISTEN_FDS",    "LISTEN_PID",    "LISTEN_FDNAMES", "LISTEN_PIDFDID",
                "NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM",
                "SYSTEMD_NSS_BYPASS_BUS", "SYSTEMD_NSS_DYNAMIC_BYPASS",
        };
        int r;

        r = environment_merge(env, environ);
        if (r)
                return error_fold(r);
        for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
                environment_unset(env, ours[i]);
        return 0;
}
