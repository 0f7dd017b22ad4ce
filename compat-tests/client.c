/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "compat-tests/client.h"

#define DRIVER "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"

int client_timeout(void)
{
        const char *scale = getenv("BUS_TIMEOUT_SCALE");

        return 5000 * (scale ? atof(scale) : 1);
}

struct client *client_new(void)
{
        struct client *c = calloc(1, sizeof(*c));

        c->fd = -1;
        c->endian = 'l';
        return c;
}

/**
 * client_close() - hang up; what has been received stays readable
 */
void client_close(struct client *c)
{
        if (c->fd >= 0)
                close(c->fd);
        c->fd = -1;
}

struct client *client_free(struct client *c)
{
        size_t i;

        if (!c)
                return NULL;
        client_close(c);
        for (i = 0; i < c->n_fds; i++)
                close(c->fds[i]);
        for (i = 0; i < c->n_waiting; i++)
                message_free(c->waiting[i]);
        free(c->waiting);
        free(c->held);
        free(c->unique);
        free(c->in);
        free(c);
        return NULL;
}

/* --- opening --- */

/* address_value() - the value of a key, of the first address of a list */
static char *address_value(const char *address, const char *key)
{
        char *list = strndup(address, strcspn(address, ";")), *value = NULL, *pair, *save;

        pair = strtok_r(strchr(list, ':') + 1, ",", &save);
        for (; pair && !value; pair = strtok_r(NULL, ",", &save))
                if (!strncmp(pair, key, strlen(key)) && pair[strlen(key)] == '=')
                        value = word_bytes(pair + strlen(key) + 1, NULL);
        free(list);
        return value;
}

static int open_unix(struct client *c, const char *address)
{
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        char *path = address_value(address, "path"), *name = address_value(address, "abstract");
        socklen_t n = sizeof(sa);
        int r;

        if (path)
                snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
        else if (name)
                n = offsetof(struct sockaddr_un, sun_path) + 1 +
                    snprintf(sa.sun_path + 1, sizeof(sa.sun_path) - 1, "%s", name);
        c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        r = connect(c->fd, (struct sockaddr *)&sa, n) < 0 ? -errno : 0;
        free(path);
        free(name);
        return r;
}

static int open_tcp(struct client *c, const char *address)
{
        char *host = address_value(address, "host"), *port = address_value(address, "port");
        char *nonce = address_value(address, "noncefile"), bytes[16];
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai = NULL;
        FILE *f;
        int r = -EHOSTUNREACH;

        if (!getaddrinfo(host, port, &hints, &ai)) {
                c->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
                r = connect(c->fd, ai->ai_addr, ai->ai_addrlen) < 0 ? -errno : 0;
                freeaddrinfo(ai);
        }
        f = r || !nonce ? NULL : fopen(nonce, "r");
        if (f && fread(bytes, sizeof(bytes), 1, f) == 1)
                r = client_write(c, bytes, sizeof(bytes));
        if (f)
                fclose(f);
        free(host);
        free(port);
        free(nonce);
        return r;
}

/**
 * client_open() - connect the socket (and hand over the nonce), nothing more
 * @c:          client
 * @address:    as the bus printed it; the first of a list is taken
 *
 * Return:      0 or a negative errno.
 */
int client_open(struct client *c, const char *address)
{
        client_close(c);
        if (!strncmp(address, "unix:", 5))
                return open_unix(c, address);
        return open_tcp(c, address);
}

/**
 * client_authenticate() - all of SASL in one write, as sd-bus does it
 * @c:          an open client
 * @mechanism:  `EXTERNAL <hex of our uid>` if NULL
 *
 * Return:      0, -EPERM if the bus refused, -ECONNRESET if it hung up.
 */
int client_authenticate(struct client *c, const char *mechanism)
{
        char uid[16], hex[33] = {}, *lines, *line = NULL;
        size_t i;
        int r, agreed;

        snprintf(uid, sizeof(uid), "%u", geteuid());
        for (i = 0; uid[i]; i++)
                sprintf(hex + 2 * i, "%02x", uid[i]);
        r = mechanism ? asprintf(&lines, "AUTH %s\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n", mechanism)
                      : asprintf(&lines, "AUTH EXTERNAL %s\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n", hex);
        if (r < 0 || client_write(c, "", 1) || client_write(c, lines, r))
                return -ECONNRESET;
        free(lines);
        r = client_read_line(c, &line, client_timeout());
        agreed = !r && !strncmp(line, "OK ", 3);
        free(line);
        if (r || !agreed)
                return r ? -ECONNRESET : -EPERM;
        r = client_read_line(c, &line, client_timeout());
        free(line);
        return r ? -ECONNRESET : 0;
}

/**
 * client_connect() - open, authenticate and say Hello
 *
 * Return:      the client, or NULL if any of it failed.
 */
struct client *client_connect(const char *address)
{
        struct client *c = client_new();

        if (client_open(c, address) || client_authenticate(c, NULL) || client_hello(c))
                return client_free(c);
        return c;
}

/* --- bytes --- */

/**
 * client_write() - write all of it, byte by byte if the client is set to
 *
 * Return:      0 or a negative errno; -EPIPE is no signal.
 */
int client_write(struct client *c, const void *bytes, size_t n)
{
        const uint8_t *p = bytes;
        struct pollfd pfd = { .fd = c->fd, .events = POLLOUT };
        ssize_t l;

        if (c->holding) {
                c->held = realloc(c->held, c->n_held + n);
                memcpy(c->held + c->n_held, bytes, n);
                c->n_held += n;
                return 0;
        }
        while (n) {
                l = send(c->fd, p, c->bytewise ? 1 : n, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (l < 0 && errno != EAGAIN)
                        return -errno;
                if (l < 0 && poll(&pfd, 1, client_timeout()) < 1)
                        return -ETIMEDOUT;
                if (l > 0) {
                        p += l;
                        n -= l;
                }
        }
        return 0;
}

/**
 * client_flush() - write what was held back, in one piece
 */
int client_flush(struct client *c)
{
        int r;

        c->holding = false;
        r = client_write(c, c->held, c->n_held);
        c->n_held = 0;
        return r;
}

static void keep_fds(struct client *c, struct msghdr *mh)
{
        struct cmsghdr *cm;
        size_t n;

        for (cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
                if (cm->cmsg_type != SCM_RIGHTS)
                        continue;
                n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                if (c->n_fds + n <= CLIENT_FDS_MAX)
                        memcpy(c->fds + c->n_fds, CMSG_DATA(cm), n * sizeof(int));
                c->n_fds += n;
        }
}

static int64_t now_ms(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* fill() - read once; CLIENT_MESSAGE if there are more bytes now */
static int fill(struct client *c, int64_t deadline)
{
        char control[CMSG_SPACE(sizeof(int) * CLIENT_FDS_MAX)];
        struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
        struct iovec iov;
        struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof(control) };
        ssize_t l;
        int64_t left = deadline - now_ms();

        if (c->fd < 0)
                return CLIENT_CLOSED;
        if (poll(&pfd, 1, left > 0 ? left : 0) < 1)
                return CLIENT_SILENT;
        if (c->n_allocated - c->n_in < 65536) {
                c->n_allocated = c->n_allocated * 2 + 131072;
                c->in = realloc(c->in, c->n_allocated);
        }
        iov = (struct iovec){ c->in + c->n_in, c->n_allocated - c->n_in };
        l = recvmsg(c->fd, &mh, MSG_CMSG_CLOEXEC);
        if (l <= 0)
                return CLIENT_CLOSED;
        keep_fds(c, &mh);
        c->n_in += l;
        return CLIENT_MESSAGE;
}

static void consume(struct client *c, size_t n)
{
        memmove(c->in, c->in + n, c->n_in - n);
        c->n_in -= n;
}

/**
 * client_read_line() - one line of authentication, without its CR LF
 */
int client_read_line(struct client *c, char **line, int timeout)
{
        int64_t deadline = now_ms() + timeout;
        uint8_t *end;
        int r;

        *line = NULL;
        for (;;) {
                end = c->n_in ? memmem(c->in, c->n_in, "\r\n", 2) : NULL;
                if (end)
                        break;
                r = fill(c, deadline);
                if (r != CLIENT_MESSAGE)
                        return r;
        }
        *line = strndup((char *)c->in, end - c->in);
        consume(c, end + 2 - c->in);
        return CLIENT_MESSAGE;
}

/* --- messages out --- */

/* make_fd() - a pipe that holds "fd" and a number, so that its receiver can tell it apart */
static int make_fd(unsigned int number)
{
        int p[2];

        if (pipe2(p, O_CLOEXEC) < 0)
                return -1;
        dprintf(p[1], "fd%u", number);
        close(p[1]);
        return p[0];
}

static int send_with_fds(struct client *c, const uint8_t *bytes, size_t n, int n_fds)
{
        union {
                struct cmsghdr head;
                char space[CMSG_SPACE(sizeof(int) * 253)];
        } control = {};
        struct iovec iov = { (void *)bytes, n };
        struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * n_fds) };
        int fds[253] = {}, i;
        ssize_t l;

        for (i = 0; i < n_fds; i++)
                fds[i] = make_fd(c->n_fds_sent++);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * n_fds);
        l = sendmsg(c->fd, &mh, MSG_NOSIGNAL);
        for (i = 0; i < n_fds; i++)
                close(fds[i]);
        return l < 0 ? -errno : client_write(c, bytes + l, n - l);
}

/**
 * client_send() - fill in serial, byte order and descriptors, and send
 *
 * Return:      0 or a negative errno.
 */
int client_send(struct client *c, struct message *m)
{
        const char *fds = m->field[FIELD_UNIX_FDS];
        uint8_t *bytes;
        size_t n;
        int r, n_fds = m->attach >= 0 ? m->attach : fds ? atoi(fds) : 0;

        if (m->serial < 0)
                m->serial = ++c->serial;
        if (!m->endian)
                m->endian = c->endian;
        bytes = message_encode(m, &n);
        r = n_fds ? send_with_fds(c, bytes, n, n_fds) : client_write(c, bytes, n);
        free(bytes);
        return r;
}

static void set_default(struct message *m, int code, const char *value)
{
        if (!m->field[code])
                m->field[code] = strdup(value);
}

/**
 * client_send_text() - send a call to the bus itself, written as text
 * @text:       as message.h says; destination, path and interface default to the bus's own
 */
int client_send_text(struct client *c, const char *text)
{
        struct words words = {};
        struct message *m;
        int r;

        words_split(&words, text);
        m = message_parse(words.word, words.n);
        set_default(m, FIELD_DESTINATION, DRIVER);
        set_default(m, FIELD_PATH, DRIVER_PATH);
        set_default(m, FIELD_INTERFACE, DRIVER);
        r = client_send(c, m);
        message_free(m);
        words_clear(&words);
        return r;
}

/* --- messages in --- */

static void take_fds(struct client *c, struct message *m)
{
        size_t n = m->field[FIELD_UNIX_FDS] ? strtoul(m->field[FIELD_UNIX_FDS], NULL, 0) : 0;

        if (n > c->n_fds)
                n = c->n_fds;
        m->fds = calloc(n + 1, sizeof(int));
        m->n_fds = n;
        memcpy(m->fds, c->fds, n * sizeof(int));
        c->n_fds -= n;
        memmove(c->fds, c->fds + n, c->n_fds * sizeof(int));
}

static int receive(struct client *c, struct message **message, int64_t deadline)
{
        size_t size = 0;
        int r;

        for (;;) {
                if (c->n_in >= 16 && !size && message_size(c->in, c->n_in, &size))
                        return CLIENT_CLOSED;
                if (size && c->n_in >= size)
                        break;
                r = fill(c, deadline);
                if (r != CLIENT_MESSAGE)
                        return r;
        }
        *message = message_decode(c->in, size);
        consume(c, size);
        if (!*message)
                return CLIENT_CLOSED;
        take_fds(c, *message);
        return CLIENT_MESSAGE;
}

static struct message *take_waiting(struct client *c, size_t i)
{
        struct message *m = c->waiting[i];

        c->n_waiting--;
        memmove(c->waiting + i, c->waiting + i + 1, (c->n_waiting - i) * sizeof(*c->waiting));
        return m;
}

static void keep_waiting(struct client *c, struct message *m)
{
        c->waiting = realloc(c->waiting, (c->n_waiting + 1) * sizeof(*c->waiting));
        c->waiting[c->n_waiting++] = m;
}

/**
 * client_receive() - the next message
 * @c:          client
 * @message:    output, owned by the caller; NULL unless CLIENT_MESSAGE is returned
 * @timeout:    in milliseconds
 */
int client_receive(struct client *c, struct message **message, int timeout)
{
        *message = NULL;
        if (c->n_waiting) {
                *message = take_waiting(c, 0);
                return CLIENT_MESSAGE;
        }
        return receive(c, message, now_ms() + timeout);
}

/**
 * client_receive_reply() - the answer to one call; all else is kept for client_receive()
 * @c:          client
 * @serial:     of the call
 * @reply:      output, owned by the caller
 */
int client_receive_reply(struct client *c, uint32_t serial, struct message **reply)
{
        int64_t deadline = now_ms() + client_timeout();
        struct message *m;
        int r;

        *reply = NULL;
        for (;;) {
                r = receive(c, &m, deadline);
                if (r != CLIENT_MESSAGE)
                        return r;
                if (m->field[FIELD_REPLY_SERIAL] &&
                    strtoul(m->field[FIELD_REPLY_SERIAL], NULL, 0) == serial)
                        break;
                keep_waiting(c, m);
        }
        *reply = m;
        return CLIENT_MESSAGE;
}

/**
 * client_call() - call the bus and wait for its answer
 *
 * Return:      the answer, owned by the caller, or NULL.
 */
struct message *client_call(struct client *c, const char *text)
{
        struct message *reply = NULL;

        if (!client_send_text(c, text))
                client_receive_reply(c, c->serial, &reply);
        return reply;
}

/**
 * client_hello() - say Hello and take the NameAcquired that comes with it
 */
int client_hello(struct client *c)
{
        struct message *m = client_call(c, "Hello");
        int r = m && m->type == TYPE_RETURN && m->body.n == 1 ? 0 : -EPERM;

        if (!r)
                c->unique = strdup(m->body.word[0]);
        message_free(m);
        m = NULL;
        if (!r)
                r = client_receive(c, &m, client_timeout()) == CLIENT_MESSAGE ? 0 : -EPROTO;
        message_free(m);
        return r;
}

/**
 * client_settle() - wait until the bus has handled all that this client sent
 *
 * Everything that reached the client until then waits for client_receive().
 *
 * Return:      0, or -ECONNRESET if the bus hung up.
 */
int client_settle(struct client *c)
{
        struct message *m = client_call(c, "Ping if=org.freedesktop.DBus.Peer");

        message_free(m);
        return m ? 0 : -ECONNRESET;
}
