/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Limits
 *
 * What it is     Every number of the kdbus door that is not part of the ABI, with the errno a
 *                program meets when it goes beyond.
 */

#define KD_CMD_SIZE_MAX      32768             /* a command or message structure: EMSGSIZE */
#define KD_VEC_SIZE_MAX      (2 * 1024 * 1024) /* VEC payload of one message: EMSGSIZE */
#define KD_MEMFDS_MAX        16                /* memfds of one message: E2BIG */
#define KD_FDS_MAX           16                /* fds of one message, and queued per user: EMFILE */
#define KD_BLOOM_SIZE_MIN    8                 /* bytes: EINVAL */
#define KD_BLOOM_SIZE_MAX    4096              /* bytes: EINVAL */
#define KD_NAME_LEN_MAX      255               /* a well-known name: EINVAL */
#define KD_NODE_LEN_MAX      63                /* bus, endpoint, description: ENAMETOOLONG */
#define KD_MATCHES_MAX       256               /* match entries of a connection: EMFILE */
#define KD_MSGS_MAX          256               /* queued messages per user and receiver: ENOBUFS */
#define KD_NAMES_MAX         256               /* names of a connection: E2BIG */
#define KD_CALLS_MAX         128               /* open calls of a connection: EMLINK */
#define KD_CONNS_MAX         1024              /* connections of a user in a domain: EMFILE */
#define KD_BUSES_MAX         16                /* buses of a user in a domain: EMFILE */
#define KD_GROUPS_MAX        65536             /* supplementary groups read from the kernel */
#define KD_META_STRING_MAX   4096              /* command line and the like, read from the kernel */
#define KD_HANDLES_MAX       4096              /* open handles of a user: ECONNRESET */
#define KD_CHANNELS_MAX      4096              /* reply channels (threads) of a user: ECONNRESET */
