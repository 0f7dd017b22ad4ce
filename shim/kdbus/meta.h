/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Meta
 *
 * What it is     What the kernel says about a process, and how much of it another may see.
 * How            A struct task names a process by an open /proc directory, which the kernel never
 *                reuses for another. meta_collect() reads what is wanted from it, once per kind;
 *                meta_write() renders it for a receiver: ids in the receiver's user namespace,
 *                pids in its pid namespace.
 * Not promised   Kinds that the daemon may not read (a process of another user, when the daemon is
 *                unprivileged) are left out.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shim/kdbus/kdbus-abi.h"

#define META_NS_DEPTH 32 /* the kernel's own limit of nested namespaces */

/* the kinds that are read from the process itself */
#define META_PROC                                                                                  \
        (KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS | KDBUS_ATTACH_AUXGROUPS | KDBUS_ATTACH_TID_COMM | \
         KDBUS_ATTACH_PID_COMM | KDBUS_ATTACH_EXE | KDBUS_ATTACH_CMDLINE | KDBUS_ATTACH_CGROUP |   \
         KDBUS_ATTACH_CAPS | KDBUS_ATTACH_SECLABEL | KDBUS_ATTACH_AUDIT)

/* a process, as the daemon sees it */
struct task {
        pid_t pid;
        int pidfd;
        int proc_fd; /* /proc/PID, opened while the process was certainly alive */
};

#define TASK_NULL                                                                                  \
        {                                                                                          \
                .pidfd = -1, .proc_fd = -1                                                         \
        }

/* the pids of one task, in the daemon's pid namespace and in each one nested in it */
struct pid_chain {
        unsigned n;
        pid_t pid[META_NS_DEPTH];
};

struct meta {
        uint64_t have;  /* attach flags collected */
        uint64_t tried; /* and those asked for, so that nothing is read twice */
        bool status;    /* creds, pids, groups, caps were read: one file holds them all */

        uid_t uid, euid, suid, fsuid;
        gid_t gid, egid, sgid, fsgid;
        gid_t *groups;
        size_t n_groups;
        struct pid_chain pid, tid, ppid;
        uint64_t cap_inheritable, cap_permitted, cap_effective, cap_bounding;
        char *tid_comm, *pid_comm, *exe, *cmdline, *cgroup, *seclabel;
        size_t n_cmdline; /* with the last NUL */
        uint32_t sessionid, loginuid;

        ino_t user_ns;
        ino_t pid_ns;
        dev_t root_dev; /* root directory, for EXE */
        ino_t root_ino;

        bool fake; /* given by a bus owner: creds and pids are literal values */
        struct kdbus_creds fake_creds;
        struct kdbus_pids fake_pids;
};

/* who issues a command: its metadata is collected when someone asks */
struct caller {
        const struct task *task;
        pid_t tid; /* in its own numbering */
        struct meta meta;
};

struct id_range {
        uint64_t inside, outside, count;
};

/* where a receiver stands: in which namespaces its ids are to be read */
struct meta_view {
        bool same_user_ns; /* as the daemon: nothing to translate */
        struct id_range *uids, *gids;
        size_t n_uids, n_gids;
        ino_t user_ns[META_NS_DEPTH]; /* its own, and upwards */
        uid_t user_ns_owner[META_NS_DEPTH];
        unsigned n_user_ns;
        ino_t pid_ns;
        unsigned pid_depth; /* nesting below the daemon's */
        dev_t root_dev;
        ino_t root_ino;
};

int task_open(struct task *t, pid_t pid, int pidfd);
void task_close(struct task *t);
bool task_alive(const struct task *t);

void meta_collect(struct meta *m, const struct task *t, pid_t inner_tid, uint64_t mask);
int meta_copy_creds(struct meta *to, const struct meta *from);
void meta_deinit(struct meta *m);
const struct meta *caller_creds(struct caller *caller);
const struct meta *caller_meta(struct caller *caller, uint64_t mask);
bool meta_in_group(const struct meta *m, gid_t gid);

void meta_view_init(struct meta_view *v, const struct task *t, const struct meta *m);
void meta_view_deinit(struct meta_view *v);

bool meta_pid_visible(const struct meta *m, const struct meta_view *v);
size_t meta_size(const struct meta *m, const struct meta_view *v, uint64_t mask);
void *meta_write(void *at, const struct meta *m, const struct meta_view *v, uint64_t mask);

uint64_t meta_view_uid(const struct meta_view *v, uint64_t uid);
uint64_t meta_view_gid(const struct meta_view *v, uint64_t gid);
bool meta_unview_uid(const struct meta_view *v, uint64_t inner, uid_t *uidp);
bool meta_unview_gid(const struct meta_view *v, uint64_t inner, gid_t *gidp);
