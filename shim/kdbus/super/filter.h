/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Filter
 *
 * What it is     The system calls of a program that are put before the supervisor: kdbus's ioctls,
 *                and mappings that may be of a pool.
 * Promise        Everything else is not delayed, and nothing is forbidden: what the supervisor does
 *                not answer goes on as it was called. This is emulation, no barrier.
 */

#include <sys/types.h>

/**
 * filter_install() - for this process, and all it will execute or fork
 *
 * Return: the listener, or a negative errno.
 */
int filter_install(void);
