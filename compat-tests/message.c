/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat-tests/message.h"

#define BODY_TEXT_MAX 65536     /* larger bodies are not turned into text */

static const char field_types[FIELD_N] = {
        [FIELD_PATH] = 'o',         [FIELD_INTERFACE] = 's',    [FIELD_MEMBER] = 's',
        [FIELD_ERROR_NAME] = 's',   [FIELD_REPLY_SERIAL] = 'u', [FIELD_DESTINATION] = 's',
        [FIELD_SENDER] = 's',       [FIELD_SIGNATURE] = 'g',    [FIELD_UNIX_FDS] = 'u',
};

static const char *const field_keys[FIELD_N] = {
        [FIELD_PATH] = "path",      [FIELD_INTERFACE] = "if",   [FIELD_MEMBER] = "member",
        [FIELD_ERROR_NAME] = "name", [FIELD_REPLY_SERIAL] = "reply", [FIELD_DESTINATION] = "to",
        [FIELD_SENDER] = "from",    [FIELD_SIGNATURE] = "sig",  [FIELD_UNIX_FDS] = "fds",
};

static const char *const type_words[] = {
        [TYPE_CALL] = "call",
        [TYPE_RETURN] = "return",
        [TYPE_ERROR] = "error",
        [TYPE_SIGNAL] = "signal",
};

/* --- text -> message --- */

static struct message *message_new(void)
{
        struct message *m = calloc(1, sizeof(*m));

        m->type = m->flags = m->version = m->attach = -1;
        m->serial = m->body_length = m->field_length = -1;
        return m;
}

void message_free(struct message *m)
{
        size_t i;

        if (!m)
                return;
        for (i = 0; i < FIELD_N; i++)
                free(m->field[i]);
        for (i = 0; i < m->n_fds; i++)
                close(m->fds[i]);
        free(m->fds);
        free(m->label);
        free(m->reply_label);
        free(m->signature);
        words_clear(&m->body);
        words_clear(&m->extra);
        words_clear(&m->patches);
        free(m);
}

static void set_field(struct message *m, int code, const char *value)
{
        free(m->field[code]);
        m->field[code] = word_bytes(value, NULL);
}

static void parse_name(struct message *m, const char *name)
{
        const char *dot = strrchr(name, '.');
        char *full = NULL;

        if (m->type == TYPE_ERROR) {
                if (isupper((unsigned char)*name) && asprintf(&full, ERROR_PREFIX "%s", name) < 0)
                        abort();
                set_field(m, FIELD_ERROR_NAME, full ?: name);
                free(full);
                return;
        }
        if (dot) {
                full = strndup(name, dot - name);
                set_field(m, FIELD_INTERFACE, full);
                free(full);
        }
        set_field(m, FIELD_MEMBER, dot ? dot + 1 : name);
}

static bool parse_number(struct message *m, const char *key, const char *value)
{
        const struct {
                const char *key;
                int *i;
                int64_t *x;
        } *n, numbers[] = {
                { "flags", &m->flags },     { "type", &m->type },
                { "version", &m->version }, { "attach", &m->attach },
                { "serial", NULL, &m->serial }, { "bodylen", NULL, &m->body_length },
                { "fieldlen", NULL, &m->field_length }, {},
        };

        for (n = numbers; n->key; n++)
                if (!strcmp(n->key, key))
                        break;
        if (n->i)
                *n->i = strtol(value, NULL, 0);
        else if (n->x)
                *n->x = strtoll(value, NULL, 0);
        return n->key;
}

static bool parse_pair(struct message *m, const char *word)
{
        const char *value = strchr(word, '=');
        char *key = value ? strndup(word, value - word) : NULL;
        bool known = true;
        int i;

        if (!key)
                return false;
        value++;
        for (i = 1; i < FIELD_N && strcmp(field_keys[i], key); i++)
                ;
        if (i == FIELD_REPLY_SERIAL && isalpha((unsigned char)*value))
                m->reply_label = strdup(value);
        else if (i < FIELD_N)
                set_field(m, i, value);
        else if (!strcmp(key, "endian"))
                m->endian = *value;
        else if (!strcmp(key, "label"))
                m->label = strdup(value);
        else if (!strcmp(key, "field"))
                words_append(&m->extra, value, strlen(value));
        else if (!strcmp(key, "patch"))
                words_append(&m->patches, value, strlen(value));
        else
                known = parse_number(m, key, value);
        free(key);
        return known;
}

/**
 * message_parse() - read the text form
 * @word:       words of it
 * @n_word:     how many
 *
 * A first word that is no type is the member of a call.
 */
struct message *message_parse(char **word, size_t n_word)
{
        struct message *m = message_new();
        size_t i, t;

        for (t = TYPE_CALL; n_word && t <= TYPE_SIGNAL; t++)
                if (!strcmp(*word, type_words[t]))
                        m->type = t;
        i = m->type >= 0;
        if (m->type < 0)
                m->type = TYPE_CALL;
        if (m->type != TYPE_RETURN && i < n_word && !strchr(word[i], '='))
                parse_name(m, word[i++]);
        while (i < n_word && parse_pair(m, word[i]))
                i++;
        if (i < n_word) {
                m->has_body = true;
                m->signature = strdup(word[i++]);
                for (; i < n_word; i++)
                        words_append(&m->body, word[i], strlen(word[i]));
        }
        if (m->field[FIELD_SIGNATURE] && !*m->field[FIELD_SIGNATURE])
                m->has_body = true;
        return m;
}

/* --- message -> bytes --- */

struct buffer {
        uint8_t *bytes;
        size_t n, n_allocated;
        bool big;
};

static void put(struct buffer *b, const void *bytes, size_t n)
{
        if (!n)
                return;
        if (b->n + n > b->n_allocated) {
                b->n_allocated = (b->n + n) * 2 + 64;
                b->bytes = realloc(b->bytes, b->n_allocated);
        }
        if (!n)
                return;
        if (bytes)
                memcpy(b->bytes + b->n, bytes, n);
        else
                memset(b->bytes + b->n, 0, n);
        b->n += n;
}

static void put_align(struct buffer *b, size_t align)
{
        put(b, NULL, -b->n & (align - 1));
}

static void order_bytes(uint8_t *to, uint64_t value, size_t size, bool big)
{
        size_t i;

        for (i = 0; i < size; i++)
                to[big ? size - 1 - i : i] = value >> (8 * i);
}

static void put_number(struct buffer *b, uint64_t value, size_t size)
{
        uint8_t bytes[8];

        order_bytes(bytes, value, size, b->big);
        put_align(b, size);
        put(b, bytes, size);
}

static size_t type_size(char type)
{
        const char *at;
        static const char types[] = "ybnqiuhxtd";
        static const char sizes[] = "1422444888";

        at = type ? strchr(types, type) : NULL;
        return at ? (size_t)(sizes[at - types] - '0') : 0;
}

static size_t type_align(char type)
{
        if (strchr("({", type))
                return 8;
        if (strchr("gv", type))
                return 1;
        return type_size(type) ?: 4;
}

/* type_end() - the signature behind the complete type at its front */
static const char *type_end(const char *s)
{
        int depth = 0;

        for (; *s; s++) {
                if (*s == '(' || *s == '{')
                        depth++;
                else if (*s == ')' || *s == '}')
                        depth--;
                else if (*s == 'a')
                        continue;
                if (depth <= 0)
                        return s + 1;
        }
        return s;
}

static const char *take(const struct words *words, size_t *at)
{
        return *at < words->n ? words->word[(*at)++] : "";
}

static void put_string(struct buffer *b, char type, const char *word)
{
        size_t n;
        char *bytes = word_bytes(word, &n);

        if (*word == '@') {
                free(bytes);
                n = strtoul(word + 1, NULL, 0);
                bytes = malloc(n + 1);
                memset(bytes, 'x', n);
                bytes[n] = 0;
        }
        put_number(b, n, type == 'g' ? 1 : 4);
        put(b, bytes, n + 1);
        free(bytes);
}

static void put_basic(struct buffer *b, char type, const char *word)
{
        double real;
        uint64_t bits;

        if (strchr("sog", type)) {
                put_string(b, type, word);
        } else if (type == 'd') {
                real = strtod(word, NULL);
                memcpy(&bits, &real, 8);
                put_number(b, bits, 8);
        } else {
                bits = *word == '-' ? (uint64_t)strtoll(word, NULL, 0) : strtoull(word, NULL, 0);
                put_number(b, bits, type_size(type) ?: 1);
        }
}

static void put_value(struct buffer *b, const char *type, const struct words *w, size_t *at);

static void put_array(struct buffer *b, const char *type, const struct words *w, size_t *at)
{
        size_t length_at, start;
        const char *word = take(w, at);

        put_number(b, 0, 4);
        length_at = b->n - 4;
        put_align(b, type_align(*type));
        start = b->n;
        if (*word == '@')
                put(b, NULL, strtoul(word + 1, NULL, 0));
        else
                while (*at < w->n && strcmp(w->word[*at], "]"))
                        put_value(b, type, w, at);
        if (*word != '@')
                take(w, at);
        order_bytes(b->bytes + length_at, b->n - start, 4, b->big);
}

static void put_values(struct buffer *b, const char *s, const char *end, const struct words *w,
                       size_t *at)
{
        for (; s < end; s = type_end(s))
                put_value(b, s, w, at);
}

static void put_value(struct buffer *b, const char *type, const struct words *w, size_t *at)
{
        const char *inner;

        if (*type == 'a') {
                put_array(b, type + 1, w, at);
        } else if (*type == '(' || *type == '{') {
                put_align(b, 8);
                put_values(b, type + 1, type_end(type) - 1, w, at);
        } else if (*type == 'v') {
                inner = take(w, at);
                put_string(b, 'g', inner);
                put_value(b, inner, w, at);
        } else {
                put_basic(b, *type, take(w, at));
        }
}

static void put_field(struct buffer *b, uint8_t code, const char *signature, const char *value)
{
        struct words words = {};
        size_t at = 0;

        put_align(b, 8);
        put(b, &code, 1);
        put_string(b, 'g', signature);
        words_split(&words, value);
        if (!words.n)
                words_append(&words, "", 0);
        put_values(b, signature, signature + strlen(signature), &words, &at);
        words_clear(&words);
}

static void put_extra_field(struct buffer *b, const char *text)
{
        char *signature = strchr(text, ':') + 1, *value = strchr(signature, ':');

        signature = strndup(signature, value - signature);
        put_field(b, strtoul(text, NULL, 0), signature, value + 1);
        free(signature);
}

static void put_fields(struct buffer *b, const struct message *m)
{
        char type[2] = {}, *escaped;
        size_t i;

        for (i = 1; i < FIELD_N; i++) {
                if (!m->field[i] || !strcmp(m->field[i], "-"))
                        continue;
                *type = field_types[i];
                escaped = word_escape(m->field[i], strlen(m->field[i]));
                put_field(b, i, type, escaped);
                free(escaped);
        }
        if (m->has_body && m->signature && !m->field[FIELD_SIGNATURE])
                put_field(b, FIELD_SIGNATURE, "g", m->signature);
        for (i = 0; i < m->extra.n; i++)
                put_extra_field(b, m->extra.word[i]);
}

static void patch(struct buffer *b, const char *text)
{
        const char *hex = strchr(text, ':') + 1;
        long at = strtol(text, NULL, 0);
        unsigned int byte;

        if (at < 0)
                at += b->n;
        for (; sscanf(hex, "%2x", &byte) == 1 && (size_t)at < b->n; hex += 2)
                b->bytes[at++] = byte;
}

/**
 * message_encode() - the bytes of a message
 * @m:          what message_parse() made, serial filled in
 * @n_bytes:    output of their number
 *
 * Return:      bytes, owned by the caller.
 */
uint8_t *message_encode(const struct message *m, size_t *n_bytes)
{
        uint8_t fixed[4] = { m->endian ?: 'l', m->type, m->flags > 0 ? m->flags : 0,
                             m->version < 0 ? 1 : m->version };
        struct buffer b = { .big = fixed[0] == 'B' }, body = { .big = b.big };
        size_t i, at = 0;

        if (m->signature)
                put_values(&body, m->signature, m->signature + strlen(m->signature), &m->body, &at);
        put(&b, fixed, 4);
        put_number(&b, m->body_length < 0 ? body.n : (uint64_t)m->body_length, 4);
        put_number(&b, m->serial < 0 ? 1 : m->serial, 4);
        put_number(&b, 0, 4);
        put_fields(&b, m);
        order_bytes(b.bytes + 12, m->field_length < 0 ? b.n - 16 : (uint64_t)m->field_length, 4,
                    b.big);
        put_align(&b, 8);
        put(&b, body.bytes ?: (uint8_t *)"", body.n);
        for (i = 0; i < m->patches.n; i++)
                patch(&b, m->patches.word[i]);
        free(body.bytes);
        *n_bytes = b.n;
        return b.bytes;
}

/* --- bytes -> message --- */

struct reader {
        const uint8_t *bytes;
        size_t n, at;
        bool big, bad;
};

static const uint8_t *get(struct reader *r, size_t n)
{
        const uint8_t *p = r->bytes + r->at;

        if (r->bad || n > r->n - r->at) {
                r->bad = true;
                return NULL;
        }
        r->at += n;
        return p;
}

static uint64_t get_number(struct reader *r, size_t size)
{
        const uint8_t *p;
        uint64_t value = 0;
        size_t i;

        get(r, -r->at & (size - 1));
        p = get(r, size);
        for (i = 0; p && i < size; i++)
                value |= (uint64_t)p[r->big ? size - 1 - i : i] << (8 * i);
        return value;
}

static void get_string(struct reader *r, char type, struct words *w)
{
        size_t n = get_number(r, type == 'g' ? 1 : 4);
        const char *p = (const char *)get(r, n);
        char *word;

        if (!p || !get(r, 1))
                return;
        word = word_escape(p, n);
        words_append(w, word, strlen(word));
        free(word);
}

static int64_t sign(uint64_t value, char type)
{
        if (type == 'n')
                return (int16_t)value;
        if (type == 'i')
                return (int32_t)value;
        return value;
}

static void get_basic(struct reader *r, char type, struct words *w)
{
        char text[32];
        uint64_t value;
        double real;

        if (strchr("sog", type)) {
                get_string(r, type, w);
                return;
        }
        value = get_number(r, type_size(type) ?: 1);
        memcpy(&real, &value, 8);
        if (type == 'd')
                sprintf(text, "%g", real);
        else if (strchr("nix", type))
                sprintf(text, "%lld", (long long)sign(value, type));
        else
                sprintf(text, "%llu", (unsigned long long)value);
        words_append(w, text, strlen(text));
        r->bad |= !type_size(type);
}

static void get_value(struct reader *r, const char *type, struct words *w);

static void get_array(struct reader *r, const char *type, struct words *w)
{
        size_t n = get_number(r, 4), end;

        get(r, -r->at & (type_align(*type) - 1));
        end = r->at + n;
        words_append(w, "[", 1);
        while (!r->bad && r->at < end)
                get_value(r, type, w);
        words_append(w, "]", 1);
}

static void get_value(struct reader *r, const char *type, struct words *w)
{
        const char *s;
        size_t at = w->n;

        if (*type == 'a') {
                get_array(r, type + 1, w);
        } else if (*type == '(' || *type == '{') {
                get(r, -r->at & 7);
                for (s = type + 1; !r->bad && *s && s < type_end(type) - 1; s = type_end(s))
                        get_value(r, s, w);
        } else if (*type == 'v') {
                get_string(r, 'g', w);
                if (!r->bad)
                        get_value(r, w->word[at], w);
        } else {
                get_basic(r, *type, w);
        }
}

static void get_field(struct reader *r, struct message *m)
{
        struct words w = {};
        const uint8_t *code;

        get(r, -r->at & 7);
        code = get(r, 1);
        get_value(r, "v", &w);
        if (!r->bad && *code > 0 && *code < FIELD_N && w.n == 2)
                set_field(m, *code, w.word[1]);
        else
                m->n_unknown++;
        words_clear(&w);
}

/**
 * message_size() - how long the message at the front is
 * @bytes:      its first bytes
 * @n_bytes:    at least 16
 * @size:       output
 *
 * Return:      0, or -EBADMSG if no message starts so.
 */
int message_size(const uint8_t *bytes, size_t n_bytes, size_t *size)
{
        struct reader r = { .bytes = bytes, .n = n_bytes, .big = *bytes == 'B' };
        uint64_t body, fields;

        if (n_bytes < 16 || (*bytes != 'l' && *bytes != 'B'))
                return -EBADMSG;
        r.at = 4;
        body = get_number(&r, 4);
        r.at = 12;
        fields = get_number(&r, 4);
        *size = 16 + ((fields + 7) & ~7ULL) + body;
        return *size > (1 << 27) ? -EBADMSG : 0;
}

static void get_body(struct reader *r, struct message *m)
{
        const char *s = m->signature;

        while (!r->bad && *s) {
                get_value(r, s, &m->body);
                s = type_end(s);
        }
        r->bad |= r->at != r->n;
}

/**
 * message_decode() - read a message the bus has sent
 * @bytes:      exactly one
 * @n_bytes:    as message_size() said
 *
 * Return:      the message, or NULL if it is malformed.
 */
struct message *message_decode(const uint8_t *bytes, size_t n_bytes)
{
        struct reader r = { .bytes = bytes, .n = n_bytes, .big = *bytes == 'B' };
        struct message *m = message_new();
        size_t end;

        m->endian = bytes[0];
        m->type = bytes[1];
        m->flags = bytes[2];
        m->version = bytes[3];
        r.at = 4;
        m->body_length = get_number(&r, 4);
        m->serial = get_number(&r, 4);
        end = 16 + get_number(&r, 4);
        while (!r.bad && r.at < end)
                get_field(&r, m);
        get(&r, -r.at & 7);
        m->has_body = true;
        m->signature = strdup(m->field[FIELD_SIGNATURE] ?: "");
        if (m->body_length > BODY_TEXT_MAX)
                words_append(&m->body, "<large>", 7);
        else
                get_body(&r, m);
        if (!r.bad)
                return m;
        message_free(m);
        return NULL;
}

/* --- showing and comparing --- */

char *message_text(const struct message *m)
{
        char *text = NULL, *body = words_join(&m->body);
        size_t n, i;
        FILE *f = open_memstream(&text, &n);

        if (m->type >= TYPE_CALL && m->type <= TYPE_SIGNAL)
                fprintf(f, "%s", type_words[m->type]);
        else
                fprintf(f, "type=%d", m->type);
        for (i = 1; i < FIELD_N; i++)
                if (m->field[i] && i != FIELD_SIGNATURE)
                        fprintf(f, " %s=%s", field_keys[i], m->field[i]);
        fprintf(f, " flags=%d serial=%lld", m->flags, (long long)m->serial);
        if (m->signature)
                fprintf(f, " %s %s", m->signature, body);
        fclose(f);
        free(body);
        return text;
}

static bool field_matches(const char *expected, const char *got)
{
        if (!expected || !strcmp(expected, "*"))
                return true;
        if (!strcmp(expected, "-"))
                return !got;
        return got && !strcmp(expected, got);
}

/**
 * message_match() - is this what was expected
 * @expected:   from message_parse()
 * @got:        from message_decode()
 *
 * Return:      NULL if it is, else the word for what differs.
 */
const char *message_match(const struct message *expected, const struct message *got)
{
        size_t i;

        if (expected->type != got->type)
                return "type";
        if (got->n_unknown)
                return "header: unknown fields";
        if (expected->flags >= 0 && expected->flags != got->flags)
                return "flags";
        if (expected->serial >= 0 && expected->serial != got->serial)
                return "serial";
        if (expected->endian && expected->endian != got->endian)
                return "endian";
        for (i = 1; i < FIELD_N; i++)
                if (i != FIELD_SIGNATURE && !field_matches(expected->field[i], got->field[i]))
                        return field_keys[i];
        if (!expected->has_body)
                return NULL;
        if (strcmp(expected->signature ?: "", got->signature))
                return "signature";
        if (!words_match(expected->body.word, expected->body.n, got->body.word, got->body.n))
                return "body";
        return NULL;
}
