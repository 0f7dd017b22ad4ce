/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus-core/core.h"
#include "shim/bus/guard.h"
#include "shim/daemon/options.h"

enum {
        OPT_SESSION = 256,
        OPT_SYSTEM,
        OPT_CONFIG_FILE,
        OPT_PRINT_ADDRESS,
        OPT_PRINT_PID,
        OPT_ADDRESS,
        OPT_FORK,
        OPT_NOFORK,
        OPT_NOPIDFILE,
        OPT_SYSLOG,
        OPT_NOSYSLOG,
        OPT_SYSLOG_ONLY,
        OPT_SYSTEMD_ACTIVATION,
        OPT_SERVICE_UNIT,
        OPT_INTROSPECT,
        OPT_VERSION,
        OPT_HELP,
        OPT_WORKERS,
        OPT_SPREAD,
        OPT_CONSOLE_DIR,
        OPT_METRICS,
        OPT_KDBUS,
};

static const struct option words[] = {
        { "session", no_argument, NULL, OPT_SESSION },
        { "system", no_argument, NULL, OPT_SYSTEM },
        { "config-file", optional_argument, NULL, OPT_CONFIG_FILE },
        { "print-address", optional_argument, NULL, OPT_PRINT_ADDRESS },
        { "print-pid", optional_argument, NULL, OPT_PRINT_PID },
        { "address", optional_argument, NULL, OPT_ADDRESS },
        { "fork", no_argument, NULL, OPT_FORK },
        { "nofork", no_argument, NULL, OPT_NOFORK },
        { "nopidfile", no_argument, NULL, OPT_NOPIDFILE },
        { "syslog", no_argument, NULL, OPT_SYSLOG },
        { "nosyslog", no_argument, NULL, OPT_NOSYSLOG },
        { "syslog-only", no_argument, NULL, OPT_SYSLOG_ONLY },
        { "systemd-activation", no_argument, NULL, OPT_SYSTEMD_ACTIVATION },
        { "service-unit", required_argument, NULL, OPT_SERVICE_UNIT },
        { "introspect", no_argument, NULL, OPT_INTROSPECT },
        { "version", no_argument, NULL, OPT_VERSION },
        { "help", no_argument, NULL, OPT_HELP },
        { "workers", required_argument, NULL, OPT_WORKERS },
        { "spread", required_argument, NULL, OPT_SPREAD },
        { "console-dir", required_argument, NULL, OPT_CONSOLE_DIR },
        { "metrics", required_argument, NULL, OPT_METRICS },
        { "kdbus", required_argument, NULL, OPT_KDBUS },
        {},
};

void options_usage(void)
{
        fprintf(stderr,
                "lambus-daemon [--session] [--system] [--config-file=FILE]\n"
                "              [--print-address[=DESCRIPTOR]] [--print-pid[=DESCRIPTOR]]\n"
                "              [--address=ADDRESS] [--fork] [--nofork] [--nopidfile]\n"
                "              [--syslog] [--nosyslog] [--syslog-only] [--systemd-activation]\n"
                "              [--service-unit=TEMPLATE] [--workers=N] [--spread=WHEN]\n"
                "              [--console-dir=DIR] [--kdbus=DIRECTORY] [--metrics=ADDRESS]\n"
                "              [--introspect] [--version] [--help]\n");
}

/* The reference takes the next word as the value of these, too, unless it is a word of its own. */
static bool takes_next(const char *word)
{
        return !strcmp(word, "--print-address") || !strcmp(word, "--print-pid") ||
               !strcmp(word, "--config-file") || !strcmp(word, "--address");
}

static bool is_word(const char *arg)
{
        if (arg[0] != '-' || arg[1] != '-')
                return false;
        if (!strcmp(arg, "--print-address") || !strcmp(arg, "--print-pid"))
                return false; /* as there: a descriptor is expected in its place */
        for (size_t i = 0; words[i].name; i++) {
                size_t n = strlen(words[i].name);

                if (!strncmp(arg + 2, words[i].name, n) && (!arg[2 + n] || arg[2 + n] == '='))
                        return true;
        }
        return false;
}

/*
 * "--word value" becomes "--word=value", so that getopt_long() reads both forms: all words, one
 * after the other in one block of memory, and where each begins.
 */
static int join_values(struct options *o, int *out_n, int argc, char **argv)
{
        size_t size = (argc + 1) * sizeof(char *);
        bool joined = false;
        char *text;
        int n = 0;

        for (int i = 0; i < argc; i++)
                size += strlen(argv[i]) + 1;
        o->args = malloc(size);
        if (!o->args)
                return error_origin(-ENOMEM);
        text = (char *)(o->args + argc + 1);
        for (int i = 0; i < argc; i++) {
                if (!joined)
                        o->args[n++] = text;
                text = stpcpy(text, argv[i]) + 1;
                joined = !joined && i && takes_next(argv[i]) && i + 1 < argc &&
                         !is_word(argv[i + 1]);
                if (joined)
                        text[-1] = '=';
        }
        o->args[n] = NULL;
        *out_n = n;
        return 0;
}

static bool set_descriptor(int *fd, const char *word, const char *text)
{
        char *end;
        long v;

        if (*fd >= 0) {
                fprintf(stderr, "--%s is given twice: it already goes to descriptor %d\n", word,
                        *fd);
                return false;
        }
        if (!text) {
                *fd = 1;
                return true;
        }
        errno = 0;
        v = strtol(text, &end, 10);
        if (errno || end == text || *end || v < 0 || v > 65535 * 16) {
                fprintf(stderr, "Invalid file descriptor: \"%s\"\n", text);
                return false;
        }
        *fd = v;
        return true;
}

static enum options_action set_config(struct options *o, enum options_bus bus, const char *file)
{
        if (o->config_file)
                fprintf(stderr, "The configuration is to be %s already: --system, --session and "
                                "--config-file exclude each other\n",
                        o->config_file);
        if (o->config_file)
                return OPTIONS_FAILED;
        if (!file) {
                fprintf(stderr, "No configuration file specified.\n");
                return OPTIONS_USAGE;
        }
        o->config_file = file;
        o->bus = bus;
        return OPTIONS_RUN;
}

static bool set_workers(struct options *o, const char *text)
{
        char *end;
        unsigned long v = strtoul(text, &end, 10);

        if (*end || !v || v > GUARD_MAX_SLOTS) {
                fprintf(stderr, "--workers takes a number from 1 to %d\n", GUARD_MAX_SLOTS);
                return false;
        }
        o->workers = v;
        return true;
}

static bool set_spread(struct options *o, const char *text)
{
        static const char *const when[] = {
                [SPREAD_ON_DEMAND] = "demand",
                [SPREAD_ALWAYS] = "always",
                [SPREAD_RANDOM] = "random",
        };

        for (size_t i = 0; i < ARRAY_SIZE(when); i++) {
                if (strcmp(text, when[i]) == 0) {
                        o->spread = i;
                        return true;
                }
        }
        fprintf(stderr, "--spread takes \"demand\", \"always\" or \"random\"\n");
        return false;
}

/* "name@.service": what stands between is for systemd to judge */
static bool set_service_unit(struct options *o, const char *text)
{
        const char *at = strchr(text, '@');

        if (!at || at == text || strcmp(at, "@.service") != 0) {
                fprintf(stderr, "--service-unit takes the name of a template, as x@.service\n");
                return false;
        }
        o->service_unit = text;
        return true;
}

static enum options_action take(struct options *o, int word, char *value)
{
        switch (word) {
        case OPT_SESSION:
                return set_config(o, OPTIONS_BUS_SESSION, DBUS_DATADIR "/dbus-1/session.conf");
        case OPT_SYSTEM:
                return set_config(o, OPTIONS_BUS_SYSTEM, DBUS_DATADIR "/dbus-1/system.conf");
        case OPT_CONFIG_FILE:
                return set_config(o, OPTIONS_BUS_OTHER, value);
        case OPT_PRINT_ADDRESS:
                return set_descriptor(&o->print_address, "print-address", value) ? OPTIONS_RUN : OPTIONS_FAILED;
        case OPT_PRINT_PID:
                return set_descriptor(&o->print_pid, "print-pid", value) ? OPTIONS_RUN : OPTIONS_FAILED;
        case OPT_ADDRESS:
                o->address = value;
                return value ? OPTIONS_RUN : OPTIONS_USAGE;
        case OPT_FORK:
        case OPT_NOFORK:
                o->fork = word == OPT_FORK;
                return OPTIONS_RUN;
        case OPT_NOPIDFILE:
                o->nopidfile = true;
                return OPTIONS_RUN;
        case OPT_SYSLOG:
                o->log = OPTIONS_LOG_BOTH;
                return OPTIONS_RUN;
        case OPT_NOSYSLOG:
                o->log = OPTIONS_LOG_STDERR;
                return OPTIONS_RUN;
        case OPT_SYSLOG_ONLY:
                o->log = OPTIONS_LOG_SYSLOG;
                return OPTIONS_RUN;
        case OPT_SYSTEMD_ACTIVATION:
                o->systemd_activation = true;
                return OPTIONS_RUN;
        case OPT_SERVICE_UNIT:
                return set_service_unit(o, value) ? OPTIONS_RUN : OPTIONS_FAILED;
        case OPT_INTROSPECT:
                return OPTIONS_INTROSPECT;
        case OPT_VERSION:
                return OPTIONS_VERSION;
        case OPT_CONSOLE_DIR:
                o->console_dir = value;
                return OPTIONS_RUN;
        case OPT_METRICS:
                o->metrics = value;
                return OPTIONS_RUN;
        case OPT_WORKERS:
                return set_workers(o, value) ? OPTIONS_RUN : OPTIONS_FAILED;
        case OPT_SPREAD:
                return set_spread(o, value) ? OPTIONS_RUN : OPTIONS_FAILED;
        case OPT_KDBUS:
                o->kdbus = value;
                return OPTIONS_RUN;
        default:
                return OPTIONS_USAGE;
        }
}

enum options_action options_parse(struct options *o, int argc, char **argv)
{
        enum options_action action;
        int n = 0, word;

        *o = (struct options){ .print_address = -1, .print_pid = -1, .fork = -1 };
        if (join_values(o, &n, argc, argv))
                return OPTIONS_FAILED;
        opterr = 0;
        while ((word = getopt_long(n, o->args, "+h?", words, NULL)) != -1) {
                if (word == '?' && strcmp(o->args[optind - 1], "-?"))
                        fprintf(stderr, optopt ? "\"%s\" lacks a value, or takes none\n"
                                               : "\"%s\" is no option\n", o->args[optind - 1]);
                action = take(o, word, optarg);
                if (action != OPTIONS_RUN)
                        return action;
        }
        if (optind < n) {
                fprintf(stderr, "\"%s\" is one word too many\n", o->args[optind]);
                return OPTIONS_USAGE;
        }
        if (!o->config_file) {
                fprintf(stderr, "No configuration file specified.\n");
                return OPTIONS_USAGE;
        }
        return OPTIONS_RUN;
}

void options_deinit(struct options *o)
{
        free(o->args);
        o->args = NULL;
}
