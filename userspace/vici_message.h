/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_VICI_MESSAGE_H
#define BHSEC_VICI_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"

/* What an element of a message begins with. */
enum vici_type {
	VICI_SECTION_START = 1,
	VICI_SECTION_END,
	VICI_KEY_VALUE,
	VICI_LIST_START,
	VICI_LIST_ITEM,
	VICI_LIST_END,
};

/**
 * struct bytes - a message, or a part of one
 * @at: the first
 * @len: number of them
 */
struct bytes {
	const char *at;
	size_t len;
};

/**
 * struct vici_element - what a message consists of
 * @type: which of the two others it has
 * @name: of a section, key or list
 * @value: of a key or an item
 */
struct vici_element {
	enum vici_type type;
	struct bytes name;
	struct bytes value;
};

bool vici_read(struct bytes *rest, struct vici_element *element);
bool bytes_are(const struct bytes *bytes, const char *word);
char *bytes_printable(const struct bytes *bytes);

bool vici_write(struct buffer *out, enum vici_type type, const char *name,
		const struct bytes *value);

#endif
