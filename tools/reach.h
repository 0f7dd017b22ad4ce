/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reach
 *
 * What it is     The way to the bus that a verb looks at.
 * Promise        If there is no way, the message says what to do about it.
 */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "tools/verb.h"

struct reach {
        const char *address; /* --address=ADDRESS; NULL: that of the next */
        bool session;        /* --session; else the system's bus */
};

/* REACH_OPTIONS - rows of a table of options: which bus */
#define REACH_OPTIONS                                                                              \
        { "system", no_argument, NULL, OPT_SYSTEM }, { "session", no_argument, NULL, OPT_SESSION }, \
        { "user", no_argument, NULL, OPT_SESSION },                                                \
        { "address", required_argument, NULL, OPT_ADDRESS }

/* reach_take() - one of these options; true if it was one */
bool reach_take(struct reach *which, int option);

/* reach_connect() - connect and say Hello, without a word; 0 or a negative errno */
int reach_connect(sd_bus **out, const struct reach *which);

/* reach_open() - connect and say Hello; a VERB_*, on VERB_FAILED the reason was printed */
int reach_open(sd_bus **out, const struct reach *which);
