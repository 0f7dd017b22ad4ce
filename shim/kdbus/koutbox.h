/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kdbus outbox
 *
 * What it is     The broadcasts that a program has put into its connection's ring instead of
 *                requesting each (client/proto.h), as the daemon takes them out.
 * Promise        1. What was sent before a request was made, by whomever, is dealt with before it:
 *                   koutbox_drain() comes first.
 *                2. Broadcasts take the order in which they were sent: one connection of a bus has
 *                   an outbox at a time, and the others' are requests.
 *                3. Whoever finds nothing to receive knows whether something is still in here
 *                   (struct kdp_flow).
 *                4. The daemon does not sleep while something is in here.
 * How            It is opened for who broadcasts a lot, and closed when somebody on the bus wants
 *                to know more of a sender than the bus knows by itself, or the connection ends, or
 *                another broadcasts and this one has ceased to.
 *
 *      koutbox_offer()         open: the program appends, koutbox_drain() takes
 *      koutbox_close()         closed, and what was in it is delivered
 *
 * Trust          Each message is copied out once, and is an ordinary command from then on. Who puts
 *                in there what an honest library does not has seen the last of it.
 */

#include <stdbool.h>
#include <stdint.h>

struct domain;
struct handle;
struct kbus;
struct kconn;
struct kflow;
struct kuser;
struct koutbox;

void koutbox_offer(struct handle *handle, struct kuser *user);
void koutbox_close(struct kbus *bus);
struct kconn *koutbox_conn(const struct koutbox *outbox);
void koutbox_heed(struct kconn *conn, uint64_t attach_recv);

void koutbox_drain(struct domain *domain, uint64_t ns);
void koutbox_wake(struct domain *domain);
bool koutbox_sleep(struct domain *domain);
bool koutbox_waits(const struct domain *domain);

/* a user's struct kdp_flow; the user keeps it */
int kflow_get(struct kuser *user, int *fdp);
struct kflow *kflow_free(struct kflow *flow);
