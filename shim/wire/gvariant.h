/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * GVariant
 *
 * What it is     The other way to lay out D-Bus values in bytes, which D-Bus over kdbus uses, and
 *                the change from one to the other.
 *
 *                    D-Bus      lengths come first, text has them too, structs start at 8
 *                    GVariant   bounds come last: a container of members whose size is not fixed
 *                               ends in a table of their ends, in words as wide as its own size
 *                               needs; a variant ends in a NUL and its type
 *
 * Promise        1. What was D-Bus and valid comes back the same, byte by byte.
 *                2. Only the one normal form is read: padding is zero, words are as narrow as can
 *                   be, members follow each other without gaps. The result passes body_validate().
 *                3. No input recurses or reads outside its bytes; time and memory are linear.
 * How            A body is the struct of its arguments: its type is the signature in parentheses.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* bytes that grow; errors stick */
struct gvariant_buf {
        uint8_t *data;
        size_t n, size;
        int error;
};
#define GVARIANT_BUF_NULL ((struct gvariant_buf){0})

void gvariant_buf_deinit(struct gvariant_buf *b);
void *gvariant_buf_add(struct gvariant_buf *b, size_t n); /* zeroed; NULL on error */
void gvariant_buf_put(struct gvariant_buf *b, const void *data, size_t n);
void gvariant_buf_align(struct gvariant_buf *b, size_t align);

/* gvariant_word() - width of the offsets in a container of @size bytes, which has some */
unsigned gvariant_word(uint64_t size);

/* gvariant_word_for() - the same, before @n_offsets of them are added to @size bytes */
unsigned gvariant_word_for(uint64_t size, uint64_t n_offsets);

uint64_t gvariant_get_word(const uint8_t *at, unsigned width);
void gvariant_put_word(struct gvariant_buf *b, uint64_t value, unsigned width);

/**
 * gvariant_from_body() - append a D-Bus body as a GVariant
 * @out:        at a multiple of 8; alignment is counted from its start
 * @signature:  of the body, valid
 * @swap:       the body's byte order is not ours; the GVariant's is
 * @body:       accepted by body_validate()
 *
 * Return: 0, -EINVAL if the body was not valid after all, or -ENOMEM.
 */
int gvariant_from_body(struct gvariant_buf *out, const char *signature, size_t siglen, bool swap,
                       const uint8_t *body, size_t n);

/**
 * gvariant_fixed_size() - of the struct of a signature's types, if it is the same for all values
 * @size:       0 if not
 *
 * Return: 0, or -ENOMEM.
 */
int gvariant_fixed_size(size_t *size, const char *signature, size_t siglen);

/**
 * gvariant_to_body() - append a GVariant as a D-Bus body
 * @out:        at a multiple of 8
 * @signature:  of the body, valid; the value is a struct of its types
 * @value:      8-aligned in whatever it is part of
 *
 * Return: 0, -EBADMSG if it is not in normal form or breaks a rule of D-Bus, or -ENOMEM.
 */
int gvariant_to_body(struct gvariant_buf *out, const char *signature, size_t siglen,
                     const uint8_t *value, size_t n);
