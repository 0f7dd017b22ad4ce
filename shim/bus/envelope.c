/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>
#include <string.h>

#include "shim/bus/envelope.h"
#include "shim/bus/match.h"

static void envelope_free(struct message *message)
{
        struct envelope *e = envelope_of(message);

        message_deinit(message);
        cache_free(e);
}

struct envelope *envelope_unref(struct envelope *e)
{
        if (e)
                message_unref(&e->message);
        return NULL;
}

static int envelope_new(struct envelope **out, size_t room, struct account *account)
{
        struct envelope *e;

        e = cache_alloc(sizeof(*e) + room);
        if (!e)
                return error_origin(-ENOMEM);
        message_init(&e->message, cache_size(e), account, envelope_free);
        e->data = e->room;
        *out = e;
        return 0;
}

int envelope_copy(struct envelope **out, const struct header *header, const uint8_t *msg,
                  const struct envelope_sender *sender)
{
        struct envelope *e;
        size_t head;
        int r;

        head = header_stamp_size(header, sender->name_len, sender->container_len);
        r = envelope_new(&e, head + header->body_size, sender->account);
        if (r)
                return error_fold(r);
        e->header = *header;
        e->sender = sender->id;
        head = header_stamp(e->data, &e->header, msg, sender->name, sender->name_len,
                            sender->container, sender->container_len);
        memcpy(e->data + head, msg + header->size, header->body_size);
        e->size = head + header->body_size;
        *out = e;
        return 0;
}

int envelope_reserve(struct envelope **out, uint32_t total)
{
        struct envelope *e;
        int r;

        r = envelope_new(&e, (size_t)ENVELOPE_HEADROOM + total, NULL);
        if (r)
                return error_fold(r);
        e->data = e->room + ENVELOPE_HEADROOM;
        e->size = total;
        *out = e;
        return 0;
}

int envelope_stamp(struct envelope *e, const struct header *header,
                   const struct envelope_sender *sender)
{
        uint8_t *body = e->data + header->size;
        _cleanup_(freep) uint8_t *big = NULL;
        uint8_t small[2048], *head = small;
        size_t size;

        size = header_stamp_size(header, sender->name_len, sender->container_len);
        if (size > sizeof(small)) {
                head = big = malloc(size);
                if (!big)
                        return error_origin(-ENOMEM);
        }
        e->header = *header;
        e->sender = sender->id;
        e->message.account = account_ref(sender->account);
        size = header_stamp(head, &e->header, e->data, sender->name, sender->name_len,
                            sender->container, sender->container_len);
        if (size > (size_t)(body - e->room))
                return error_origin(-EMSGSIZE);
        e->data = body - size;
        memcpy(e->data, head, size);
        e->size = size + header->body_size;
        return 0;
}

int envelope_of_bus(struct envelope **out, const struct header *header, const uint8_t *msg)
{
        struct envelope *e;
        int r;

        r = envelope_new(&e, (size_t)header->size + header->body_size, NULL);
        if (r)
                return error_fold(r);
        e->header = *header;
        e->sender = MATCH_DRIVER;
        e->size = header->size + header->body_size;
        memcpy(e->data, msg, e->size);
        *out = e;
        return 0;
}

int envelope_of_text(struct envelope **out, const char *text, size_t n)
{
        struct envelope *e;
        int r;

        r = envelope_new(&e, n, NULL);
        if (r)
                return error_fold(r);
        e->header = (struct header){};
        e->sender = MATCH_DRIVER;
        e->size = n;
        memcpy(e->data, text, n);
        *out = e;
        return 0;
}
