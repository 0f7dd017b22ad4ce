/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Relay
 *
 * What it is     A command of another program, carried to the daemon and back: client/forward.c
 *                from the outside.
 * How            The program's structures are read once into memory of ours; what is sent, judged
 *                and written back is that snapshot, whatever the program does to its own meanwhile.
 * Promise        Nothing in the snapshot is believed: sizes bound what is read, the daemon judges.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct line;

/* what one way in can do for a call under way */
struct relay_ops {
        /* give the program a descriptor: its number there, or a negative errno; NULL: cannot */
        int (*install)(void *userdata, int fd);
        /* whether the program waits no longer, or should not */
        bool (*interrupted)(void *userdata);
};

struct relay {
        struct line *line;
        int handle;    /* our connection to the daemon */
        dev_t handles; /* files of that device are handles, and cannot be passed */
        const struct relay_ops *ops;
        void *userdata;

        /* after a command that gave the program a slice of its pool */
        uint64_t offset, size;
};

int relay_open(struct line *line, int handle, int node_fd);
int relay_pool(struct line *line, int handle, int *fdp);
int relay_ioctl(struct relay *relay, uint32_t code, uint64_t argument);
void relay_free_slice(struct line *line, const struct relay *relay);
