/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Auth
 *
 * What it is     The server's half of the SASL conversation that opens every D-Bus connection, as
 *                a state machine: text in, text out. It knows no descriptor and no file.
 *
 *                WAIT_NUL --take_nul()--> WAIT_AUTH --do_auth()--> WAIT_DATA --do_data()--.
 *                                           ^   |                     |                   |
 *                                           |   '--accept()-----------|---.               |
 *                                           |                         |   v               v
 *                                           '------reject()-----------+--- WAIT_BEGIN <-accept()
 *                                                                            |
 *                DROPPED <--drop(), from anywhere                            '--BEGIN--> DONE
 *
 * Promise        Answers are those of dbus-daemon 1.14, byte by byte. Input may be cut anywhere
 *                and may run ahead: lines are answered in order, and what follows the line BEGIN
 *                is left alone, for it is messages.
 * How            Only whole lines are consumed; the caller keeps the rest and shows it again, with
 *                more behind it. A reply buffer of AUTH_REPLY_MAX bytes or more always advances.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define AUTH_LINE_MAX    16384U /* bytes of a line, its CR LF included */
#define AUTH_REJECTS_MAX 6U     /* so many REJECTED, then the connection is dropped */
#define AUTH_REPLY_MAX   256U   /* the longest single answer */
#define AUTH_GUID_LEN    32U

enum {
        AUTH_EXTERNAL = 1 << 0,
        AUTH_COOKIE = 1 << 1, /* DBUS_COOKIE_SHA1 */
        AUTH_ANONYMOUS = 1 << 2,
        AUTH_ALL = AUTH_EXTERNAL | AUTH_COOKIE | AUTH_ANONYMOUS,
};

enum auth_verdict {
        AUTH_MORE, /* every whole line is answered: send the reply and wait for input */
        AUTH_FULL, /* the reply buffer is full: send it and call again with the rest */
        AUTH_DONE, /* BEGIN was seen: send the reply; what was not consumed is messages */
        AUTH_DROP, /* send the reply, then close; auth_reason() says why */
};

enum auth_state {
        AUTH_WAIT_NUL,
        AUTH_WAIT_AUTH,
        AUTH_WAIT_DATA,
        AUTH_WAIT_BEGIN,
        AUTH_STATE_DONE,
        AUTH_STATE_DROPPED,
};

/* What DBUS_COOKIE_SHA1 needs to know to challenge a client; see auth-cookie.h. */
struct auth_challenge {
        uid_t uid;           /* who the client is, once it has answered well */
        uint32_t id;         /* which cookie */
        char context[32];    /* name of the keyring file */
        char nonce[33];      /* our half of the text to be hashed, hex */
        char secret[65];     /* the cookie, hex */
};

/**
 * auth_challenge_fn - pick a cookie for a client
 * @out:        filled on success
 * @ctx:        auth_config.ctx
 * @user:       who the client claims to be, name or number, not NUL-terminated, untrusted
 * @n:          its length
 *
 * Return: 0; positive if this user cannot be authenticated so; negative errno.
 */
typedef int auth_challenge_fn(struct auth_challenge *out, void *ctx, const char *user, size_t n);

struct auth_config {
        char guid[AUTH_GUID_LEN + 1]; /* of the listening address */
        unsigned mechanisms;          /* those allowed, AUTH_EXTERNAL | ... */
        bool fds;                     /* the transport can pass descriptors */
        bool has_uid;                 /* the kernel vouches for @uid */
        uid_t uid;
        auth_challenge_fn *challenge; /* NULL: DBUS_COOKIE_SHA1 rejects everyone */
        void *ctx;
};

struct auth {
        struct auth_config config;
        enum auth_state state;
        unsigned mechanism; /* in progress, or the one that succeeded */
        unsigned rejects;
        const char *reason; /* why dropped; static text */
        struct auth_challenge challenge; /* WAIT_DATA of DBUS_COOKIE_SHA1 */
        bool challenged;

        /* The result, valid from AUTH_DONE on; !has_uid means anonymous. */
        bool has_uid;
        uid_t uid;
        bool fds; /* NEGOTIATE_UNIX_FD was agreed to */
};

/* auth_init() - begin; nothing needs to be freed */
void auth_init(struct auth *auth, const struct auth_config *config);

/**
 * auth_feed() - take what the client has sent so far
 * @auth:         conversation
 * @in:           bytes not yet consumed
 * @n:            how many
 * @out_consumed: how many of them are done with
 * @reply:        room for answers, AUTH_REPLY_MAX at least
 * @size:         of @reply
 * @out_reply:    bytes of answers written, to be sent whatever the verdict
 *
 * Return: an auth_verdict, or the negative errno of the challenge function.
 */
int auth_feed(struct auth *auth, const uint8_t *in, size_t n, size_t *out_consumed, char *reply,
              size_t size, size_t *out_reply);

/* auth_reason() - after AUTH_DROP a sentence for the log, else NULL */
const char *auth_reason(const struct auth *auth);

/* auth_mechanism_from_name() - the AUTH_* bit of a name in the configuration, 0 if unknown */
unsigned auth_mechanism_from_name(const char *name, size_t n);
