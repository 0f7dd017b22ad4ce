/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/kdbus/client/memory.h"

#define SET_SIZE (_NSIG / 8) /* of the kernel's signal set */
#define PAGE     4096        /* the smallest there is */

#define STACK_NEAR (64 * 1024) /* a caller's frame is no further away */

/* the kernel copies the set before it finds that it was not told how to apply it */
static bool readable(uintptr_t at)
{
        return syscall(SYS_rt_sigprocmask, -1L, at, 0L, (long)SET_SIZE) == 0 || errno != EFAULT;
}

/* writes the current mask there */
static bool writable(uintptr_t at)
{
        return syscall(SYS_rt_sigprocmask, 0L, 0L, at, (long)SET_SIZE) == 0;
}

/* of this thread: looked at once, and between where it is and what it was given */
static __thread uintptr_t stack_low, stack_high;

static bool is_stack(uintptr_t at, size_t n)
{
        uintptr_t here = (uintptr_t)__builtin_frame_address(0);

        return here >= stack_low && at >= here && at < stack_high && n <= stack_high - at;
}

/* @at can be written: so can all below it on this stack */
static void learn_stack(uintptr_t at)
{
        uintptr_t here = (uintptr_t)__builtin_frame_address(0), page;

        if (at < here || at - here > STACK_NEAR)
                return;
        for (page = at / PAGE * PAGE; page > here; page -= PAGE)
                if (!readable(page))
                        return;
        stack_low = here;
        stack_high = (at / PAGE + 1) * PAGE;
}

/**
 * memory_read() - copy from an address of the program's choice
 *
 * Return: 0, -EFAULT.
 */
int memory_read(void *to, const void *from, size_t n)
{
        uintptr_t at = (uintptr_t)from & ~(uintptr_t)7, end = (uintptr_t)from + n;

        if (end < at || at < PAGE) /* to the kernel, 0 is no set */
                return -EFAULT;
        if (!is_stack((uintptr_t)from, n))
                for (; at < end; at = (at & ~(uintptr_t)(PAGE - 1)) + PAGE)
                        if (!readable(at))
                                return -EFAULT;
        memcpy(to, from, n);
        return 0;
}

/**
 * memory_page_rest() - bytes that share a page's fate with the one at @at, and follow it
 */
size_t memory_page_rest(const void *at)
{
        return PAGE - (uintptr_t)at % PAGE;
}

/**
 * memory_write() - copy to an address of the program's choice
 * @n:          at least 8
 */
int memory_write(void *to, const void *from, size_t n)
{
        uintptr_t at = (uintptr_t)to, end = at + n;

        if (end < at || at < PAGE) /* to the kernel, 0 is no set */
                return -EFAULT;
        for (; at < end; at = (at & ~(uintptr_t)(PAGE - 1)) + PAGE)
                if (!writable(at > end - SET_SIZE ? end - SET_SIZE : at))
                        return -EFAULT;
        memcpy(to, from, n);
        return 0;
}

/**
 * memory_claim() - whether a structure can be read and written in place
 * @result:     offset of eight bytes that a command overwrites in any case; zero afterwards
 */
bool memory_claim(void *at, size_t n, size_t result)
{
        uintptr_t first = (uintptr_t)at / PAGE, last = ((uintptr_t)at + n - 1) / PAGE;

        if (!is_stack((uintptr_t)at, n)) {
                if (first != last || first == 0 || !writable((uintptr_t)at + result))
                        return false; /* a page boundary is left to whoever copies */
                learn_stack((uintptr_t)at);
        }
        memset((uint8_t *)at + result, 0, sizeof(uint64_t));
        return true;
}

/**
 * memory_scratch() - memory for one call, without malloc: a signal handler may be calling
 *
 * Return: NULL if there is none.
 */
void *memory_scratch(size_t n)
{
        long p = syscall(SYS_mmap, NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                         0L);

        return p == -1 ? NULL : (void *)p;
}

void memory_scratch_free(void *p, size_t n)
{
        if (p)
                syscall(SYS_munmap, p, n);
}
