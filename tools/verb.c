/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/recording.h"
#include "tools/verb.h"

int verb_fail(const char *format, ...)
{
        va_list args;

        verb_progress(NULL);
        fprintf(stderr, "lambusctl: ");
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        fputc('\n', stderr);
        return VERB_FAILED;
}

int verb_read_options(const struct verb_options *options, void *verb, int argc, char **argv)
{
        int opt, r = 0;

        optind = 0;
        while (!r && (opt = getopt_long(argc, argv, options->letters, options->options, NULL)) != -1) {
                if (opt == OPT_HELP) {
                        fputs(options->help, stdout);
                        return VERB_DONE;
                }
                r = opt == '?' ? VERB_FAILED : options->take(verb, opt);
        }
        if (!r && argc - optind > options->max_words)
                r = verb_fail("'%s' is one word too many", argv[optind + options->max_words]);
        return r;
}

int verb_pace(bool *recorded)
{
        *recorded = !strcmp(optarg, "recorded");
        if (*recorded || !strcmp(optarg, "fast"))
                return 0;
        return verb_fail("--pace: 'recorded' or 'fast', not %s", optarg);
}

struct unit {
        const char *name;
        uint64_t factor;
};

static bool parse_with_unit(const char *text, const struct unit *units, size_t n, uint64_t *out)
{
        unsigned long long v;
        char *end;

        if (*text < '0' || *text > '9')
                return false;
        errno = 0;
        v = strtoull(text, &end, 10);
        for (size_t i = 0; i < n && !errno; i++)
                if (!strcmp(end, units[i].name))
                        return !__builtin_mul_overflow(v, units[i].factor, out);
        return false;
}

bool verb_duration(const char *text, uint64_t *out)
{
        static const struct unit units[] = {
                { "", UINT64_C(1000000000) },         { "s", UINT64_C(1000000000) },
                { "ms", UINT64_C(1000000) },          { "m", UINT64_C(60000000000) },
                { "min", UINT64_C(60000000000) },     { "h", UINT64_C(3600000000000) },
        };

        return parse_with_unit(text, units, ARRAY_SIZE(units), out);
}

bool verb_size(const char *text, uint64_t *out)
{
        static const struct unit units[] = {
                { "", 1 }, { "K", 1 << 10 }, { "M", 1 << 20 }, { "G", 1 << 30 },
        };

        return parse_with_unit(text, units, ARRAY_SIZE(units), out);
}

void verb_warn_recording(const struct recording *rec)
{
        if (rec->truncated)
                verb_fail("warning: %s ends in the middle of a packet; using what is there",
                          rec->path);
        if (!rec->has_meta)
                verb_fail("warning: %s was not made by lambusctl record: names and rules from "
                          "before its first message are unknown", rec->path);
}

volatile sig_atomic_t verb_stop;

static void on_stop(int signal)
{
        verb_stop = 1;
}

void verb_stop_at_signals(void)
{
        const struct sigaction action = { .sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND };

        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
}

void verb_progress(const char *text)
{
        static bool shown;

        if (!isatty(STDERR_FILENO) || (!text && !shown))
                return;
        fprintf(stderr, "\r\033[K%s", text ? text : "");
        fflush(stderr);
        shown = text;
}
