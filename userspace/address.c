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

/**
 * network_of - a prefix without the bits of a host
 * @prefix: an address and its length
 *
 * Return: the prefix.
 */
struct prefix network_of(const struct prefix *prefix)
{
	struct prefix network = *prefix;
	unsigned int bit;

	for (bit = prefix->len; bit < prefix->addr.len * 8U; bit++)
		network.addr.bytes[bit / 8] &= ~(0x80 >> bit % 8);
	return network;
}

/**
 * parse_interface - ADDR/LENGTH as a device has it, or ADDR for all of its bits
 * @text: need not end with a zero
 * @len: its length
 * @prefix: the result, host bits and all
 *
 * Return: NULL, or what is wrong.
 */
const char *parse_interface(const char *text, size_t len, struct prefix *prefix)
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
	return NULL;
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
	const char *reason = parse_interface(text, len, prefix);
	struct prefix network;

	if (reason)
		return reason;
	network = network_of(prefix);
	return memcmp(network.addr.bytes, prefix->addr.bytes,
		      prefix->addr.len) != 0 ? "host bits are set" : NULL;
}

static const char *parse_port(const char *text, size_t len, uint16_t *port)
{
	uint64_t value;

	if (!parse_number(text, len, &value) || !value ||
	    value > UINT16_MAX)
		return "a port is a number from 1 to 65535";
	*port = value;
	return NULL;
}

/* ADDR or ADDR%DEV. */
static const char *parse_scoped(const char *text, size_t len,
				struct address *addr, char dev[DEVICE_NAME_SIZE])
{
	const char *percent = memchr(text, '%', len);
	size_t dev_len;

	if (!percent)
		return parse_address(text, len, addr);
	dev_len = text + len - percent - 1;
	if (!dev_len || dev_len >= DEVICE_NAME_SIZE ||
	    memchr(percent + 1, ':', dev_len))
		return "behind % comes a device's name, of 1 to 127 bytes";
	memcpy(dev, percent + 1, dev_len);
	dev[dev_len] = '\0';
	return parse_address(text, percent - text, addr);
}

static const char *parse_bracketed(const char *text, struct address *addr,
				   uint16_t *port, char dev[DEVICE_NAME_SIZE])
{
	const char *end = strchr(text, ']');
	const char *reason;

	if (!end || (end[1] && end[1] != ':'))
		return "an IPv6 endpoint is ADDR, [ADDR] or [ADDR]:PORT";
	reason = parse_scoped(text, end - text, addr, dev);
	if (!reason && addr->len != 16)
		reason = "only an IPv6 address has brackets";
	if (reason || !end[1])
		return reason;
	return parse_port(end + 2, strlen(end + 2), port);
}

/*
 * Is it an IPv6 address with a port behind it, forgotten brackets, or an address
 * that ends so? Both are refused, for one of the two is wrong; a last group of
 * one or two digits looks like no port. What is no address with a link behind
 * the group is none with a port either.
 */
static const char *check_ambiguous(const char *text)
{
	static char reason[2 * (INET6_ADDRSTRLEN + DEVICE_NAME_SIZE) + 80];
	const char *last = strrchr(text, ':') + 1;
	int digits = strcspn(last, "%"), len = last - 1 - text;
	const char *link = last + digits;
	struct address addr;
	char dev[DEVICE_NAME_SIZE];
	bool is_address;
	uint16_t port;

	is_address = !parse_scoped(text, strlen(text), &addr, dev);
	if ((is_address ? digits < 3 : *link) || *last == '0' ||
	    parse_port(last, digits, &port) || parse_scoped(text, len, &addr, dev))
		return NULL;
	snprintf(reason, sizeof(reason), "with port %.*s it is [%.*s%s]:%.*s%s%s%s",
		 digits, last, len, text, link, digits, last,
		 is_address ? ", without [" : "", is_address ? text : "",
		 is_address ? "]" : "");
	return reason;
}

static const char *parse_bare(const char *text, struct address *addr,
			      char dev[DEVICE_NAME_SIZE])
{
	const char *ambiguous = check_ambiguous(text);

	return ambiguous ? ambiguous :
		parse_scoped(text, strlen(text), addr, dev);
}

/**
 * parse_endpoint - A, A:P, [A6]:P, [A6] or A6; a link-local A6 is A6%DEV
 * @text: the text
 * @addr: the address
 * @port: the port, untouched if there is none
 * @dev: name of its link, untouched if there is none
 *
 * Return: NULL, or what is wrong, valid until the next call.
 */
const char *parse_endpoint(const char *text, struct address *addr,
			   uint16_t *port, char dev[DEVICE_NAME_SIZE])
{
	const char *colon = strchr(text, ':');
	const char *reason;

	if (*text == '[')
		return parse_bracketed(text + 1, addr, port, dev);
	if (colon && strchr(colon + 1, ':'))
		return parse_bare(text, addr, dev);
	if (!colon)
		return parse_scoped(text, strlen(text), addr, dev);
	reason = parse_scoped(text, colon - text, addr, dev);
	return reason ? reason :
		parse_port(colon + 1, strlen(colon + 1), port);
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
 * @dev: name of its link, NULL if there is none
 * @text: gets the text
 *
 * Return: @text.
 */
const char *format_endpoint(const void *bytes, size_t len, unsigned int port,
			    const char *dev, char text[ADDRESS_TEXT])
{
	char addr[ADDRESS_TEXT], bare[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];

	snprintf(bare, sizeof(bare), "%.*s%s%s", INET6_ADDRSTRLEN,
		 format_address(bytes, len, addr), dev ? "%" : "",
		 dev ? dev : "");
	if (port)
		snprintf(text, ADDRESS_TEXT, len == 16 ? "[%s]:%u" : "%s:%u",
			 bare, port);
	else
		snprintf(text, ADDRESS_TEXT,
			 len == 16 && check_ambiguous(bare) ? "[%s]" : "%s",
			 bare);
	return text;
}
