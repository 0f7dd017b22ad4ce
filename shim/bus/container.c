/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shim/bus/bus.h"
#include "shim/bus/container.h"
#include "shim/bus/log.h"
#include "shim/bus/notice.h"

/* --- life ------------------------------------------------------------------------------------ */

struct container *container_find(const struct bus *bus, const char *path)
{
        struct container *c;

        cds_list_for_each_entry(c, &bus->containers, link)
                if (strcmp(c->path, path) == 0)
                        return c;
        return NULL;
}

int container_new(struct container **out, struct turn *turn, struct client *owner,
                  struct envelope *what, const char *type, const char *name,
                  const struct reader *metadata, struct container_rules *rules, char **address,
                  char *why)
{
        struct bus *bus = turn->bus;
        struct container *c;
        int r;

        c = calloc(1, sizeof(*c));
        if (!c) {
                container_rules_free(rules);
                return error_origin(-ENOMEM);
        }
        c->refs = 1;
        c->bus = bus;
        c->id = bus->next_container;
        c->rules = rules;
        message_ref(&what->message);
        c->what = what;
        c->type = type;
        c->name = name;
        c->metadata = *metadata;
        c->creator = creds_ref(owner->creds);
        c->owner = owner;
        CDS_INIT_LIST_HEAD(&c->clients);
        snprintf(c->path, sizeof(c->path), CONTAINERS_PATH "/c%" PRIu64, c->id);
        r = bus->keeper->open_container(bus, c, address, why);
        if (r) {
                container_unref(c);
                return r < 0 ? error_fold(r) : r;
        }
        bus->next_container++;
        bus->n_containers++;
        c->listening = true;
        cds_list_add_tail(&c->link, &bus->containers);
        *out = c;
        return 0;
}

struct container *container_ref(struct container *c)
{
        if (c)
                ref_inc(&c->refs);
        return c;
}

struct container *container_unref(struct container *c)
{
        if (!c || !ref_dec(&c->refs))
                return NULL;
        if (c->listener)
                c->bus->keeper->free_container(c->bus, c->listener);
        creds_unref(c->creator);
        envelope_unref(c->what);
        container_rules_free(c->rules);
        free(c);
        return NULL;
}

static void announce_removed(struct turn *turn, const struct container *c)
{
        struct writer w;

        notice_begin(&w, turn, HEADER_SIGNAL, NULL);
        writer_field(&w, FIELD_PATH, BUS_PATH);
        writer_field(&w, FIELD_INTERFACE, CONTAINERS_INTERFACE);
        writer_field(&w, FIELD_MEMBER, "InstanceRemoved");
        writer_body(&w, "o");
        writer_path(&w, c->path);
        notice_broadcast(&w, turn);
}

static void remove_if_empty(struct turn *turn, struct container *c)
{
        if (c->listening || c->n_clients)
                return;
        announce_removed(turn, c);
        cds_list_del(&c->link);
        turn->bus->n_containers--;
        container_unref(c);
}

void container_stop_listening(struct turn *turn, struct container *c)
{
        if (!c->listening)
                return;
        c->listening = false;
        turn->bus->keeper->close_container(turn->bus, c->listener);
        remove_if_empty(turn, c);
}

void container_stop(struct turn *turn, struct container *c)
{
        struct client *client;

        cds_list_for_each_entry(client, &c->clients, in_container)
                client->door->close(client);
        container_stop_listening(turn, c);
}

void container_abandon(struct turn *turn, struct client *creator)
{
        struct container *c, *next;

        cds_list_for_each_entry_safe(c, next, &turn->bus->containers, link) {
                if (c->owner != creator)
                        continue;
                c->owner = NULL;
                container_stop_listening(turn, c);
        }
}

bool container_may_join(const struct container *c)
{
        return c->n_clients < limit_get(&c->bus->limits.max_connections_per_container);
}

void container_join(struct container *c, struct client *client)
{
        client->container = c;
        cds_list_add_tail(&client->in_container, &c->clients);
        c->n_clients++;
}

void container_leave(struct turn *turn, struct client *client)
{
        struct container *c = client->container;

        cds_list_del(&client->in_container);
        c->n_clients--;
        remove_if_empty(turn, c);
}

/* --- what is allowed ------------------------------------------------------------------------- */

static const struct container_rules *rules_of(const struct client *client)
{
        return client->container ? client->container->rules : NULL;
}

/* Walks the well-known names of a client. */
static bool next_name(const struct client *client, void **pos, struct policy_text *name)
{
        const struct policy_peer names = client_names(client);

        while (names.next(&names, pos, name))
                if (name->ptr[0] != ':')
                        return true;
        return false;
}

enum container_level container_level(const struct client *client, const char *name, size_t n,
                                     const struct client *owner)
{
        const struct container_rules *rules = rules_of(client);
        enum container_level level = CONTAINER_HIDDEN;
        struct policy_text text;
        void *pos = NULL;

        if (!rules || (n == strlen(BUS_NAME) && memcmp(name, BUS_NAME, n) == 0))
                return CONTAINER_OWN;
        if (name[0] != ':')
                level = container_rules_level(rules, name, n);
        if (owner == client)
                return level > CONTAINER_TALK ? level : CONTAINER_TALK;
        if (name[0] != ':')
                return level;
        while (owner && next_name(owner, &pos, &text))
                level = MAX(level, container_rules_level(rules, text.ptr, text.n));
        return level;
}

/* Is there a rule for just this message, to or from one of the names of @other? */
static bool has_rule(const struct container_rules *rules, enum container_kind kind,
                     const struct envelope *e, const struct client *other)
{
        const char *interface = envelope_text(e, e->header.interface);
        const char *member = envelope_text(e, e->header.member);
        const char *path = envelope_text(e, e->header.path);
        const char *name = envelope_text(e, e->header.destination);
        struct policy_text text;
        void *pos = NULL;

        if (!other)
                return name && container_rules_match(rules, kind, name, e->header.destination.len,
                                                     interface, member, path);
        while (next_name(other, &pos, &text))
                if (container_rules_match(rules, kind, text.ptr, text.n, interface, member, path))
                        return true;
        return false;
}

/* What @client may do with all names of @other together. */
static enum container_level level_of_client(const struct client *client,
                                            const struct client *other)
{
        return container_level(client, other->name, other->name_len, other);
}

static void tell_hidden(struct turn *turn, struct client *sender, const struct envelope *e)
{
        notice_error(turn, sender, e,
                     e->header.flags & HEADER_NO_AUTO_START ? OUTCOME_NAME_HAS_NO_OWNER
                                                            : OUTCOME_SERVICE_UNKNOWN,
                     "The name %s was not provided by any .service files",
                     envelope_text(e, e->header.destination));
}

static void tell_forbidden(struct turn *turn, struct client *sender, const struct envelope *e)
{
        const char *member = envelope_text(e, e->header.member);
        const char *name = envelope_text(e, e->header.destination);

        log_limited(LOG_WARNING, "container", sender->container->id,
                    "%s in %s (%s \"%s\") may not send %s to %s: no rule of its container allows it",
                    sender->name, sender->container->path, sender->container->type,
                    sender->container->name, member ? member : "a message", name);
        notice_error(turn, sender, e, OUTCOME_ACCESS_DENIED,
                     "No rule of container %s allows to send %s to %s", sender->container->path,
                     member ? member : "a message", name);
}

static bool may_send(struct turn *turn, struct client *sender, const struct envelope *e,
                     const struct client *to)
{
        const char *name = envelope_text(e, e->header.destination);
        enum container_level level;

        if (name[0] != ':')
                to = NULL; /* whatever other names its owner has */
        if (to)
                level = level_of_client(sender, to);
        else
                level = container_level(sender, name, e->header.destination.len, NULL);
        if (level >= CONTAINER_TALK)
                return true;
        if (e->header.type == HEADER_CALL && has_rule(rules_of(sender), CONTAINER_CALL, e, to))
                return true;
        if (level == CONTAINER_HIDDEN)
                tell_hidden(turn, sender, e);
        else
                tell_forbidden(turn, sender, e);
        return false;
}

bool container_allows(struct turn *turn, struct client *sender, const struct envelope *e,
                      const struct client *to, bool requested, bool addressed)
{
        const struct container_rules *rules;

        if (requested || sender == to)
                return true;
        if (addressed)
                return !rules_of(sender) || may_send(turn, sender, e, to);
        rules = rules_of(to);
        return !rules || level_of_client(to, sender) >= CONTAINER_TALK ||
               has_rule(rules, CONTAINER_BROADCAST, e, sender);
}

/* A name that comes, goes or changes hands, in NameOwnerChanged. */
bool container_hides(const struct client *to, const struct envelope *e)
{
        const char *member = envelope_text(e, e->header.member);
        const char *name, *old_owner, *new_owner;
        size_t n, new_n;
        struct reader r;

        if (!rules_of(to) || !member || strcmp(member, "NameOwnerChanged") != 0)
                return false;
        reader_init_message(&r, &e->header, e->data);
        if (reader_string(&r, &name, &n) || reader_string(&r, &old_owner, NULL) ||
            reader_string(&r, &new_owner, &new_n))
                return true;
        if (name[0] == ':' && !new_n)
                return false;
        return container_level(to, name, n, bus_find(to->bus, name, n)) == CONTAINER_HIDDEN;
}
