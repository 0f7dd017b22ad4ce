/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Party
 *
 * What it is     One side of a message as policy sees it: a user with groups, and the bus names
 *                that it owns or waits for.
 * How            It is written in one of these ways:
 *
 *                USER[=NAME,...]       someone who need not be there: a user's name or number,
 *                                      owning these names
 *                :1.5, com.example.A   whoever that is on the bus now; a well-known name that
 *                                      nobody has stands for an owner of whom only that is known
 *                org.freedesktop.DBus  the bus itself, which has no rules of its own
 */

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-bus.h>

#include "shim/bus/policy.h"

#define PARTY_NAMES_MAX 64
#define PARTY_GROUPS_MAX 256

struct party {
        const char *text; /* as written */
        bool is_bus;
        bool has_user;
        uid_t uid;
        gid_t gids[PARTY_GROUPS_MAX];
        size_t n_gids;
        char *names[PARTY_NAMES_MAX];
        size_t n_names;
};

/**
 * party_read() - find out who @text is
 * @bus:        to ask; NULL: there is none
 *
 * Return:      a VERB_*; on VERB_FAILED the reason was printed.
 */
int party_read(struct party *party, const char *text, sd_bus *bus);

/* party_needs_bus() - must a bus be asked who @text is? */
bool party_needs_bus(const char *text);
void party_deinit(struct party *party);
