/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat-tests/client.h"
#include "compat-tests/differences.h"
#include "compat-tests/run-suite.h"
#include "compat-tests/scenario.h"
#include "compat-tests/talk.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The tests end without tidying up; it is the daemon's leaks that count. */
int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void)
{
        return 1;
}

static const struct scenario *table;
static char base[] = "/tmp/compat-XXXXXX";

const char *scenario_dir(void)
{
        return base;
}

/**
 * scenario_service() - the program activated services run: it lies beside this one
 */
const char *scenario_service(void)
{
        static char path[4096];
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);

        path[n < 0 ? 0 : n] = 0;
        strcpy(strrchr(path, '/') + 1, "service");
        return path;
}

/* is_reference() - by what the program says it is: it may be installed under the other's name */
static bool is_reference(void)
{
        char command[4096], line[256] = {};
        FILE *f;

        snprintf(command, sizeof(command), "%s --version", bus_program());
        f = popen(command, "r");
        if (f && !fgets(line, sizeof(line), f))
                *line = 0;
        if (f)
                pclose(f);
        return strcasestr(line, "D-Bus Message Bus Daemon") && !strcasestr(line, "lambus");
}

/**
 * differs() - does the bus under test behave as lambus in this intended difference
 * @id:         its row in differences.h; anything else is a mistake of the scenario
 */
bool differs(const char *id)
{
        static int reference = -1;
        size_t i;

        for (i = 0; i < ARRAY_SIZE(differences); i++)
                if (!strcmp(differences[i].id, id))
                        break;
        if (i == ARRAY_SIZE(differences))
                ck_abort_msg("no difference is called `%s'", id);
        if (reference < 0)
                reference = is_reference();
        return !reference;
}

static void run_one(int i)
{
        const struct scenario *s = &table[i];
        struct bus bus;

        if (s->run_alone) {
                s->run_alone();
                return;
        }
        bus_start(&bus, &s->options);
        if (s->talk)
                talk(&bus, s->talk);
        else
                s->run(&bus);
        bus_stop(&bus);
}

static bool starts_services(const struct bus_options *options)
{
        return options->no_fd_check || (options->extra && strstr(options->extra, "<servicehelper>"));
}

static bool wanted(const struct scenario *s)
{
        const char *only = getenv("SCENARIO");

        if (only && !strstr(s->name, only))
                return false;
        if (s->needs_root && geteuid()) {
                printf("skipped: %s (needs root, to act as several users)\n", s->name);
                return false;
        }
        if (starts_services(&s->options) && getenv("BUS_STARTS_NOTHING")) {
                printf("skipped: %s (a bus cannot start a service under %s)\n", s->name,
                       getenv("BUS_STARTS_NOTHING"));
                return false;
        }
        return true;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

/**
 * scenarios_run() - main() of every scenario file
 *
 * Return:      exit status.
 */
int scenarios_run(const char *topic, const struct scenario *scenarios, size_t n)
{
        TTest *tests = calloc(n, sizeof(*tests));
        Suite *suite = suite_create(topic);
        TCase *tcase = tcase_create(topic);
        size_t i;
        int status;

        table = scenarios;
        if (!mkdtemp(base))
                return EXIT_FAILURE;
        chmod(base, 0755);
        for (i = 0; i < n; i++) {
                if (!wanted(&scenarios[i]))
                        continue;
                tests[i] = (TTest){ scenarios[i].name, run_one, topic, i };
                _tcase_add_test(tcase, &tests[i], 0, 0, i, i + 1);
        }
        tcase_set_timeout(tcase, client_timeout() / 1000 * 4);
        suite_add_tcase(suite, tcase);
        status = run_suite(suite);
        free(tests);
        nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        return status;
}
