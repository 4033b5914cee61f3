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

/**
 * shortened - a value of any length, for a sentence
 * @text: the value; need not end with a zero
 * @len: its length
 *
 * Return: valid until the next call; of a long list the first members.
 */
const char *shortened(const char *text, size_t len)
{
	static char copy[SAID_MAX + sizeof("...")];
	const char *comma;
	size_t kept = len;

	if (len > SAID_MAX) {
		kept = SAID_MAX / 3;
		comma = memrchr(text, ',', kept);
		kept = comma ? (size_t)(comma - text) + 1 : kept;
	}
	snprintf(copy, sizeof(copy), "%.*s%s", (int)kept, text,
		 kept < len ? "..." : "");
	return copy;
}
