/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Envelope
 *
 * What it is     A core message with its parsed header: one D-Bus message as it goes out, the
 *                sender stamped, in one block of memory.
 *
 *                    +----------+----------+-----------+----------------+------+
 *                    | envelope | headroom | header    | fields, sender | body |
 *                    +----------+----------+-----------+----------------+------+
 *                                          ^ data, 8-aligned
 *
 * How            A small message is copied out of the reader's buffer, header stamped on the way.
 *                A large one was received into such a block from its first byte on; its header
 *                is stamped in place, growing into the headroom, and its body never moves.
 * Guard          Immutable after `enter` (client_send()), shared by all receivers.
 */

#include "bus-core/core.h"
#include "shim/wire/header.h"

#define ENVELOPE_HEADROOM 512 /* what stamping adds at most: SENDER and CONTAINER_INSTANCE */

struct envelope {
        struct message message;
        struct header header; /* of what stands at @data */
        uint64_t sender;      /* peer id; MATCH_DRIVER: the bus itself */
        uint8_t *data;
        uint32_t size; /* header and body, bytes */
        _Alignas(8) uint8_t room[];
};

static inline struct envelope *envelope_of(struct message *message)
{
        return container_of(message, struct envelope, message);
}

/* envelope_text() - a header field as text, NULL if absent */
static inline const char *envelope_text(const struct envelope *e, struct span span)
{
        return header_text(e->data, span);
}

static inline const uint8_t *envelope_body(const struct envelope *e)
{
        return e->data + e->header.size;
}

struct envelope *envelope_unref(struct envelope *e);
DEFINE_FREEP(struct envelope, envelope_unref)

/* What a door knows of the sender when it makes an envelope. */
struct envelope_sender {
        uint64_t id;
        const char *name; /* unique name, not NULL */
        size_t name_len;
        struct account *account;   /* who pays; NULL: the bus itself */
        const char *container;     /* object path for CONTAINER_INSTANCE, or NULL */
        size_t container_len;
};

/**
 * envelope_copy() - from a message in someone's buffer
 * @header:     what header_parse() said of @msg; body validated
 * @msg:        the whole message
 *
 * Return:      0 or -ENOMEM.
 */
int envelope_copy(struct envelope **out, const struct header *header, const uint8_t *msg,
                  const struct envelope_sender *sender);

/**
 * envelope_reserve() - a block to receive a large message into
 * @total:      bytes of the message, as header_frame() said
 *
 * The message's first byte belongs at ->data. Nothing else may be used before envelope_stamp().
 */
int envelope_reserve(struct envelope **out, uint32_t total);

/**
 * envelope_stamp() - make a received block an envelope
 * @header:     what header_parse() said of e->data; body validated
 */
int envelope_stamp(struct envelope *e, const struct header *header,
                   const struct envelope_sender *sender);

/* envelope_of_text() - bytes that are no message: what is said before messages begin */
int envelope_of_text(struct envelope **out, const char *text, size_t n);

/* envelope_of_bus() - from a message of the bus's own, complete with SENDER */
int envelope_of_bus(struct envelope **out, const struct header *header, const uint8_t *msg);
