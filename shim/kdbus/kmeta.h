/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kdbus metadata
 *
 * What it is     What the kernel says about a process, and how much of it another may see.
 * How            A struct task names a process by an open /proc directory, which the kernel never
 *                reuses for another. kmeta_collect() reads what is wanted from it, once per kind;
 *                kmeta_write() renders it for a receiver: ids in the receiver's user namespace,
 *                pids in its pid namespace.
 * Not promised   Kinds that the daemon may not read (a process of another user, when the daemon is
 *                unprivileged) are left out.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shim/kdbus/kdbus-abi.h"

#define KMETA_NS_DEPTH 32 /* the kernel's own limit of nested namespaces */

/* the kinds that are read from the process itself */
#define KMETA_PROC                                                                                  \
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
        pid_t pid[KMETA_NS_DEPTH];
};

struct kmeta {
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
        struct kmeta meta;
};

struct id_range {
        uint64_t inside, outside, count;
};

/* where a receiver stands: in which namespaces its ids are to be read */
struct kmeta_view {
        bool same_user_ns; /* as the daemon: nothing to translate */
        struct id_range *uids, *gids;
        size_t n_uids, n_gids;
        ino_t user_ns[KMETA_NS_DEPTH]; /* its own, and upwards */
        uid_t user_ns_owner[KMETA_NS_DEPTH];
        unsigned n_user_ns;
        ino_t pid_ns;
        unsigned pid_depth; /* nesting below the daemon's */
        dev_t root_dev;
        ino_t root_ino;
};

int task_open(struct task *t, pid_t pid, int pidfd);
void task_close(struct task *t);
bool task_alive(const struct task *t);

void kmeta_collect(struct kmeta *m, const struct task *t, pid_t inner_tid, uint64_t mask);
int kmeta_copy_creds(struct kmeta *to, const struct kmeta *from);
void kmeta_deinit(struct kmeta *m);
const struct kmeta *caller_creds(struct caller *caller);
const struct kmeta *caller_meta(struct caller *caller, uint64_t mask);
bool kmeta_in_group(const struct kmeta *m, gid_t gid);

void kmeta_view_init(struct kmeta_view *v, const struct task *t, const struct kmeta *m);
void kmeta_view_deinit(struct kmeta_view *v);

bool kmeta_pid_visible(const struct kmeta *m, const struct kmeta_view *v);
size_t kmeta_size(const struct kmeta *m, const struct kmeta_view *v, uint64_t mask);
void *kmeta_write(void *at, const struct kmeta *m, const struct kmeta_view *v, uint64_t mask);

uint64_t kmeta_view_uid(const struct kmeta_view *v, uint64_t uid);
uint64_t kmeta_view_gid(const struct kmeta_view *v, uint64_t gid);
bool kmeta_unview_uid(const struct kmeta_view *v, uint64_t inner, uid_t *uidp);
bool kmeta_unview_gid(const struct kmeta_view *v, uint64_t inner, gid_t *gidp);
