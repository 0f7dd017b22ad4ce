/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "shim/kdbus/kdbus-abi.h"
#include "shim/kdbus/super/filter.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#else
#define ARCH 0 /* no filter is known: the other way in is there */
#endif

#define LOW(i)  (offsetof(struct seccomp_data, args[i]))     /* of a little-endian argument */
#define LOAD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at))
#define RET(what) BPF_STMT(BPF_RET | BPF_K, (what))
/* jumps count the instructions that are skipped */
#define IF_EQ(k, yes, no)  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), (yes), (no))
#define IF_SET(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (k), (yes), (no))

static const struct sock_filter program[] = {
        LOAD(offsetof(struct seccomp_data, arch)),
        IF_EQ(ARCH, 1, 0),
        RET(SECCOMP_RET_ALLOW),
        LOAD(offsetof(struct seccomp_data, nr)),

        /* ioctl: by the second byte of the command */
        IF_EQ(SYS_ioctl, 0, 5),
        LOAD(LOW(1)),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff00),
        IF_EQ(KDBUS_IOCTL_MAGIC << 8, 0, 1),
        RET(SECCOMP_RET_USER_NOTIF),
        RET(SECCOMP_RET_ALLOW),

        /* mmap of a file */
        IF_EQ(SYS_mmap, 0, 4),
        LOAD(LOW(3)),
        IF_SET(MAP_ANONYMOUS, 0, 1),
        RET(SECCOMP_RET_ALLOW),
        RET(SECCOMP_RET_USER_NOTIF),

        /* mprotect: a pool stays read-only */
        IF_EQ(SYS_mprotect, 1, 0),
        IF_EQ(SYS_pkey_mprotect, 0, 3),
        LOAD(LOW(2)),
        IF_SET(PROT_WRITE, 0, 1),
        RET(SECCOMP_RET_USER_NOTIF),
        RET(SECCOMP_RET_ALLOW),
};

int filter_install(void)
{
        struct sock_fprog prog = {ARRAY_SIZE(program), (struct sock_filter *)program};
        int fd;

        if (!ARCH)
                return -ENOSYS;
        /* with privilege it is not needed, and setuid programs keep working */
        if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                     SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
                     &prog);
        return fd < 0 ? -errno : fd;
}
