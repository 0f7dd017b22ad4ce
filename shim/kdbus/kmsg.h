/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kdbus message
 *
 * What it is     A message on its way: what the sender gave, checked, and what the bus adds. It
 *                lives for the length of one SEND; what queues keep is its rendering in the
 *                receiver's pool, and its descriptors.
 * How            kmsg_import() does all checks that need no receiver, in the order of the ABI.
 *                kmsg_size() and kmsg_write() render it for one receiver: items, metadata as that
 *                receiver may see it, payload. Of a broadcast, the rendering for one receiver is
 *                copied for the next that is to see the same.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/kdbus/kdbus-abi.h"

struct bloom_params;
struct caller;
struct kconn;
struct kuser;

/* descriptors of a message, shared by all who have it queued: memfds first, then plain ones */
struct kfds {
        unsigned n_refs;
        size_t n_memfds, n_fds;
        int fds[];
};

/* what came over the wire beside the structures; borrowed */
struct kpayload {
        const uint8_t *bytes; /* all VECs that have an address, one after the other */
        size_t n_bytes;
        int file;             /* or the same in a file, read by pread; -1 if not */
        bool fault;           /* the sender's memory could not be read */
};

struct kmsg {
        struct kdbus_msg *msg; /* with its items; borrowed */
        size_t n_items;        /* bytes */
        const char *dst_name;
        const struct kdbus_bloom_filter *filter;
        const struct kdbus_item *notification; /* kernel messages */
        struct kpayload payload;
        struct kfds *fds;
        size_t n_vec;     /* payload bytes that the sender gives */
        size_t n_stream;  /* payload bytes in the pool, with alignment filler */
        size_t n_out;     /* bytes of the sender's items as the receiver sees them */

        struct kconn *src; /* NULL: from the bus itself, or from D-Bus */
        bool foreign;      /* from D-Bus: msg->src_id is set, and who pays, and what is known */
        struct kuser *payer;
        const void *extra; /* items of its names and the like, rendered */
        size_t n_extra;
        uint64_t seq, monotonic_ns, realtime_ns;
        struct caller *caller; /* the sending task */

        const void *rendered; /* for the last receiver, if nothing in it is for that one only */
        uint64_t rendered_mask;
        size_t n_rendered;
};

int kmsg_import(struct kmsg *m, const struct bloom_params *bloom, struct kdbus_msg *msg,
                uint64_t send_flags);
int kmsg_take_fds(struct kmsg *m, const int *fds, size_t n_fds);
void kmsg_stamp(struct kmsg *m, uint64_t *last_seq);
void kmsg_deinit(struct kmsg *m);

size_t kmsg_size(struct kmsg *m, const struct kconn *dst);
int kmsg_write(struct kmsg *m, const struct kconn *dst, void *at);

struct kfds *kfds_ref(struct kfds *fds);
struct kfds *kfds_unref(struct kfds *fds);
