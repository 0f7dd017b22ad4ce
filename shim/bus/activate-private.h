/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of activation share: activate.c, activate-launch.c, activate-systemd.c. */

#include "shim/bus/activate.h"
#include "shim/bus/environment.h"
#include "shim/bus/poller.h"
#include "shim/bus/service-file.h"

enum activation_state {
        ACTIVATION_NEW,
        ACTIVATION_AWAITED,
        ACTIVATION_SUMMONED,
        ACTIVATION_LAUNCHED,
        ACTIVATION_UNASKED,
        ACTIVATION_ASKED,
};

struct activator {
        struct bus *bus;
        struct poller *poller;
        struct service_table *table; /* NULL: no services */
        char *helper;                /* NULL: programs are started by the bus itself */
        bool stopped;

        struct environment environment;
        struct environment untold; /* what systemd is to hear once it is there, if @tell */
        bool tell;                 /* even if it is nothing */

        struct cds_list_head pending; /* activations, oldest first */
        size_t n_waiters;
        struct account *account; /* of the messages that wait */
        struct timer timer;
        uint64_t next_due; /* what the timer is set to; UINT64_MAX: not set */
        uint64_t manager;  /* peer id of the systemd that answers questions; BUS_ID: none */
};

/* What is known of a unit that systemd was asked for. */
struct job {
        uint32_t serial;    /* of the question that systemd has to answer; 0: none */
        bool exit_asked;    /* that is how the program ended, not how the unit is */
        bool skipped;       /* a condition was not met; the answer will say which */
        char *path;         /* the unit's object; NULL: not known */
        char *result;       /* of the last job that is gone; NULL: none is */
        char *unmet;        /* "Condition=value", as far as systemd says which; NULL */
        char *service;      /* the service's result, "exit-code" or so; NULL: not known */
        int32_t exit_code;  /* CLD_*; 0: its program did not run */
        int32_t exit_status;
};

struct activation {
        struct activator *activator;
        struct name *name;       /* counted; its ->activation is this */
        struct service *service; /* counted; NULL if it is AWAITED */
        enum activation_state state;
        char *unit;     /* what systemd is to start; NULL: it is not asked */
        bool by_helper; /* by the bus, or, if there is a unit, inside of that */
        bool shown; /* monitors have seen the request, which systemd is yet to hear */
        struct launch *launch; /* the program while it runs; NULL: none */
        uint64_t since;        /* CLOCK_MONOTONIC, microseconds */
        uint64_t due;          /* CLOCK_MONOTONIC, microseconds; UINT64_MAX: never */

        struct job job;
        struct cds_list_head link;
        struct cds_list_head waiters;
};

/* activation_subject() - for log_limited() */
static inline uint64_t activation_subject(const struct activation *activation)
{
        return activation->name->node.hash;
}

/* activation_fail() - all who wait are told; the program is killed if @kill. Consumes it. */
void activation_fail(struct turn *turn, struct activation *activation, const char *error_name,
                     const char *text, bool kill);

/* activation_launch() - start its program; on failure it has failed, and is gone */
void activation_launch(struct turn *turn, struct activation *activation, struct client *who);

/* activation_exited() - its program ended otherwise than well: it has failed, and is gone */
void activation_exited(struct turn *turn, struct activation *activation, enum launch_end how,
                       int number);

/* systemd_choose() - has it a unit? 0, or -ENOMEM */
int systemd_choose(struct activation *activation);

/* systemd_begin() - ask systemd for its unit, now or when systemd is there */
void systemd_begin(struct turn *turn, struct activation *activation, struct client *who);

/* systemd_arrived() - tell a new owner of systemd's name what it is to start, and to set */
void systemd_arrived(struct turn *turn, struct activator *activator, struct client *systemd);

/* job_manager_is() - systemd's name has a new owner: may it be asked? */
void job_manager_is(struct turn *turn, struct activator *activator, struct client *systemd);

void job_deinit(struct job *job);

/* job_asked() - an activation is ASKED now: follow its unit */
void job_asked(struct turn *turn, struct activation *activation, struct client *systemd);

/* systemd_update_environment() - the same for variables; 0 or -ENOMEM and nothing changed */
int systemd_update_environment(struct turn *turn, struct activator *activator,
                               char *const *entries);
