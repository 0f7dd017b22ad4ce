/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Messages
 *
 * What it is     The writing of whole messages, in either byte order: what a recorded message is
 *                copied into, and the few calls the kit itself makes.
 * How            message_begin(), the fields, message_body(), the values, message_end().
 */

#include <stdbool.h>
#include <stdint.h>

#include "shim/wire/header.h"
#include "tools/buf.h"

#define DRIVER_NAME "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"

/* message_field_is() - does a header field hold this text? */
bool message_field_is(const uint8_t *msg, struct span span, const char *s);

/* message_begin() - empty the buffer and write the fixed part */
void message_begin(struct buf *out, char endian, uint8_t type, uint8_t flags, uint32_t serial);
void message_text(struct buf *out, uint8_t code, char type, const void *s, size_t n);
void message_number(struct buf *out, uint8_t code, uint32_t v); /* 0: leaves the field out */

/* message_body() - end of the fields; returns where the body begins */
size_t message_body(struct buf *out);
void message_put_string(struct buf *out, size_t base, const char *s);
void message_end(struct buf *out, size_t base);

/**
 * message_call_driver() - a call to the bus with string arguments
 * @interface:  without it, the bus's own
 * @args:       NULL, or as many strings as the signature has
 */
int message_call_driver(struct buf *out, uint32_t serial, const char *interface,
                        const char *member, const char *signature, const char *const *args);
