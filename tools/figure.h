/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Figure
 *
 * What it is     Numbers, times and foreign texts as a person reads them in a terminal.
 * Promise        What came from a program on the bus cannot steer the terminal: control characters
 *                become '?'.
 */

#include <stddef.h>
#include <stdint.h>

#define FIGURE_MAX 32 /* bytes for a number or a time */

/* figure_count() - four or five characters: "0", "0.3", "17", "9999", "12.3k", "1.2M" */
const char *figure_count(char buf[FIGURE_MAX], double n);

/* figure_bytes() - "0", "999", "1.2K", "34M": for a column, with the unit in its head */
const char *figure_bytes(char buf[FIGURE_MAX], double n);

/* figure_size() - the same for a sentence: "999 B", "1.2 KiB" */
const char *figure_size(char buf[FIGURE_MAX], double n);

/* figure_time() - "0 s", "59 s", "3 min", "2 h 5 min", "3 d 4 h" */
const char *figure_time(char buf[FIGURE_MAX], uint64_t usec);

/**
 * figure_text() - a text of others, cut to @width characters
 * @buf:        @size bytes; more than @width, for characters may have several
 *
 * Return:      how many characters there are.
 */
size_t figure_text(char *buf, size_t size, const char *text, size_t width);
