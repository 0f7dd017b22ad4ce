/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "shim/kdbus/client/channel.h"
#include "shim/kdbus/client/forward.h"
#include "shim/kdbus/client/memory.h"
#include "shim/kdbus/client/paths.h"
#include "shim/kdbus/client/proto.h"
#include "shim/kdbus/client/ring.h"
#include "shim/kdbus/kdbus-abi.h"

#define CMD_SIZE_MAX 32768
#define VEC_SIZE_MAX (2 * 1024 * 1024)
#define ALIGN8(n)    (((n) + 7) & ~(size_t)7)
#define STREAM_NS    1000000 /* broadcasts no further apart are a stream */
#define SMALL        1024 /* bytes of a structure that fit on the stack */
#define SMALL_VECS   (SMALL / 40)
#define LARGE_VECS   1100 /* 32 KiB of VEC items, and our own parts */

/* a call under way: what goes up, and what comes back */
struct call {
        int handle;
        struct kdp_request rq;
        void *cmd, *msg; /* snapshots of the program's structures */
        size_t n_cmd, n_msg;
        struct iovec *vecs; /* [0..3] head and structures, then the payload */
        size_t n_vecs, n_payload;
        int fds[KDP_FDS_MAX];
        int *fd_slots[KDP_FDS_MAX]; /* where in the snapshot the index stands */
        size_t n_fds;
        int cancel_fd, payload_fd;
        bool interruptible;
        struct ring *ring; /* the handle's, or NULL */

        struct kdp_reply reply;
        int got[KDP_FDS_MAX];
        size_t n_got;
};

enum {
        IOCTL_E_LARGE = 1,
};

struct scratch {
        uint64_t cmd[CMD_SIZE_MAX / 8], msg[CMD_SIZE_MAX / 8];
        struct iovec vecs[LARGE_VECS];
};

static void close_fd(int fd)
{
        if (fd >= 0)
                syscall(SYS_close, fd);
}

/**
 * forward_is_handle() - whether a descriptor is connected to the daemon
 */
bool forward_is_handle(int fd)
{
        const char *path = paths_socket();
        struct sockaddr_un sa;
        socklen_t n = sizeof(sa);
        int saved = errno;
        bool yes;

        if (fd < 0 || !path)
                return false;
        yes = getpeername(fd, (struct sockaddr *)&sa, &n) == 0 && sa.sun_family == AF_UNIX &&
              n > sizeof(sa.sun_family) && sa.sun_path[0] &&
              strncmp(sa.sun_path, path, sizeof(sa.sun_path)) == 0;
        errno = saved;
        return yes;
}

/* --- up --- */

static void call_init(struct call *c, int handle, uint32_t op, struct iovec *vecs)
{
        memset(&c->rq, 0, sizeof(c->rq));
        c->handle = handle;
        c->rq.magic = KDP_MAGIC;
        c->rq.op = op;
        c->cmd = c->msg = NULL;
        c->n_cmd = c->n_msg = 0;
        c->vecs = vecs;
        c->n_vecs = 4;
        c->n_payload = 0;
        c->n_fds = c->n_got = 0;
        c->cancel_fd = c->payload_fd = -1;
        c->interruptible = false;
        c->ring = NULL;
}

static void call_add_fd(struct call *c, int *slot)
{
        /* more than there is room for is more than the daemon accepts, whatever it is */
        if (c->n_fds >= KDP_FDS_MAX - 4) {
                *slot = KDP_FD_INVALID;
                return;
        }
        c->fds[c->n_fds] = *slot;
        c->fd_slots[c->n_fds] = slot;
        *slot = c->n_fds++;
}

/* the descriptors of a request, in the order that proto.h has them */
static size_t gather_fds(struct call *c, const struct channel *ch, int *out)
{
        size_t n = 0;

        if (c->ring)
                c->rq.flags |= KDP_RINGED;
        c->rq.flags &= ~(uint32_t)(KDP_NEW_CHANNEL | KDP_PAYLOAD_FILE | KDP_CANCEL);
        if (ch->daemon_fd >= 0) {
                c->rq.flags |= KDP_NEW_CHANNEL;
                out[n++] = ch->daemon_fd;
        }
        if (c->payload_fd >= 0) {
                c->rq.flags |= KDP_PAYLOAD_FILE;
                out[n++] = c->payload_fd;
        }
        if (c->cancel_fd >= 0) {
                c->rq.flags |= KDP_CANCEL;
                out[n++] = c->cancel_fd;
        }
        memcpy(out + n, c->fds, c->n_fds * sizeof(int));
        return n + c->n_fds;
}

static bool is_open(int fd)
{
        return fcntl(fd, F_GETFD) >= 0;
}

/* some descriptor is not one: the daemon decides what that means, and when */
static int drop_bad_fds(struct call *c)
{
        size_t kept = 0;

        if (!is_open(c->handle))
                return -EBADF;
        if (c->cancel_fd >= 0 && !is_open(c->cancel_fd))
                c->cancel_fd = -1;
        for (size_t i = 0; i < c->n_fds; i++) {
                if (!is_open(c->fds[i])) {
                        *c->fd_slots[i] = KDP_FD_INVALID;
                        continue;
                }
                *c->fd_slots[i] = kept;
                c->fds[kept] = c->fds[i];
                c->fd_slots[kept++] = c->fd_slots[i];
        }
        c->n_fds = kept;
        return 0;
}

static void drop_payload(struct call *c, uint32_t flag)
{
        c->rq.flags |= flag;
        c->n_payload = 0;
        c->n_vecs = 4;
}

/* a payload too large for a packet */
static int payload_to_file(struct call *c)
{
        int fd = syscall(SYS_memfd_create, "kdbus-payload", MFD_CLOEXEC);
        size_t at = 4;

        if (fd < 0)
                return -errno;
        while (at < c->n_vecs) {
                size_t batch = c->n_vecs - at > 64 ? 64 : c->n_vecs - at, want = 0;
                ssize_t n;

                for (size_t i = 0; i < batch; i++)
                        want += c->vecs[at + i].iov_len;
                n = writev(fd, c->vecs + at, batch);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n != (ssize_t)want) {
                        close_fd(fd);
                        drop_payload(c, KDP_FAULT);
                        return 0;
                }
                at += batch;
        }
        c->payload_fd = fd;
        c->n_vecs = 4;
        return 0;
}

static int wait_writable(int fd)
{
        struct pollfd p = {.fd = fd, .events = POLLOUT};

        return poll(&p, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

static ssize_t send_packet(struct call *c, const struct channel *ch)
{
        static uint64_t zeros;
        union {
                struct cmsghdr align;
                char buf[CMSG_SPACE(KDP_FDS_MAX * sizeof(int))];
        } control;
        struct msghdr mh = {.msg_iov = c->vecs, .msg_iovlen = c->n_vecs};
        size_t n_fds;
        int fds[KDP_FDS_MAX];

        n_fds = gather_fds(c, ch, fds);
        c->rq.channel = ch->id;
        c->rq.serial = ch->serial;
        c->rq.tid = ch->tid;
        c->rq.n_cmd = c->n_cmd;
        c->rq.n_msg = c->n_msg;
        /* the structures' padding comes from the snapshots, which are padded */
        c->vecs[0] = (struct iovec){&c->rq, sizeof(c->rq)};
        c->vecs[1] = (struct iovec){c->cmd, ALIGN8(c->n_cmd)};
        c->vecs[2] = (struct iovec){c->msg, ALIGN8(c->n_msg)};
        c->vecs[3] = (struct iovec){&zeros, 0};
        if (n_fds) {
                struct cmsghdr *cmsg;

                memset(&control, 0, sizeof(control));
                mh.msg_control = control.buf;
                mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                cmsg = CMSG_FIRSTHDR(&mh);
                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_RIGHTS;
                cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
                memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
        }
        return sendmsg(c->handle, &mh, MSG_NOSIGNAL);
}

static int send_request(struct call *c, struct channel *ch)
{
        int r = 0;

        if (c->n_payload > KDP_INLINE_MAX)
                r = payload_to_file(c);
        while (!r && send_packet(c, ch) < 0) {
                switch (errno) {
                case EINTR:
                        break;
                case EAGAIN:
                        r = wait_writable(c->handle);
                        break;
                case EBADF:
                        r = drop_bad_fds(c);
                        break;
                case EFAULT:
                        if (!c->n_payload)
                                return -EFAULT;
                        drop_payload(c, KDP_FAULT);
                        break;
                case EMSGSIZE:
                        r = c->n_payload && c->payload_fd < 0 ? payload_to_file(c) : -EMSGSIZE;
                        break;
                case EPIPE:
                case ENOTCONN:
                case ECONNRESET:
                        return -ECONNRESET;
                default:
                        return -errno;
                }
        }
        if (!r && ch->daemon_fd >= 0) {
                close_fd(ch->daemon_fd);
                ch->daemon_fd = -1;
        }
        return r;
}

/* --- down --- */

static void take_fds(struct call *c, struct msghdr *mh)
{
        for (struct cmsghdr *m = CMSG_FIRSTHDR(mh); m; m = CMSG_NXTHDR(mh, m)) {
                size_t n = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t i = 0; i < n; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(m) + i * sizeof(int), sizeof(fd));
                        if (c->n_got < KDP_FDS_MAX)
                                c->got[c->n_got++] = fd;
                        else
                                close_fd(fd);
                }
        }
}

/* tell the daemon that nobody waits any more; it answers once, one way or the other */
static void interrupt(struct call *c, struct channel *ch)
{
        struct kdp_request rq = {.magic = KDP_MAGIC,
                                 .op = KDP_INTERRUPT,
                                 .channel = ch->id,
                                 .serial = ch->serial,
                                 .tid = ch->tid};

        while (send(c->handle, &rq, sizeof(rq), MSG_NOSIGNAL) < 0 &&
               (errno == EINTR || (errno == EAGAIN && wait_writable(c->handle) == 0)))
                ;
        c->interruptible = false;
}

static int receive_reply(struct call *c, struct channel *ch)
{
        union {
                struct cmsghdr align;
                char buf[CMSG_SPACE(KDP_FDS_MAX * sizeof(int))];
        } control;
        struct iovec iov[3] = {
                {&c->reply, sizeof(c->reply)},
                {c->cmd, ALIGN8(c->n_cmd)},
                {c->msg, ALIGN8(c->n_msg)},
        };

        for (;;) {
                struct msghdr mh = {.msg_iov = iov,
                                    .msg_iovlen = 3,
                                    .msg_control = &control,
                                    .msg_controllen = sizeof(control)};
                ssize_t n = recvmsg(ch->fd, &mh, MSG_CMSG_CLOEXEC);

                if (n < 0 && errno == EINTR) {
                        if (c->interruptible)
                                interrupt(c, ch);
                        continue;
                }
                if (n < (ssize_t)sizeof(c->reply))
                        return -ECONNRESET;
                take_fds(c, &mh);
                if (c->reply.serial == ch->serial)
                        break;
                /* left over from a call that a signal handler jumped out of */
                while (c->n_got)
                        close_fd(c->got[--c->n_got]);
        }
        ch->id = c->reply.channel;
        return 0;
}

static void take_token(const struct call *c)
{
        char byte;

        (void)!recv(c->handle, &byte, 1, MSG_DONTWAIT);
}

/* say which numbers the descriptors got; the daemon writes them into the message */
static int report_numbers(struct call *c, struct channel *ch)
{
        struct kdp_request rq = {.magic = KDP_MAGIC,
                                 .op = KDP_FDS,
                                 .channel = ch->id,
                                 .serial = ch->serial,
                                 .tid = ch->tid};
        struct iovec iov[2] = {{&rq, sizeof(rq)}, {c->got, c->n_got * sizeof(int)}};
        struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};
        size_t n_got = c->n_got;
        int r;

        while (sendmsg(c->handle, &mh, MSG_NOSIGNAL) < 0) {
                if (errno == EAGAIN)
                        wait_writable(c->handle);
                else if (errno != EINTR)
                        return -ECONNRESET;
        }
        r = receive_reply(c, ch);
        c->n_got = n_got;
        return r;
}

static int exchange(struct call *c, struct channel *ch)
{
        int r;

        ch->serial++;
        r = send_request(c, ch);
        if (r)
                return r;
        r = receive_reply(c, ch);
        if (r) {
                channel_drop(ch);
                return r;
        }
        if (c->reply.flags & KDP_DRAIN)
                take_token(c);
        if (c->reply.flags & KDP_NUMBERS)
                r = report_numbers(c, ch);
        return r ?: c->reply.error;
}

/* a slice that was just handed out can be freed without asking */
static void note_slice(const struct call *c)
{
        const struct kdbus_cmd_recv *recv = c->cmd;
        const struct kdbus_cmd_send *send = c->cmd;

        if (!c->ring)
                return;
        if (c->rq.code == KDBUS_CMD_RECV && !(recv->flags & (KDBUS_RECV_PEEK | KDBUS_RECV_DROP)))
                ring_give(c->ring, recv->msg.offset);
        else if (c->rq.code == KDBUS_CMD_SEND && (send->flags & KDBUS_SEND_SYNC_REPLY))
                ring_give(c->ring, send->reply.offset);
}

static int call_run(struct call *c)
{
        struct channel *ch, spare;
        int r;

        r = channel_get(&ch, &spare);
        if (r)
                return r;
        r = exchange(c, ch);
        if (r == -ESTALE && (c->reply.flags & KDP_STALE)) {
                channel_drop(ch);
                channel_put(ch, &spare);
                r = channel_get(&ch, &spare);
                if (r)
                        return r;
                r = exchange(c, ch);
        }
        channel_put(ch, &spare);
        close_fd(c->payload_fd);
        return r;
}

static void close_got(struct call *c)
{
        while (c->n_got)
                close_fd(c->got[--c->n_got]);
}

/* --- open, mmap, stat --- */

static int connect_handle(int flags)
{
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        const char *path = paths_socket();
        int fd;

        if (!path || strlen(path) >= sizeof(sa.sun_path))
                return -ENOENT;
        strcpy(sa.sun_path, path);
        fd = socket(AF_UNIX,
                    SOCK_SEQPACKET | (flags & O_CLOEXEC ? SOCK_CLOEXEC : 0), 0);
        if (fd < 0)
                return -errno;
        while (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
                int r = -errno;

                if (r == -EINTR)
                        continue;
                close_fd(fd);
                return r == -ECONNREFUSED ? -ENXIO : r;
        }
        return fd;
}

/**
 * forward_open() - make a handle of an open node
 * @node_fd:    the node's file; consumed: the handle takes its number
 *
 * Return: the handle's descriptor, or a negative errno.
 */
int forward_open(int node_fd, int flags)
{
        struct iovec vecs[4];
        struct call c;
        int fd, r, dummy = node_fd;

        fd = connect_handle(flags);
        if (fd < 0) {
                close_fd(node_fd);
                return fd;
        }
        call_init(&c, fd, KDP_OPEN, vecs);
        call_add_fd(&c, &dummy);
        r = call_run(&c);
        if (!r && syscall(SYS_dup3, fd, node_fd, flags & O_CLOEXEC) < 0)
                r = -errno;
        ring_forget(node_fd, node_fd); /* if it was closed in a way that nobody saw */
        close_fd(fd);
        if (r) {
                close_fd(node_fd);
                return r;
        }
        if (flags & O_NONBLOCK)
                fcntl(node_fd, F_SETFL, O_RDWR | O_NONBLOCK);
        return node_fd;
}

static int call_for_fds(struct call *c, size_t n)
{
        int r = call_run(c);

        if (!r && c->n_got != n)
                r = -ENFILE; /* the program has no number left */
        if (r)
                close_got(c);
        return r;
}

static int call_for_fd(struct call *c)
{
        int r = call_for_fds(c, 1);

        return r ?: c->got[0];
}

/**
 * forward_mmap() - the descriptor that is to be mapped in the handle's place
 */
int forward_mmap(int fd, size_t length, int prot, int flags, off_t offset)
{
        struct iovec vecs[4];
        struct call c;

        call_init(&c, fd, KDP_MMAP, vecs);
        c.rq.arg[0] = length;
        c.rq.arg[1] = prot;
        c.rq.arg[2] = flags;
        c.rq.arg[3] = offset;
        return call_for_fd(&c);
}

/**
 * forward_stat() - a descriptor of the node behind a handle
 */
int forward_stat(int fd)
{
        struct iovec vecs[4];
        struct call c;

        call_init(&c, fd, KDP_STAT, vecs);
        return call_for_fd(&c);
}

/* --- ioctl --- */

/* the program's structure, as far as its size field says; what is nonsense is sent as it is */
static int snapshot(void *buf, size_t room, uint64_t address, uint64_t *sizep)
{
        const void *at = (const void *)(uintptr_t)address;
        uint64_t size;

        *sizep = 0;
        if (address % 8)
                return -EFAULT;
        if (memory_read(&size, at, sizeof(size)))
                return -EFAULT;
        *sizep = size;
        memcpy(buf, &size, sizeof(size));
        if (size < sizeof(size) || size > CMD_SIZE_MAX || size > room)
                return 0;
        return memory_read(buf, at, size);
}

static size_t announced(uint64_t size)
{
        return size < sizeof(size) || size > CMD_SIZE_MAX ? sizeof(size) : size;
}

/* items that hold descriptors or point at the payload; the daemon judges, this only collects */
static void collect_items(struct call *c, void *items, size_t n_items, size_t max_vecs)
{
        uint8_t *p = items, *end = p + n_items;

        while ((size_t)(end - p) >= 16 && p < end) {
                struct kdbus_item *item = (void *)p;
                size_t n = item->size;

                if (n < 16 || n > (size_t)(end - p))
                        return;
                if (item->type == KDBUS_ITEM_PAYLOAD_VEC && n == 16 + sizeof(item->vec) &&
                    item->vec.address) {
                        if (item->vec.size > VEC_SIZE_MAX ||
                            c->n_payload + item->vec.size > VEC_SIZE_MAX || c->n_vecs >= max_vecs)
                                return; /* refused for its size in any case */
                        c->vecs[c->n_vecs++] = (struct iovec){
                                (void *)(uintptr_t)item->vec.address, item->vec.size};
                        c->n_payload += item->vec.size;
                } else if (item->type == KDBUS_ITEM_PAYLOAD_MEMFD &&
                           n == 16 + sizeof(item->memfd) && item->memfd.fd >= 0) {
                        call_add_fd(c, &item->memfd.fd);
                } else if (item->type == KDBUS_ITEM_FDS) {
                        for (size_t i = 0; i < (n - 16) / sizeof(int); i++)
                                call_add_fd(c, &item->fds[i]);
                } else if (item->type == KDBUS_ITEM_CANCEL_FD && n == 16 + sizeof(int)) {
                        c->cancel_fd = item->fds[0];
                }
                if (ALIGN8(n) >= (size_t)(end - p))
                        return;
                p += ALIGN8(n);
        }
}

static void prepare_send(struct call *c, size_t room, size_t max_vecs)
{
        struct kdbus_cmd_send *cmd = c->cmd;
        uint64_t size;

        if (c->n_cmd < sizeof(*cmd))
                return;
        c->interruptible = cmd->flags & KDBUS_SEND_SYNC_REPLY;
        collect_items(c, cmd->items, c->n_cmd - sizeof(*cmd), 0);
        if (!cmd->msg_address)
                c->rq.flags |= KDP_BAD_MSG;
        else if (snapshot(c->msg, room, cmd->msg_address, &size))
                c->rq.flags |= KDP_BAD_MSG;
        else
                c->n_msg = announced(size);
        if (c->n_msg > sizeof(struct kdbus_msg) && c->n_msg <= room)
                collect_items(c, ((struct kdbus_msg *)c->msg)->items,
                              c->n_msg - sizeof(struct kdbus_msg), max_vecs);
}

/* what the daemon changed goes back where it came from */
static int write_back(struct call *c, void *arg, uint64_t msg_address)
{
        int r = 0;

        if (c->reply.n_cmd && c->reply.n_cmd <= c->n_cmd)
                r = memory_write(arg, c->cmd, c->reply.n_cmd);
        if (!r && c->reply.n_msg && c->reply.n_msg <= c->n_msg)
                r = memory_write((void *)(uintptr_t)msg_address, c->msg, c->reply.n_msg);
        return r;
}

/* what is larger than its buffer says so before anything is sent */
static int run_ioctl(struct call *c, uint32_t code, void *arg, size_t room, size_t max_vecs)
{
        uint64_t size, msg_address = 0;
        int r, w;

        c->rq.code = code;
        if (snapshot(c->cmd, room, (uintptr_t)arg, &size))
                c->rq.flags |= KDP_BAD_CMD;
        else
                c->n_cmd = announced(size);
        if (c->n_cmd > room)
                return IOCTL_E_LARGE;
        if (code == KDBUS_CMD_SEND && c->n_cmd >= sizeof(struct kdbus_cmd_send)) {
                prepare_send(c, room, max_vecs);
                msg_address = ((struct kdbus_cmd_send *)c->cmd)->msg_address;
        }
        if (c->n_msg > room)
                return IOCTL_E_LARGE;
        r = call_run(c);
        if (!r)
                note_slice(c);
        w = write_back(c, arg, msg_address);
        if (r)
                close_got(c);
        return r ?: w;
}

static int ioctl_small(int fd, uint32_t code, void *arg, struct ring *ring)
{
        uint64_t cmd[SMALL / 8], msg[SMALL / 8];
        struct iovec vecs[4 + SMALL_VECS];
        struct call c;

        call_init(&c, fd, KDP_IOCTL, vecs);
        c.cmd = cmd;
        c.msg = msg;
        c.ring = ring;
        return run_ioctl(&c, code, arg, SMALL, 4 + SMALL_VECS);
}

static int ioctl_large(int fd, uint32_t code, void *arg, struct ring *ring)
{
        struct scratch *s = memory_scratch(sizeof(*s));
        struct call c;
        int r;

        if (!s)
                return -ENOMEM;
        call_init(&c, fd, KDP_IOCTL, s->vecs);
        c.cmd = s->cmd;
        c.msg = s->msg;
        c.ring = ring;
        r = run_ioctl(&c, code, arg, CMD_SIZE_MAX, LARGE_VECS);
        memory_scratch_free(s, sizeof(*s));
        return r;
}

/* --- what needs no request --- */

static uint64_t n_closes;

/**
 * forward_closed() - the program closed descriptors, or is about to put others in their place
 *
 * If one was a handle, others are being told of that by now: an empty ring says nothing until the
 * daemon has been asked.
 */
void forward_closed(unsigned first, unsigned last)
{
        ring_forget(first, last);
        __atomic_add_fetch(&n_closes, 1, __ATOMIC_RELAXED);
}

static void ring_bell(int fd)
{
        struct kdp_request rq = {.magic = KDP_MAGIC, .op = KDP_BELL};

        while (send(fd, &rq, sizeof(rq), MSG_NOSIGNAL) < 0 &&
               (errno == EINTR || (errno == EAGAIN && wait_writable(fd) == 0)))
                ;
}

static int local_recv(struct ring *ring, int fd, struct kdbus_cmd_recv *cmd)
{
        uint64_t closes = __atomic_load_n(&n_closes, __ATOMIC_RELAXED), offset, size;
        int r;

        if (!memory_claim(cmd, sizeof(*cmd), offsetof(struct kdbus_cmd, return_flags)) ||
            cmd->size != sizeof(*cmd) || cmd->flags)
                return RING_E_ASK;
        r = ring_receive(ring, fd, &offset, &size);
        if (r == RING_E_BELL)
                ring_bell(fd);
        if (r == RING_E_ASK)
                return r;
        if (r == RING_E_EMPTY) {
                if (__atomic_exchange_n(&ring->closes, closes, __ATOMIC_RELAXED) != closes)
                        return RING_E_ASK;
                offset = ring->map->pool_size;
                size = 0;
        }
        cmd->dropped_msgs = 0;
        cmd->msg = (struct kdbus_msg_info){.offset = offset, .msg_size = size};
        return r == RING_E_EMPTY ? -EAGAIN : 0;
}

static int local_free(struct ring *ring, struct kdbus_cmd_free *cmd)
{
        if (!memory_claim(cmd, sizeof(*cmd), offsetof(struct kdbus_cmd, return_flags)) ||
            cmd->size != sizeof(*cmd) || cmd->flags || !ring_free(ring, cmd->offset))
                return RING_E_ASK;
        return 0;
}

static struct ring *ask_for_ring(int fd, uint64_t cookie)
{
        struct iovec vecs[4];
        struct call c;

        call_init(&c, fd, KDP_RING, vecs);
        return call_for_fds(&c, 2) ? NULL : ring_add(cookie, c.got[0], c.got[1]);
}

/* --- broadcasts --- */

/* a broadcast of whose kind there are many: in memory, not large, nothing unusual about it */
struct plain {
        uint64_t msg[KDP_SEND_MAX / 8];
        struct iovec payload[KDP_SEND_MAX / 32]; /* an item of them each */
        size_t n_payload; /* of them */
        size_t n_bytes;   /* of all */
        uint64_t bloom_size;
};

static uint64_t last_broadcast; /* of this process, ns */

static bool is_plain_head(const struct kdbus_msg *m)
{
        return m->size > sizeof(*m) && m->size <= KDP_SEND_MAX && m->flags == KDBUS_MSG_SIGNAL &&
               m->dst_id == KDBUS_DST_ID_BROADCAST && !m->timeout_ns &&
               m->payload_type != KDBUS_PAYLOAD_KERNEL;
}

static bool take_plain_item(struct plain *p, const struct kdbus_item *item)
{
        if (item->type == KDBUS_ITEM_PAYLOAD_VEC) {
                if (item->size != 16 + sizeof(item->vec) || !item->vec.address ||
                    !item->vec.size || item->vec.size > KDP_SEND_MAX)
                        return false;
                p->payload[p->n_payload++] =
                        (struct iovec){(void *)(uintptr_t)item->vec.address, item->vec.size};
                p->n_bytes += item->vec.size;
                return true;
        }
        if (item->type != KDBUS_ITEM_BLOOM_FILTER || p->bloom_size ||
            item->size <= 16 + sizeof(item->bloom_filter))
                return false;
        p->bloom_size = item->size - 16 - sizeof(item->bloom_filter);
        return true;
}

static bool take_plain_items(struct plain *p)
{
        struct kdbus_msg *m = (void *)p->msg;
        uint8_t *at = (uint8_t *)m->items, *end = (uint8_t *)m + m->size;

        while (at < end) {
                struct kdbus_item *item = (void *)at;

                if (end - at < 16 || item->size < 16 || item->size > (size_t)(end - at) ||
                    !take_plain_item(p, item))
                        return false;
                at += ALIGN8(item->size);
        }
        return p->bloom_size && ALIGN8(m->size) + p->n_bytes <= KDP_SEND_MAX;
}

/* whether nothing can be wrong with it but what the daemon would not tell the sender */
static bool take_plain(struct plain *p, uint64_t address)
{
        struct kdbus_msg *m = (void *)p->msg;

        const uint8_t *at = (const uint8_t *)(uintptr_t)address;
        size_t n = memory_page_rest(at);

        /* mostly it does not reach into another page */
        n = n > sizeof(p->msg) ? sizeof(p->msg) : n;
        if (address % 8 || n < sizeof(*m) || memory_read(m, at, n) || !is_plain_head(m))
                return false;
        if (m->size > n && memory_read((uint8_t *)m + n, at + n, m->size - n))
                return false;
        memset((uint8_t *)m + m->size, 0, ALIGN8(m->size) - m->size);
        p->n_payload = p->n_bytes = p->bloom_size = 0;
        return take_plain_items(p);
}

static bool is_plain_send(struct plain *p, struct kdbus_cmd_send *cmd)
{
        return memory_claim(cmd, sizeof(*cmd), offsetof(struct kdbus_cmd, return_flags)) &&
               cmd->size == sizeof(*cmd) && !cmd->flags && take_plain(p, cmd->msg_address);
}

/* one now and then is worth a request; of many, none is waited for */
static bool is_one_of_many(uint64_t *nowp)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        *nowp = ts.tv_sec * 1000000000ULL + ts.tv_nsec;
        return *nowp - __atomic_exchange_n(&last_broadcast, *nowp, __ATOMIC_RELAXED) < STREAM_NS;
}

static int local_send(struct ring *ring, int fd, struct kdbus_cmd_send *cmd)
{
        const struct kdbus_msg *m;
        struct plain p;
        uint64_t now;
        int r;

        if (!is_plain_send(&p, cmd) || !is_one_of_many(&now))
                return RING_E_ASK;
        m = (void *)p.msg;
        if (p.bloom_size != ring->map->bloom_size ||
            (m->src_id && m->src_id != ring->map->id))
                return RING_E_ASK;
        r = ring_send(ring, m, p.payload, p.n_payload, now);
        if (r == RING_E_ASK)
                return r;
        cmd->reply = (struct kdbus_msg_info){};
        if (r == RING_E_BELL)
                ring_bell(fd);
        return 0;
}

static int run_local(struct ring *ring, int fd, uint32_t code, void *arg)
{
        switch (code) {
        case KDBUS_CMD_RECV:
                return local_recv(ring, fd, arg);
        case KDBUS_CMD_FREE:
                return local_free(ring, arg);
        case KDBUS_CMD_SEND:
                return local_send(ring, fd, arg);
        default:
                return RING_E_ASK;
        }
}

/* whether it is worth asking for a ring */
static bool wants_ring(uint32_t code, void *arg)
{
        struct plain p;
        uint64_t now;

        if ((uintptr_t)arg % 8)
                return false;
        return code == KDBUS_CMD_RECV || code == KDBUS_CMD_FREE ||
               (code == KDBUS_CMD_SEND && is_plain_send(&p, arg) && is_one_of_many(&now));
}

/*
 * What is common, and done without the kernel. Before it is said that there is nothing, it is asked
 * whether the number still means what it did.
 */
static int run_quick(int fd, uint32_t code, void *arg)
{
        struct ring *ring;
        int r;

        if ((uintptr_t)arg % 8)
                return RING_E_UNKNOWN;
        ring = ring_of(fd);
        if (!ring)
                return RING_E_UNKNOWN;
        r = run_local(ring, fd, code, arg);
        if (r < 0 && channel_cookie(fd) != ring->cookie) {
                ring_forget(fd, fd);
                r = RING_E_UNKNOWN;
        }
        return r;
}

/* @ask: the ring has been looked at */
static int run_any(int fd, uint32_t code, void *arg, bool ask)
{
        uint64_t mark = ring_mark(fd), cookie = channel_cookie(fd);
        struct ring *ring = ring_get(cookie);
        int r;

        if (!ring && !forward_is_handle(fd))
                return FORWARD_E_ALIEN;
        if (!ring && wants_ring(code, arg))
                ring = ask_for_ring(fd, cookie);
        r = !ring || ask || (uintptr_t)arg % 8 ? RING_E_ASK : run_local(ring, fd, code, arg);
        if (r == RING_E_ASK) {
                r = ioctl_small(fd, code, arg, ring);
                if (r == IOCTL_E_LARGE)
                        r = ioctl_large(fd, code, arg, ring);
                if (ring && code == KDBUS_CMD_RECV && ring_silence(ring, fd))
                        ring_bell(fd);
        }
        ring_know(fd, ring, mark);
        ring_put(ring);
        return r;
}

/**
 * forward_ioctl() - carry out a command
 *
 * Return: 0 or a negative errno; FORWARD_E_ALIEN if the descriptor is no handle.
 */
int forward_ioctl(int fd, uint32_t code, void *arg)
{
        int r = run_quick(fd, code, arg);

        return r > 0 ? run_any(fd, code, arg, r == RING_E_ASK) : r;
}
