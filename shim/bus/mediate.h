/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Mediation
 *
 * What it is     The security modules' say in what clients may do: send, own a name, eavesdrop.
 *                It comes before the policy of the configuration, and both must allow.
 * How            Each module is a `mediator`: a file of its own that knows its library, built if
 *                that is there, and on if the kernel and the configuration want it. A question
 *                is put to all that are on; the first no ends it. Each mediator writes its own
 *                denials, in the form its tools read (see audit.h).
 * Costs          Nothing where no module is on: bus->mediation is NULL, one predicted branch.
 * Not mediated   What the bus itself sends.
 * Guard          Questions: any thread, holding the bus's guard. Associations: its write side.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bus-core/util/cleanup.h"

struct bus;
struct client;
struct envelope;
struct mediation;
struct turn;

/* One side of what is asked about. */
struct mediate_party {
        const char *label; /* as SO_PEERSEC tells it; NULL: unknown */
        pid_t pid;         /* 0: unknown */
};

/* What is sent; texts are NULL where the message has none. */
struct mediate_message {
        uint8_t type;
        bool requested_reply; /* answers a call that waits for it */
        const char *path, *interface, *member, *error;
        const char *destination, *sender;
};

struct mediate_question {
        struct mediate_party subject;          /* who wants to do it */
        struct mediate_party object;           /* the receiver, or the bus */
        bool starting;                         /* the receiver does not run yet */
        const struct mediate_message *message; /* to send */
        const char *name;                      /* to own */
        const char *context;                   /* of that name; NULL: none is associated */
};

/* The bus as a module sees it. */
struct mediate_bus {
        const char *type; /* "system", "session"; "" when it has none */
        char *label;      /* the module's label of this process; owned */
};

enum mediate_mode {
        MEDIATE_IF_PRESENT,
        MEDIATE_OFF,
        MEDIATE_REQUIRED,
};

/* One security module. */
struct mediator {
        const char *name; /* as in the property Features */

        /* start() - is it there? Fills @bus->label. 0, MEDIATOR_E_ABSENT or a negative errno */
        int (*start)(struct mediate_bus *bus);

        bool (*may_send)(const struct mediate_bus *bus, const struct mediate_question *q);
        bool (*may_own)(const struct mediate_bus *bus, const struct mediate_question *q);
        bool (*may_eavesdrop)(const struct mediate_bus *bus, const struct mediate_question *q);

        /* event_fd() - readable when something happened to its policy; -1: never. Borrowed. */
        int (*event_fd)(void);

        /* happened() - event_fd was readable: was a new policy loaded? */
        bool (*happened)(void);
};

enum { MEDIATOR_E_ABSENT = 1 };
enum { MEDIATION_E_REQUIRED = 1 };

extern const struct mediator mediator_selinux;
extern const struct mediator mediator_apparmor;

/**
 * mediation_new() - see which modules are there
 * @type:       the bus's, or NULL
 * @why:        @size bytes for the reason of MEDIATION_E_REQUIRED
 *
 * Return:      0 with *@out NULL if none is on; MEDIATION_E_REQUIRED if AppArmor must be but is
 *              not there; or a negative errno.
 */
int mediation_new(struct mediation **out, const char *type, enum mediate_mode apparmor, char *why,
                  size_t size);

/* mediation_of() - the same with given modules, for tests */
int mediation_of(struct mediation **out, const char *type, const struct mediator *const *mediators,
                 size_t n);
struct mediation *mediation_free(struct mediation *m);
DEFINE_FREEP(struct mediation, mediation_free)

/* mediation_at() - the i-th module that is on; NULL after the last */
const struct mediator *mediation_at(const struct mediation *m, size_t i);

/* mediation_label() - the label of this process, as the module called @name has it; or NULL */
const char *mediation_label(const struct mediation *m, const char *name);

/* mediation_associate() - owning @name is from now on judged with @context; write side */
int mediation_associate(struct mediation *m, const char *name, const char *context);
void mediation_forget_associations(struct mediation *m);

/* The questions of the bus; called through the inline functions below. */
bool mediation_send(struct turn *turn, struct client *sender, const struct envelope *e,
                    const struct client *to, bool requested, bool addressed);
bool mediation_start_service(struct turn *turn, struct client *sender, const struct envelope *e,
                             const char *label);
bool mediation_own(const struct mediation *m, const struct client *client, const char *name,
                   const char **by);
bool mediation_eavesdrop(const struct mediation *m, const struct client *client, const char **by);

/* mediate_off() - is there nothing to ask? */
static inline bool mediate_off(const struct mediation *m)
{
        return __builtin_expect(!m, 1);
}
