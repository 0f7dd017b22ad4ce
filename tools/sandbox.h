/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Sandbox
 *
 * What it is     A message bus of our own for the length of one replay: a daemon started with a
 *                socket, a configuration and service files in a temporary directory that nobody
 *                else knows. A command with a `:` and a `=` in it is taken as the address of a
 *                bus which is already there, and left alone.
 * How            Anything that takes dbus-daemon's options is started with --config-file and
 *                --print-address. dbus-broker takes none of these: a process of ours
 *                (broker.c) stands in for its launcher, so that no systemd is needed.
 *                A service file of the sandbox starts nothing: the replayed peer takes the name.
 *                Names that nobody owned in the recording fail to start.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "bus-core/util/cleanup.h"

struct recording;

struct sandbox {
        char *command;
        char dir[64];
        char *address;
        pid_t pid; /* 0: not ours */
        char error[1024];
};

/**
 * sandbox_start() - start a bus and wait until it can be connected to
 * @command:    program and arguments, divided as a shell would; or an address
 * @config:     NULL for one that allows everything, or the configuration file to run it with
 * @rec:        whose activatable names the bus shall have
 *
 * Return:      0, 1 with the reason in (*out)->error, or a negative errno.
 */
int sandbox_start(struct sandbox **out, const char *command, const char *config,
                  const struct recording *rec);

/* sandbox_running() - false if the daemon has ended; its last words are then in sandbox->error */
bool sandbox_running(struct sandbox *sandbox);
struct sandbox *sandbox_free(struct sandbox *sandbox);
DEFINE_FREEP(struct sandbox, sandbox_free);

/**
 * broker_run() - be the launcher of a dbus-broker; does not return
 * @argv:       the broker's program and further arguments
 * @listen_fd:  socket that clients connect to
 * @ready_fd:   closed after one byte was written to it when the bus is up
 */
_Noreturn void broker_run(char **argv, int listen_fd, int ready_fd, const struct recording *rec);
