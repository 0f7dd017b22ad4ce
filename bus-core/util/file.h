/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files: what everyone who reads one whole would otherwise write again. */

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

/**
 * file_read() - read until @size bytes are there or the file ends
 * @np:         on success how many came
 *
 * Return: 0, or an errno of read(2), unlogged: the caller names the file
 */
static inline int file_read(int fd, void *data, size_t size, size_t *np)
{
        size_t done = 0;
        ssize_t n = 1;

        while (done < size && n != 0) {
                n = read(fd, (char *)data + done, size - done);
                if (n > 0)
                        done += n;
                else if (n < 0 && errno != EINTR)
                        return -errno;
        }
        *np = done;
        return 0;
}
