/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Top
 *
 * What it is     Who does how much on a bus, again and again: what verb-top.c and the screen share.
 * How            top_look() takes the next view and makes rates of it and the last one; a change of
 *                what is shown, top_again(), makes them of the same two.
 */

#include "tools/rates.h"

#define TOP_HEADER 4 /* lines above the table's head */

struct top {
        sd_bus *bus;
        uint64_t delay;      /* microseconds between two looks */
        uint64_t iterations; /* 0: no end */
        enum rates_by by;
        enum rates_sort sort;
        bool sort_given;
        struct view before, now;
        struct rates rates;
};

/* top_look() - 0; -ENOTCONN if the bus has gone, or another negative errno */
int top_look(struct top *top);
int top_again(struct top *top);

/* top_header() - line @i of TOP_HEADER, at most @width characters */
void top_header(const struct top *top, size_t i, char *buf, size_t size, size_t width);

/*
 * top_screen() - show it on the terminal until the user has seen enough, or as often as was asked.
 * A negative errno if the bus has gone; 1 if there can be no such screen here. The terminal is left
 * as it was found.
 */
int top_screen(struct top *top);
