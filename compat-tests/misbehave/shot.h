/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Shot
 *
 * What it is     A message as bytes, made once and sent often: what a client needs that wants to
 *                send as fast as it can.
 * How            Little endian, whatever the machine; each firing has a serial of its own, which
 *                is patched in place.
 */

#include "compat-tests/client.h"

struct shot {
        uint8_t *bytes;
        size_t n;
};

/* shot_make() - from the text form of message.h; nothing in it is a default */
void shot_make(struct shot *shot, const char *format, ...) __attribute__((__format__(__printf__, 2, 3)));

/* shot_fire() - send all of it, and wait for room; 0, or a negative errno if the bus hung up */
int shot_fire(struct client *client, struct shot *shot);

/* shot_try() - send it if there is room: 1 sent, 0 no room, or a negative errno */
int shot_try(struct client *client, struct shot *shot);

/* swallow() - read and drop whatever there is; false if the bus hung up */
bool swallow(struct client *client);
