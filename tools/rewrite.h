/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rewriting
 *
 * What it is     A message written again with some things replaced: the unique names in it, the
 *                serial, secrets, whatever must differ between two runs of the same recording.
 * How            The header is written field by field in a fixed order, so that two messages that
 *                say the same become the same bytes. The body is copied as it is unless something
 *                in it has to change.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/wire/header.h"
#include "tools/buf.h"

/* what is blanked in the body: texts become 'x's of the same length, numbers 0 */
enum rewrite_blank {
        REWRITE_BLANK_NOTHING,
        REWRITE_BLANK_ALL,     /* all but paths, signatures and descriptor indices */
        REWRITE_BLANK_TEXT,    /* texts become empty */
        REWRITE_BLANK_PIDS,    /* the number of a process that is not @own_pid; after "ProcessID" */
        REWRITE_BLANK_NUMBERS, /* numbers become 0; texts stay */
};

/* the name that takes the place of a unique name, or NULL to leave it */
typedef const char *rewrite_name(void *context, const char *name, size_t n);

struct rewrite {
        rewrite_name *name; /* may be NULL */
        void *context;
        uint32_t serial;   /* 0: as it is */
        bool drop_sender;  /* for sending; else the sender is replaced like any name */
        bool sort;         /* the body is an array whose order means nothing */
        enum rewrite_blank blank;
        uint32_t own_pid;
};

/* rewrite_text() - append a text with all unique names in it replaced; false: there were none */
bool rewrite_text(struct buf *out, const char *s, size_t n, rewrite_name *name, void *context);

/**
 * rewrite_message() - append a message in its new form
 * @out:        emptied first
 * @msg:        valid
 * @h:          what header_parse() said of it
 *
 * Return:      0, -EBADMSG, -ENOMEM.
 */
int rewrite_message(struct buf *out, const uint8_t *msg, const struct header *h,
                    const struct rewrite *how);
