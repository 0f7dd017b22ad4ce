/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Cleanup
 *
 * What it is     The macros behind the ownership rules of the house.
 * How            `_cleanup_(foo_freep) struct foo *foo = NULL;` frees at the end of the scope;
 *                giving it away is `steal(&foo)`. `_cleanup_(closep) int fd = -1;` closes.
 */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((__cleanup__(fn)))
#define _unused_ __attribute__((__unused__))
#define _printf_(a, b) __attribute__((__format__(__printf__, a, b)))

/* steal() - take the pointer out of a variable and leave NULL there */
#define steal(ptr)                                                                                 \
        ({                                                                                         \
                __typeof__(ptr) _ptr = (ptr);                                                      \
                __typeof__(*_ptr) _val = *_ptr;                                                    \
                *_ptr = NULL;                                                                      \
                _val;                                                                              \
        })

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define ALIGN_TO(n, a) (((n) + (a)-1) & ~((__typeof__(n))(a)-1))
#define MAX(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a > _b ? _a : _b; })
#define MIN(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a < _b ? _a : _b; })

/* container_of() - the struct that embeds @member at @ptr */
#ifndef container_of
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#endif

/* DEFINE_FREEP() - the cleanup function that goes with foo_free() or foo_unref() */
#define DEFINE_FREEP(type, fn)                                                                     \
        _unused_ static inline void fn##p(type **p)                                                \
        {                                                                                          \
                if (*p)                                                                            \
                        fn(*p);                                                                    \
        }

_unused_ static inline void freep(void *p)
{
        free(*(void **)p);
}

/* closep() - close a descriptor if it is one, errno kept */
_unused_ static inline void closep(int *fd)
{
        int saved = errno;

        if (*fd >= 0)
                close(*fd);
        errno = saved;
}

/* steal_fd() - take the descriptor out of a variable and leave -1 there */
_unused_ static inline int steal_fd(int *fd)
{
        int val = *fd;

        *fd = -1;
        return val;
}
