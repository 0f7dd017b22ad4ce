/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "tools/message.h"
#include "tools/meta.h"
#include "tools/snapshot.h"

struct snapshot {
        struct pcap_writer *writer;
        sd_bus *bus;
        const char *const *except;
        size_t n_except;
        uint64_t time_ns;
        struct buf message;
};

static int put(struct snapshot *s, const char *member, const char *const *args)
{
        int r = meta_write(&s->message, member, args);

        if (!r)
                r = pcap_writer_put(s->writer, s->time_ns, buf_head(&s->message),
                                    buf_n(&s->message));
        return error_fold(r);
}

static bool is_excepted(const struct snapshot *s, const char *name)
{
        for (size_t i = 0; i < s->n_except; i++)
                if (s->except[i] && !strcmp(name, s->except[i]))
                        return true;
        return false;
}

/* 1: the bus says no, which is its right */
static int ask(struct snapshot *s, const char *interface, const char *member, const char *arg,
               sd_bus_message **reply)
{
        int r = sd_bus_call_method(s->bus, DRIVER_NAME, DRIVER_PATH, interface, member, NULL, reply,
                                   arg ? "s" : NULL, arg);

        if (r == -ENOMEM || r == -ECONNRESET || r == -ENOTCONN)
                return error_origin(r);
        return r < 0 ? 1 : 0;
}

struct credentials {
        char uid[16], pid[16], exe[512], command[512];
};

static void read_process(struct credentials *c)
{
        _cleanup_(closep) int fd = -1;
        char path[64];
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/%s/exe", c->pid);
        n = readlink(path, c->exe, sizeof(c->exe) - 1);
        c->exe[MAX(n, (ssize_t)0)] = 0;
        snprintf(path, sizeof(path), "/proc/%s/cmdline", c->pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? 0 : read(fd, c->command, sizeof(c->command) - 1);
        c->command[MAX(n, (ssize_t)0)] = 0;
        for (ssize_t i = 0; i + 1 < n; i++)
                if (!c->command[i])
                        c->command[i] = ' ';
}

static int read_credential(sd_bus_message *m, struct credentials *c)
{
        const char *key;
        uint32_t v;
        int r;

        r = sd_bus_message_read(m, "s", &key);
        if (r < 0)
                return r;
        if (strcmp(key, "UnixUserID") && strcmp(key, "ProcessID"))
                return sd_bus_message_skip(m, "v");
        r = sd_bus_message_read(m, "v", "u", &v);
        if (r >= 0)
                snprintf(*key == 'U' ? c->uid : c->pid, sizeof(c->uid), "%u", v);
        return r;
}

static int put_peer(struct snapshot *s, const char *name)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        struct credentials c = { 0 };
        const char *args[] = { name, c.uid, c.pid, c.exe, c.command, NULL };
        int r;

        r = ask(s, DRIVER_NAME, "GetConnectionCredentials", name, &reply);
        if (r)
                return MIN(r, 0); /* it is gone again */
        r = sd_bus_message_enter_container(reply, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
                r = read_credential(reply, &c);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        if (r < 0)
                return error_origin(r);
        if (*c.pid)
                read_process(&c);
        return put(s, "Peer", args);
}

static int put_owners(struct snapshot *s, const char *name)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *args[META_ARGS_MAX + 1] = { name };
        size_t n = 1;
        int r;

        r = ask(s, DRIVER_NAME, "ListQueuedOwners", name, &reply);
        if (r)
                return MIN(r, 0);
        r = sd_bus_message_enter_container(reply, 'a', "s");
        while (r >= 0 && n < META_ARGS_MAX && (r = sd_bus_message_read(reply, "s", &args[n])) > 0)
                n += !is_excepted(s, args[n]);
        args[n] = NULL;
        if (r < 0)
                return error_origin(r);
        return n > 1 ? put(s, "Owner", args) : 0;
}

static int put_names(struct snapshot *s, const char *list, int (*each)(struct snapshot *, const char *))
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *name;
        int r;

        r = ask(s, DRIVER_NAME, list, NULL, &reply);
        if (r)
                return MIN(r, 0);
        r = sd_bus_message_enter_container(reply, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(reply, "s", &name)) > 0)
                if (strcmp(name, DRIVER_NAME) && !is_excepted(s, name)) {
                        r = each(s, name);
                        if (r)
                                return r;
                }
        return MIN(r, 0);
}

static int put_unique(struct snapshot *s, const char *name)
{
        return *name == ':' ? put_peer(s, name) : 0;
}

static int put_well_known(struct snapshot *s, const char *name)
{
        return *name == ':' ? 0 : put_owners(s, name);
}

static int put_activatable(struct snapshot *s, const char *name)
{
        const char *args[] = { name, NULL };

        return put(s, "Activatable", args);
}

static int put_rules_of(struct snapshot *s, sd_bus_message *reply)
{
        const char *args[3] = { NULL };
        int r;

        r = sd_bus_message_read(reply, "s", &args[0]);
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(reply, "s", &args[1])) > 0) {
                if (is_excepted(s, args[0]))
                        continue;
                r = put(s, "Rule", args);
        }
        return r < 0 ? r : sd_bus_message_exit_container(reply);
}

static int put_rules(struct snapshot *s)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = ask(s, DRIVER_NAME ".Debug.Stats", "GetAllMatchRules", NULL, &reply);
        if (r)
                return MIN(r, 0);
        r = sd_bus_message_enter_container(reply, 'a', "{sas}");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sas")) > 0) {
                r = put_rules_of(s, reply);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        return MIN(r, 0);
}

int snapshot_write(struct pcap_writer *writer, sd_bus *bus, const char *address,
                   const char *const *except, size_t n_except, uint64_t time_ns)
{
        struct snapshot s = {
                .writer = writer,
                .bus = bus,
                .except = except,
                .n_except = n_except,
                .time_ns = time_ns,
        };
        const char *start[] = { "1", address, NULL };
        int r;

        r = put(&s, "Start", start);
        if (!r)
                r = put_names(&s, "ListNames", put_unique);
        if (!r)
                r = put_names(&s, "ListNames", put_well_known);
        if (!r)
                r = put_names(&s, "ListActivatableNames", put_activatable);
        if (!r)
                r = put_rules(&s);
        buf_deinit(&s.message);
        return error_fold(r);
}
