/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Capture files
 *
 * What it is     D-Bus messages with their times, in files that other programs open too: classic
 *                pcap and pcapng with link type D-Bus (231), one whole message per packet.
 * Promise        1. Reads what dbus-monitor, busctl, bustle and Wireshark write: both formats,
 *                   both byte orders, micro- and nanoseconds.
 *                2. Writes classic pcap in host byte order with microseconds, which all of them read.
 *                3. A hostile file costs no more memory than it has bytes, and is refused with a
 *                   reason and the offset of the block that is wrong.
 * Not promised   That a packet is a valid message: that is for shim/wire to say.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bus-core/util/cleanup.h"

#define PCAP_LINKTYPE_DBUS 231
#define PCAP_PACKET_MAX (128U << 20) /* the longest message D-Bus allows */

enum pcap_error {
        PCAP_E_END = 1,     /* no more packets */
        PCAP_E_EMPTY,       /* nothing in the file */
        PCAP_E_FORMAT,      /* neither pcap nor pcapng */
        PCAP_E_VERSION,     /* a version that nobody has defined */
        PCAP_E_LINKTYPE,    /* a capture of something else */
        PCAP_E_TRUNCATED,   /* ends inside a packet or block */
        PCAP_E_TOO_LONG,    /* a packet longer than any message */
        PCAP_E_CUT,         /* a packet that was shortened when captured */
        PCAP_E_BLOCK,       /* a pcapng block that contradicts itself */
        PCAP_E_INTERFACE,   /* a pcapng packet of an undeclared interface */
};

struct pcap_packet {
        uint64_t time_ns; /* since 1970 */
        const uint8_t *data;
        size_t n;
};

struct pcap_reader;
struct pcap_writer;

const char *pcap_strerror(int r);

int pcap_reader_new(struct pcap_reader **out, FILE *file);
struct pcap_reader *pcap_reader_free(struct pcap_reader *r);
int pcap_reader_next(struct pcap_reader *r, struct pcap_packet *out);
uint64_t pcap_reader_offset(const struct pcap_reader *r);
DEFINE_FREEP(struct pcap_reader, pcap_reader_free);

int pcap_writer_new(struct pcap_writer **out, FILE *file);
struct pcap_writer *pcap_writer_free(struct pcap_writer *w);
int pcap_writer_put(struct pcap_writer *w, uint64_t time_ns, const void *data, size_t n);
uint64_t pcap_writer_size(const struct pcap_writer *w);
DEFINE_FREEP(struct pcap_writer, pcap_writer_free);
