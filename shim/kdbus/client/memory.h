/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Memory
 *
 * What it is     The program's memory as the kernel would touch it: a bad address is an error, not
 *                the death of the program.
 * How            A cheap system call that copies a few bytes tells whether a page can be read, or
 *                written; then it is read or written like any memory.
 *                What lies on the thread's stack, above where it is, needs that only once.
 * Not promised   Memory that another thread takes away while the command runs.
 */

#include <stdbool.h>
#include <stddef.h>

int memory_read(void *to, const void *from, size_t n);
size_t memory_page_rest(const void *at);
int memory_write(void *to, const void *from, size_t n);
bool memory_claim(void *at, size_t n, size_t result);
void *memory_scratch(size_t n);
void memory_scratch_free(void *p, size_t n);
