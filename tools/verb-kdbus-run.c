/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lambusctl kdbus-run
 *
 * Runs a program that was written for kdbus: the library that leads its calls to the daemon is
 * preloaded, and the environment says where the daemon is. Programs that cannot be given a library,
 * for they are linked statically or setuid, are supervised instead. With --private there is no
 * daemon: a domain of its own lives as long as the program.
 */

#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/kdbus/serve.h"
#include "shim/kdbus/super/supervise.h"
#include "tools/program.h"
#include "tools/verb.h"

#define DEFAULT_MOUNT "/sys/fs/kdbus"

enum via {
        VIA_FIT, /* whichever fits the program */
        VIA_PRELOAD,
        VIA_SECCOMP,
        VIA_FUSE,
        N_VIAS,
};

static const char *const via_names[N_VIAS] = { NULL, "preload", "seccomp", "fuse" };

struct kdbus_run {
        bool private;
        enum via via;
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
                "  --via=WAY        preload: a library in the program (the default where it fits);\n"
                "                   seccomp: a file system, and a supervisor of its system calls (for\n"
                "                   programs that are static, setuid or make system calls themselves);\n"
                "                   fuse: the file system alone (no descriptors in messages)\n"
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

static enum via parse_via(const char *name)
{
        for (int i = 1; i < N_VIAS; i++)
                if (strcmp(name, via_names[i]) == 0)
                        return i;
        fprintf(stderr, "lambusctl: no such way: %s\n", name);
        return VIA_FIT;
}

static int parse(struct kdbus_run *run, int argc, char **argv)
{
        enum { PRIVATE = 256, STATE, MOUNT, VIA, LIBRARY };
        static const struct option options[] = {
                { "private", no_argument, NULL, PRIVATE },
                { "state", required_argument, NULL, STATE },
                { "mount", required_argument, NULL, MOUNT },
                { "via", required_argument, NULL, VIA },
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
                case VIA:
                        run->via = parse_via(optarg);
                        if (run->via == VIA_FIT)
                                return usage(stderr);
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

/* a supervised program in a domain of its own: the same verb again, in that domain */
static int serve_supervised(const struct kdbus_run *run, char **argv)
{
        char state[PATH_MAX], mount[PATH_MAX];
        char **words;
        size_t n = 0;
        int r;

        while (argv[n])
                n++;
        words = calloc(n + 8, sizeof(*words));
        if (!words)
                return -ENOMEM;
        snprintf(state, sizeof(state), "--state=%s", run->state);
        snprintf(mount, sizeof(mount), "--mount=%s", run->mount ?: DEFAULT_MOUNT);
        words[0] = (char *)"/proc/self/exe";
        words[1] = (char *)"kdbus-run";
        words[2] = (char *)"--via";
        words[3] = (char *)via_names[run->via];
        words[4] = state;
        words[5] = mount;
        words[6] = (char *)"--";
        memcpy(words + 7, argv, n * sizeof(*argv));
        r = serve_program(run->state, words);
        free(words);
        return r;
}

/* the environment is the program's; what serves it has none of the library */
static int run_private(struct kdbus_run *run, char **argv)
{
        int r;

        r = run->via == VIA_PRELOAD ? serve_program(run->state, argv)
                                    : serve_supervised(run, argv);
        rmdir(run->state);
        return r < 0 ? verb_fail("%s: %s", run->state, strerror(-r)) : r;
}

static int run_supervised(const struct kdbus_run *run, char **argv)
{
#ifdef HAVE_FUSE
        struct supervise how = {
                .state = run->state,
                .mount = run->mount ?: DEFAULT_MOUNT,
                .filter = run->via == VIA_SECCOMP,
        };
        int r;

        setenv("LAMBUS_KDBUS", run->state, 1);
        r = supervise_program(&how, argv);
        return r < 0 ? verb_fail("%s: cannot be supervised", argv[0]) : r;
#else
        return verb_fail("%s: built without FUSE, which --via=%s needs", argv[0],
                         via_names[run->via]);
#endif
}

/* a directory as open as the kernel's: the program may have parts that run as another user */
static int make_private_state(struct kdbus_run *run)
{
        strcpy(run->private_state, "/tmp/lambus-kdbus-XXXXXX");
        run->state = mkdtemp(run->private_state);
        if (!run->state || chmod(run->state, 0755) < 0)
                return verb_fail("%s: %s", run->private_state, strerror(errno));
        return VERB_OK;
}

static int run_on_bus(const struct kdbus_run *run, char **argv)
{
        char socket[512];

        snprintf(socket, sizeof(socket), "%s/socket", run->state);
        if (access(socket, F_OK) < 0)
                return verb_fail("no kdbus domain at %s (start lambus-daemon with --kdbus=%s, or "
                                 "use --private)", run->state, run->state);
        if (run->via != VIA_PRELOAD)
                return run_supervised(run, argv);
        execvp(argv[0], argv);
        return verb_fail("%s: %s", argv[0], strerror(errno));
}

int verb_kdbus_run(int argc, char **argv)
{
        struct kdbus_run run = { .library = KDBUS_LIBRARY };
        int r;

        r = parse(&run, argc, argv);
        if (r)
                return r;
        if (run.private && !run.state)
                r = make_private_state(&run);
        if (r)
                return r;
        if (!run.state)
                run.state = find_state(&run);
        argv += optind;
        if (run.via == VIA_FIT)
                run.via = program_takes_library(argv[0]) ? VIA_PRELOAD : VIA_SECCOMP;
        if (run.via == VIA_PRELOAD) {
                r = set_environment(&run);
                if (r)
                        return r;
        }
        return run.private ? run_private(&run, argv) : run_on_bus(&run, argv);
}
