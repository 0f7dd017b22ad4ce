/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "tools/program.h"

#define SCRIPTS_MAX 4 /* as many interpreters of interpreters as the kernel follows */

static int open_program(const char *name)
{
        const char *path = getenv("PATH") ?: "/usr/local/bin:/bin:/usr/bin";
        char file[PATH_MAX];

        if (strchr(name, '/'))
                return open(name, O_RDONLY | O_CLOEXEC);
        while (*path) {
                size_t n = strcspn(path, ":");

                snprintf(file, sizeof(file), "%.*s%s%s", (int)n, path, n ? "/" : "", name);
                if (access(file, X_OK) == 0)
                        return open(file, O_RDONLY | O_CLOEXEC);
                path += n + (path[n] == ':');
        }
        return -1;
}

static bool gains_rights(int fd)
{
        struct stat st;

        if (fgetxattr(fd, "security.capability", NULL, 0) > 0)
                return true;
        if (fstat(fd, &st) < 0)
                return false;
        return ((st.st_mode & S_ISUID) && st.st_uid != geteuid()) ||
               ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getegid());
}

/* whether an ELF file names an interpreter: the loader, which is what preloads */
static bool has_loader64(int fd, const Elf64_Ehdr *head)
{
        for (unsigned i = 0; i < head->e_phnum; i++) {
                off_t at = head->e_phoff + i * (off_t)head->e_phentsize;
                Elf64_Phdr ph;

                if (pread(fd, &ph, sizeof(ph), at) != sizeof(ph))
                        return true;
                if (ph.p_type == PT_INTERP)
                        return true;
        }
        return false;
}

static bool takes_library(int fd, int depth);

static bool script_takes_library(char *line, int depth)
{
        char *name = line + strspn(line, " \t");
        _cleanup_(closep) int fd = -1;

        name[strcspn(name, " \t\n")] = '\0';
        if (depth >= SCRIPTS_MAX)
                return true;
        fd = open(name, O_RDONLY | O_CLOEXEC);
        return takes_library(fd, depth + 1);
}

static bool takes_library(int fd, int depth)
{
        union {
                Elf64_Ehdr elf;
                char text[256];
        } head = {};
        ssize_t n = fd < 0 ? -1 : pread(fd, &head, sizeof(head) - 1, 0);

        if (n < 4)
                return true;
        if (gains_rights(fd))
                return false;
        if (head.text[0] == '#' && head.text[1] == '!')
                return script_takes_library(head.text + 2, depth);
        if (memcmp(head.elf.e_ident, ELFMAG, SELFMAG) != 0 ||
            head.elf.e_ident[EI_CLASS] != ELFCLASS64 || n < (ssize_t)sizeof(head.elf))
                return true;
        return has_loader64(fd, &head.elf);
}

bool program_takes_library(const char *name)
{
        _cleanup_(closep) int fd = open_program(name);

        return takes_library(fd, 0);
}
