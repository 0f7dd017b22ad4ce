/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lambusctl
 *
 * One tool with verbs. This file finds the verb; see verb.h.
 */

#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "tools/verb.h"

static const struct {
        const char *name;
        int (*fn)(int argc, char **argv);
        const char *summary;
} verbs[] = {
        { "status", verb_status, "what bus this is, and whether it is well" },
        { "top", verb_top, "who does how much on it, every second" },
        { "record", verb_record, "write down what happens on a bus" },
        { "replay", verb_replay, "act a recording out on another bus" },
        { "compare", verb_compare, "replay on two buses and show where they differ" },
        { "conformance", verb_conformance, "ask a bus daemon what dbus-daemon's answers are known to" },
        { "check-migration", verb_check_migration, "what would be different on this machine" },
        { "switch", verb_switch, "make lambus this machine's bus, and back" },
        { "check-config", verb_check_config, "what the daemon makes of a configuration" },
        { "why", verb_why, "may it be sent, and which rule says so" },
        { "kdbus-run", verb_kdbus_run, "run a program that was written for kdbus" },
};

static int usage(FILE *to)
{
        fprintf(to, "Usage: lambusctl VERB [OPTION...]\n\n");
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                fprintf(to, "  %-16s %s\n", verbs[i].name, verbs[i].summary);
        fprintf(to, "\n'lambusctl VERB --help' tells more about a verb. Exit status: 0 as it should "
                    "be,\n1 something was found, 2 it could not be done.\n");
        return to == stdout ? VERB_OK : VERB_FAILED;
}

int main(int argc, char **argv)
{
        error_setup();
        signal(SIGPIPE, SIG_IGN);
        if (argc < 2)
                return usage(stderr);
        if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
                return usage(stdout);
        if (!strcmp(argv[1], "--version")) {
                printf("lambusctl " VERSION "\n");
                return VERB_OK;
        }
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
                if (strcmp(argv[1], verbs[i].name))
                        continue;
                argv[1] = (char *)"lambusctl"; /* who complains about an option */
                return verbs[i].fn(argc - 1, argv + 1);
        }
        verb_fail("there is no verb '%s'", argv[1]);
        return usage(stderr);
}
