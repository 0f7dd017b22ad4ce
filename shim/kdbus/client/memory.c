/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shim/kdbus/client/memory.h"

/* where a sandbox forbids the system call, plain copying is all there is */
static int copy(long nr, void *mine, void *other, size_t n)
{
        struct iovec local = {mine, n}, remote = {other, n};
        long r;

        r = syscall(nr, (long)getpid(), &local, 1L, &remote, 1L, 0L);
        if (r == (long)n)
                return 0;
        if (r >= 0 || errno == EFAULT)
                return -EFAULT;
        if (nr == SYS_process_vm_readv)
                memcpy(mine, other, n);
        else
                memcpy(other, mine, n);
        return 0;
}

/**
 * memory_read() - copy from an address of the program's choice
 *
 * Return: 0, -EFAULT.
 */
int memory_read(void *to, const void *from, size_t n)
{
        return copy(SYS_process_vm_readv, to, (void *)(uintptr_t)from, n);
}

/**
 * memory_write() - copy to an address of the program's choice
 */
int memory_write(void *to, const void *from, size_t n)
{
        return copy(SYS_process_vm_writev, (void *)(uintptr_t)from, to, n);
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
