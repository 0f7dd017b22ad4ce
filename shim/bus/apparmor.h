/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * AppArmor
 *
 * What it is     The mediator for AppArmor: the rules of class dbus in profiles.
 * Rules          send       both ends are asked: the sender's profile for "send" to the receiver's
 *                           label and name, the receiver's for "receive" from the sender's
 *                own        "bind" of the name on this type of bus
 *                eavesdrop  "eavesdrop" on this type of bus
 *                start      like send, with the label that the service file assumes, or unconfined
 *                A requested reply is allowed: who may call may be answered. Who is unconfined is
 *                not asked. A profile in complain mode refuses nothing, and is heard of.
 * Where          Labels are what SO_PEERSEC says: "profile (mode)", or "unconfined".
 * Guard          None; the library opens the kernel's file for each question.
 */

#include "shim/bus/mediate.h"

/* What is used of libapparmor; replaced by tests. */
struct apparmor_library {
        bool (*is_enabled)(void); /* and the kernel mediates D-Bus */
        int (*getcon)(char **label, char **mode);
        int (*query)(uint32_t mask, char *query, size_t size, int *allow, int *audit);
};
extern struct apparmor_library apparmor_library;
