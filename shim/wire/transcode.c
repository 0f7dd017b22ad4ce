/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/wire/transcode.h"
#include "shim/wire/type.h"

#define FIXED_SIZE 16
#define NATIVE     (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 'l' : 'B')

/* type of each field in version 2; SIGNATURE is the body's own type there */
static const char v2_types[FIELD_UNIX_FDS + 1] = {
        [FIELD_PATH] = 'o',        [FIELD_INTERFACE] = 's',   [FIELD_MEMBER] = 's',
        [FIELD_ERROR_NAME] = 's',  [FIELD_REPLY_SERIAL] = 't', [FIELD_DESTINATION] = 's',
        [FIELD_SENDER] = 's',      [FIELD_UNIX_FDS] = 'u',
};

/* --- to version 2 --- */

struct fields {
        struct gvariant_buf *out;
        uint64_t ends[FIELD_UNIX_FDS + 1];
        size_t n_ends;
};

/* one entry {tv}: the code, then the value, a NUL and its type */
static void put_field(struct fields *f, uint64_t code, const void *value, size_t n)
{
        char tail[2] = {0, v2_types[code]};

        gvariant_buf_align(f->out, 8);
        gvariant_buf_put(f->out, &code, sizeof(code));
        gvariant_buf_put(f->out, value, n);
        gvariant_buf_put(f->out, tail, sizeof(tail));
        f->ends[f->n_ends++] = f->out->n - FIXED_SIZE;
}

static void put_text_field(struct fields *f, uint64_t code, const uint8_t *msg, struct span s)
{
        if (s.off)
                put_field(f, code, msg + s.off, s.len + 1);
}

static void put_fields(struct gvariant_buf *out, const struct header *h, const uint8_t *msg,
                       bool sender)
{
        struct fields f = {.out = out};
        uint64_t reply = h->reply_serial;
        unsigned width;

        put_text_field(&f, FIELD_PATH, msg, h->path);
        put_text_field(&f, FIELD_INTERFACE, msg, h->interface);
        put_text_field(&f, FIELD_MEMBER, msg, h->member);
        put_text_field(&f, FIELD_ERROR_NAME, msg, h->error_name);
        if (reply)
                put_field(&f, FIELD_REPLY_SERIAL, &reply, sizeof(reply));
        put_text_field(&f, FIELD_DESTINATION, msg, h->destination);
        if (sender)
                put_text_field(&f, FIELD_SENDER, msg, h->sender);
        if (h->n_fds)
                put_field(&f, FIELD_UNIX_FDS, &h->n_fds, sizeof(h->n_fds));
        width = gvariant_word_for(out->n - FIXED_SIZE, f.n_ends);
        for (size_t i = 0; i < f.n_ends; i++)
                gvariant_put_word(out, f.ends[i], width);
}

static void put_fixed(struct gvariant_buf *out, uint8_t type, uint8_t flags, uint64_t cookie)
{
        uint8_t fixed[FIXED_SIZE] = {NATIVE, type, flags, 2};

        memcpy(fixed + 8, &cookie, sizeof(cookie));
        gvariant_buf_put(out, fixed, sizeof(fixed));
}

int transcode_to_v2(struct gvariant_buf *out, const struct header *h, const uint8_t *msg,
                    const uint8_t *body, enum transcode_style style, bool sender)
{
        const char *sig = h->signature.off ? (const char *)msg + h->signature.off : "";
        size_t fields_end;
        int r;

        put_fixed(out, h->type,
                  h->flags & (HEADER_NO_REPLY_EXPECTED | HEADER_NO_AUTO_START |
                              HEADER_ALLOW_INTERACTIVE_AUTHORIZATION),
                  h->serial);
        put_fields(out, h, msg, sender);
        fields_end = out->n;
        gvariant_buf_align(out, 8);
        r = gvariant_from_body(out, sig, h->signature.len, h->swap, body, h->body_size);
        if (r)
                return r;
        gvariant_buf_add(out, 1);
        if (style == TRANSCODE_PARENTHESES)
                gvariant_buf_put(out, "(", 1);
        gvariant_buf_put(out, sig, h->signature.len);
        if (style == TRANSCODE_PARENTHESES)
                gvariant_buf_put(out, ")", 1);
        gvariant_put_word(out, fields_end, gvariant_word_for(out->n, 1));
        return out->error;
}

/* --- from version 2 --- */

struct piece {
        const uint8_t *at;
        size_t n;
};

/* what was found in a version 2 message, judged field by field */
struct v2 {
        uint8_t type, flags;
        uint64_t cookie, reply_cookie;
        struct piece text[FIELD_UNIX_FDS + 1]; /* NUL not counted */
        uint32_t n_fds;
        const char *sig;
        size_t siglen;
        struct piece body;
        enum transcode_style style;
};

static bool text_valid(uint64_t code, const char *s, size_t n)
{
        switch (code) {
        case FIELD_PATH:
                return valid_path(s, n);
        case FIELD_INTERFACE:
                return valid_interface(s, n);
        case FIELD_MEMBER:
                return valid_member(s, n);
        case FIELD_ERROR_NAME:
                return valid_error_name(s, n);
        default:
                return valid_bus_name(s, n);
        }
}

static int read_text(struct v2 *v, uint64_t code, const uint8_t *at, size_t n)
{
        if (!n || at[n - 1] || v->text[code].at || !text_valid(code, (const char *)at, n - 1))
                return -EBADMSG;
        v->text[code] = (struct piece){at, n - 1};
        return 0;
}

/* @at: 8-aligned; an entry of the field array */
static int read_field(struct v2 *v, const uint8_t *at, size_t n)
{
        uint64_t code;
        char type;

        if (n < 8 + 2)
                return -EBADMSG;
        memcpy(&code, at, 8);
        if (code == 0 || code == FIELD_SIGNATURE)
                return -EBADMSG;
        if (code > FIELD_UNIX_FDS)
                return 0; /* of the future */
        type = at[n - 1];
        at += 8;
        n -= 8 + 2;
        if (at[n] || type != v2_types[code])
                return -EBADMSG;
        if (type == 't' && n == 8 && !v->reply_cookie)
                memcpy(&v->reply_cookie, at, 8);
        else if (type == 'u' && n == 4 && !v->n_fds)
                memcpy(&v->n_fds, at, 4);
        else if (type == 's' || type == 'o')
                return read_text(v, code, at, n);
        else
                return -EBADMSG;
        return 0;
}

/* an array of entries of different sizes: a table of their ends comes last */
static int read_fields(struct v2 *v, const uint8_t *at, size_t n)
{
        unsigned width = gvariant_word(n);
        size_t pos = 0, table;

        if (!n)
                return 0;
        table = gvariant_get_word(at + n - width, width);
        if (table > n - width || (n - table) % width)
                return -EBADMSG;
        for (size_t i = table; i < n; i += width) {
                size_t start = ALIGN_TO(pos, (size_t)8);
                size_t end = gvariant_get_word(at + i, width);
                int r;

                if (start > end || end > table)
                        return -EBADMSG;
                r = read_field(v, at + start, end - start);
                if (r)
                        return r;
                pos = end;
        }
        return pos == table ? 0 : -EBADMSG;
}

/* whether a type string is one struct, as systemd has it since 224 */
static bool in_parentheses(const char *sig, size_t n)
{
        if (n < 2 || sig[0] != '(' || sig[n - 1] != ')')
                return false;
        return n == 2 || (signature_validate(sig + 1, n - 2) == 0 &&
                          signature_next(sig, n) == n);
}

/* @style: as the sender is known to write, for a struct may be the body or be in it */
static int read_body(struct v2 *v, enum transcode_style style, const uint8_t *at, size_t n)
{
        const uint8_t *nul = n ? memrchr(at, 0, n) : NULL;

        if (!nul)
                return -EBADMSG;
        v->sig = (const char *)nul + 1;
        v->siglen = at + n - nul - 1;
        v->body = (struct piece){at, nul - at};
        v->style = TRANSCODE_BARE;
        if (in_parentheses(v->sig, v->siglen) && (style != TRANSCODE_BARE || v->siglen == 2)) {
                v->style = TRANSCODE_PARENTHESES;
                v->sig++;
                v->siglen -= 2;
        }
        if (v->siglen > TYPE_SIGNATURE_MAX || signature_validate(v->sig, v->siglen))
                return -EBADMSG;
        return 0;
}

/* which fields each type of message must have */
static bool is_complete(const struct v2 *v)
{
        switch (v->type) {
        case HEADER_CALL:
                return v->text[FIELD_PATH].at && v->text[FIELD_MEMBER].at;
        case HEADER_RETURN:
                return v->reply_cookie;
        case HEADER_ERROR:
                return v->reply_cookie && v->text[FIELD_ERROR_NAME].at;
        case HEADER_SIGNAL:
                return v->text[FIELD_PATH].at && v->text[FIELD_INTERFACE].at &&
                       v->text[FIELD_MEMBER].at;
        default:
                return false;
        }
}

static int read_v2(struct v2 *v, enum transcode_style style, const uint8_t *msg, size_t n)
{
        size_t fields_end, body;
        uint32_t reserved;
        unsigned width;
        int r;

        if (n <= FIXED_SIZE + 2 || n > TYPE_MESSAGE_MAX)
                return -EBADMSG;
        memcpy(&reserved, msg + 4, 4);
        memcpy(&v->cookie, msg + 8, 8);
        v->type = msg[1];
        v->flags = msg[2];
        if (msg[0] != NATIVE || msg[3] != 2 || reserved || !v->cookie)
                return -EBADMSG;
        width = gvariant_word(n);
        fields_end = gvariant_get_word(msg + n - width, width);
        if (fields_end < FIXED_SIZE || fields_end > n - width)
                return -EBADMSG;
        body = ALIGN_TO(fields_end, (size_t)8);
        if (body > n - width)
                return -EBADMSG;
        r = read_fields(v, msg + FIXED_SIZE, fields_end - FIXED_SIZE);
        if (!r)
                r = read_body(v, style, msg + body, n - width - body);
        if (!r && !is_complete(v))
                r = -EBADMSG;
        return r;
}

static void put_dbus_text(struct gvariant_buf *out, uint8_t code, char type, const void *text, size_t n)
{
        uint8_t head[4] = {code, 1, type, 0};
        uint32_t len = n;

        if (!text)
                return;
        gvariant_buf_align(out, 8);
        gvariant_buf_put(out, head, 4);
        if (type == 'g')
                gvariant_buf_put(out, &(uint8_t){n}, 1);
        else
                gvariant_buf_put(out, &len, 4);
        gvariant_buf_put(out, text, n);
        gvariant_buf_add(out, 1);
}

static void put_dbus_u32(struct gvariant_buf *out, uint8_t code, uint32_t v)
{
        uint8_t head[4] = {code, 1, 'u', 0};

        if (!v)
                return;
        gvariant_buf_align(out, 8);
        gvariant_buf_put(out, head, 4);
        gvariant_buf_put(out, &v, 4);
}

static void put_dbus_header(struct gvariant_buf *out, const struct v2 *v, const char *sender,
                            const char *destination)
{
        uint8_t fixed[HEADER_FIXED] = {NATIVE, v->type, v->flags & 7, 1};
        uint32_t serial = v->cookie, n_fields;

        memcpy(fixed + 8, &serial, 4);
        gvariant_buf_put(out, fixed, sizeof(fixed));
        for (uint8_t code = 1; code <= FIELD_UNIX_FDS; code++) {
                const struct piece *t = &v->text[code];

                if (code == FIELD_REPLY_SERIAL)
                        put_dbus_u32(out, code, v->reply_cookie);
                else if (code == FIELD_UNIX_FDS)
                        put_dbus_u32(out, code, v->n_fds);
                else if (code == FIELD_SENDER)
                        put_dbus_text(out, code, 's', sender, sender ? strlen(sender) : 0);
                else if (code == FIELD_DESTINATION && destination)
                        put_dbus_text(out, code, 's', *destination ? destination : NULL,
                                      strlen(destination));
                else if (code == FIELD_SIGNATURE)
                        put_dbus_text(out, code, 'g', v->siglen ? v->sig : NULL, v->siglen);
                else
                        put_dbus_text(out, code, v2_types[code], t->at, t->n);
        }
        if (out->error)
                return;
        n_fields = out->n - HEADER_FIXED;
        memcpy(out->data + 12, &n_fields, 4);
        gvariant_buf_align(out, 8);
}

/*
 * The last padding of a body of fixed size is missing in the bare style: it is added.
 * @room:       for the longest that there can be
 */
static int pad_body(struct v2 *v, uint8_t room[static TYPE_SIGNATURE_MAX * 8])
{
        size_t size;
        int r;

        if (v->style != TRANSCODE_BARE || !v->siglen || v->body.n >= TYPE_SIGNATURE_MAX * 8)
                return 0;
        r = gvariant_fixed_size(&size, v->sig, v->siglen);
        if (r || size <= v->body.n || size - v->body.n >= 8)
                return r;
        memset(room, 0, size);
        memcpy(room, v->body.at, v->body.n);
        v->body = (struct piece){room, size};
        return 0;
}

int transcode_from_v2(struct gvariant_buf *out, struct transcode_info *info,
                      enum transcode_style style, const uint8_t *msg, size_t n, const char *sender,
                      const char *destination)
{
        uint8_t room[TYPE_SIGNATURE_MAX * 8];
        struct v2 v = {};
        struct header check;
        uint32_t n_body, head_size, total;
        size_t n_header;
        int r;

        r = read_v2(&v, style, msg, n);
        if (!r)
                r = pad_body(&v, room);
        if (r)
                return r;
        if (v.cookie > UINT32_MAX || v.reply_cookie > UINT32_MAX)
                return -EOVERFLOW;
        put_dbus_header(out, &v, sender, destination);
        if (out->error)
                return out->error;
        n_header = out->n;
        if (v.siglen || v.body.n) /* in the bare style an empty body is nothing at all */
                r = gvariant_to_body(out, v.sig, v.siglen, v.body.at, v.body.n);
        if (r)
                return r;
        n_body = out->n - n_header;
        memcpy(out->data + 4, &n_body, 4);
        /* rules that concern several fields at once are the judge's business */
        if (header_frame(out->data, TYPE_MESSAGE_MAX, &head_size, &total) || total != out->n ||
            header_parse(&check, out->data, out->n))
                return -EBADMSG;
        *info = (struct transcode_info){v.style, v.cookie, v.reply_cookie};
        return 0;
}
