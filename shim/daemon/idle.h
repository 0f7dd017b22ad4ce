/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Idle
 *
 * What it is     How long the processors that this process may use have had nothing to do.
 * Source         proc(5), /proc/stat: idle and iowait of each processor. Inside a container it is the
 *                whole machine's, or that of other processors than ours: then it is not known. So it
 *                is where /proc has no such file (systemd's ProcSubset=pid).
 */

#include <sched.h>
#include <stdint.h>

#define IDLE_UNKNOWN UINT64_MAX

/* idle_now() - microseconds since boot, of all processors in @set; main thread only */
uint64_t idle_now(const cpu_set_t *set);

/* idle_parse() - the same from the text of that file, in its own ticks */
uint64_t idle_parse(const char *text, const cpu_set_t *set);
