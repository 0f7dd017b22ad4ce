/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Handle, cmd
 *
 * What it is     A handle is an opened node; a cmd is one ioctl on it, under way.
 * How            The first successful set-up command makes the handle's kind, for good:
 *
 *                  control --BUS_MAKE--> BUS_OWNER
 *                  endpoint --ENDPOINT_MAKE--> EP_OWNER        each by handle_run()
 *                  endpoint --HELLO--> CONNECTED
 *
 *                handle_run() finds the command's row for that kind and calls it. A command
 *                changes the snapshot of the program's structure; the door sends it back.
 * Errors         Below the door everything returns 0 or a negative errno: the ABI's own outcomes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/kdbus/kmsg.h"
#include "shim/kdbus/kmeta.h"

struct args;
struct domain;
struct kbus;
struct kconn;
struct kentry;
struct kep;
struct kreply;
struct pool_slice;

enum handle_kind {
        HANDLE_UNUSED,
        HANDLE_BUS_OWNER,
        HANDLE_EP_OWNER,
        HANDLE_CONNECTED,
};

struct handle {
        struct domain *domain;
        int socket; /* borrowed; the kernel knows who opened it; -1: another for the opener */
        enum handle_kind kind;
        struct kep *ep;         /* the endpoint opened; NULL: control */
        struct kmeta opener;     /* credentials of the open file */
        struct kmeta_view view;  /* and the namespaces it was opened in */
        union {
                struct kbus *bus_owner;
                struct kep *ep_owner;
                struct kconn *conn;
        };
};

struct cmd {
        struct handle *handle;
        struct caller caller;
        uint32_t code;
        void *data; /* NULL: could not be read */
        size_t n_data;
        void *msg; /* SEND; NULL: could not be read */
        size_t n_msg;
        struct kpayload payload;
        const int *fds;
        size_t n_fds;
        int cancel_fd; /* -1: not given, or not a descriptor */
        bool unasked;  /* from an outbox: nothing is known of the caller */

        bool back;     /* the structure is sent back */
        bool msg_back; /* the message too (negotiation) */
        struct kentry *install;          /* a message whose descriptors go to the program */
        struct kdbus_msg_info *install_info;
        struct kreply *wait;             /* blocked: the window waited for */
};

int handle_init(struct handle *h, struct domain *domain, int socket, struct kep *ep,
                const struct caller *caller);
void handle_deinit(struct handle *h);
int handle_run(struct cmd *c);

bool handle_is_privileged(const struct handle *h);
bool handle_is_owner(const struct handle *h);
int cmd_parse(struct cmd *c, struct args *args, size_t fixed);
int cmd_publish(struct kconn *conn, struct pool_slice *slice, __u64 *offset, __u64 *size);

int cmd_bus_make(struct cmd *c);
int cmd_endpoint_make(struct cmd *c);
int cmd_endpoint_update(struct cmd *c);
int cmd_bus_creator_info(struct cmd *c);
int cmd_hello(struct cmd *c);
int cmd_byebye(struct cmd *c);
int cmd_update(struct cmd *c);
int cmd_free(struct cmd *c);
int cmd_conn_info(struct cmd *c);
int cmd_list(struct cmd *c);
int cmd_send(struct cmd *c);
int cmd_recv(struct cmd *c);
int cmd_name_acquire(struct cmd *c);
int cmd_name_release(struct cmd *c);
int cmd_match_add(struct cmd *c);
int cmd_match_remove(struct cmd *c);
