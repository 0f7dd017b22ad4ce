/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Spawn
 *
 * What it is     Programs that the bus starts: a process each, watched by its pidfd until it ends.
 * How            fork(), and in the child only what is safe there while other threads hold locks,
 *                then execve(). Not vfork(): the bus would stand still for as long as a slow file
 *                system takes to find the program. Whether execve() failed is read from a pipe
 *                once the child has ended.
 *                A service is a child of the bus, not of a process in between: the pidfd tells of
 *                its end without one, and nothing but its pid's parent differs for the service.
 * What it gets   Descriptors 0 to 2 of the bus (0 is /dev/null; 1 and 2 are the journal's if the
 *                bus logs there), no others; the process group, session, directory and umask of
 *                the bus; the limit of descriptors that the bus was started with; no blocked
 *                signals, all at their default but SIGPIPE, which stays ignored; an
 *                oom_score_adj of 0 if the bus is below. All this as dbus-daemon does.
 * Guard          spawn_launch(), spawn_abandon(): the bus's guard, write side. The rest: the
 *                thread of the poller.
 */

#include "shim/bus/activate.h"
#include "shim/bus/poller.h"

struct spawner {
        struct poller *poller;       /* NULL before spawner_init() */
        bool journal;                /* output goes there */
        struct cds_list_head launches;
};

void spawner_init(struct spawner *spawner, struct poller *poller, bool journal);

/* spawner_deinit() - leave all that runs to itself */
void spawner_deinit(struct spawner *spawner);

/**
 * spawn_launch() - start a program
 * @activation: told of its end
 * @name:       of the service, for the journal
 */
int spawn_launch(struct spawner *spawner, struct launch **out, struct activation *activation,
                 const char *name, char *const *argv, char *const *envp);

/* spawn_abandon() - nobody is told of its end any more */
void spawn_abandon(struct launch *launch, bool kill);
