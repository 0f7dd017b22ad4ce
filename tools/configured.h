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
#include "tools/verb.h"

struct configured {
        const char *path; /* --config=FILE; NULL: the installed one */
        bool session;     /* --session */
};

/* CONFIGURED_OPTIONS - rows of a table of options: which configuration */
#define CONFIGURED_OPTIONS                                                                         \
        { "system", no_argument, NULL, OPT_SYSTEM }, { "session", no_argument, NULL, OPT_SESSION }, \
        { "config", required_argument, NULL, OPT_CONFIG }

/* configured_take() - one of these options; true if it was one */
bool configured_take(struct configured *which, int option);

/* configured_read() - a VERB_*; on VERB_FAILED the reason was printed */
int configured_read(struct busconfig **configp, const struct configured *which);
