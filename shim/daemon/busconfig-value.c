/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/daemon/busconfig-private.h"

static void strings_free(char **v, size_t n)
{
        size_t i;

        for (i = 0; i < n; ++i)
                free(v[i]);
        free(v);
}

int strings_append(char ***v, size_t *n, const char *s)
{
        char **grown;

        grown = reallocarray(*v, *n + 2, sizeof(*grown));
        if (!grown)
                return error_origin(-ENOMEM);
        *v = grown;
        grown[*n] = strdup(s);
        if (!grown[*n])
                return error_origin(-ENOMEM);
        grown[++*n] = NULL;
        return 0;
}

bool strings_have(char *const *v, size_t n, const char *s)
{
        size_t i;

        for (i = 0; i < n; ++i)
                if (strcmp(v[i], s) == 0)
                        return true;
        return false;
}

/* room for the elements of @from behind those of @into; 0 elements are room enough */
static int array_join(void **into, size_t *n, const void *from, size_t n_from, size_t size)
{
        char *grown;

        if (!n_from)
                return 0;
        grown = reallocarray(*into, *n + n_from + 1, size);
        if (!grown)
                return error_origin(-ENOMEM);
        memcpy(grown + *n * size, from, n_from * size);
        *into = grown;
        *n += n_from;
        memset(grown + *n * size, 0, size);
        return 0;
}

/* move all elements of one array behind another */
#define ARRAY_MOVE(into, from, field)                                                              \
        ({                                                                                         \
                int _r = array_join((void **)&(into)->field, &(into)->n_##field, (from)->field,    \
                                    (from)->n_##field, sizeof(*(into)->field));                    \
                if (!_r)                                                                           \
                        (from)->n_##field = 0;                                                     \
                _r;                                                                                \
        })

static void notes_free(struct busconfig_note *v, size_t n)
{
        size_t i;

        for (i = 0; i < n; ++i)
                busconfig_note_deinit(&v[i]);
        free(v);
}

void busconfig_note_deinit(struct busconfig_note *note)
{
        free(note->file);
        free(note->text);
        *note = (struct busconfig_note)BUSCONFIG_NOTE_NULL;
}

/* busconfig_note_set() - fill in a note, whatever it said before; unchanged on failure */
int busconfig_note_set(struct busconfig_note *note, const char *file, unsigned int line,
                       const char *text)
{
        _cleanup_(busconfig_note_deinit) struct busconfig_note new = BUSCONFIG_NOTE_NULL;
        struct busconfig_note old = *note;

        new.file = strdup(file);
        new.text = strdup(text);
        new.line = line;
        if (!new.file || !new.text)
                return error_origin(-ENOMEM);
        *note = new;
        new = old;
        return 0;
}

int busconfig_note_add(struct busconfig_note **v, size_t *n, const char *file, unsigned int line,
                       const char *text)
{
        struct busconfig_note *grown;
        int r;

        grown = reallocarray(*v, *n + 1, sizeof(*grown));
        if (!grown)
                return error_origin(-ENOMEM);
        *v = grown;
        grown[*n] = (struct busconfig_note)BUSCONFIG_NOTE_NULL;
        r = busconfig_note_set(&grown[*n], file, line, text);
        if (r)
                return error_fold(r);
        ++*n;
        return 0;
}

int busconfig_add_servicedir(struct busconfig *config, const char *path, unsigned int flags)
{
        struct busconfig_servicedir *grown;
        size_t i;

        for (i = 0; i < config->n_servicedirs; ++i)
                if (strcmp(config->servicedirs[i].path, path) == 0)
                        return 0;
        grown = reallocarray(config->servicedirs, config->n_servicedirs + 1, sizeof(*grown));
        if (!grown)
                return error_origin(-ENOMEM);
        config->servicedirs = grown;
        grown[i].path = strdup(path);
        grown[i].flags = flags;
        if (!grown[i].path)
                return error_origin(-ENOMEM);
        ++config->n_servicedirs;
        return 0;
}

int busconfig_add_association(struct busconfig *config, const char *own, const char *context)
{
        struct busconfig_association *grown, new;

        grown = reallocarray(config->associations, config->n_associations + 1, sizeof(*grown));
        if (!grown)
                return error_origin(-ENOMEM);
        config->associations = grown;
        new.own = strdup(own);
        new.context = strdup(context);
        if (!new.own || !new.context) {
                free(new.own);
                free(new.context);
                return error_origin(-ENOMEM);
        }
        grown[config->n_associations++] = new;
        return 0;
}

/* busconfig_add_text() - keep a file as it was read */
int busconfig_add_text(struct busconfig *config, const char *path, const char *data, size_t n)
{
        struct busconfig_text *grown;

        grown = reallocarray(config->texts, config->n_texts + 1, sizeof(*grown));
        if (!grown)
                return error_origin(-ENOMEM);
        config->texts = grown;
        grown += config->n_texts;
        *grown = (struct busconfig_text){ strdup(path), malloc(n + 1), n };
        if (!grown->path || !grown->data) {
                free(grown->path);
                free(grown->data);
                return error_origin(-ENOMEM);
        }
        memcpy(grown->data, data, n);
        ++config->n_texts;
        return 0;
}

/* busconfig_add_override() - its texts are copied, but for that of its origin */
int busconfig_add_override(struct busconfig *config, const struct limit_override *override)
{
        struct limit_override *grown, new = *override;

        grown = reallocarray(config->overrides, config->n_overrides + 1, sizeof(*grown));
        if (!grown)
                return error_origin(-ENOMEM);
        config->overrides = grown;
        new.unit = override->unit ? strdup(override->unit) : NULL;
        new.executable = override->executable ? strdup(override->executable) : NULL;
        if ((override->unit && !new.unit) || (override->executable && !new.executable)) {
                free((char *)new.unit);
                free((char *)new.executable);
                return error_origin(-ENOMEM);
        }
        grown[config->n_overrides++] = new;
        return 0;
}

/* busconfig_new() - what holds when a file says nothing */
int busconfig_new(struct busconfig **configp)
{
        _cleanup_(busconfig_freep) struct busconfig *config = NULL;
        int r;

        config = calloc(1, sizeof(*config));
        if (!config)
                return error_origin(-ENOMEM);
        limits_init(&config->limits);
        r = policy_new(&config->policy);
        if (r)
                return error_fold(r);
        *configp = steal(&config);
        return 0;
}

struct busconfig *busconfig_free(struct busconfig *config)
{
        size_t i;

        if (!config)
                return NULL;
        free(config->type);
        free(config->user);
        free(config->pidfile);
        free(config->servicehelper);
        strings_free(config->listen, config->n_listen);
        strings_free(config->auth, config->n_auth);
        for (i = 0; i < config->n_servicedirs; ++i)
                free(config->servicedirs[i].path);
        free(config->servicedirs);
        for (i = 0; i < config->n_associations; ++i) {
                free(config->associations[i].own);
                free(config->associations[i].context);
        }
        free(config->associations);
        for (i = 0; i < config->n_texts; ++i) {
                free(config->texts[i].path);
                free(config->texts[i].data);
        }
        free(config->texts);
        for (i = 0; i < config->n_overrides; ++i) {
                free((char *)config->overrides[i].unit);
                free((char *)config->overrides[i].executable);
        }
        free(config->overrides);
        policy_unref(config->policy);
        strings_free(config->files, config->n_files);
        strings_free(config->dirs, config->n_dirs);
        notes_free(config->skipped, config->n_skipped);
        notes_free(config->warnings, config->n_warnings);
        free(config);
        return NULL;
}

static void string_move(char **into, char **from)
{
        if (*from) {
                free(*into);
                *into = steal(from);
        }
}

static void scalars_move(struct busconfig *into, struct busconfig *from)
{
        size_t i;

        string_move(&into->type, &from->type);
        string_move(&into->user, &from->user);
        string_move(&into->pidfile, &from->pidfile);
        string_move(&into->servicehelper, &from->servicehelper);
        into->fork |= from->fork;
        into->keep_umask |= from->keep_umask;
        into->syslog |= from->syslog;
        into->allow_anonymous |= from->allow_anonymous;
        if (from->apparmor != BUSCONFIG_APPARMOR_DEFAULT)
                into->apparmor = from->apparmor;
        for (i = 0; i < LIMITS_N; ++i) {
                if (from->limit_origin[i].file) {
                        *limit_at(&into->limits, i) = *limit_at(&from->limits, i);
                        into->limit_origin[i] = from->limit_origin[i];
                }
        }
}

static int servicedirs_move(struct busconfig *into, const struct busconfig *from)
{
        size_t i;
        int r = 0;

        for (i = 0; !r && i < from->n_servicedirs; ++i)
                r = busconfig_add_servicedir(into, from->servicedirs[i].path,
                                             from->servicedirs[i].flags);
        return error_fold(r);
}

/**
 * busconfig_keep_traces() - keep of a file that failed what must be watched and reported
 *
 * Its effect is left behind in @from, and so are its warnings.
 */
int busconfig_keep_traces(struct busconfig *into, struct busconfig *from)
{
        int r;

        r = ARRAY_MOVE(into, from, files);
        if (!r)
                r = ARRAY_MOVE(into, from, dirs);
        if (!r)
                r = ARRAY_MOVE(into, from, skipped);
        return error_fold(r);
}

/**
 * busconfig_merge() - what an included file says goes behind, or over, what was said before
 *
 * On failure @into is half merged and good for busconfig_free() only.
 */
int busconfig_merge(struct busconfig *into, struct busconfig *from)
{
        int r;

        r = busconfig_keep_traces(into, from);
        if (!r)
                r = ARRAY_MOVE(into, from, warnings);
        if (!r)
                r = ARRAY_MOVE(into, from, listen);
        if (!r)
                r = ARRAY_MOVE(into, from, auth);
        if (!r)
                r = ARRAY_MOVE(into, from, associations);
        if (!r)
                r = ARRAY_MOVE(into, from, overrides);
        if (!r)
                r = ARRAY_MOVE(into, from, texts);
        if (!r)
                r = servicedirs_move(into, from);
        if (!r)
                r = policy_merge(into->policy, from->policy);
        if (!r)
                scalars_move(into, from);
        return error_fold(r);
}
