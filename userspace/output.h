/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_OUTPUT_H
#define BHSEC_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct output - where a result has got to, as text or as JSON
 * @json: which of the two
 * @begun: something stands on this line, or in this object or array
 */
struct output {
	bool json;
	bool begun;
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
