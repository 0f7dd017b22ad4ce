/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bus
 *
 * What it is     One bus: the root that all its state hangs off.
 * Promise        1. Each operation on the registry is announced as one transaction: NameLost to
 *                   the old owner, NameOwnerChanged, NameAcquired to the new one, then the reply.
 *                2. Ids and unique names are never used again.
 * Guard          bus->guard, unless a field says otherwise. There may be several buses in one
 *                process.
 */

#include "bus-core/core.h"
#include "shim/bus/client.h"
#include "shim/bus/envelope.h"
#include "shim/bus/guard.h"
#include "shim/bus/limit-table.h"
#include "shim/bus/limits.h"
#include "shim/bus/match.h"
#include "shim/bus/name.h"
#include "shim/bus/outcome.h"
#include "shim/bus/policy.h"
#include "shim/bus/turn.h"

#define BUS_NAME "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"
#define BUS_INTERFACE "org.freedesktop.DBus"

#define BUS_CONFIG_TYPE "(stusas)" /* see bus_keeper */

#define BUS_ID MATCH_DRIVER /* the peer id of the bus as a sender */

struct activation;
struct activator;
struct launch;
struct container;
struct mediation;
struct writer;

/* A uid with connections. */
struct user {
        uid_t uid;
        struct account *account;
        size_t n_clients;   /* that exist */
        size_t n_completed; /* that said Hello */
        bool oom;
        UT_hash_handle hh;
};

/* What the bus's own object is: the second of the two hooks that call upward (see client.h). */
struct bus_local {
        /*
         * call() - a message for the bus itself. Answered in line, so that what it does is done
         * before the sender's next message is routed. The turn holds the read side, and may
         * come back with the write side.
         */
        void (*call)(struct turn *turn, struct client *sender, struct envelope *e);
};

/*
 * Who stands in for services that are yet to come, at another door: the fourth and last hook.
 * Message or StartServiceByName(): what is for such a name begins an activation.
 */
struct bus_stand_ins {
        /* have() - does anybody stand in for this name? at() - the names; either side */
        bool (*have)(void *data, const char *name);
        const char *(*at)(void *data, size_t index);

        /* summon() - somebody waits for the name; write side, must not wait */
        void (*summon)(void *data, const char *name, struct envelope *e);

        /* dismiss() - nobody does any more; write side */
        void (*dismiss)(void *data, const char *name);
};

/* What the keeper of a bus (the daemon) does for it; the third hook. */
struct bus_keeper {
        /*
         * reload() - read the configuration again; the turn holds the write side. 0, -ENOENT if a
         * file is not there, or another negative errno
         */
        int (*reload)(struct bus *bus, struct turn *turn, char *why, size_t size);

        /*
         * describe() - the configuration in force, as one value of type BUS_CONFIG_TYPE: the file,
         * microseconds since it was read, how often it was read again, why that failed the last
         * time ("": it did not), and what is wrong with it. The guard is held.
         */
        void (*describe)(struct bus *bus, struct writer *w);

        /* at_console() - is this user at the machine? Write side; must not wait for anyone. */
        bool (*at_console)(struct bus *bus, uid_t uid);

        /*
         * open_container() - listen for the programs of a container, write side. Takes a
         * reference for as long as it listens, and may set container->listener. 0, a negative
         * errno, or a positive one of its own, with the reason in @why.
         */
        int (*open_container)(struct bus *bus, struct container *container, char **address,
                              char *why);

        /* close_container() - listen no more; write side, any thread */
        void (*close_container)(struct bus *bus, void *listener);

        /* free_container() - nobody is there any more who came by it; any thread */
        void (*free_container)(struct bus *bus, void *listener);

        /*
         * launch() - start a program, with the write side held: must not wait for it. Tells its
         * end by activation_ended(), unless abandon() came first. 0, or a negative errno if there
         * can be no new process.
         */
        int (*launch)(struct bus *bus, struct launch **out, struct activation *activation,
                      const char *name, char *const *argv, char *const *envp);

        /* abandon() - the activation is over: kill the program, or leave it to itself */
        void (*abandon)(struct bus *bus, struct launch *launch, bool kill);
};

struct bus {
        struct guard guard;
        struct peer self; /* the bus as a sender */
        const struct bus_local *local;
        const struct bus_keeper *keeper;
        _Atomic uint64_t next_id; /* of peers; from 0, so that the first client is ":1.0" */
        _Atomic uint32_t next_serial; /* of the bus's own messages */
        _Atomic uint64_t n_stats, n_connection_stats; /* answers of Debug.Stats */

        uint64_t started;    /* CLOCK_MONOTONIC, microseconds */
        char id[33];         /* GetId(): 32 hex digits */
        char machine_id[33]; /* "" when there is none */
        char *type;          /* "session", "system", another, or NULL */
        char *address;       /* all listeners, as printed */
        struct creds *creds; /* of this process */
        bool systemd_activation;
        const char *service_unit; /* template of units for services that name none; NULL: none */

        struct limits limits;
        struct limit_origin limit_origin[LIMITS_N];
        struct limit_table *limit_table; /* the same, and overrides: ask limits_for(); never NULL */
        struct policy *policy;
        struct mediation *mediation; /* NULL: no security module is on; constant while it runs */

        struct name_registry names;
        struct match_index rules;    /* who wants broadcasts, or eavesdrops */
        struct match_index monitors; /* who is shown everything */
        struct client *clients;      /* by peer id; Hello said */
        struct user *users;          /* by uid */
        struct ledger ledger;        /* what they all did */
        struct cds_list_head turns;  /* of all threads that run */
        struct cds_list_head containers; /* by age */
        uint64_t next_container;
        size_t n_containers;
        _Atomic bool container_headers; /* somebody wants to know where messages come from */
        size_t n_completed;
        _Atomic size_t n_incomplete; /* connections that have not said Hello */
        size_t n_monitors;
        size_t n_rules;
        size_t peak_rules, peak_rules_per_client, peak_names, peak_names_per_client;

        _Atomic unsigned int n_workers; /* threads that run */
        _Atomic uint64_t n_moved;       /* connections that went from one to another, ever */

        struct activator *activator; /* NULL: no services */
        const struct bus_stand_ins *stand_ins; /* NULL: no door has any */
        void *stand_ins_data;
};

int bus_init(struct bus *bus, unsigned int n_workers, const struct bus_local *local);
void bus_deinit(struct bus *bus);

/*
 * bus_expect_client() - count one that has not said Hello, from the moment it is let in; if it
 * never becomes a client, bus_forget_client() takes it back
 */
void bus_expect_client(struct bus *bus);
void bus_forget_client(struct bus *bus);

/* bus_find() - the client that has a bus name now: unique or well-known; NULL for nobody */
struct client *bus_find(const struct bus *bus, const char *name, size_t n);
struct client *bus_find_id(const struct bus *bus, uint64_t id);

/* bus_n_names() - unique names, and who owns or waits for a well-known one; the guard is held */
size_t bus_n_names(const struct bus *bus);

/* bus_note_names() - @client has one more; the guard's write side */
void bus_note_names(struct bus *bus, struct client *client);

/* bus_add_rule() - as match_add(), for what @client is, and counted; the guard's write side */
int bus_add_rule(struct bus *bus, struct client *client, struct match_rule *rule);

/* bus_is_privileged() - may this client do what only the bus's own user and root may? */
bool bus_is_privileged(const struct bus *bus, const struct client *client);

/* bus_limit() - the text that explains a limit: name, value, where it was set */
const char *bus_limit(const struct bus *bus, size_t index, char *buf, size_t size);
#define BUS_LIMIT_MAX 512

/* client_hello_check() - may it say Hello? 0, or OUTCOME_* with the reason in @why */
int client_hello_check(struct turn *turn, struct client *client, char *why, size_t size);

/* client_hello() - NEW becomes ACTIVE; 0 or -ENOMEM. Announced by client_welcome(). */
int client_hello(struct turn *turn, struct client *client);

/* client_welcome() - after the reply to Hello: NameOwnerChanged, NameAcquired */
void client_welcome(struct turn *turn, struct client *client);

/* client_identify() - a NEW client proved to be someone whom the kernel did not vouch for */
int client_identify(struct turn *turn, struct client *client, struct creds *creds);

/* client_monitor() - ACTIVE becomes MONITOR: loses all names and rules, each announced */
void client_monitor(struct turn *turn, struct client *client);

/* client_disconnect() - becomes GONE; announces what it takes with it. May be called again. */
void client_disconnect(struct turn *turn, struct client *client);

/* bus_announce() - tell the world of a change of a primary owner, and act on it */
void bus_announce(struct turn *turn, const struct name_change *change);

/* bus_expire_replies() - NoReply to all who have waited past @now (CLOCK_MONOTONIC, usec) */
void bus_expire_replies(struct turn *turn, uint64_t now);

/* bus_review_console() - ask for all clients who is at the console, and judge them by that */
int bus_review_console(struct bus *bus);

/*
 * bus_set_limits() - replace the limits of everyone, or on -ENOMEM none; the table is counted. What
 * may wait for a connection (max_outgoing_*) is settled when it is made.
 */
int bus_set_limits(struct bus *bus, struct limit_table *table);

/* bus_set_policy() - replace the policy and judge everyone by it from now on */
int bus_set_policy(struct bus *bus, struct policy *policy);
