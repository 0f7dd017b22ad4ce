/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Answer
 *
 * What it is     The supervisor's answers to the system calls that the filter puts before it.
 * How            Threads wait at the listener; there is always one more than calls are under way,
 *                for a synchronous call may take as long as it likes. The kernel keeps a caller
 *                from running signal handlers meanwhile, so that no command is done twice; a call
 *                that may be interrupted is, when we see that a signal waits.
 * Promise        A call on a descriptor that is not ours goes on as if nobody had asked.
 */

#include <sys/types.h>

struct kdbusfs;
struct lines;

/**
 * answer_start() - answer calls, as long as this process lives
 * @listener:   of the filter; consumed
 * @dev:        of the mounted file system
 */
int answer_start(int listener, struct kdbusfs *fs, struct lines *lines, dev_t dev);
