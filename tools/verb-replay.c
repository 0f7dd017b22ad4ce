/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lambusctl replay
 *
 * A recording on one bus: does it come through, and how fast.
 */

#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/replay.h"
#include "tools/sandbox.h"
#include "tools/verb.h"

struct play {
        const char *on, *config;
        bool recorded_pace, quiet;
};

static const char help[] =
        "Usage: lambusctl replay FILE --on=COMMAND|ADDRESS [OPTION...]\n\n"
        "Acts a recording out: its peers connect, own their names, add their rules and send\n"
        "their messages, none before what caused it has arrived.\n\n"
        "      --on=COMMAND      a bus to start in a sandbox (default: lambus-daemon)\n"
        "      --on=ADDRESS      a bus that is there\n"
        "      --config=FILE     configuration for it (default: all is allowed)\n"
        "      --pace=recorded   in the time it took; default: as fast as possible\n"
        "  -q, --quiet           no summary, only the exit status: 1 if messages were lost\n";

enum { OPT_ON = OPT_OWN };

static const struct option options[] = {
        { "help", no_argument, NULL, OPT_HELP },
        { "on", required_argument, NULL, OPT_ON },
        { "config", required_argument, NULL, OPT_CONFIG },
        { "pace", required_argument, NULL, OPT_PACE },
        { "quiet", no_argument, NULL, 'q' },
        { NULL, 0, NULL, 0 },
};

static int take_option(void *verb, int opt)
{
        struct play *p = verb;

        switch (opt) {
        case OPT_ON:
                p->on = optarg;
                return 0;
        case OPT_CONFIG:
                p->config = optarg;
                return 0;
        case OPT_PACE:
                return verb_pace(&p->recorded_pace);
        case 'q':
                p->quiet = true;
                return 0;
        default:
                return VERB_FAILED;
        }
}

static void on_progress(void *context, uint64_t done, uint64_t total)
{
        char text[96];

        snprintf(text, sizeof(text), "replaying %" PRIu64 "/%" PRIu64, done, total);
        verb_progress(text);
}

static void summary(const struct replay_result *r)
{
        double seconds = (double)r->duration_ns / 1e9;

        printf("%" PRIu64 " sent, %" PRIu64 " received in %.2f s (%.0f a second)\n", r->n_sent,
               r->n_received, seconds, (double)r->n_received / seconds);
        printf("round trip: median %.0f us, 99 %% below %.0f us\n",
               (double)histogram_quantile(&r->latency.all_round, 0.5) / 1000,
               (double)histogram_quantile(&r->latency.all_round, 0.99) / 1000);
        if (r->n_lost)
                printf("%" PRIu64 " messages did not arrive where they did when recorded\n",
                       r->n_lost);
        if (r->n_ignored)
                printf("%" PRIu64 " messages of monitors were left out\n", r->n_ignored);
}

static int run(const struct play *p, struct recording *rec, struct replay_result *result)
{
        _cleanup_(sandbox_freep) struct sandbox *sandbox = NULL;
        struct replay_options how = { .recorded_pace = p->recorded_pace, .stop = &verb_stop,
                                      .progress = on_progress };
        int r;

        verb_warn_recording(rec);
        verb_stop_at_signals();
        r = sandbox_start(&sandbox, p->on, p->config, rec);
        if (r)
                return verb_fail("%s", r > 0 ? sandbox->error : strerror(-r));
        how.address = sandbox->address;
        r = replay_run(result, rec, &how);
        if (r)
                return verb_fail("%s", r > 0 ? result->error : strerror(-r));
        verb_progress(NULL);
        if (!p->quiet)
                summary(result);
        return result->n_lost ? VERB_FOUND : VERB_OK;
}

static const struct verb_options verb = {
        .options = options,
        .letters = "q",
        .help = help,
        .max_words = 1,
        .take = take_option,
};

int verb_replay(int argc, char **argv)
{
        struct play p = { .on = "lambus-daemon" };
        struct replay_result result;
        struct recording rec = { 0 };
        int r;

        r = verb_read_options(&verb, &p, argc, argv);
        if (r)
                return MAX(r, 0);
        if (optind != argc - 1)
                return verb_fail("replay takes one recording; see 'lambusctl replay --help'");
        r = replay_result_init(&result);
        if (r)
                return verb_fail("cannot make a temporary file: %s", strerror(-r));
        r = recording_open(&rec, argv[optind], NULL);
        r = r ? verb_fail("%s", r > 0 ? rec.error : strerror(-r)) : run(&p, &rec, &result);
        replay_result_deinit(&result);
        recording_close(&rec);
        return r;
}
