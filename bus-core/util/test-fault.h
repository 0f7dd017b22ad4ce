/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fault
 *
 * What it is     Memory that runs out on demand: allocations of a test program, its own and those
 *                of the code under test, are counted, and one of them fails.
 * How            The program is linked with $(fault_libs) and the linker's --wrap for each of the
 *                functions; $(fault_ldflags) is all of them. Allocations inside of shared
 *                libraries are not reached; those of Check are, while a test asserts.
 */

#include <stddef.h>

/* fault_after() - let the @n-th allocation from now on fail, once; 0: none */
void fault_after(size_t n);

/* fault_is_due() - whether the failure that was asked for is still to come */
_Bool fault_is_due(void);

/* fault_allocations() - how many there have been so far */
size_t fault_allocations(void);
