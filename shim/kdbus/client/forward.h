/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Forward
 *
 * What it is     What a system call on a kdbus handle becomes: a request to the daemon, and its
 *                answer put where the program expects it.
 * Promise        Calls return 0 (or a descriptor) or a negative errno, and touch the program's
 *                memory only as the kernel would.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
        FORWARD_E_ALIEN = 1,
};

bool forward_is_handle(int fd);
int forward_open(int node_fd, int flags);
int forward_ioctl(int fd, uint32_t code, void *arg);
int forward_mmap(int fd, size_t length, int prot, int flags, off_t offset);
int forward_stat(int fd);
void forward_closed(unsigned first, unsigned last);
