/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Serve
 *
 * What it is     A kdbus domain without a bus daemon around it, for as long as one program runs.
 */

/**
 * serve_program() - open a domain, run a program beside it, close the domain when it ends
 * @state_dir:  as for entry_new()
 * @argv:       the program, or NULL: until SIGTERM or SIGINT
 *
 * Return: the program's exit status (128 and the signal's number if it was killed), or a negative
 *         errno.
 */
int serve_program(const char *state_dir, char *const *argv);
