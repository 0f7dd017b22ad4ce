/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Auth: see auth.h. The answers were asked of dbus-daemon 1.14.10. */

#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/wire/auth-cookie.h"
#include "shim/wire/auth.h"
#include "shim/wire/bytes.h"

/* Text inside a line. */
struct text {
        const char *s;
        size_t n;
};

/* Where answers go; there is always room for one more. */
struct reply {
        char *buf;
        size_t n, size;
};

enum command {
        COMMAND_AUTH,
        COMMAND_CANCEL,
        COMMAND_BEGIN,
        COMMAND_DATA,
        COMMAND_ERROR,
        COMMAND_NEGOTIATE,
        COMMAND_UNKNOWN,
};

static const char *const commands[] = {
        [COMMAND_AUTH] = "AUTH",   [COMMAND_CANCEL] = "CANCEL",
        [COMMAND_BEGIN] = "BEGIN", [COMMAND_DATA] = "DATA",
        [COMMAND_ERROR] = "ERROR", [COMMAND_NEGOTIATE] = "NEGOTIATE_UNIX_FD",
};

/* In the order in which REJECTED names them. */
static const struct {
        const char *name;
        unsigned bit;
} mechanisms[] = {
        {"EXTERNAL", AUTH_EXTERNAL},
        {"DBUS_COOKIE_SHA1", AUTH_COOKIE},
        {"ANONYMOUS", AUTH_ANONYMOUS},
};

static bool text_is(struct text t, const char *s)
{
        return t.n == strlen(s) && !memcmp(t.s, s, t.n);
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t';
}

/* cut_word() - take the first word off a line, and the blanks behind it */
static struct text cut_word(struct text *line)
{
        struct text word = {line->s, 0};
        size_t i;

        while (word.n < line->n && !is_blank(line->s[word.n]))
                word.n++;
        for (i = word.n; i < line->n && is_blank(line->s[i]); i++)
                ;
        line->s += i;
        line->n -= i;
        return word;
}

/* hex_decode() - a digit left alone is the upper half of a byte, as the reference has it */
static bool hex_decode(char *out, size_t *out_n, struct text hex)
{
        size_t i;

        for (i = 0; i < hex.n; i++) {
                int v = bytes_hex_digit(hex.s[i]);

                if (v < 0)
                        return false;
                if (i & 1)
                        out[i / 2] |= v;
                else
                        out[i / 2] = v << 4;
        }
        *out_n = (i + 1) / 2;
        return true;
}

static void answer(struct reply *reply, const char *text)
{
        size_t n = MIN(strlen(text), reply->size - reply->n);

        memcpy(reply->buf + reply->n, text, n);
        reply->n += n;
}

/* answer_line() - words with nothing between them, and the end of the line */
static void answer_line(struct reply *reply, const char *a, const char *b, const char *c)
{
        answer(reply, a);
        answer(reply, b);
        answer(reply, c);
        answer(reply, "\r\n");
}

/* --- arrows ------------------------------------------------------------------------------- */

static int drop(struct auth *auth, const char *reason)
{
        auth->state = AUTH_STATE_DROPPED;
        auth->reason = reason;
        return 0;
}

static int reject(struct auth *auth, struct reply *reply)
{
        answer(reply, "REJECTED");
        for (size_t i = 0; i < ARRAY_SIZE(mechanisms); i++) {
                if (!(auth->config.mechanisms & mechanisms[i].bit))
                        continue;
                answer(reply, " ");
                answer(reply, mechanisms[i].name);
        }
        answer(reply, "\r\n");

        auth->state = AUTH_WAIT_AUTH;
        auth->challenged = false;
        auth->has_uid = false;
        auth->fds = false;
        if (++auth->rejects >= AUTH_REJECTS_MAX)
                return drop(auth, "authentication failed too often");
        return 0;
}

static int accept_as(struct auth *auth, struct reply *reply, bool has_uid, uid_t uid)
{
        auth->state = AUTH_WAIT_BEGIN;
        auth->has_uid = has_uid;
        auth->uid = uid;
        answer_line(reply, "OK ", auth->config.guid, "");
        return 0;
}

/* refuse() - a command that is out of place; the state stays */
static int refuse(struct reply *reply, const char *text)
{
        answer_line(reply, "ERROR \"", text, "\"");
        return 0;
}

/* --- mechanisms --------------------------------------------------------------------------- */

/* is_uid() - does text spell this number, in any way that C knows? So asks the reference. */
static bool is_uid(struct text text, uid_t uid)
{
        char buf[32], *end;
        long long v;

        if (text.n >= sizeof(buf) || memchr(text.s, 0, text.n))
                return false;
        memcpy(buf, text.s, text.n);
        buf[text.n] = 0;
        errno = 0;
        v = strtoll(buf, &end, 0);
        return !errno && end != buf && !*end && v >= 0 && v == (long long)uid;
}

static int try_external(struct auth *auth, struct reply *reply, struct text data)
{
        const struct auth_config *config = &auth->config;

        if (!data.n && !auth->challenged) {
                auth->challenged = true;
                auth->state = AUTH_WAIT_DATA;
                answer(reply, "DATA\r\n");
                return 0;
        }
        if (!config->has_uid || (data.n && !is_uid(data, config->uid)))
                return reject(auth, reply);
        return accept_as(auth, reply, true, config->uid);
}

/* try_anonymous() - the data is a trace for the log, and must be text */
static int try_anonymous(struct auth *auth, struct reply *reply, struct text data)
{
        if (bytes_text((const uint8_t *)data.s, data.n))
                return reject(auth, reply);
        return accept_as(auth, reply, false, (uid_t)-1);
}

static void answer_hex(struct reply *reply, const char *s)
{
        static const char digits[] = "0123456789abcdef";

        answer(reply, "DATA ");
        for (; *s; s++) {
                const char hex[] = {digits[(uint8_t)*s >> 4], digits[(uint8_t)*s & 0xf], 0};

                answer(reply, hex);
        }
        answer(reply, "\r\n");
}

static int challenge(struct auth *auth, struct reply *reply, struct text user)
{
        struct auth_challenge *c = &auth->challenge;
        char text[AUTH_REPLY_MAX / 2];
        int r;

        if (!user.n || !auth->config.challenge)
                return reject(auth, reply);
        r = auth->config.challenge(c, auth->config.ctx, user.s, user.n);
        if (r > 0)
                return reject(auth, reply);
        if (r)
                return error_fold(r);
        snprintf(text, sizeof(text), "%s %u %s", c->context, (unsigned)c->id, c->nonce);
        auth->challenged = true;
        auth->state = AUTH_WAIT_DATA;
        answer_hex(reply, text);
        return 0;
}

/* try_cookie() - first the user, then "client-nonce sha1(nonce:client-nonce:secret)" */
static int try_cookie(struct auth *auth, struct reply *reply, struct text data)
{
        const struct auth_challenge *c = &auth->challenge;
        struct text client;
        char digest[41];
        int r;

        if (!auth->challenged)
                return challenge(auth, reply, data);
        client = cut_word(&data);
        if (!client.n || data.n != sizeof(digest) - 1)
                return reject(auth, reply);
        r = cookie_digest(digest, c->nonce, client.s, client.n, c->secret);
        if (r)
                return error_fold(r);
        if (!text_is(data, digest))
                return reject(auth, reply);
        return accept_as(auth, reply, true, c->uid);
}

static int try(struct auth *auth, struct reply *reply, struct text hex)
{
        char buf[AUTH_LINE_MAX / 2];
        struct text data = {buf, 0};

        if (!hex_decode(buf, &data.n, hex))
                return refuse(reply, "Invalid hex encoding");
        switch (auth->mechanism) {
        case AUTH_EXTERNAL:
                return try_external(auth, reply, data);
        case AUTH_COOKIE:
                return try_cookie(auth, reply, data);
        default:
                return try_anonymous(auth, reply, data);
        }
}

/* --- states ------------------------------------------------------------------------------- */

static int do_auth(struct auth *auth, struct reply *reply, struct text args)
{
        struct text name = cut_word(&args);

        auth->mechanism = auth_mechanism_from_name(name.s, name.n) & auth->config.mechanisms;
        if (!auth->mechanism)
                return reject(auth, reply);
        auth->challenged = false;
        return try(auth, reply, args);
}

static int in_wait_auth(struct auth *auth, struct reply *reply, enum command command,
                        struct text args)
{
        switch (command) {
        case COMMAND_AUTH:
                return do_auth(auth, reply, args);
        case COMMAND_ERROR:
                return reject(auth, reply);
        case COMMAND_BEGIN:
                return drop(auth, "BEGIN before authentication");
        case COMMAND_NEGOTIATE:
                return refuse(reply, "Need to authenticate first");
        case COMMAND_CANCEL:
        case COMMAND_DATA:
                return refuse(reply, "Not currently in an auth conversation");
        default:
                return refuse(reply, "Unknown command");
        }
}

static int in_wait_data(struct auth *auth, struct reply *reply, enum command command,
                        struct text args)
{
        switch (command) {
        case COMMAND_DATA:
                return try(auth, reply, args);
        case COMMAND_CANCEL:
        case COMMAND_ERROR:
                return reject(auth, reply);
        case COMMAND_BEGIN:
                return drop(auth, "BEGIN before authentication");
        case COMMAND_AUTH:
                return refuse(reply, "Sent AUTH while another AUTH in progress");
        case COMMAND_NEGOTIATE:
                return refuse(reply, "Need to authenticate first");
        default:
                return refuse(reply, "Unknown command");
        }
}

static int negotiate_fds(struct auth *auth, struct reply *reply)
{
        if (!auth->config.fds)
                return refuse(reply, "Unix FD passing not supported, not authenticated or "
                                     "otherwise not possible");
        auth->fds = true;
        answer(reply, "AGREE_UNIX_FD\r\n");
        return 0;
}

static int in_wait_begin(struct auth *auth, struct reply *reply, enum command command)
{
        switch (command) {
        case COMMAND_BEGIN:
                auth->state = AUTH_STATE_DONE;
                return 0;
        case COMMAND_NEGOTIATE:
                return negotiate_fds(auth, reply);
        case COMMAND_CANCEL:
        case COMMAND_ERROR:
                return reject(auth, reply);
        case COMMAND_AUTH:
                return refuse(reply, "Sent AUTH while expecting BEGIN");
        case COMMAND_DATA:
                return refuse(reply, "Sent DATA while expecting BEGIN");
        default:
                return refuse(reply, "Unknown command");
        }
}

static bool is_ascii(struct text line)
{
        for (size_t i = 0; i < line.n; i++)
                if ((uint8_t)line.s[i] - 1U >= 0x7f)
                        return false;
        return true;
}

static int take_line(struct auth *auth, struct reply *reply, struct text line)
{
        enum command command;
        struct text word;

        if (!is_ascii(line))
                return refuse(reply, "Command contained non-ASCII");
        word = cut_word(&line);
        for (command = 0; command < COMMAND_UNKNOWN; command++)
                if (text_is(word, commands[command]))
                        break;
        if (auth->state == AUTH_WAIT_AUTH)
                return in_wait_auth(auth, reply, command, line);
        if (auth->state == AUTH_WAIT_DATA)
                return in_wait_data(auth, reply, command, line);
        return in_wait_begin(auth, reply, command);
}

static size_t take_nul(struct auth *auth, const uint8_t *in)
{
        if (*in) {
                drop(auth, "the first byte is not NUL");
                return 0;
        }
        auth->state = AUTH_WAIT_AUTH;
        return 1;
}

/* take_lines() - answer lines while there are whole ones and room for answers */
static int take_lines(struct auth *auth, const uint8_t *in, size_t n, size_t *pos,
                      struct reply *reply)
{
        const uint8_t *end;
        size_t len;
        int r;

        while (auth->state < AUTH_STATE_DONE) {
                end = memmem(in + *pos, n - *pos, "\r\n", 2);
                len = end ? (size_t)(end + 2 - in) - *pos : n - *pos;
                if (len > AUTH_LINE_MAX)
                        return drop(auth, "authentication line too long");
                if (!end)
                        return AUTH_MORE;
                if (reply->size - reply->n < AUTH_REPLY_MAX)
                        return AUTH_FULL;
                r = take_line(auth, reply, (struct text){(const char *)in + *pos, len - 2});
                if (r)
                        return r;
                *pos += len;
        }
        return AUTH_MORE;
}

/* --- public ------------------------------------------------------------------------------- */

void auth_init(struct auth *auth, const struct auth_config *config)
{
        *auth = (struct auth){.config = *config, .uid = (uid_t)-1};
}

int auth_feed(struct auth *auth, const uint8_t *in, size_t n, size_t *out_consumed, char *buf,
              size_t size, size_t *out_reply)
{
        struct reply reply = {.buf = buf, .size = size};
        size_t pos = 0;
        int r = AUTH_MORE;

        if (auth->state == AUTH_WAIT_NUL && n)
                pos = take_nul(auth, in);
        if (auth->state != AUTH_WAIT_NUL)
                r = take_lines(auth, in, n, &pos, &reply);
        *out_consumed = pos;
        *out_reply = reply.n;
        if (r < 0)
                return error_fold(r);
        if (auth->state == AUTH_STATE_DONE)
                return AUTH_DONE;
        if (auth->state == AUTH_STATE_DROPPED)
                return AUTH_DROP;
        return r;
}

const char *auth_reason(const struct auth *auth)
{
        return auth->reason;
}

unsigned auth_mechanism_from_name(const char *name, size_t n)
{
        struct text text = {name, n};

        for (size_t i = 0; i < ARRAY_SIZE(mechanisms); i++)
                if (text_is(text, mechanisms[i].name))
                        return mechanisms[i].bit;
        return 0;
}
