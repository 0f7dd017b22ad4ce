/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lambusctl conformance
 *
 * The scenario programs of compat-tests, installed, against any bus daemon. Each program runs its
 * scenarios and writes TAP into a file; what stands there is summed up, or passed on as one TAP.
 */

#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tools/verb.h"

#define PREFIX "scenario-"
#define LINE_SIZE 4096
#define PATH_SIZE 4096

struct conformance {
        const char *daemon, *programs, *scenario;
        bool tap, quiet;
        char path[PATH_SIZE]; /* of the daemon */
        unsigned int n, n_failed, n_programs_failed;
};

static const char help[] =
        "Usage: lambusctl conformance --daemon=PROGRAM [OPTION...]\n\n"
        "Asks a bus daemon some hundreds of questions to which dbus-daemon's answers are known.\n"
        "The daemon must take dbus-daemon's options. Exit status 1: some were answered otherwise.\n\n"
        "      --daemon=PROGRAM    default: lambus-daemon\n"
        "      --scenario=TEXT     only the scenarios with that in their names\n"
        "      --tap               Test Anything Protocol instead of a table\n"
        "      --programs=DIR      where the scenario programs are\n"
        "  -q, --quiet             failures and sum only\n";

enum { OPT_DAEMON = OPT_OWN, OPT_SCENARIO, OPT_TAP, OPT_PROGRAMS };

static const struct option options[] = {
        { "help", no_argument, NULL, OPT_HELP },
        { "daemon", required_argument, NULL, OPT_DAEMON },
        { "scenario", required_argument, NULL, OPT_SCENARIO },
        { "tap", no_argument, NULL, OPT_TAP },
        { "programs", required_argument, NULL, OPT_PROGRAMS },
        { "quiet", no_argument, NULL, 'q' },
        { NULL, 0, NULL, 0 },
};

static int take_option(void *verb, int opt)
{
        struct conformance *c = verb;

        switch (opt) {
        case OPT_DAEMON:
                c->daemon = optarg;
                return 0;
        case OPT_SCENARIO:
                c->scenario = optarg;
                return 0;
        case OPT_TAP:
                c->tap = true;
                return 0;
        case OPT_PROGRAMS:
                c->programs = optarg;
                return 0;
        case 'q':
                c->quiet = true;
                return 0;
        default:
                return VERB_FAILED;
        }
}

/* the daemon's path: as it is with a slash in it, else looked for as a shell does */
static int find_daemon(struct conformance *c)
{
        const char *path = getenv("PATH") ?: "/usr/bin:/bin";

        if (strchr(c->daemon, '/')) {
                if (!realpath(c->daemon, c->path))
                        return verb_fail("%s: %s", c->daemon, strerror(errno));
                return 0;
        }
        while (*path) {
                size_t n = strcspn(path, ":");

                snprintf(c->path, sizeof(c->path), "%.*s/%s", (int)n, path, c->daemon);
                if (!access(c->path, X_OK))
                        return 0;
                path += n + (path[n] == ':');
        }
        return verb_fail("%s: not found", c->daemon);
}

static int run_program(const struct conformance *c, const char *program, const char *tap,
                       const char *said)
{
        pid_t pid = fork();
        int status, fd;

        if (pid < 0)
                return -errno;
        if (!pid) {
                setenv("BUS_UNDER_TEST", c->path, 1);
                setenv("CK_TAP_LOG_FILE_NAME", tap, 1);
                if (c->scenario)
                        setenv("SCENARIO", c->scenario, 1);
                fd = open("/dev/null", O_WRONLY);
                dup2(fd, STDOUT_FILENO);
                fd = open(said, O_WRONLY | O_CREAT | O_TRUNC, 0600);
                dup2(fd, STDERR_FILENO);
                execl(program, program, NULL);
                _exit(127);
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                continue;
        return WIFEXITED(status) && WEXITSTATUS(status) <= 1 ? 0 : 1;
}

/* "not ok 3 - file:suite:name: what happened" */
struct verdict {
        bool ok;
        char *name, *detail;
};

static bool parse_verdict(char *line, struct verdict *out)
{
        char *p;

        line[strcspn(line, "\n")] = 0;
        out->ok = !strncmp(line, "ok ", 3);
        if (!out->ok && strncmp(line, "not ok ", 7))
                return false;
        p = strstr(line, " - ");
        for (int colons = 0; p && colons < 2; colons++)
                p = strchr(p + 1, ':');
        if (!p)
                return false;
        out->name = p + 1;
        out->detail = strstr(out->name, ": ");
        if (out->detail) {
                *out->detail = 0;
                out->detail += 2;
        }
        return true;
}

static void tell(struct conformance *c, const char *topic, const struct verdict *v)
{
        c->n++;
        c->n_failed += !v->ok;
        if (c->tap)
                printf("%sok %u - %s: %s\n", v->ok ? "" : "not ", c->n, topic, v->name);
        else if (!v->ok)
                printf("  %s: %s\n", topic, v->name);
        if (!v->ok && v->detail)
                printf("%s%s\n", c->tap ? "# " : "      ", v->detail);
}

static int sum_up(struct conformance *c, const char *topic, const char *tap)
{
        unsigned int n = c->n, n_failed = c->n_failed;
        FILE *f = fopen(tap, "re");
        struct verdict verdict;
        char line[LINE_SIZE];

        if (!f)
                return 1;
        while (fgets(line, sizeof(line), f))
                if (parse_verdict(line, &verdict))
                        tell(c, topic, &verdict);
        fclose(f);
        n = c->n - n;
        if (!c->tap && !c->quiet && n)
                printf("%-14s %4u of %4u as dbus-daemon\n", topic, n - (c->n_failed - n_failed), n);
        return 0;
}

/* what a program that came to no end said last may tell why */
static void tell_last_words(const struct conformance *c, const char *topic, const char *said)
{
        FILE *f = fopen(said, "re");
        char line[LINE_SIZE], last[LINE_SIZE] = "";

        while (f && fgets(line, sizeof(line), f))
                memcpy(last, line, sizeof(last));
        if (f)
                fclose(f);
        last[strcspn(last, "\n")] = 0;
        printf("%s%s: the scenarios did not run to their end%s%s\n", c->tap ? "# " : "  ", topic,
               *last ? ": " : "", last);
}

static int one_program(struct conformance *c, const char *name, const char *dir)
{
        char program[PATH_SIZE], tap[PATH_SIZE], said[PATH_SIZE], progress[128];
        const char *topic = name + strlen(PREFIX);

        snprintf(program, sizeof(program), "%s/%s", c->programs, name);
        snprintf(tap, sizeof(tap), "%s/%s", dir, name);
        snprintf(said, sizeof(said), "%s/said", dir);
        snprintf(progress, sizeof(progress), "%s", topic);
        verb_progress(progress);
        if (run_program(c, program, tap, said) || sum_up(c, topic, tap)) {
                verb_progress(NULL);
                tell_last_words(c, topic, said);
                c->n_programs_failed++;
        }
        verb_progress(NULL);
        unlink(tap);
        unlink(said);
        return 0;
}

static int is_scenario(const struct dirent *entry)
{
        return !strncmp(entry->d_name, PREFIX, strlen(PREFIX)) && !strchr(entry->d_name, '.');
}

static int run_all(struct conformance *c)
{
        char dir[] = "/tmp/lambus-conformance-XXXXXX";
        struct dirent **entries;
        int n;

        n = scandir(c->programs, &entries, is_scenario, alphasort);
        if (n <= 0)
                return verb_fail("%s: %s (Debian's package lambus-conformance has them; "
                                 "--programs=DIR says where they are)", c->programs,
                                 n < 0 ? strerror(errno) : "no scenario programs there");
        if (!mkdtemp(dir))
                return verb_fail("%s: %s", dir, strerror(errno));
        for (int i = 0; i < n; i++) {
                one_program(c, entries[i]->d_name, dir);
                free(entries[i]);
        }
        free(entries);
        rmdir(dir);
        if (c->tap)
                printf("1..%u\n", c->n);
        else
                printf("%s: %u of %u scenarios as dbus-daemon\n", c->daemon, c->n - c->n_failed,
                       c->n);
        return c->n_failed || c->n_programs_failed ? VERB_FOUND : VERB_OK;
}

static const struct verb_options verb = {
        .options = options,
        .letters = "q",
        .help = help,
        .take = take_option,
};

int verb_conformance(int argc, char **argv)
{
        struct conformance c = {
                .daemon = "lambus-daemon",
                .programs = LIBEXECDIR "/lambus/conformance",
        };
        int r;

        r = verb_read_options(&verb, &c, argc, argv);
        if (!r)
                r = find_daemon(&c);
        if (!r)
                r = run_all(&c);
        return MAX(r, 0);
}
