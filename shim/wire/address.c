/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Address: see address.h. */

#include "config.h"

#include <stdint.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "shim/wire/address.h"
#include "shim/wire/bytes.h"
#include "shim/wire/error.h"

/* is_plain() - may this character stand for itself in a value? */
static bool is_plain(char c)
{
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
               (c && strchr("-_/.\\*", c));
}

/* take_char() - decode the character at @s, of which @n bytes are left: its length, 0 if wrong */
static size_t take_char(const char *s, size_t n, char *out)
{
        int high, low;

        *out = *s;
        if (*s != '%')
                return is_plain(*s);
        if (n < 3)
                return 0;
        high = bytes_hex_digit(s[1]);
        low = bytes_hex_digit(s[2]);
        if (high < 0 || low < 0 || !(high | low))
                return 0;
        *out = high << 4 | low;
        return 3;
}

/* pair_end() - where the pair that begins at @s ends */
static const char *pair_end(const char *s, const char *end)
{
        const char *comma = memchr(s, ',', end - s);

        return comma ? comma : end;
}

static int check_value(const char *s, const char *end)
{
        size_t n;
        char c;

        if (s == end)
                return WIRE_E_ADDRESS_VALUE;
        for (; s < end; s += n) {
                n = take_char(s, end - s, &c);
                if (!n)
                        return *s == '%' ? WIRE_E_ADDRESS_ESCAPE : WIRE_E_ADDRESS_CHARACTER;
        }
        return 0;
}

static int check_pairs(const char *s, const char *end)
{
        const char *stop, *equals;
        int r;

        for (; s < end; s = stop + 1) {
                stop = pair_end(s, end);
                equals = memchr(s, '=', stop - s);
                if (!equals)
                        return WIRE_E_ADDRESS_EQUALS;
                if (equals == s)
                        return WIRE_E_ADDRESS_KEY;
                r = check_value(equals + 1, stop);
                if (r)
                        return r;
        }
        return 0;
}

int address_next(struct address *out, const char **text)
{
        const char *s = *text, *end = strchrnul(s, ';'), *colon = memchr(s, ':', end - s);
        int r;

        if (!*s)
                return WIRE_E_ADDRESS_EMPTY;
        if (!colon)
                return WIRE_E_ADDRESS_COLON;
        if (colon == s)
                return WIRE_E_ADDRESS_TRANSPORT;
        r = check_pairs(colon + 1, end);
        if (r)
                return r;
        *out = (struct address){s, colon - s, colon + 1, end - (colon + 1)};
        *text = *end ? end + 1 : end;
        return 0;
}

bool address_is(const struct address *a, const char *transport)
{
        size_t n = strlen(transport);

        return a->transport_n == n && !memcmp(a->transport, transport, n);
}

static int unescape(char *buf, size_t size, const char *s, const char *end)
{
        size_t n = 0;

        while (s < end) {
                if (n + 1 >= size)
                        return WIRE_E_ADDRESS_LENGTH;
                s += take_char(s, end - s, buf + n++);
        }
        buf[n] = 0;
        return 0;
}

int address_value(const struct address *a, const char *key, char *buf, size_t size)
{
        const char *s, *end = a->pairs + a->pairs_n, *stop;
        size_t n = strlen(key);

        for (s = a->pairs; s < end; s = stop + 1) {
                stop = pair_end(s, end);
                if ((size_t)(stop - s) > n && s[n] == '=' && !memcmp(s, key, n))
                        return unescape(buf, size, s + n + 1, stop);
        }
        return WIRE_E_ADDRESS_ABSENT;
}

size_t address_escape(char *out, size_t size, const char *value, size_t n)
{
        static const char digits[] = "0123456789abcdef";
        size_t len = 0;

        for (size_t i = 0; i < n; i++) {
                uint8_t c = value[i];
                const char hex[3] = {'%', digits[c >> 4], digits[c & 15]};
                size_t width = is_plain(c) ? 1 : 3;

                if (len + width < size)
                        memcpy(out + len, width == 1 ? value + i : hex, width);
                else if (len < size)
                        size = len + 1; /* a value cut off ends between two characters */
                len += width;
        }
        if (size)
                out[MIN(len, size - 1)] = 0;
        return len;
}
