/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lambusctl check-config
 *
 * The configuration as the daemon reads it: what holds, where each rule and limit stands, and what
 * is wrong.
 */

#include "config.h"

#include <stdio.h>

#include "tools/configured.h"
#include "tools/verb.h"

static const char help[] =
        "Usage: lambusctl check-config [OPTION...]\n\n"
        "Reads the configuration of a bus with the daemon's parser and prints what comes of\n"
        "it: a rule stands behind those that it overrides, with file and line.\n\n"
        "      --system          that of the system bus (default)\n"
        "      --session         that of a session bus\n"
        "      --config=FILE     this one\n"
        "  -q, --quiet           only what is wrong\n\n"
        "Exit status: 0 all is well, 1 something is left out or passed over, 2 it cannot be\n"
        "used as a whole.\n";

struct check {
        struct configured which;
        bool quiet;
};

static const struct option options[] = {
        { "help", no_argument, NULL, OPT_HELP },
        CONFIGURED_OPTIONS,
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

static int run(const struct check *c)
{
        _cleanup_(busconfig_freep) struct busconfig *config = NULL;
        int r;

        r = configured_read(&config, &c->which);
        if (r)
                return r;
        if (c->quiet) {
                print_notes("skipped", config->skipped, config->n_skipped);
                print_notes("warning", config->warnings, config->n_warnings);
        } else if (busconfig_print(config, stdout)) {
                return verb_fail("it cannot be printed");
        }
        return config->n_skipped || config->n_warnings ? VERB_FOUND : VERB_OK;
}

static int take_option(void *verb, int opt)
{
        struct check *c = verb;

        if (opt == 'q')
                c->quiet = true;
        else if (!configured_take(&c->which, opt))
                return VERB_FAILED;
        return VERB_OK;
}

static const struct verb_options verb = {
        .options = options,
        .letters = "q",
        .help = help,
        .take = take_option,
};

int verb_check_config(int argc, char **argv)
{
        struct check c = { 0 };
        int r;

        r = verb_read_options(&verb, &c, argc, argv);
        return r ? MAX(r, 0) : run(&c);
}
