/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fdset
 *
 * What it is     A fixed row of file descriptors with one owner, closed together.
 */

#include <stddef.h>

#include "bus-core/util/cleanup.h"

struct fdset {
        size_t n;
        int fds[];
};

/**
 * fdset_new() - take over descriptors
 * @out:        set by success
 * @fds:        @n descriptors, consumed on success only
 *
 * Return:      0, or -ENOMEM.
 */
int fdset_new(struct fdset **out, const int *fds, size_t n);
struct fdset *fdset_free(struct fdset *set);
DEFINE_FREEP(struct fdset, fdset_free)

/* fdset_close() - close @n descriptors of a plain array; errno is kept */
void fdset_close(const int *fds, size_t n);
