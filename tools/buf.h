/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Buffer
 *
 * What it is     Bytes that grow at the end and are taken away at the front.
 * How            An append that finds no memory marks the buffer as failed and does nothing from
 *                then on; who builds something asks buf_error() once, at the end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus-core/util/cleanup.h"

struct buf {
        uint8_t *data;
        size_t start; /* first byte not yet taken */
        size_t end;
        size_t size;
        bool failed;
};

#define BUF_NULL ((struct buf){ 0 })

void buf_deinit(struct buf *b);

static inline const uint8_t *buf_head(const struct buf *b)
{
        return b->data ? b->data + b->start : NULL;
}

static inline size_t buf_n(const struct buf *b)
{
        return b->end - b->start;
}

static inline void buf_reset(struct buf *b)
{
        b->start = b->end = 0;
        b->failed = false;
}

/* buf_error() - 0, or -ENOMEM if anything was lost since buf_reset() */
int buf_error(const struct buf *b);

/* buf_room() - NULL, or room for n bytes behind the end, which buf_grown() then counts in */
uint8_t *buf_room(struct buf *b, size_t n);
void buf_grown(struct buf *b, size_t n);

void buf_put(struct buf *b, const void *data, size_t n);
void buf_put8(struct buf *b, uint8_t v);
void buf_put32(struct buf *b, uint32_t v, bool swap);

/* buf_align() - zeros up to the next multiple of @align, counted from offset @base */
void buf_align(struct buf *b, size_t base, size_t align);
void buf_set32(struct buf *b, size_t at, uint32_t v, bool swap);
void buf_take(struct buf *b, size_t n);

/* buf_printf() - append text, without its NUL */
_printf_(2, 3) void buf_printf(struct buf *b, const char *format, ...);

/* buf_text() - what is there as a string, valid until the next change; "" if that fails */
const char *buf_text(struct buf *b);
