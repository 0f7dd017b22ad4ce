/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* markup_text() - text into XML or HTML: what would be markup is escaped, what XML forbids is '?' */

#include <stdio.h>

static inline void markup_text(FILE *to, const char *s)
{
        for (; *s; s++)
                switch (*s) {
                case '<':
                        fputs("&lt;", to);
                        break;
                case '>':
                        fputs("&gt;", to);
                        break;
                case '&':
                        fputs("&amp;", to);
                        break;
                case '"':
                        fputs("&quot;", to);
                        break;
                default:
                        fputc((unsigned char)*s < ' ' && *s != '\n' && *s != '\t' ? '?' : *s, to);
                }
}
