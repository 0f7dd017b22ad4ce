/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Transcode
 *
 * What it is     A whole message, from D-Bus marshalling to version 2 and back: version 2 is what
 *                D-Bus programs send each other over kdbus, one GVariant of type (yyyyuta{tv}v).
 *
 *                    0     1     2      3  4    8        16           align 8          end
 *                    +-----+-----+------+--+----+--------+------------+---+-------+-----------+
 *                    |order|type|flags |2 |0   |cookie  |fields a{tv}|pad|body v |end of     |
 *                    |     |     |      |  |    |        |            |   |       |fields     |
 *                    +-----+-----+------+--+----+--------+------------+---+-------+-----------+
 *
 * Promise        1. D-Bus to version 2 to D-Bus gives the same message in this machine's byte
 *                   order, fields in the order of their codes.
 *                2. What comes out has passed the judge of its format; what goes in may be
 *                   anything (version 2), or has passed header_parse() and body_validate() (D-Bus).
 * Not promised   The body's type may be written in two ways (see transcode_style); a lone struct
 *                argument in the old way looks like the new way, unless it is known who writes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/wire/gvariant.h"
#include "shim/wire/header.h"

enum transcode_style {
        TRANSCODE_PARENTHESES, /* the body's type is "(su)": systemd 224 and later */
        TRANSCODE_BARE,        /* "su": systemd 221 to 223 */
};

/* what a version 2 message says of itself, beside what fits a D-Bus header */
struct transcode_info {
        enum transcode_style style;
        uint64_t cookie, reply_cookie;
};

/**
 * transcode_to_v2() - D-Bus to version 2
 * @out:        empty
 * @h:          what header_parse() said of @msg
 * @body:       body_validate()d
 * @sender:     whether to keep the SENDER field
 *
 * Return: 0, -EINVAL, -ENOMEM.
 */
int transcode_to_v2(struct gvariant_buf *out, const struct header *h, const uint8_t *msg,
                    const uint8_t *body, enum transcode_style style, bool sender);

/**
 * transcode_from_v2() - version 2 to D-Bus
 * @out:        empty; complete but for the SENDER
 * @info:       filled on success
 * @style:      how the sender writes; what does not look so at all is read the other way
 * @sender:     NULL, or the SENDER to write; what the message says of that is not believed
 * @destination: the DESTINATION to write, "" for none; NULL: what the message says
 *
 * Return: 0; -EBADMSG if it is not well-formed; -EOVERFLOW if a cookie does not fit 32 bits;
 *         -ENOMEM.
 */
int transcode_from_v2(struct gvariant_buf *out, struct transcode_info *info,
                      enum transcode_style style, const uint8_t *msg, size_t n, const char *sender,
                      const char *destination);
