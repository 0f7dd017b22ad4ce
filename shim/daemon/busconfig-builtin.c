/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <string.h>

#include "shim/daemon/busconfig.h"

/*
 * What a bus runs on when its own files are broken: enough for a login, and nothing that the
 * files of a distribution would not allow either.
 */

#define DRIVER(interface)                                                                          \
        "<allow send_destination='org.freedesktop.DBus' send_interface='" interface "'/>"
#define NO_DRIVER(rest) "<deny send_destination='org.freedesktop.DBus' " rest "/>"

#define SYSTEM_POLICY                                                                              \
        "<policy context='default'>"                                                               \
        "<allow user='*'/>"                                                                        \
        "<deny own='*'/>"                                                                          \
        "<deny send_type='method_call'/>"                                                          \
        "<allow send_type='signal'/>"                                                              \
        "<allow send_requested_reply='true' send_type='method_return'/>"                           \
        "<allow send_requested_reply='true' send_type='error'/>"                                   \
        "<allow receive_type='method_call'/>"                                                      \
        "<allow receive_type='method_return'/>"                                                    \
        "<allow receive_type='error'/>"                                                            \
        "<allow receive_type='signal'/>"                                                           \
        DRIVER("org.freedesktop.DBus")                                                             \
        DRIVER("org.freedesktop.DBus.Introspectable")                                              \
        DRIVER("org.freedesktop.DBus.Properties")                                                  \
        DRIVER("org.freedesktop.DBus.Containers1")                                                 \
        NO_DRIVER("send_interface='org.freedesktop.DBus' send_member='UpdateActivationEnvironment'") \
        NO_DRIVER("send_interface='org.freedesktop.DBus.Debug.Stats'")                             \
        NO_DRIVER("send_interface='org.freedesktop.systemd1.Activator'")                           \
        "</policy>"                                                                                \
        "<policy user='root'>"                                                                     \
        DRIVER("org.freedesktop.DBus.Monitoring")                                                  \
        DRIVER("org.freedesktop.DBus.Debug.Stats")                                                 \
        DRIVER("org.freedesktop.systemd1.Activator")                                               \
        "</policy>"

/* Root may own and call it, all may look at it: part of what its own file says. */
#define LOGIN_POLICY(name)                                                                         \
        "<busconfig>"                                                                              \
        "<policy user='root'>"                                                                     \
        "<allow own='" name "'/>"                                                                  \
        "<allow send_destination='" name "'/>"                                                     \
        "</policy>"                                                                                \
        "<policy context='default'>"                                                               \
        LOOK(name, "org.freedesktop.DBus.Introspectable", "Introspect")                            \
        LOOK(name, "org.freedesktop.DBus.Peer", "Ping")                                            \
        LOOK(name, "org.freedesktop.DBus.Properties", "Get")                                       \
        LOOK(name, "org.freedesktop.DBus.Properties", "GetAll")                                    \
        "</policy>"                                                                                \
        "</busconfig>"
#define LOOK(name, interface, member)                                                              \
        "<allow send_destination='" name "' send_interface='" interface "' send_member='" member "'/>"

#define SESSION_POLICY                                                                             \
        "<policy context='default'>"                                                               \
        "<allow send_destination='*' eavesdrop='true'/>"                                           \
        "<allow eavesdrop='true'/>"                                                                \
        "<allow own='*'/>"                                                                         \
        "</policy>"

#define LIMIT(name, value) "<limit name='" name "'>" value "</limit>"
#define SESSION_LIMITS                                                                             \
        LIMIT("max_incoming_bytes", "1000000000")                                                  \
        LIMIT("max_incoming_unix_fds", "250000000")                                                \
        LIMIT("max_outgoing_bytes", "1000000000")                                                  \
        LIMIT("max_outgoing_unix_fds", "250000000")                                                \
        LIMIT("max_message_size", "1000000000")                                                    \
        LIMIT("service_start_timeout", "120000")                                                   \
        LIMIT("auth_timeout", "240000")                                                            \
        LIMIT("max_completed_connections", "100000")                                               \
        LIMIT("max_incomplete_connections", "10000")                                               \
        LIMIT("max_connections_per_user", "100000")                                                \
        LIMIT("max_pending_service_starts", "10000")                                               \
        LIMIT("max_names_per_connection", "50000")                                                 \
        LIMIT("max_match_rules_per_connection", "50000")                                           \
        LIMIT("max_replies_per_connection", "50000")

/**
 * busconfig_builtin() - a root file for busconfig_parse(), when there is no good one
 * @system:     for the system bus; else for a session bus
 *
 * The directories of services' own files are included, so that with BUSCONFIG_LENIENT the services
 * whose files are good can still be used.
 */
const char *busconfig_builtin(bool system)
{
        static const char system_text[] =
                "<busconfig>"
                "<type>system</type>"
                "<user>messagebus</user>"
                "<fork/><syslog/>"
                "<pidfile>/run/dbus/pid</pidfile>"
                "<auth>EXTERNAL</auth>"
                "<listen>unix:path=/run/dbus/system_bus_socket</listen>"
                "<standard_system_servicedirs/>"
                "<servicehelper>" LIBEXECDIR "/dbus-daemon-launch-helper</servicehelper>"
                SYSTEM_POLICY
                "<includedir>" DBUS_DATADIR "/dbus-1/system.d</includedir>"
                "<includedir>/etc/dbus-1/system.d</includedir>"
                "</busconfig>";
        static const char session_text[] =
                "<busconfig>"
                "<type>session</type>"
                "<keep_umask/>"
                "<auth>EXTERNAL</auth>"
                "<listen>unix:tmpdir=/tmp</listen>"
                "<standard_session_servicedirs/>"
                SESSION_POLICY
                "<includedir>" DBUS_DATADIR "/dbus-1/session.d</includedir>"
                "<includedir>/etc/dbus-1/session.d</includedir>"
                SESSION_LIMITS
                "</busconfig>";

        return system ? system_text : session_text;
}

/**
 * busconfig_stand_in() - what holds in the place of a broken file without which nobody could log in
 * @path:       of that file
 *
 * Without the rules of systemd or logind neither has its name, and a login waits for them in vain.
 *
 * Return:      the text of a file, or NULL: nobody needs that one so much.
 */
const char *busconfig_stand_in(const char *path)
{
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

        if (strcmp(name, "org.freedesktop.systemd1.conf") == 0)
                return LOGIN_POLICY("org.freedesktop.systemd1");
        if (strcmp(name, "org.freedesktop.login1.conf") == 0)
                return LOGIN_POLICY("org.freedesktop.login1");
        return NULL;
}
