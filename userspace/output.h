/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_OUTPUT_H
#define BHSEC_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal;
struct json_object;

/* A device in the list of devices, its peers, a peer, its SAs, an SA, a list. */
#define OUTPUT_DEPTH 8

/**
 * struct output - where a result has got to, as text or as JSON
 * @json: which of the two
 * @journal: text is a sentence of an entry there, its values are fields of that; or
 *	NULL
 * @begun: text, something stands on this line
 * @width: text, columns of a line; 0 for any number
 * @indent: text, where this line began
 * @column: text, where the next character goes
 * @list: text, the word of the last list
 * @has_member: text, something stands in it
 * @depth: how many objects, in JSON arrays too, are open
 * @open: JSON, these, from the outermost to the innermost
 * @used: bytes of @buffer
 * @buffer: what stdio has not got yet
 */
struct output {
	bool json;
	struct journal *journal;
	bool begun;
	unsigned int width;
	unsigned int indent;
	unsigned int column;
	const char *list;
	bool has_member;
	unsigned int depth;
	struct json_object *open[OUTPUT_DEPTH];
	size_t used;
	char buffer[4096];
};

void out_flush(struct output *out);
void out_bytes(struct output *out, const char *bytes, size_t len);
void out_digits(struct output *out, uint64_t value);
void out_wrap(struct output *out);
void out_line(struct output *out, unsigned int indent);
void out_end(struct output *out);
void out_array(struct output *out, const char *key);
void out_array_end(struct output *out);
void out_object(struct output *out, const char *key);
void out_object_end(struct output *out);

void out_string(struct output *out, const char *word, const char *value);
void out_named(struct output *out, const char *key, const char *word,
	       const char *value);
void out_quoted(struct output *out, const char *word, const char *value);
void out_number(struct output *out, const char *word, uint64_t value);
void out_hex(struct output *out, const char *word, uint64_t value);
void out_switch(struct output *out, const char *word, bool value);
void out_none(struct output *out, const char *word, const char *text);
void out_word(struct output *out, const char *word);

void out_list(struct output *out, const char *word);
void out_member(struct output *out, const char *value);
void out_list_end(struct output *out, const char *none);
void out_bits(struct output *out, const char *key, uint64_t mask);
void out_ranges(struct output *out, const char *key, const char *word,
		uint64_t mask, const char *none);

#endif
