/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * To JSON
 *
 * What it is     The body of a D-Bus message as JSON: a dictionary with texts as keys is an object,
 *                with other keys likewise, these being written as texts; arrays and structs are
 *                arrays, a variant is what is in it, an array of bytes is a text up to its NUL,
 *                and a descriptor is null.
 */

#include <jansson.h>
#include <systemd/sd-bus.h>

/* tojson_next() - the next value; NULL: there is none, or no memory */
json_t *tojson_next(sd_bus_message *m);
