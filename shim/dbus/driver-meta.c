/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Driver: Peer, Properties, Introspectable: what every object has. */

#include "config.h"

#include <stdio.h>
#include <string.h>

#include "shim/dbus/driver.h"
#include "shim/wire/type.h"

/* --- Peer ------------------------------------------------------------------------------------ */

static void ping(struct call *call)
{
        driver_reply_empty(call);
}

static void get_machine_id(struct call *call)
{
        if (call->bus->machine_id[0])
                driver_reply_string(call, call->bus->machine_id);
        else
                driver_error(call, OUTCOME_FILE_NOT_FOUND,
                             "Neither /etc/machine-id nor /var/lib/dbus/machine-id holds a machine id");
}

static const struct driver_method peer_methods[] = {
        { "GetMachineId", "", "s", NULL, NULL, DRIVER_ANY_PATH | DRIVER_NEW, get_machine_id },
        { "Ping", "", "", NULL, NULL, DRIVER_ANY_PATH | DRIVER_NEW, ping },
        {},
};

const struct driver_interface driver_peer = {
        .name = "org.freedesktop.DBus.Peer",
        .any_path = true,
        .methods = peer_methods,
};

/* --- Properties ------------------------------------------------------------------------------ */

/* The interface named by the next argument ("" for any), or the error is sent. */
static bool find_interface(struct call *call, const struct driver_interface **out)
{
        const struct driver_interface *i;
        const char *name = driver_string(call, NULL);

        *out = NULL;
        if (!name[0]) {
                *out = &driver_bus;
                return true;
        }
        for (size_t at = 0; (i = driver_interface_at(at)); at++)
                if (strcmp(i->name, name) == 0) {
                        *out = i;
                        return true;
                }
        driver_error(call, OUTCOME_UNKNOWN_INTERFACE,
                     "Interface \"%s\" is not implemented by " BUS_NAME, name);
        return false;
}

static const struct driver_property *find_property(struct call *call)
{
        const struct driver_interface *interface;
        const struct driver_property *p;
        const char *name;

        if (!find_interface(call, &interface))
                return NULL;
        name = driver_string(call, NULL);
        for (p = interface->properties; p && p->name; p++)
                if (strcmp(p->name, name) == 0)
                        return p;
        driver_error(call, OUTCOME_UNKNOWN_PROPERTY, "Property \"%s.%s\" is not implemented by " BUS_NAME,
                     interface->name, name);
        return NULL;
}

static void write_property(struct call *call, struct writer *w, const struct driver_property *p)
{
        writer_open(w, 'v', p->type);
        p->get(call->bus, w);
        writer_close(w);
}

static void get(struct call *call)
{
        const struct driver_property *p = find_property(call);
        struct writer w;

        if (!p)
                return;
        driver_reply(&w, call, "v");
        write_property(call, &w, p);
        driver_send(&w, call);
}

static void get_all(struct call *call)
{
        const struct driver_interface *interface;
        const struct driver_property *p;
        struct writer w;

        if (!find_interface(call, &interface))
                return;
        driver_reply(&w, call, "a{sv}");
        writer_open(&w, 'a', NULL);
        for (p = interface->properties; p && p->name; p++) {
                writer_open(&w, '{', NULL);
                writer_string(&w, p->name);
                write_property(call, &w, p);
                writer_close(&w);
        }
        writer_close(&w);
        driver_send(&w, call);
}

static void set(struct call *call)
{
        const struct driver_property *p = find_property(call);

        if (p)
                driver_error(call, OUTCOME_PROPERTY_READ_ONLY, "Property \"%s\" cannot be set", p->name);
}

static const struct driver_method properties_methods[] = {
        { "Get", "ss", "v", "interface_name,property_name", "value", 0, get },
        { "GetAll", "s", "a{sv}", "interface_name", "props", 0, get_all },
        { "Set", "ssv", "", "interface_name,property_name,value", NULL, 0, set },
        {},
};

static const struct driver_signal properties_signals[] = {
        { "PropertiesChanged", "sa{sv}as",
          "interface_name,changed_properties,invalidated_properties" },
        {},
};

const struct driver_interface driver_properties = {
        .name = "org.freedesktop.DBus.Properties",
        .methods = properties_methods,
        .signals = properties_signals,
};

/* --- Introspectable -------------------------------------------------------------------------- */

static void print_args(FILE *f, const char *types, const char *names, const char *direction)
{
        size_t n, name_len;

        for (; *types; types += n) {
                n = signature_next(types, strlen(types));
                fprintf(f, "      <arg");
                if (names) {
                        name_len = strcspn(names, ",");
                        fprintf(f, " name=\"%.*s\"", (int)name_len, names);
                        names += name_len + (names[name_len] == ',');
                }
                if (direction)
                        fprintf(f, " direction=\"%s\"", direction);
                fprintf(f, " type=\"%.*s\"/>\n", (int)n, types);
        }
}

static void print_interface(FILE *f, const struct driver_interface *i, bool canonical)
{
        const struct driver_method *m;
        const struct driver_property *p;
        const struct driver_signal *s;

        fprintf(f, "  <interface name=\"%s\">\n", i->name);
        for (m = i->methods; m->name; m++) {
                if (!canonical && !(m->flags & DRIVER_ANY_PATH))
                        continue;
                fprintf(f, "    <method name=\"%s\">\n", m->name);
                print_args(f, m->in, m->in_names, "in");
                print_args(f, m->out, m->out_names, "out");
                fprintf(f, "    </method>\n");
        }
        for (p = canonical ? i->properties : NULL; p && p->name; p++)
                fprintf(f,
                        "    <property name=\"%s\" type=\"%s\" access=\"read\">\n"
                        "      <annotation name=\"org.freedesktop.DBus.Property."
                        "EmitsChangedSignal\" value=\"const\"/>\n"
                        "    </property>\n",
                        p->name, p->type);
        for (s = i->signals; s && s->name; s++) {
                fprintf(f, "    <signal name=\"%s\">\n", s->name);
                print_args(f, s->types, s->names, NULL);
                fprintf(f, "    </signal>\n");
        }
        fprintf(f, "  </interface>\n");
}

/* The next path element below @path on the way to the bus's object, or NULL. */
static const char *child_of(const char *path, size_t *n)
{
        size_t len = strcmp(path, "/") == 0 ? 0 : strlen(path);
        const char *child;

        if (strncmp(BUS_PATH, path, len) != 0 || BUS_PATH[len] != '/')
                return NULL;
        child = &BUS_PATH[len + 1];
        *n = strcspn(child, "/");
        return child;
}

char *driver_introspect(const char *path)
{
        bool canonical = strcmp(path, BUS_PATH) == 0;
        const struct driver_interface *i;
        const char *child;
        char *text = NULL;
        size_t size, n;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return NULL;
        fprintf(f, "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n"
                   "\"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n"
                   "<node>\n");
        for (size_t at = 0; (i = driver_interface_at(at)); at++)
                if (canonical || i->any_path)
                        print_interface(f, i, canonical);
        child = child_of(path, &n);
        if (child)
                fprintf(f, "  <node name=\"%.*s\"/>\n", (int)n, child);
        fprintf(f, "</node>\n");
        if (fclose(f)) {
                free(text);
                return NULL;
        }
        return text;
}

static void introspect(struct call *call)
{
        _cleanup_(freep) char *text = NULL;

        text = driver_introspect(envelope_text(call->e, call->e->header.path));
        if (text)
                driver_reply_string(call, text);
        else
                driver_error(call, OUTCOME_NO_MEMORY, "Not enough memory");
}

static const struct driver_method introspectable_methods[] = {
        { "Introspect", "", "s", NULL, "xml_data", DRIVER_ANY_PATH, introspect },
        {},
};

const struct driver_interface driver_introspectable = {
        .name = "org.freedesktop.DBus.Introspectable",
        .any_path = true,
        .methods = introspectable_methods,
};
