/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Cookie ring
 *
 * What it is     The file of shared secrets behind DBUS_COOKIE_SHA1: who can read it is the user
 *                whose home it lies in. Server and clients of any implementation share it.
 * How            ~/.dbus-keyrings/<context>, one line per cookie: id, time of creation, hex secret.
 *                Reading needs no lock, for the file is only ever replaced as a whole. A new cookie
 *                is written under <context>.lock, an O_EXCL file.
 * Not promised   A lock that somebody keeps is waited for COOKIE_LOCK_TRIES times only, as the bus
 *                stands still meanwhile; the client is then rejected and may try again. A lock
 *                older than COOKIE_LOCK_STALE_S is nobody's and is broken.
 */

#include <stdint.h>
#include <sys/types.h>

#include "shim/wire/auth.h"

#define COOKIE_FRESH_S      300 /* a server hands out cookies up to this age */
#define COOKIE_EXPIRE_S     420 /* older ones leave the file */
#define COOKIE_FUTURE_S     300 /* so wrong may a clock be */
#define COOKIE_MAX          256 /* cookies in a file; more are ignored */
#define COOKIE_LOCK_TRIES   20
#define COOKIE_LOCK_WAIT_MS 10
#define COOKIE_LOCK_STALE_S 8

enum {
        COOKIE_E_USER = 1,  /* the client claims to be another user than the bus's own */
        COOKIE_E_DIRECTORY, /* others can enter the keyring directory, or it is not ours */
        COOKIE_E_LOCKED,    /* somebody keeps the lock */
};

struct cookie_ring {
        char *dir; /* ~/.dbus-keyrings */
        char *user; /* name of the bus's user, NULL if it has none */
        uid_t uid;
};
#define COOKIE_RING_NULL ((struct cookie_ring){0})

/**
 * cookie_ring_init() - the ring of the user who runs the bus
 * @ring:       ring
 * @home:       home directory; NULL: $HOME, else as the user database says
 *
 * Return: 0 or a negative errno (-ENOENT: the user has no home). No file is touched yet.
 */
int cookie_ring_init(struct cookie_ring *ring, const char *home);
void cookie_ring_deinit(struct cookie_ring *ring);

/* cookie_ring_challenge() - an auth_challenge_fn, its @ctx a cookie_ring: COOKIE_E_* or errno */
int cookie_ring_challenge(struct auth_challenge *out, void *ring, const char *user, size_t n);

/* cookie_digest() - hex SHA-1 of "nonce:client:secret", as the client has to send it */
int cookie_digest(char out[static 41], const char *nonce, const char *client, size_t client_len,
                  const char *secret);
