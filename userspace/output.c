// SPDX-License-Identifier: GPL-2.0
/*
 * Results as text or JSON from the same calls. The words of the grammar are
 * the text's words and, with '_' for '-', JSON's keys.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "output.h"

#define KEY_MAX 32

/* What stands between two values of text, and the word; NULL for none. */
static void put_word(struct output *out, const char *word)
{
	if (out->begun)
		putchar(' ');
	out->begun = true;
	if (word)
		printf("%s ", word);
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
 * out_line - begin a line of text
 * @out: the result
 * @indent: by how many steps
 */
void out_line(struct output *out, unsigned int indent)
{
	if (out->json)
		return;
	if (out->begun)
		putchar('\n');
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
		putchar('\n');
	out->begun = false;
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
}

/**
 * out_object_end - end an object
 * @out: the result
 */
void out_object_end(struct output *out)
{
	if (out->json)
		close_json(out);
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
	if (out->json) {
		add(out, key, json_object_new_string(value));
		return;
	}
	put_word(out, word);
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
	if (out->json) {
		add(out, word, json_object_new_uint64(value));
		return;
	}
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
	if (out->json) {
		out_number(out, word, value);
		return;
	}
	put_word(out, word);
	printf("0x%" PRIx64, value);
}

/**
 * out_switch - on or off
 * @out: the result
 * @word: its word
 * @value: on
 */
void out_switch(struct output *out, const char *word, bool value)
{
	if (out->json) {
		add(out, word, json_object_new_boolean(value));
		return;
	}
	put_word(out, word);
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
	if (out->json) {
		add(out, word, NULL);
		return;
	}
	put_word(out, word);
	fputs(text, stdout);
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
		put_word(out, word);
	out->begun = false;
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
	if (out->begun)
		putchar(',');
	out->begun = true;
	fputs(value, stdout);
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
	if (!out->begun)
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

	if (out->json) {
		for (; first <= last; first++)
			add(out, NULL, json_object_new_int(first));
		return;
	}
	snprintf(text, sizeof(text), first == last ? "%u" : "%u-%u", first, last);
	out_member(out, text);
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
		last = first;
		if (!(mask & 1ULL << first))
			continue;
		last = last_of_run(mask, first);
		out_range(out, first, last);
	}
	out_list_end(out, none);
}
