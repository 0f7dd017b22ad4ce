/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>

#include "bus-core/inbox.h"

#define WALKED 64 /* entries that inbox_assert() always looks at */

static struct inbox_entry *entry_of(struct cds_list_head *link)
{
        return cds_list_entry(link, struct inbox_entry, link);
}

static void count(struct inbox *in, const struct inbox_entry *e, int by)
{
        if (stamp_is_staged(e->stamp))
                in->n_staged += by;
        else
                in->n_committed += by;
}

/* Debug builds: promise 1, and the counters. A long inbox is not walked at each change. */
static void inbox_assert(struct inbox *in)
{
#ifdef LAMBUS_DEBUG
        struct inbox_entry *prev = NULL, *e;
        uint64_t staged = 0, committed = 0, n = in->n_staged + in->n_committed;

        if (n > WALKED && n % WALKED)
                return;
        cds_list_for_each_entry(e, &in->entries, link) {
                assert(!prev || inbox_compare(prev, e) <= 0); /* 0: one message, sent twice */
                stamp_is_staged(e->stamp) ? staged++ : committed++;
                prev = e;
        }
        assert(staged == in->n_staged && committed == in->n_committed);
#else
        (void)in;
#endif
}

void inbox_init(struct inbox *in)
{
        *in = (struct inbox){};
        CDS_INIT_LIST_HEAD(&in->entries);
}

void inbox_deinit(struct inbox *in)
{
        assert(!in->entries.next || cds_list_empty(&in->entries));
}

void inbox_place(struct inbox *in, struct inbox_entry *e, uint64_t stamp)
{
        assert(!e->stamp && !in->closed);
        e->stamp = stamp;
        cds_list_add_tail(&e->link, &in->entries);
        count(in, e, 1);
        inbox_assert(in);
}

void inbox_put(struct inbox *in, struct inbox_entry *e, uint64_t stamp)
{
        struct cds_list_head *at = in->entries.prev;

        assert(!e->stamp && !in->closed && !stamp_is_staged(stamp));
        e->stamp = stamp;
        while (at != &in->entries && inbox_compare(entry_of(at), e) > 0)
                at = at->prev;
        cds_list_add(&e->link, at); /* behind @at */
        count(in, e, 1);
        inbox_assert(in);
}

void inbox_commit(struct inbox *in, struct inbox_entry *e, uint64_t stamp)
{
        struct cds_list_head *at = e->link.next;

        assert(stamp_is_staged(e->stamp) && !stamp_is_staged(stamp) && stamp > e->stamp);
        count(in, e, -1);
        e->stamp = stamp;
        count(in, e, 1);
        while (at != &in->entries && inbox_compare(entry_of(at), e) < 0)
                at = at->next;
        if (at != e->link.next) {
                cds_list_del(&e->link);
                cds_list_add_tail(&e->link, at); /* before @at */
        }
        inbox_assert(in);
}

void inbox_remove(struct inbox *in, struct inbox_entry *e)
{
        count(in, e, -1);
        cds_list_del(&e->link);
        e->stamp = 0;
}

struct inbox_entry *inbox_front(struct inbox *in)
{
        struct inbox_entry *e;

        if (cds_list_empty(&in->entries))
                return NULL;
        e = entry_of(in->entries.next);
        return stamp_is_staged(e->stamp) ? NULL : e;
}

void inbox_flush(struct inbox *in, struct cds_list_head *out)
{
        struct inbox_entry *e, *next;

        in->closed = true;
        cds_list_for_each_entry_safe(e, next, &in->entries, link) {
                bool staged = stamp_is_staged(e->stamp);

                inbox_remove(in, e);
                if (!staged)
                        cds_list_add_tail(&e->link, out);
        }
}

int inbox_compare(const struct inbox_entry *a, const struct inbox_entry *b)
{
        if (a->stamp != b->stamp)
                return a->stamp < b->stamp ? -1 : 1;
        if (a->sender != b->sender)
                return a->sender < b->sender ? -1 : 1;
        if (a->seq != b->seq)
                return a->seq < b->seq ? -1 : 1;
        return 0;
}
