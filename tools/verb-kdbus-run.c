/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lambusctl kdbus-run
 *
 * Runs a program that was written for kdbus: the library that leads its calls to the daemon is
 * preloaded, and the environment says where the daemon is. With --private there is no daemon: a
 * domain of its own lives as long as the program.
 */

#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/kdbus/serve.h"
#include "tools/verb.h"

struct kdbus_run {
        bool private;
        const char *state, *mount, *library;
        char default_state[256], private_state[64];
};

static int usage(FILE *to)
{
        fprintf(to,
                "Usage: lambusctl kdbus-run [OPTION...] [--] PROGRAM [ARG...]\n\n"
                "Runs a program written for kdbus against lambus-daemon --kdbus=DIRECTORY.\n\n"
                "  --private        a fresh domain, without buses, for this program alone\n"
                "  --state=DIR      the daemon's kdbus directory (default: $LAMBUS_KDBUS, else\n"
                "                   $XDG_RUNTIME_DIR/lambus-kdbus, for root /run/lambus-kdbus)\n"
                "  --mount=DIR      where the program looks for kdbus (default: /sys/fs/kdbus)\n"
                "  --library=FILE   liblambus-kdbus.so, if it is not where it was installed\n"
                "  -h, --help       this text\n\n"
                "The program's exit status is that of lambusctl.\n");
        return to == stdout ? VERB_OK : VERB_FAILED;
}

static const char *find_state(struct kdbus_run *run)
{
        const char *env = getenv("LAMBUS_KDBUS"), *runtime = getenv("XDG_RUNTIME_DIR");

        if (env && *env)
                return env;
        if (geteuid() == 0 || !runtime)
                return "/run/lambus-kdbus";
        snprintf(run->default_state, sizeof(run->default_state), "%s/lambus-kdbus", runtime);
        return run->default_state;
}

static int parse(struct kdbus_run *run, int argc, char **argv)
{
        enum { PRIVATE = 256, STATE, MOUNT, LIBRARY };
        static const struct option options[] = {
                { "private", no_argument, NULL, PRIVATE },
                { "state", required_argument, NULL, STATE },
                { "mount", required_argument, NULL, MOUNT },
                { "library", required_argument, NULL, LIBRARY },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        int c;

        optind = 1;
        while ((c = getopt_long(argc, argv, "+h", options, NULL)) >= 0) {
                switch (c) {
                case PRIVATE:
                        run->private = true;
                        break;
                case STATE:
                        run->state = optarg;
                        break;
                case MOUNT:
                        run->mount = optarg;
                        break;
                case LIBRARY:
                        run->library = optarg;
                        break;
                case 'h':
                        exit(usage(stdout));
                default:
                        return usage(stderr);
                }
        }
        return optind < argc ? VERB_OK : usage(stderr);
}

/* the library goes before others that are preloaded: it must see their calls, not they its */
static int set_environment(const struct kdbus_run *run)
{
        const char *others = getenv("LD_PRELOAD");
        char *list;

        if (access(run->library, R_OK) < 0)
                return verb_fail("%s: %s", run->library, strerror(errno));
        if (asprintf(&list, "%s%s%s", run->library, others ? ":" : "", others ? others : "") < 0)
                return verb_fail("not enough memory");
        setenv("LD_PRELOAD", list, 1);
        free(list);
        setenv("LAMBUS_KDBUS", run->state, 1);
        if (run->mount)
                setenv("LAMBUS_KDBUS_MOUNT", run->mount, 1);
        return VERB_OK;
}

/* the environment is the program's; what serves it has none of the library */
static int run_private(struct kdbus_run *run, char **argv)
{
        int r;

        r = serve_program(run->state, argv);
        rmdir(run->state);
        return r < 0 ? verb_fail("%s: %s", run->state, strerror(-r)) : r;
}

int verb_kdbus_run(int argc, char **argv)
{
        struct kdbus_run run = { .library = KDBUS_LIBRARY };
        char socket[512];
        int r;

        r = parse(&run, argc, argv);
        if (r)
                return r;
        if (run.private && !run.state) {
                strcpy(run.private_state, "/tmp/lambus-kdbus-XXXXXX");
                run.state = mkdtemp(run.private_state);
                /* as open as the kernel's: the program may have parts that run as another user */
                if (!run.state || chmod(run.state, 0755) < 0)
                        return verb_fail("%s: %s", run.private_state, strerror(errno));
        }
        if (!run.state)
                run.state = find_state(&run);
        r = set_environment(&run);
        if (r)
                return r;
        argv += optind;
        if (run.private)
                return run_private(&run, argv);
        snprintf(socket, sizeof(socket), "%s/socket", run.state);
        if (access(socket, F_OK) < 0)
                return verb_fail("no kdbus domain at %s (start lambus-daemon with --kdbus=%s, or "
                                 "use --private)", run.state, run.state);
        execvp(argv[0], argv);
        return verb_fail("%s: %s", argv[0], strerror(errno));
}
