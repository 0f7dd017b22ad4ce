/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shim/bus/log.h"
#include "shim/bus/mediate.h"
#include "shim/dbus/driver.h"

static const struct driver_interface *const interfaces[] = {
        &driver_bus,        &driver_properties, &driver_introspectable,
        &driver_monitoring, &driver_stats,      &driver_containers,
        &driver_peer,
};

const struct driver_interface *driver_interface_at(size_t i)
{
        return i < ARRAY_SIZE(interfaces) ? interfaces[i] : NULL;
}

/* --- answers --------------------------------------------------------------------------------- */

void driver_reply(struct writer *w, struct call *call, const char *signature)
{
        notice_begin(w, call->turn, HEADER_RETURN, call->sender);
        writer_field_u32(w, FIELD_REPLY_SERIAL, call->e->header.serial);
        writer_body(w, signature);
}

/* Unlike the reference, which answers with a value all the same. */
void driver_send(struct writer *w, struct call *call)
{
        if (call->e->header.flags & HEADER_NO_REPLY_EXPECTED)
                writer_deinit(w);
        else
                notice_send(w, call->turn, call->sender);
}

void driver_reply_u32(struct call *call, uint32_t v)
{
        struct writer w;

        driver_reply(&w, call, "u");
        writer_u32(&w, v);
        driver_send(&w, call);
}

void driver_reply_string(struct call *call, const char *s)
{
        struct writer w;

        driver_reply(&w, call, "s");
        writer_string(&w, s);
        driver_send(&w, call);
}

void driver_reply_empty(struct call *call)
{
        struct writer w;

        driver_reply(&w, call, "");
        driver_send(&w, call);
}

void driver_error(struct call *call, enum outcome outcome, const char *format, ...)
{
        char text[4096];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        notice_error(call->turn, call->sender, call->e, outcome, "%s", text);
}

/* --- arguments ------------------------------------------------------------------------------- */

const char *driver_string(struct call *call, size_t *n)
{
        const char *s = "";
        size_t len = 0;

        reader_string(&call->args, &s, &len);
        if (n)
                *n = len;
        return s;
}

uint32_t driver_u32(struct call *call)
{
        uint32_t v = 0;

        reader_u32(&call->args, &v);
        return v;
}

enum container_level driver_level(const struct call *call, const char *name, size_t n)
{
        if (!call->sender->container)
                return CONTAINER_OWN;
        return container_level(call->sender, name, n, bus_find(call->bus, name, n));
}

struct client *driver_target(struct call *call, const char **name, const char *what)
{
        struct client *client;
        size_t n;

        *name = driver_string(call, &n);
        client = bus_find(call->bus, *name, n);
        if (client && driver_level(call, *name, n) < CONTAINER_SEE)
                client = NULL;
        if (!client && strcmp(*name, BUS_NAME) != 0)
                driver_error(call, OUTCOME_NAME_HAS_NO_OWNER,
                             "Could not get %s of name '%s': no such name", what, *name);
        return client;
}

/* --- dispatch -------------------------------------------------------------------------------- */

static const struct driver_method *find_method(const struct driver_interface *interface,
                                               const char *name)
{
        const struct driver_method *m;

        for (m = interface->methods; m->name; m++)
                if (strcmp(m->name, name) == 0)
                        return m;
        return NULL;
}

/* The row for a member; *@known tells whether its interface at least exists here. */
static const struct driver_method *find(struct call *call, const char *interface,
                                        const char *member, bool canonical, bool *known)
{
        const struct driver_method *m;
        bool local = !call->e->header.destination.off;

        *known = !interface || local;
        for (size_t i = 0; i < ARRAY_SIZE(interfaces); i++) {
                if ((!canonical && !interfaces[i]->any_path) ||
                    (local && interfaces[i] != &driver_peer) ||
                    (interface && strcmp(interfaces[i]->name, interface) != 0))
                        continue;
                *known = true;
                m = find_method(interfaces[i], member);
                if (m) {
                        call->interface = interfaces[i];
                        return m;
                }
        }
        return NULL;
}

/* Why this call may not be made; true if it may. */
static bool may_call(struct call *call, const struct driver_method *m, bool canonical)
{
        const struct header *h = &call->e->header;
        const char *signature = envelope_text(call->e, h->signature);

        if (!canonical && !(m->flags & DRIVER_ANY_PATH)) {
                log_limited(LOG_WARNING, "driver path", call->sender->peer.id,
                            "%s called %s at path %s: it exists at " BUS_PATH " only",
                            call->sender->name, m->name, envelope_text(call->e, h->path));
                driver_error(call, OUTCOME_ACCESS_DENIED,
                             "Method %s.%s is only available at the canonical object path \"%s\"",
                             call->interface->name, m->name, BUS_PATH);
                return false;
        }
        if ((m->flags & DRIVER_PRIVILEGED) && !bus_is_privileged(call->bus, call->sender)) {
                char who[CLIENT_DESCRIBE_MAX];

                log_limited(LOG_WARNING, "driver privilege", call->sender->peer.id,
                            "%s may not call %s.%s: it is neither root nor the bus's own user",
                            client_describe(call->sender, who, sizeof(who)), call->interface->name,
                            m->name);
                driver_error(call, OUTCOME_ACCESS_DENIED,
                             "Sender is not authorized to call %s.%s: it is neither root nor the "
                             "user of the bus",
                             call->interface->name, m->name);
                return false;
        }
        if ((m->flags & DRIVER_UNCONTAINED) && call->sender->container) {
                driver_error(call, OUTCOME_ACCESS_DENIED,
                             "%s.%s is not for programs in a container", call->interface->name,
                             m->name);
                return false;
        }
        if (strcmp(signature ? signature : "", m->in) != 0) {
                driver_error(call, OUTCOME_INVALID_ARGS, "Call to %s has wrong args (%s, expected %s)",
                             m->name, signature ? signature : "", m->in);
                return false;
        }
        return true;
}

static void dispatch(struct call *call)
{
        const struct envelope *e = call->e;
        const char *interface = envelope_text(e, e->header.interface);
        const char *member = envelope_text(e, e->header.member);
        bool canonical = strcmp(envelope_text(e, e->header.path), BUS_PATH) == 0;
        const struct driver_method *m;
        bool known;

        m = find(call, interface, member, canonical, &known);
        if (call->sender->state == CLIENT_NEW && (!m || !(m->flags & DRIVER_NEW)) &&
            (e->header.destination.off || !m)) {
                driver_error(call, OUTCOME_ACCESS_DENIED,
                             "Client tried to send a message other than Hello without being "
                             "registered");
                return;
        }
        if (!m && known) {
                driver_error(call, OUTCOME_UNKNOWN_METHOD,
                             "org.freedesktop.DBus does not understand message %s", member);
                return;
        }
        if (!m) {
                driver_error(call, OUTCOME_UNKNOWN_INTERFACE,
                             "org.freedesktop.DBus does not implement interface %s", interface);
                return;
        }
        if (!may_call(call, m, canonical))
                return;
        if (m->flags & DRIVER_WRITES)
                turn_write(call->turn);
        m->fn(call);
}

static void driver_call(struct turn *turn, struct client *sender, struct envelope *e)
{
        struct call call = { .turn = turn, .bus = turn->bus, .sender = sender, .e = e };

        if (e->header.type == HEADER_SIGNAL) {
                driver_activation_signal(&call);
                return;
        }
        if (e->header.type != HEADER_CALL)
                return;
        reader_init_message(&call.args, &e->header, e->data);
        dispatch(&call);
}

const struct bus_local driver_local = { .call = driver_call };

/* --- org.freedesktop.DBus -------------------------------------------------------------------- */

#define ANY DRIVER_ANY_PATH
#define WRITES (DRIVER_ANY_PATH | DRIVER_WRITES)

static const struct driver_method methods[] = {
        { "Hello", "", "s", NULL, NULL, WRITES | DRIVER_NEW, driver_hello },
        { "RequestName", "su", "u", NULL, NULL, WRITES, driver_request_name },
        { "ReleaseName", "s", "u", NULL, NULL, WRITES, driver_release_name },
        { "StartServiceByName", "su", "u", NULL, NULL, WRITES, driver_start_service_by_name },
        { "UpdateActivationEnvironment", "a{ss}", "", NULL, NULL,
          DRIVER_WRITES | DRIVER_PRIVILEGED, driver_update_activation_environment },
        { "NameHasOwner", "s", "b", NULL, NULL, ANY, driver_name_has_owner },
        { "ListNames", "", "as", NULL, NULL, ANY, driver_list_names },
        { "ListActivatableNames", "", "as", NULL, NULL, WRITES, driver_list_activatable_names },
        { "AddMatch", "s", "", NULL, NULL, WRITES, driver_add_match },
        { "RemoveMatch", "s", "", NULL, NULL, WRITES, driver_remove_match },
        { "GetNameOwner", "s", "s", NULL, NULL, ANY, driver_get_name_owner },
        { "ListQueuedOwners", "s", "as", NULL, NULL, ANY, driver_list_queued_owners },
        { "GetConnectionUnixUser", "s", "u", NULL, NULL, ANY, driver_get_connection_unix_user },
        { "GetConnectionUnixProcessID", "s", "u", NULL, NULL, ANY,
          driver_get_connection_unix_process_id },
        { "GetAdtAuditSessionData", "s", "ay", NULL, NULL, ANY, driver_get_adt_audit_session_data },
        { "GetConnectionSELinuxSecurityContext", "s", "ay", NULL, NULL, ANY,
          driver_get_connection_selinux_security_context },
        { "ReloadConfig", "", "", NULL, NULL, WRITES | DRIVER_UNCONTAINED, driver_reload_config },
        { "GetId", "", "s", NULL, NULL, ANY, driver_get_id },
        { "GetConnectionCredentials", "s", "a{sv}", NULL, NULL, ANY,
          driver_get_connection_credentials },
        {},
};

static void get_features(struct bus *bus, struct writer *w)
{
        writer_open(w, 'a', NULL);
        writer_string(w, "ActivatableServicesChanged");
        if (mediation_label(bus->mediation, "AppArmor"))
                writer_string(w, "AppArmor");
        writer_string(w, "HeaderFiltering");
        if (mediation_label(bus->mediation, "SELinux"))
                writer_string(w, "SELinux");
        if (bus->systemd_activation)
                writer_string(w, "SystemdActivation");
        writer_close(w);
}

static void get_interfaces(struct bus *bus, struct writer *w)
{
        writer_open(w, 'a', NULL);
        for (size_t i = 0; i < ARRAY_SIZE(interfaces); i++)
                if (interfaces[i]->advertised)
                        writer_string(w, interfaces[i]->name);
        writer_close(w);
}

static const struct driver_property properties[] = {
        { "Features", "as", get_features },
        { "Interfaces", "as", get_interfaces },
        {},
};

static const struct driver_signal signals[] = {
        { "NameOwnerChanged", "sss", NULL },
        { "NameLost", "s", NULL },
        { "NameAcquired", "s", NULL },
        { "ActivatableServicesChanged", "", NULL },
        {},
};

const struct driver_interface driver_bus = {
        .name = BUS_INTERFACE,
        .any_path = true,
        .methods = methods,
        .properties = properties,
        .signals = signals,
};
