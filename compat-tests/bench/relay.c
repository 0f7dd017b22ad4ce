/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * bench-relay: what a bus costs that checks nothing
 *
 * Usage: bench-relay SOCKET
 *
 * A floor to measure against. It lets everybody in, parses header fields only to find where a
 * message goes, stamps the sender, and writes at the end of a turn all that came together for a
 * connection with one call. No validation, no policy, no accounting, no names but unique ones, no
 * file descriptors, one rule. Not a bus: it believes all it is told.
 */

#include "compat-tests/bench/client.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_SIZE       (64 * 1024)
#define CONNECTIONS_MAX (1 << 22) /* over its life; ids are not used again */
#define EVENTS          256

struct buffer {
        uint8_t *data;
        size_t start, end, size;
};

struct connection {
        int fd;
        unsigned id;
        bool begun, subscribed, touched, blocked;
        struct buffer in, out;
        uint8_t sender[40]; /* the encoded header field */
        size_t sender_len;
        struct connection *next_touched;
};

static struct connection *connections[CONNECTIONS_MAX]; /* by id */
static unsigned n_connections;
static unsigned subscribers[CONNECTIONS_MAX], n_subscribers;
static struct connection *touched;
static int epoll;

static uint8_t *room(struct buffer *b, size_t len)
{
        if (b->start == b->end)
                b->start = b->end = 0;
        if (b->end + len > b->size && b->start) {
                memmove(b->data, b->data + b->start, b->end - b->start);
                b->end -= b->start;
                b->start = 0;
        }
        if (b->end + len > b->size) {
                b->size = (b->end + len) * 2;
                b->data = realloc(b->data, b->size);
                if (!b->data)
                        die("no memory");
        }
        return b->data + b->end;
}

static void append(struct buffer *b, const void *data, size_t len)
{
        memcpy(room(b, len), data, len);
        b->end += len;
}

static uint32_t get32(const uint8_t *at)
{
        uint32_t v;

        memcpy(&v, at, 4);
        return v;
}

static size_t align8(size_t n)
{
        return (n + 7) & ~(size_t)7;
}

static void touch(struct connection *c)
{
        if (c->touched)
                return;
        c->touched = true;
        c->next_touched = touched;
        touched = c;
}

/* --- one message ----------------------------------------------------------------------------- */

struct fields {
        const char *destination, *member;
};

static void parse_fields(struct fields *f, const uint8_t *m)
{
        size_t at = 16, end = 16 + get32(m + 12), len;

        *f = (struct fields){};
        while (at < end) {
                uint8_t code, type;

                at = align8(at);
                code = m[at];
                type = m[at + 2];
                at += 4;
                if (type == 'u') {
                        at += 4;
                        continue;
                }
                len = type == 'g' ? m[at] : get32(m + at);
                at += type == 'g' ? 1 : 4;
                if (code == 6)
                        f->destination = (const char *)m + at;
                else if (code == 3)
                        f->member = (const char *)m + at;
                at += len + 1;
        }
}

/* Header, sender, body: the one copy there is. */
static void forward(struct connection *to, struct connection *from, const uint8_t *m, size_t header,
                    size_t len)
{
        uint32_t fields = (uint32_t)(align8(header) - 16 + from->sender_len);
        size_t new_header = align8(16 + fields);
        uint8_t *out = room(&to->out, len + 64);

        memcpy(out, m, header);
        memset(out + header, 0, align8(header) - header);
        memcpy(out + align8(header), from->sender, from->sender_len);
        memset(out + 16 + fields, 0, new_header - 16 - fields);
        memcpy(out + 12, &fields, 4);
        memcpy(out + new_header, m + align8(header), len - align8(header));
        to->out.end += new_header + len - align8(header);
        touch(to);
}

static void answer(struct connection *c, const uint8_t *m, const char *member)
{
        uint8_t body[64] = {};
        char name[32];
        struct template reply;
        uint32_t len;

        snprintf(name, sizeof(name), ":1.%u", c->id);
        len = (uint32_t)strlen(name);
        memcpy(body, &len, 4);
        memcpy(body + 4, name, len);
        if (!strcmp(member, "AddMatch") && !c->subscribed) {
                c->subscribed = true;
                subscribers[n_subscribers++] = c->id;
        }
        template_make(&reply, &(struct template_fields){
                                      .type = TYPE_RETURN,
                                      .destination = name,
                                      .signature = "s",
                                      .body = body,
                                      .body_len = 4 + len + 1,
                              });
        memcpy(reply.data + 8, "\1\0\0", 4);
        memcpy(reply.data + 20, m + 8, 4);
        append(&c->out, reply.data, reply.len);
        template_free(&reply);
        touch(c);
}

static void handle(struct connection *c, const uint8_t *m, size_t len)
{
        size_t header = 16 + get32(m + 12);
        struct fields f;
        unsigned i;

        parse_fields(&f, m);
        if (!f.destination) {
                for (i = 0; i < n_subscribers; i++)
                        forward(connections[subscribers[i]], c, m, header, len);
        } else if (f.destination[0] == ':') {
                i = (unsigned)strtoul(f.destination + 3, NULL, 10);
                if (i < n_connections && connections[i])
                        forward(connections[i], c, m, header, len);
        } else {
                answer(c, m, f.member);
        }
}

/* --- one connection -------------------------------------------------------------------------- */

static void handshake(struct connection *c)
{
        static const char ok[] = "OK 00112233445566778899aabbccddeeff\r\n",
                          agree[] = "AGREE_UNIX_FD\r\n";
        struct buffer *b = &c->in;
        uint8_t *line, *end;

        while (!c->begun && (end = memchr(b->data + b->start, '\n', b->end - b->start))) {
                line = b->data + b->start;
                line += *line == 0;
                if (!memcmp(line, "AUTH", 4))
                        append(&c->out, ok, sizeof(ok) - 1);
                else if (!memcmp(line, "NEGO", 4))
                        append(&c->out, agree, sizeof(agree) - 1);
                else
                        c->begun = true;
                b->start = (size_t)(end + 1 - b->data);
                touch(c);
        }
}

static void hang_up(struct connection *c)
{
        unsigned i;

        for (i = 0; i < n_subscribers; i++)
                if (subscribers[i] == c->id)
                        subscribers[i--] = subscribers[--n_subscribers];
        connections[c->id] = NULL;
        close(c->fd);
        free(c->in.data);
        free(c->out.data);
        free(c);
}

/* False if the other side has gone. */
static bool readable(struct connection *c)
{
        struct buffer *b = &c->in;
        size_t want = READ_SIZE;
        ssize_t n;

        if (c->begun && b->end - b->start >= 16) {
                const uint8_t *m = b->data + b->start;
                size_t len = align8(16 + get32(m + 12)) + get32(m + 4);

                if (len > want)
                        want = len;
        }
        n = recv(c->fd, room(b, want), want, MSG_DONTWAIT);
        if (n <= 0)
                return n < 0 && errno == EAGAIN;
        b->end += (size_t)n;

        handshake(c);
        while (c->begun && b->end - b->start >= 16) {
                const uint8_t *m = b->data + b->start;
                size_t len = align8(16 + get32(m + 12)) + get32(m + 4);

                if (b->end - b->start < len)
                        break;
                handle(c, m, len);
                b->start += len;
        }
        return true;
}

static void writable(struct connection *c)
{
        struct epoll_event event = { .data.ptr = c };
        bool blocked = false;
        ssize_t n;

        while (c->out.start < c->out.end) {
                n = send(c->fd, c->out.data + c->out.start, c->out.end - c->out.start,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0) {
                        blocked = errno == EAGAIN;
                        if (!blocked)
                                c->out.start = c->out.end;
                        break;
                }
                c->out.start += (size_t)n;
        }
        if (blocked != c->blocked) {
                c->blocked = blocked;
                event.events = EPOLLIN | (blocked ? EPOLLOUT : 0);
                epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
        }
}

static void accept_one(int listener)
{
        struct epoll_event event = { .events = EPOLLIN };
        struct connection *c;
        int fd = accept(listener, NULL, NULL);
        uint32_t len;

        if (fd < 0)
                return;
        c = calloc(1, sizeof(*c));
        if (!c || n_connections == CONNECTIONS_MAX)
                die("too many connections");
        c->fd = fd;
        c->id = n_connections++;
        connections[c->id] = c;
        memcpy(c->sender, "\7\1s", 4);
        len = (uint32_t)sprintf((char *)c->sender + 8, ":1.%u", c->id);
        memcpy(c->sender + 4, &len, 4);
        c->sender_len = 8 + len + 1;
        event.data.ptr = c;
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void turn(int listener)
{
        struct epoll_event events[EVENTS];
        struct connection *c, *gone[EVENTS];
        int i, n, n_gone = 0;

        n = epoll_wait(epoll, events, EVENTS, -1);
        for (i = 0; i < n; i++) {
                c = events[i].data.ptr;
                if (!c) {
                        accept_one(listener);
                        continue;
                }
                if (events[i].events & EPOLLOUT)
                        touch(c);
                if ((events[i].events & (EPOLLIN | EPOLLHUP)) && !readable(c))
                        gone[n_gone++] = c;
        }
        while ((c = touched)) {
                touched = c->next_touched;
                c->touched = false;
                writable(c);
        }
        while (n_gone)
                hang_up(gone[--n_gone]);
}

int main(int argc, char **argv)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct epoll_event event = { .events = EPOLLIN };
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (argc != 2 || strlen(argv[1]) >= sizeof(address.sun_path)) {
                fprintf(stderr, "Usage: bench-relay SOCKET\n");
                return 2;
        }
        signal(SIGPIPE, SIG_IGN);
        strcpy(address.sun_path, argv[1]);
        unlink(argv[1]);
        epoll = epoll_create1(EPOLL_CLOEXEC);
        if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(listener, 4096) < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
                die("%s: %s", argv[1], strerror(errno));
        for (;;)
                turn(listener);
}
