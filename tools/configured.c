/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <string.h>

#include "tools/configured.h"
#include "tools/verb.h"

bool configured_take(struct configured *which, int option)
{
        switch (option) {
        case OPT_SYSTEM:
                *which = (struct configured){ 0 };
                return true;
        case OPT_SESSION:
                *which = (struct configured){ .session = true };
                return true;
        case OPT_CONFIG:
                *which = (struct configured){ .path = optarg };
                return true;
        default:
                return false;
        }
}

int configured_read(struct busconfig **configp, const struct configured *which)
{
        const char *path = which->path;
        struct busconfig_note note = BUSCONFIG_NOTE_NULL;
        int r;

        if (!path)
                path = which->session ? DBUS_DATADIR "/dbus-1/session.conf"
                                      : DBUS_DATADIR "/dbus-1/system.conf";
        r = busconfig_read(configp, path, which->path ? 0 : BUSCONFIG_LENIENT, &note);
        if (!r)
                return VERB_OK;
        if (note.line)
                verb_fail("%s line %u: %s", note.file, note.line, note.text);
        else
                verb_fail("%s: %s", note.file ? note.file : path,
                          note.text ? note.text : strerror(-r));
        busconfig_note_deinit(&note);
        return VERB_FAILED;
}
