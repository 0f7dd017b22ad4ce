/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Client
 *
 * What it is     One raw connection to the bus: a socket, the lines of authentication, messages
 *                out and in. It believes nothing and hides nothing: no queueing, no retries.
 * Waiting        Every wait ends after client_timeout() milliseconds: 5 s times
 *                BUS_TIMEOUT_SCALE.
 * Outcome        Receiving gives CLIENT_MESSAGE, CLIENT_SILENT (nothing within the time) or
 *                CLIENT_CLOSED (the bus hung up).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "compat-tests/message.h"

#define CLIENT_FDS_MAX 64

enum {
        CLIENT_MESSAGE,
        CLIENT_SILENT,
        CLIENT_CLOSED,
};

struct client {
        int fd;                 /* -1: closed by us */
        char *unique;           /* NULL before Hello */
        uint32_t serial;        /* last one sent */
        char endian;
        bool bytewise;          /* one write per byte */
        bool mute;              /* may not send, being a monitor */
        bool holding;           /* collect what is written until client_flush() */
        unsigned int n_fds_sent;

        uint8_t *held;
        size_t n_held;
        uint8_t *in;
        size_t n_in, n_allocated;
        int fds[CLIENT_FDS_MAX];
        size_t n_fds;
        struct message **waiting; /* received while looking for something else */
        size_t n_waiting;
};

int client_timeout(void);

struct client *client_new(void);
struct client *client_free(struct client *client);
void client_close(struct client *client);

int client_open(struct client *client, const char *address);
int client_authenticate(struct client *client, const char *mechanism);
struct client *client_connect(const char *address);

int client_write(struct client *client, const void *bytes, size_t n_bytes);
int client_flush(struct client *client);
int client_read_line(struct client *client, char **line, int timeout);

int client_send(struct client *client, struct message *message);
int client_send_text(struct client *client, const char *text);
int client_receive(struct client *client, struct message **message, int timeout);
int client_receive_reply(struct client *client, uint32_t serial, struct message **reply);
struct message *client_call(struct client *client, const char *text);
int client_hello(struct client *client);
int client_settle(struct client *client);
