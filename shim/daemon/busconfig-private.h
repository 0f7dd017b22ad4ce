/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Busconfig, inside
 *
 * What it is     What the files of the reader share: busconfig.c walks the XML and the includes,
 *                busconfig-rule.c turns the attributes of a rule into a rule, busconfig-value.c
 *                builds, merges and frees the value.
 */

#include "shim/daemon/busconfig.h"

#define BUSCONFIG_TEXT_MAX 512 /* an explanation */

/* ---- busconfig-value.c ---- */

int busconfig_new(struct busconfig **configp);
int busconfig_merge(struct busconfig *into, struct busconfig *from);
int busconfig_keep_traces(struct busconfig *into, struct busconfig *from);
int strings_append(char ***v, size_t *n, const char *s);
bool strings_have(char *const *v, size_t n, const char *s);
int busconfig_add_servicedir(struct busconfig *config, const char *path, unsigned int flags);
int busconfig_add_association(struct busconfig *config, const char *own, const char *context);
int busconfig_note_add(struct busconfig_note **v, size_t *n, const char *file, unsigned int line,
                       const char *text);
int busconfig_note_set(struct busconfig_note *note, const char *file, unsigned int line,
                       const char *text);

int busconfig_add_text(struct busconfig *config, const char *path, const char *data, size_t n);
int busconfig_add_override(struct busconfig *config, const struct limit_override *override);

/* ---- busconfig-print.c ---- */

void busconfig_describe_override(const struct limit_override *override, char *buf, size_t size);

/* ---- busconfig-limit.c ---- */

#define LIMIT_INSTRUCTION "lambus-limit"

int busconfig_limit(struct busconfig *config, const char *path, unsigned int line,
                    const char *data, bool ask_userdb);

/* ---- busconfig-rule.c ---- */

enum {
        RULE_E_INVALID = 1, /* the attributes make no rule; the text says why */
        RULE_E_DROPPED,     /* they do, but name a user or group that does not exist; so too */
};

int busconfig_rule(struct policy_rule *rule, const char *element, const char *const *attributes,
                   bool ask_userdb, char text[static BUSCONFIG_TEXT_MAX]);
