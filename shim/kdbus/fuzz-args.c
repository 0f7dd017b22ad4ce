/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Fuzz target: the bytes of a structure, as a program may send them, through the parser and what
 * reads items after it: messages, policies, matches. The first byte says which.
 */

#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shim/kdbus/args.h"
#include "shim/kdbus/bloom.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/kmatch.h"
#include "shim/kdbus/kmeta.h"
#include "shim/kdbus/kmsg.h"
#include "shim/kdbus/kpolicy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct bloom_params bloom = {.size = 64, .n_hash = 8};

static void fuzz_message(void *data, size_t n)
{
        ARGS(args, KDBUS_MSG_EXPECT_REPLY | KDBUS_MSG_NO_AUTO_START | KDBUS_MSG_SIGNAL,
             {.type = KDBUS_ITEM_PAYLOAD_VEC, .multiple = true},
             {.type = KDBUS_ITEM_PAYLOAD_MEMFD, .multiple = true},
             {.type = KDBUS_ITEM_FDS},
             {.type = KDBUS_ITEM_BLOOM_FILTER},
             {.type = KDBUS_ITEM_DST_NAME});
        struct kmsg m = {.payload.file = -1};

        if (args_parse(&args, data, n, sizeof(struct kdbus_msg), false))
                return;
        if (!kmsg_import(&m, &bloom, data, 0)) {
                assert(m.n_vec <= 2 * 1024 * 1024);
                (void)kmsg_take_fds(&m, NULL, 0);
        }
        kmsg_deinit(&m);
}

static void fuzz_policy(void *data, size_t n)
{
        ARGS(args, 0,
             {.type = KDBUS_ITEM_NAME, .multiple = true},
             {.type = KDBUS_ITEM_POLICY_ACCESS, .multiple = true});
        struct kmeta_view view = {.same_user_ns = true};
        struct kmeta creds = {};
        struct kpolicy policy = {};

        if (args_parse(&args, data, n, sizeof(struct kdbus_cmd), true))
                return;
        (void)kpolicy_set(&policy, &args, args.items, args.items_size, 0, true, &view);
        (void)kpolicy_query(&policy, "com.example.Name", &creds);
        kpolicy_drop(&policy, &args);
        assert(!policy.entries);
}

static void fuzz_match(void *data, size_t n)
{
        ARGS(args, KDBUS_MATCH_REPLACE, KMATCH_ITEMS);
        uint64_t filter[9] = {0, 1, 2, 3}, item[16] = {};
        struct kmatch_subject user = {.filter = (void *)filter};
        struct kmatch_subject notification = {.notification = (void *)item};
        struct kmatch_db db;

        if (args_parse(&args, data, n, sizeof(struct kdbus_cmd_match), true))
                return;
        kmatch_init(&db);
        item_put(item, KDBUS_ITEM_NAME_CHANGE, "12345678123456781234567812345678com.example.N", 46);
        if (!kmatch_add(&db, &bloom, 1, true, args.items, args.items_size)) {
                (void)kmatch_passes(&db, &bloom, &user);
                (void)kmatch_passes(&db, &bloom, &notification);
        }
        kmatch_deinit(&db);
        assert(!db.n_entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static void (*const targets[])(void *, size_t) = {fuzz_message, fuzz_policy, fuzz_match};
        void *copy;

        if (n < 1 + sizeof(struct kdbus_cmd))
                return 0;
        /* padded as the packet it comes in is */
        copy = aligned_alloc(8, (n - 1 + 7) & ~(size_t)7);
        if (!copy)
                return 0;
        memcpy(copy, data + 1, n - 1);
        ((struct kdbus_cmd *)copy)->size = n - 1;
        targets[data[0] % 3](copy, n - 1);
        free(copy);
        return 0;
}
