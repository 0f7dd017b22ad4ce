/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Header
 *
 * What it is     The header of one D-Bus message, judged and taken apart in a single pass, and
 *                the writing of the header that is sent on.
 *
 *                    0   1    2     3       4         8       12            16
 *                    +---+----+-----+-------+---------+-------+-------------+----------+---+----
 *                    |l/B|type|flags|version|body_size|serial |fields_size  |fields... |pad|body
 *                    +---+----+-----+-------+---------+-------+-------------+----------+---+----
 *                    |<------------------------ size, a multiple of 8 -------------------->|
 *
 *                Each field is a struct (code y, value v), 8-aligned.
 * Promise        After header_parse() returned 0 every span lies in the message, obeys the grammar
 *                of its field and is followed by a NUL; the fields which the type requires are
 *                there. Nobody parses a header again.
 * How            header_stamp() leaves in the byte order, serial, flags and known fields, takes
 *                out what a client may not say (SENDER, unknown fields, CONTAINER_INSTANCE) and
 *                appends the true SENDER. Body bytes are not touched.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEADER_FIXED 16U /* bytes before the first field */

enum {
        HEADER_CALL = 1,
        HEADER_RETURN = 2,
        HEADER_ERROR = 3,
        HEADER_SIGNAL = 4,
};

enum {
        HEADER_NO_REPLY_EXPECTED = 0x1,
        HEADER_NO_AUTO_START = 0x2,
        HEADER_ALLOW_INTERACTIVE_AUTHORIZATION = 0x4,
};

enum {
        FIELD_PATH = 1,
        FIELD_INTERFACE = 2,
        FIELD_MEMBER = 3,
        FIELD_ERROR_NAME = 4,
        FIELD_REPLY_SERIAL = 5,
        FIELD_DESTINATION = 6,
        FIELD_SENDER = 7,
        FIELD_SIGNATURE = 8,
        FIELD_UNIX_FDS = 9,
        FIELD_CONTAINER_INSTANCE = 10,
};

/* A string inside a message, from the message's first byte; its NUL is not counted. */
struct span {
        uint32_t off; /* 0: absent */
        uint32_t len;
};

struct header {
        char endian; /* 'l' or 'B' */
        bool swap;   /* the byte order is not ours */
        bool unfiltered; /* holds SENDER, CONTAINER_INSTANCE or unknown fields: not to be sent on */
        uint8_t type;    /* never 0; beyond HEADER_SIGNAL: unknown, legal */
        uint8_t flags;
        uint32_t serial;       /* never 0 */
        uint32_t reply_serial; /* 0: absent */
        uint32_t n_fds;        /* as the sender says; compare with what came along */
        uint32_t fields_size;  /* bytes of the field array */
        uint32_t size;         /* bytes before the body, padding included */
        uint32_t body_size;
        struct span path, interface, member, error_name, destination, sender, signature;
        struct span container; /* CONTAINER_INSTANCE */
};

/* header_text() - a field's string, NUL-terminated, or NULL; not for messages kept in pieces */
static inline const char *header_text(const uint8_t *msg, struct span span)
{
        return span.off ? (const char *)msg + span.off : NULL;
}

/* header_field_types - type code of each field, 0 where there is no such field */
extern const char header_field_types[FIELD_CONTAINER_INSTANCE + 1];

/* header_span() - the span of a field that is text, else NULL */
struct span *header_span(struct header *h, uint8_t code);

/**
 * header_container_field() - the bytes of CONTAINER_INSTANCE, padding included, from the first byte
 *
 * Other fields stand behind it, so that without these bytes, behind the beginning that
 * header_without_container() writes, the rest is a message as good. Length 0: there is no such field.
 */
struct span header_container_field(const struct header *h);
void header_without_container(uint8_t fixed[static HEADER_FIXED], const struct header *h,
                              const uint8_t *msg);

/**
 * header_frame() - how long is the message that begins so
 * @fixed:       its first 16 bytes
 * @max_message: limit of the bus in bytes, at most TYPE_MESSAGE_MAX is used
 * @out_header:  NULL, or bytes before the body
 * @out_total:   bytes of the whole message; written on success only
 *
 * Return: 0, or the WIRE_E_* that makes it useless to read on.
 */
int header_frame(const uint8_t fixed[static HEADER_FIXED], uint32_t max_message,
                 uint32_t *out_header, uint32_t *out_total);

/**
 * header_parse() - judge a header and take it apart
 * @out:        result; written on success only
 * @msg:        the message, which header_frame() has accepted
 * @n:          bytes there are, at least the header
 *
 * Return: 0, or the WIRE_E_* rule the header breaks.
 */
int header_parse(struct header *out, const uint8_t *msg, size_t n);

/* A header that was found good. */
struct header_memo {
        const uint8_t *msg; /* the message, which must still be there; NULL: none yet */
        uint32_t reply_at;  /* where its REPLY_SERIAL's value stands; 0: absent */
        struct header header;
};

/**
 * header_parse_like() - header_parse() for one of many that came together
 * @memo:       of one of those before it; set to this one if that did not help
 *
 * What clients send in bursts differs in serial, reply serial and body only. Then it costs a
 * comparison: equal bytes have an equal verdict.
 */
int header_parse_like(struct header *out, struct header_memo *memo, const uint8_t *msg, size_t n);

/* header_stamp_size() - bytes that header_stamp() may write */
size_t header_stamp_size(const struct header *h, size_t sender_len, size_t container_len);

/**
 * header_stamp() - write the header which is sent on
 * @out:           room for header_stamp_size() bytes; not inside @msg
 * @h:             what header_parse() said of @msg; afterwards it describes @out
 * @msg:           the message as it came
 * @sender:        unique name of the true sender, not NUL-terminated; NULL: no SENDER field
 * @sender_len:    its length
 * @container:     NULL, or the object path for CONTAINER_INSTANCE
 * @container_len: its length
 *
 * The result has no SENDER, CONTAINER_INSTANCE or unknown field but the ones given here. If
 * there was nothing to take out, the known fields keep their order and place.
 *
 * Return: bytes written, which is the new h->size.
 */
size_t header_stamp(uint8_t *out, struct header *h, const uint8_t *msg, const char *sender,
                    size_t sender_len, const char *container, size_t container_len);
