/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Slice
 *
 * What it is     How long the scheduler lets a thread run at once while others want the processor.
 * Why            A bus has little to do each time, and everybody waits for it. With a short slice it
 *                gets the same share of the processors in smaller pieces, and sooner after it was
 *                woken (sched_setattr(2), sched_runtime for SCHED_OTHER: since Linux 6.12; older
 *                kernels know one slice for all). No privilege is needed.
 */

/* slice_shorten() - of this thread; where the kernel does not know of slices nothing happens */
void slice_shorten(void);

/* slice_reset() - as with any other program; async-signal-safe, for a child before it executes */
void slice_reset(void);
