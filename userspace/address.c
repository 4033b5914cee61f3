// SPDX-License-Identifier: GPL-2.0
/*
 * Addresses, prefixes and endpoints as text.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "number.h"

/**
 * parse_address - an IPv4 or IPv6 address; names are not resolved
 * @text: need not end with a zero
 * @len: its length
 * @addr: the result
 *
 * Return: NULL, or what is wrong.
 */
const char *parse_address(const char *text, size_t len, struct address *addr)
{
	char copy[INET6_ADDRSTRLEN];

	if (len < sizeof(copy)) {
		memcpy(copy, text, len);
		copy[len] = '\0';
		memset(addr, 0, sizeof(*addr));
		addr->len = strchr(copy, ':') ? 16 : 4;
		if (inet_pton(addr->len == 16 ? AF_INET6 : AF_INET, copy,
			      addr->bytes) == 1)
			return NULL;
	}
	return "not an IPv4 or IPv6 address";
}

static bool has_host_bits(const struct prefix *prefix)
{
	unsigned int bit;

	for (bit = prefix->len; bit < prefix->addr.len * 8U; bit++)
		if (prefix->addr.bytes[bit / 8] & (0x80 >> bit % 8))
			return true;
	return false;
}

/**
 * parse_prefix - ADDR/LENGTH, or ADDR for all of its bits
 * @text: need not end with a zero
 * @len: its length
 * @prefix: the result
 *
 * Return: NULL, or what is wrong.
 */
const char *parse_prefix(const char *text, size_t len, struct prefix *prefix)
{
	const char *slash = memchr(text, '/', len);
	const char *reason;
	uint64_t bits;

	reason = parse_address(text, slash ? (size_t)(slash - text) : len,
			       &prefix->addr);
	if (reason)
		return reason;
	prefix->len = prefix->addr.len * 8;
	if (slash) {
		if (!parse_number(slash + 1, text + len - slash - 1, &bits) ||
		    bits > prefix->len)
			return prefix->len == 32 ?
				"a prefix length is a number from 0 to 32" :
				"a prefix length is a number from 0 to 128";
		prefix->len = bits;
	}
	return has_host_bits(prefix) ? "host bits are set" : NULL;
}

static const char *parse_port(const char *text, uint16_t *port)
{
	uint64_t value;

	if (!parse_number(text, strlen(text), &value) || !value ||
	    value > UINT16_MAX)
		return "a port is a number from 1 to 65535";
	*port = value;
	return NULL;
}

static const char *parse_bracketed(const char *text, struct address *addr,
				   uint16_t *port)
{
	const char *end = strchr(text, ']');
	const char *reason;

	if (!end || (end[1] && end[1] != ':'))
		return "an IPv6 endpoint is ADDR, [ADDR] or [ADDR]:PORT";
	reason = parse_address(text, end - text, addr);
	if (!reason && addr->len != 16)
		reason = "only an IPv6 address has brackets";
	if (reason || !end[1])
		return reason;
	return parse_port(end + 2, port);
}

/**
 * parse_endpoint - A, A:P, [A6]:P, [A6] or A6
 * @text: the text
 * @addr: the address
 * @port: the port, untouched if there is none
 *
 * Return: NULL, or what is wrong.
 */
const char *parse_endpoint(const char *text, struct address *addr,
			   uint16_t *port)
{
	const char *colon = strchr(text, ':');
	const char *reason;

	if (*text == '[')
		return parse_bracketed(text + 1, addr, port);
	if (!colon || strchr(colon + 1, ':'))
		return parse_address(text, strlen(text), addr);
	reason = parse_address(text, colon - text, addr);
	return reason ? reason : parse_port(colon + 1, port);
}

/**
 * format_address - an address as text
 * @bytes: the address
 * @len: 4 or 16
 * @text: gets the text
 *
 * Return: @text.
 */
const char *format_address(const void *bytes, size_t len,
			   char text[ADDRESS_TEXT])
{
	if (!inet_ntop(len == 16 ? AF_INET6 : AF_INET, bytes, text,
		       ADDRESS_TEXT))
		*text = '\0';
	return text;
}

/**
 * format_prefix - a prefix as text
 * @bytes: the address
 * @len: 4 or 16
 * @bits: length of the prefix
 * @text: gets the text
 *
 * Return: @text.
 */
const char *format_prefix(const void *bytes, size_t len, unsigned int bits,
			  char text[ADDRESS_TEXT])
{
	char addr[ADDRESS_TEXT];

	snprintf(text, ADDRESS_TEXT, "%.*s/%u", INET6_ADDRSTRLEN,
		 format_address(bytes, len, addr), bits);
	return text;
}

/**
 * format_endpoint - an endpoint as text that parse_endpoint() takes
 * @bytes: the address
 * @len: 4 or 16
 * @port: 0 if there is none
 * @text: gets the text
 *
 * Return: @text.
 */
const char *format_endpoint(const void *bytes, size_t len, unsigned int port,
			    char text[ADDRESS_TEXT])
{
	char addr[ADDRESS_TEXT];

	if (!port)
		return format_address(bytes, len, text);
	snprintf(text, ADDRESS_TEXT, len == 16 ? "[%.*s]:%u" : "%.*s:%u",
		 INET6_ADDRSTRLEN, format_address(bytes, len, addr), port);
	return text;
}
