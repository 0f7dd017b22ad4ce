/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Metrics
 *
 * What it is     The statistics of a bus (shim/bus/stats.h) as OpenMetrics text: whoever connects
 *                to the address of --metrics gets one report, and the end of the stream.
 * Who            At a UNIX socket root and the bus's own user; at a TCP port whoever reaches it,
 *                so that one should be at the loopback interface only.
 * Cost           The bus stands still while numbers are copied, for some microseconds for each
 *                hundred connections. METRICS_ROWS of each sort are reported, those that trouble
 *                the bus most; what is zero is left out.
 */

#include "shim/bus/stats.h"
#include "shim/daemon/listen.h"

#define METRICS_ROWS 64
#define METRICS_MAX  8 /* reports on their way at a time; whoever comes then is turned away */

struct metrics {
        struct listeners listeners;
        struct cds_list_head dumps; /* reports on their way */
        size_t n_dumps;
        struct bus *bus;
        struct poller *poller;
};

void metrics_init(struct metrics *metrics, struct bus *bus);
void metrics_deinit(struct metrics *metrics);

/* metrics_listen() - at a D-Bus server address; LISTEN_WHY_MAX bytes for the reason of a failure */
int metrics_listen(struct metrics *metrics, const char *address, char *why);

int metrics_start(struct metrics *metrics, struct poller *poller);
void metrics_stop(struct metrics *metrics);

/* metrics_format() - a report as text; caller frees, NULL: no memory */
char *metrics_format(const struct stats *stats, size_t *size);
