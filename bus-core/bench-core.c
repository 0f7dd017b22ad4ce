/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Bench
 *
 * What it is     What one thread pays for a message: sent, read and released; the best of a few
 *                rounds, in nanoseconds. Messages are kept, as a relay's envelopes are not: what is
 *                measured is the core alone.
 * Usage          bench-core [threads]: with more than one, the others sleep. libc takes cheaper
 * locks while a process has but one thread.
 */

#include <stdio.h>
#include <time.h>

#include "bus-core/core.h"

#define N_MESSAGES    2000000
#define N_ROUNDS      5
#define MAX_RECEIVERS 64
#define BATCH         32 /* of messages that wait before they are read */

static struct account *account;
static struct peer from, to[MAX_RECEIVERS];
static struct message message;

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1e9 + t.tv_nsec;
}

static void stays(struct peer *peer)
{
}

static void kept(struct message *m)
{
}

static void read_all(struct peer *peer)
{
        CDS_LIST_HEAD(got);

        peer_receive(peer, &got, SIZE_MAX);
        peer_release_all(peer, &got);
}

static void unicast(unsigned n)
{
        for (unsigned i = 0; i < n; i += BATCH) {
                for (unsigned k = 0; k < BATCH; k++)
                        if (peer_send(&from, &to[0], &message))
                                abort();
                read_all(&to[0]);
        }
}

static void ping_pong(unsigned n)
{
        for (unsigned i = 0; i < n; i += 2) {
                if (peer_send(&from, &to[0], &message) || peer_send(&to[0], &from, &message))
                        abort();
                read_all(&to[0]);
                read_all(&from);
        }
}

static void multicast(unsigned n, unsigned n_receivers)
{
        struct tx tx;

        tx_init(&tx, &from);
        for (unsigned i = 0; i < n; i += n_receivers) {
                for (unsigned k = 0; k < n_receivers; k++)
                        if (tx_add(&tx, &to[k], &message))
                                abort();
                tx_commit(&tx, NULL, NULL);
                for (unsigned k = 0; k < n_receivers; k++)
                        read_all(&to[k]);
        }
}

static void multicast_16(unsigned n)
{
        multicast(n, 16);
}

static void multicast_64(unsigned n)
{
        multicast(n, 64);
}

static void measure(const char *what, void (*run)(unsigned n))
{
        double best = 1e18;

        for (int i = 0; i < N_ROUNDS; i++) {
                double start = now();

                run(N_MESSAGES);
                best = MIN(best, now() - start);
        }
        printf("%-50s %6.1f ns\n", what, best / N_MESSAGES);
}

static void *sleeps(void *arg)
{
        pause();
        return arg;
}

int main(int argc, char **argv)
{
        const uint64_t limit[ACCOUNT_N_SLOTS] = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
        const struct peer_limits limits = {UINT64_MAX, UINT64_MAX};

        for (int i = argc > 1 ? atoi(argv[1]) : 1; i > 1; i--) {
                pthread_t thread;

                if (pthread_create(&thread, NULL, sleeps, NULL))
                        abort();
        }
        if (account_new(&account, 1000, limit))
                abort();
        message_init(&message, 200, account, kept);
        peer_init(&from, 1, account, &limits, stays);
        for (unsigned i = 0; i < MAX_RECEIVERS; i++)
                peer_init(&to[i], i + 2, account, &limits, stays);

        measure("unicast, read 32 at a time, per message", unicast);
        measure("unicast there and back, per message", ping_pong);
        measure("multicast to 16, per receiver", multicast_16);
        measure("multicast to 64, per receiver", multicast_64);
        printf("%ju calls of malloc\n", (uintmax_t)cache_misses());
        return 0;
}
