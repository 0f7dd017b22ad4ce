/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Test kit of this room
 *
 * What it is     A runner, and bytes written by hand in either byte order. It knows nothing of the
 *                code under test: what is expected comes from the D-Bus specification.
 */

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct raw {
        uint8_t b[4096];
        size_t n;
        bool big; /* big-endian */
};

void raw_bytes(struct raw *raw, const void *data, size_t n);
void raw_u8(struct raw *raw, uint8_t v);
void raw_align(struct raw *raw, unsigned to);
/* Integers align themselves. */
void raw_u16(struct raw *raw, uint16_t v);
void raw_u32(struct raw *raw, uint32_t v);
void raw_u64(struct raw *raw, uint64_t v);
void raw_patch32(struct raw *raw, size_t at, uint32_t v);
void raw_string(struct raw *raw, const char *s);
void raw_signature(struct raw *raw, const char *s);

/*
 * raw_write() - write values from words: y7 q7 u7 t7 integers, s:text (also for paths), g:sig,
 * p8 padding to a multiple, x00ff bytes as they are, [ or [8 an array whose elements align to 8, ]
 */
void raw_write(struct raw *raw, const char *words);

/* Header fields, after raw_begin(); raw_end() closes the header. */
void raw_begin(struct raw *raw, uint8_t type);
void raw_field(struct raw *raw, uint8_t code, const char *type, const char *value);
void raw_field_u32(struct raw *raw, uint8_t code, uint32_t v);
void raw_end(struct raw *raw);

/* wire_run() - run the tests of one suite; what main() returns */
int wire_run(const char *name, const TTest *const *tests, size_t n);

#define WIRE_RUN(name, ...)                                                                        \
        wire_run(name, (const TTest *const[]){__VA_ARGS__},                                        \
                 sizeof((const TTest *const[]){__VA_ARGS__}) / sizeof(TTest *))
