/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "compat-tests/bench/client.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SMALL 8192 /* templates up to this size are copied into the output buffer */
#define ORDER (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 'l' : 'B')

enum {
        FIELD_PATH = 1,
        FIELD_INTERFACE = 2,
        FIELD_MEMBER = 3,
        FIELD_REPLY_SERIAL = 5,
        FIELD_DESTINATION = 6,
        FIELD_SIGNATURE = 8,
        FIELD_FDS = 9,
};

void die(const char *format, ...)
{
        va_list args;

        fprintf(stderr, "bench: ");
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        fprintf(stderr, "\n");
        exit(1);
}

static void put32(uint8_t *at, uint32_t value)
{
        memcpy(at, &value, sizeof(value));
}

static uint32_t get32(const uint8_t *at)
{
        uint32_t value;

        memcpy(&value, at, sizeof(value));
        return value;
}

static size_t align8(size_t n)
{
        return (n + 7) & ~(size_t)7;
}

/* --- encoding -------------------------------------------------------------------------------- */

static size_t put_u32_field(uint8_t *data, size_t at, uint8_t code, uint32_t value)
{
        at = align8(at);
        memcpy(data + at, (uint8_t[]){ code, 1, 'u', 0 }, 4);
        put32(data + at + 4, value);
        return at + 8;
}

static size_t put_string_field(uint8_t *data, size_t at, uint8_t code, char type, const char *value)
{
        size_t len;

        if (!value)
                return at;

        len = strlen(value);
        at = align8(at);
        memcpy(data + at, (uint8_t[]){ code, 1, (uint8_t)type, 0 }, 4);
        at += 4;
        if (type == 'g') {
                data[at++] = (uint8_t)len;
        } else {
                put32(data + at, (uint32_t)len);
                at += 4;
        }
        memcpy(data + at, value, len + 1);
        return at + len + 1;
}

void template_make(struct template *t, const struct template_fields *f)
{
        size_t at = 16, body_at;

        t->data = calloc(1, 4096 + f->body_len);
        if (!t->data)
                die("no memory");
        t->fd = f->fd ? f->fd : -1;

        if (f->type == TYPE_RETURN)
                at = put_u32_field(t->data, at, FIELD_REPLY_SERIAL, 0);
        at = put_string_field(t->data, at, FIELD_PATH, 'o', f->path);
        at = put_string_field(t->data, at, FIELD_DESTINATION, 's', f->destination);
        at = put_string_field(t->data, at, FIELD_INTERFACE, 's', f->interface);
        at = put_string_field(t->data, at, FIELD_MEMBER, 's', f->member);
        at = put_string_field(t->data, at, FIELD_SIGNATURE, 'g', f->signature);
        if (f->fd)
                at = put_u32_field(t->data, at, FIELD_FDS, 1);

        memcpy(t->data, (uint8_t[]){ ORDER, f->type, 0, 1 }, 4);
        put32(t->data + 4, (uint32_t)f->body_len);
        put32(t->data + 12, (uint32_t)(at - 16));
        body_at = align8(at);
        if (f->body_len)
                memcpy(t->data + body_at, f->body, f->body_len);
        t->len = body_at + f->body_len;
}

void template_free(struct template *t)
{
        free(t->data);
        t->data = NULL;
}

/* --- receiving ------------------------------------------------------------------------------- */

static void close_fds(struct msghdr *msg)
{
        struct cmsghdr *cmsg;

        for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
                size_t i, n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
                        continue;
                for (i = 0; i < n; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
                        close(fd);
                }
        }
}

static ssize_t receive(struct client *c, void *to, size_t size, int flags)
{
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(253 * sizeof(int))];
        } control;
        struct iovec iov = { to, size };
        struct msghdr msg = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        ssize_t n;

        if (!c->takes_fds)
                return recv(c->fd, to, size, flags);

        n = recvmsg(c->fd, &msg, flags | MSG_CMSG_CLOEXEC);
        if (n > 0)
                close_fds(&msg);
        return n;
}

/* One read, of as much as there is room for; false if there is nothing to read. */
bool client_fill(struct client *c, int flags)
{
        ssize_t n;

        if (c->in_start == c->in_end)
                c->in_start = c->in_end = 0;
        if (c->in_start && c->in_end == CLIENT_BUFFER) {
                memmove(c->in, c->in + c->in_start, c->in_end - c->in_start);
                c->in_end -= c->in_start;
                c->in_start = 0;
        }

        n = receive(c, c->in + c->in_end, CLIENT_BUFFER - c->in_end, flags);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (n <= 0)
                die("%s: the bus hung up (%s)", c->name, n ? strerror(errno) : "end of stream");
        c->in_end += (size_t)n;

        if (c->skip) {
                size_t k = c->in_end - c->in_start < c->skip ? c->in_end - c->in_start : c->skip;

                c->in_start += k;
                c->skip -= k;
        }
        return true;
}

bool client_next(struct client *c, struct seen *s)
{
        size_t have = c->in_end - c->in_start;
        const uint8_t *at = c->in + c->in_start;

        if (c->skip)
                return false;
        if (c->skipped.len) {
                *s = c->skipped;
                c->skipped.len = 0;
                return true;
        }
        if (have < 16)
                return false;

        *s = (struct seen){
                .type = at[1],
                .serial = get32(at + 8),
                .len = align8(16 + get32(at + 12)) + get32(at + 4),
                .data = at,
        };
        if (have >= s->len) {
                c->in_start += s->len;
                return true;
        }
        if (s->len > CLIENT_BUFFER / 4) {
                c->skipped = *s;
                c->skipped.data = NULL;
                c->skip = s->len - have;
                c->in_start = c->in_end = 0;
        }
        return false;
}

/* --- sending --------------------------------------------------------------------------------- */

static uint8_t *out_room(struct client *c, size_t len)
{
        if (c->out_start == c->out_end)
                c->out_start = c->out_end = 0;
        if (c->out_end + len > c->out_size) {
                c->out_size = (c->out_end + len) * 2;
                c->out = realloc(c->out, c->out_size);
                if (!c->out)
                        die("no memory");
        }
        c->out_end += len;
        return c->out + c->out_end - len;
}

void client_queue(struct client *c, struct template *t, uint32_t n)
{
        if (t->len > SMALL || t->fd >= 0) {
                c->bulk = t;
                c->bulk_todo += n;
                return;
        }
        while (n--) {
                uint8_t *to = out_room(c, t->len);

                memcpy(to, t->data, t->len);
                put32(to + 8, ++c->serial);
        }
}

void client_queue_reply(struct client *c, struct template *t, uint32_t reply_serial)
{
        uint8_t *to = out_room(c, t->len);

        memcpy(to, t->data, t->len);
        put32(to + 8, ++c->serial);
        put32(to + 20, reply_serial);
}

static ssize_t send_with_fd(int socket, const uint8_t *data, size_t len, int fd)
{
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct iovec iov = { (void *)data, len };
        struct msghdr msg = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
        return sendmsg(socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* One send of what is left; true if something went. */
static bool send_some(struct client *c, const uint8_t *data, size_t len, int fd, size_t *sent)
{
        ssize_t n;

        n = fd >= 0 ? send_with_fd(c->fd, data, len, fd)
                    : send(c->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (n < 0)
                die("%s: cannot send: %s", c->name, strerror(errno));
        *sent += (size_t)n;
        return true;
}

/* A short write of a message is so rare that the rest then goes with what follows. */
static size_t first_length(const struct client *c)
{
        const uint8_t *at = c->out + c->out_start;
        size_t have = c->out_end - c->out_start, len;

        if (have < 16 || at[0] != ORDER)
                return have;
        len = align8(16 + get32(at + 12)) + get32(at + 4);
        return len < have ? len : have;
}

/* Sends what is queued; false if the socket is full before all of it went. */
bool client_flush(struct client *c)
{
        while (c->out_start < c->out_end) {
                size_t len = c->out_end - c->out_start;

                if (!send_some(c, c->out + c->out_start, c->single ? first_length(c) : len, -1,
                               &c->out_start))
                        return false;
        }

        while (c->bulk_todo) {
                struct template *t = c->bulk;

                if (!c->bulk_off)
                        put32(t->data + 8, ++c->serial);
                if (!send_some(c, t->data + c->bulk_off, t->len - c->bulk_off,
                               c->bulk_off ? -1 : t->fd, &c->bulk_off)) {
                        if (!c->bulk_off)
                                c->serial--;
                        return false;
                }
                if (c->bulk_off == t->len) {
                        c->bulk_off = 0;
                        c->bulk_todo--;
                }
        }
        return true;
}

/* --- set-up, blocking ------------------------------------------------------------------------ */

static void send_all(struct client *c, const void *data, size_t len)
{
        ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

        if (n != (ssize_t)len)
                die("cannot send: %s", n < 0 ? strerror(errno) : "short");
}

size_t client_greeting(uint8_t *buffer, size_t size)
{
        struct template hello;
        char uid[16], hex[33] = "";
        size_t len, i;

        snprintf(uid, sizeof(uid), "%u", getuid());
        for (i = 0; uid[i]; i++)
                snprintf(hex + 2 * i, 3, "%02x", (uint8_t)uid[i]);
        buffer[0] = 0;
        len = 1 + (size_t)snprintf((char *)buffer + 1, size - 1,
                                   "AUTH EXTERNAL %s\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n", hex);

        template_make(&hello, &(struct template_fields){
                                      .type = TYPE_CALL,
                                      .destination = "org.freedesktop.DBus",
                                      .path = "/org/freedesktop/DBus",
                                      .interface = "org.freedesktop.DBus",
                                      .member = "Hello",
                              });
        put32(hello.data + 8, 1);
        if (len + hello.len > size)
                die("greeting too large");
        memcpy(buffer + len, hello.data, hello.len);
        len += hello.len;
        template_free(&hello);
        return len;
}

size_t client_greeted(const uint8_t *data, size_t len)
{
        const uint8_t *end = memchr(data, '\n', len);

        if (!end)
                return 0;
        if (len > 3 && memcmp(data, "OK ", 3))
                die("not let in: %.*s", (int)(end - data), (const char *)data);
        end = memchr(end + 1, '\n', len - (size_t)(end + 1 - data));
        return end ? (size_t)(end + 1 - data) : 0;
}

int client_connect(const char *path, bool nonblocking)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd;

        if (strlen(path) >= sizeof(address.sun_path))
                die("%s: too long for a socket", path);
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
        if (fd < 0)
                die("cannot make a socket: %s", strerror(errno));
        while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                if (errno != EINTR && errno != EAGAIN)
                        die("%s: %s", path, strerror(errno));
        return fd;
}

/* Waits for the reply to the last message sent; all before it is dropped. */
static void await_reply(struct client *c, struct seen *s)
{
        for (;;) {
                while (client_next(c, s)) {
                        if (s->type == TYPE_ERROR)
                                die("%s: an error came back: %.*s", c->name, (int)s->len - 16,
                                    s->data + 16);
                        if (s->type == TYPE_RETURN)
                                return;
                }
                client_fill(c, 0);
        }
}

void client_open(struct client *c, const char *path)
{
        uint8_t greeting[512];
        struct seen s;
        size_t used;

        *c = (struct client){ .serial = 1, .in = malloc(CLIENT_BUFFER) };
        if (!c->in)
                die("no memory");
        c->fd = client_connect(path, false);
        send_all(c, greeting, client_greeting(greeting, sizeof(greeting)));
        do
                client_fill(c, 0);
        while (!(used = client_greeted(c->in, c->in_end)));
        c->in_start = used;

        await_reply(c, &s);
        /* the body is one string: the unique name */
        snprintf(c->name, sizeof(c->name), "%s",
                 (const char *)s.data + align8(16 + get32(s.data + 12)) + 4);
        client_settle(c);
}

void client_close(struct client *c)
{
        close(c->fd);
        free(c->in);
        free(c->out);
        *c = (struct client){ .fd = -1 };
}

/* Calls a method of the bus with @body of type @signature and waits for its reply. */
static void ask(struct client *c, const char *member, const char *signature, const void *body,
                size_t len)
{
        struct template call;
        struct seen s;

        template_make(&call, &(struct template_fields){
                                     .type = TYPE_CALL,
                                     .destination = "org.freedesktop.DBus",
                                     .path = "/org/freedesktop/DBus",
                                     .interface = "org.freedesktop.DBus",
                                     .member = member,
                                     .signature = signature,
                                     .body = body,
                                     .body_len = len,
                             });
        put32(call.data + 8, ++c->serial);
        send_all(c, call.data, call.len);
        template_free(&call);
        await_reply(c, &s);
}

void client_ask(struct client *c, const char *member, const char *argument)
{
        uint8_t body[1024];
        size_t len = strlen(argument);

        if (len + 5 > sizeof(body))
                die("argument too long");
        put32(body, (uint32_t)len);
        memcpy(body + 4, argument, len + 1);
        ask(c, member, "s", body, len + 5);
}

void client_request_name(struct client *c, const char *name)
{
        uint8_t body[300] = {};
        size_t len = strlen(name), flags = (4 + len + 1 + 3) & ~(size_t)3;

        if (flags + 4 > sizeof(body))
                die("name too long");
        put32(body, (uint32_t)len);
        memcpy(body + 4, name, len + 1);
        ask(c, "RequestName", "su", body, flags + 4);
}

/* Whatever the bus has sent so far is taken and dropped. */
void client_settle(struct client *c)
{
        ask(c, "GetId", NULL, NULL, 0);
}
