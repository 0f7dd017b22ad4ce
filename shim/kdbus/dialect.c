/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "shim/kdbus/dialect.h"

#define VARIABLE "LAMBUS_KDBUS_BODY="
#define RECORDS_MAX 65536 /* lines or variables looked at */

/* the library that came with systemd 223; the next, 0.10.1, was the first to write parentheses */
enum { LAST_BARE_AGE = 10, LAST_BARE_REVISION = 0 };

bool dialect_of_library(enum transcode_style *style, const char *path)
{
        static const char soname[] = "/libsystemd.so.0.";
        const char *at = strstr(path, soname);
        unsigned age, revision;

        if (!at || sscanf(at + strlen(soname), "%u.%u", &age, &revision) != 2)
                return false;
        *style = age < LAST_BARE_AGE || (age == LAST_BARE_AGE && revision <= LAST_BARE_REVISION)
                         ? TRANSCODE_BARE
                         : TRANSCODE_PARENTHESES;
        return true;
}

static bool dialect_of_variable(enum transcode_style *style, const char *variable)
{
        const char *value = variable + strlen(VARIABLE);

        if (strncmp(variable, VARIABLE, strlen(VARIABLE)) != 0)
                return false;
        *style = TRANSCODE_PARENTHESES;
        if (strcmp(value, "bare") == 0)
                *style = TRANSCODE_BARE;
        else if (strcmp(value, "parentheses") != 0)
                return false;
        return true;
}

/* whether a record of a file in /proc/PID shows it */
static bool search(enum transcode_style *style, const struct task *task, const char *file, int end,
                   bool (*fn)(enum transcode_style *, const char *))
{
        int fd = openat(task->proc_fd, file, O_RDONLY | O_CLOEXEC);
        FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
        _cleanup_(freep) char *record = NULL;
        size_t room = 0;
        bool found = false;
        ssize_t n;

        if (!f) {
                closep(&fd);
                return false;
        }
        for (unsigned i = 0; !found && i < RECORDS_MAX; i++) {
                n = getdelim(&record, &room, end, f);
                if (n <= 0)
                        break;
                found = fn(style, record);
        }
        fclose(f);
        return found;
}

bool dialect_of(enum transcode_style *style, const struct task *task)
{
        return search(style, task, "environ", '\0', dialect_of_variable) ||
               search(style, task, "maps", '\n', dialect_of_library);
}
