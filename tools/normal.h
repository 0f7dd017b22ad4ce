/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Normalising
 *
 * What it is     The table of what must differ between two replays although nothing is wrong: what
 *                the bus makes up by itself (its id, its serials, its sentences, pids) and what
 *                has no order (lists of names, dictionaries).
 */

#include "shim/wire/header.h"
#include "tools/rewrite.h"

enum normal_answer {
        NORMAL_PLAIN,   /* compare as it is */
        NORMAL_ID,      /* a text of this bus's own */
        NORMAL_SET,     /* an array without an order */
        NORMAL_PIDS,    /* credentials */
        NORMAL_NUMBERS, /* counters */
};

/* normal_answer() - what the bus's reply to this call needs */
enum normal_answer normal_answer(const uint8_t *msg, const struct header *h);

/**
 * normal_prepare() - how to rewrite a received message
 * @how:        to be filled in further
 * @h:          its header
 * @from_bus:   the bus itself sent it
 * @answer:     of the call it answers
 */
void normal_prepare(struct rewrite *how, const struct header *h, bool from_bus,
                    enum normal_answer answer);
