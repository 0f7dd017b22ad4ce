/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <fcntl.h>
#include <stdatomic.h>

#include "bus-core/test-kit.h"
#include "bus-core/util/test-fault.h"
#include "bus-core/util/test-run.h"

struct kit_message {
        struct message base;
        uint64_t tag;
};

static _Atomic int live;
static int fds_before;

void kit_fail_alloc(unsigned n)
{
        cache_trim();
        fault_after(n);
}

struct account *kit_account(uid_t uid, uint64_t limit)
{
        const uint64_t limits[ACCOUNT_N_SLOTS] = {limit, limit, limit};
        struct account *account;

        assert(account_new(&account, uid, limits) == 0);
        return account;
}

static void kit_peer_free(struct peer *peer)
{
        peer_deinit(peer);
        free(peer);
        live--;
}

struct peer *kit_peer(uint64_t id, struct account *account)
{
        const struct peer_limits limits = {UINT64_MAX, UINT64_MAX};
        struct peer *peer = malloc(sizeof(*peer));

        assert(peer);
        peer_init(peer, id, account, &limits, kit_peer_free);
        live++;
        return peer;
}

static void kit_message_free(struct message *message)
{
        message_deinit(message);
        cache_free(message);
        live--;
}

struct message *kit_message(uint64_t tag, uint32_t size, struct account *account)
{
        struct kit_message *m = cache_alloc(sizeof(*m));

        assert(m);
        message_init(&m->base, size, account, kit_message_free);
        m->tag = tag;
        live++;
        return &m->base;
}

uint64_t kit_tag(const struct message *message)
{
        return container_of(message, const struct kit_message, base)->tag;
}

void kit_message_fd(struct message *message)
{
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        assert(fd >= 0);
        assert(fdset_new(&message->fds, &fd, 1) == 0);
}

int kit_send(struct peer *from, struct peer *to, uint64_t tag)
{
        struct message *m = kit_message(tag, 100, from->account);
        int r = peer_send(from, to, m);

        message_unref(m);
        return r;
}

int64_t kit_receive(struct peer *peer)
{
        CDS_LIST_HEAD(got);
        struct inbox_entry *e;
        int64_t tag;

        if (!peer_receive(peer, &got, 1))
                return -1;
        e = cds_list_first_entry(&got, struct inbox_entry, link);
        tag = kit_tag(e->message);
        peer_release_all(peer, &got);
        return tag;
}

int kit_live(void)
{
        return live;
}

static int count_fds(void)
{
        int n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void kit_before(void)
{
        fds_before = count_fds();
}

static void kit_after(void)
{
        kit_fail_alloc(0);
        ck_assert_int_eq(live, 0);
        ck_assert_int_eq(count_fds(), fds_before);
}

int kit_run(const char *name, const struct kit_test *tests, size_t n)
{
        Suite *suite = suite_create(name);
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, kit_before, kit_after);
        tcase_set_timeout(tcase, 60);
        for (size_t i = 0; i < n; i++)
                tcase_add_loop_test(tcase, tests[i].test, 0, tests[i].loops ? tests[i].loops : 1);
        suite_add_tcase(suite, tcase);
        return test_run_as(suite, CK_NORMAL);
}
