// SPDX-License-Identifier: GPL-2.0
/*
 * Results as text, JSON or entries of a journal from the same calls. The words of
 * the grammar are the text's words and, with '_' for '-', JSON's keys and what the
 * names of a journal's fields are made of.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <unistd.h>

#include "journal.h"
#include "output.h"

#define KEY_MAX 32

/* A line as wide as this can be read anywhere. */
#define USUAL_WIDTH 80

/* How much further in than its line what does not fit into it begins. */
#define HANG 4

/* Digits of the largest number, and a zero. */
#define NUMBER_MAX 21

static void hand_on(struct output *out, const char *bytes, size_t len)
{
	if (out->journal)
		journal_text(out->journal, bytes, len);
	else
		fwrite(bytes, 1, len, stdout);
}

/**
 * out_flush - give stdio or the journal what was said so far
 * @out: the result
 */
void out_flush(struct output *out)
{
	hand_on(out, out->buffer, out->used);
	out->used = 0;
}

/**
 * out_bytes - say something as it is, wherever in a line that is
 * @out: the result
 * @bytes: it
 * @len: bytes of it
 *
 * A call of stdio costs more than the few bytes of a word or a number.
 */
void out_bytes(struct output *out, const char *bytes, size_t len)
{
	if (len > sizeof(out->buffer) - out->used)
		out_flush(out);
	if (len > sizeof(out->buffer)) {
		hand_on(out, bytes, len);
		return;
	}
	memcpy(out->buffer + out->used, bytes, len);
	out->used += len;
}

static void put_text(struct output *out, const char *text, size_t len)
{
	out_bytes(out, text, len);
	out->column += len;
}

static void begin_line(struct output *out, unsigned int indent)
{
	static const char blank[] = "          ";

	out->column = 0;
	while (out->column < indent)
		put_text(out, blank, MIN(indent - out->column, sizeof(blank) - 1));
}

/* The line goes on in the next one. */
static void go_on(struct output *out)
{
	out_bytes(out, "\n", 1);
	begin_line(out, out->indent + HANG);
}

/* Does this go into the line that is begun, a space or a comma beside it? */
static bool fits(const struct output *out, size_t len)
{
	return !out->width || out->column + 1 + len <= out->width;
}

/*
 * A word, if any, and its value, behind a space or on a new line, with room for
 * what may follow without a space.
 */
static void put(struct output *out, const char *word, const char *value,
		size_t more)
{
	size_t word_len = word ? strlen(word) + 1 : 0, len = strlen(value);

	if (out->begun && fits(out, word_len + len + more))
		put_text(out, " ", 1);
	else if (out->begun)
		go_on(out);
	out->begun = true;
	if (word) {
		put_text(out, word, word_len - 1);
		put_text(out, " ", 1);
	}
	put_text(out, value, len);
}

/* What is in an object inside has names that the outer one's have, too. */
static bool is_field(const struct output *out)
{
	return out->journal && out->depth == 1;
}

/* The same of a value that has a name, by which a journal gets it. */
static void put_value(struct output *out, const char *key, const char *word,
		      const char *value)
{
	if (is_field(out))
		journal_field(out->journal, key, value);
	put(out, word, value, 0);
}

/* Decimal digits; returns the first of them. */
static const char *format_number(uint64_t value, char text[NUMBER_MAX])
{
	char *digit = text + NUMBER_MAX - 1;

	*digit = '\0';
	do {
		*--digit = '0' + value % 10;
		value /= 10;
	} while (value);
	return digit;
}

/**
 * out_digits - say a number as it is, wherever in a line that is
 * @out: the result
 * @value: the number
 */
void out_digits(struct output *out, uint64_t value)
{
	char text[NUMBER_MAX];
	const char *digit = format_number(value, text);

	out_bytes(out, digit, text + NUMBER_MAX - 1 - digit);
}

static void make_key(const char *word, char *key)
{
	size_t i;

	for (i = 0; word[i] && i < KEY_MAX - 1; i++)
		key[i] = word[i] == '-' ? '_' : word[i];
	key[i] = 0;
}

/* Put a value into the innermost open object or array. */
static void add(struct output *out, const char *word, struct json_object *value)
{
	struct json_object *parent;
	char key[KEY_MAX];

	if (!out->depth)
		return;
	parent = out->open[out->depth - 1];
	if (json_object_is_type(parent, json_type_array)) {
		json_object_array_add(parent, value);
		return;
	}
	make_key(word, key);
	json_object_object_add(parent, key, value);
}

static void open_json(struct output *out, const char *word,
		      struct json_object *value)
{
	add(out, word, value);
	out->open[out->depth++] = value;
}

/* The outermost one is the result: it is printed when it closes. */
static void close_json(struct output *out)
{
	struct json_object *value = out->open[--out->depth];

	if (out->depth)
		return;
	puts(json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN |
						   JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(value);
}

/**
 * out_wrap - have lines of text end where the terminal does
 * @out: the result, before its first line
 */
void out_wrap(struct output *out)
{
	struct winsize size;

	out->width = USUAL_WIDTH;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		out->width = size.ws_col;
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
		out_bytes(out, "\n", 1);
	out->indent = 2 * indent;
	begin_line(out, out->indent);
	out->begun = false;
}

/**
 * out_end - end the result
 * @out: the result, ready for another one
 */
void out_end(struct output *out)
{
	if (out->begun && !out->journal)
		out_bytes(out, "\n", 1);
	out->begun = false;
	out_flush(out);
}

/**
 * out_array - begin an array, which text does not show
 * @out: the result
 * @key: its key, NULL if it has none
 */
void out_array(struct output *out, const char *key)
{
	if (out->json)
		open_json(out, key, json_object_new_array());
}

/**
 * out_array_end - end an array
 * @out: the result
 */
void out_array_end(struct output *out)
{
	if (out->json)
		close_json(out);
}

/**
 * out_object - begin an object, which text does not show
 * @out: the result
 * @key: its key, NULL if it has none
 */
void out_object(struct output *out, const char *key)
{
	if (out->json)
		open_json(out, key, json_object_new_object());
	else
		out->depth++;
}

/**
 * out_object_end - end an object
 * @out: the result
 */
void out_object_end(struct output *out)
{
	if (out->json)
		close_json(out);
	else
		out->depth--;
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
	if (out->json)
		add(out, key, json_object_new_string(value));
	else
		put_value(out, key, word, value);
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
 * out_quoted - a string that may have blanks in it
 * @out: the result
 * @word: its word
 * @value: the string
 */
void out_quoted(struct output *out, const char *word, const char *value)
{
	char *text;

	if (out->json) {
		out_string(out, word, value);
		return;
	}
	if (asprintf(&text, "\"%s\"", value) < 0)
		return;
	out_string(out, word, text);
	free(text);
}

/**
 * out_number - a number
 * @out: the result
 * @word: its word
 * @value: the number
 */
void out_number(struct output *out, const char *word, uint64_t value)
{
	char text[NUMBER_MAX];

	if (out->json)
		add(out, word, json_object_new_uint64(value));
	else
		put_value(out, word, word, format_number(value, text));
}

/**
 * out_hex - a number that people know in hexadecimal
 * @out: the result
 * @word: its word
 * @value: the number
 */
void out_hex(struct output *out, const char *word, uint64_t value)
{
	char text[NUMBER_MAX];

	if (out->json) {
		out_number(out, word, value);
		return;
	}
	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	put_value(out, word, word, text);
}

/**
 * out_switch - on or off
 * @out: the result
 * @word: its word
 * @value: on
 */
void out_switch(struct output *out, const char *word, bool value)
{
	if (out->json)
		add(out, word, json_object_new_boolean(value));
	else
		out_string(out, word, value ? "on" : "off");
}

/**
 * out_none - a value that is absent
 * @out: the result
 * @word: its word
 * @text: what text says instead, NULL if nothing; JSON says null, a journal has
 *	no such field
 */
void out_none(struct output *out, const char *word, const char *text)
{
	if (out->json)
		add(out, word, NULL);
	else if (text)
		put(out, word, text, 0);
}

/**
 * out_word - a word that says what follows, which JSON's keys do
 * @out: the result
 * @word: the word
 */
void out_word(struct output *out, const char *word)
{
	if (!out->json)
		put(out, NULL, word, 0);
}

/**
 * out_list - begin a list of plain values
 * @out: the result
 * @word: its word
 */
void out_list(struct output *out, const char *word)
{
	if (out->json)
		out_array(out, word);
	else
		out->list = word;
	out->has_member = false;
}

/**
 * out_member - a string of a list
 * @out: the result
 * @value: the string
 */
void out_member(struct output *out, const char *value)
{
	if (out->json) {
		add(out, NULL, json_object_new_string(value));
		return;
	}
	if (is_field(out) && out->has_member)
		journal_member(out->journal, value);
	else if (is_field(out))
		journal_field(out->journal, out->list, value);
	if (!out->has_member) {
		put(out, out->list, value, strlen(","));
		out->has_member = true;
		return;
	}
	put_text(out, ",", 1);
	if (!fits(out, strlen(value)))
		go_on(out);
	put_text(out, value, strlen(value));
}

/**
 * out_list_end - end a list
 * @out: the result
 * @none: what text says of an empty one
 */
void out_list_end(struct output *out, const char *none)
{
	if (out->json) {
		out_array_end(out);
		return;
	}
	if (!out->has_member)
		put(out, out->list, none, 0);
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

/**
 * out_bits - a set of numbers, one by one, which text does not show
 * @out: the result
 * @key: JSON's key
 * @mask: bit N is set for number N
 */
void out_bits(struct output *out, const char *key, uint64_t mask)
{
	unsigned int i;

	out_array(out, key);
	for (i = 0; out->json && i < 64; i++)
		if (mask & 1ULL << i)
			out_number(out, NULL, i);
	out_array_end(out);
}

/**
 * out_ranges - a set of numbers by ranges
 * @out: the result
 * @key: JSON's key
 * @word: the text's word
 * @mask: bit N is set for number N
 * @none: what text says of an empty one
 */
void out_ranges(struct output *out, const char *key, const char *word,
		uint64_t mask, const char *none)
{
	unsigned int first, last;

	out_list(out, out->json ? key : word);
	for (first = 0; first < 64; first = last + 1) {
		last = first;
		if (!(mask & 1ULL << first))
			continue;
		last = last_of_run(mask, first);
		out_range(out, first, last);
	}
	out_list_end(out, none);
}
