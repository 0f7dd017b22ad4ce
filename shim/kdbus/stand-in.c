/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim/bus/activate.h"
#include "shim/kdbus/stand-in.h"

struct stand_in {
        struct cds_list_head link;
        struct kconn *conn;
        /* of the lock */
        struct envelope *summons; /* NULL: none is under way */
        bool news;
        char name[];
};

static struct stand_in *find(const struct stand_ins *s, const char *name)
{
        struct stand_in *i;

        cds_list_for_each_entry(i, &s->list, link)
                if (strcmp(i->name, name) == 0)
                        return i;
        return NULL;
}

static struct stand_in *find_conn(const struct stand_ins *s, const struct kconn *conn)
{
        struct stand_in *i;

        cds_list_for_each_entry(i, &s->list, link)
                if (i->conn == conn)
                        return i;
        return NULL;
}

/* @e: a reference, or NULL */
static void tell(struct stand_ins *s, const char *name, struct envelope *e)
{
        struct stand_in *i = find(s, name);
        uint64_t one = 1;

        if (!i) {
                envelope_unref(e);
                return;
        }
        pthread_mutex_lock(&s->lock);
        envelope_unref(i->summons);
        i->summons = e;
        i->news = true;
        pthread_mutex_unlock(&s->lock);
        (void)!write(s->wake_fd, &one, sizeof(one));
}

static bool have(void *data, const char *name)
{
        return find(data, name);
}

static const char *at(void *data, size_t index)
{
        const struct stand_ins *s = data;
        struct stand_in *i;

        cds_list_for_each_entry(i, &s->list, link)
                if (!index--)
                        return i->name;
        return NULL;
}

static void summon(void *data, const char *name, struct envelope *e)
{
        message_ref(&e->message);
        tell(data, name, e);
}

static void dismiss(void *data, const char *name)
{
        tell(data, name, NULL);
}

static const struct bus_stand_ins hook = {
        .have = have,
        .at = at,
        .summon = summon,
        .dismiss = dismiss,
};

void stand_ins_init(struct stand_ins *s, struct bus *bus, int wake_fd)
{
        s->bus = bus;
        s->wake_fd = wake_fd;
        CDS_INIT_LIST_HEAD(&s->list);
        pthread_mutex_init(&s->lock, NULL);
        bus->stand_ins_data = s;
        bus->stand_ins = &hook;
}

static void stand_in_free(struct stand_in *i)
{
        cds_list_del(&i->link);
        envelope_unref(i->summons);
        free(i);
}

void stand_ins_deinit(struct stand_ins *s)
{
        struct stand_in *i, *next;

        if (!s->bus)
                return;
        s->bus->stand_ins = NULL;
        cds_list_for_each_entry_safe(i, next, &s->list, link)
                stand_in_free(i);
        pthread_mutex_destroy(&s->lock);
}

int stand_in_add(struct stand_ins *s, struct kconn *conn, const char *name)
{
        struct stand_in *i = calloc(1, sizeof(*i) + strlen(name) + 1);

        if (!i)
                return error_origin(-ENOMEM);
        strcpy(i->name, name);
        i->conn = conn;
        cds_list_add_tail(&i->link, &s->list);
        return 0;
}

void stand_in_remove(struct stand_ins *s, struct turn *turn, const struct kconn *conn)
{
        struct stand_in *i = find_conn(s, conn);

        if (!i)
                return;
        activation_declined(turn, i->name);
        stand_in_free(i);
}

void stand_in_declined(struct stand_ins *s, struct turn *turn, const struct kconn *conn)
{
        struct stand_in *i = find_conn(s, conn);

        if (i)
                activation_declined(turn, i->name);
}

struct kconn *stand_ins_next(struct stand_ins *s, struct envelope **e)
{
        struct kconn *conn = NULL;
        struct stand_in *i;

        pthread_mutex_lock(&s->lock);
        cds_list_for_each_entry(i, &s->list, link) {
                if (!i->news)
                        continue;
                i->news = false;
                *e = i->summons;
                i->summons = NULL;
                conn = i->conn;
                break;
        }
        pthread_mutex_unlock(&s->lock);
        return conn;
}
