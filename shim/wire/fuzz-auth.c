/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Fuzz target: one byte says what is allowed, one how the input is cut; then what the client sends.
 * The answers do not depend on the cuts.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "shim/wire/auth.h"

#define OUT_MAX (1 << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int challenge(struct auth_challenge *out, void *ctx, const char *user, size_t n)
{
        if (user[0] == 'x')
                return 1;
        *out = (struct auth_challenge){
                .uid = 7, .id = n, .context = "context", .nonce = "0123", .secret = "4567"};
        return 0;
}

/* converse() - the whole conversation, @step bytes at a time; the length of the answers */
static size_t converse(const struct auth_config *config, const uint8_t *in, size_t n, size_t step,
                       char *out, int *verdict)
{
        size_t begin = 0, end = 0, used, reply, out_n = 0;
        struct auth auth;

        auth_init(&auth, config);
        *verdict = AUTH_MORE;
        while (*verdict == AUTH_FULL || (*verdict == AUTH_MORE && end < n)) {
                if (*verdict == AUTH_MORE)
                        end = MIN(end + step, n);
                *verdict = auth_feed(&auth, in + begin, end - begin, &used, out + out_n,
                                     MIN(OUT_MAX - out_n, AUTH_REPLY_MAX), &reply);
                assert(*verdict >= 0 && used <= end - begin);
                begin += used;
                out_n += reply;
        }
        return out_n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static char whole[OUT_MAX], cut[OUT_MAX];
        struct auth_config config = {.guid = "0123456789abcdef0123456789abcdef", .uid = 0,
                                     .challenge = challenge};
        size_t whole_n, cut_n;
        int a, b;

        if (n < 2 || n > 4096) /* the answer to a byte is no longer than 16 bytes */
                return 0;
        config.mechanisms = data[0] & AUTH_ALL;
        config.fds = data[0] & 8;
        config.has_uid = data[0] & 16;
        whole_n = converse(&config, data + 2, n - 2, n, whole, &a);
        cut_n = converse(&config, data + 2, n - 2, 1 + data[1] % 32, cut, &b);
        assert(whole_n == cut_n && a == b && !memcmp(whole, cut, whole_n));
        return 0;
}
