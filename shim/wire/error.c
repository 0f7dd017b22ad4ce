/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Wire errors: see error.h. */

#include "shim/wire/error.h"

static const char *const texts[] = {
        [WIRE_E_OK_] = "no error",
#define WIRE_ERROR_(name, text) [WIRE_E_##name] = text,
        WIRE_ERRORS(WIRE_ERROR_)
#undef WIRE_ERROR_
};

const char *wire_strerror(int error)
{
        if (error < 0 || error >= WIRE_E_MAX_)
                return "unknown error";
        return texts[error];
}
