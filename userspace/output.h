/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_OUTPUT_H
#define BHSEC_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

struct json_object;

/* A device in the list of devices, its peers, a peer, its SAs, an SA, a list. */
#define OUTPUT_DEPTH 8

/**
 * struct output - where a result has got to, as text or as JSON
 * @json: which of the two
 * @begun: text, something stands on this line or in this list
 * @depth: JSON, how many objects and arrays are open
 * @open: JSON, these, from the outermost to the innermost
 */
struct output {
	bool json;
	bool begun;
	unsigned int depth;
	struct json_object *open[OUTPUT_DEPTH];
};

void out_line(struct output *out, unsigned int indent);
void out_end(struct output *out);
void out_array(struct output *out, const char *key);
void out_array_end(struct output *out);
void out_object(struct output *out, const char *key);
void out_object_end(struct output *out);

void out_string(struct output *out, const char *word, const char *value);
void out_named(struct output *out, const char *key, const char *word,
	       const char *value);
void out_number(struct output *out, const char *word, uint64_t value);
void out_hex(struct output *out, const char *word, uint64_t value);
void out_switch(struct output *out, const char *word, bool value);
void out_none(struct output *out, const char *word, const char *text);

void out_list(struct output *out, const char *word);
void out_member(struct output *out, const char *value);
void out_list_end(struct output *out, const char *none);
void out_ranges(struct output *out, const char *word, uint64_t mask,
		const char *none);

#endif
