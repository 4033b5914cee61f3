// SPDX-License-Identifier: GPL-2.0
/*
 * Results as text or JSON from the same calls. The words of the grammar are
 * the text's words and, with '_' for '-', JSON's keys.
 */
#include <inttypes.h>
#include <stdio.h>

#include "output.h"

static void put_escaped(const char *text)
{
	const unsigned char *c;

	putchar_unlocked('"');
	for (c = (const unsigned char *)text; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			printf("\\u%04x", *c);
		else if (*c == '"' || *c == '\\')
			printf("\\%c", *c);
		else
			putchar_unlocked(*c);
	}
	putchar_unlocked('"');
}

static void put_key(const char *word)
{
	putchar_unlocked('"');
	for (; *word; word++)
		putchar_unlocked(*word == '-' ? '_' : *word);
	fputs("\":", stdout);
}

/* What stands between two values, and the word; NULL for a value without. */
static void put_word(struct output *out, const char *word)
{
	if (out->begun)
		putchar_unlocked(out->json ? ',' : ' ');
	out->begun = true;
	if (!word)
		return;
	if (out->json)
		put_key(word);
	else
		printf("%s ", word);
}

/**
 * out_line - begin a line of text
 * @out: the result
 * @indent: by how many steps
 */
void out_line(struct output *out, unsigned int indent)
{
	if (out->json)
		return;
	if (out->begun)
		putchar_unlocked('\n');
	printf("%*s", 2 * (int)indent, "");
	out->begun = false;
}

/**
 * out_end - end the result
 * @out: the result, ready for another one
 */
void out_end(struct output *out)
{
	if (out->begun)
		putchar_unlocked('\n');
	out->begun = false;
}

static void open_json(struct output *out, const char *key, char bracket)
{
	if (!out->json)
		return;
	put_word(out, key);
	putchar_unlocked(bracket);
	out->begun = false;
}

static void close_json(struct output *out, char bracket)
{
	if (!out->json)
		return;
	putchar_unlocked(bracket);
	out->begun = true;
}

/**
 * out_array - begin an array, which text does not show
 * @out: the result
 * @key: its key, NULL if it has none
 */
void out_array(struct output *out, const char *key)
{
	open_json(out, key, '[');
}

/**
 * out_array_end - end an array
 * @out: the result
 */
void out_array_end(struct output *out)
{
	close_json(out, ']');
}

/**
 * out_object - begin an object, which text does not show
 * @out: the result
 * @key: its key, NULL if it has none
 */
void out_object(struct output *out, const char *key)
{
	open_json(out, key, '{');
}

/**
 * out_object_end - end an object
 * @out: the result
 */
void out_object_end(struct output *out)
{
	close_json(out, '}');
}

/**
 * out_named - a string whose words differ
 * @out: the result
 * @key: JSON's key
 * @word: the text's word, NULL if the value speaks for itself
 * @value: the string
 */
void out_named(struct output *out, const char *key, const char *word,
	       const char *value)
{
	put_word(out, out->json ? key : word);
	if (out->json)
		put_escaped(value);
	else
		fputs(value, stdout);
}

/**
 * out_string - a string
 * @out: the result
 * @word: its word
 * @value: the string
 */
void out_string(struct output *out, const char *word, const char *value)
{
	out_named(out, word, word, value);
}

/**
 * out_number - a number
 * @out: the result
 * @word: its word
 * @value: the number
 */
void out_number(struct output *out, const char *word, uint64_t value)
{
	put_word(out, word);
	printf("%" PRIu64, value);
}

/**
 * out_hex - a number that people know in hexadecimal
 * @out: the result
 * @word: its word
 * @value: the number
 */
void out_hex(struct output *out, const char *word, uint64_t value)
{
	put_word(out, word);
	printf(out->json ? "%" PRIu64 : "0x%" PRIx64, value);
}

/**
 * out_switch - on or off
 * @out: the result
 * @word: its word
 * @value: on
 */
void out_switch(struct output *out, const char *word, bool value)
{
	put_word(out, word);
	if (out->json)
		fputs(value ? "true" : "false", stdout);
	else
		fputs(value ? "on" : "off", stdout);
}

/**
 * out_none - a value that is absent
 * @out: the result
 * @word: its word
 * @text: what text says instead; JSON says null
 */
void out_none(struct output *out, const char *word, const char *text)
{
	put_word(out, word);
	fputs(out->json ? "null" : text, stdout);
}

/**
 * out_list - begin a list of plain values
 * @out: the result
 * @word: its word
 */
void out_list(struct output *out, const char *word)
{
	put_word(out, word);
	if (out->json)
		putchar_unlocked('[');
	out->begun = false;
}

/**
 * out_member - a string of a list
 * @out: the result
 * @value: the string
 */
void out_member(struct output *out, const char *value)
{
	if (out->begun)
		putchar_unlocked(',');
	out->begun = true;
	if (out->json)
		put_escaped(value);
	else
		fputs(value, stdout);
}

/**
 * out_list_end - end a list
 * @out: the result
 * @none: what text says of an empty one
 */
void out_list_end(struct output *out, const char *none)
{
	if (out->json)
		putchar_unlocked(']');
	else if (!out->begun)
		fputs(none, stdout);
	out->begun = true;
}

static unsigned int last_of_run(uint64_t mask, unsigned int first)
{
	while (first < 63 && mask & 1ULL << (first + 1))
		first++;
	return first;
}

static void out_range(struct output *out, unsigned int first, unsigned int last)
{
	char text[16];

	snprintf(text, sizeof(text), first == last ? "%u" : "%u-%u", first, last);
	out_member(out, text);
}

static void out_numbers(unsigned int first, unsigned int last, bool begun)
{
	for (; first <= last; first++) {
		printf(begun ? ",%u" : "%u", first);
		begun = true;
	}
}

/**
 * out_ranges - a set of numbers, in text by ranges
 * @out: the result
 * @word: its word
 * @mask: bit N is set for number N
 * @none: what text says of an empty one
 */
void out_ranges(struct output *out, const char *word, uint64_t mask,
		const char *none)
{
	unsigned int first, last;

	out_list(out, word);
	for (first = 0; first < 64; first = last + 1) {
		last = last_of_run(mask, first);
		if (!(mask & 1ULL << first)) {
			last = first;
			continue;
		}
		if (out->json)
			out_numbers(first, last, out->begun);
		else
			out_range(out, first, last);
		out->begun = true;
	}
	out_list_end(out, none);
}
