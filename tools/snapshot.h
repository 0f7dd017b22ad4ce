/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Snapshot
 *
 * What it is     The state of a bus at one moment, written into a capture as metadata: who is
 *                there, as whom, under which names, with which rules; what can be activated.
 * Not promised   Completeness: match rules are told only to those whom the bus's policy lets ask.
 */

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "tools/pcap.h"

/**
 * snapshot_write() - ask the bus and write down what it says
 * @address:    of the bus, to be noted
 * @except:     unique names that belong to the recorder and are left out
 */
int snapshot_write(struct pcap_writer *writer, sd_bus *bus, const char *address,
                   const char *const *except, size_t n_except, uint64_t time_ns);
