/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bus-core/util/error.h"
#include "shim/wire/body.h"
#include "shim/wire/error.h"
#include "shim/wire/type.h"
#include "tools/busconn.h"
#include "tools/message.h"

#define READ_SIZE (256U << 10)
#define N_FDS_MAX 253 /* the kernel's limit for one message */
#define AUTH_LINE_MAX 512

const char *busconn_strerror(int r)
{
        static const char *const texts[] = {
                [BUSCONN_E_NONE] = "nothing there yet",
                [BUSCONN_E_CLOSED] = "the bus closed the connection",
                [BUSCONN_E_REFUSED] = "the bus refused our credentials",
                [BUSCONN_E_ADDRESS] = "not an address of a unix socket",
                [BUSCONN_E_INVALID] = "the bus sent an invalid message",
                [BUSCONN_E_ERROR] = "the bus answered with an error",
                [BUSCONN_E_TIMEOUT] = "the bus did not answer in time",
        };

        if (r < 0)
                return strerror(-r);
        return (size_t)r < ARRAY_SIZE(texts) && texts[r] ? texts[r] : "no error";
}

/* ---- address ---- */

static int hex_value(char c)
{
        static const char digits[] = "0123456789abcdef";
        const char *p = c ? strchr(digits, c | 0x20) : NULL;

        return p ? (int)(p - digits) : -1;
}

/* the value of a key of one address, unescaped; its length, or 0 */
static size_t address_value(const char *part, size_t n, const char *key, char *to, size_t size)
{
        size_t n_key = strlen(key), n_to = 0;
        const char *end = part + n, *p = memchr(part, ':', n);

        while (p && p < end && (strncmp(p + 1, key, n_key) || p[1 + n_key] != '='))
                p = memchr(p + 1, ',', (size_t)(end - p - 1));
        if (!p || p >= end)
                return 0;
        for (p += n_key + 2; p < end && *p != ',' && n_to + 1 < size; p++) {
                if (*p == '%' && end - p > 2 && hex_value(p[1]) >= 0 && hex_value(p[2]) >= 0) {
                        to[n_to++] = (char)(hex_value(p[1]) << 4 | hex_value(p[2]));
                        p += 2;
                } else {
                        to[n_to++] = *p;
                }
        }
        to[n_to] = 0;
        return n_to;
}

static int socket_address(struct sockaddr_un *sa, socklen_t *len, const char *part, size_t n)
{
        size_t n_path;

        *sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
        if (n < 5 || strncmp(part, "unix:", 5))
                return BUSCONN_E_ADDRESS;
        n_path = address_value(part, n, "path", sa->sun_path, sizeof(sa->sun_path));
        if (!n_path) {
                n_path = address_value(part, n, "abstract", sa->sun_path + 1,
                                       sizeof(sa->sun_path) - 1);
                if (!n_path)
                        return BUSCONN_E_ADDRESS;
                n_path++;
        }
        *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n_path);
        return 0;
}

/* the kernel takes a socket's credentials from whoever connects it: become @uid for that */
static int connect_as(int fd, const struct sockaddr_un *sa, socklen_t len, uid_t uid)
{
        uid_t own = geteuid();
        int r = 0;

        if (uid != own && seteuid(uid) < 0)
                return error_origin(-errno);
        if (connect(fd, (const struct sockaddr *)sa, len) < 0)
                r = -errno;
        if (uid != own && seteuid(own) < 0)
                return error_origin(-errno);
        return r;
}

static int connect_part(struct busconn *c, const char *part, size_t n, uid_t uid)
{
        _cleanup_(closep) int fd = -1;
        struct sockaddr_un sa;
        socklen_t len;
        int r;

        r = socket_address(&sa, &len, part, n);
        if (r)
                return r;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return error_origin(-errno);
        r = connect_as(fd, &sa, len, uid);
        if (r)
                return r;
        c->fd = steal_fd(&fd);
        return 0;
}

/* ---- authentication ---- */

static int wait_readable(struct busconn *c)
{
        struct pollfd p = { .fd = c->fd, .events = POLLIN };
        int r = poll(&p, 1, BUSCONN_TIMEOUT_MS);

        if (r < 0)
                return errno == EINTR ? 0 : error_origin(-errno);
        return r ? 0 : BUSCONN_E_TIMEOUT;
}

/* one line of the conversation, without its end; the rest stays in c->in */
static int read_line(struct busconn *c, char line[static AUTH_LINE_MAX])
{
        for (;;) {
                const uint8_t *p = buf_head(&c->in);
                const uint8_t *end = buf_n(&c->in) ? memmem(p, buf_n(&c->in), "\r\n", 2) : NULL;
                size_t n = end ? (size_t)(end - p) : buf_n(&c->in);
                int r;

                if (n >= AUTH_LINE_MAX)
                        return BUSCONN_E_INVALID;
                if (end) {
                        memcpy(line, p, n);
                        line[n] = 0;
                        buf_take(&c->in, n + 2);
                        return 0;
                }
                r = wait_readable(c);
                if (!r)
                        r = busconn_receive(c);
                if (r && r != BUSCONN_E_NONE)
                        return r;
        }
}

static int authenticate(struct busconn *c, uid_t uid)
{
        char text[32], line[AUTH_LINE_MAX];
        struct buf *out = &c->out;
        int n, r;

        n = snprintf(text, sizeof(text), "%u", uid);
        buf_put8(out, 0);
        buf_printf(out, "AUTH EXTERNAL ");
        for (int i = 0; i < n; i++)
                buf_printf(out, "%02x", text[i]);
        buf_printf(out, "\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n");
        r = buf_error(out);
        if (!r)
                r = busconn_flush(c);
        if (!r)
                r = read_line(c, line);
        if (r)
                return r;
        if (strncmp(line, "OK ", 3))
                return BUSCONN_E_REFUSED;
        r = read_line(c, line);
        if (r)
                return r;
        c->n_sent = 0;
        return strcmp(line, "AGREE_UNIX_FD") ? BUSCONN_E_REFUSED : 0;
}

int busconn_connect(struct busconn *c, const char *address, uid_t uid)
{
        int r = BUSCONN_E_ADDRESS;

        if (uid == (uid_t)-1)
                uid = geteuid();
        while (*address) {
                size_t n = strcspn(address, ";");

                r = connect_part(c, address, n, uid);
                if (!r)
                        return authenticate(c, uid);
                address += n + (address[n] == ';');
        }
        return r;
}

void busconn_deinit(struct busconn *c)
{
        closep(&c->fd);
        buf_deinit(&c->in);
        buf_deinit(&c->out);
        free(c->fds);
        *c = BUSCONN_NULL;
}

/* ---- sending ---- */

static int push_fds(struct busconn *c, uint64_t at, uint32_t n)
{
        if (c->n_fds == c->size_fds) {
                size_t size = MAX(2 * c->size_fds, (size_t)4);
                struct busconn_fds *p = realloc(c->fds, size * sizeof(*p));

                if (!p)
                        return error_origin(-ENOMEM);
                c->fds = p;
                c->size_fds = size;
        }
        c->fds[c->n_fds++] = (struct busconn_fds){ at, n };
        return 0;
}

int busconn_send(struct busconn *c, const void *data, size_t n, uint32_t n_fds)
{
        int r = 0;

        if (n_fds && c->stand_in >= 0)
                r = push_fds(c, c->n_sent + buf_n(&c->out), MIN(n_fds, (uint32_t)N_FDS_MAX));
        if (r)
                return r;
        buf_put(&c->out, data, n);
        return buf_error(&c->out);
}

static ssize_t send_some(struct busconn *c)
{
        union {
                struct cmsghdr head;
                char space[CMSG_SPACE(N_FDS_MAX * sizeof(int))];
        } control;
        struct iovec iov = { (void *)buf_head(&c->out), buf_n(&c->out) };
        struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
        int fds[N_FDS_MAX];

        if (c->n_fds && c->fds[0].at > c->n_sent) {
                iov.iov_len = MIN(iov.iov_len, (size_t)(c->fds[0].at - c->n_sent));
        } else if (c->n_fds) {
                uint32_t n = c->fds[0].n;

                for (uint32_t i = 0; i < n; i++)
                        fds[i] = c->stand_in;
                control.head = (struct cmsghdr){ CMSG_LEN(n * sizeof(int)), SOL_SOCKET,
                                                 SCM_RIGHTS };
                memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
                msg.msg_control = &control;
                msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
                if (c->n_fds > 1)
                        iov.iov_len = MIN(iov.iov_len, (size_t)(c->fds[1].at - c->n_sent));
        }
        return sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int busconn_flush(struct busconn *c)
{
        while (buf_n(&c->out)) {
                ssize_t n = send_some(c);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return BUSCONN_E_NONE;
                if (n < 0)
                        return errno == EPIPE || errno == ECONNRESET ? BUSCONN_E_CLOSED
                                                                     : error_origin(-errno);
                if (c->n_fds && c->fds[0].at == c->n_sent) {
                        c->n_fds--;
                        memmove(c->fds, c->fds + 1, c->n_fds * sizeof(*c->fds));
                }
                c->n_sent += (uint64_t)n;
                buf_take(&c->out, (size_t)n);
        }
        return 0;
}

/* ---- receiving ---- */

static void drop_fds(struct busconn *c, struct msghdr *msg)
{
        struct cmsghdr *m;

        for (m = CMSG_FIRSTHDR(msg); m; m = CMSG_NXTHDR(msg, m)) {
                size_t n;

                if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
                        continue;
                n = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < n; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(m) + i * sizeof(int), sizeof(int));
                        close(fd);
                }
                c->n_fds_received += n;
        }
}

int busconn_receive(struct busconn *c)
{
        union {
                struct cmsghdr head;
                char space[CMSG_SPACE(N_FDS_MAX * sizeof(int))];
        } control;
        struct iovec iov;
        struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof(control) };
        ssize_t n;

        buf_take(&c->in, c->n_handed);
        c->n_handed = 0;
        iov.iov_base = buf_room(&c->in, READ_SIZE);
        iov.iov_len = READ_SIZE;
        if (!iov.iov_base)
                return error_origin(-ENOMEM);
        n = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return BUSCONN_E_NONE;
        if (n == 0 || (n < 0 && errno == ECONNRESET))
                return BUSCONN_E_CLOSED;
        if (n < 0)
                return error_origin(-errno);
        drop_fds(c, &msg);
        buf_grown(&c->in, (size_t)n);
        return 0;
}

static int judge(const uint8_t *p, uint32_t total, struct header *h)
{
        int r = header_parse(h, p, total);

        if (!r && h->size + (uint64_t)h->body_size != total)
                r = WIRE_E_TRAILING;
        if (!r)
                r = body_validate(h->signature.off ? header_text(p, h->signature) : "",
                                  h->signature.len, h->swap, p + h->size, h->body_size, NULL);
        return r ? BUSCONN_E_INVALID : 0;
}

int busconn_next(struct busconn *c, const uint8_t **msg, struct header *h)
{
        uint32_t header, total;
        const uint8_t *p;
        int r;

        buf_take(&c->in, c->n_handed);
        c->n_handed = 0;
        if (buf_n(&c->in) < HEADER_FIXED)
                return BUSCONN_E_NONE;
        p = buf_head(&c->in);
        if (header_frame(p, TYPE_MESSAGE_MAX, &header, &total))
                return BUSCONN_E_INVALID;
        if (buf_n(&c->in) < total)
                return BUSCONN_E_NONE;
        r = judge(p, total, h);
        if (r)
                return r;
        c->n_handed = total;
        *msg = p;
        return 0;
}

/* ---- calls ---- */

static void keep_error(struct busconn *c, const uint8_t *msg, const struct header *h)
{
        const char *text = "";

        if (h->signature.off && msg[h->signature.off] == 's')
                text = (const char *)msg + h->size + 4;
        snprintf(c->error, sizeof(c->error), "%s: %s", header_text(msg, h->error_name), text);
        for (size_t n = strlen(c->error); n && c->error[n - 1] == '\n'; n--)
                c->error[n - 1] = 0;
}

int busconn_wait_reply(struct busconn *c, uint32_t serial, const uint8_t **msg, struct header *h)
{
        struct header own_header;
        const uint8_t *own_msg;
        int r;

        if (!msg)
                msg = &own_msg;
        if (!h)
                h = &own_header;
        for (;;) {
                r = busconn_next(c, msg, h);
                if (!r && h->reply_serial == serial && h->type == HEADER_RETURN)
                        return 0;
                if (!r && h->reply_serial == serial && h->type == HEADER_ERROR) {
                        keep_error(c, *msg, h);
                        return BUSCONN_E_ERROR;
                }
                if (!r)
                        continue;
                if (r != BUSCONN_E_NONE)
                        return r;
                r = wait_readable(c);
                if (!r)
                        r = busconn_receive(c);
                if (r && r != BUSCONN_E_NONE)
                        return r;
        }
}

int busconn_call(struct busconn *c, const char *interface, const char *member,
                 const char *signature, const char *const *args, const uint8_t **msg,
                 struct header *h)
{
        _cleanup_(buf_deinit) struct buf call = BUF_NULL;
        int r;

        r = message_call_driver(&call, ++c->serial, interface, member, signature, args);
        if (!r)
                r = busconn_send(c, buf_head(&call), buf_n(&call), 0);
        if (!r)
                r = busconn_flush(c);
        if (r)
                return r;
        return busconn_wait_reply(c, c->serial, msg, h);
}

int busconn_hello(struct busconn *c)
{
        const uint8_t *msg;
        struct header h;
        int r;

        r = busconn_call(c, NULL, "Hello", NULL, NULL, &msg, &h);
        if (r)
                return r;
        if (h.body_size < 5 || h.signature.len != 1 || msg[h.signature.off] != 's')
                return BUSCONN_E_INVALID;
        snprintf(c->name, sizeof(c->name), "%s", (const char *)msg + h.size + 4);
        return 0;
}
