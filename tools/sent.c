/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "bus-core/util/error.h"
#include "tools/sent.h"

#define ROWS (1U << 15)
#define PLACES 4U

static struct sent *row_of(struct sent_table *t, uint32_t sender, uint32_t serial)
{
        uint32_t row = (sender * UINT32_C(2654435761) + serial) & (ROWS - 1);

        return t->places + (size_t)row * PLACES;
}

int sent_init(struct sent_table *t)
{
        t->places = calloc((size_t)ROWS * PLACES, sizeof(*t->places));
        return t->places ? 0 : error_origin(-ENOMEM);
}

void sent_deinit(struct sent_table *t)
{
        free(t->places);
        t->places = NULL;
}

void sent_add(struct sent_table *t, const struct sent *s)
{
        struct sent *row = row_of(t, s->sender, s->serial), *oldest = row;

        for (unsigned int i = 0; i < PLACES; i++) {
                if (!row[i].serial || (row[i].sender == s->sender && row[i].serial == s->serial)) {
                        row[i] = *s;
                        return;
                }
                if (row[i].index < oldest->index)
                        oldest = &row[i];
        }
        *oldest = *s;
}

struct sent *sent_find(struct sent_table *t, uint32_t sender, uint32_t serial)
{
        struct sent *row = row_of(t, sender, serial);

        for (unsigned int i = 0; i < PLACES; i++)
                if (serial && row[i].serial == serial && row[i].sender == sender)
                        return &row[i];
        return NULL;
}
