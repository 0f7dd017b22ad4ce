/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Known differences
 *
 * What it is     A JSON file of differences that are known and intended, each with its reason:
 *
 *                    { "differences": [
 *                        { "cause": "surplus-answer:*",      as a shell pattern on a cause's key
 *                          "reference": "*dbus-daemon*",     optional patterns on the commands
 *                          "candidate": "*dbus-broker*",
 *                          "reason": "..." } ] }
 */

#include <jansson.h>

#include "tools/cause.h"

#define KNOWN_FILES_MAX 16U

struct known {
        json_t *files[KNOWN_FILES_MAX]; /* what the causes' reasons point into */
        size_t n;
        char error[512];
};

/* known_load() - read one more file; 0, 1 with known->error set, or a negative errno */
int known_load(struct known *known, const char *path);
void known_deinit(struct known *known);

/* known_apply() - give a reason to each cause that has one; returns how many have none */
size_t known_apply(const struct known *known, struct cause_list *causes, const char *reference,
                   const char *candidate);
