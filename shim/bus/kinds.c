/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "shim/bus/envelope.h"
#include "shim/bus/kinds.h"

/* Good enough to tell names apart: a client that makes two collide spoils its own numbers. */
static uint64_t mix(uint64_t hash, const char *s, size_t n)
{
        uint64_t word;

        for (; n >= sizeof(word); n -= sizeof(word), s += sizeof(word)) {
                memcpy(&word, s, sizeof(word));
                hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
                hash ^= hash >> 29;
        }
        word = n;
        for (size_t i = 0; i < n; i++)
                word = word << 8 | (uint8_t)s[i];
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        return hash ^ hash >> 32;
}

static void name_kind(struct kind *kind, const struct envelope *e)
{
        const char *interface = envelope_text(e, e->header.interface);

        snprintf(kind->text, sizeof(kind->text), "%s%s%s", interface ? interface : "",
                 interface ? "." : "", envelope_text(e, e->header.member));
}

/* No place is free: the rarest kind gives way, if it has been passed over often enough. */
static struct kind *displace(struct kinds *kinds, struct kind *set)
{
        struct kind *rarest = set;

        for (size_t i = 1; i < KINDS_WAYS; i++)
                if (set[i].life < rarest->life)
                        rarest = &set[i];
        if (rarest->life) {
                rarest->life--;
                return NULL;
        }
        kinds->other_messages += rarest->messages;
        kinds->other_bytes += rarest->bytes;
        return rarest;
}

/* The place of a kind in its set, or a free one, or NULL. */
static struct kind *find(struct kind *set, uint64_t hash)
{
        for (size_t i = 0; i < KINDS_WAYS; i++)
                if (set[i].hash == hash)
                        return &set[i];
        return NULL;
}

static struct kind *claim(struct kinds *kinds, struct kind *set, uint64_t hash,
                          const struct envelope *e)
{
        struct kind *kind = find(set, 0);

        if (!kind)
                kind = displace(kinds, set);
        if (!kind)
                return NULL;
        *kind = (struct kind){ .hash = hash };
        name_kind(kind, e);
        return kind;
}

void kinds_count(struct kinds *kinds, const struct envelope *e)
{
        const struct header *h = &e->header;
        struct kind *set, *kind;
        uint64_t hash = 1;

        if (!h->member.off)
                return;
        if (h->interface.off)
                hash = mix(hash, envelope_text(e, h->interface), h->interface.len);
        hash = mix(hash, envelope_text(e, h->member), h->member.len) | 1;
        set = kinds->kind[(hash >> 8) % KINDS_SETS];
        kind = find(set, hash);
        if (!kind)
                kind = claim(kinds, set, hash, e);
        if (!kind) {
                kinds->other_messages++;
                kinds->other_bytes += e->size;
                return;
        }
        kind->messages++;
        kind->bytes += e->size;
        kind->life++;
}

static void add_kind(struct kinds *kinds, struct kind *set, const struct kind *other)
{
        struct kind *kind = find(set, other->hash);

        if (!kind) {
                kind = find(set, 0);
                if (kind)
                        *kind = *other;
        } else {
                kind->messages += other->messages;
                kind->bytes += other->bytes;
                kind->life += other->life;
        }
        if (!kind) {
                kinds->other_messages += other->messages;
                kinds->other_bytes += other->bytes;
        }
}

void kinds_add(struct kinds *kinds, const struct kinds *other)
{
        for (size_t i = 0; i < KINDS_SETS; i++)
                for (size_t j = 0; j < KINDS_WAYS; j++)
                        if (other->kind[i][j].hash)
                                add_kind(kinds, kinds->kind[i], &other->kind[i][j]);
        kinds->other_messages += other->other_messages;
        kinds->other_bytes += other->other_bytes;
}
