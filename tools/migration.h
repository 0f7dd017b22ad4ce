/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Migration
 *
 * What it is     What lambusctl check-migration finds, for others who have to know.
 */

#include <jansson.h>
#include <stdbool.h>

/*
 * migration_look() - the findings for one bus, which is not asked itself: an array of objects with
 * severity, where, text and advice, as in the verb's JSON; NULL: they cannot be had
 */
json_t *migration_look(bool system);
