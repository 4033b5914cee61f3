// SPDX-License-Identifier: GPL-2.0
/*
 * Numbers and DSCPs as text.
 */
#include <string.h>

#include "number.h"

/* The value of a digit, or 255, above any base. */
static unsigned int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 255;
}

/**
 * parse_number - decimal, or hexadecimal after 0x; nothing else around it
 * @text: need not end with a zero
 * @len: its length
 * @value: the result
 *
 * Return: whether it is a number of at most 64 bits.
 */
bool parse_number(const char *text, size_t len, uint64_t *value)
{
	unsigned int base = 10;
	size_t i = 0;

	if (len > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		i = 2;
	}
	if (i == len)
		return false;
	for (*value = 0; i < len; i++)
		if (digit(text[i]) >= base ||
		    __builtin_mul_overflow(*value, base, value) ||
		    __builtin_add_overflow(*value, digit(text[i]), value))
			return false;
	return true;
}

static bool in_range(char c, char first, char last)
{
	return c >= first && c <= last;
}

/* The names of RFC 2474, 2597 and 3246. */
static bool parse_dscp_name(const char *text, size_t len, unsigned int *dscp)
{
	if (len == 2 && memcmp(text, "be", 2) == 0)
		*dscp = 0;
	else if (len == 2 && memcmp(text, "ef", 2) == 0)
		*dscp = 46;
	else if (len == 3 && memcmp(text, "cs", 2) == 0 &&
		 in_range(text[2], '0', '7'))
		*dscp = (text[2] - '0') * 8;
	else if (len == 4 && memcmp(text, "af", 2) == 0 &&
		 in_range(text[2], '1', '4') && in_range(text[3], '1', '3'))
		*dscp = (text[2] - '0') * 8 + (text[3] - '0') * 2;
	else
		return false;
	return true;
}

/**
 * parse_dscp - a DSCP by number or name
 * @text: need not end with a zero
 * @len: its length
 * @dscp: the result
 *
 * Return: NULL, or what is wrong.
 */
const char *parse_dscp(const char *text, size_t len, unsigned int *dscp)
{
	uint64_t value;

	if (parse_dscp_name(text, len, dscp))
		return NULL;
	if (!parse_number(text, len, &value) || value > 63)
		return "a DSCP is a number from 0 to 63 or one of be, ef, csN, afNN";
	*dscp = value;
	return NULL;
}

static const char *parse_dscp_range(const char *text, size_t len,
				    uint64_t *mask)
{
	const char *dash = memchr(text, '-', len);
	unsigned int first, last;
	const char *reason;

	reason = parse_dscp(text, dash ? (size_t)(dash - text) : len, &first);
	if (reason)
		return reason;
	last = first;
	if (dash) {
		reason = parse_dscp(dash + 1, text + len - dash - 1, &last);
		if (reason)
			return reason;
	}
	if (first > last)
		return "a range of DSCPs begins with the smaller one";
	for (; first <= last; first++)
		*mask |= 1ULL << first;
	return NULL;
}

/**
 * parse_dscps - a list of DSCPs and ranges, such as 46,0-7,cs6
 * @text: the text
 * @mask: bit N is set for DSCP N
 *
 * Return: NULL, or what is wrong.
 */
const char *parse_dscps(const char *text, uint64_t *mask)
{
	const char *reason;
	size_t len;

	*mask = 0;
	for (;;) {
		len = strcspn(text, ",");
		reason = parse_dscp_range(text, len, mask);
		if (reason || !text[len])
			return reason;
		text += len + 1;
	}
}
