/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Recording
 *
 * What it is     A capture file, understood: the peers that lived on the bus, the names they had,
 *                and the messages in the order in which the bus handled them.
 * How            The file is read twice. recording_open() goes over all of it once and learns who
 *                took part and what was there before the first message, from the metadata if the
 *                kit made the file, else from the messages themselves. recording_next() then gives
 *                one message at a time. What is kept in memory grows with the peers and names, not
 *                with the messages.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <uthash.h>

#include "shim/wire/header.h"
#include "tools/buf.h"
#include "tools/pcap.h"

#define RECORDING_NO_PEER UINT32_MAX

struct recorded_peer {
        uint32_t index;
        char *name;           /* unique name then */
        int64_t uid;          /* -1: unknown */
        char *executable;     /* NULL: unknown */
        bool at_start;        /* was there before the first message */
        bool told;            /* the metadata speak of it */
        bool monitor;         /* only listened; it is not recreated */
        uint64_t n_messages;
        UT_hash_handle hh;
};

struct recorded_name {
        char *name;
        uint32_t *queue;      /* at the start; first the owner */
        size_t n_queue;
        uint32_t owner;       /* now, while messages are read */
        bool known;           /* the state at the start has been seen */
        bool activatable;
        bool ever_owned;
        UT_hash_handle hh;
};

struct recorded_rule {
        uint32_t peer;
        char *text;
};

struct recorded_message {
        uint64_t index; /* counts from 1 */
        uint64_t time_ns;
        const uint8_t *data; /* good until the next one is read */
        struct header h;
        uint32_t sender;      /* RECORDING_NO_PEER: the bus, or somebody not recreated */
        uint32_t destination; /* RECORDING_NO_PEER: the bus, nobody, or all */
        bool from_bus;
};

struct recording {
        char *path;
        FILE *file;
        struct pcap_reader *reader;
        struct recorded_peer **peers;
        struct recorded_peer *peers_by_name;
        size_t n_peers;
        struct recorded_name *names;
        struct recorded_rule *rules;
        size_t n_rules;
        uint64_t n_messages, next_index;
        uint64_t n_invalid;    /* packets that are no messages; skipped */
        bool truncated;        /* the file ends in the middle of a packet */
        bool has_meta;
        char error[512];       /* why it could not be opened */
};

/**
 * recording_open() - read a capture for the first time
 * @rec:        zeroed; to be given to recording_close() also on failure
 * @file:       NULL, or the file opened already, which is taken over; @path then only names it
 *
 * Return:      0, 1 with rec->error set, or a negative errno.
 */
int recording_open(struct recording *rec, const char *path, FILE *file);
void recording_close(struct recording *rec);

/* recording_rewind() - back to the first message */
int recording_rewind(struct recording *rec);

/**
 * recording_next() - read a message
 *
 * Return:      0, PCAP_E_END, or a negative errno.
 */
int recording_next(struct recording *rec, struct recorded_message *out);

/* recording_peer() - the peer that had this unique name, or NULL */
struct recorded_peer *recording_peer(const struct recording *rec, const char *name, size_t n);

/* recording_name() - a well-known name that anybody owned or could start, or NULL */
struct recorded_name *recording_name(const struct recording *rec, const char *name, size_t n);
