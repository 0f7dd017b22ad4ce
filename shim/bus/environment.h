/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Environment
 *
 * What it is     The variables that started services get: "NAME=value" texts, each name once, in
 *                the shape that execve() takes.
 * Guard          That of whoever embeds it.
 */

#include <stddef.h>

struct environment {
        char **entry; /* ends in NULL; NULL as a whole while there is none */
        size_t n, allocated;
};

#define ENVIRONMENT_NULL ((struct environment){ 0 })

void environment_deinit(struct environment *env);

/* environment_set() - add a variable, or replace its value; 0 or -ENOMEM and nothing changed */
int environment_set(struct environment *env, const char *name, const char *value);
void environment_unset(struct environment *env, const char *name);

/* environment_merge() - set all that @from has; on -ENOMEM some of it may be set */
int environment_merge(struct environment *env, char *const *from);

/**
 * environment_inherit() - what this process was started with, for its children
 *
 * Left out is what systemd says to this very process: sockets passed, where to notify, invocation,
 * journal stream, and not to look for users on the bus.
 */
int environment_inherit(struct environment *env);
