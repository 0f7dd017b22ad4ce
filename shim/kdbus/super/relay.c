/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "shim/kdbus/client/proto.h"
#include "shim/kdbus/kdbus-abi.h"
#include "shim/kdbus/super/line.h"
#include "shim/kdbus/super/relay.h"

#define CMD_SIZE_MAX 32768
#define VEC_SIZE_MAX (2 * 1024 * 1024)
#define VECS_MAX     1024 /* no more fit a message of 32 KiB */
#define ITEM_HEAD    16
#define ALIGN8(n)    ALIGN_TO((n), (size_t)8)
#define OUR_FDS      4  /* channel, process, payload, cancel */
#define LOOK_MS      10 /* how often a blocked call looks whether it should go on */

/* a call under way */
struct call {
        struct relay *relay;
        struct line *line;
        struct kdp_request rq;
        uint64_t *cmd, *msg; /* snapshots; room for CMD_SIZE_MAX each */
        size_t n_cmd, n_msg;
        struct iovec vecs[VECS_MAX]; /* the payload, in the program's memory */
        size_t n_vecs, n_payload;
        uint8_t *payload;
        int fds[KDP_FDS_MAX];
        size_t n_fds;
        int cancel_fd, payload_fd;

        struct kdp_reply reply;
        int got[KDP_FDS_MAX];
        size_t n_got;
};

static void call_freep(struct call **cp)
{
        struct call *c = *cp;

        if (!c)
                return;
        for (size_t i = 0; i < c->n_fds; i++)
                close(c->fds[i]);
        for (size_t i = 0; i < c->n_got; i++)
                close(c->got[i]);
        closep(&c->cancel_fd);
        closep(&c->payload_fd);
        free(c->payload);
        free(c->cmd);
        free(c->msg);
        free(c);
}

static struct call *call_new(struct relay *relay, uint32_t op)
{
        struct call *c = malloc(sizeof(*c));

        if (!c)
                return NULL;
        c->relay = relay;
        c->line = relay->line;
        c->rq = (struct kdp_request){.magic = KDP_MAGIC, .op = op, .tid = relay->line->tid};
        c->cmd = c->msg = NULL;
        c->payload = NULL;
        c->n_cmd = c->n_msg = c->n_vecs = c->n_payload = c->n_fds = c->n_got = 0;
        c->cancel_fd = c->payload_fd = -1;
        return c;
}

/* --- up --- */

/* the descriptors of a request, in the order that proto.h has them */
static size_t gather_fds(struct call *c, int *out)
{
        size_t n = 0;

        c->rq.flags &= ~(uint32_t)(KDP_NEW_CHANNEL | KDP_BEHALF | KDP_PAYLOAD_FILE | KDP_CANCEL);
        if (c->line->daemon_fd >= 0) {
                c->rq.flags |= KDP_NEW_CHANNEL | KDP_BEHALF;
                out[n++] = c->line->daemon_fd;
                out[n++] = c->line->process;
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

static void attach_fds(struct msghdr *mh, void *control, const int *fds, size_t n)
{
        struct cmsghdr *cmsg;

        mh->msg_control = control;
        mh->msg_controllen = CMSG_SPACE(n * sizeof(int));
        cmsg = CMSG_FIRSTHDR(mh);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
}

static int send_packet(int handle, const struct msghdr *mh)
{
        while (sendmsg(handle, mh, MSG_NOSIGNAL) < 0) {
                struct pollfd p = {.fd = handle, .events = POLLOUT};

                switch (errno) {
                case EINTR:
                        break;
                case EAGAIN:
                        poll(&p, 1, -1);
                        break;
                case EPIPE:
                case ENOTCONN:
                        return -ECONNRESET;
                default:
                        return -errno;
                }
        }
        return 0;
}

static int send_request(struct call *c)
{
        union {
                struct cmsghdr align;
                char buf[CMSG_SPACE(KDP_FDS_MAX * sizeof(int))];
        } control = {};
        struct iovec iov[4] = {
                {&c->rq, sizeof(c->rq)},
                {c->cmd, ALIGN8(c->n_cmd)},
                {c->msg, ALIGN8(c->n_msg)},
                {c->payload, c->payload_fd < 0 ? c->n_payload : 0},
        };
        struct msghdr mh = {.msg_iov = iov, .msg_iovlen = ARRAY_SIZE(iov)};
        int fds[KDP_FDS_MAX + OUR_FDS], r;
        size_t n_fds = gather_fds(c, fds);

        c->rq.channel = c->line->id;
        c->rq.serial = ++c->line->serial;
        c->rq.n_cmd = c->n_cmd;
        c->rq.n_msg = c->n_msg;
        if (n_fds)
                attach_fds(&mh, control.buf, fds, n_fds);
        r = send_packet(c->relay->handle, &mh);
        if (!r && c->line->daemon_fd >= 0) {
                close(c->line->daemon_fd);
                c->line->daemon_fd = -1;
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
                                close(fd);
                }
        }
}

/* a request that belongs to the one under way */
static int send_about(struct call *c, uint32_t op, const void *data, size_t n)
{
        struct kdp_request rq = {.magic = KDP_MAGIC,
                                 .op = op,
                                 .channel = c->line->id,
                                 .serial = c->line->serial,
                                 .tid = c->line->tid};
        struct iovec iov[2] = {{&rq, sizeof(rq)}, {(void *)data, n}};
        struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};

        return send_packet(c->relay->handle, &mh);
}

/* until there is an answer; the daemon gives one when it is told that nobody waits any more */
static void wait_for_reply(struct call *c)
{
        const struct relay_ops *ops = c->relay->ops;
        struct pollfd p = {.fd = c->line->fd, .events = POLLIN};
        bool told = false;

        while (poll(&p, 1, ops && !told ? LOOK_MS : -1) <= 0) {
                if (told || !ops->interrupted(c->relay->userdata))
                        continue;
                (void)send_about(c, KDP_INTERRUPT, NULL, 0);
                told = true;
        }
}

static int receive_reply(struct call *c)
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
        struct msghdr mh = {.msg_iov = iov,
                            .msg_iovlen = ARRAY_SIZE(iov),
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
        ssize_t n;

        wait_for_reply(c);
        do
                n = recvmsg(c->line->fd, &mh, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n < (ssize_t)sizeof(c->reply) || c->reply.serial != c->line->serial) {
                closep(&c->line->fd); /* a line without a channel is not kept */
                c->line->fd = -1;
                return -ECONNRESET;
        }
        take_fds(c, &mh);
        c->line->id = c->reply.channel;
        return 0;
}

/* give the program its descriptors, and say which numbers they got */
static int install_fds(struct call *c)
{
        const struct relay_ops *ops = c->relay->ops;
        int32_t numbers[KDP_FDS_MAX];
        int r;

        for (size_t i = 0; i < c->n_got; i++) {
                numbers[i] = ops && ops->install
                                     ? MAX(ops->install(c->relay->userdata, c->got[i]), -1)
                                     : -1;
                closep(&c->got[i]);
        }
        r = send_about(c, KDP_FDS, numbers, c->n_got * sizeof(numbers[0]));
        c->n_got = 0;
        return r ?: receive_reply(c);
}

static int exchange(struct call *c)
{
        char byte;
        int r;

        r = send_request(c);
        r = r ?: receive_reply(c);
        if (r)
                return r;
        if (c->reply.flags & KDP_DRAIN)
                (void)!recv(c->relay->handle, &byte, 1, MSG_DONTWAIT);
        if (c->reply.flags & KDP_NUMBERS)
                r = install_fds(c);
        return r ?: c->reply.error;
}

static int call_run(struct call *c)
{
        int r;

        if (c->line->fd < 0 && (r = line_renew(c->line)))
                return r;
        r = exchange(c);
        if (r != -ESTALE || !(c->reply.flags & KDP_STALE))
                return r;
        r = line_renew(c->line);
        return r ?: exchange(c);
}

/* --- open and the pool --- */

/**
 * relay_open() - a connection to the daemon becomes a handle of the line's process
 * @node_fd:    the node's file, opened
 */
int relay_open(struct line *line, int handle, int node_fd)
{
        struct relay relay = {.line = line, .handle = handle};
        _cleanup_(call_freep) struct call *c = call_new(&relay, KDP_OPEN);

        if (!c)
                return -ENOMEM;
        c->fds[0] = fcntl(node_fd, F_DUPFD_CLOEXEC, 3);
        if (c->fds[0] < 0)
                return -errno;
        c->n_fds = 1;
        return call_run(c);
}

/**
 * relay_pool() - the memory behind a handle's mappings
 */
int relay_pool(struct line *line, int handle, int *fdp)
{
        struct relay relay = {.line = line, .handle = handle};
        _cleanup_(call_freep) struct call *c = call_new(&relay, KDP_MMAP);
        int r = c ? call_run(c) : -ENOMEM;

        if (!r && c->n_got != 1)
                r = -ENFILE;
        if (!r)
                *fdp = steal_fd(&c->got[0]);
        return r;
}

/* --- ioctl --- */

/* the program's structure, as far as its size field says; what is nonsense is sent as it is */
static int snapshot(struct call *c, uint64_t **bufp, uint64_t address, size_t *np)
{
        uint64_t size;
        int r;

        *bufp = malloc(CMD_SIZE_MAX);
        if (!*bufp)
                return -ENOMEM;
        if (address % 8)
                return -EFAULT;
        r = line_read(c->line, &size, address, sizeof(size));
        if (r)
                return r;
        *np = size < sizeof(size) || size > CMD_SIZE_MAX ? sizeof(size) : size;
        memset((uint8_t *)*bufp + *np, 0, ALIGN8(*np) - *np);
        if (line_read(c->line, *bufp, address, *np))
                return -EFAULT;
        (*bufp)[0] = size; /* that which was acted upon, whatever it is by now */
        return 0;
}

/* to the daemon a handle is a socket, and refused as one */
static int handle_to_socket(const struct call *c, int fd)
{
        struct statx stx;

        if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &stx) < 0 ||
            !S_ISREG(stx.stx_mode) ||
            makedev(stx.stx_dev_major, stx.stx_dev_minor) != c->relay->handles ||
            (fcntl(fd, F_GETFL) & O_PATH))
                return fd;
        close(fd);
        return fcntl(c->relay->handle, F_DUPFD_CLOEXEC, 3);
}

static void take_one(struct call *c, int *slot)
{
        int fd = c->n_fds < KDP_FDS_MAX - OUR_FDS ? line_take_fd(c->line, *slot) : -EMFILE;

        *slot = KDP_FD_INVALID;
        if (fd >= 0)
                fd = handle_to_socket(c, fd);
        if (fd < 0)
                return;
        *slot = c->n_fds;
        c->fds[c->n_fds++] = fd;
}

/* an item that holds descriptors or points at the payload; false: the rest does not matter */
static bool collect_item(struct call *c, struct kdbus_item *item, bool is_msg)
{
        size_t n = item->size;

        if (item->type == KDBUS_ITEM_PAYLOAD_VEC && n == ITEM_HEAD + sizeof(item->vec) &&
            item->vec.address) {
                if (!is_msg || item->vec.size > VEC_SIZE_MAX ||
                    c->n_payload + item->vec.size > VEC_SIZE_MAX || c->n_vecs >= VECS_MAX)
                        return false; /* refused for its size in any case */
                c->vecs[c->n_vecs++] =
                        (struct iovec){(void *)(uintptr_t)item->vec.address, item->vec.size};
                c->n_payload += item->vec.size;
        } else if (item->type == KDBUS_ITEM_PAYLOAD_MEMFD &&
                   n == ITEM_HEAD + sizeof(item->memfd) && item->memfd.fd >= 0) {
                take_one(c, &item->memfd.fd);
        } else if (item->type == KDBUS_ITEM_FDS) {
                for (size_t i = 0; i < (n - ITEM_HEAD) / sizeof(int); i++)
                        take_one(c, &item->fds[i]);
        } else if (item->type == KDBUS_ITEM_CANCEL_FD && n == ITEM_HEAD + sizeof(int) &&
                   c->cancel_fd < 0) {
                c->cancel_fd = line_take_fd(c->line, item->fds[0]);
        }
        return true;
}

static void collect_items(struct call *c, void *items, size_t n_items, bool is_msg)
{
        uint8_t *p = items;
        size_t left = n_items;

        while (left >= ITEM_HEAD) {
                struct kdbus_item *item = (void *)p;
                uint64_t n = item->size;

                if (n < ITEM_HEAD || n > left || !collect_item(c, item, is_msg) ||
                    ALIGN8(n) >= left)
                        return;
                p += ALIGN8(n);
                left -= ALIGN8(n);
        }
}

static int read_vecs(struct call *c)
{
        size_t done = 0, at = 0;

        while (at < c->n_vecs) {
                size_t batch = MIN(c->n_vecs - at, (size_t)IOV_MAX), want = 0;
                struct iovec local;

                for (size_t i = 0; i < batch; i++)
                        want += c->vecs[at + i].iov_len;
                local = (struct iovec){c->payload + done, want};
                if (process_vm_readv(c->line->tid, &local, 1, c->vecs + at, batch, 0) !=
                    (ssize_t)want)
                        return -EFAULT;
                done += want;
                at += batch;
        }
        return 0;
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
        while (n) {
                ssize_t r = write(fd, p, n);

                if (r < 0 && errno != EINTR)
                        return -errno;
                p += MAX(r, 0);
                n -= MAX(r, 0);
        }
        return 0;
}

static int fetch_payload(struct call *c)
{
        if (!c->n_payload)
                return 0;
        c->payload = malloc(c->n_payload);
        if (!c->payload)
                return -ENOMEM;
        if (read_vecs(c)) {
                c->rq.flags |= KDP_FAULT;
                c->n_payload = 0;
        }
        if (c->n_payload <= KDP_INLINE_MAX)
                return 0;
        c->payload_fd = syscall(SYS_memfd_create, "kdbus-payload", MFD_CLOEXEC);
        if (c->payload_fd < 0)
                return -errno;
        return write_all(c->payload_fd, c->payload, c->n_payload);
}

static int prepare_send(struct call *c)
{
        struct kdbus_cmd_send *cmd = (void *)c->cmd;
        int r = -EFAULT;

        if (c->n_cmd < sizeof(*cmd))
                return 0;
        collect_items(c, cmd->items, c->n_cmd - sizeof(*cmd), false);
        if (cmd->msg_address)
                r = snapshot(c, &c->msg, cmd->msg_address, &c->n_msg);
        if (r == -ENOMEM)
                return r;
        if (r) {
                c->rq.flags |= KDP_BAD_MSG;
                c->n_msg = 0;
        }
        if (c->n_msg > sizeof(struct kdbus_msg))
                collect_items(c, ((struct kdbus_msg *)c->msg)->items,
                              c->n_msg - sizeof(struct kdbus_msg), true);
        return fetch_payload(c);
}

static int prepare(struct call *c, uint32_t code, uint64_t argument)
{
        int r;

        c->rq.code = code;
        r = snapshot(c, &c->cmd, argument, &c->n_cmd);
        if (r == -ENOMEM || r == -EPERM)
                return r;
        if (r) {
                c->rq.flags |= KDP_BAD_CMD;
                c->n_cmd = 0;
        }
        r = code == KDBUS_CMD_SEND ? prepare_send(c) : 0;
        /* memory goes by the thread's number: was it read from that one? */
        return r ?: line_is_there(c->line) ? 0 : -ESRCH;
}

/* what the daemon changed goes back where it came from */
static int write_back(struct call *c, uint64_t argument, uint64_t msg_address)
{
        int r = 0;

        if (!line_is_there(c->line))
                return -ESRCH;
        if (c->reply.n_cmd && c->reply.n_cmd <= c->n_cmd)
                r = line_write(c->line, argument, c->cmd, c->reply.n_cmd);
        if (!r && c->reply.n_msg && c->reply.n_msg <= c->n_msg)
                r = line_write(c->line, msg_address, c->msg, c->reply.n_msg);
        return r;
}

/* where in the pool the program will look for what it was given */
static void note_slice(const struct call *c, struct relay *relay)
{
        const void *cmd = c->cmd;

        if (c->reply.n_cmd != c->n_cmd)
                return;
#define SLICE(type, at, n)                                                                         \
        do {                                                                                       \
                if (c->n_cmd >= sizeof(type)) {                                                    \
                        relay->offset = ((const type *)cmd)->at;                                   \
                        relay->size = ((const type *)cmd)->n;                                      \
                }                                                                                  \
        } while (0)
        switch (c->rq.code) {
        case KDBUS_CMD_HELLO:
                SLICE(struct kdbus_cmd_hello, offset, items_size);
                break;
        case KDBUS_CMD_CONN_INFO:
        case KDBUS_CMD_BUS_CREATOR_INFO:
                SLICE(struct kdbus_cmd_info, offset, info_size);
                break;
        case KDBUS_CMD_LIST:
                SLICE(struct kdbus_cmd_list, offset, list_size);
                break;
        case KDBUS_CMD_RECV:
                SLICE(struct kdbus_cmd_recv, msg.offset, msg.msg_size);
                break;
        case KDBUS_CMD_SEND:
                SLICE(struct kdbus_cmd_send, reply.offset, reply.msg_size);
                break;
        }
#undef SLICE
}

/**
 * relay_ioctl() - carry out a command
 * @argument:   address of the structure, in the program
 *
 * Return: 0 or a negative errno.
 */
int relay_ioctl(struct relay *relay, uint32_t code, uint64_t argument)
{
        _cleanup_(call_freep) struct call *c = call_new(relay, KDP_IOCTL);
        uint64_t msg_address = 0;
        int r, w;

        relay->offset = relay->size = 0;
        if (!c)
                return -ENOMEM;
        r = prepare(c, code, argument);
        if (r)
                return r;
        if (code == KDBUS_CMD_SEND && c->n_cmd >= sizeof(struct kdbus_cmd_send))
                msg_address = ((struct kdbus_cmd_send *)c->cmd)->msg_address;
        c->reply = (struct kdp_reply){};
        r = call_run(c);
        if (!r)
                note_slice(c, relay);
        w = write_back(c, argument, msg_address);
        return r ?: w;
}

/**
 * relay_free_slice() - give back a slice that the program will never hear of
 * @line:       in whose name; it may be ours
 */
void relay_free_slice(struct line *line, const struct relay *relay)
{
        struct relay own = {.line = line, .handle = relay->handle};
        _cleanup_(call_freep) struct call *c = call_new(&own, KDP_IOCTL);
        struct kdbus_cmd_free cmd = {.size = sizeof(cmd), .offset = relay->offset};

        if (!c || !relay->size)
                return;
        c->cmd = malloc(sizeof(cmd));
        if (!c->cmd)
                return;
        memcpy(c->cmd, &cmd, sizeof(cmd));
        c->n_cmd = sizeof(cmd);
        c->rq.code = KDBUS_CMD_FREE;
        (void)call_run(c);
}
