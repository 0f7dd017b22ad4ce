/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Places
 *
 * What it is     Where a configuration comes from, watched for changes: its files, the directories
 *                it includes, those of services, and where these would be if they are missing.
 * Promise        1. Only what the next reading would see counts as a change: a configuration file
 *                   by its name, *.conf in included directories, *.service in those of services.
 *                2. A directory that comes to be is noticed.
 *                3. Directories that are for passing changes (SERVICE_DIR_UNWATCHED) are left alone.
 * How            inotify, on directories: files are replaced more often than written.
 */

#include <stdbool.h>
#include <stddef.h>

struct busconfig;

struct place {
        int wd;
        char *dir;
};

struct places {
        int fd; /* -1: nothing is watched; readable when something has happened */
        struct place *v;
        size_t n;
};

int places_init(struct places *places);
void places_deinit(struct places *places);

/* places_watch() - watch what @config was read from, and nothing else; what fails is not watched */
void places_watch(struct places *places, const struct busconfig *config, const char *root);

/* places_changed() - take all events; is one of them a change? */
bool places_changed(struct places *places, const struct busconfig *config, const char *root);
