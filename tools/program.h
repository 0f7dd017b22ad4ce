/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Program
 *
 * What it is     What a program's file says about how it will be started.
 */

#include <stdbool.h>

/**
 * program_takes_library() - whether a preloaded library would be in its process
 * @name:       as for execvp()
 *
 * Not so if it is linked statically, or gains rights when it is executed. A file that cannot be
 * read, or is not known, is taken for an ordinary one.
 */
bool program_takes_library(const char *name);
