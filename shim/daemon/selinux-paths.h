/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * SELinux paths
 *
 * What it is     The two questions that reading the configuration has for SELinux: whether it is
 *                enabled, and where its policy lies. Without the library the answers are no.
 */

#include <stdbool.h>

bool selinux_paths_enabled(void);
const char *selinux_paths_root(void);
