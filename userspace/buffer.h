/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_BUFFER_H
#define BHSEC_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/**
 * struct buffer - bytes that grow
 * @bytes: so far, NULL at first
 * @len: number of them
 * @room: for how many there is room
 * @failed: not all that was added is there, for want of memory
 */
struct buffer {
	char *bytes;
	size_t len;
	size_t room;
	bool failed;
};

void buffer_add(struct buffer *buffer, const void *bytes, size_t len);
void buffer_add_text(struct buffer *buffer, const char *text);
void buffer_add_byte(struct buffer *buffer, char byte);
void buffer_free(struct buffer *buffer);

#endif
