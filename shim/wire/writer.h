/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Writer
 *
 * What it is     Builds one message, in the byte order of this machine, in one growing buffer.
 * How            init, then header fields, then writer_body() with the body's signature, then one
 *                call per value, then writer_finish(). Nothing needs to be checked between: the
 *                first error sticks and writer_finish() returns it.
 * Promise        What comes out passes header_parse() and body_validate(): each value is held
 *                against the signature, and text that is not UTF-8 gets its odd bytes replaced by
 *                '?', since it is ours (a file name, a reason) and must not cost the client its
 *                connection.
 * Not promised   That names and paths are legal: pass only what was judged or is a constant.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus-core/util/cleanup.h"
#include "shim/wire/header.h"

#define WRITER_DEPTH_MAX 16U /* containers open at a time */

struct writer_frame {
        char kind;                     /* 'a', '(', '{', 'v'; 0: the body */
        const char *elem, *next, *end; /* signature: from its start; still to come */
        size_t length_at, start;       /* array: where its length goes, where elements begin */
};

struct writer {
        uint8_t *buf;
        size_t n, size;
        size_t body; /* where the body begins; 0: still in the header */
        int error;   /* -ENOMEM, -EMSGSIZE, or -EINVAL for a value that the signature forbids */
        struct header h;
        unsigned depth;
        struct writer_frame frames[WRITER_DEPTH_MAX + 1];
        char sig[256]; /* of the body, and behind it of the open variants */
        size_t sig_n;
};
#define WRITER_NULL ((struct writer){0})

void writer_init(struct writer *w, uint8_t type, uint8_t flags, uint32_t serial);
/* writer_deinit() - also after writer_finish(), and on WRITER_NULL */
void writer_deinit(struct writer *w);

/* Header fields, each at most once; NULL and 0 mean: leave the field out. */
void writer_field(struct writer *w, uint8_t code, const char *text);
void writer_field_n(struct writer *w, uint8_t code, const char *text, size_t n);
void writer_field_u32(struct writer *w, uint8_t code, uint32_t v);

/* writer_body() - the header is complete; values of this signature follow. NULL or "": none do */
void writer_body(struct writer *w, const char *signature);

void writer_byte(struct writer *w, uint8_t v);
void writer_bool(struct writer *w, bool v);
void writer_i16(struct writer *w, int16_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_i32(struct writer *w, int32_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_i64(struct writer *w, int64_t v);
void writer_u64(struct writer *w, uint64_t v);
void writer_double(struct writer *w, double v);
void writer_fd(struct writer *w, uint32_t index);
void writer_string(struct writer *w, const char *s);
void writer_string_n(struct writer *w, const char *s, size_t n);
void writer_path(struct writer *w, const char *s);
void writer_path_n(struct writer *w, const char *s, size_t n);
void writer_signature(struct writer *w, const char *s);

/* writer_bytes() - a whole array of bytes */
void writer_bytes(struct writer *w, const void *data, size_t n);

/**
 * writer_open() - begin a container
 * @w:          writer
 * @kind:       'a', '(', '{' or 'v'
 * @contents:   of 'v' the signature of its one value; else not looked at
 */
void writer_open(struct writer *w, char kind, const char *contents);
/* writer_close() - end the innermost container */
void writer_close(struct writer *w);

/* writer_dict_*() - an entry of a{sv}, whole */
void writer_dict_u32(struct writer *w, const char *key, uint32_t v);
void writer_dict_string(struct writer *w, const char *key, const char *v);
void writer_dict_bytes(struct writer *w, const char *key, const void *data, size_t n);

/**
 * writer_finish() - the message is complete
 * @w:          writer, empty afterwards
 * @out_bytes:  the message; caller frees
 * @out_n:      its size
 * @out_header: NULL, or filled as header_parse() would
 *
 * Return: 0 or a negative errno; then nothing was written to the out-pointers.
 */
int writer_finish(struct writer *w, uint8_t **out_bytes, size_t *out_n, struct header *out_header);
