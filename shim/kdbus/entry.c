/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <urcu/arch.h>

#define HASH_NONFATAL_OOM 1
#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/client/proto.h"
#include "shim/kdbus/entry.h"
#include "shim/kdbus/handle.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/kbus.h"
#include "shim/kdbus/kconn.h"
#include "shim/kdbus/koutbox.h"
#include "shim/kdbus/kreply.h"
#include "shim/kdbus/kring.h"
#include "shim/kdbus/limits.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define EVENTS_PER_TURN 256
#define AWAKE_NS        50000   /* about what it costs to sleep and to be woken */
#define DRAIN_NS        200000  /* for broadcasts alone */
#define TURN_NS         1000000 /* and for so long at most, before others have a turn */
#define RELAX           64      /* looks at the outboxes for one at all else */
#define DOUBT_MAX       1000U

static void fclosep(FILE **f)
{
        if (*f)
                fclose(*f);
}

enum source_kind {
        SOURCE_LISTEN,
        SOURCE_TIMER,
        SOURCE_PORT,
        SOURCE_CHANNEL,
        SOURCE_CANCEL,
        SOURCE_AGAIN,
};

/* what an epoll event points at: always the first member of its object */
struct source {
        enum source_kind kind;
        int fd;
};

/* the daemon's end of a handle */
struct port {
        struct source source;
        struct entry *entry;
        bool opened;  /* OPEN was accepted */
        bool token;   /* the byte that makes the handle readable is on its way */
        bool closing; /* in entry->closing */
        struct handle handle;
        struct kuser *user; /* who opened it */
        struct cds_list_head installs;
        struct cds_list_head link;    /* entry->ports */
        struct cds_list_head by_close; /* entry->closing */
};

/* where a thread hears its replies */
struct channel {
        struct source source;
        struct entry *entry;
        uint64_t id;
        struct task task; /* whose commands come here */
        pid_t speaker;    /* and who says them: that process, or one that may speak for it */
        struct kuser *user;
        struct waiter *waiter;
        struct install *install;
        UT_hash_handle hh;
};

/* a thread blocked in a synchronous call */
struct waiter {
        struct source cancel;
        struct channel *channel;
        struct port *port;
        struct kreply *reply;
        uint64_t serial;
        size_t n_data;
        uint64_t data[]; /* struct kdbus_cmd_send, to be sent back */
};

/* descriptors are on their way to a program, which will say what numbers they got */
struct install {
        struct cds_list_head link; /* port->installs */
        struct channel *channel;
        struct kentry *entry;
        uint64_t serial;
        uint32_t flags;
        size_t info; /* where in data the kdbus_msg_info is */
        size_t n_data;
        uint64_t data[];
};

struct entry {
        struct domain domain;
        char *socket_path;
        int epoll_fd;
        int spare_fd; /* given up to refuse a connection when there are no more descriptors */
        struct source listen, timer, again;
        uint64_t armed;
        struct channel *channels;
        struct cds_list_head ports, closing;
        struct epoll_event events[EVENTS_PER_TURN]; /* of this turn; forgotten as sources go */
        int n_events;
        unsigned doubt, drowsy; /* see stay_awake() */
        uint64_t packet[KDP_PACKET_MAX / sizeof(uint64_t)];
};

/* one request, with what came along */
struct request {
        struct kdp_request head;
        uint8_t *body;
        size_t n_body;
        int fds[KDP_FDS_MAX];
        size_t n_fds, next_fd;
        struct ucred cred;
        bool truncated;
};

static int watch(struct entry *entry, struct source *source)
{
        struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = source};

        return epoll_ctl(entry->epoll_fd, EPOLL_CTL_ADD, source->fd, &ev) < 0 ? -errno : 0;
}

/* a source goes: what epoll said of it in this turn is void */
static void unwatch(struct entry *entry, struct source *source)
{
        if (source->fd < 0)
                return;
        epoll_ctl(entry->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
        for (int i = 0; i < entry->n_events; i++)
                if (entry->events[i].data.ptr == source)
                        entry->events[i].data.ptr = NULL;
}

/* --- replies --- */

static void attach_fds(struct msghdr *mh, void *control, const int *fds, size_t n_fds)
{
        struct cmsghdr *cmsg;

        mh->msg_control = control;
        mh->msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        cmsg = CMSG_FIRSTHDR(mh);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
}

/* a channel whose reader does not read is its own loss */
static void send_reply(struct channel *ch, struct kdp_reply *head, const void *data,
                       const void *msg, const int *fds, size_t n_fds)
{
        static const uint64_t zeros;
        union {
                struct cmsghdr align;
                char buf[CMSG_SPACE((KD_MEMFDS_MAX + KD_FDS_MAX) * sizeof(int))];
        } control = {};
        struct iovec iov[4] = {
                {head, sizeof(*head)},
                {(void *)data, head->n_cmd},
                {(void *)&zeros, ITEM_ALIGN(head->n_cmd) - head->n_cmd},
                {(void *)msg, head->n_msg},
        };
        struct msghdr mh = {.msg_iov = iov, .msg_iovlen = ARRAY_SIZE(iov)};

        head->channel = ch->id;
        if (n_fds)
                attach_fds(&mh, control.buf, fds, n_fds);
        (void)!sendmsg(ch->source.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void reply_error(struct channel *ch, uint64_t serial, int error, uint32_t flags)
{
        struct kdp_reply head = {.serial = serial, .error = error, .flags = flags};

        send_reply(ch, &head, NULL, NULL, NULL, 0);
}

/* --- descriptors for the program --- */

static void install_free(struct install *in)
{
        if (in->channel)
                in->channel->install = NULL;
        cds_list_del(&in->link);
        kentry_free(in->entry);
        free(in);
}

/* plain descriptors only go where they are accepted: a monitor may have asked for none */
static size_t passable(const struct kentry *e)
{
        if (!e->fds)
                return 0;
        return e->fds->n_memfds +
               (e->conn->flags & KDBUS_HELLO_ACCEPT_FD ? e->fds->n_fds : 0);
}

/* answer with a message; its descriptors first, if it has any. Consumes @e */
static void reply_message(struct channel *ch, struct port *port, uint64_t serial, uint32_t flags,
                          const void *data, size_t n_data, size_t info, struct kentry *e)
{
        struct kdp_reply head = {.serial = serial, .flags = flags, .n_cmd = n_data};
        size_t n_fds = passable(e);
        struct install *in;

        if (!n_fds) {
                send_reply(ch, &head, data, NULL, NULL, 0);
                kentry_free(e);
                return;
        }
        in = ch->install ? NULL : calloc(1, sizeof(*in) + ITEM_ALIGN(n_data));
        if (!in) {
                reply_error(ch, serial, -ENOMEM, flags);
                kentry_free(e);
                return;
        }
        in->channel = ch;
        in->entry = e;
        in->serial = serial;
        in->info = info;
        in->n_data = n_data;
        memcpy(in->data, data, n_data);
        cds_list_add(&in->link, &port->installs);
        ch->install = in;
        head.n_cmd = 0;
        head.flags |= KDP_NUMBERS;
        send_reply(ch, &head, NULL, NULL, e->fds->fds, n_fds);
}

/* write the numbers into the message; returns whether some are missing */
static bool write_numbers(struct kentry *e, const int32_t *numbers, size_t n)
{
        struct kdbus_msg *msg = pool_slice_data(e->slice);
        size_t next_memfd = 0, next_fd = e->fds->n_memfds, n_pass = passable(e);
        bool incomplete = false;
        struct kdbus_item *item;

        /* our own rendering: no need to check it again, and its descriptors still read -1 */
        for (uint8_t *p = (uint8_t *)msg->items; p < (uint8_t *)msg + msg->size;
             p += ITEM_ALIGN(item->size)) {
                item = (struct kdbus_item *)p;
                if (item->type == KDBUS_ITEM_PAYLOAD_MEMFD) {
                        item->memfd.fd = next_memfd < n ? numbers[next_memfd] : -1;
                        incomplete |= item->memfd.fd < 0;
                        next_memfd++;
                } else if (item->type == KDBUS_ITEM_FDS && n_pass > e->fds->n_memfds) {
                        for (size_t i = 0; i < e->fds->n_fds; i++, next_fd++) {
                                item->fds[i] = next_fd < n ? numbers[next_fd] : -1;
                                incomplete |= item->fds[i] < 0;
                        }
                }
        }
        return incomplete;
}

static void run_fds(struct channel *ch, const struct request *rq)
{
        struct install *in = ch->install;
        struct kdp_reply head = {.serial = rq->head.serial};
        struct kdbus_msg_info *info;

        if (!in || in->serial != rq->head.serial) {
                reply_error(ch, rq->head.serial, -EINVAL, 0);
                return;
        }
        info = (struct kdbus_msg_info *)((uint8_t *)in->data + in->info);
        if (write_numbers(in->entry, (const int32_t *)rq->body, rq->n_body / sizeof(int32_t)))
                info->return_flags |= KDBUS_RECV_RETURN_INCOMPLETE_FDS;
        head.n_cmd = in->n_data;
        send_reply(ch, &head, in->data, NULL, NULL, 0);
        install_free(in);
}

/* --- blocked callers --- */

static void waiter_free(struct waiter *w)
{
        w->channel->waiter = NULL;
        unwatch(w->channel->entry, &w->cancel);
        closep(&w->cancel.fd);
        free(w);
}

/* domain->wake: the call of a blocked thread ended */
static void wake(struct waiter *w, int error, struct kentry *answer)
{
        struct kdbus_cmd_send *cmd = (void *)w->data;
        struct kdp_reply head = {.serial = w->serial, .error = error, .n_cmd = w->n_data};
        struct channel *ch = w->channel;

        if (!answer) {
                send_reply(ch, &head, w->data, NULL, NULL, 0);
        } else {
                kconn_unqueue(answer);
                pool_slice_publish(answer->slice);
                cmd->reply.offset = answer->slice->offset;
                cmd->reply.msg_size = answer->slice->size;
                reply_message(ch, w->port, w->serial, 0, w->data, w->n_data,
                              offsetof(struct kdbus_cmd_send, reply), answer);
        }
        waiter_free(w);
}

static int block(struct port *port, struct channel *ch, const struct request *rq, struct cmd *c)
{
        struct waiter *w = ch->waiter ? NULL : calloc(1, sizeof(*w) + ITEM_ALIGN(c->n_data));
        int r = 0;

        if (!w)
                return error_origin(-ENOMEM);
        w->cancel = (struct source){SOURCE_CANCEL, c->cancel_fd};
        c->cancel_fd = -1;
        if (w->cancel.fd >= 0)
                r = watch(port->entry, &w->cancel);
        if (r) {
                closep(&w->cancel.fd);
                free(w);
                return r == -EPERM ? -EINVAL : r; /* a file that cannot be polled */
        }
        w->channel = ch;
        w->port = port;
        w->reply = c->wait;
        w->serial = rq->head.serial;
        w->n_data = c->n_data;
        memcpy(w->data, c->data, c->n_data);
        ch->waiter = w;
        kreply_resume(c->wait, w);
        return 0;
}

static void run_interrupt(struct channel *ch, const struct request *rq)
{
        struct waiter *w = ch->waiter;

        if (!w || w->serial != rq->head.serial)
                return; /* the answer is on its way */
        kreply_interrupt(w->reply);
        reply_error(ch, w->serial, -EINTR, 0);
        waiter_free(w);
}

static void cancelled(struct waiter *w)
{
        struct kreply *reply = w->reply;

        /* the window closes, and a late answer finds none */
        kreply_finish(reply, -ECANCELED, NULL);
}

/* --- ports --- */

static void port_close_later(struct port *port)
{
        if (port->closing)
                return;
        port->closing = true;
        cds_list_add_tail(&port->by_close, &port->entry->closing);
}

/* the byte that makes the handle readable is sent, or taken back; returns whether that is news */
static bool token_due(struct port *port)
{
        struct kring *ring = port->handle.conn->ring;
        bool news = ring ? kring_ring(ring) : !port->token;

        port->token = true;
        return news;
}

static bool token_spent(struct port *port)
{
        struct kring *ring = port->handle.conn->ring;
        bool news = ring ? kring_hush(ring) : port->token;

        port->token = false;
        return news;
}

static void conn_readable(struct kconn *conn, bool readable)
{
        struct port *port = conn->userdata;

        if (!readable || !token_due(port))
                return; /* what is out is taken back by the next RECV */
        if (send(port->source.fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
                (void)token_spent(port);
}

static void conn_closed(struct kconn *conn)
{
        port_close_later(conn->userdata);
}

static const struct kconn_ops conn_ops = {
        .readable = conn_readable,
        .closed = conn_closed,
};

static int port_new(struct entry *entry, int fd)
{
        struct port *port = calloc(1, sizeof(*port));
        struct ucred cred;
        socklen_t n = sizeof(cred);
        int r, on = 1;

        if (!port)
                return error_origin(-ENOMEM);
        r = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0
                    ? -errno
                    : kuser_get(&entry->domain, cred.uid, &port->user);
        if (!r && port->user->n_handles >= KD_HANDLES_MAX)
                r = -ENFILE;
        if (r) {
                kuser_unref(port->user);
                free(port);
                return r;
        }
        port->entry = entry;
        port->source = (struct source){SOURCE_PORT, fd};
        CDS_INIT_LIST_HEAD(&port->installs);
        setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
        r = watch(entry, &port->source);
        if (r) {
                kuser_unref(port->user);
                free(port);
                return error_origin(r);
        }
        cds_list_add_tail(&port->link, &entry->ports);
        port->user->n_handles++;
        return 0;
}

/* requests that were sent before the end must not leave their threads waiting */
static int receive(struct port *port, struct request *rq);
static void request_close(struct request *rq);
static struct channel *find_channel(struct entry *entry, const struct request *rq);

static void refuse_rest(struct port *port)
{
        struct request rq;

        shutdown(port->source.fd, SHUT_RD);
        while (receive(port, &rq) > 0) {
                struct channel *ch = find_channel(port->entry, &rq);

                /* one that brought a new channel sees its end closed */
                if (ch && rq.head.op != KDP_INTERRUPT && rq.head.op != KDP_FDS)
                        reply_error(ch, rq.head.serial, -ECONNRESET, 0);
                request_close(&rq);
        }
}

static void drop_installs(struct port *port)
{
        struct install *in, *next;

        cds_list_for_each_entry_safe(in, next, &port->installs, link) {
                reply_error(in->channel, in->serial, -ECONNRESET, 0);
                install_free(in);
        }
}

static void port_free(struct port *port)
{
        struct entry *entry = port->entry;

        if (port->closing)
                cds_list_del(&port->by_close);
        port->closing = true; /* from here on nobody else need ask for it */
        drop_installs(port); /* they are in the pool, which goes with the handle */
        if (port->opened)
                handle_deinit(&port->handle);
        refuse_rest(port);
        unwatch(entry, &port->source);
        close(port->source.fd);
        cds_list_del(&port->link);
        port->user->n_handles--;
        kuser_unref(port->user);
        free(port);
}

/* --- channels --- */

static int next_fd(struct request *rq)
{
        return rq->next_fd < rq->n_fds ? steal_fd(&rq->fds[rq->next_fd++]) : -1;
}

/* who made the socket pair: the kernel remembers, and the process cannot change it */
static bool is_maker(const struct channel *ch, const struct ucred *cred)
{
        struct ucred maker;
        socklen_t n = sizeof(maker);

        return cred->pid > 0 &&
               getsockopt(ch->source.fd, SOL_SOCKET, SO_PEERCRED, &maker, &n) == 0 &&
               maker.pid == cred->pid;
}

static void identify(struct channel *ch, const struct ucred *cred)
{
        socklen_t n = sizeof(int);
        int pidfd = -1;

        if (!is_maker(ch, cred))
                return;
        ch->speaker = cred->pid;
        if (getsockopt(ch->source.fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &n) < 0)
                pidfd = syscall(SYS_pidfd_open, cred->pid, 0);
        if (pidfd >= 0)
                (void)task_open(&ch->task, cred->pid, pidfd);
}

static pid_t pid_of(int pidfd)
{
        _cleanup_(fclosep) FILE *f = NULL;
        char path[48], line[128];
        int pid = -1;

        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
        f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "Pid: %d", &pid) == 1)
                        break;
        return pid;
}

/* what the speaker could make that process do anyway, by debugging it */
static bool may_speak_for(const struct ucred *cred, const struct task *task, uid_t *uidp)
{
        struct kmeta m = {};
        bool may;

        kmeta_collect(&m, task, 0, KDBUS_ATTACH_CREDS | KDBUS_ATTACH_CAPS);
        may = (m.have & KDBUS_ATTACH_CREDS) &&
              (cred->uid == 0 ||
               (m.uid == cred->uid && m.euid == cred->uid && m.suid == cred->uid &&
                m.fsuid == cred->uid && (m.have & KDBUS_ATTACH_CAPS) && !m.cap_permitted));
        *uidp = m.euid;
        kmeta_deinit(&m);
        return may;
}

/* the process that a supervisor speaks for */
static int identify_other(struct channel *ch, struct request *rq, uid_t *uidp)
{
        int pidfd = next_fd(rq), r;
        pid_t pid = pidfd < 0 ? -1 : pid_of(pidfd);

        if (pid <= 0 || !is_maker(ch, &rq->cred)) {
                closep(&pidfd);
                return -EINVAL;
        }
        r = task_open(&ch->task, pid, pidfd);
        if (r)
                return r;
        ch->speaker = rq->cred.pid;
        return may_speak_for(&rq->cred, &ch->task, uidp) ? 0 : -EPERM;
}

static bool is_seqpacket(int fd)
{
        int domain = 0, type = 0;
        socklen_t n = sizeof(int), m = sizeof(int);

        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && domain == AF_UNIX &&
               getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &m) == 0 && type == SOCK_SEQPACKET;
}

static int channel_new(struct entry *entry, struct request *rq, struct channel **chp)
{
        uid_t uid = rq->cred.uid;
        struct channel *ch;
        int r = 0;

        if (rq->next_fd >= rq->n_fds || !is_seqpacket(rq->fds[rq->next_fd]))
                return -EINVAL;
        ch = calloc(1, sizeof(*ch));
        if (!ch)
                return error_origin(-ENOMEM);
        ch->entry = entry;
        ch->source = (struct source){SOURCE_CHANNEL, next_fd(rq)};
        ch->task = (struct task)TASK_NULL;
        if (rq->head.flags & KDP_BEHALF)
                r = identify_other(ch, rq, &uid);
        else
                identify(ch, &rq->cred);
        r = r ?: kuser_get(&entry->domain, uid, &ch->user);
        if (!r && ch->user->n_channels >= KD_CHANNELS_MAX)
                r = -ENFILE;
        if (!r && (getrandom(&ch->id, sizeof(ch->id), 0) != sizeof(ch->id) ||
                   watch(entry, &ch->source)))
                r = error_origin(-ENOMEM);
        if (!r)
                HASH_ADD(hh, entry->channels, id, sizeof(ch->id), ch);
        if (!r && !ch->hh.tbl)
                r = error_origin(-ENOMEM);
        if (r) {
                close(ch->source.fd);
                task_close(&ch->task);
                kuser_unref(ch->user);
                free(ch);
                return r;
        }
        ch->user->n_channels++;
        *chp = ch;
        return 0;
}

static void channel_free(struct channel *ch)
{
        if (ch->waiter) {
                kreply_interrupt(ch->waiter->reply);
                waiter_free(ch->waiter);
        }
        if (ch->install)
                install_free(ch->install);
        HASH_DEL(ch->entry->channels, ch);
        unwatch(ch->entry, &ch->source);
        close(ch->source.fd);
        task_close(&ch->task);
        ch->user->n_channels--;
        kuser_unref(ch->user);
        free(ch);
}

static struct channel *find_channel(struct entry *entry, const struct request *rq)
{
        struct channel *ch;

        HASH_FIND(hh, entry->channels, &rq->head.channel, sizeof(rq->head.channel), ch);
        return ch;
}

/*
 * A channel speaks for the process that made it, and for no other. What was sent between accept()
 * and SO_PASSCRED carries no credentials: it is to be said again.
 */
static bool channel_fits(const struct channel *ch, const struct request *rq)
{
        if (rq->cred.uid == (uid_t)-1)
                return false;
        if (ch->task.proc_fd < 0)
                return true; /* nothing is vouched for but what each request carries */
        return ch->speaker == rq->cred.pid; /* its name is a secret of that process's */
}

/* --- requests --- */

static void request_close(struct request *rq)
{
        for (size_t i = 0; i < rq->n_fds; i++)
                closep(&rq->fds[i]);
        rq->n_fds = 0;
}

static void take_control(struct request *rq, struct msghdr *mh)
{
        for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
                size_t n = c->cmsg_len - CMSG_LEN(0);

                if (c->cmsg_level != SOL_SOCKET)
                        continue;
                if (c->cmsg_type == SCM_CREDENTIALS && n == sizeof(rq->cred)) {
                        memcpy(&rq->cred, CMSG_DATA(c), n);
                } else if (c->cmsg_type == SCM_RIGHTS) {
                        const int *fds = (const int *)CMSG_DATA(c);

                        for (size_t i = 0; i < n / sizeof(int); i++) {
                                int fd = fds[i];

                                if (rq->n_fds < KDP_FDS_MAX)
                                        rq->fds[rq->n_fds++] = fd;
                                else
                                        close(fd);
                        }
                }
        }
}

/* returns 1 with a request, 0 if there is none now, -1 at the end or for nonsense */
static int receive(struct port *port, struct request *rq)
{
        struct entry *entry = port->entry;
        union {
                struct cmsghdr align;
                char buf[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(KDP_FDS_MAX * sizeof(int))];
        } control;
        struct iovec iov = {entry->packet, sizeof(entry->packet)};
        struct msghdr mh = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
        ssize_t n;

        rq->n_fds = rq->next_fd = 0;
        rq->cred = (struct ucred){.uid = -1, .gid = -1};
        n = recvmsg(port->source.fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -1;
        take_control(rq, &mh);
        if ((size_t)n < sizeof(rq->head) || (mh.msg_flags & MSG_TRUNC)) {
                request_close(rq);
                return -1;
        }
        memcpy(&rq->head, entry->packet, sizeof(rq->head));
        rq->body = (uint8_t *)entry->packet + sizeof(rq->head);
        rq->n_body = n - sizeof(rq->head);
        rq->truncated = mh.msg_flags & MSG_CTRUNC;
        if (rq->head.magic != KDP_MAGIC) {
                request_close(rq);
                return -1;
        }
        return 1;
}

/* cut the body into the structures it holds */
static int slice_body(struct request *rq, struct cmd *c)
{
        size_t n_cmd = ITEM_ALIGN(rq->head.n_cmd), n_msg = ITEM_ALIGN(rq->head.n_msg);
        bool in_file = rq->head.flags & KDP_PAYLOAD_FILE;

        if (rq->head.n_cmd > KD_CMD_SIZE_MAX || rq->head.n_msg > KD_CMD_SIZE_MAX ||
            n_cmd + n_msg > rq->n_body)
                return -EINVAL;
        c->data = rq->head.flags & KDP_BAD_CMD ? NULL : rq->body;
        c->n_data = rq->head.n_cmd;
        c->msg = rq->head.flags & KDP_BAD_MSG ? NULL : rq->body + n_cmd;
        c->n_msg = rq->head.n_msg;
        c->payload.file = in_file ? next_fd(rq) : -1;
        c->payload.bytes = rq->body + n_cmd + n_msg;
        c->payload.n_bytes = rq->n_body - n_cmd - n_msg;
        c->payload.fault = (rq->head.flags & KDP_FAULT) || (in_file && c->payload.file < 0);
        c->cancel_fd = rq->head.flags & KDP_CANCEL ? next_fd(rq) : -1;
        c->fds = rq->fds + rq->next_fd;
        c->n_fds = rq->n_fds - rq->next_fd;
        return 0;
}

static void caller_init(struct caller *caller, const struct channel *ch, const struct request *rq)
{
        *caller = (struct caller){.task = &ch->task, .tid = rq->head.tid};
        if (ch->task.proc_fd >= 0)
                return;
        /* nothing but what the kernel put on the request is known of it */
        caller->meta.uid = caller->meta.euid = caller->meta.suid = caller->meta.fsuid = rq->cred.uid;
        caller->meta.gid = caller->meta.egid = caller->meta.sgid = caller->meta.fsgid = rq->cred.gid;
        caller->meta.have = KDBUS_ATTACH_CREDS;
}

/* after HELLO the connection's voice is this port */
static void adopt(struct port *port)
{
        struct kconn *conn = port->handle.kind == HANDLE_CONNECTED ? port->handle.conn : NULL;

        if (conn && !conn->ops) {
                conn->ops = &conn_ops;
                conn->userdata = port;
                kconn_update_readable(conn);
        }
}

/* after RECV: is the byte still telling the truth? */
static uint32_t take_back_token(struct port *port, const struct request *rq, const struct cmd *c)
{
        struct kconn *conn = port->handle.kind == HANDLE_CONNECTED ? port->handle.conn : NULL;

        if (!conn || c->code != KDBUS_CMD_RECV || conn->n_queue || conn->lost ||
            (rq->head.flags & KDP_RINGED))
                return 0;
        return token_spent(port) ? KDP_DRAIN : 0;
}

static void answer(struct port *port, struct channel *ch, const struct request *rq, struct cmd *c,
                   int r)
{
        struct kdp_reply head = {
                .serial = rq->head.serial,
                .error = r,
                .flags = take_back_token(port, rq, c),
                .n_cmd = c->back ? c->n_data : 0,
                .n_msg = c->msg_back ? c->n_msg : 0,
        };

        if (c->install) {
                size_t info = (uint8_t *)c->install_info - (uint8_t *)c->data;

                reply_message(ch, port, rq->head.serial, head.flags, c->data, c->n_data, info,
                              c->install);
                return;
        }
        send_reply(ch, &head, c->data, c->msg, NULL, 0);
}

static bool is_broadcast(const struct cmd *c)
{
        const struct kdbus_msg *msg = c->msg;

        return c->code == KDBUS_CMD_SEND && c->n_msg >= sizeof(*msg) &&
               msg->dst_id == KDBUS_DST_ID_BROADCAST && !(c->back && c->msg_back);
}

static void run_ioctl(struct port *port, struct channel *ch, struct request *rq)
{
        struct cmd c = {.handle = &port->handle, .code = rq->head.code, .cancel_fd = -1};
        int r;

        r = slice_body(rq, &c);
        if (!r) {
                caller_init(&c.caller, ch, rq);
                r = handle_run(&c);
                adopt(port);
                if (!r && is_broadcast(&c) && (rq->head.flags & KDP_RINGED))
                        koutbox_offer(&port->handle, port->user);
                if (!r && c.wait)
                        r = block(port, ch, rq, &c);
                if (r || !c.wait)
                        answer(port, ch, rq, &c, r);
                kmeta_deinit(&c.caller.meta);
        } else {
                reply_error(ch, rq->head.serial, r, 0);
        }
        closep(&c.payload.file);
        closep(&c.cancel_fd);
}

/* who connected may have done so for another */
static int charge_opener(struct port *port, struct channel *ch)
{
        if (port->user == ch->user)
                return 0;
        if (ch->user->n_handles >= KD_HANDLES_MAX)
                return -ENFILE;
        port->user->n_handles--;
        kuser_unref(port->user);
        port->user = kuser_ref(ch->user);
        port->user->n_handles++;
        return 0;
}

/* the kernel knows the supervisor as the peer of the handle */
static bool is_supervised(const struct channel *ch)
{
        return ch->task.proc_fd >= 0 && ch->speaker != ch->task.pid;
}

static int open_node(struct port *port, struct channel *ch, struct request *rq)
{
        _cleanup_(closep) int fd = next_fd(rq);
        struct caller caller;
        struct node *node;
        int r;

        if (port->opened || fd < 0)
                return -EINVAL;
        r = charge_opener(port, ch);
        if (r)
                return r;
        r = node_find(&port->entry->domain.tree, fd, &node);
        if (r)
                return r;
        caller_init(&caller, ch, rq);
        kmeta_collect(&caller.meta, caller.task, caller.tid, KDBUS_ATTACH_CREDS);
        r = handle_init(&port->handle, &port->entry->domain,
                        is_supervised(ch) ? -1 : port->source.fd, node->ep, &caller);
        kmeta_deinit(&caller.meta);
        port->opened = !r;
        return r;
}

/* length, protection, flags, offset, as mmap has them */
static int check_mmap(const struct handle *h, const struct request *rq)
{
        if (h->kind != HANDLE_CONNECTED)
                return -EBADFD;
        if (rq->head.arg[1] & 2) /* PROT_WRITE */
                return -EPERM;
        return rq->head.arg[0] > h->conn->pool->size ? -EFAULT : 0;
}

static void run_mmap(struct port *port, struct channel *ch, struct request *rq)
{
        struct kdp_reply head = {.serial = rq->head.serial};

        head.error = check_mmap(&port->handle, rq);
        if (head.error)
                send_reply(ch, &head, NULL, NULL, NULL, 0);
        else
                send_reply(ch, &head, NULL, NULL, &port->handle.conn->pool->fd, 1);
}

/* the ring, and what goes with it */
static int ring_of(struct port *port, int fds[2])
{
        struct kconn *conn = port->handle.kind == HANDLE_CONNECTED ? port->handle.conn : NULL;
        int r;

        if (!conn || !conn->connected)
                return -EBADFD;
        if (conn->flags & KDBUS_HELLO_POLICY_HOLDER)
                return -EOPNOTSUPP;
        r = kflow_get(port->user, &fds[1]);
        if (!r)
                r = kconn_add_ring(conn, port->token);
        if (!r)
                fds[0] = conn->ring->fd;
        return r;
}

static void run_ring(struct port *port, struct channel *ch, struct request *rq)
{
        struct kdp_reply head = {.serial = rq->head.serial};
        int fds[2];

        head.error = ring_of(port, fds);
        send_reply(ch, &head, NULL, NULL, fds, head.error ? 0 : 2);
}

/* a program that emptied its ring found that it was filled meanwhile */
static void run_bell(struct port *port)
{
        if (port->opened && port->handle.kind == HANDLE_CONNECTED) {
                kconn_sync(port->handle.conn);
                kconn_update_readable(port->handle.conn);
        }
}

/* the node's file, so that fstat on a handle shows what the file system shows */
static void run_stat(struct port *port, struct channel *ch, struct request *rq)
{
        struct domain *domain = &port->entry->domain;
        struct node *node = port->handle.ep ? port->handle.ep->node : domain->tree.control;
        struct kdp_reply head = {.serial = rq->head.serial, .error = -ESHUTDOWN};
        _cleanup_(closep) int fd = -1;
        char path[512];

        if (node) {
                snprintf(path, sizeof(path), "%s%s%s", node->dir ?: "", node->dir ? "/" : "",
                         node->name);
                fd = openat(domain->tree.fd, path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
        }
        if (fd >= 0)
                head.error = 0;
        send_reply(ch, &head, NULL, NULL, &fd, fd >= 0);
}

static void run(struct port *port, struct channel *ch, struct request *rq)
{
        switch (rq->head.op) {
        case KDP_OPEN:
                reply_error(ch, rq->head.serial, open_node(port, ch, rq), 0);
                return;
        case KDP_INTERRUPT:
                run_interrupt(ch, rq);
                return;
        case KDP_FDS:
                run_fds(ch, rq);
                return;
        }
        if (!port->opened) {
                reply_error(ch, rq->head.serial, -EBADFD, 0);
                return;
        }
        switch (rq->head.op) {
        case KDP_IOCTL:
                run_ioctl(port, ch, rq);
                return;
        case KDP_MMAP:
                run_mmap(port, ch, rq);
                return;
        case KDP_STAT:
                run_stat(port, ch, rq);
                return;
        case KDP_RING:
                run_ring(port, ch, rq);
                return;
        default:
                reply_error(ch, rq->head.serial, -EOPNOTSUPP, 0);
        }
}

static void handle_request(struct port *port, struct request *rq)
{
        struct entry *entry = port->entry;
        struct channel *ch = NULL;

        koutbox_drain(&entry->domain, 0); /* was said before this */
        if (rq->head.op == KDP_BELL) {
                run_bell(port);
                return;
        }
        if (rq->head.flags & KDP_NEW_CHANNEL) {
                if (channel_new(entry, rq, &ch))
                        return; /* its end is closed: the thread sees that */
        } else {
                ch = find_channel(entry, rq);
        }
        if (!ch)
                return;
        if (!channel_fits(ch, rq)) {
                reply_error(ch, rq->head.serial, -ESTALE, KDP_STALE);
                return;
        }
        run(port, ch, rq);
}

/* --- events --- */

/* one request, or at the end all that are left */
static void on_port(struct port *port, bool ended)
{
        struct request rq;
        int r;

        do {
                r = receive(port, &rq);
                if (r > 0) {
                        handle_request(port, &rq);
                        request_close(&rq);
                }
        } while (r > 0 && ended && !port->closing);
        if (r < 0)
                port_close_later(port);
}

static void on_listen(struct entry *entry)
{
        int fd = accept4(entry->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE) && entry->spare_fd >= 0) {
                close(entry->spare_fd);
                closep(&(int){accept4(entry->listen.fd, NULL, NULL, SOCK_CLOEXEC)});
                entry->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
                return;
        }
        if (fd >= 0 && port_new(entry, fd))
                close(fd);
}

static uint64_t now_ns(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void on_timer(struct entry *entry)
{
        uint64_t n;

        (void)!read(entry->timer.fd, &n, sizeof(n));
        entry->armed = UINT64_MAX;
        kreply_expire(&entry->domain, now_ns());
}

static void arm(struct entry *entry)
{
        uint64_t at = kreply_next_deadline(&entry->domain);
        struct itimerspec ts = {};

        if (at >= entry->armed)
                return; /* it is looked at again when the timer fires */
        entry->armed = at;
        at = MAX(at, (uint64_t)1);
        ts.it_value.tv_sec = at / 1000000000;
        ts.it_value.tv_nsec = at % 1000000000;
        timerfd_settime(entry->timer.fd, TFD_TIMER_ABSTIME, &ts, NULL);
}

static void close_ports(struct entry *entry)
{
        while (!cds_list_empty(&entry->closing))
                port_free(cds_list_entry(entry->closing.next, struct port, by_close));
}

static bool has_ended(uint32_t events)
{
        return events & (EPOLLHUP | EPOLLRDHUP);
}

static void on_again(struct entry *entry)
{
        uint64_t n;

        (void)!read(entry->again.fd, &n, sizeof(n));
}

static void on_event(struct entry *entry, struct source *source, uint32_t events)
{
        koutbox_drain(&entry->domain, 0);
        switch (source->kind) {
        case SOURCE_LISTEN:
                on_listen(entry);
                break;
        case SOURCE_TIMER:
                on_timer(entry);
                break;
        case SOURCE_PORT:
                on_port(container_of(source, struct port, source), has_ended(events));
                break;
        case SOURCE_CHANNEL:
                /* nothing is ever sent down there: the thread or its process has gone */
                channel_free(container_of(source, struct channel, source));
                break;
        case SOURCE_CANCEL:
                cancelled(container_of(source, struct waiter, cancel));
                break;
        case SOURCE_AGAIN:
                on_again(entry);
                break;
        }
}

/* of this turn's events, those of one sort */
static void run_events(struct entry *entry, bool ended)
{
        for (int i = 0; i < entry->n_events; i++) {
                struct epoll_event ev = entry->events[i];

                if (!ev.data.ptr || has_ended(ev.events) != ended)
                        continue;
                on_event(entry, ev.data.ptr, ev.events);
                close_ports(entry);
        }
}

/*
 * What was closed comes first: a program that closes a handle and then asks through another must
 * find the first one gone. That is also why a handle gets no more than one request a turn: one that
 * came after the end of another handle waits for the turn that sees the end.
 *
 * Returns how much there was, or a negative errno.
 */
static int run_turn(struct entry *entry)
{
        int n = epoll_wait(entry->epoll_fd, entry->events, EVENTS_PER_TURN, 0);

        if (n < 0 && errno != EINTR)
                return error_origin(-errno);
        entry->n_events = MAX(n, 0);
        n = entry->n_events + koutbox_waits(&entry->domain);
        koutbox_drain(&entry->domain, DRAIN_NS);
        run_events(entry, true);
        run_events(entry, false);
        entry->n_events = 0;
        return n;
}

/*
 * Who broadcasts a lot will have more in a moment. To be woken for it costs more than to look for
 * it: so it is looked for, as long as that pays. Each time that it was in vain, it is not done for
 * twice as many turns as before.
 */
static int stay_awake(struct entry *entry)
{
        uint64_t start = now_ns(), last = start, now = start;
        int r;

        if (entry->drowsy) {
                entry->drowsy--;
                return 0;
        }
        do {
                for (int i = 0; i < RELAX && !koutbox_waits(&entry->domain); i++)
                        caa_cpu_relax();
                r = run_turn(entry);
                now = now_ns();
                if (r > 0)
                        last = now;
        } while (r >= 0 && now - last < AWAKE_NS && now - start < TURN_NS);
        entry->doubt = last > start ? entry->doubt / 2 : MIN(2 * entry->doubt + 1, DOUBT_MAX);
        entry->drowsy = entry->doubt;
        return r;
}

/**
 * entry_dispatch() - handle what is ready
 *
 * Return: 0, or a negative errno if the domain cannot go on.
 */
int entry_dispatch(struct entry *entry)
{
        uint64_t one = 1;
        int r;

        koutbox_wake(&entry->domain);
        r = run_turn(entry);
        if (r >= 0 && !cds_list_empty(&entry->domain.outboxes))
                r = stay_awake(entry);
        arm(entry);
        if (!koutbox_sleep(&entry->domain))
                (void)!write(entry->again.fd, &one, sizeof(one)); /* after the others' turn */
        return MIN(r, 0);
}

int entry_fd(const struct entry *entry)
{
        return entry->epoll_fd;
}

struct domain *entry_domain(struct entry *entry)
{
        return &entry->domain;
}

/* --- life --- */

static int listen_on(struct entry *entry)
{
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        int fd, on = 1;

        if (strlen(entry->socket_path) >= sizeof(sa.sun_path))
                return error_origin(-ENAMETOOLONG);
        strcpy(sa.sun_path, entry->socket_path);
        unlink(entry->socket_path);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return error_origin(-errno);
        entry->listen = (struct source){SOURCE_LISTEN, fd};
        setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)); /* new kernels pass it on */
        if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
            chmod(entry->socket_path, 0666) < 0 || listen(fd, SOMAXCONN) < 0)
                return error_origin(-errno);
        return watch(entry, &entry->listen);
}

static int start(struct entry *entry, const char *state_dir)
{
        _cleanup_(freep) char *root = NULL;
        int r;

        if (asprintf(&root, "%s/" ENTRY_ROOT, state_dir) < 0 ||
            asprintf(&entry->socket_path, "%s/" ENTRY_SOCKET, state_dir) < 0)
                return error_origin(-ENOMEM);
        if (mkdir(state_dir, 0755) < 0 && errno != EEXIST)
                return error_origin(-errno);
        r = domain_init(&entry->domain, root);
        if (r)
                return error_fold(r);
        entry->domain.wake = wake;
        entry->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        entry->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        entry->timer = (struct source){
                SOURCE_TIMER, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
        entry->again =
                (struct source){SOURCE_AGAIN, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
        if (entry->epoll_fd < 0 || entry->timer.fd < 0 || entry->again.fd < 0)
                return error_origin(-errno);
        r = watch(entry, &entry->timer) ?: watch(entry, &entry->again);
        return r ? error_origin(r) : listen_on(entry);
}

/**
 * entry_new() - open a domain
 * @state_dir:  holds the socket and the domain's directory; made if missing
 */
int entry_new(struct entry **entryp, const char *state_dir)
{
        struct entry *entry = calloc(1, sizeof(*entry));
        int r;

        if (!entry)
                return error_origin(-ENOMEM);
        entry->epoll_fd = entry->spare_fd = entry->listen.fd = -1;
        entry->timer.fd = entry->again.fd = -1;
        entry->armed = UINT64_MAX;
        CDS_INIT_LIST_HEAD(&entry->ports);
        CDS_INIT_LIST_HEAD(&entry->closing);
        r = start(entry, state_dir);
        if (r) {
                entry_free(entry);
                return error_fold(r);
        }
        *entryp = entry;
        return 0;
}

struct entry *entry_free(struct entry *entry)
{
        struct channel *ch, *next;
        struct port *port, *next_port;

        if (!entry)
                return NULL;
        cds_list_for_each_entry_safe(port, next_port, &entry->ports, link)
                port_free(port);
        HASH_ITER(hh, entry->channels, ch, next)
                channel_free(ch);
        domain_deinit(&entry->domain);
        if (entry->listen.fd >= 0)
                unlink(entry->socket_path);
        closep(&entry->listen.fd);
        closep(&entry->timer.fd);
        closep(&entry->again.fd);
        closep(&entry->spare_fd);
        closep(&entry->epoll_fd);
        free(entry->socket_path);
        free(entry);
        return NULL;
}
