/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Scenario
 *
 * What it is     One row of a table: a sentence, and the conversation (talk.h) or the function
 *                that shows whether the sentence is true of the bus under test.
 * How            Each row is a Check test: forked, timed, with a bus of its own. SCENARIO=text
 *                runs the rows whose sentence contains the text.
 * Differences    A scenario asks differs() only where differences.h has a row for it.
 */

#include <stdbool.h>
#include <stddef.h>

#include "compat-tests/fixture.h"

struct scenario {
        const char *name;
        const char *const *talk;
        void (*run)(struct bus *bus);   /* instead of a talk; the bus is up */
        void (*run_alone)(void);        /* instead of both; no bus is up */
        struct bus_options options;
        bool needs_root;
};

#define TALK(...) .talk = (const char *const[]){ __VA_ARGS__, NULL }

int scenarios_run(const char *topic, const struct scenario *scenarios, size_t n_scenarios);
bool differs(const char *id);

const char *scenario_dir(void);
const char *scenario_service(void);
