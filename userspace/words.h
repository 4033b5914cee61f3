/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_WORDS_H
#define BHSEC_WORDS_H

#include <stdbool.h>
#include <stddef.h>

/* No word of the grammar is longer, and no key is as short. */
#define WORD_MAX 20

/* What is longer is shortened in sentences; a file's name is seldom. */
#define SAID_MAX 200

/**
 * struct words - a command, word by word
 * @word: the words
 * @count: number of them
 * @next: index of the first one that is not yet taken
 */
struct words {
	char **word;
	int count;
	int next;
};

char *words_peek(const struct words *words);
char *words_take(struct words *words);
bool words_take_if(struct words *words, const char *word);
bool is_help(const char *word);
const char *quoted(const char *word);
const char *shortened(const char *text, size_t len);

#endif
