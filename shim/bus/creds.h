/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Credentials
 *
 * What it is     Who is at the other end of a socket, by the kernel's word only.
 * How            SO_PEERCRED, SO_PEERGROUPS, SO_PEERSEC and SO_PEERPIDFD, asked once when the
 *                connection is made: they tell of the moment of connect(), so a later exec or a
 *                reused pid changes nothing. What else is shown of a process (comm, cmdline) is
 *                read when a log line wants it, and is no credential.
 * Guard          Immutable after creds_from_socket(); counted.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/ref.h"

struct creds {
        ref_t refs;
        bool has_uid; /* a UNIX socket, or an identity that authentication vouched for */
        uid_t uid;
        pid_t pid; /* 0: unknown */
        bool has_gids;
        size_t n_gids;
        char *label; /* security label, NUL-terminated; NULL: none */
        size_t label_len;
        gid_t gids[]; /* primary first, then supplementary */
};

/**
 * creds_from_socket() - ask the kernel
 * @fd:         connected socket; for other than UNIX sockets nothing is known, which is no error
 */
int creds_from_socket(struct creds **out, int fd);

/*
 * creds_pidfd() - a descriptor of the process that connected, or a negative errno. The kernel
 * keeps that process's identity with the socket, so asking late is as good as asking at once.
 */
int creds_pidfd(int socket_fd);

/* creds_of_uid() - the identity that a cookie proved: uid and its groups from the user database */
int creds_of_uid(struct creds **out, uid_t uid);

/* creds_anonymous() - someone who proved nothing: the process that the kernel sees, and no user */
int creds_anonymous(struct creds **out, const struct creds *seen);

/*
 * creds_of_process() - a process that a trusted speaker connected for; by what was read of it in /proc
 * @label:      as in /proc/PID/attr/current, or NULL
 */
int creds_of_process(struct creds **out, pid_t pid, uid_t uid, gid_t gid, const gid_t *gids, size_t n,
                     const char *label);

/* creds_of_self() - this process */
int creds_of_self(struct creds **out);

struct creds *creds_ref(struct creds *creds);
struct creds *creds_unref(struct creds *creds);
DEFINE_FREEP(struct creds, creds_unref)

/* creds_cgroup() - the control group that systemd manages, in @buf; NULL: none, or unknown */
const char *creds_cgroup(const struct creds *creds, char *buf, size_t size);

/* creds_comm() - the command line of the process as a log line shows it, "" when unknown */
const char *creds_comm(const struct creds *creds, char *buf, size_t size);
