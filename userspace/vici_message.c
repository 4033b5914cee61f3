// SPDX-License-Identifier: GPL-2.0
/*
 * The messages of strongSwan's control socket: trees of sections, keys and lists,
 * read and written an element at a time.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "vici_message.h"

/* Bytes behind their length, which itself has so many bytes. */
static bool take_bytes(struct bytes *rest, unsigned int size,
		       struct bytes *bytes)
{
	size_t len = 0;
	unsigned int i;

	if (rest->len < size)
		return false;
	for (i = 0; i < size; i++)
		len = len << 8 | (uint8_t)rest->at[i];
	if (rest->len - size < len)
		return false;
	bytes->at = rest->at + size;
	bytes->len = len;
	rest->at += size + len;
	rest->len -= size + len;
	return true;
}

static bool has_name(enum vici_type type)
{
	return type == VICI_SECTION_START || type == VICI_KEY_VALUE ||
	       type == VICI_LIST_START;
}

static bool has_value(enum vici_type type)
{
	return type == VICI_KEY_VALUE || type == VICI_LIST_ITEM;
}

/**
 * vici_read - the next element of a message
 * @rest: of the message
 * @element: what it begins with
 *
 * Return: false at the end, and where there is no sense in what follows.
 */
bool vici_read(struct bytes *rest, struct vici_element *element)
{
	memset(element, 0, sizeof(*element));
	if (!rest->len)
		return false;
	element->type = *rest->at++;
	rest->len--;
	if (element->type < VICI_SECTION_START || element->type > VICI_LIST_END)
		return false;
	return (!has_name(element->type) ||
		take_bytes(rest, 1, &element->name)) &&
	       (!has_value(element->type) ||
		take_bytes(rest, 2, &element->value));
}

/**
 * vici_write - add an element to a message
 * @out: the message
 * @type: of the element
 * @name: if it has one
 * @value: if it has one
 *
 * Return: false if it is too long.
 */
bool vici_write(struct buffer *out, enum vici_type type, const char *name,
		const struct bytes *value)
{
	size_t name_len = has_name(type) ? strlen(name) : 0;
	uint16_t len;

	if (name_len > UINT8_MAX || (has_value(type) && value->len > UINT16_MAX))
		return false;
	buffer_add_byte(out, type);
	if (has_name(type)) {
		buffer_add_byte(out, name_len);
		buffer_add(out, name, name_len);
	}
	if (has_value(type)) {
		len = htons(value->len);
		buffer_add(out, &len, sizeof(len));
		buffer_add(out, value->at, value->len);
	}
	return true;
}

/**
 * bytes_are - are they this word
 * @bytes: the bytes
 * @word: the word
 *
 * Return: whether they are.
 */
bool bytes_are(const struct bytes *bytes, const char *word)
{
	return bytes->len == strlen(word) &&
	       memcmp(bytes->at, word, bytes->len) == 0;
}

/**
 * bytes_printable - bytes as a string that a terminal and JSON can take
 * @bytes: ASCII when the daemon has not been given a locale
 *
 * Return: the string, to be freed; NULL without memory.
 */
char *bytes_printable(const struct bytes *bytes)
{
	char *text = malloc(bytes->len + 1);

	if (!text)
		return NULL;
	memcpy(text, bytes->at, bytes->len);
	text[bytes->len] = '\0';
	make_printable(text, bytes->len);
	return text;
}
