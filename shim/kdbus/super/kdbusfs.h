/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kdbusfs
 *
 * What it is     A domain as a file system that any program can list, stat, open, poll and map.
 * How            FUSE. The tree shown is the daemon's, with its owners and modes, which the kernel
 *                enforces. An open file is a handle: behind it stands a connection to the daemon.
 *                Each open has an inode of its own, for its pages are its pool: what the daemon
 *                writes for it is put into the kernel's page cache before the program is told of
 *                it, and a page not there yet is read from the pool.
 *                poll() asks us, and is told when the connection has something.
 * Order          kdbusfs_settle() handles all that the kernel has queued so far: a program that
 *                closed one handle and goes on with another finds the first one gone.
 * Guard          The tables: the lock. A handle: counted.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct kdbusfs;
struct fshandle;
struct lines;
struct relay;

int kdbusfs_start(struct kdbusfs **fsp, int fuse_fd, const char *state, struct lines *lines);
void kdbusfs_mounted(struct kdbusfs *fs, dev_t dev);
void kdbusfs_wait(struct kdbusfs *fs);
void kdbusfs_settle(struct kdbusfs *fs);

int kdbusfs_find(struct kdbusfs *fs, int fd, struct fshandle **handlep);
void fshandle_unref(struct fshandle *h);
int fshandle_ioctl(struct fshandle *h, struct relay *relay, uint32_t code, uint64_t argument);
int fshandle_check_map(struct fshandle *h, uint64_t length, uint64_t prot);
