/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Args
 *
 * What it is     The one parser of every command and message: each declares the flags and items it
 *                takes, as a table; what is not declared is refused.
 * Promise        After args_parse() returned 0 each given item has passed item_check(), mandatory
 *                ones are there, single ones occur once, and no unknown flag is set.
 * How            The bytes are the daemon's own snapshot of the program's memory. Negotiation
 *                changes the snapshot in place; entry.c sends it back.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/kdbus/kdbus-abi.h"

enum {
        ARGS_E_NEGOTIATED = 1, /* done: nothing else is to happen */
};

struct args_item {
        uint64_t type;
        bool mandatory;
        bool multiple;
        struct kdbus_item *item; /* the last one seen */
};

struct args {
        uint64_t allowed_flags; /* without NEGOTIATE, which is always allowed */
        struct args_item *argv; /* [0] is NEGOTIATE: see ARGS_NEGOTIATE */
        size_t argc;
        struct kdbus_item *items;
        size_t items_size;
        bool copied_in;         /* the structure passed the size checks */
};

#define ARGS_NEGOTIATE                                                                             \
        {                                                                                          \
                .type = KDBUS_ITEM_NEGOTIATE                                                       \
        }

/* ARGS() - declare a command's table in place */
#define ARGS(name, flags, ...)                                                                     \
        struct args_item name##_argv[] = {ARGS_NEGOTIATE, ##__VA_ARGS__};                          \
        struct args name = {.allowed_flags = (flags),                                              \
                            .argv = name##_argv,                                                   \
                            .argc = sizeof(name##_argv) / sizeof(name##_argv[0])}

int args_parse(struct args *a, void *data, size_t n_data, size_t fixed, bool is_cmd);
struct kdbus_item *args_get(const struct args *a, uint64_t type);
