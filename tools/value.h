/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Values
 *
 * What it is     A walk over the values of a message body, in either byte order, which can write
 *                them out again with some of them replaced.
 * How            Each value without values inside is shown to a hook. An array of numbers is one
 *                such value: it may be a megabyte of bytes. Lengths and padding follow from what
 *                the hooks put in their place.
 * Not promised   Judgement: the body has passed body_validate().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/wire/header.h"
#include "tools/buf.h"

struct value {
        char type;     /* code of a basic type */
        bool array;    /* all elements of an array of that type */
        const void *data; /* text without its NUL, or numbers in the body's byte order */
        size_t n;
};

struct value_hooks {
        /* may change what @v points to; the new data must live until the next call */
        int (*leaf)(void *context, struct value *v);
        /* a container begins: 'a', 'r' for struct, 'e' for dict entry, 'v'; may be NULL */
        int (*enter)(void *context, char type, const char *signature, size_t n);
        /* it ends; NULL if enter is */
        int (*leave)(void *context, char type);
        void *context;
};

/**
 * value_walk() - go over a body
 * @out:        NULL, or where the values are written to; aligned from its present end
 * @signature:  of the body
 * @swap:       its byte order is not ours
 *
 * Return:      0, -EBADMSG if the body does not fit the signature, -ENOMEM, or what a hook said.
 */
int value_walk(struct buf *out, const char *signature, size_t n_signature, bool swap,
               const uint8_t *body, size_t n, const struct value_hooks *hooks);

/* value_describe() - the body as text: one value per line, its place before it */
int value_describe(struct buf *out, const char *signature, size_t n_signature, bool swap,
                   const uint8_t *body, size_t n);
