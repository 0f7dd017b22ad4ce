/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * View
 *
 * What it is     What a bus of any make tells of itself at one moment: what it is, and who does how
 *                much on it.
 * How            GetStats of org.freedesktop.DBus.Debug.Stats, with lambus's keys or dbus-broker's;
 *                where these are missing, the bus is asked for each connection. What a bus does not
 *                tell is left empty, and said in `missing`.
 * Form           The rows are those of shim/bus/stats.h, since that is what lambus sends. All else
 *                is JSON, with the keys that lambusctl(1) promises.
 */

#include <jansson.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "shim/bus/stats.h"

#define VIEW_VERSION 1 /* of the JSON; grows if a key changes its meaning */

struct view {
        uint64_t at;     /* CLOCK_MONOTONIC, microseconds */
        json_t *about;   /* an object: program, id, connections, limits, and so on */
        json_t *missing; /* texts: what is not known, and why */
        bool has_stats;  /* it tells statistics at all */
        bool has_counts; /* messages are counted */
        bool has_units;  /* and units told apart */
        struct stats stats;
};

#define VIEW_NULL ((struct view){})

/**
 * view_take() - ask a bus; VIEW_NULL before, view_deinit() after, also after a failure
 *
 * Return:      0, or a negative errno if the bus does not answer at all.
 */
int view_take(struct view *view, sd_bus *bus);

/**
 * view_read() - what is in an answer of GetStats, as tojson_next() makes it
 *
 * Return:      0; -ENOMEM. What is not as it should be is passed over.
 */
int view_read(struct view *view, const json_t *reply);
void view_deinit(struct view *view);

/* view_json() - all of it as an object, with at most @rows rows of each sort */
json_t *view_json(const struct view *view, size_t rows);

/* view_row_json() - one row, as there */
json_t *view_row_json(const struct stats_row *row, enum stats_kind kind);

/* view_user() - the name of a user whose uid is written in @uid; that itself if he has none */
const char *view_user(const char *uid, char *buf, size_t size);

/* view_kind_name() - "user", "unit", "process", "connection" */
const char *view_kind_name(enum stats_kind kind);
