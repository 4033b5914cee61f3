// SPDX-License-Identifier: GPL-2.0
/*
 * Text of any bytes as the value of a metric's label, which has to be UTF-8: one
 * that is not would cost a reader all metrics, not this one.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "label.h"

/* RFC 3629 3: bytes of a character by its first one, 0 if none begins so. */
static size_t length_of(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Bytes of the character that a text begins with, 0 if that is none. */
static size_t character(const char *text)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = length_of(*text), i;
	uint32_t code = (unsigned char)*text & (0x7f >> len);

	for (i = 1; i < len; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	/* the long way to write a short one, or half of a pair (RFC 3629 3) */
	if (len > 1 && (code < least[len] || code > 0x10ffff ||
			(code >= 0xd800 && code < 0xe000)))
		return 0;
	return len;
}

/**
 * label_escape - make a label's value of a text
 * @text: any bytes but the end of a line
 * @label: LABEL_SIZE() of its length
 *
 * Return: length of the value.
 */
size_t label_escape(const char *text, char *label)
{
	char *end = label;
	size_t len;

	for (; *text; text += len) {
		len = character(text);
		if (!len) {
			end += sprintf(end, "\\\\x%02x", (unsigned char)*text);
			len = 1;
		} else {
			if (*text == '"' || *text == '\\')
				*end++ = '\\';
			end = mempcpy(end, text, len);
		}
	}
	*end = '\0';
	return end - label;
}
