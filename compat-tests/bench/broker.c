/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * bench-broker: dbus-broker on a socket, without systemd
 *
 * Usage: bench-broker SOCKET|FD
 *
 * dbus-broker itself routes only; it is told by a controller, over a private connection, where to
 * listen and what the policy is. Here the program started becomes dbus-broker (so that its process
 * id is the broker's) and a child is its controller, which allows everybody everything.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define BROKER        "dbus-broker"
#define BATCH         "bta(btbs)a(btssssuutt)a(btssssuutt)"
#define POLICY        "a(u(" BATCH "))a(buu(" BATCH "))a(ss)bs"
#define MATCHES_LIMIT "4000000000"
#define BYTES_LIMIT   "100000000000"

static void check(int r, const char *what)
{
        if (r < 0) {
                fprintf(stderr, "bench-broker: %s: %s\n", what, strerror(-r));
                exit(1);
        }
}

static int listen_at(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd;

        if (strspn(path, "0123456789") == strlen(path))
                return atoi(path);
        if (strlen(path) >= sizeof(address.sun_path))
                check(-ENAMETOOLONG, path);
        strcpy(address.sun_path, path);
        unlink(path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(fd, 4096) < 0)
                check(-errno, path);
        return fd;
}

/* One batch of rules: connecting, owning, sending and receiving, each allowed without condition. */
static int append_batch(sd_bus_message *m)
{
        return sd_bus_message_append(m, "(" BATCH ")", 1, UINT64_C(1), 1, 1, UINT64_C(1), 1, "", 1,
                                     1, UINT64_C(1), "", "", "", "", 0, 0, UINT64_C(0), UINT64_MAX,
                                     1, 1, UINT64_C(1), "", "", "", "", 0, 0, UINT64_C(0),
                                     UINT64_MAX);
}

static int append_policy(sd_bus_message *m)
{
        int r;

        r = sd_bus_message_open_container(m, 'v', "(" POLICY ")");
        r = r < 0 ? r : sd_bus_message_open_container(m, 'r', POLICY);
        r = r < 0 ? r : sd_bus_message_open_container(m, 'a', "(u(" BATCH "))");
        r = r < 0 ? r : sd_bus_message_open_container(m, 'r', "u(" BATCH ")");
        r = r < 0 ? r : sd_bus_message_append(m, "u", UINT32_MAX);
        r = r < 0 ? r : append_batch(m);
        r = r < 0 ? r : sd_bus_message_close_container(m);
        r = r < 0 ? r : sd_bus_message_close_container(m);
        r = r < 0 ? r : sd_bus_message_append(m, "a(buu(" BATCH "))", 0);
        r = r < 0 ? r : sd_bus_message_append(m, "a(ss)", 0);
        r = r < 0 ? r : sd_bus_message_append(m, "bs", 0, "session");
        r = r < 0 ? r : sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static void control(int fd, int listener)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL;
        sd_bus *bus = NULL;
        int r;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        check(sd_bus_new(&bus), "bus");
        check(sd_bus_set_fd(bus, fd, fd), "bus");
        check(sd_bus_start(bus), "bus");
        check(sd_bus_message_new_method_call(bus, &m, NULL, "/org/bus1/DBus/Broker",
                                             "org.bus1.DBus.Broker", "AddListener"),
              "message");
        check(sd_bus_message_append(m, "oh", "/org/bus1/DBus/Listener/0", listener), "message");
        check(append_policy(m), "policy");
        r = sd_bus_call(bus, m, 0, &error, NULL);
        check(r, error.message ? error.message : "AddListener");
        sd_bus_message_unref(m);
        close(listener);

        /* what the broker tells its controller needs no answer here */
        for (;;) {
                r = sd_bus_process(bus, NULL);
                if (r < 0)
                        _exit(0);
                if (r == 0 && sd_bus_wait(bus, UINT64_MAX) < 0)
                        _exit(0);
        }
}

int main(int argc, char **argv)
{
        char controller[16];
        struct rlimit limit;
        int pair[2], listener;

        if (argc != 2) {
                fprintf(stderr, "Usage: bench-broker SOCKET|FD\n");
                return 2;
        }
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
        /* the broker takes for granted that accepting does not block */
        listener = listen_at(argv[1]);
        if (fcntl(listener, F_SETFL, O_NONBLOCK) < 0)
                check(-errno, argv[1]);
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
                check(-errno, "socketpair");

        switch (fork()) {
        case -1:
                check(-errno, "fork");
                break;
        case 0:
                close(pair[0]);
                control(pair[1], listener);
                break;
        }
        close(pair[1]);
        close(listener);
        snprintf(controller, sizeof(controller), "%d", pair[0]);
        execlp(BROKER, BROKER, "--controller", controller, "--machine-id",
               "00112233445566778899aabbccddeeff", "--max-bytes", BYTES_LIMIT, "--max-fds",
               MATCHES_LIMIT, "--max-matches", MATCHES_LIMIT, NULL);
        check(-errno, BROKER);
}
