/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Introspection: what the bus says of itself must be XML, and true.
 */

#define _GNU_SOURCE
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat-tests/client.h"
#include "compat-tests/scenario.h"

#define INTROSPECT "if=org.freedesktop.DBus.Introspectable"

static char *introspect(struct bus *bus, const char *path)
{
        struct client *c = client_connect(bus->address);
        struct message *m;
        char *call, *text;

        ck_assert_int_gt(asprintf(&call, "Introspect " INTROSPECT " path=%s", path), 0);
        m = client_call(c, call);
        ck_assert_ptr_nonnull(m);
        ck_assert_int_eq(m->type, TYPE_RETURN);
        ck_assert_str_eq(m->signature, "s");
        text = word_bytes(m->body.word[0], NULL);
        message_free(m);
        client_free(c);
        free(call);
        return text;
}

static const char *element(const char *text, const char *kind, const char *name)
{
        char *start;

        ck_assert_int_gt(asprintf(&start, "<%s name=\"%s\"", kind, name), 0);
        text = strstr(text, start);
        ck_assert_msg(text != NULL, "%s %s is not there", kind, name);
        free(start);
        return text;
}

static void has_all_interfaces(struct bus *bus)
{
        static const char *const names[] = {
                "org.freedesktop.DBus", "org.freedesktop.DBus.Peer",
                "org.freedesktop.DBus.Properties", "org.freedesktop.DBus.Introspectable",
                "org.freedesktop.DBus.Monitoring", "org.freedesktop.DBus.Debug.Stats",
        };
        char *text = introspect(bus, "/org/freedesktop/DBus");
        size_t i;

        ck_assert_int_eq(strncmp(text, "<!DOCTYPE node PUBLIC", 21), 0);
        for (i = 0; i < sizeof(names) / sizeof(*names); i++)
                element(text, "interface", names[i]);
        free(text);
}

static void has_all_members(struct bus *bus)
{
        static const struct {
                const char *kind, *name;
        } members[] = {
                { "method", "Hello" }, { "method", "RequestName" }, { "method", "ReleaseName" },
                { "method", "StartServiceByName" }, { "method", "UpdateActivationEnvironment" },
                { "method", "NameHasOwner" }, { "method", "ListNames" },
                { "method", "ListActivatableNames" }, { "method", "AddMatch" },
                { "method", "RemoveMatch" }, { "method", "GetNameOwner" },
                { "method", "ListQueuedOwners" }, { "method", "GetConnectionUnixUser" },
                { "method", "GetConnectionUnixProcessID" }, { "method", "GetAdtAuditSessionData" },
                { "method", "GetConnectionSELinuxSecurityContext" }, { "method", "ReloadConfig" },
                { "method", "GetId" }, { "method", "GetConnectionCredentials" },
                { "property", "Features" }, { "property", "Interfaces" },
                { "signal", "NameOwnerChanged" }, { "signal", "NameLost" },
                { "signal", "NameAcquired" }, { "method", "Ping" }, { "method", "GetMachineId" },
                { "method", "BecomeMonitor" }, { "method", "Introspect" }, { "method", "GetAll" },
                { "signal", "PropertiesChanged" }, { "method", "GetStats" },
        };
        char *text = introspect(bus, "/org/freedesktop/DBus");
        size_t i;

        for (i = 0; i < sizeof(members) / sizeof(*members); i++)
                element(text, members[i].kind, members[i].name);
        free(text);
}

static void has_types(struct bus *bus)
{
        char *text = introspect(bus, "/org/freedesktop/DBus"), *end;
        const char *method = element(text, "method", "RequestName");

        end = strstr(method, "</method>");
        ck_assert_ptr_nonnull(end);
        *end = 0;
        ck_assert_ptr_nonnull(strstr(method, "type=\"s\""));
        ck_assert_ptr_nonnull(strstr(method, "type=\"u\""));
        ck_assert_ptr_nonnull(strstr(method, "direction=\"out\""));
        free(text);
}

static void has_constant_properties(struct bus *bus)
{
        char *text = introspect(bus, "/org/freedesktop/DBus"), *end;
        const char *property = element(text, "property", "Features");

        end = strstr(property, "</property>");
        ck_assert_ptr_nonnull(end);
        *end = 0;
        ck_assert_ptr_nonnull(strstr(property, "access=\"read\""));
        ck_assert_ptr_nonnull(strstr(property, "EmitsChangedSignal\" value=\"const\""));
        free(text);
}

static void leads_to_the_bus(struct bus *bus)
{
        /* one step or the whole way: both are relative paths */
        static const char *const steps[][2] = {
                { "/", "<node name=\"org" }, { "/org", "<node name=\"freedesktop" },
                { "/org/freedesktop", "<node name=\"DBus" } };
        char *text;
        size_t i;

        for (i = 0; i < 3; i++) {
                text = introspect(bus, steps[i][0]);
                ck_assert_ptr_nonnull(strstr(text, steps[i][1]));
                free(text);
        }
}

static void elsewhere(struct bus *bus)
{
        char *text = introspect(bus, "/somewhere/else");

        element(text, "interface", "org.freedesktop.DBus.Peer");
        element(text, "interface", "org.freedesktop.DBus");
        ck_assert_ptr_null(strstr(text, "<interface name=\"org.freedesktop.DBus.Monitoring\""));
        ck_assert_ptr_null(strstr(text, "<interface name=\"org.freedesktop.DBus.Properties\""));
        free(text);
}

static const struct scenario scenarios[] = {
        { "the bus's own path has all interfaces", .run = has_all_interfaces },
        { "and all methods, signals and properties", .run = has_all_members },
        { "arguments have types and directions", .run = has_types },
        { "properties are constant", .run = has_constant_properties },
        { "paths above lead to the bus", .run = leads_to_the_bus },
        { "other paths have what answers there", .run = elsewhere },
        { "Introspect needs no interface, and takes no argument",
          TALK("a: Introspect if=- -> s *", "a: Introspect " INTROSPECT " s x -> error InvalidArgs") },
};

int main(void)
{
        return scenarios_run("introspect", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
