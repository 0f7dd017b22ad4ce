/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reader
 *
 * What it is     Typed reads from a body that body_validate() has accepted.
 * How            A cursor over signature and bytes. Containers are entered and left; what was not
 *                read of one when it is left is stepped over.
 * Promise        Each call returns 0, or a positive WIRE_E_* and then has not moved:
 *                WIRE_E_MISMATCH if something else is there, or nothing. Strings are borrowed from
 *                the body and end in a NUL.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/wire/header.h"
#include "shim/wire/type.h"

struct reader_frame {
        const char *next, *stop, *elem;
        uint32_t end;
        char kind;
};

struct reader {
        const uint8_t *body;
        uint32_t pos;
        bool swap;
        unsigned depth;
        struct reader_frame frames[TYPE_DEPTH_MAX + 1]; /* [depth] is the innermost */
};

void reader_init(struct reader *r, const char *signature, size_t siglen, bool swap,
                 const uint8_t *body, size_t n);

/* reader_init_message() - the same for the body of a whole message */
void reader_init_message(struct reader *r, const struct header *h, const uint8_t *msg);

/* reader_peek() - type code of what comes next here, 0 at the end of the container or body */
char reader_peek(struct reader *r);

int reader_byte(struct reader *r, uint8_t *out);
int reader_bool(struct reader *r, bool *out);
int reader_i16(struct reader *r, int16_t *out);
int reader_u16(struct reader *r, uint16_t *out);
int reader_i32(struct reader *r, int32_t *out);
int reader_u32(struct reader *r, uint32_t *out);
int reader_i64(struct reader *r, int64_t *out);
int reader_u64(struct reader *r, uint64_t *out);
int reader_double(struct reader *r, double *out);
int reader_fd(struct reader *r, uint32_t *out_index);
/* The length may be asked for: out_n is NULL or receives it. */
int reader_string(struct reader *r, const char **out, size_t *out_n);
int reader_path(struct reader *r, const char **out, size_t *out_n);
int reader_signature(struct reader *r, const char **out, size_t *out_n);

/* reader_bytes() - a whole array of bytes, borrowed */
int reader_bytes(struct reader *r, const uint8_t **out, size_t *out_n);

/* reader_enter() - go into the container that is next: 'a', '(', '{' or 'v' */
int reader_enter(struct reader *r, char kind);
/* reader_leave() - go on behind the innermost container, wherever in it the cursor is */
int reader_leave(struct reader *r);
/* reader_skip() - step over one complete value */
int reader_skip(struct reader *r);
