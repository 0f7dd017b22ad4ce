/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Metadata of a capture
 *
 * What it is     What a recording knows beside the messages: who was on the bus when it began,
 *                under which names, with which rules and credentials.
 * How            Each fact is a signal of its own, written into the capture like any message, so
 *                that the file stays one file and every other reader opens it. No bus ever carried
 *                them: interface org.lambus.Capture1, all arguments are strings.
 *
 *                    Start(version, address, bus id)
 *                    Peer(unique name, uid, pid, executable, command line)
 *                    Owner(name, unique name ...)      in the order of the queue
 *                    Rule(unique name, rule)
 *                    Activatable(name)
 */

#include <stdbool.h>

#include "shim/wire/header.h"
#include "tools/buf.h"

#define META_INTERFACE "org.lambus.Capture1"
#define META_PATH "/org/lambus/Capture1"
#define META_SENDER "org.lambus.Capture"
#define META_ARGS_MAX 250 /* a signature has room for no more */

/* meta_write() - one fact as a message; @args ends with NULL */
int meta_write(struct buf *out, const char *member, const char *const *args);

/* meta_is() - is this message such a fact? */
bool meta_is(const uint8_t *msg, const struct header *h);

/**
 * meta_read() - the arguments of a fact
 * @args:       META_ARGS_MAX + 1 places; filled with pointers into @msg, ends with NULL
 *
 * Return:      how many.
 */
int meta_read(const uint8_t *msg, const struct header *h, const char **args);
