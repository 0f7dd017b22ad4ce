/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Test kit: see test-wire.h. */

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/test-run.h"
#include "shim/wire/test-wire.h"

/* --- bytes by hand ------------------------------------------------------------------------ */

void raw_bytes(struct raw *raw, const void *data, size_t n)
{
        ck_assert_uint_le(raw->n + n, sizeof(raw->b));
        memcpy(raw->b + raw->n, data, n);
        raw->n += n;
}

void raw_u8(struct raw *raw, uint8_t v)
{
        raw_bytes(raw, &v, 1);
}

void raw_align(struct raw *raw, unsigned to)
{
        while (raw->n % to)
                raw_u8(raw, 0);
}

/* raw_int() - byte by byte, so that the machine's own order plays no part */
static void raw_int(struct raw *raw, uint64_t v, unsigned size)
{
        raw_align(raw, size);
        for (unsigned i = 0; i < size; i++)
                raw_u8(raw, v >> 8 * (raw->big ? size - 1 - i : i));
}

void raw_u16(struct raw *raw, uint16_t v)
{
        raw_int(raw, v, 2);
}

void raw_u32(struct raw *raw, uint32_t v)
{
        raw_int(raw, v, 4);
}

void raw_u64(struct raw *raw, uint64_t v)
{
        raw_int(raw, v, 8);
}

void raw_patch32(struct raw *raw, size_t at, uint32_t v)
{
        size_t n = raw->n;

        raw->n = at;
        raw_u32(raw, v);
        raw->n = n;
}

void raw_string(struct raw *raw, const char *s)
{
        raw_u32(raw, strlen(s));
        raw_bytes(raw, s, strlen(s) + 1);
}

void raw_signature(struct raw *raw, const char *s)
{
        raw_u8(raw, strlen(s));
        raw_bytes(raw, s, strlen(s) + 1);
}

static void raw_hex(struct raw *raw, const char *hex)
{
        char digits[3] = {0};

        for (; hex[0] && hex[1]; hex += 2) {
                memcpy(digits, hex, 2);
                raw_u8(raw, strtoul(digits, NULL, 16));
        }
}

static void raw_word(struct raw *raw, const char *word, size_t *open, unsigned *depth)
{
        uint64_t v = strtoull(word + 1, NULL, 0);

        switch (*word) {
        case 'y':
                return raw_u8(raw, v);
        case 'q':
                return raw_u16(raw, v);
        case 'u':
                return raw_u32(raw, v);
        case 't':
                return raw_u64(raw, v);
        case 's':
                return raw_string(raw, word + 2);
        case 'g':
                return raw_signature(raw, word + 2);
        case 'p':
                return raw_align(raw, v);
        case 'x':
                return raw_hex(raw, word + 1);
        case '[':
                raw_u32(raw, 0);
                open[2 * *depth] = raw->n - 4;
                raw_align(raw, v ? v : 1);
                open[2 * (*depth)++ + 1] = raw->n;
                return;
        case ']':
                --*depth;
                return raw_patch32(raw, open[2 * *depth], raw->n - open[2 * *depth + 1]);
        }
        ck_abort_msg("unknown word %s", word);
}

void raw_write(struct raw *raw, const char *words)
{
        char *copy = strdup(words), *save = NULL;
        size_t open[32];
        unsigned depth = 0;

        for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
                raw_word(raw, w, open, &depth);
        ck_assert_uint_eq(depth, 0);
        free(copy);
}

void raw_begin(struct raw *raw, uint8_t type)
{
        raw->n = 0;
        raw_u8(raw, raw->big ? 'B' : 'l');
        raw_u8(raw, type);
        raw_u8(raw, 0);
        raw_u8(raw, 1);
        raw_u32(raw, 0);
        raw_u32(raw, 77);
        raw_u32(raw, 0);
}

void raw_field(struct raw *raw, uint8_t code, const char *type, const char *value)
{
        raw_align(raw, 8);
        raw_u8(raw, code);
        raw_signature(raw, type);
        if (!strcmp(type, "g"))
                raw_signature(raw, value);
        else
                raw_string(raw, value);
}

void raw_field_u32(struct raw *raw, uint8_t code, uint32_t v)
{
        raw_align(raw, 8);
        raw_u8(raw, code);
        raw_signature(raw, "u");
        raw_u32(raw, v);
}

void raw_end(struct raw *raw)
{
        raw_patch32(raw, 12, raw->n - 16);
        raw_align(raw, 8);
}

/* --- runner ------------------------------------------------------------------------------- */

static int fds_before;

static int count_fds(void)
{
        DIR *dir = opendir("/proc/self/fd");
        int n = 0;

        ck_assert_ptr_nonnull(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static void before(void)
{
        fds_before = count_fds();
}

static void after(void)
{
        ck_assert_msg(count_fds() == fds_before, "the test left a descriptor open");
}

int wire_run(const char *name, const TTest *const *tests, size_t n)
{
        Suite *suite = suite_create(name);
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, before, after);
        tcase_set_timeout(tcase, 60);
        for (size_t i = 0; i < n; i++)
                tcase_add_test(tcase, tests[i]);
        suite_add_tcase(suite, tcase);
        return test_run_as(suite, CK_NORMAL);
}
