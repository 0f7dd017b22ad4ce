/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The hash against its paper's vectors; masks and prefixes against what the ABI says of them. */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/test-run.h"
#include "shim/kdbus/bloom.h"

static const struct bloom_params usual = {.size = 64, .n_hash = 8};

/* key 00 01 .. 0f, input 00 01 .. (n-1); from the reference implementation's vectors */
static const struct {
        size_t n;
        uint64_t hash;
} sip[] = {
        {0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd},  {2, 0x0d6c8009d9a94f5a},
        {7, 0xab0200f58b01d137}, {8, 0x93f5f5799a932462},  {15, 0xa129ca6149be45e5},
};

START_TEST(the_hash_is_siphash_2_4)
{
        uint8_t key[16], in[16];

        for (unsigned i = 0; i < 16; i++)
                key[i] = in[i] = i;
        ck_assert_uint_eq(bloom_siphash24(key, in, sip[_i].n), sip[_i].hash);
}
END_TEST

START_TEST(a_string_sets_as_many_bits_as_there_are_hash_functions_or_fewer)
{
        uint64_t bits[8] = {};
        unsigned n = 0;

        bloom_add_pair(&usual, bits, "interface", "org.example.One");
        for (unsigned i = 0; i < 8; i++)
                n += __builtin_popcountll(bits[i]);
        ck_assert_uint_ge(n, 1);
        ck_assert_uint_le(n, 8);
}
END_TEST

START_TEST(a_filter_passes_the_mask_of_each_of_its_strings_and_not_of_another)
{
        uint64_t filter[8] = {}, mask[8] = {}, other[8] = {};

        bloom_add_pair(&usual, filter, "interface", "org.example.One");
        bloom_add_pair(&usual, filter, "member", "Changed");
        bloom_add_pair(&usual, mask, "member", "Changed");
        bloom_add_pair(&usual, other, "member", "Removed");
        ck_assert(bloom_mask_passes(&usual, 0, filter, mask, sizeof(mask)));
        ck_assert(!bloom_mask_passes(&usual, 0, filter, other, sizeof(other)));
}
END_TEST

START_TEST(prefixes_are_those_of_the_abi)
{
        static const char *const prefixes[] = {"/a/b", "/a/", "/a", "/"};
        uint64_t all[8] = {}, one_by_one[8] = {};

        bloom_add_prefixes(&usual, all, "path-slash-prefix", "/a/b", '/');
        for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
                bloom_add_pair(&usual, one_by_one, "path-slash-prefix", prefixes[i]);
        ck_assert_mem_eq(all, one_by_one, sizeof(all));
}
END_TEST

START_TEST(a_later_generation_is_compared_with_the_last_mask)
{
        struct bloom_params small = {.size = 8, .n_hash = 1};
        uint64_t masks[2] = {1, 2}, filter = 2;

        ck_assert(!bloom_mask_passes(&small, 0, &filter, masks, sizeof(masks)));
        ck_assert(bloom_mask_passes(&small, 1, &filter, masks, sizeof(masks)));
        ck_assert(bloom_mask_passes(&small, 5, &filter, masks, sizeof(masks)));
}
END_TEST

static const struct {
        struct bloom_params p;
        bool valid, hashable;
} params[] = {
        {{64, 8}, true, true},   {{8, 1}, true, true},    {{4096, 1}, true, true},
        {{0, 1}, false, false},  {{4, 1}, false, false},  {{4104, 1}, false, false},
        {{64, 0}, false, false}, {{12, 1}, false, false}, {{64, 33}, true, false},
        {{64, 32}, true, true},
};

START_TEST(parameters_have_limits)
{
        ck_assert_int_eq(bloom_params_valid(&params[_i].p), params[_i].valid);
        ck_assert_int_eq(bloom_params_hashable(&params[_i].p), params[_i].hashable);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("bloom");
        TCase *tcase = tcase_create("bloom");

        tcase_add_loop_test(tcase, the_hash_is_siphash_2_4, 0, ARRAY_SIZE(sip));
        tcase_add_test(tcase, a_string_sets_as_many_bits_as_there_are_hash_functions_or_fewer);
        tcase_add_test(tcase, a_filter_passes_the_mask_of_each_of_its_strings_and_not_of_another);
        tcase_add_test(tcase, prefixes_are_those_of_the_abi);
        tcase_add_test(tcase, a_later_generation_is_compared_with_the_last_mask);
        tcase_add_loop_test(tcase, parameters_have_limits, 0, ARRAY_SIZE(params));
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
