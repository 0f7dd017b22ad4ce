/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Place
 *
 * What it is     Where a program finds kdbusfs: mounted on the directory it looks in, in a mount
 *                namespace of its own.
 * How            /sys/fs has no directory for kdbus, and none can be made. So a directory that is
 *                missing is made in a tmpfs over its parent, with all that was in there bound into
 *                it. Who may not do so has a user namespace to be root in, with the ids kept.
 */

/* where it failed, for a message; with errno */
struct place_error {
        const char *what;
        int error;
};

/**
 * place_mount() - for this process and its children
 * @path:       absolute
 *
 * Return: the descriptor of the mount, to be served before anyone looks; or -1.
 */
int place_mount(const char *path, struct place_error *error);
