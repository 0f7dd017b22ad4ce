/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Transcript
 *
 * What it is     All that the peers of one replay received, made comparable: names, pids and the
 *                like are already replaced by what they were in the recording.
 * How            Kept in an unnamed file, in the order of arrival. In memory there is only one
 *                digest per stream, which is all messages of one sender to one receiver, so that
 *                two transcripts can be compared without reading those streams that are equal.
 * Not promised   An order of late answers: when a program fails to start is nobody's to say.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <uthash.h>

#include "bus-core/util/cleanup.h"

#define TRANSCRIPT_LATE (UINT32_MAX - 2) /* the bus, of what it says when an activation ends */
#define TRANSCRIPT_BUS (UINT32_MAX - 1)  /* the bus as a sender */
#define TRANSCRIPT_OTHER (UINT32_MAX)    /* a sender that no recorded peer is */

enum transcript_kind {
        TRANSCRIPT_MESSAGE,
        TRANSCRIPT_CLOSED,  /* the bus closed the receiver's connection */
        TRANSCRIPT_FDS,     /* fewer or more descriptors came than the message says */
        TRANSCRIPT_SILENCE, /* no answer to one of the kit's own pings */
        TRANSCRIPT_ORDER,   /* broadcasts in another order than another receiver got them */
        TRANSCRIPT_CAUSALITY, /* a message before the one that prompted it */
};

enum {
        TRANSCRIPT_UNWANTED = 1,    /* answers a call that expects no reply */
        TRANSCRIPT_UNREQUESTED = 2, /* a peer's reply to such a call, or to one that has its reply */
};

struct transcript_entry {
        uint64_t key;    /* which message this is, the same in each replay */
        uint64_t digest; /* of what it says */
        uint64_t origin; /* number of the recorded message that it is or answers; 0: none */
        uint64_t offset; /* of the bytes in the file */
        uint32_t receiver, sender;
        uint32_t n;      /* bytes */
        uint16_t kind;
        uint16_t traits; /* TRANSCRIPT_UNWANTED and so on */
        uint32_t topic;  /* hash of what it is about: its type, interface and member */
        uint32_t method; /* 1 + id among the latencies of what it is or answers; 0: unknown */
};

struct transcript_stream {
        uint64_t id; /* receiver and sender */
        uint64_t n;
        uint64_t digest; /* of all keys and digests, in order if there is one */
        UT_hash_handle hh;
};

struct transcript {
        FILE *file;
        uint64_t size;
        uint64_t n_entries;
        struct transcript_stream *streams;
};

static inline uint64_t transcript_stream_id(const struct transcript_entry *e)
{
        return (uint64_t)e->receiver << 32 | e->sender;
}

static inline bool transcript_from_bus(const struct transcript_entry *e)
{
        return e->sender == TRANSCRIPT_BUS || e->sender == TRANSCRIPT_LATE;
}

int transcript_init(struct transcript *t);
void transcript_deinit(struct transcript *t);

/* transcript_put() - append; e->n, e->digest and e->offset are filled in */
int transcript_put(struct transcript *t, struct transcript_entry *e, const void *data, size_t n);

/* transcript_rewind(), transcript_next() - read all entries again; 1 at the end */
int transcript_rewind(struct transcript *t);
int transcript_next(struct transcript *t, struct transcript_entry *out);

/* transcript_load() - the bytes of an entry; to be freed */
int transcript_load(struct transcript *t, const struct transcript_entry *e, uint8_t **out);
