/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>

#include "shim/bus/bus.h"
#include "shim/bus/turn.h"

int turn_init(struct turn *turn, struct bus *bus, unsigned int slot)
{
        *turn = (struct turn){ .bus = bus, .slot = slot, .budget = TURN_BUFFER };
        CDS_INIT_LIST_HEAD(&turn->touched);
        tx_init(&turn->tx, &bus->self);
        tx_init(&turn->out, NULL);
        CDS_INIT_LIST_HEAD(&turn->link);
        turn->buffer = malloc(TURN_KEEP + TURN_BUFFER);
        turn->kinds = calloc(1, sizeof(*turn->kinds));
        if (!turn->buffer || !turn->kinds)
                return error_origin(-ENOMEM);
        turn_write(turn);
        cds_list_add_tail(&turn->link, &bus->turns);
        turn_release(turn);
        return 0;
}

/* It is off the list; what its thread has counted is not to be lost. */
static void leave_kinds(struct turn *turn)
{
        struct turn *first;

        if (cds_list_empty(&turn->bus->turns))
                return;
        first = cds_list_first_entry(&turn->bus->turns, struct turn, link);
        if (turn->kinds)
                kinds_add(first->kinds, turn->kinds);
}

void turn_deinit(struct turn *turn)
{
        assert(cds_list_empty(&turn->touched) && !turn->full);
        match_hits_deinit(&turn->hits);
        turn_write(turn);
        cds_list_del(&turn->link);
        leave_kinds(turn);
        turn_release(turn);
        free(turn->buffer);
        free(turn->kinds);
        cache_trim();
}

void turn_read(struct turn *turn)
{
        if (turn->hold == TURN_READ)
                return;
        turn_release(turn);
        guard_read(&turn->bus->guard, turn->slot);
        turn->hold = TURN_READ;
}

void turn_write(struct turn *turn)
{
        if (turn->hold == TURN_WRITE)
                return;
        turn_release(turn);
        guard_write(&turn->bus->guard);
        turn->hold = TURN_WRITE;
}

void turn_release(struct turn *turn)
{
        if (turn->hold == TURN_READ)
                guard_unread(&turn->bus->guard, turn->slot);
        else if (turn->hold == TURN_WRITE)
                guard_unwrite(&turn->bus->guard);
        turn->hold = TURN_NOTHING;
        if (turn->full) /* a door that cannot wait was asked to */
                turn->full = client_unref(turn->full);
}

bool turn_touch(struct turn *turn, struct client *client)
{
        turn->load++;
        if (atomic_load_explicit(&client->drain.touched, memory_order_relaxed) ||
            atomic_exchange(&client->drain.touched, true))
                return false;
        cds_list_add_tail(&client->drain.link, &turn->touched);
        client_ref(client);
        turn->n_touched++;
        return true;
}

int turn_say(struct turn *turn, struct client *to, struct message *message)
{
        return error_fold(tx_add(&turn->tx, &to->peer, message));
}

static void touch_peer(void *data, struct peer *to)
{
        turn_touch(data, client_of(to));
}

void turn_commit(struct turn *turn)
{
        if (turn->tx.n)
                tx_commit(&turn->tx, touch_peer, turn);
}

void client_drain(struct client *client)
{
        unsigned int work;

        if (atomic_fetch_add(&client->drain.work, 1) != 0)
                return; /* whoever is at it will look again */
        do {
                work = atomic_load(&client->drain.work);
                client->door->drain(client);
        } while (!atomic_compare_exchange_strong(&client->drain.work, &work, 0));
}

void turn_drain(struct turn *turn)
{
        struct client *client;

        assert(turn->hold == TURN_NOTHING);
        turn->load = turn->n_touched = 0;
        while (!cds_list_empty(&turn->touched)) {
                client = cds_list_first_entry(&turn->touched, struct client, drain.link);
                cds_list_del(&client->drain.link);
                atomic_store(&client->drain.touched, false);
                client_drain(client);
                client_unref(client);
        }
}
