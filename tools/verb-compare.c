/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lambusctl compare
 *
 * The same recording on two buses, each in a sandbox of its own, one after the other; then what
 * the peers of both received is held side by side.
 */

#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "tools/diff.h"
#include "tools/known.h"
#include "tools/replay.h"
#include "tools/report.h"
#include "tools/sandbox.h"
#include "tools/verb.h"

#define FORMS_MAX 8

typedef int report_form(const struct report *report, FILE *to);

struct compare {
        const char *config;
        struct known known;
        bool no_known, recorded_pace, quiet;
        struct {
                report_form *form;
                const char *path;
                FILE *to; /* NULL: standard output */
        } forms[FORMS_MAX];
        size_t n_forms;
        struct recording rec;
        struct report report;
        const char *now; /* the command that is running, for the progress line */
};

static const char help[] =
        "Usage: lambusctl compare FILE [OPTION...]\n\n"
        "Replays a recording on two buses and shows what their clients would notice.\n"
        "Exit status: 0 no unexplained difference, 1 there are some, 2 it failed.\n\n"
        "      --reference=COMMAND  the one to measure by (default: dbus-daemon)\n"
        "      --candidate=COMMAND  the other one (default: lambus-daemon)\n"
        "                           a command line that takes dbus-daemon's options,\n"
        "                           dbus-broker, or the address of a running bus\n"
        "      --config=FILE        configuration for both (default: all is allowed)\n"
        "      --pace=recorded      in the time it took; default: as fast as possible\n"
        "      --known=FILE         known differences, a JSON file; may be repeated\n"
        "      --no-known           forget those that are installed\n"
        "      --json[=FILE], --junit[=FILE], --html[=FILE]\n"
        "                           the result in that form (default: standard output)\n"
        "  -q, --quiet              no text, only the exit status and files\n";

enum {
        OPT_REFERENCE = OPT_OWN,
        OPT_CANDIDATE,
        OPT_KNOWN,
        OPT_NO_KNOWN,
        OPT_JUNIT,
        OPT_HTML,
};

static const struct option options[] = {
        { "help", no_argument, NULL, OPT_HELP },
        { "reference", required_argument, NULL, OPT_REFERENCE },
        { "candidate", required_argument, NULL, OPT_CANDIDATE },
        { "config", required_argument, NULL, OPT_CONFIG },
        { "pace", required_argument, NULL, OPT_PACE },
        { "known", required_argument, NULL, OPT_KNOWN },
        { "no-known", no_argument, NULL, OPT_NO_KNOWN },
        { "json", optional_argument, NULL, OPT_JSON },
        { "junit", optional_argument, NULL, OPT_JUNIT },
        { "html", optional_argument, NULL, OPT_HTML },
        { "quiet", no_argument, NULL, 'q' },
        { NULL, 0, NULL, 0 },
};

static int add_form(struct compare *c, report_form *form, const char *path)
{
        if (c->n_forms == FORMS_MAX)
                return verb_fail("too many reports");
        c->forms[c->n_forms].form = form;
        c->forms[c->n_forms++].path = path;
        c->quiet = c->quiet || !path;
        return 0;
}

static int load_known(struct compare *c, const char *path)
{
        int r = known_load(&c->known, path);

        return r > 0 ? verb_fail("%s", c->known.error) : r ? verb_fail("%s", strerror(-r)) : 0;
}

static int take_option(void *verb, int opt)
{
        struct compare *c = verb;

        switch (opt) {
        case OPT_REFERENCE:
                c->report.reference.command = optarg;
                return 0;
        case OPT_CANDIDATE:
                c->report.candidate.command = optarg;
                return 0;
        case OPT_CONFIG:
                c->config = optarg;
                return 0;
        case OPT_PACE:
                return verb_pace(&c->recorded_pace);
        case OPT_KNOWN:
                return load_known(c, optarg);
        case OPT_NO_KNOWN:
                c->no_known = true;
                return 0;
        case OPT_JSON:
                return add_form(c, report_json, optarg);
        case OPT_JUNIT:
                return add_form(c, report_junit, optarg);
        case OPT_HTML:
                return add_form(c, report_html, optarg);
        case 'q':
                c->quiet = true;
                return 0;
        default:
                return VERB_FAILED;
        }
}

static void on_progress(void *context, uint64_t done, uint64_t total)
{
        const struct compare *c = context;
        char text[128];
        int bar = total ? (int)(30 * done / total) : 0;

        snprintf(text, sizeof(text), "%-20.20s [%.*s%.*s] %" PRIu64 "/%" PRIu64, c->now, bar,
                 "##############################", 30 - bar, "..............................",
                 done, total);
        verb_progress(text);
}

static int run_side(struct compare *c, struct report_side *side)
{
        _cleanup_(sandbox_freep) struct sandbox *sandbox = NULL;
        struct replay_options how = {
                .recorded_pace = c->recorded_pace,
                .stop = &verb_stop,
                .progress = on_progress,
                .context = c,
        };
        int r;

        c->now = side->command;
        r = sandbox_start(&sandbox, side->command, c->config, &c->rec);
        if (r)
                return verb_fail("%s", r > 0 ? sandbox->error : strerror(-r));
        how.address = sandbox->address;
        r = replay_run(&side->result, &c->rec, &how);
        verb_progress(NULL);
        if (r < 0)
                return verb_fail("%s: %s", side->command, strerror(-r));
        if (r)
                return verb_fail("%s: %s%s%s", side->command, side->result.error,
                                 sandbox_running(sandbox) ? "" : "; ", sandbox->error);
        if (!sandbox_running(sandbox))
                return verb_fail("%s", sandbox->error);
        return 0;
}

static int find_differences(struct compare *c)
{
        struct report *report = &c->report;
        struct diff_list diffs;
        int r;

        r = diff_transcripts(&diffs, &report->reference.result.transcript,
                             &report->candidate.result.transcript);
        if (!r)
                r = cause_find(&report->causes, &c->rec, &diffs, &report->reference.result,
                               &report->candidate.result);
        diff_list_deinit(&diffs);
        if (r)
                return verb_fail("comparing: %s", strerror(-r));
        report->n_unexplained = known_apply(&c->known, &report->causes, report->reference.command,
                                            report->candidate.command);
        return 0;
}

/* before anything is replayed, so that nobody waits to learn that there is no such directory */
static int open_forms(struct compare *c)
{
        bool to_stdout = false;

        for (size_t i = 0; i < c->n_forms; i++) {
                const char *path = c->forms[i].path;

                if (!path && to_stdout)
                        return verb_fail("only one report can go to standard output: "
                                         "--json=FILE, --html=FILE");
                to_stdout = to_stdout || !path;
                c->forms[i].to = path ? fopen(path, "we") : NULL;
                if (path && !c->forms[i].to)
                        return verb_fail("%s: %s", path, strerror(errno));
        }
        return 0;
}

static int write_form(const struct compare *c, report_form *form, const char *path, FILE *to)
{
        int r = form(&c->report, to ? to : stdout);

        if (fflush(to ? to : stdout))
                r = r ? r : -errno;
        return r ? verb_fail("%s: %s", path ? path : "standard output", strerror(-r)) : 0;
}

static int write_forms(const struct compare *c)
{
        int r = 0;

        for (size_t i = 0; i < c->n_forms && !r; i++)
                r = write_form(c, c->forms[i].form, c->forms[i].path, c->forms[i].to);
        if (!r && !c->quiet)
                r = write_form(c, report_text, NULL, NULL);
        return r;
}

static void close_forms(struct compare *c)
{
        for (size_t i = 0; i < c->n_forms; i++)
                if (c->forms[i].to)
                        fclose(c->forms[i].to);
}

static int run(struct compare *c, const char *path)
{
        static const char installed[] = DATADIR "/lambus/known-differences.json";
        int r;

        if (!c->no_known && !access(installed, R_OK)) {
                r = load_known(c, installed);
                if (r)
                        return r;
        }
        r = recording_open(&c->rec, path, NULL);
        if (r)
                return verb_fail("%s", r > 0 ? c->rec.error : strerror(-r));
        r = open_forms(c);
        if (r)
                return r;
        verb_warn_recording(&c->rec);
        verb_stop_at_signals();
        r = run_side(c, &c->report.reference);
        if (!r)
                r = run_side(c, &c->report.candidate);
        if (!r)
                r = find_differences(c);
        if (!r)
                r = write_forms(c);
        return r ? r : c->report.n_unexplained ? VERB_FOUND : VERB_OK;
}

static const struct verb_options verb = {
        .options = options,
        .letters = "q",
        .help = help,
        .max_words = 1,
        .take = take_option,
};

int verb_compare(int argc, char **argv)
{
        struct compare c = { .report.reference.command = "dbus-daemon",
                             .report.candidate.command = "lambus-daemon" };
        int r;

        c.report.rec = &c.rec;
        r = verb_read_options(&verb, &c, argc, argv);
        if (!r && optind != argc - 1)
                r = verb_fail("compare takes one recording; see 'lambusctl compare --help'");
        if (!r && (replay_result_init(&c.report.reference.result) ||
                   replay_result_init(&c.report.candidate.result)))
                r = verb_fail("cannot make a temporary file: %s", strerror(errno));
        if (!r)
                r = run(&c, argv[optind]);
        close_forms(&c);
        cause_list_deinit(&c.report.causes);
        replay_result_deinit(&c.report.reference.result);
        replay_result_deinit(&c.report.candidate.result);
        recording_close(&c.rec);
        known_deinit(&c.known);
        return MAX(r, 0);
}
