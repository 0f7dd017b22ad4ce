/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Driver
 *
 * What it is     The object /org/freedesktop/DBus of the name org.freedesktop.DBus: the methods,
 *                properties and signals that the bus itself offers.
 * How            A table of interfaces, each a table of methods: one row is name, types in and
 *                out, who may call it where, what it needs to hold, and the function. Dispatch
 *                checks all that; introspection text is written from the same rows.
 * Where          driver-name.c names and Hello; driver-match.c match rules; driver-creds.c who is
 *                who; driver-stats.c Debug.Stats; driver-monitor.c Monitoring; driver-meta.c
 *                Introspectable, Peer, Properties; driver-activate.c services and environment;
 *                driver-containers.c Containers1.
 */

#include "shim/bus/bus.h"
#include "shim/bus/container.h"
#include "shim/bus/notice.h"
#include "shim/wire/reader.h"

/* A call on its way through the driver. */
struct call {
        struct turn *turn;
        struct bus *bus;
        struct client *sender;
        struct envelope *e;
        struct reader args;
        const struct driver_interface *interface;
};

enum {
        DRIVER_ANY_PATH = 1 << 0,   /* answers on every object path */
        DRIVER_WRITES = 1 << 1,     /* needs the guard's write side */
        DRIVER_PRIVILEGED = 1 << 2, /* the bus's own user and root only */
        DRIVER_NEW = 1 << 3,        /* may be called before Hello */
        DRIVER_UNCONTAINED = 1 << 4, /* not from a container */
};

struct driver_method {
        const char *name;
        const char *in;
        const char *out;
        const char *in_names;  /* of the arguments, comma-separated; NULL: unnamed */
        const char *out_names;
        unsigned int flags;
        void (*fn)(struct call *call);
};

struct driver_property {
        const char *name;
        const char *type;
        void (*get)(struct bus *bus, struct writer *w); /* one value of @type */
};

struct driver_signal {
        const char *name;
        const char *types;
        const char *names;
};

struct driver_interface {
        const char *name;
        bool any_path;  /* of the interface as a whole */
        bool advertised; /* listed in the property Interfaces */
        const struct driver_method *methods; /* ends in a NULL name, as the next two */
        const struct driver_property *properties;
        const struct driver_signal *signals;
};

extern const struct driver_interface driver_bus;            /* org.freedesktop.DBus */
extern const struct driver_interface driver_properties;     /* .Properties */
extern const struct driver_interface driver_introspectable; /* .Introspectable */
extern const struct driver_interface driver_monitoring;     /* .Monitoring */
extern const struct driver_interface driver_stats;          /* .Debug.Stats */
extern const struct driver_interface driver_containers;     /* .Containers1 */
extern const struct driver_interface driver_peer;           /* .Peer */

/* driver_interface_at() - the i-th interface, NULL after the last */
const struct driver_interface *driver_interface_at(size_t i);

/* driver_local - the driver as the bus's hook */
extern const struct bus_local driver_local;

/* The methods of org.freedesktop.DBus, by topic. */
void driver_hello(struct call *call);
void driver_request_name(struct call *call);
void driver_release_name(struct call *call);
void driver_list_queued_owners(struct call *call);
void driver_list_names(struct call *call);
void driver_list_activatable_names(struct call *call);
void driver_name_has_owner(struct call *call);
void driver_get_name_owner(struct call *call);
void driver_start_service_by_name(struct call *call);
void driver_update_activation_environment(struct call *call);
void driver_add_match(struct call *call);
void driver_remove_match(struct call *call);
void driver_get_connection_unix_user(struct call *call);
void driver_get_connection_unix_process_id(struct call *call);
void driver_get_connection_credentials(struct call *call);
void driver_get_adt_audit_session_data(struct call *call);
void driver_get_connection_selinux_security_context(struct call *call);
void driver_reload_config(struct call *call);
void driver_get_id(struct call *call);

/* driver_activation_signal() - ActivationFailure from systemd; other signals mean nothing to us */
void driver_activation_signal(struct call *call);

/* driver_reply() - begin the answer to a call */
void driver_reply(struct writer *w, struct call *call, const char *signature);

/* driver_send() - end it; not sent to a caller that expects none. Consumes @w. */
void driver_send(struct writer *w, struct call *call);
void driver_reply_u32(struct call *call, uint32_t v);
void driver_reply_string(struct call *call, const char *s);
void driver_reply_empty(struct call *call);
void driver_error(struct call *call, enum outcome outcome, const char *format, ...) _printf_(3, 4);

/* driver_string() - the next argument, whose type dispatch has checked */
const char *driver_string(struct call *call, size_t *n);
uint32_t driver_u32(struct call *call);

/*
 * driver_target() - the client that a name argument means; NULL, and the error is sent, unless it
 * is the bus itself
 * @what:       that is asked about the name, for the error: "owner"
 */
struct client *driver_target(struct call *call, const char **name, const char *what);

/*
 * driver_level() - what the caller may do with a name: all, unless it is in a container that is
 * kept to less
 */
enum container_level driver_level(const struct call *call, const char *name, size_t n);

/* driver_may_eavesdrop() - do the security modules allow it? If not, the error is sent. */
bool driver_may_eavesdrop(struct call *call);

/* driver_introspect() - introspection text of an object path; caller frees, NULL: no memory */
char *driver_introspect(const char *path);
