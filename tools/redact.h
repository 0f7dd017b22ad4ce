/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Redaction
 *
 * What it is     Decides which bodies of a recording are blanked before they reach the disk.
 * How            By interface and member, from a table of what is known to carry secrets and from
 *                what the user adds. The reply to a redacted call is redacted too. A blanked body
 *                keeps its shape: texts their length, arrays their size; what the bus itself reads
 *                (calls to it, its own signals) is never blanked, or nothing could be replayed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/wire/header.h"

#define REDACT_PENDING 1024U

struct redact {
        bool nothing; /* not even what is known to be secret */
        bool all;
        const char *const *patterns; /* "interface", "interface.member", "prefix.*"; borrowed */
        size_t n_patterns;
        uint64_t pending[REDACT_PENDING]; /* hashes of callers and serials */
        size_t next_pending;
};

/* redact_is_pattern() - is it written like one, so that a slip does not lay open what was meant? */
bool redact_is_pattern(const char *text);

/* redact_wants() - shall this body be blanked? Calls are remembered for their replies */
bool redact_wants(struct redact *r, const uint8_t *msg, const struct header *h);
