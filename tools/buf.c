/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/wire/bytes.h"
#include "tools/buf.h"

void buf_deinit(struct buf *b)
{
        free(b->data);
        *b = BUF_NULL;
}

int buf_error(const struct buf *b)
{
        return b->failed ? error_origin(-ENOMEM) : 0;
}

uint8_t *buf_room(struct buf *b, size_t n)
{
        size_t size;
        uint8_t *p;

        if (b->failed)
                return NULL;
        if (b->data && b->size - b->end >= n)
                return b->data + b->end;
        if (b->start && b->size - buf_n(b) >= n + b->size / 2) {
                memmove(b->data, b->data + b->start, buf_n(b));
                b->end -= b->start;
                b->start = 0;
                return b->data + b->end;
        }
        size = MAX(MAX(2 * b->size, b->end + n), (size_t)256);
        p = realloc(b->data, size);
        if (!p) {
                b->failed = true;
                return NULL;
        }
        b->data = p;
        b->size = size;
        return b->data + b->end;
}

void buf_grown(struct buf *b, size_t n)
{
        b->end += n;
}

void buf_put(struct buf *b, const void *data, size_t n)
{
        uint8_t *p = buf_room(b, n);

        if (p && n) {
                memcpy(p, data, n);
                b->end += n;
        }
}

void buf_put8(struct buf *b, uint8_t v)
{
        buf_put(b, &v, 1);
}

void buf_put32(struct buf *b, uint32_t v, bool swap)
{
        uint8_t bytes[4];

        bytes_store32(bytes, v, swap);
        buf_put(b, bytes, sizeof(bytes));
}

void buf_align(struct buf *b, size_t base, size_t align)
{
        static const uint8_t zeros[8];
        size_t n = b->end - b->start - base;

        buf_put(b, zeros, ALIGN_TO(n, align) - n);
}

void buf_set32(struct buf *b, size_t at, uint32_t v, bool swap)
{
        if (!b->failed)
                bytes_store32(b->data + b->start + at, v, swap);
}

void buf_take(struct buf *b, size_t n)
{
        b->start += n;
        if (b->start == b->end)
                b->start = b->end = 0;
}

void buf_printf(struct buf *b, const char *format, ...)
{
        va_list args;
        uint8_t *p;
        int n;

        va_start(args, format);
        n = vsnprintf(NULL, 0, format, args);
        va_end(args);
        p = buf_room(b, (size_t)n + 1);
        if (!p)
                return;
        va_start(args, format);
        vsnprintf((char *)p, (size_t)n + 1, format, args);
        va_end(args);
        b->end += (size_t)n;
}

const char *buf_text(struct buf *b)
{
        uint8_t *p = buf_room(b, 1);

        if (!p)
                return "";
        *p = 0;
        return (const char *)buf_head(b);
}
