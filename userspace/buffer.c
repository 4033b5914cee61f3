// SPDX-License-Identifier: GPL-2.0
/*
 * Bytes that grow, for what is written by thousands: a stream would look at each
 * of them. They may be secrets, which nothing that was too small is to keep.
 */
#include <stdlib.h>
#include <string.h>

#include "buffer.h"

#define ROOM_MIN 4096

static bool grow(struct buffer *buffer, size_t len)
{
	size_t room = buffer->room ? 2 * buffer->room : ROOM_MIN;
	char *bytes;

	while (room < buffer->len + len)
		room *= 2;
	bytes = malloc(room);
	if (!bytes)
		return false;
	if (buffer->len)
		memcpy(bytes, buffer->bytes, buffer->len);
	if (buffer->bytes)
		explicit_bzero(buffer->bytes, buffer->len);
	free(buffer->bytes);
	buffer->bytes = bytes;
	buffer->room = room;
	return true;
}

/**
 * buffer_add - add bytes
 * @buffer: where to
 * @bytes: what
 * @len: how many
 */
void buffer_add(struct buffer *buffer, const void *bytes, size_t len)
{
	if (len > buffer->room - buffer->len && !grow(buffer, len)) {
		buffer->failed = true;
		return;
	}
	if (len)
		memcpy(buffer->bytes + buffer->len, bytes, len);
	buffer->len += len;
}

/**
 * buffer_add_text - add a string, without the zero behind it
 * @buffer: where to
 * @text: what
 */
void buffer_add_text(struct buffer *buffer, const char *text)
{
	buffer_add(buffer, text, strlen(text));
}

/**
 * buffer_add_byte - add a byte
 * @buffer: where to
 * @byte: what
 */
void buffer_add_byte(struct buffer *buffer, char byte)
{
	buffer_add(buffer, &byte, 1);
}

/**
 * buffer_free - forget what was added
 * @buffer: empty after it
 */
void buffer_free(struct buffer *buffer)
{
	if (buffer->bytes)
		explicit_bzero(buffer->bytes, buffer->len);
	free(buffer->bytes);
	memset(buffer, 0, sizeof(*buffer));
}
