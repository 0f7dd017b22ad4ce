/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Words
 *
 * What it is     A line of the conversation language, cut at blanks.
 * How            `[` and `]` are words of their own. Between two backquotes blanks and brackets
 *                are ordinary characters, and two backquotes alone are the empty word. %xx is any
 *                byte; words keep it as written, word_bytes() turns it into the byte.
 * Patterns       In an expected line the word `*` stands for one word or one bracketed group, and
 *                `...` for any number of them; a word with a `?` in it is a glob.
 */

#include <stdbool.h>
#include <stddef.h>

struct words {
        char **word;
        size_t n;
};

void words_split(struct words *words, const char *text);
void words_append(struct words *words, const char *word, size_t n_word);
char *words_join(const struct words *words);
void words_clear(struct words *words);

char *word_bytes(const char *word, size_t *n_bytes);
char *word_escape(const char *bytes, size_t n_bytes);

bool words_match(char **pattern, size_t n_pattern, char **word, size_t n_word);
