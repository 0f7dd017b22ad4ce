/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Console
 *
 * What it is     Who sits at the machine, for <policy at_console="...">: a user with a session on
 *                a seat, as logind knows it. Without systemd, whoever has a file of his name (or
 *                number) in the console directory; pam_console and the like put it there.
 * How            Asked when a client says Hello, and again for all clients when logind's seats or
 *                users change, if the policy asks at all.
 */

#include <stdbool.h>
#include <sys/types.h>

#define CONSOLE_DIR "/run/console"

/* What is used of libsystemd; replaced by tests. */
struct console_library {
        int (*booted)(void);
        int (*seats)(uid_t uid); /* how many seats the user has a session on */
};
extern struct console_library console_library;

/**
 * console_has() - is this user there?
 * @dir:        the console directory
 */
bool console_has(uid_t uid, const char *dir);
