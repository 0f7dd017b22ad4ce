/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat-tests/words.h"

void words_append(struct words *words, const char *word, size_t n_word)
{
        words->word = realloc(words->word, (words->n + 1) * sizeof(*words->word));
        words->word[words->n++] = strndup(word, n_word);
}

static const char *split_quoted(struct words *words, const char *p)
{
        const char *end = strchrnul(p, '`');

        words_append(words, p, end - p);
        return *end ? end + 1 : end;
}

void words_split(struct words *words, const char *p)
{
        size_t n;

        while (*p) {
                if (isspace((unsigned char)*p)) {
                        p++;
                } else if (*p == '`') {
                        p = split_quoted(words, p + 1);
                } else if (*p == '[' || *p == ']') {
                        words_append(words, p++, 1);
                } else {
                        n = strcspn(p, " \t\n[]`");
                        words_append(words, p, n);
                        p += n;
                }
        }
}

char *words_join(const struct words *words)
{
        char *text = strdup(""), *longer;
        size_t i;

        for (i = 0; i < words->n; i++) {
                if (asprintf(&longer, "%s%s%s", text, i ? " " : "",
                             *words->word[i] ? words->word[i] : "``") < 0)
                        abort();
                free(text);
                text = longer;
        }
        return text;
}

void words_clear(struct words *words)
{
        size_t i;

        for (i = 0; i < words->n; i++)
                free(words->word[i]);
        free(words->word);
        *words = (struct words){};
}

char *word_bytes(const char *word, size_t *n_bytes)
{
        char *bytes = malloc(strlen(word) + 1), *to = bytes;
        unsigned int c;

        while (*word) {
                if (*word == '%' && sscanf(word + 1, "%2x", &c) == 1) {
                        *to++ = c;
                        word += 3;
                } else {
                        *to++ = *word++;
                }
        }
        *to = 0;
        if (n_bytes)
                *n_bytes = to - bytes;
        return bytes;
}

char *word_escape(const char *bytes, size_t n_bytes)
{
        char *word = malloc(n_bytes * 3 + 1), *to = word;
        size_t i;

        for (i = 0; i < n_bytes; i++) {
                if (isgraph((unsigned char)bytes[i]) && !strchr("%`", bytes[i]))
                        *to++ = bytes[i];
                else
                        to += sprintf(to, "%%%02x", (unsigned char)bytes[i]);
        }
        *to = 0;
        return word;
}

/* group_length() - how many words the value at the front takes: one, or a bracketed group */
static size_t group_length(char **word, size_t n_word)
{
        size_t i, depth = 0;

        for (i = 0; i < n_word; i++) {
                if (!strcmp(word[i], "["))
                        depth++;
                else if (!strcmp(word[i], "]") && depth)
                        depth--;
                if (!depth)
                        return i + 1;
        }
        return n_word;
}

/* word_equal() - compared as bytes, or as a glob if the pattern has a question mark */
static bool word_equal(const char *a, const char *b)
{
        size_t n_a, n_b;
        char *x = word_bytes(a, &n_a), *y = word_bytes(b, &n_b);
        bool equal = strchr(a, '?') ? !fnmatch(a, b, 0) : n_a == n_b && !memcmp(x, y, n_a);

        free(x);
        free(y);
        return equal;
}

bool words_match(char **pattern, size_t n_pattern, char **word, size_t n_word)
{
        size_t n;

        while (n_pattern) {
                if (!strcmp(*pattern, "...")) {
                        if (words_match(pattern + 1, n_pattern - 1, word, n_word))
                                return true;
                        if (!n_word || !strcmp(*word, "]"))
                                return false;
                        n = group_length(word, n_word);
                        word += n;
                        n_word -= n;
                        continue;
                }
                if (!n_word)
                        return false;
                n = strcmp(*pattern, "*") ? 1 : group_length(word, n_word);
                if (strcmp(*pattern, "*") && !word_equal(*pattern, *word))
                        return false;
                pattern++;
                n_pattern--;
                word += n;
                n_word -= n;
        }
        return !n_word;
}
