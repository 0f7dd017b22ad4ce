/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Proto
 *
 * What it is     What the library in the program's process and the daemon say to each other.
 * How            A handle is a SOCK_SEQPACKET connection: all that shares it (dup, fork, a socket
 *                it was passed over) shares the handle, and its end is the handle's end. Requests
 *                go up the handle, so whoever holds it may command it. Replies come down a channel:
 *                a socket pair that each thread makes for itself, so that threads and forked
 *                children on one handle do not take each other's replies. The first request on a
 *                channel carries the daemon's end of it.
 *                What comes down the handle itself is one byte while RECV has something to give:
 *                that is what poll sees. A reply with KDP_DRAIN asks the library to take it.
 *                Descriptors for the program come with a KDP_NUMBERS reply; the library tells
 *                which numbers they got (KDP_FDS), and the daemon writes them into the pool.
 *                RECV and FREE are so common that they ask nobody: struct kdp_ring, in memory that
 *                both sides share, says what waits in the pool, and what was freed. Who broadcasts
 *                much puts that there, too. It is an offer: whoever does not ask for it (KDP_RING)
 *                sends requests.
 *                A supervisor says the same on behalf of programs that have not the library: with
 *                its new channel comes a pidfd of the process that it speaks for (KDP_BEHALF).
 * Trust          The daemon believes none of it. Numbers of processes, users and groups are the
 *                kernel's (SCM_CREDENTIALS, SO_PEERPIDFD). Root speaks for everybody; a user for
 *                processes that are entirely that user's and have no capabilities.
 */

#include <stdint.h>

#define KDP_MAGIC       0x6b646203u    /* "kdb", version: the daemon hangs up on others */
#define KDP_FDS_MAX     64            /* descriptors with one request */
#define KDP_INLINE_MAX  (64 * 1024)   /* larger payloads travel in a memfd */
#define KDP_PACKET_MAX  (160 * 1024)  /* a request with both structures and an inline payload */
#define KDP_FD_INVALID  0x7fffffff    /* in an item: a descriptor the program does not have */

enum kdp_op {
        KDP_OPEN = 1,  /* fds: the node's file */
        KDP_IOCTL,
        KDP_MMAP,      /* arg: length, protection, flags, offset */
        KDP_STAT,      /* reply fd: the node's file */
        KDP_INTERRUPT, /* no reply of its own: the blocked request is answered */
        KDP_FDS,       /* payload: int32_t numbers */
        KDP_RING,      /* reply fds: struct kdp_ring, struct kdp_flow, to be mapped */
        KDP_BELL,      /* no reply: look at the ring: the byte may be missing, or sends wait */
};

enum kdp_flags {
        KDP_NEW_CHANNEL  = 1 << 0, /* request: the first fd is the daemon's end */
        KDP_PAYLOAD_FILE = 1 << 1, /* request: the next fd holds the payload */
        KDP_CANCEL       = 1 << 2, /* request: the next fd cancels */
        KDP_FAULT        = 1 << 3, /* request: the payload could not be read */
        KDP_BAD_CMD      = 1 << 4, /* request: the structure could not be read */
        KDP_BAD_MSG      = 1 << 5, /* request: the message could not be read */
        KDP_BEHALF       = 1 << 7, /* request: with a new channel, the next fd is a pidfd */
        KDP_RINGED       = 1 << 6, /* request: the program looks after the byte itself */
        KDP_DRAIN        = 1 << 8, /* reply: take one byte off the handle */
        KDP_NUMBERS      = 1 << 9, /* reply: say which numbers the fds got */
        KDP_STALE        = 1 << 10, /* reply: not this process's channel; make a new one */
};

struct kdp_request {
        uint32_t magic;
        uint32_t op;
        uint64_t channel; /* as the daemon named it */
        uint64_t serial;  /* counts up on a channel */
        uint32_t tid;
        uint32_t code; /* ioctl */
        uint32_t flags;
        uint32_t n_cmd;
        uint32_t n_msg;
        uint32_t pad;
        uint64_t n_payload;
        uint64_t arg[4];
        /* cmd, msg, payload; each 8-aligned */
};

struct kdp_reply {
        uint64_t channel;
        uint64_t serial;
        int32_t error; /* 0 or a negative errno */
        uint32_t flags;
        uint32_t n_cmd; /* to be written back */
        uint32_t n_msg;
        /* cmd, msg; each 8-aligned */
};

/* --- the ring --- */

#define KDP_RING_ENTRIES 256
#define KDP_RING_GIVEN   448 /* all of it in two pages */
#define KDP_RING_PROBES  16
#define KDP_RING_CLOSED  (1ULL << 63) /* in head */
#define KDP_RING_ASK     (1ULL << 63) /* in an entry's size: RECV must be a request */
#define KDP_GIVEN        1u           /* in given: the program has it */
#define KDP_FREED        2u           /* in given: and gave it back */
#define KDP_SENDS        64           /* broadcasts under way */
#define KDP_SENDS_CLOSED (1ULL << 63) /* in sends */
#define KDP_SEND_MAX     1016         /* bytes of one */
#define KDP_ASLEEP       1            /* in asleep; larger: when somebody undertook to ring */
#define KDP_BELL_NS      1000000      /* and if it was that long ago, it failed to */

/*
 * The daemon appends at tail; whoever moves head by one with a compare-and-swap has received the
 * message there. Slices that were handed out stand in given, near kdp_ring_place() of their
 * offset; freeing one means to turn KDP_GIVEN into KDP_FREED, then to set its bit in freed.
 * Both indices only grow. While head is closed, the daemon is busy with the queue: ask it.
 * Of the bytes that make the handle readable, rung counts those sent, heard those taken. Whoever
 * empties the ring takes the byte, if one is out, and counts it. The daemon, having appended, sends
 * one if none is out. Both look again after that; a byte that is still on its way is taken by
 * whoever next finds the ring empty.
 *
 * Broadcasts go the other way, as long as the daemon has sends open: who holds sends_lock writes
 * one into out, and adds it with a compare-and-swap on sends. Who finds the lock taken, whoever
 * died with it, or no room, sends a request. After that it counts in the user's kdp_flow, and rings
 * the bell if the daemon is asleep.
 */
struct kdp_send {
        uint32_t n_msg, n_payload;
        uint64_t data[KDP_SEND_MAX / 8]; /* msg, 8-aligned, payload */
};

struct kdp_ring {
        /* the daemon's */
        uint64_t tail;
        uint64_t pool_size;
        uint32_t more; /* what waits is more than what is in the ring */
        uint32_t dead; /* the handle is gone: unmap */
        uint64_t rung;
        uint64_t id;
        uint64_t bloom_size;
        uint64_t tight; /* what its user's programs have under way may not all fit */
        uint64_t pad[1];

        /* the programs'; the daemon believes none of it */
        uint64_t head;
        uint64_t heard;
        uint64_t pad2[6];
        uint64_t freed[KDP_RING_GIVEN / 64];
        uint64_t given[KDP_RING_GIVEN];

        struct {
                uint64_t offset, size;
        } entries[KDP_RING_ENTRIES];

        /* the daemon's; from asleep the programs clear that it need be rung for */
        uint64_t sends_taken;
        uint64_t pad3[7];
        uint64_t asleep;
        uint64_t pad4[7];

        /* the programs' */
        uint64_t sends;
        uint64_t sends_lock;
        uint64_t pad5[6];
        struct kdp_send out[KDP_SENDS];
};

enum kdp_flow_who {
        KDP_FLOW_NONE,      /* nobody broadcasts by a ring */
        KDP_FLOW_OWN,       /* programs of this user */
        KDP_FLOW_STRANGERS, /* others do */
};

/*
 * What the programs of one user have sent by their rings, and how much of it the daemon has dealt
 * with. Who finds nothing to receive may only say so if nobody sends that way, or only this user's
 * programs and the two are equal: else the daemon knows.
 */
struct kdp_flow {
        uint64_t sent; /* the programs' */
        uint64_t pad[7];
        uint64_t seen; /* the daemon's */
        uint64_t who;
};

/* what both sides read and write, in one order for all */
static inline uint64_t kdp_load(const uint64_t *p)
{
        return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static inline void kdp_store(uint64_t *p, uint64_t v)
{
        __atomic_store_n(p, v, __ATOMIC_SEQ_CST);
}

static inline unsigned kdp_ring_place(uint64_t offset, unsigned probe)
{
        return (unsigned)(((offset >> 3) * 0x9e3779b97f4a7c15ULL >> 48) + probe) % KDP_RING_GIVEN;
}
