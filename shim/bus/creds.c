/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdbool.h>
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
        creds->gids[creds->n_gids++] = primary;
        for (size_t i = 0; i < n; i++)
                if (gids[i] != primary)
                        creds->gids[creds->n_gids++] = gids[i];
        *out = creds;
        return 0;
}

/* SO_PEERGROUPS, however many there are; *@out is @room, or allocated. */
static int peer_groups(gid_t **out, size_t *n, gid_t *room, size_t n_room, int fd)
{
        socklen_t len = n_room * sizeof(gid_t);

        *out = room;
        while (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, *out, &len) < 0) {
                if (*out != room)
                        free(*out);
                *out = room;
                if (errno != ERANGE) {
                        *n = 0;
                        return 0;
                }
                *out = malloc(len);
                if (!*out)
                        return error_origin(-ENOMEM);
        }
        *n = len / sizeof(gid_t);
        return 0;
}

static int peer_label(struct creds *creds, int fd)
{
        static _Atomic bool unlabelled; /* no security module labels sockets here */
        char text[256], *label = text, *bigger = NULL;
        socklen_t len = sizeof(text) - 1;

        if (atomic_load_explicit(&unlabelled, memory_order_relaxed))
                return 0;
        while (getsockopt(fd, SOL_SOCKET, SO_PEERSEC, label, &len) < 0) {
                if (errno != ERANGE) {
                        if (errno == ENOPROTOOPT)
                                atomic_store_explicit(&unlabelled, true, memory_order_relaxed);
                        free(bigger);
                        return 0;
                }
                free(bigger);
                label = bigger = malloc(len + 1);
                if (!bigger)
                        return error_origin(-ENOMEM);
        }
        label[len] = 0;
        creds->label = strdup(label);
        free(bigger);
        if (!creds->label)
                return error_origin(-ENOMEM);
        creds->label_len = strlen(creds->label);
        return 0;
}

int creds_from_socket(struct creds **out, int fd)
{
        _cleanup_(creds_unrefp) struct creds *creds = NULL;
        struct ucred uc = { .uid = (uid_t)-1 };
        socklen_t len = sizeof(uc);
        gid_t room[64], *gids = room;
        size_t n = 0;
        bool known;
        int r;

        known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &len) == 0 && uc.uid != (uid_t)-1;
        if (known) {
                r = peer_groups(&gids, &n, room, ARRAY_SIZE(room), fd);
                if (r)
                        return error_fold(r);
        }
        r = creds_new(&creds, uc.gid, gids, n);
        if (gids != room)
                free(gids);
        if (r)
                return error_fold(r);
        if (known) {
                creds->has_uid = true;
                creds->has_gids = true;
                creds->uid = uc.uid;
                creds->pid = uc.pid;
                r = peer_label(creds, fd);
                if (r)
                        return error_fold(r);
        }
        *out = steal(&creds);
        return 0;
}

int creds_pidfd(int socket_fd)
{
        socklen_t len = sizeof(int);
        int fd;

        if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) < 0)
                return -errno;
        return fd;
}

int creds_of_process(struct creds **out, pid_t pid, uid_t uid, gid_t gid, const gid_t *gids, size_t n,
                     const char *label)
{
        _cleanup_(creds_unrefp) struct creds *creds = NULL;
        int r;

        r = creds_new(&creds, gid, gids, n);
        if (r)
                return error_fold(r);
        creds->has_uid = creds->has_gids = true;
        creds->uid = uid;
        creds->pid = pid;
        if (label) {
                creds->label = strdup(label);
                if (!creds->label)
                        return error_origin(-ENOMEM);
                creds->label_len = strlen(label);
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
        if (!buf[n - 1])
                n--; /* the end, not another argument */
        for (ssize_t i = 0; i < n; i++)
                if ((unsigned char)buf[i] < 0x20)
                        buf[i] = ' ';
        return buf;
}

/* the path of the control group that systemd manages, in place in @text; NULL: there is none */
static const char *find_cgroup(char *text)
{
        char *save, *line;

        for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                if (strncmp(line, "0::", 3) == 0)
                        return line + 3;
                line = strstr(line, ":name=systemd:");
                if (line)
                        return line + strlen(":name=systemd:");
        }
        return NULL;
}

const char *creds_cgroup(const struct creds *creds, char *buf, size_t size)
{
        char path[64];
        size_t n;
        FILE *f;

        if (creds->pid <= 0)
                return NULL;
        snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)creds->pid);
        f = fopen(path, "re");
        if (!f)
                return NULL;
        n = fread(buf, 1, size - 1, f);
        fclose(f);
        buf[n] = '\0';
        return find_cgroup(buf);
}
