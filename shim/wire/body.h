/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Body
 *
 * What it is     The judge of marshalled values: does a body hold what its signature says, by
 *                every rule of the wire format.
 * Promise        One pass. Time is linear in the bytes read, whatever the signature: arrays of
 *                fixed-size elements are stepped over in one go (booleans excepted), text runs at
 *                memory speed. The stack is constant; no input recurses.
 * Not promised   That a UNIX_FD index is below the number of descriptors: the reference does not
 *                ask that either, and the receiver has to.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BODY_ARGS_MAX 64U /* match rules know arg0 to arg63 */

/* The leading top-level arguments, which match rules look at. */
struct body_args {
        uint8_t n;
        struct body_arg {
                char type; /* type code; of a container its first */
                uint32_t off, len; /* of s, o, g: the text in the body, NUL not counted; else 0 */
        } arg[BODY_ARGS_MAX];
};

/**
 * body_validate() - judge a body
 * @signature:  its valid signature, need not be NUL-terminated; may be NULL if empty
 * @siglen:     length of the signature, at most TYPE_SIGNATURE_MAX
 * @swap:       the body's byte order is not ours
 * @body:       the body; alignment is counted from here
 * @n:          its size in bytes
 * @args:       NULL, or filled on success with the leading arguments
 *
 * Return: 0, or the WIRE_E_* rule broken.
 */
int body_validate(const char *signature, size_t siglen, bool swap, const uint8_t *body, size_t n,
                  struct body_args *args);

/**
 * body_skip() - judge and step over values that begin inside other bytes
 * @signature:  what is there, valid
 * @siglen:     length of the signature
 * @swap:       the byte order is not ours
 * @base:       alignment is counted from here
 * @pos:        where the values begin; on success behind their last byte
 * @end:        the values end here at the latest
 * @depth:      containers already around them
 *
 * Return: 0, or the WIRE_E_* rule broken.
 */
int body_skip(const char *signature, size_t siglen, bool swap, const uint8_t *base, uint32_t *pos,
              uint32_t end, unsigned depth);
