/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/kconn.h"
#include "shim/kdbus/kmsg.h"
#include "shim/kdbus/limits.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* --- descriptors --- */

struct kfds *kfds_ref(struct kfds *fds)
{
        if (fds)
                fds->n_refs++;
        return fds;
}

struct kfds *kfds_unref(struct kfds *fds)
{
        if (!fds || --fds->n_refs)
                return NULL;
        for (size_t i = 0; i < fds->n_memfds + fds->n_fds; i++)
                closep(&fds->fds[i]);
        free(fds);
        return NULL;
}

DEFINE_FREEP(struct kfds, kfds_unref)

static int check_memfd(int fd, const struct kdbus_memfd *memfd)
{
        int seals = fcntl(fd, F_GET_SEALS);
        struct stat st;

        if (seals < 0)
                return -EMEDIUMTYPE;
        if ((seals & SEALS) != SEALS)
                return -ETXTBSY;
        if (fstat(fd, &st) < 0)
                return error_origin(-errno);
        return memfd->start + memfd->size > (uint64_t)st.st_size ? -EFAULT : 0;
}

/* sockets could carry each other around in a circle that nobody can break */
static int check_fd(int fd)
{
        int flags = fcntl(fd, F_GETFL), domain = 0;
        socklen_t n = sizeof(domain);

        if (flags < 0)
                return -EBADF;
        if (flags & O_PATH)
                return 0;
        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) < 0 || domain != AF_UNIX)
                return 0;
        return -EOPNOTSUPP;
}

/* item numbers are indices into what the sender passed along */
static int lookup(const int *fds, size_t n_fds, int index, int *fdp)
{
        if (index < 0 || (size_t)index >= n_fds || fds[index] < 0)
                return -EBADF;
        *fdp = fcntl(fds[index], F_DUPFD_CLOEXEC, 3);
        return *fdp < 0 ? error_origin(-errno) : 0;
}

static int take_memfd(struct kfds *set, const struct kdbus_memfd *memfd, const int *fds, size_t n)
{
        int r = lookup(fds, n, memfd->fd, &set->fds[set->n_memfds]);

        if (r)
                return r;
        return check_memfd(set->fds[set->n_memfds++], memfd);
}

static int take_plain(struct kfds *set, const struct kdbus_item *item, const int *fds, size_t n)
{
        size_t n_item = ITEM_PAYLOAD(item) / sizeof(int);

        for (size_t i = 0; i < n_item; i++) {
                int *slot = &set->fds[KD_MEMFDS_MAX + set->n_fds];
                int r = lookup(fds, n, item->fds[i], slot);

                if (r)
                        return r;
                set->n_fds++;
                r = check_fd(*slot);
                if (r)
                        return r;
        }
        return 0;
}

static void close_gap(struct kfds *set)
{
        memmove(&set->fds[set->n_memfds], &set->fds[KD_MEMFDS_MAX], set->n_fds * sizeof(int));
}

/**
 * kmsg_take_fds() - fetch and check the descriptors that the items name
 * @fds:        what the sender passed along; items hold indices into it
 *
 * Return: 0, or the errno of the ABI.
 */
int kmsg_take_fds(struct kmsg *m, const int *fds, size_t n_fds)
{
        _cleanup_(kfds_unrefp) struct kfds *set = NULL;
        struct kdbus_item *item;
        struct item_walk w;
        int r = 0;

        for (item_walk_init(&w, m->msg->items, m->n_items); !item_next(&w, &item) && item && !r;) {
                if (item->type != KDBUS_ITEM_PAYLOAD_MEMFD && item->type != KDBUS_ITEM_FDS)
                        continue;
                if (!set)
                        set = calloc(1, sizeof(*set) + (KD_MEMFDS_MAX + KD_FDS_MAX) * sizeof(int));
                if (!set)
                        return error_origin(-ENOMEM);
                set->n_refs = 1;
                r = item->type == KDBUS_ITEM_FDS ? take_plain(set, item, fds, n_fds)
                                                 : take_memfd(set, &item->memfd, fds, n_fds);
        }
        if (set)
                close_gap(set);
        if (r)
                return r;
        m->fds = steal(&set);
        return 0;
}

/* --- import --- */

static int check_head(const struct kdbus_msg *msg, uint64_t send_flags)
{
        bool signal = msg->flags & KDBUS_MSG_SIGNAL;

        if (msg->payload_type == KDBUS_PAYLOAD_KERNEL)
                return -EINVAL;
        if (msg->dst_id == KDBUS_DST_ID_BROADCAST) {
                if (!signal)
                        return -EBADMSG;
                if (msg->timeout_ns)
                        return -ENOTUNIQ;
        }
        if (msg->flags & KDBUS_MSG_EXPECT_REPLY) {
                if (!msg->timeout_ns)
                        return -EINVAL;
                return signal ? -ENOTUNIQ : 0;
        }
        if (send_flags & KDBUS_SEND_SYNC_REPLY)
                return -EINVAL;
        return msg->cookie_reply && signal ? -EINVAL : 0;
}

struct import {
        const struct bloom_params *bloom;
        uint64_t n_vec;
        size_t n_memfds;
        bool fds;
};

static int import_item(struct kmsg *m, struct import *in, struct kdbus_item *item)
{
        switch (item->type) {
        case KDBUS_ITEM_PAYLOAD_VEC:
                in->n_vec += item->vec.size;
                if (item->vec.size > KD_VEC_SIZE_MAX || in->n_vec > KD_VEC_SIZE_MAX)
                        return -EMSGSIZE;
                return item->vec.address >> 47 ? -EFAULT : 0; /* not a program's address */
        case KDBUS_ITEM_PAYLOAD_MEMFD:
                if (item->memfd.start + item->memfd.size < item->memfd.start)
                        return -EMSGSIZE;
                return ++in->n_memfds > KD_MEMFDS_MAX ? -E2BIG : 0;
        case KDBUS_ITEM_FDS:
                in->fds = true;
                return ITEM_PAYLOAD(item) / sizeof(int) > KD_FDS_MAX ? -EMFILE : 0;
        case KDBUS_ITEM_BLOOM_FILTER: {
                uint64_t n = ITEM_PAYLOAD(item) - sizeof(struct kdbus_bloom_filter);

                m->filter = &item->bloom_filter;
                return n % 8 ? -EFAULT : n != in->bloom->size ? -EDOM : 0;
        }
        case KDBUS_ITEM_DST_NAME:
                m->dst_name = item->str;
                if (!item_bus_name_valid(item->str, false))
                        return -EINVAL;
                return m->msg->dst_id == KDBUS_DST_ID_BROADCAST ? -EBADMSG : 0;
        default:
                return 0;
        }
}

/* what an item adds to the rendering */
static void count_item(struct kmsg *m, const struct kdbus_item *item)
{
        if (item->type == KDBUS_ITEM_NEGOTIATE)
                return;
        m->n_out += ITEM_ALIGN(item->size);
        if (item->type == KDBUS_ITEM_PAYLOAD_VEC) {
                m->n_vec += item->vec.address ? item->vec.size : 0;
                m->n_stream += item->vec.address ? item->vec.size : item->vec.size % 8;
        } else if (item->type == KDBUS_ITEM_PAYLOAD_MEMFD) {
                m->n_stream += item->memfd.size % 8;
        }
}

/**
 * kmsg_import() - check everything that can be checked without knowing the receiver
 * @m:          zeroed but for payload
 * @msg:        the structure, parsed by args_parse(); borrowed for the life of @m
 *
 * Return: 0, or the errno of the ABI.
 */
int kmsg_import(struct kmsg *m, const struct bloom_params *bloom, struct kdbus_msg *msg,
                uint64_t send_flags)
{
        struct import in = {.bloom = bloom};
        struct kdbus_item *item;
        struct item_walk w;
        int r;

        m->msg = msg;
        m->n_items = msg->size - sizeof(*msg);
        r = check_head(msg, send_flags);
        if (r)
                return r;
        for (item_walk_init(&w, msg->items, m->n_items);;) {
                r = item_next(&w, &item);
                if (r)
                        return r;
                if (!item)
                        break;
                r = import_item(m, &in, item);
                if (r)
                        return r;
                count_item(m, item);
        }
        if (!(msg->flags & KDBUS_MSG_SIGNAL) != !m->filter)
                return -EBADMSG;
        if (msg->dst_id == KDBUS_DST_ID_NAME && !m->dst_name)
                return -EDESTADDRREQ;
        if (msg->dst_id == KDBUS_DST_ID_BROADCAST && in.fds)
                return -ENOTUNIQ;
        return 0;
}

static uint64_t clock_ns(clockid_t clock)
{
        struct timespec ts;

        clock_gettime(clock, &ts);
        return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/**
 * kmsg_stamp() - give the message its place in the order of the bus
 */
void kmsg_stamp(struct kmsg *m, uint64_t *last_seq)
{
        m->seq = ++*last_seq;
        m->monotonic_ns = clock_ns(CLOCK_MONOTONIC);
        m->realtime_ns = clock_ns(CLOCK_REALTIME);
}

void kmsg_deinit(struct kmsg *m)
{
        m->fds = kfds_unref(m->fds);
}

/* --- rendering --- */

#define IMPLICIT                                                                                   \
        (KDBUS_ATTACH_TIMESTAMP | KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS | KDBUS_ATTACH_AUXGROUPS | \
         KDBUS_ATTACH_NAMES | KDBUS_ATTACH_CONN_DESCRIPTION)

/* what the receiver wants, and may have: what it could read in /proc cannot be withheld */
static uint64_t meta_mask(struct kmsg *m, const struct kconn *dst, const struct kmeta **metap)
{
        uint64_t mask;

        *metap = NULL;
        if (!m->src && !m->foreign)
                return KDBUS_ATTACH_TIMESTAMP;
        mask = dst->attach_recv & _KDBUS_ATTACH_ALL;
        if (m->src && m->src->meta.fake) {
                *metap = &m->src->meta;
                return mask;
        }
        if (!(mask & KMETA_PROC) || !m->caller)
                return mask & ~KMETA_PROC;
        *metap = caller_meta(m->caller, mask | KDBUS_ATTACH_PIDS);
        if (!kmeta_pid_visible(*metap, &dst->view))
                mask &= (m->src ? m->src->attach_send : 0) | IMPLICIT;
        return mask;
}

/* process metadata depends on where the receiver stands; nothing else does */
static bool is_rendered(const struct kmsg *m, const struct kmeta *meta, uint64_t mask)
{
        return m->rendered && !meta && mask == m->rendered_mask;
}

/**
 * kmsg_size() - bytes of the slice that a receiver's rendering takes
 */
size_t kmsg_size(struct kmsg *m, const struct kconn *dst)
{
        const struct kmeta *meta;
        uint64_t mask = meta_mask(m, dst, &meta);
        size_t n = sizeof(struct kdbus_msg) + m->n_out;

        if (is_rendered(m, meta, mask))
                return m->n_rendered;
        if (meta)
                n += kmeta_size(meta, &dst->view, mask);
        if (m->src)
                n += kconn_meta_size(m->src, mask);
        else if (mask & KDBUS_ATTACH_NAMES)
                n += m->n_extra;
        if (mask & KDBUS_ATTACH_TIMESTAMP)
                n += ITEM_SIZE(sizeof(struct kdbus_timestamp));
        return n + m->n_stream;
}

/* @stream: where the next payload byte goes, from the start of the message */
static void *write_item(void *at, const struct kdbus_item *item, size_t *stream)
{
        struct kdbus_item *out = at;

        if (item->type == KDBUS_ITEM_NEGOTIATE)
                return at;
        at = item_put(at, item->type, item->data, ITEM_PAYLOAD(item));
        switch (item->type) {
        case KDBUS_ITEM_PAYLOAD_VEC:
                out->type = KDBUS_ITEM_PAYLOAD_OFF;
                out->vec.offset = item->vec.address ? *stream : ~0ULL;
                *stream += item->vec.address ? item->vec.size : item->vec.size % 8;
                break;
        case KDBUS_ITEM_PAYLOAD_MEMFD:
                out->memfd.fd = -1;
                out->memfd.__pad = 0;
                *stream += item->memfd.size % 8;
                break;
        case KDBUS_ITEM_FDS:
                memset(out->fds, 0xff, ITEM_PAYLOAD(item));
                break;
        default:
                break;
        }
        return at;
}

/* the next @n bytes of what the sender gives */
static int read_payload(const struct kpayload *p, size_t *from, uint8_t *to, size_t n)
{
        if (p->fault)
                return -EFAULT;
        if (p->file < 0) {
                if (n > p->n_bytes || *from > p->n_bytes - n)
                        return -EFAULT;
                memcpy(to, p->bytes + *from, n);
                *from += n;
                return 0;
        }
        while (n) {
                ssize_t r = pread(p->file, to, n, *from);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r <= 0)
                        return -EFAULT;
                to += r;
                n -= r;
                *from += r;
        }
        return 0;
}

static int write_stream(struct kmsg *m, uint8_t *to)
{
        struct kdbus_item *item;
        struct item_walk w;
        size_t from = 0;
        int r = 0;

        for (item_walk_init(&w, m->msg->items, m->n_items); !item_next(&w, &item) && item && !r;) {
                size_t filler = 0;

                if (item->type == KDBUS_ITEM_PAYLOAD_MEMFD) {
                        filler = item->memfd.size % 8;
                } else if (item->type == KDBUS_ITEM_PAYLOAD_VEC) {
                        if (item->vec.address) {
                                r = read_payload(&m->payload, &from, to, item->vec.size);
                                to += item->vec.size;
                        } else {
                                filler = item->vec.size % 8;
                        }
                }
                memset(to, 0, filler);
                to += filler;
        }
        return r;
}

/* the last item is not padded: find where it ends */
static uint64_t unpadded(void *items, void *end)
{
        uint8_t *at = items, *last = items;

        while (at < (uint8_t *)end) {
                last = at + ((struct kdbus_item *)at)->size;
                at += ITEM_ALIGN(((struct kdbus_item *)at)->size);
        }
        return last - (uint8_t *)items;
}

static int render(struct kmsg *m, const struct kconn *dst, const struct kmeta *meta, uint64_t mask,
                  struct kdbus_msg *out, size_t size)
{
        size_t stream = size - m->n_stream;
        struct kdbus_item *item;
        struct item_walk w;
        void *p = out->items;

        *out = *m->msg;
        if (m->src)
                out->src_id = m->src->id;
        for (item_walk_init(&w, m->msg->items, m->n_items); !item_next(&w, &item) && item;)
                p = write_item(p, item, &stream);
        if (meta)
                p = kmeta_write(p, meta, &dst->view, mask);
        if (m->src) {
                p = kconn_meta_write(p, m->src, mask);
        } else if (m->n_extra && (mask & KDBUS_ATTACH_NAMES)) {
                memcpy(p, m->extra, m->n_extra);
                p = (uint8_t *)p + m->n_extra;
        }
        if (mask & KDBUS_ATTACH_TIMESTAMP) {
                struct kdbus_timestamp ts = {m->seq, m->monotonic_ns, m->realtime_ns};

                p = item_put(p, KDBUS_ITEM_TIMESTAMP, &ts, sizeof(ts));
        }
        out->size = sizeof(*out) + unpadded(out->items, p);
        return write_stream(m, p);
}

/**
 * kmsg_write() - render the message for a receiver
 * @at:         kmsg_size() bytes; left alone for the life of @m
 *
 * Return: 0; -EFAULT if the sender's payload cannot be had.
 */
int kmsg_write(struct kmsg *m, const struct kconn *dst, void *at)
{
        const struct kmeta *meta;
        uint64_t mask = meta_mask(m, dst, &meta);
        size_t size = kmsg_size(m, dst);
        int r;

        if (is_rendered(m, meta, mask)) {
                memcpy(at, m->rendered, size);
                return 0;
        }
        r = render(m, dst, meta, mask, at, size);
        if (r || meta)
                return r;
        m->rendered = at;
        m->rendered_mask = mask;
        m->n_rendered = size;
        return 0;
}
