/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Dialect
 *
 * What it is     Which of the two ways of writing the type of a body (see transcode.h) a process
 *                understands: told by the sd-bus that it has loaded, or by its environment.
 * How            LAMBUS_KDBUS_BODY=bare or =parentheses in the environment that the process was
 *                started with comes first: programs that are linked statically with an old sd-bus
 *                show nothing. Else it is the number of the libsystemd.so.0 that is mapped.
 * Not promised   That there is any sign. A process can lie about itself; it is then the one that
 *                does not understand.
 */

#include <stdbool.h>

#include "shim/kdbus/kmeta.h"
#include "shim/wire/transcode.h"

/* dialect_of() - false if nothing shows */
bool dialect_of(enum transcode_style *style, const struct task *task);

/* dialect_of_library() - the same for the file name of a library */
bool dialect_of_library(enum transcode_style *style, const char *path);
