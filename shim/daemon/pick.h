/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pick
 *
 * What it is     Which connections a worker gives away so that a share of its work goes with them.
 * How            The busiest first, each with those it talks to at the moment; who weighs more than
 *                is wanted, with its company, stays. If that is far from enough, they go alone.
 * Promise        What goes weighs at most half as much again as was wanted: moving half of the
 *                difference between two workers never makes it larger, so that nothing swings.
 * Guard          None: values in, values out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PICK_PARTNERS 8

struct pick {
        const void *who;
        uint64_t weight;
        const void *partners[PICK_PARTNERS]; /* those that are not in the list do not matter */
        size_t n_partners;
        bool goes;
};

/* pick_some() - set pick.goes; sorts the list. Returns the weight of what goes, or a negative errno. */
int64_t pick_some(struct pick *list, size_t n, uint64_t wanted);
