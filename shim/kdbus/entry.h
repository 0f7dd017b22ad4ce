/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Entry
 *
 * What it is     The door of a kdbus domain: where the library in the programs' processes connects,
 *                and where each ioctl becomes a struct cmd.
 * How            One socket is listened on, next to the domain's directory. Each handle is a
 *                connection to it; each thread that issues commands brings a channel for the
 *                replies (client/proto.h). All of it hangs on one epoll descriptor, which an event
 *                loop watches like any other; entry_dispatch() never blocks.
 * Promise        No bytes, descriptors or death of a program stop the others: each request is
 *                checked for its own sizes, answered once, and forgotten with its handle.
 */

#include <stdint.h>

struct domain;
struct entry;

#define ENTRY_SOCKET "socket" /* below the state directory */
#define ENTRY_ROOT   "root"   /* the domain: control, buses, endpoints */

int entry_new(struct entry **entryp, const char *state_dir);
struct entry *entry_free(struct entry *entry);

int entry_fd(const struct entry *entry);
int entry_dispatch(struct entry *entry);
struct domain *entry_domain(struct entry *entry);
