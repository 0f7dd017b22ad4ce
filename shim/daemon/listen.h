/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Listen
 *
 * What it is     The addresses a bus can be reached at, and the sockets behind them.
 * How            Each address of the configuration (or of --address) becomes a listener, or with
 *                "systemd:" as many as were passed. Accepted sockets are given to the workers.
 *                While there are max_incomplete_connections that have not said Hello,
 *                nothing is accepted: the rest wait in the kernel's queue.
 * Source         D-Bus specification, "Server Addresses"; transports in dbus-daemon's own form.
 */

#include <urcu/list.h>

#include "shim/bus/container.h"
#include "shim/bus/poller.h"
#include "shim/daemon/crew.h"
#include "shim/dbus/conn.h"

#define LISTEN_WHY_MAX 512

struct listener {
        struct conn_config config;
        struct cds_list_head link;
        struct listeners *all;
        struct watch watch;
        int fd;
        char *address;    /* to print, without guid */
        char *unlink;     /* socket in the file system that is ours to remove; NULL: none */
        char *nonce_file; /* likewise */
        uint8_t nonce[CONN_NONCE];
        struct timer close; /* of a container: set when it is to end */
};

struct listeners {
        struct cds_list_head list; /* in the order made */
        struct bus *bus;
        struct crew *crew;
        struct timer resume; /* set while nothing is accepted */
        struct conn_config config; /* what all have in common */
        pthread_mutex_t lock; /* of the list, which containers change from any thread */
        bool stopped;
        bool keep_files; /* do not remove them at the end: another process serves them */
};

void listeners_init(struct listeners *all, struct bus *bus, const struct conn_config *config);
void listeners_deinit(struct listeners *all);

/**
 * listeners_add() - listen at the addresses of a list
 * @why:        LISTEN_WHY_MAX bytes for the reason of a failure
 *
 * Return:      0, or a negative errno with the reason.
 */
int listeners_add(struct listeners *all, const char *addresses, char *why);

/* listeners_print() - all addresses, the last first, as the reference prints them; caller frees */
char *listeners_print(const struct listeners *all);

/* listeners_start() - accept, in the first worker's thread */
int listeners_start(struct listeners *all, struct crew *crew);
void listeners_stop(struct listeners *all);

/* listeners_make_dir() - where containers' sockets will be; before root's power is given up */
void listeners_make_dir(const char *type, uid_t uid, gid_t gid);

/**
 * listeners_open_container() - listen for the programs of a container; any thread
 * @address:    receives the address with its guid; caller frees
 *
 * Takes a reference to the container until it is closed.
 */
int listeners_open_container(struct listeners *all, struct container *container, char **address,
                             char *why);

/* listener_close_container() - listen no more; any thread */
void listener_close_container(struct listener *listener);

/* listener_free_container() - its last connection is gone; any thread */
void listener_free_container(struct listener *listener);

/* random_id() - 32 random hex digits and a NUL */
void random_id(char out[static 33]);
