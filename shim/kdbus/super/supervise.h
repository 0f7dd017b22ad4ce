/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Supervise
 *
 * What it is     A program that cannot be given the library, run with kdbus all the same.
 * How            Three processes. The one that was called waits for the program, passes signals on
 *                and ends as it does. The supervisor is the program's parent, so that it may look
 *                into it, and stays until the last of its descendants has gone. The program itself
 *                mounts kdbusfs where it will look for it, installs the filter, hands both to the
 *                supervisor and is executed.
 * Trust          The supervisor has the rights of who called it and no more; it reads and writes
 *                the memory of its descendants as they ask, and takes nothing else from them.
 */

#include <stdbool.h>

struct supervise {
        const char *state; /* the daemon's directory */
        const char *mount; /* where the program looks */
        bool filter;       /* false: the file system alone */
};

/**
 * supervise_program() - run it, and wait
 *
 * Return: its exit status, as a shell has it; a negative errno, reported, if it could not be run.
 */
int supervise_program(const struct supervise *how, char *const *argv);
