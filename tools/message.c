/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <string.h>

#include "bus-core/util/error.h"
#include "shim/wire/bytes.h"
#include "tools/message.h"

static bool swapped(const struct buf *out)
{
        return buf_n(out) && *buf_head(out) != (uint8_t)bytes_native();
}

bool message_field_is(const uint8_t *msg, struct span span, const char *s)
{
        return span.off && span.len == strlen(s) && !memcmp(msg + span.off, s, span.len);
}

void message_begin(struct buf *out, char endian, uint8_t type, uint8_t flags, uint32_t serial)
{
        const uint8_t fixed[4] = { (uint8_t)endian, type, flags, 1 };
        bool swap = endian != bytes_native();

        buf_reset(out);
        buf_put(out, fixed, sizeof(fixed));
        buf_put32(out, 0, swap);
        buf_put32(out, serial, swap);
        buf_put32(out, 0, swap);
}

void message_text(struct buf *out, uint8_t code, char type, const void *s, size_t n)
{
        const uint8_t head[4] = { code, 1, (uint8_t)type, 0 };

        buf_align(out, 0, 8);
        buf_put(out, head, sizeof(head));
        if (type == 'g')
                buf_put8(out, (uint8_t)n);
        else
                buf_put32(out, (uint32_t)n, swapped(out));
        buf_put(out, s, n);
        buf_put8(out, 0);
}

void message_number(struct buf *out, uint8_t code, uint32_t v)
{
        const uint8_t head[4] = { code, 1, 'u', 0 };

        if (!v)
                return;
        buf_align(out, 0, 8);
        buf_put(out, head, sizeof(head));
        buf_put32(out, v, swapped(out));
}

size_t message_body(struct buf *out)
{
        buf_set32(out, 12, (uint32_t)(buf_n(out) - HEADER_FIXED), swapped(out));
        buf_align(out, 0, 8);
        return buf_n(out);
}

void message_put_string(struct buf *out, size_t base, const char *s)
{
        uint32_t n = (uint32_t)strlen(s);

        buf_align(out, base, 4);
        buf_put32(out, n, swapped(out));
        buf_put(out, s, n + 1);
}

void message_end(struct buf *out, size_t base)
{
        buf_set32(out, 4, (uint32_t)(buf_n(out) - base), swapped(out));
}

int message_call_driver(struct buf *out, uint32_t serial, const char *interface,
                        const char *member, const char *signature, const char *const *args)
{
        size_t base;

        if (!interface)
                interface = DRIVER_NAME;
        message_begin(out, bytes_native(), HEADER_CALL, 0, serial);
        message_text(out, FIELD_PATH, 'o', DRIVER_PATH, strlen(DRIVER_PATH));
        message_text(out, FIELD_INTERFACE, 's', interface, strlen(interface));
        message_text(out, FIELD_MEMBER, 's', member, strlen(member));
        message_text(out, FIELD_DESTINATION, 's', DRIVER_NAME, strlen(DRIVER_NAME));
        if (signature)
                message_text(out, FIELD_SIGNATURE, 'g', signature, strlen(signature));
        base = message_body(out);
        for (size_t i = 0; args && signature && signature[i]; i++)
                message_put_string(out, base, args[i]);
        message_end(out, base);
        return buf_error(out);
}
