/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "bus-core/util/error.h"
#include "shim/bus/creds.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static int creds_new(struct creds **out, gid_t primary, const gid_t *gids, size_t n)
{
        struct creds *creds;

        creds = calloc(1, sizeof(*creds) + (n + 1) * sizeof(gid_t));
        if (!creds)
                return error_origin(-ENOMEM);
        creds->refs = 1;
        creds->pidfd = -1;
        creds->gids[creds->n_gids++] = primary;
        for (size_t i = 0; i < n; i++)
                if (gids[i] != primary)
                        creds->gids[creds->n_gids++] = gids[i];
        *out = creds;
        return 0;
}

/* SO_PEERGROUPS, however many there are; *@out is NULL where the kernel does not tell. */
static int peer_groups(gid_t **out, size_t *n, int fd)
{
        socklen_t len = 64 * sizeof(gid_t);
        gid_t *gids = NULL, *bigger;

        *out = NULL;
        *n = 0;
        for (;;) {
                bigger = realloc(gids, len ? len : 1);
                if (!bigger) {
                        free(gids);
                        return error_origin(-ENOMEM);
                }
                gids = bigger;
                if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids, &len) == 0)
                        break;
                if (errno != ERANGE) {
                        free(gids);
                        return 0;
                }
        }
        *out = gids;
        *n = len / sizeof(gid_t);
        return 0;
}

static int peer_label(struct creds *creds, int fd)
{
        socklen_t len = 256;
        char *label = NULL, *bigger;

        for (;;) {
                bigger = realloc(label, len + 1);
                if (!bigger) {
                        free(label);
                        return error_origin(-ENOMEM);
                }
                label = bigger;
                if (getsockopt(fd, SOL_SOCKET, SO_PEERSEC, label, &len) == 0)
                        break;
                if (errno != ERANGE) {
                        free(label);
                        return 0; /* no security module */
                }
        }
        label[len] = 0;
        creds->label = label;
        creds->label_len = strlen(label);
        return 0;
}

int creds_from_socket(struct creds **out, int fd)
{
        _cleanup_(creds_unrefp) struct creds *creds = NULL;
        _cleanup_(freep) gid_t *gids = NULL;
        struct ucred uc = { .uid = (uid_t)-1 };
        socklen_t len = sizeof(uc);
        size_t n = 0;
        bool known;
        int r;

        known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &len) == 0 && uc.uid != (uid_t)-1;
        if (known) {
                r = peer_groups(&gids, &n, fd);
                if (r)
                        return error_fold(r);
        }
        r = creds_new(&creds, uc.gid, gids, n);
        if (r)
                return error_fold(r);
        if (known) {
                len = sizeof(creds->pidfd);
                creds->has_uid = true;
                creds->has_gids = true;
                creds->uid = uc.uid;
                creds->pid = uc.pid;
                if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &creds->pidfd, &len) < 0)
                        creds->pidfd = -1;
                r = peer_label(creds, fd);
                if (r)
                        return error_fold(r);
        }
        *out = steal(&creds);
        return 0;
}

int creds_of_uid(struct creds **out, uid_t uid)
{
        gid_t gids[256];
        int n = ARRAY_SIZE(gids), r;
        char buf[16384];
        struct passwd pw, *found = NULL;

        if (getpwuid_r(uid, &pw, buf, sizeof(buf), &found) || !found)
                n = 0;
        else if (getgrouplist(pw.pw_name, pw.pw_gid, gids, &n) < 0)
                n = ARRAY_SIZE(gids);
        r = creds_new(out, found ? pw.pw_gid : (gid_t)-1, gids, n);
        if (r)
                return error_fold(r);
        (*out)->has_uid = true;
        (*out)->has_gids = found;
        (*out)->uid = uid;
        return 0;
}

int creds_anonymous(struct creds **out, const struct creds *seen)
{
        int r;

        r = creds_new(out, (gid_t)-1, NULL, 0);
        if (r)
                return error_fold(r);
        (*out)->pid = seen->pid;
        return 0;
}

int creds_of_self(struct creds **out)
{
        gid_t gids[1024];
        int n, r;

        n = getgroups(ARRAY_SIZE(gids), gids);
        r = creds_new(out, getegid(), gids, MAX(n, 0));
        if (r)
                return error_fold(r);
        (*out)->has_uid = true;
        (*out)->has_gids = true;
        (*out)->uid = geteuid();
        (*out)->pid = getpid();
        return 0;
}

struct creds *creds_ref(struct creds *creds)
{
        ref_inc(&creds->refs);
        return creds;
}

struct creds *creds_unref(struct creds *creds)
{
        if (!creds || !ref_dec(&creds->refs))
                return NULL;
        closep(&creds->pidfd);
        free(creds->label);
        free(creds);
        return NULL;
}

const char *creds_comm(const struct creds *creds, char *buf, size_t size)
{
        char path[64];
        ssize_t n;
        int fd;

        buf[0] = 0;
        if (!creds->pid)
                return buf;
        snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)creds->pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return buf;
        n = read(fd, buf, size - 1);
        close(fd);
        if (n <= 0)
                return buf;
        buf[n] = 0;
        for (ssize_t i = 0; i < n - 1; i++)
                if ((unsigned char)buf[i] < 0x20)
                        buf[i] = ' ';
        return buf;
}
