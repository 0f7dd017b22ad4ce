/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Driver: who is behind a name, by the kernel's word. */

#include "config.h"

#include <string.h>

#include "shim/bus/mediate.h"
#include "shim/dbus/driver.h"

/*
 * The credentials behind the name argument: a client's, or the bus's own and *@client NULL. NULL:
 * the error is sent.
 */
static const struct creds *target(struct call *call, struct client **client, const char *what)
{
        const char *name;

        *client = driver_target(call, &name, what);
        if (*client)
                return (*client)->creds;
        return strcmp(name, BUS_NAME) == 0 ? call->bus->creds : NULL;
}

static const struct creds *target_creds(struct call *call, const char *what)
{
        struct client *client;

        return target(call, &client, what);
}

void driver_get_connection_unix_user(struct call *call)
{
        const struct creds *creds = target_creds(call, "UID");

        if (!creds)
                return;
        if (creds->has_uid)
                driver_reply_u32(call, creds->uid);
        else
                driver_error(call, OUTCOME_FAILED, "Could not determine UID for the name");
}

void driver_get_connection_unix_process_id(struct call *call)
{
        const struct creds *creds = target_creds(call, "PID");

        if (!creds)
                return;
        if (creds->pid)
                driver_reply_u32(call, creds->pid);
        else
                driver_error(call, OUTCOME_PROCESS_ID_UNKNOWN, "Could not determine PID for the name");
}

static void add_groups(struct writer *w, const struct creds *creds)
{
        writer_open(w, '{', NULL);
        writer_string(w, "UnixGroupIDs");
        writer_open(w, 'v', "au");
        writer_open(w, 'a', NULL);
        for (size_t i = 0; i < creds->n_gids; i++)
                writer_u32(w, creds->gids[i]);
        writer_close(w);
        writer_close(w);
        writer_close(w);
}

/* A pidfd for whoever asked, if it can take one. */
static struct fdset *process_fd(struct call *call, struct client *client)
{
        struct fdset *set;
        int fd;

        if (!client || !call->sender->accepts_fds)
                return NULL;
        fd = client->door->pidfd(client);
        if (fd < 0)
                return NULL;
        if (fdset_new(&set, &fd, 1)) {
                close(fd);
                return NULL;
        }
        return set;
}

static void add_container(struct writer *w, const struct container *c)
{
        writer_open(w, '{', NULL);
        writer_string(w, CONTAINERS_INTERFACE ".Instance");
        writer_open(w, 'v', "o");
        writer_path(w, c->path);
        writer_close(w);
        writer_close(w);
        writer_dict_string(w, CONTAINERS_INTERFACE ".Type", c->type);
        writer_dict_string(w, CONTAINERS_INTERFACE ".Name", c->name);
}

void driver_get_connection_credentials(struct call *call)
{
        struct client *client;
        const struct creds *creds = target(call, &client, "credentials");
        struct fdset *fds;
        struct writer w;

        if (!creds)
                return;
        fds = process_fd(call, client);
        notice_begin(&w, call->turn, HEADER_RETURN, call->sender);
        writer_field_u32(&w, FIELD_REPLY_SERIAL, call->e->header.serial);
        writer_field_u32(&w, FIELD_UNIX_FDS, fds ? fds->n : 0);
        writer_body(&w, "a{sv}");
        writer_open(&w, 'a', NULL);
        if (creds->has_uid)
                writer_dict_u32(&w, "UnixUserID", creds->uid);
        if (creds->has_gids && client)
                add_groups(&w, creds);
        if (creds->pid)
                writer_dict_u32(&w, "ProcessID", creds->pid);
        if (creds->label)
                writer_dict_bytes(&w, "LinuxSecurityLabel", creds->label, creds->label_len + 1);
        if (client && client->container)
                add_container(&w, client->container);
        if (fds) {
                writer_open(&w, '{', NULL);
                writer_string(&w, "ProcessFD");
                writer_open(&w, 'v', "h");
                writer_fd(&w, 0);
                writer_close(&w);
                writer_close(&w);
        }
        writer_close(&w);
        notice_send_fds(&w, call->turn, call->sender, fds);
}

void driver_get_adt_audit_session_data(struct call *call)
{
        if (target_creds(call, "audit session data"))
                driver_error(call, OUTCOME_AUDIT_DATA_UNKNOWN,
                             "Could not determine audit session data for the name");
}

/* The context without a NUL at its end. */
void driver_get_connection_selinux_security_context(struct call *call)
{
        const char *own = mediation_label(call->bus->mediation, "SELinux");
        const struct creds *creds = target_creds(call, "security context");
        const char *label;
        struct writer w;

        if (!creds)
                return;
        label = creds == call->bus->creds ? own : creds->label;
        if (!own || !label) {
                driver_error(call, OUTCOME_SELINUX_CONTEXT_UNKNOWN,
                             "Could not determine security context for the name");
                return;
        }
        driver_reply(&w, call, "ay");
        writer_bytes(&w, label, strlen(label));
        driver_send(&w, call);
}
