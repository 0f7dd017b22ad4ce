/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "bus-core/util/cleanup.h"
#include "tools/figure.h"

/* Up to three digits and a letter; from @least on. */
static const char *scaled(char buf[FIGURE_MAX], double n, double base, double least,
                          const char *const *units, size_t n_units)
{
        size_t unit = 0;

        while (n >= least && unit + 1 < n_units) {
                n /= base;
                least = base - 0.5;
                unit++;
        }
        if (unit && n < 99.95)
                snprintf(buf, FIGURE_MAX, "%.1f%s", n, units[unit]);
        else
                snprintf(buf, FIGURE_MAX, "%.0f%s", n, units[unit]);
        return buf;
}

const char *figure_count(char buf[FIGURE_MAX], double n)
{
        static const char *const units[] = { "", "k", "M", "G", "T", "P", "E" };

        if (n > 0 && n < 0.05)
                snprintf(buf, FIGURE_MAX, "<0.1");
        else if (n > 0 && n < 9.95 && n - (uint64_t)n > 0.049)
                snprintf(buf, FIGURE_MAX, "%.1f", n);
        else
                scaled(buf, n, 1000, 9999.5, units, ARRAY_SIZE(units));
        return buf;
}

const char *figure_bytes(char buf[FIGURE_MAX], double n)
{
        static const char *const units[] = { "", "K", "M", "G", "T", "P", "E" };

        return scaled(buf, n, 1024, 1023.5, units, ARRAY_SIZE(units));
}

const char *figure_size(char buf[FIGURE_MAX], double n)
{
        static const char *const units[] = { " B",   " KiB", " MiB", " GiB",
                                             " TiB", " PiB", " EiB" };

        return scaled(buf, n, 1024, 1023.5, units, ARRAY_SIZE(units));
}

const char *figure_time(char buf[FIGURE_MAX], uint64_t usec)
{
        uint64_t s = usec / 1000000, min = s / 60, h = min / 60;

        if (s < 60)
                snprintf(buf, FIGURE_MAX, "%" PRIu64 " s", s);
        else if (min < 60)
                snprintf(buf, FIGURE_MAX, "%" PRIu64 " min", min);
        else if (h < 24)
                snprintf(buf, FIGURE_MAX, "%" PRIu64 " h %" PRIu64 " min", h, min % 60);
        else
                snprintf(buf, FIGURE_MAX, "%" PRIu64 " d %" PRIu64 " h", h / 24, h % 24);
        return buf;
}

/* The bytes of the UTF-8 character at @s; 0 if it is none, or one that steers a terminal. */
static size_t printable(const unsigned char *s)
{
        size_t n = *s < 0x80 ? 1 : *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : 2;

        if (*s < 0x20 || *s == 0x7f || (*s >= 0x80 && *s < 0xc2) || *s > 0xf4)
                return 0;
        for (size_t i = 1; i < n; i++)
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        return *s == 0xc2 && s[1] < 0xa0 ? 0 : n;
}

size_t figure_text(char *buf, size_t size, const char *text, size_t width)
{
        const unsigned char *s = (const unsigned char *)text;
        size_t at = 0, n_characters = 0, n;

        for (; *s && n_characters < width; n_characters++) {
                n = printable(s);
                if (at + MAX(n, (size_t)1) >= size)
                        break;
                if (!n) {
                        buf[at++] = '?';
                        s++;
                }
                while (n--)
                        buf[at++] = *s++;
        }
        buf[at] = 0;
        return n_characters;
}
