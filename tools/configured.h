/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Configured
 *
 * What it is     The configuration of a bus as the daemon would read it, for verbs that look at it.
 * How            The daemon's own parser, with the daemon's own leniency: a broken file among
 *                those that --system and --session name is left out; a --config=FILE must be good.
 */

#include <stdbool.h>

#include "shim/daemon/busconfig.h"

struct configured {
        const char *path; /* --config=FILE; NULL: the installed one */
        bool session;     /* --session */
};

/* configured_read() - a VERB_*; on VERB_FAILED the reason was printed */
int configured_read(struct busconfig **configp, const struct configured *which);
