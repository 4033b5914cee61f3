// SPDX-License-Identifier: GPL-2.0
/*
 * A command, word by word.
 */
#include <stdio.h>
#include <string.h>

#include "words.h"

/**
 * words_peek - look at the next word
 * @words: the command
 *
 * Return: the word, or NULL at the end.
 */
char *words_peek(const struct words *words)
{
	return words->next < words->count ? words->word[words->next] : NULL;
}

/**
 * words_take - take the next word
 * @words: the command
 *
 * Return: the word, or NULL at the end.
 */
char *words_take(struct words *words)
{
	char *word = words_peek(words);

	if (word)
		words->next++;
	return word;
}

/**
 * words_take_if - take the next word if it is this one
 * @words: the command
 * @word: the expected word
 *
 * Return: whether it was.
 */
bool words_take_if(struct words *words, const char *word)
{
	const char *next = words_peek(words);

	if (!next || strcmp(next, word) != 0)
		return false;
	words->next++;
	return true;
}

/**
 * is_help - does a word ask for help
 * @word: NULL does not
 *
 * Return: whether it does.
 */
bool is_help(const char *word)
{
	return word && strcmp(word, "--help") == 0;
}

/**
 * quoted - a word that was not understood, for a sentence
 * @word: the word; what may be a key at the wrong place is not repeated
 *
 * Return: valid until the next call.
 */
const char *quoted(const char *word)
{
	static char text[WORD_MAX + 32];
	size_t len = strlen(word);

	if (len > WORD_MAX)
		snprintf(text, sizeof(text), "a word of %zu characters", len);
	else
		snprintf(text, sizeof(text), "'%s'", word);
	return text;
}
