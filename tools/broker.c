/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Launcher of a dbus-broker
 *
 * dbus-broker does nothing by itself: another process hands it a listening socket, the policy and
 * the names that can be activated, over a private connection. Its own launcher wants systemd for
 * that; this one wants nothing, allows everything and starts nothing.
 */

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>

#include "bus-core/util/error.h"
#include "tools/recording.h"
#include "tools/sandbox.h"

#define BROKER_PATH "/org/bus1/DBus/Broker"
#define BROKER_INTERFACE "org.bus1.DBus.Broker"
#define CONTROLLER_PATH "/org/bus1/DBus/Controller"
#define CONTROLLER_INTERFACE "org.bus1.DBus.Controller"
#define NAME_PATH "/org/bus1/DBus/Name/"
#define NAME_INTERFACE "org.bus1.DBus.Name"

/* the shape of a policy; since version 34 the name of the bus type stands at its end */
#define BATCH "bta(btbs)a(btssssuutt)a(btssssuutt)"
#define POLICY "a(u(" BATCH "))a(buu(" BATCH "))a(ss)b"

static int append_xmit(sd_bus_message *m)
{
        return sd_bus_message_append(m, "a(btssssuutt)", 1, true, UINT64_C(1), "", "", "", "", 0, 0,
                                     UINT64_C(0), UINT64_MAX);
}

/* one batch, for every user: anybody may connect, own, send and receive anything */
static int append_batches(sd_bus_message *m)
{
        int r;

        r = sd_bus_message_open_container(m, 'a', "(u(" BATCH "))");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', "u(" BATCH ")");
        if (r >= 0)
                r = sd_bus_message_append(m, "u", UINT32_MAX);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', BATCH);
        if (r >= 0)
                r = sd_bus_message_append(m, "bt", true, UINT64_C(1));
        if (r >= 0)
                r = sd_bus_message_append(m, "a(btbs)", 1, true, UINT64_C(1), true, "");
        if (r >= 0)
                r = append_xmit(m);
        if (r >= 0)
                r = append_xmit(m);
        for (int i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_policy(sd_bus_message *m, bool with_type)
{
        const char *shape = with_type ? POLICY "s" : POLICY;
        char variant[sizeof(POLICY) + 8];
        int r;

        snprintf(variant, sizeof(variant), "(%s)", shape);
        r = sd_bus_message_open_container(m, 'v', variant);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', shape);
        if (r >= 0)
                r = append_batches(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "a(buu(" BATCH "))", 0);
        if (r >= 0)
                r = sd_bus_message_append(m, "a(ss)b", 0, false);
        if (r >= 0 && with_type)
                r = sd_bus_message_append(m, "s", "session");
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

static int add_listener(sd_bus *bus, int fd, bool with_type)
{
        sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, NULL, BROKER_PATH, BROKER_INTERFACE,
                                           "AddListener");
        if (r >= 0)
                r = sd_bus_message_append(m, "oh", "/org/bus1/DBus/Listener/0", fd);
        if (r >= 0)
                r = append_policy(m, with_type);
        if (r >= 0)
                r = sd_bus_call(bus, m, 0, NULL, NULL);
        sd_bus_message_unref(m);
        return r;
}

static int add_names(sd_bus *bus, const struct recording *rec)
{
        const struct recorded_name *name;
        unsigned int n = 0;
        int r = 0;

        for (name = rec ? rec->names : NULL; name && r >= 0; name = name->hh.next) {
                char path[64];

                if (!name->activatable)
                        continue;
                snprintf(path, sizeof(path), NAME_PATH "%s%u", name->ever_owned ? "" : "fails", n++);
                r = sd_bus_call_method(bus, NULL, BROKER_PATH, BROKER_INTERFACE, "AddName", NULL,
                                       NULL, "osu", path, name->name, getuid());
        }
        return r;
}

/* the broker wants a name activated: those that nobody will take fail at once */
static int on_activate(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *path = sd_bus_message_get_path(m);
        uint64_t serial;
        int r;

        r = sd_bus_message_read(m, "t", &serial);
        if (r < 0 || strncmp(path, NAME_PATH "fails", strlen(NAME_PATH "fails")))
                return r;
        return sd_bus_call_method_async(sd_bus_message_get_bus(m), NULL, NULL, path, NAME_INTERFACE,
                                        "Reset", NULL, NULL, "ts", serial,
                                        NAME_INTERFACE ".Error.UnitFailure");
}

static int on_reload(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable controller_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("ReloadConfig", NULL, NULL, on_reload, 0),
        SD_BUS_VTABLE_END,
};

static int set_up(sd_bus *bus, int fd, int listen_fd, const struct recording *rec)
{
        int r;

        r = sd_bus_set_fd(bus, fd, fd);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, CONTROLLER_PATH, CONTROLLER_INTERFACE,
                                             controller_vtable, NULL);
        if (r >= 0)
                r = sd_bus_add_match(bus, NULL,
                                     "type='signal',interface='" NAME_INTERFACE
                                     "',member='Activate'",
                                     on_activate, NULL);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = add_names(bus, rec);
        if (r >= 0 && add_listener(bus, listen_fd, false) < 0)
                r = add_listener(bus, listen_fd, true);
        return r;
}

static pid_t spawn_broker(char **words, int fd, int peer_fd)
{
        char number[16], *argv[64];
        size_t n = 0;
        pid_t pid;

        while (words[n] && n < ARRAY_SIZE(argv) - 8) {
                argv[n] = words[n];
                n++;
        }
        snprintf(number, sizeof(number), "%d", fd);
        argv[n++] = (char *)"--controller";
        argv[n++] = number;
        argv[n++] = (char *)"--machine-id";
        argv[n++] = (char *)"0123456789abcdef0123456789abcdef";
        argv[n++] = (char *)"--max-bytes=1000000000000";
        argv[n++] = (char *)"--max-fds=100000";
        argv[n++] = (char *)"--max-matches=10000000";
        argv[n++] = (char *)"--max-objects=10000000";
        argv[n] = NULL;
        pid = fork();
        if (pid)
                return pid;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(peer_fd);
        fcntl(fd, F_SETFD, 0);
        execvp(argv[0], argv);
        fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
}

void broker_run(char **argv, int listen_fd, int ready_fd, const struct recording *rec)
{
        sd_bus *bus = NULL;
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ||
            spawn_broker(argv, fds[1], fds[0]) < 0)
                _exit(1);
        close(fds[1]);
        r = sd_bus_new(&bus);
        if (r >= 0)
                r = set_up(bus, fds[0], listen_fd, rec);
        if (r < 0) {
                fprintf(stderr, "cannot set up dbus-broker: %s\n", strerror(-r));
                _exit(1);
        }
        if (write(ready_fd, "1", 1) == 1)
                close(ready_fd);
        while (r >= 0) {
                r = sd_bus_process(bus, NULL);
                if (!r)
                        r = sd_bus_wait(bus, UINT64_MAX);
        }
        _exit(r == -ECONNRESET || r == -ENOTCONN ? 0 : 1);
}
