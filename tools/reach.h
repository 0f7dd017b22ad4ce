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

struct reach {
        const char *address; /* --address=ADDRESS; NULL: that of the next */
        bool session;        /* --session; else the system's bus */
};

/* reach_open() - connect and say Hello; a VERB_*, on VERB_FAILED the reason was printed */
int reach_open(sd_bus **out, const struct reach *which);
