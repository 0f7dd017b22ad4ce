/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bench client
 *
 * What it is     A D-Bus client that costs as little as one can, so that a measurement is about the
 *                bus. The same for every daemon.
 * How            A message is encoded once, as a template; sending it again patches its serial (and
 * a reply's reply_serial) in place. Of what arrives only the fixed header is looked at, in the
 * host's byte order, and bodies that do not fit the buffer are thrown away as they come. Reads and
 * writes take as much as there is. Not promised   Anything for a peer that lies: the buses measured
 * are trusted.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_BUFFER (128 * 1024)

enum {
        TYPE_CALL = 1,
        TYPE_RETURN = 2,
        TYPE_ERROR = 3,
        TYPE_SIGNAL = 4,
};

/* an encoded message; its serial is at byte 8, a reply's reply_serial at byte 20 */
struct template
{
        uint8_t *data;
        size_t len;
        int fd; /* goes with each copy; -1: none */
};

struct template_fields {
        uint8_t type;
        const char *destination;
        const char *path;
        const char *interface;
        const char *member;
        const char *signature;
        const void *body;
        size_t body_len;
        int fd; /* 0: none */
};

/* what was looked at of a message received */
struct seen {
        uint8_t type;
        uint32_t serial;
        size_t len;
        const uint8_t *data; /* NULL if it did not fit the buffer */
};

struct client {
        int fd;
        char name[64]; /* unique name */
        uint32_t serial;
        bool takes_fds;
        bool single; /* each message by a write of its own, as simple clients do */

        size_t in_start, in_end;
        size_t skip; /* bytes of a large body still to throw away */
        struct seen skipped;
        uint8_t *in;

        size_t out_start, out_end, out_size;
        uint8_t *out; /* small messages, ready to go */

        struct template *bulk; /* large ones, sent from the template itself */
        size_t bulk_todo, bulk_off;
};

void template_make(struct template *t, const struct template_fields *f);
void template_free(struct template *t);

/* All of these end the program on an error: a benchmark has nobody to report it to but its user. */
void client_open(struct client *c, const char *path);
void client_close(struct client *c);
void client_ask(struct client *c, const char *member, const char *argument);
void client_request_name(struct client *c, const char *name);
void client_settle(struct client *c);

/* Non-blocking: 0 at the end of what is there, else true. */
bool client_fill(struct client *c, int flags);
bool client_next(struct client *c, struct seen *s);
void client_queue(struct client *c, struct template *t, uint32_t n);
void client_queue_reply(struct client *c, struct template *t, uint32_t reply_serial);
bool client_flush(struct client *c);

/* The handshake and Hello as one stretch of bytes, for who wants to send it on a socket of his own.
 */
size_t client_greeting(uint8_t *buffer, size_t size);
int client_connect(const char *path, bool nonblocking);
/* Length of the handshake's answer at the start of @data, 0 if it is not all there. */
size_t client_greeted(const uint8_t *data, size_t len);

void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
