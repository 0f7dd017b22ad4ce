/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "compat-tests/misbehave/shot.h"

#define PATIENCE 100 /* ms between two looks at a full socket */

void shot_make(struct shot *shot, const char *format, ...)
{
        struct words words = {};
        struct message *m;
        va_list ap;
        char *text;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                abort();
        va_end(ap);
        words_split(&words, text);
        m = message_parse(words.word, words.n);
        m->endian = 'l';
        if (m->serial < 0)
                m->serial = 1;
        shot->bytes = message_encode(m, &shot->n);
        message_free(m);
        words_clear(&words);
        free(text);
}

static void stamp(struct client *client, struct shot *shot)
{
        uint32_t serial = ++client->serial;

        for (int i = 0; i < 4; i++)
                shot->bytes[8 + i] = serial >> 8 * i;
}

static int wait_for_room(struct client *client)
{
        struct pollfd pfd = { .fd = client->fd, .events = POLLOUT };

        poll(&pfd, 1, PATIENCE);
        return pfd.revents & (POLLHUP | POLLERR) ? -ECONNRESET : 0;
}

/* What has begun must be finished, or nothing after it makes sense. */
static int finish(struct client *client, const struct shot *shot, size_t done)
{
        ssize_t n;

        while (done < shot->n) {
                n = send(client->fd, shot->bytes + done, shot->n - done, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n > 0)
                        done += n;
                else if (errno != EAGAIN || wait_for_room(client))
                        return -ECONNRESET;
        }
        return 0;
}

int shot_fire(struct client *client, struct shot *shot)
{
        stamp(client, shot);
        return finish(client, shot, 0);
}

int shot_try(struct client *client, struct shot *shot)
{
        ssize_t n;
        int r;

        stamp(client, shot);
        n = send(client->fd, shot->bytes, shot->n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN ? 0 : -errno;
        r = finish(client, shot, n);
        return r ? r : 1;
}

bool swallow(struct client *client)
{
        static char waste[1 << 18];
        ssize_t n;

        do {
                n = recv(client->fd, waste, sizeof(waste), MSG_DONTWAIT);
        } while (n > 0);
        return n < 0 && errno == EAGAIN;
}
