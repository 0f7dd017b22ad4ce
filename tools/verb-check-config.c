/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lambusctl check-config
 *
 * The configuration as the daemon reads it: what holds, where each rule and limit stands, and what
 * is wrong.
 */

#include "config.h"

#include <getopt.h>
#include <stdio.h>

#include "tools/configured.h"
#include "tools/verb.h"

static int help(void)
{
        printf("Usage: lambusctl check-config [OPTION...]\n\n"
               "Reads the configuration of a bus with the daemon's parser and prints what comes of\n"
               "it: a rule stands behind those that it overrides, with file and line.\n\n"
               "      --system          that of the system bus (default)\n"
               "      --session         that of a session bus\n"
               "      --config=FILE     this one\n"
               "  -q, --quiet           only what is wrong\n\n"
               "Exit status: 0 all is well, 1 something is left out or passed over, 2 it cannot be\n"
               "used as a whole.\n");
        return VERB_OK;
}

enum { OPT_HELP = 256, OPT_SYSTEM, OPT_SESSION, OPT_CONFIG };

static const struct option options[] = {
        { "help", no_argument, NULL, OPT_HELP },
        { "system", no_argument, NULL, OPT_SYSTEM },
        { "session", no_argument, NULL, OPT_SESSION },
        { "config", required_argument, NULL, OPT_CONFIG },
        { "quiet", no_argument, NULL, 'q' },
        { NULL, 0, NULL, 0 },
};

static void print_notes(const char *what, const struct busconfig_note *v, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                fprintf(stderr, "%s %s", what, v[i].file);
                if (v[i].line)
                        fprintf(stderr, ":%u", v[i].line);
                fprintf(stderr, ": %s\n", v[i].text);
        }
}

static int check(const struct configured *which, bool quiet)
{
        _cleanup_(busconfig_freep) struct busconfig *config = NULL;
        int r;

        r = configured_read(&config, which);
        if (r)
                return r;
        if (quiet) {
                print_notes("skipped", config->skipped, config->n_skipped);
                print_notes("warning", config->warnings, config->n_warnings);
        } else if (busconfig_print(config, stdout)) {
                return verb_fail("it cannot be printed");
        }
        return config->n_skipped || config->n_warnings ? VERB_FOUND : VERB_OK;
}

int verb_check_config(int argc, char **argv)
{
        struct configured which = { 0 };
        bool quiet = false;
        int opt;

        while ((opt = getopt_long(argc, argv, "q", options, NULL)) != -1) {
                switch (opt) {
                case OPT_HELP:
                        return help();
                case OPT_SYSTEM:
                        which = (struct configured){ 0 };
                        break;
                case OPT_SESSION:
                        which = (struct configured){ .session = true };
                        break;
                case OPT_CONFIG:
                        which = (struct configured){ .path = optarg };
                        break;
                case 'q':
                        quiet = true;
                        break;
                default:
                        return VERB_FAILED;
                }
        }
        if (optind < argc)
                return verb_fail("'%s' is one word too many", argv[optind]);
        return check(&which, quiet);
}
