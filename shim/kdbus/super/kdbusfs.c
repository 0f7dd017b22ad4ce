/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#define FUSE_USE_VERSION 35

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "bus-core/util/cleanup.h"
#include "shim/kdbus/kdbus-abi.h"
#include "shim/kdbus/super/kdbusfs.h"
#include "shim/kdbus/super/line.h"
#include "shim/kdbus/super/relay.h"

#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID AT_REMOVEDIR
#endif

#define GONE (POLLERR | POLLHUP) /* what poll says of a handle that is no connection */

/* a path, as the kernel knows it: directories once, files once for each time they are opened */
struct fsnode {
        fuse_ino_t ino;
        char *path; /* below the domain's directory; "." for itself */
        bool dir, current; /* current: the next look-up of the path finds it */
        uint64_t n_lookups;
        struct fshandle *handle;
        UT_hash_handle hh;      /* fs->nodes, by ino */
        UT_hash_handle by_path; /* fs->current */
};

struct fshandle {
        struct kdbusfs *fs;
        fuse_ino_t ino;
        int n_refs;
        int sock, file; /* to the daemon; of the node */
        bool connected; /* and the pool is constant */
        int pool_fd;
        uint8_t *pool;
        size_t pool_size;
        struct fuse_pollhandle *waiting; /* someone polls */
};

struct kdbusfs {
        pthread_mutex_t lock;
        struct fuse_session *session;
        struct fuse_buf buf;
        struct lines *lines;
        int root_fd;
        struct sockaddr_un daemon;
        struct fsnode *nodes, *current;
        fuse_ino_t last_ino;
        int epoll_fd; /* all connections; by edges, for pollers may want those */
        pthread_t serving;
        dev_t dev; /* constant once programs run */
};

/* --- nodes; fs->lock is held --- */

static struct fsnode *find_node(struct kdbusfs *fs, fuse_ino_t ino)
{
        struct fsnode *node;

        HASH_FIND(hh, fs->nodes, &ino, sizeof(ino), node);
        return node;
}

static void make_past(struct kdbusfs *fs, struct fsnode *node)
{
        if (node->current)
                HASH_DELETE(by_path, fs->current, node);
        node->current = false;
}

static void node_free(struct kdbusfs *fs, struct fsnode *node)
{
        make_past(fs, node);
        HASH_DEL(fs->nodes, node);
        free(node->path);
        free(node);
}

static struct fsnode *node_new(struct kdbusfs *fs, const char *path, bool dir)
{
        struct fsnode *node = calloc(1, sizeof(*node));

        if (!node)
                return NULL;
        node->path = strdup(path);
        node->ino = ++fs->last_ino;
        node->dir = dir;
        if (node->path)
                HASH_ADD(hh, fs->nodes, ino, sizeof(node->ino), node);
        if (!node->path || !node->hh.tbl) {
                free(node->path);
                free(node);
                return NULL;
        }
        HASH_ADD_KEYPTR(by_path, fs->current, node->path, strlen(node->path), node);
        node->current = node->by_path.tbl;
        return node;
}

static struct fsnode *node_for(struct kdbusfs *fs, const char *path, bool dir)
{
        struct fsnode *node;

        HASH_FIND(by_path, fs->current, path, strlen(path), node);
        if (node && node->dir != dir) {
                make_past(fs, node);
                node = NULL;
        }
        return node ?: node_new(fs, path, dir);
}

static void forget_node(struct kdbusfs *fs, fuse_ino_t ino, uint64_t n)
{
        struct fsnode *node = find_node(fs, ino);

        if (!node || ino == FUSE_ROOT_ID)
                return;
        node->n_lookups -= MIN(n, node->n_lookups);
        if (!node->n_lookups && !node->handle)
                node_free(fs, node);
}

/*
 * Where the programs are in a user namespace of one user, files of others would belong to nobody,
 * and the kernel lets nobody write them. They are shown as that user's own, with the access that
 * the user has to them; opening them is judged by the real ones.
 */
static void show_as_own(struct kdbusfs *fs, const char *path, struct stat *st)
{
        static const struct {
                int access;
                mode_t mode;
        } rights[] = {{R_OK, S_IRUSR}, {W_OK, S_IWUSR}, {X_OK, S_IXUSR}};
        uid_t uid = geteuid();

        if (uid == 0)
                return;
        if (st->st_uid != uid) {
                st->st_mode &= ~(mode_t)S_IRWXU;
                for (size_t i = 0; i < ARRAY_SIZE(rights); i++)
                        if (faccessat(fs->root_fd, path, rights[i].access, AT_EACCESS) == 0)
                                st->st_mode |= rights[i].mode;
        }
        st->st_uid = uid;
        st->st_gid = getegid();
}

static int stat_node(struct kdbusfs *fs, const struct fsnode *node, struct stat *st)
{
        int r = node->handle ? fstat(node->handle->file, st)
                             : fstatat(fs->root_fd, node->path, st, AT_SYMLINK_NOFOLLOW);

        if (r < 0)
                return errno;
        show_as_own(fs, node->path, st);
        if (node->handle)
                st->st_size = node->handle->pool_size; /* what may be mapped */
        return 0;
}

/* --- handles --- */

static struct fshandle *handle_new(struct kdbusfs *fs, const struct fsnode *node)
{
        struct fshandle *h = calloc(1, sizeof(*h));

        if (!h)
                return NULL;
        *h = (struct fshandle){.fs = fs, .ino = node->ino, .n_refs = 1, .pool_fd = -1};
        h->file = h->sock = -1;
        return h;
}

static void handle_free_locked(struct fshandle *h)
{
        if (--h->n_refs)
                return;
        if (h->waiting)
                fuse_pollhandle_destroy(h->waiting);
        if (h->pool)
                munmap(h->pool, h->pool_size);
        closep(&h->pool_fd);
        closep(&h->file);
        closep(&h->sock);
        free(h);
}

void fshandle_unref(struct fshandle *h)
{
        struct kdbusfs *fs;

        if (!h)
                return;
        fs = h->fs;
        pthread_mutex_lock(&fs->lock);
        handle_free_locked(h);
        pthread_mutex_unlock(&fs->lock);
}

static int connect_daemon(struct kdbusfs *fs)
{
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *)&fs->daemon, sizeof(fs->daemon)) < 0) {
                int r = errno == ECONNREFUSED ? -ENXIO : -errno;

                close(fd);
                return r;
        }
        return fd;
}

static int handle_open(struct fshandle *h, const char *path, pid_t tid)
{
        struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.u64 = h->ino};
        struct line *line = NULL;
        int r;

        h->file = openat(h->fs->root_fd, path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (h->file < 0)
                return -errno;
        h->sock = connect_daemon(h->fs);
        if (h->sock < 0)
                return h->sock;
        r = line_get(h->fs->lines, tid, &line);
        r = r ?: relay_open(line, h->sock, h->file);
        line_put(h->fs->lines, line);
        if (!r && epoll_ctl(h->fs->epoll_fd, EPOLL_CTL_ADD, h->sock, &ev) < 0)
                r = -errno;
        return r;
}

static bool is_connected(struct fshandle *h)
{
        bool yes;

        pthread_mutex_lock(&h->fs->lock);
        yes = h->connected;
        pthread_mutex_unlock(&h->fs->lock);
        return yes;
}

/* what is in the pool goes into the pages; without the lock, for their reader may need it first */
static void store(struct fshandle *h, uint64_t offset, uint64_t size)
{
        struct fuse_bufvec buf = FUSE_BUFVEC_INIT(size);

        if (!is_connected(h) || offset > h->pool_size || size > h->pool_size - offset)
                return;
        buf.buf[0].mem = h->pool + offset;
        (void)fuse_lowlevel_notify_store(h->fs->session, h->ino, offset, &buf, 0);
}

/* after HELLO */
static int adopt_pool(struct fshandle *h, struct line *line)
{
        struct stat st;
        int fd = -1, r;
        void *p;

        r = relay_pool(line, h->sock, &fd);
        if (r)
                return r;
        if (fstat(fd, &st) < 0 || st.st_size <= 0 ||
            (p = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED) {
                close(fd);
                return -ENOMEM;
        }
        pthread_mutex_lock(&h->fs->lock);
        h->pool_fd = fd;
        h->pool = p;
        h->pool_size = st.st_size;
        h->connected = true;
        pthread_mutex_unlock(&h->fs->lock);
        store(h, h->pool_size - 1, 1); /* so long is the file now: beyond, page faults are fatal */
        return 0;
}

/**
 * fshandle_ioctl() - carry out a command, and let the program's mapping show its result
 */
int fshandle_ioctl(struct fshandle *h, struct relay *relay, uint32_t code, uint64_t argument)
{
        int r;

        relay->handle = h->sock;
        relay->handles = h->fs->dev;
        r = relay_ioctl(relay, code, argument);
        if (r)
                return r;
        if (code == KDBUS_CMD_HELLO && relay->size && !is_connected(h))
                r = adopt_pool(h, relay->line);
        if (!r && relay->size)
                store(h, relay->offset, relay->size);
        return r;
}

/**
 * fshandle_check_map() - whether a mapping is one that may be made
 */
int fshandle_check_map(struct fshandle *h, uint64_t length, uint64_t prot)
{
        int r = 0;

        pthread_mutex_lock(&h->fs->lock);
        if (!h->connected)
                r = -EBADFD;
        else if (prot & PROT_WRITE)
                r = -EPERM;
        else if (length > h->pool_size)
                r = -EFAULT;
        pthread_mutex_unlock(&h->fs->lock);
        return r;
}

/**
 * kdbusfs_find() - which handle a descriptor is
 *
 * Return: 0; -ENOENT if it is none of ours.
 */
int kdbusfs_find(struct kdbusfs *fs, int fd, struct fshandle **handlep)
{
        struct {
                struct file_handle head;
                uint32_t words[32]; /* the inode's number, high half first */
        } fh = {.head.handle_bytes = sizeof(fh.words)};
        struct statx stx;
        struct fsnode *node;
        int mount_id;

        if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &stx) < 0 ||
            makedev(stx.stx_dev_major, stx.stx_dev_minor) != fs->dev)
                return -ENOENT;
        if (name_to_handle_at(fd, "", &fh.head, &mount_id, AT_EMPTY_PATH) < 0 &&
            name_to_handle_at(fd, "", &fh.head, &mount_id, AT_EMPTY_PATH | AT_HANDLE_FID) < 0)
                return -ENOENT;
        if (fh.head.handle_bytes < 8)
                return -ENOENT;
        pthread_mutex_lock(&fs->lock);
        node = find_node(fs, (uint64_t)fh.words[0] << 32 | fh.words[1]);
        *handlep = node ? node->handle : NULL;
        if (*handlep)
                (*handlep)->n_refs++;
        pthread_mutex_unlock(&fs->lock);
        return *handlep ? 0 : -ENOENT;
}

/* --- what the kernel asks; fs->lock is held --- */

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
        conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                                  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
        conn->want |= conn->capable & FUSE_CAP_EXPORT_SUPPORT;
}

static int child_path(const struct fsnode *parent, const char *name, char *path, size_t n)
{
        bool top = strcmp(parent->path, ".") == 0;

        return (size_t)snprintf(path, n, "%s%s%s", top ? "" : parent->path, top ? "" : "/",
                                name) < n
                       ? 0
                       : ENAMETOOLONG;
}

/* nothing is kept: buses come and go, and each open has to ask */
static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        struct kdbusfs *fs = fuse_req_userdata(req);
        struct fsnode *dir = find_node(fs, parent), *node;
        struct fuse_entry_param e = {};
        char path[PATH_MAX];
        int r = dir ? child_path(dir, name, path, sizeof(path)) : ESTALE;

        if (!r && fstatat(fs->root_fd, path, &e.attr, AT_SYMLINK_NOFOLLOW) < 0)
                r = errno;
        if (!r && !S_ISREG(e.attr.st_mode) && !S_ISDIR(e.attr.st_mode))
                r = ENOENT;
        if (!r)
                show_as_own(fs, path, &e.attr);
        node = r ? NULL : node_for(fs, path, S_ISDIR(e.attr.st_mode));
        if (!node) {
                fuse_reply_err(req, r ?: ENOMEM);
                return;
        }
        e.ino = node->ino;
        node->n_lookups++;
        if (fuse_reply_entry(req, &e))
                forget_node(fs, node->ino, 1);
}

static void on_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
        forget_node(fuse_req_userdata(req), ino, n);
        fuse_reply_none(req);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        struct kdbusfs *fs = fuse_req_userdata(req);
        struct fsnode *node = find_node(fs, ino);
        struct stat st;
        int r = node ? stat_node(fs, node, &st) : ESTALE;

        if (r)
                fuse_reply_err(req, r);
        else
                fuse_reply_attr(req, &st, 0);
}

/* truncation, which comes with some ways to open, does nothing; the rest is not to be changed */
static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
        if (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
                fuse_reply_err(req, EPERM);
        else
                on_getattr(req, ino, fi);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        struct kdbusfs *fs = fuse_req_userdata(req);
        struct fsnode *node = find_node(fs, ino);
        struct fshandle *h;
        int r;

        /* an inode is opened once; the kernel looks the path up again, and finds another */
        if (!node || node->handle) {
                fuse_reply_err(req, ESTALE);
                return;
        }
        make_past(fs, node);
        h = handle_new(fs, node);
        r = h ? handle_open(h, node->path, fuse_req_ctx(req)->pid) : -ENOMEM;
        if (r) {
                if (h)
                        handle_free_locked(h);
                fuse_reply_err(req, -r);
                return;
        }
        node->handle = h;
        fi->fh = (uintptr_t)h;
        if (fuse_reply_open(req, fi)) { /* nobody wants it any more */
                node->handle = NULL;
                handle_free_locked(h);
        }
}

static void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        struct kdbusfs *fs = fuse_req_userdata(req);
        struct fshandle *h = (struct fshandle *)(uintptr_t)fi->fh;
        struct fsnode *node = find_node(fs, ino);

        if (node && node->handle == h)
                node->handle = NULL;
        if (node && !node->n_lookups && !node->handle)
                node_free(fs, node);
        /* a command under way may hold it a little longer, but the daemon need not */
        shutdown(h->sock, SHUT_RDWR);
        handle_free_locked(h);
        fuse_reply_err(req, 0);
}

/* a page that the program's mapping has not seen yet */
static void on_read(fuse_req_t req, fuse_ino_t ino, size_t n, off_t offset,
                    struct fuse_file_info *fi)
{
        const struct fshandle *h = (struct fshandle *)(uintptr_t)fi->fh;
        size_t at = MIN((uint64_t)offset, (uint64_t)h->pool_size);

        fuse_reply_buf(req, h->pool ? (char *)h->pool + at : NULL, MIN(n, h->pool_size - at));
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t n, off_t offset,
                     struct fuse_file_info *fi)
{
        fuse_reply_err(req, EINVAL);
}

static unsigned poll_state(const struct fshandle *h)
{
        struct pollfd p = {.fd = h->sock, .events = POLLIN};

        if (!h->connected || poll(&p, 1, 0) < 0 || (p.revents & GONE))
                return GONE;
        return POLLOUT | POLLWRNORM | (p.revents & POLLIN ? POLLIN | POLLRDNORM : 0);
}

static void on_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                    struct fuse_pollhandle *ph)
{
        struct fshandle *h = (struct fshandle *)(uintptr_t)fi->fh;

        /* first the one, then the other: what comes in between is told */
        if (ph) {
                if (h->waiting)
                        fuse_pollhandle_destroy(h->waiting);
                h->waiting = ph;
        }
        fuse_reply_poll(req, poll_state(h));
}

/* --- directories --- */

static void on_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        struct kdbusfs *fs = fuse_req_userdata(req);
        struct fsnode *node = find_node(fs, ino);
        int fd = node ? openat(fs->root_fd, node->path,
                               O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                      : -1;
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);

        if (!dir) {
                fuse_reply_err(req, node ? errno : ESTALE);
                if (fd >= 0)
                        close(fd);
                return;
        }
        fi->fh = (uintptr_t)dir;
        if (fuse_reply_open(req, fi))
                closedir(dir);
}

static void on_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        closedir((DIR *)(uintptr_t)fi->fh);
        fuse_reply_err(req, 0);
}

static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
        DIR *dir = (DIR *)(uintptr_t)fi->fh;
        _cleanup_(freep) char *buf = malloc(size);
        size_t used = 0, n;
        struct dirent *e;

        if (!buf) {
                fuse_reply_err(req, ENOMEM);
                return;
        }
        rewinddir(dir);
        for (off_t at = 1; (e = readdir(dir)); at++) {
                struct stat st = {.st_ino = e->d_ino, .st_mode = DTTOIF(e->d_type)};

                if (at <= offset)
                        continue;
                n = fuse_add_direntry(req, buf + used, size - used, e->d_name, &st, at);
                if (n > size - used)
                        break;
                used += n;
        }
        fuse_reply_buf(req, buf, used);
}

/* --- commands that no filter caught --- */

struct plain {
        fuse_req_t req;
        struct fshandle *handle;
        pid_t tid;
        uint32_t code;
        uint64_t argument;
};

static bool plain_interrupted(void *userdata)
{
        return fuse_req_interrupted(((struct plain *)userdata)->req);
}

static const struct relay_ops plain_ops = {.interrupted = plain_interrupted};

static void *plain_run(void *data)
{
        struct plain *p = data;
        struct relay relay = {.ops = &plain_ops, .userdata = p};
        struct lines *lines = p->handle->fs->lines;
        int r;

        r = line_get(lines, p->tid, &relay.line);
        r = r ?: fshandle_ioctl(p->handle, &relay, p->code, p->argument);
        line_put(lines, relay.line);
        fshandle_unref(p->handle);
        if (r)
                fuse_reply_err(p->req, -r);
        else
                fuse_reply_ioctl(p->req, 0, NULL, 0);
        free(p);
        return NULL;
}

/* a program that is not supervised: all works but for descriptors in messages */
static void on_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned code, void *argument,
                     struct fuse_file_info *fi, unsigned flags, const void *in, size_t n_in,
                     size_t n_out)
{
        struct fshandle *h = (struct fshandle *)(uintptr_t)fi->fh;
        struct plain *p = (flags & FUSE_IOCTL_DIR) ? NULL : malloc(sizeof(*p));
        pthread_t thread;

        if (!p) {
                fuse_reply_err(req, ENOTTY);
                return;
        }
        *p = (struct plain){.req = req,
                            .handle = h,
                            .tid = fuse_req_ctx(req)->pid,
                            .code = code,
                            .argument = (uintptr_t)argument};
        h->n_refs++;
        if (pthread_create(&thread, NULL, plain_run, p)) {
                h->n_refs--;
                free(p);
                fuse_reply_err(req, ENOMEM);
                return;
        }
        pthread_detach(thread);
}

static const struct fuse_lowlevel_ops ops = {
        .init = on_init,
        .lookup = on_lookup,
        .forget = on_forget,
        .getattr = on_getattr,
        .setattr = on_setattr,
        .open = on_open,
        .release = on_release,
        .read = on_read,
        .write = on_write,
        .poll = on_poll,
        .ioctl = on_ioctl,
        .opendir = on_opendir,
        .releasedir = on_releasedir,
        .readdir = on_readdir,
};

/* --- serving --- */

/**
 * kdbusfs_settle() - handle what the kernel has asked so far
 */
void kdbusfs_settle(struct kdbusfs *fs)
{
        pthread_mutex_lock(&fs->lock);
        while (fuse_session_receive_buf(fs->session, &fs->buf) > 0)
                fuse_session_process_buf(fs->session, &fs->buf);
        pthread_mutex_unlock(&fs->lock);
}

static void *serve(void *data)
{
        struct kdbusfs *fs = data;
        struct pollfd p = {.fd = fuse_session_fd(fs->session), .events = POLLIN};

        while (!(p.revents & (POLLERR | POLLHUP))) {
                if (poll(&p, 1, -1) > 0)
                        kdbusfs_settle(fs);
        }
        return NULL;
}

static void wake_poller(struct kdbusfs *fs, fuse_ino_t ino)
{
        struct fuse_pollhandle *ph = NULL;
        struct fsnode *node;

        pthread_mutex_lock(&fs->lock);
        node = find_node(fs, ino);
        if (node && node->handle) {
                ph = node->handle->waiting;
                node->handle->waiting = NULL;
        }
        pthread_mutex_unlock(&fs->lock);
        if (!ph)
                return;
        fuse_lowlevel_notify_poll(ph);
        fuse_pollhandle_destroy(ph);
}

static void *watch(void *data)
{
        struct kdbusfs *fs = data;
        struct epoll_event events[32];

        for (;;) {
                int n = epoll_wait(fs->epoll_fd, events, ARRAY_SIZE(events), -1);

                for (int i = 0; i < n; i++)
                        wake_poller(fs, events[i].data.u64);
        }
        return NULL;
}

static int open_session(struct kdbusfs *fs, int fuse_fd)
{
        static char name[] = "kdbusfs";
        struct fuse_args args = {.argc = 1, .argv = (char *[]){name, NULL}};
        char mount_point[32];

        if (fcntl(fuse_fd, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        fs->session = fuse_session_new(&args, &ops, sizeof(ops), fs);
        if (!fs->session)
                return -ENOMEM;
        snprintf(mount_point, sizeof(mount_point), "/dev/fd/%d", fuse_fd);
        return fuse_session_mount(fs->session, mount_point) < 0 ? -EIO : 0;
}

static int start_threads(struct kdbusfs *fs)
{
        pthread_t thread;

        if (pthread_create(&fs->serving, NULL, serve, fs))
                return -ENOMEM;
        if (pthread_create(&thread, NULL, watch, fs))
                return -ENOMEM;
        pthread_detach(thread);
        return 0;
}

static int start(struct kdbusfs *fs, int fuse_fd, const char *state)
{
        char path[PATH_MAX];
        int r;

        fs->daemon.sun_family = AF_UNIX;
        if ((size_t)snprintf(fs->daemon.sun_path, sizeof(fs->daemon.sun_path), "%s/socket",
                             state) >= sizeof(fs->daemon.sun_path))
                return -ENAMETOOLONG;
        snprintf(path, sizeof(path), "%s/root", state);
        fs->root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        fs->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (fs->root_fd < 0 || fs->epoll_fd < 0)
                return -errno;
        fs->last_ino = FUSE_ROOT_ID - 1;
        if (!node_new(fs, ".", true))
                return -ENOMEM;
        r = open_session(fs, fuse_fd);
        return r ?: start_threads(fs);
}

/**
 * kdbusfs_start() - serve a mount, as long as this process lives
 * @fuse_fd:    of the mount; consumed
 * @state:      the daemon's directory
 * @lines:      of the programs that use it
 */
int kdbusfs_start(struct kdbusfs **fsp, int fuse_fd, const char *state, struct lines *lines)
{
        struct kdbusfs *fs = calloc(1, sizeof(*fs));
        int r;

        if (!fs)
                return -ENOMEM;
        pthread_mutex_init(&fs->lock, NULL);
        fs->lines = lines;
        r = start(fs, fuse_fd, state);
        if (r)
                return r; /* the process ends, and this with it */
        *fsp = fs;
        return 0;
}

/**
 * kdbusfs_mounted() - what device number it got; before any program runs
 */
void kdbusfs_mounted(struct kdbusfs *fs, dev_t dev)
{
        fs->dev = dev;
}

/**
 * kdbusfs_wait() - until it is mounted nowhere and has no open files
 */
void kdbusfs_wait(struct kdbusfs *fs)
{
        pthread_join(fs->serving, NULL);
}
