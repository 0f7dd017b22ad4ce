/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared: memory that daemon and program write both, of a size that neither can change. */

#include <stddef.h>

/**
 * shared_map() - make such memory, and map it
 * @name:       for who looks at the descriptor
 * @fdp:        set to its descriptor, also on failure; -1: none
 * @mapp:       set to where it is mapped, with zeros; NULL on failure
 */
int shared_map(const char *name, size_t n, int *fdp, void **mapp);
