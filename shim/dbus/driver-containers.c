/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Driver: org.freedesktop.DBus.Containers1. AddServer and the four below it are the reference's;
 * AddContainerServer, SetRules and GetRules are ours. The named argument "Rules" (as) is what
 * programs in the container are kept to, see bus/container-rule.h; AddServer without it only makes
 * them known, AddContainerServer without it hides everything but the bus.
 */

#include "config.h"

#include <string.h>

#include "shim/bus/container.h"
#include "shim/dbus/driver.h"
#include "shim/wire/type.h"

/* --- making one ------------------------------------------------------------------------------ */

/* Reads an array of rules; what is wrong is answered, and NULL returned. */
static struct container_rules *read_rules(struct call *call, struct reader *args)
{
        _cleanup_(container_rules_freep) struct container_rules *rules = NULL;
        char why[CONTAINER_WHY_MAX];
        const char *text;
        int r;

        r = container_rules_new(&rules);
        reader_enter(args, 'a');
        while (!r && reader_peek(args)) {
                reader_string(args, &text, NULL);
                r = container_rules_add(rules, text, why);
        }
        reader_leave(args);
        if (r == CONTAINER_RULE_E_INVALID)
                driver_error(call, OUTCOME_INVALID_ARGS, "%s", why);
        else if (r)
                driver_error(call, OUTCOME_NO_MEMORY, "Not enough memory");
        return r ? NULL : steal(&rules);
}

/* Is the value of the variant that comes next an array of strings? Then the reader is in it. */
static bool enter_strings(struct reader *r)
{
        const struct reader_frame *f;

        reader_enter(r, 'v');
        f = &r->frames[r->depth];
        return f->stop - f->next == 2 && memcmp(f->next, "as", 2) == 0;
}

/* The named arguments; false: the error is sent. */
static bool read_named(struct call *call, struct container_rules **rules)
{
        const char *key;

        reader_enter(&call->args, 'a');
        while (reader_peek(&call->args)) {
                reader_enter(&call->args, '{');
                reader_string(&call->args, &key, NULL);
                if (strcmp(key, "Rules") != 0 || !enter_strings(&call->args)) {
                        driver_error(call, OUTCOME_INVALID_ARGS,
                                     "Named argument \"%s\" is not known, or not of its type", key);
                        return false;
                }
                container_rules_free(*rules);
                *rules = read_rules(call, &call->args);
                if (!*rules)
                        return false;
                reader_leave(&call->args);
                reader_leave(&call->args);
        }
        reader_leave(&call->args);
        return true;
}

static size_t count_of_user(const struct bus *bus, const struct client *client)
{
        struct container *c;
        size_t n = 0;

        cds_list_for_each_entry(c, &bus->containers, link)
                n += c->creator->has_uid && client->creds->has_uid &&
                     c->creator->uid == client->creds->uid;
        return n;
}

static bool has_room(struct call *call, size_t metadata_size)
{
        struct bus *bus = call->bus;
        char limit[BUS_LIMIT_MAX];
        size_t index;

        if (bus->n_containers >= limit_get(&bus->limits.max_containers))
                index = LIMIT_INDEX(max_containers);
        else if (count_of_user(bus, call->sender) >=
                 limit_get(&call->sender->limits.max_containers_per_user))
                index = LIMIT_INDEX(max_containers_per_user);
        else if (metadata_size > limit_get(&bus->limits.max_container_metadata_bytes))
                index = LIMIT_INDEX(max_container_metadata_bytes);
        else
                return true;
        driver_error(call, OUTCOME_LIMITS_EXCEEDED, "No more containers, or metadata, like this (%s)",
                     bus_limit(bus, index, limit, sizeof(limit)));
        return false;
}

/* @address is "unix:path=PATH,guid=ID", PATH without anything that would be escaped. */
static void reply_server(struct call *call, const struct container *c, const char *address)
{
        _cleanup_(freep) char *path = NULL;
        struct writer w;

        path = strdup(strchr(address, '=') + 1);
        if (!path) {
                driver_error(call, OUTCOME_NO_MEMORY, "Not enough memory");
                return;
        }
        path[strcspn(path, ",")] = 0;

        driver_reply(&w, call, "oays");
        writer_path(&w, c->path);
        writer_bytes(&w, path, strlen(path) + 1);
        writer_string(&w, address);
        driver_send(&w, call);
}

static void add(struct call *call, bool strict)
{
        _cleanup_(container_rules_freep) struct container_rules *rules = NULL;
        _cleanup_(freep) char *address = NULL;
        const char *type, *name;
        struct reader metadata;
        struct container *c;
        char why[CONTAINER_WHY_MAX] = "";
        size_t n, pos;
        int r;

        type = driver_string(call, &n);
        name = driver_string(call, NULL);
        metadata = call->args;
        pos = call->args.pos;
        reader_skip(&call->args);
        if (!valid_interface(type, n)) {
                driver_error(call, OUTCOME_INVALID_ARGS, "\"%s\" is no type of containers", type);
                return;
        }
        if (call->e->message.fds) {
                driver_error(call, OUTCOME_INVALID_ARGS, "Metadata may not have descriptors");
                return;
        }
        if (!has_room(call, call->args.pos - pos) || !read_named(call, &rules))
                return;
        r = strict && !rules ? container_rules_new(&rules) : 0;
        if (!r)
                r = container_new(&c, call->turn, call->sender, call->e, type, name, &metadata,
                                  steal(&rules), &address, why);
        if (r)
                driver_error(call, r == -ENOMEM ? OUTCOME_NO_MEMORY : OUTCOME_FAILED,
                             "No server for a container can be made: %s", r > 0 ? why : strerror(-r));
        else
                reply_server(call, c, address);
}

static void add_server(struct call *call)
{
        add(call, false);
}

static void add_container_server(struct call *call)
{
        add(call, true);
}

/* --- changing one ---------------------------------------------------------------------------- */

static struct container *named(struct call *call)
{
        const char *path = "";
        struct container *c;

        reader_path(&call->args, &path, NULL);
        c = container_find(call->bus, path);
        if (!c)
                driver_error(call, OUTCOME_NOT_CONTAINER, "There is no container \"%s\"", path);
        return c;
}

/* The same, if it is the caller's user's to change. */
static struct container *own(struct call *call)
{
        struct container *c = named(call);
        const struct creds *caller = call->sender->creds;

        if (!c || (caller->has_uid && c->creator->has_uid && caller->uid == c->creator->uid))
                return c;
        driver_error(call, OUTCOME_ACCESS_DENIED, "Container \"%s\" was made by another user", c->path);
        return NULL;
}

static void stop_instance(struct call *call)
{
        struct container *c = own(call);

        if (!c)
                return;
        container_stop(call->turn, c);
        driver_reply_empty(call);
}

static void stop_listening(struct call *call)
{
        struct container *c = own(call);

        if (!c)
                return;
        container_stop_listening(call->turn, c);
        driver_reply_empty(call);
}

static void set_rules(struct call *call)
{
        struct container_rules *rules;
        struct container *c = own(call);

        if (!c)
                return;
        rules = read_rules(call, &call->args);
        if (!rules)
                return;
        container_rules_free(c->rules);
        c->rules = rules;
        driver_reply_empty(call);
}

static void get_rules(struct call *call)
{
        const struct container *c = named(call);
        struct writer w;

        if (!c)
                return;
        driver_reply(&w, call, "as");
        writer_open(&w, 'a', NULL);
        for (size_t i = 0; c->rules && i < container_rules_n(c->rules); i++)
                writer_string(&w, container_rules_at(c->rules, i));
        writer_close(&w);
        driver_send(&w, call);
}

/* --- asking about one ------------------------------------------------------------------------ */

static void copy_value(struct writer *w, struct reader *r);

static void copy_all(struct writer *w, struct reader *r)
{
        while (reader_peek(r))
                copy_value(w, r);
        reader_leave(r);
        writer_close(w);
}

static void copy_container(struct writer *w, struct reader *r, char kind)
{
        const struct reader_frame *f;
        char contents[TYPE_SIGNATURE_MAX + 1] = "";

        reader_enter(r, kind);
        if (kind == 'v') {
                f = &r->frames[r->depth];
                memcpy(contents, f->next, f->stop - f->next);
                contents[f->stop - f->next] = 0;
        }
        writer_open(w, kind, contents);
        copy_all(w, r);
}

static void copy_text(struct writer *w, struct reader *r, char type)
{
        const char *s = "";
        size_t n = 0;

        if (type == 's') {
                reader_string(r, &s, &n);
                writer_string_n(w, s, n);
        } else if (type == 'o') {
                reader_path(r, &s, &n);
                writer_path_n(w, s, n);
        } else {
                reader_signature(r, &s, &n);
                writer_signature(w, s);
        }
}

#define COPY(c, type, what)                                                                        \
        case c: {                                                                                  \
                type v = 0;                                                                        \
                reader_##what(r, &v);                                                              \
                writer_##what(w, v);                                                               \
                return;                                                                            \
        }

static void copy_value(struct writer *w, struct reader *r)
{
        char type = reader_peek(r);

        switch (type) {
                COPY('y', uint8_t, byte)
                COPY('b', bool, bool)
                COPY('n', int16_t, i16)
                COPY('q', uint16_t, u16)
                COPY('i', int32_t, i32)
                COPY('u', uint32_t, u32)
                COPY('x', int64_t, i64)
                COPY('t', uint64_t, u64)
                COPY('d', double, double)
                COPY('h', uint32_t, fd)
        case 's':
        case 'o':
        case 'g':
                copy_text(w, r, type);
                return;
        default:
                copy_container(w, r, type);
        }
}

static void write_creator(struct writer *w, const struct container *c)
{
        writer_open(w, 'a', NULL);
        if (c->creator->has_uid)
                writer_dict_u32(w, "UnixUserID", c->creator->uid);
        if (c->creator->pid)
                writer_dict_u32(w, "ProcessID", c->creator->pid);
        if (c->creator->label)
                writer_dict_bytes(w, "LinuxSecurityLabel", c->creator->label,
                                  c->creator->label_len + 1);
        writer_close(w);
}

/* Creator's credentials, type, name, metadata. */
static void write_info(struct writer *w, const struct container *c)
{
        struct reader metadata = c->metadata;

        write_creator(w, c);
        writer_string(w, c->type);
        writer_string(w, c->name);
        copy_value(w, &metadata);
}

static void get_connection_instance(struct call *call)
{
        const char *name;
        struct client *client;
        struct writer w;

        client = driver_target(call, &name, "container");
        if (!client && strcmp(name, BUS_NAME) != 0)
                return;
        if (!client || !client->container) {
                driver_error(call, OUTCOME_NOT_CONTAINER, "\"%s\" is in no container", name);
                return;
        }
        driver_reply(&w, call, "oa{sv}ssa{sv}");
        writer_path(&w, client->container->path);
        write_info(&w, client->container);
        driver_send(&w, call);
}

static void get_instance_info(struct call *call)
{
        const struct container *c = named(call);
        struct writer w;

        if (!c)
                return;
        driver_reply(&w, call, "a{sv}ssa{sv}");
        write_info(&w, c);
        driver_send(&w, call);
}

/* From now on messages to the caller say which container they come from, "/" for none. */
static void request_header(struct call *call)
{
        atomic_store_explicit(&call->bus->container_headers, true, memory_order_relaxed);
        atomic_store_explicit(&call->sender->wants_container, true, memory_order_relaxed);
        driver_reply_empty(call);
}

static void get_supported_arguments(struct bus *bus, struct writer *w)
{
        writer_open(w, 'a', NULL);
        writer_string(w, "Rules");
        writer_close(w);
}

enum { CHANGES = DRIVER_WRITES | DRIVER_UNCONTAINED };

static const struct driver_method methods[] = {
        { "AddServer", "ssa{sv}a{sv}", "oays", "container_type,container_name,metadata,named_arguments",
          "container_instance,socket_path,connectable_address", CHANGES, add_server },
        { "StopInstance", "o", "", "container_instance", NULL, CHANGES, stop_instance },
        { "StopListening", "o", "", "container_instance", NULL, CHANGES, stop_listening },
        { "GetConnectionInstance", "s", "oa{sv}ssa{sv}", "bus_name",
          "container_instance,creator,container_type,container_name,metadata", 0,
          get_connection_instance },
        { "GetInstanceInfo", "o", "a{sv}ssa{sv}", "container_instance",
          "creator,container_type,container_name,metadata", 0, get_instance_info },
        { "RequestHeader", "", "", NULL, NULL, 0, request_header },
        { "AddContainerServer", "ssa{sv}a{sv}", "oays",
          "container_type,container_name,metadata,named_arguments",
          "container_instance,socket_path,connectable_address", CHANGES, add_container_server },
        { "SetRules", "oas", "", "container_instance,rules", NULL, CHANGES, set_rules },
        { "GetRules", "o", "as", "container_instance", "rules", DRIVER_UNCONTAINED, get_rules },
        {},
};

static const struct driver_property properties[] = {
        { "SupportedArguments", "as", get_supported_arguments },
        {},
};

static const struct driver_signal signals[] = {
        { "InstanceRemoved", "o", "container_instance" },
        {},
};

const struct driver_interface driver_containers = {
        .name = CONTAINERS_INTERFACE,
        .advertised = true,
        .methods = methods,
        .properties = properties,
        .signals = signals,
};
