/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/known.h"

static int complain(struct known *known, const char *path, int line, const char *text)
{
        if (line > 0)
                snprintf(known->error, sizeof(known->error), "%s:%d: %s", path, line, text);
        else
                snprintf(known->error, sizeof(known->error), "%s: %s", path, text);
        return 1;
}

static int check(struct known *known, const char *path, const json_t *list)
{
        const json_t *row;
        size_t i;

        if (!json_is_array(list))
                return complain(known, path, 1, "no array \"differences\"");
        json_array_foreach (list, i, row) {
                if (!json_is_string(json_object_get(row, "cause")) ||
                    !json_string_length(json_object_get(row, "reason"))) {
                        snprintf(known->error, sizeof(known->error),
                                 "%s: difference %zu has no \"cause\" or no \"reason\"", path,
                                 i + 1);
                        return 1;
                }
        }
        return 0;
}

int known_load(struct known *known, const char *path)
{
        json_error_t error;
        json_t *root;
        int r;

        if (known->n == KNOWN_FILES_MAX)
                return complain(known, path, 0, "too many files of known differences");
        if (access(path, R_OK) < 0)
                return complain(known, path, 0, strerror(errno));
        root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
        if (!root)
                return complain(known, path, error.line, error.text);
        r = check(known, path, json_object_get(root, "differences"));
        if (r) {
                json_decref(root);
                return r;
        }
        known->files[known->n++] = root;
        return 0;
}

void known_deinit(struct known *known)
{
        while (known->n)
                json_decref(known->files[--known->n]);
}

static bool fits(const json_t *row, const char *key, const char *text)
{
        const char *pattern = json_string_value(json_object_get(row, key));

        return !pattern || !strcmp(pattern, text) || !fnmatch(pattern, text, 0);
}

static const char *find_reason(const struct known *known, const char *cause, const char *reference,
                               const char *candidate)
{
        const json_t *row;
        size_t k;

        for (size_t i = 0; i < known->n; i++)
                json_array_foreach (json_object_get(known->files[i], "differences"), k, row)
                        if (fits(row, "cause", cause) && fits(row, "reference", reference) &&
                            fits(row, "candidate", candidate))
                                return json_string_value(json_object_get(row, "reason"));
        return NULL;
}

size_t known_apply(const struct known *known, struct cause_list *causes, const char *reference,
                   const char *candidate)
{
        struct cause *c;
        size_t n = 0;

        for (c = causes->by_key; c; c = c->hh.next) {
                c->reason = find_reason(known, c->key, reference, candidate);
                n += !c->reason;
        }
        return n + (causes->n_unlisted > 0);
}
