/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bridge
 *
 * What it is     A kdbus bus attached to a D-Bus bus: each kdbus connection is also a client of the
 *                D-Bus bus, its ghost, with the same unique name.
 * Promise        1. Names have one registry, the D-Bus bus's. What it announces to a ghost is what
 *                   the connection's program hears as a notification, in the same order as the
 *                   messages.
 *                2. A message crosses at most once, its payload translated on the way; descriptors
 *                   go along. What kdbus connections say to each other does not cross, but for
 *                   broadcasts, of which D-Bus clients hear; and if rules of the D-Bus bus
 *                   hold between them, or they write bodies differently.
 *                3. The D-Bus bus's policy judges a ghost like any client of its user.
 *
 *                  kdbus program                                          D-Bus client
 *                     SEND --> cmd-send --+--> kconn of the receiver
 *                                         `--> bridge send() --> client_send() --> inbox
 *                     RECV <-- kconn <-- to_kdbus_on_message() <-- ghost's inbox <-- client_send()
 *
 * Guard          One thread drives the domain and the bridge; any thread may put something into a
 *                ghost's inbox, which only wakes the one.
 */

struct bridge;
struct bus;
struct poller;

/**
 * bridge_new() - open a domain with one bus in it, attached
 * @bus:        running
 * @poller:     of the thread that is to drive the domain
 * @state_dir:  as for entry_new()
 */
int bridge_new(struct bridge **bridgep, struct bus *bus, struct poller *poller,
               const char *state_dir);

/* bridge_free() - in the same thread; its turn holds nothing */
struct turn;
struct bridge *bridge_free(struct bridge *bridge, struct turn *turn);
