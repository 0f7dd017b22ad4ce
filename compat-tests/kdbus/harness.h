/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Harness
 *
 * What it is     What surrounds a test of the kdbus door: a server with a fresh state directory,
 *                and the test itself run once more as a kdbus program, with the library preloaded.
 */

/**
 * harness_enter() - the first thing in main()
 * @server:     argv of the server; "@DIR@" in a word stands for the state directory
 *
 * KDBUS_VIA in the environment, seccomp or fuse, has it supervised instead of preloaded.
 * The inner process finds the server's pid in KDBUS_SERVER_PID.
 * In the outer process this does not return: it ends with the inner one's status. In the inner one,
 * which is the same program, it returns.
 */
void harness_enter(char **argv, const char *const *server);

