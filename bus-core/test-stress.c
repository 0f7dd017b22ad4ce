/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Stress
 *
 * What it is     Threads that send, read and close at random, and the guarantees checked
 *                afterwards from what every peer has read.
 * How            A peer's sends are made by one thread, its reads by whoever happens to, as
 *                drains are. Each message's record holds a vector clock: how many messages of
 *                each peer its sender knew of. A reader that lacks one of those that were for it
 *                saw it too late. Now and then a thread gives up the processor after a locked
 *                section, so that others come in between the steps of a send.
 */

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bus-core/test-kit.h"

#define N_THREADS 4
#define N_PEERS   64
#define N_OWN     (N_PEERS / N_THREADS)
#define N_CLOSING 8       /* every N_PEERS / N_CLOSING-th closes half way */
#define N_SENDS   1000    /* of one peer, at the most */
#define SECONDS   2       /* at the most */
#define SIZE      4000    /* seventeen of them are beyond the allowance */
#define LIMIT     2000000 /* low enough to be reached */

struct record {
        uint64_t to;             /* the receivers that accepted it, a bit each */
        uint32_t known[N_PEERS]; /* how many messages of each peer came before it */
};

struct member {
        pthread_mutex_t lock; /* guards @peer, and the group below */
        struct peer *peer;    /* NULL once it has closed */
        bool closed;

        uint32_t known[N_PEERS];
        uint32_t n_sent;
        uint32_t n_log;
        uint32_t *log; /* ids of what was read */

        struct record sent[N_SENDS]; /* written by the sender before the send */
};

static struct member members[N_PEERS];
static struct account *accounts[N_THREADS];
static struct timespec deadline;
static uint32_t seed;

int __real_pthread_mutex_unlock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock);

int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock)
{
        static _Thread_local uint32_t n;
        int r = __real_pthread_mutex_unlock(lock);

        if (++n % 61 == 0)
                sched_yield();
        return r;
}

static uint32_t id_of(uint32_t sender, uint32_t n)
{
        return sender * N_SENDS + n;
}

static struct record *record_of(uint32_t id)
{
        return &members[id / N_SENDS].sent[id % N_SENDS];
}

static uint32_t draw(uint64_t *state, uint32_t below)
{
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        return (*state >> 33) % below;
}

static bool is_over(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec > deadline.tv_sec ||
               (now.tv_sec == deadline.tv_sec && now.tv_nsec > deadline.tv_nsec);
}

static struct peer *member_peer(struct member *m)
{
        struct peer *peer;

        pthread_mutex_lock(&m->lock);
        peer = m->peer ? peer_ref(m->peer) : NULL;
        pthread_mutex_unlock(&m->lock);
        return peer;
}

static void learn(struct member *m, uint32_t id)
{
        const struct record *r = record_of(id);

        for (int i = 0; i < N_PEERS; i++)
                m->known[i] = MAX(m->known[i], r->known[i]);
        m->known[id / N_SENDS] = MAX(m->known[id / N_SENDS], id % N_SENDS + 1);
        m->log[m->n_log++] = id;
}

static size_t read_some(struct member *m, size_t max)
{
        CDS_LIST_HEAD(got);
        struct inbox_entry *e;
        struct peer *peer;
        size_t n = 0;

        pthread_mutex_lock(&m->lock);
        peer = m->peer ? peer_ref(m->peer) : NULL;
        if (peer) {
                n = peer_receive(peer, &got, max);
                cds_list_for_each_entry(e, &got, link)
                        learn(m, kit_tag(e->message));
        }
        pthread_mutex_unlock(&m->lock);
        if (peer)
                peer_release_all(peer, &got);
        peer_unref(peer);
        return n;
}

/* Notes what the sender knows; returns the id of the message it is about to send. */
static uint32_t begin_send(uint32_t sender)
{
        struct member *m = &members[sender];
        uint32_t id;

        pthread_mutex_lock(&m->lock);
        id = id_of(sender, m->n_sent);
        memcpy(record_of(id)->known, m->known, sizeof(m->known));
        m->known[sender] = ++m->n_sent;
        pthread_mutex_unlock(&m->lock);
        return id;
}

static void send_one(struct peer *from, uint32_t id, uint32_t to, struct message *message)
{
        struct peer *peer = member_peer(&members[to]);
        int r;

        if (!peer)
                return;
        record_of(id)->to = 1ull << to;
        r = peer_send(from, peer, message);
        assert(r == 0 || r == PEER_E_CLOSED || r == PEER_E_QUOTA);
        if (r)
                record_of(id)->to = 0;
        peer_unref(peer);
}

static void send_many(struct peer *from, uint32_t id, uint32_t first, uint32_t n,
                      struct message *message)
{
        struct tx tx;

        tx_init(&tx, from);
        for (uint32_t i = 0; i < n; i++) {
                uint32_t to = (first + i * 7) % N_PEERS;
                struct peer *peer = member_peer(&members[to]);
                int r = peer ? tx_add(&tx, peer, message) : PEER_E_CLOSED;

                assert(r == 0 || r == PEER_E_CLOSED || r == PEER_E_QUOTA);
                if (r == 0)
                        record_of(id)->to |= 1ull << to;
                peer_unref(peer);
        }
        tx_commit(&tx, NULL, NULL);
}

static void close_member(struct member *m)
{
        struct peer *peer;

        pthread_mutex_lock(&m->lock);
        peer = steal(&m->peer);
        m->closed = true;
        pthread_mutex_unlock(&m->lock);
        peer_close(peer);
        peer_unref(peer);
}

static void turn(uint32_t thread, uint32_t sender, uint64_t *random)
{
        struct peer *from = member_peer(&members[sender]);
        struct message *message;
        uint32_t id, to = draw(random, N_PEERS);

        if (!from)
                return;
        id = begin_send(sender);
        message = kit_message(id, SIZE, accounts[thread]);
        if (draw(random, 3))
                send_one(from, id, to, message);
        else
                send_many(from, id, to, 2 + draw(random, 20), message);
        message_unref(message);
        peer_unref(from);
        read_some(&members[to], 1 + draw(random, 8));
        read_some(&members[draw(random, N_PEERS)], 16);
}

static void *run(void *arg)
{
        uint32_t thread = (uintptr_t)arg;
        uint64_t random = seed * N_THREADS + thread;

        for (uint32_t i = 0; i < N_SENDS * N_OWN && !is_over(); i++) {
                uint32_t sender = thread * N_OWN + i % N_OWN;

                turn(thread, sender, &random);
                if (sender % (N_PEERS / N_CLOSING) == 3 && i / N_OWN == N_SENDS / 4)
                        close_member(&members[sender]);
        }
        cache_trim();
        return NULL;
}

/* ---- what must hold ------------------------------------------------------------------------- */

static void free_member_peer(struct peer *peer)
{
        peer_deinit(peer);
        free(peer);
}

static void start(void)
{
        const struct peer_limits limits = {UINT64_MAX, UINT64_MAX};

        for (int i = 0; i < N_THREADS; i++)
                accounts[i] = kit_account(1000 + i, LIMIT);
        for (uint32_t i = 0; i < N_PEERS; i++) {
                struct member *m = &members[i];

                pthread_mutex_init(&m->lock, NULL);
                m->log = malloc(sizeof(*m->log) * N_PEERS * N_SENDS);
                m->peer = malloc(sizeof(*m->peer));
                assert(m->log && m->peer);
                peer_init(m->peer, i + 1, accounts[i / N_OWN], &limits, free_member_peer);
        }
        clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += SECONDS;
}

static void check_nothing_is_lost_or_doubled(void)
{
        static uint8_t seen[N_PEERS * N_SENDS];

        for (uint32_t r = 0; r < N_PEERS; r++) {
                struct member *m = &members[r];

                memset(seen, 0, sizeof(seen));
                for (uint32_t i = 0; i < m->n_log; i++)
                        seen[m->log[i]]++;
                for (uint32_t s = 0; s < N_PEERS; s++) {
                        for (uint32_t n = 0; n < members[s].n_sent; n++) {
                                uint32_t id = id_of(s, n), copies = record_of(id)->to >> r & 1;

                                assert(seen[id] <= copies);
                                assert(seen[id] == copies || m->closed);
                        }
                }
        }
}

static void check_fifo(void)
{
        for (uint32_t r = 0; r < N_PEERS; r++) {
                uint32_t last[N_PEERS] = {0};

                for (uint32_t i = 0; i < members[r].n_log; i++) {
                        uint32_t id = members[r].log[i];

                        assert(id % N_SENDS >= last[id / N_SENDS]);
                        last[id / N_SENDS] = id % N_SENDS + 1;
                }
        }
}

/* Of all messages that came before one in the log, those for the same reader are in the log. */
static void check_causality(void)
{
        for (uint32_t r = 0; r < N_PEERS; r++) {
                uint32_t upto[N_PEERS] = {0}, due[N_PEERS] = {0}, read[N_PEERS] = {0};

                for (uint32_t i = 0; i < members[r].n_log; i++) {
                        uint32_t id = members[r].log[i];
                        const uint32_t *known = record_of(id)->known;

                        for (uint32_t s = 0; s < N_PEERS; s++) {
                                for (; upto[s] < known[s]; upto[s]++)
                                        due[s] += record_of(id_of(s, upto[s]))->to >> r & 1;
                                assert(read[s] >= due[s]);
                        }
                        read[id / N_SENDS]++;
                }
        }
}

/* All logs fit into one order: always some message is next in every log that has it. */
static void check_total_order(void)
{
        static uint32_t copies[N_PEERS * N_SENDS], next[N_PEERS * N_SENDS];
        static uint32_t ready[N_PEERS * N_SENDS];
        uint32_t at[N_PEERS] = {0}, n_ready = 0, total = 0, done = 0;

        for (uint32_t r = 0; r < N_PEERS; r++)
                for (uint32_t i = 0; i < members[r].n_log; i++)
                        total += copies[members[r].log[i]]++ == 0;
        for (uint32_t r = 0; r < N_PEERS; r++)
                if (members[r].n_log && ++next[members[r].log[0]] == copies[members[r].log[0]])
                        ready[n_ready++] = members[r].log[0];
        for (; done < n_ready; done++) {
                for (uint32_t r = 0; r < N_PEERS; r++) {
                        struct member *m = &members[r];

                        if (at[r] >= m->n_log || m->log[at[r]] != ready[done])
                                continue;
                        if (++at[r] < m->n_log && ++next[m->log[at[r]]] == copies[m->log[at[r]]])
                                ready[n_ready++] = m->log[at[r]];
                }
        }
        assert(done == total);
}

static void finish(void)
{
        for (uint32_t i = 0; i < N_PEERS; i++) {
                struct member *m = &members[i];

                while (read_some(m, 100))
                        ;
                if (m->peer) {
                        assert(m->peer->queued_bytes == 0);
                        assert(m->peer->data.inbox.n_staged == 0);
                        assert(m->peer->refs == 1);
                }
        }
        for (int i = 0; i < N_THREADS; i++)
                for (int slot = 0; slot < ACCOUNT_N_SLOTS; slot++)
                        assert(accounts[i]->used[slot] == 0);
}

START_TEST(threads_that_send_read_and_close_at_random_break_no_guarantee)
{
        pthread_t threads[N_THREADS];
        uint64_t n_read = 0, n_sent = 0;

        seed = _i;
        start();
        for (uintptr_t i = 0; i < N_THREADS; i++)
                assert(pthread_create(&threads[i], NULL, run, (void *)i) == 0);
        for (int i = 0; i < N_THREADS; i++)
                assert(pthread_join(threads[i], NULL) == 0);
        finish();
        check_nothing_is_lost_or_doubled();
        check_fifo();
        check_causality();
        check_total_order();
        for (int i = 0; i < N_PEERS; i++) {
                n_sent += members[i].n_sent;
                n_read += members[i].n_log;
                peer_unref(members[i].peer);
                pthread_mutex_destroy(&members[i].lock);
                free(members[i].log);
        }
        printf("%ju messages sent, %ju read\n", (uintmax_t)n_sent, (uintmax_t)n_read);
        ck_assert_uint_gt(n_read, N_PEERS);
        for (int i = 0; i < N_THREADS; i++)
                account_unref(accounts[i]);
}
END_TEST

int main(void)
{
        return KIT_RUN("stress",
                       {threads_that_send_read_and_close_at_random_break_no_guarantee, 4});
}
