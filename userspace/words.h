/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_WORDS_H
#define BHSEC_WORDS_H

#include <stdbool.h>

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

#endif
