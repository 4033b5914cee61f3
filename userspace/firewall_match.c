// SPDX-License-Identifier: GPL-2.0
/*
 * Does an expression of an nftables rule, as nft's JSON has it (see
 * libnftables-json(5)), apply to a datagram. What is not known is not guessed.
 */
#include <json-c/json.h>
#include <netinet/in.h>
#include <string.h>

#include "firewall.h"
#include "util.h"

/**
 * struct known - what a datagram has in one of its fields
 * @text: as a word, or NULL
 * @number: as a number, -1 if there is none
 * @addr: as an address, or NULL
 * @is_device: it is a device, whose name need not be known
 */
struct known {
	const char *text;
	int64_t number;
	const struct address *addr;
	bool is_device;
};

static enum match match_of(bool condition)
{
	return condition ? MATCH_YES : MATCH_NO;
}

static enum match inverted(enum match match)
{
	return MATCH_YES - match;
}

/**
 * firewall_get - a member of an object
 * @object: the object, or NULL
 * @key: its key
 *
 * Return: the member, NULL if there is none.
 */
struct json_object *firewall_get(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, key, &value))
		return NULL;
	return value;
}

/**
 * firewall_text - a string of an object
 * @object: the object, or NULL
 * @key: its key
 *
 * Return: the string, empty if there is none.
 */
const char *firewall_text(struct json_object *object, const char *key)
{
	return json_object_get_string(firewall_get(object, key)) ?: "";
}

static bool know_protocol(const struct datagram *datagram, struct known *known)
{
	known->text = datagram->protocol == IPPROTO_UDP ? "udp" : "esp";
	known->number = datagram->protocol;
	return true;
}

static bool know_port(uint16_t port, struct known *known)
{
	known->number = port;
	return port;
}

/* Nothing that needs a tunnel goes by lo, whatever it goes by. */
static bool know_device(const char *dev, struct known *known)
{
	known->text = *dev ? dev : NULL;
	known->is_device = true;
	return true;
}

static bool know_meta(const char *key, const struct datagram *datagram,
		      struct known *known)
{
	if (strcmp(key, "l4proto") == 0)
		return know_protocol(datagram, known);
	if (strcmp(key, datagram->inbound ? "iifname" : "oifname") == 0 ||
	    strcmp(key, datagram->inbound ? "iif" : "oif") == 0)
		return know_device(datagram->dev, known);
	if (strcmp(key, "nfproto") != 0)
		return false;
	known->text = datagram->is_ipv6 ? "ipv6" : "ipv4";
	return true;
}

static bool know_far(const char *field, const struct datagram *datagram,
		     struct known *known)
{
	if (strcmp(field, datagram->inbound ? "saddr" : "daddr") != 0)
		return false;
	known->addr = &datagram->far;
	return datagram->far.len;
}

static enum match know_ip(struct json_object *payload,
			  const struct datagram *datagram, struct known *known)
{
	const char *field = firewall_text(payload, "field");

	if (strcmp(field, "protocol") == 0 || strcmp(field, "nexthdr") == 0)
		know_protocol(datagram, known);
	else if (!know_far(field, datagram, known))
		return MATCH_MAYBE;
	return MATCH_YES;
}

static enum match know_udp(struct json_object *payload,
			   const struct datagram *datagram, struct known *known)
{
	const char *field = firewall_text(payload, "field");
	uint16_t port = 0;

	if (strcmp(field, "dport") == 0)
		port = datagram->dport;
	else if (strcmp(field, "sport") == 0)
		port = datagram->sport;
	return know_port(port, known) ? MATCH_YES : MATCH_MAYBE;
}

static bool is_of(const char *word, const char *const *words, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

/* A header that the datagram does not have says that the rule is not for it. */
static enum match know_payload(struct json_object *payload,
			       const struct datagram *datagram,
			       struct known *known)
{
	static const char *const others[] = {
		"tcp", "icmp", "icmpv6", "igmp", "sctp", "dccp", "udplite", "ah",
		"comp",
	};
	const char *protocol = firewall_text(payload, "protocol");
	bool is_udp = datagram->protocol == IPPROTO_UDP;

	if (strcmp(protocol, "ip") == 0 || strcmp(protocol, "ip6") == 0)
		return (protocol[2] != 0) == datagram->is_ipv6 ?
		       know_ip(payload, datagram, known) : MATCH_NO;
	if (strcmp(protocol, "udp") == 0 || strcmp(protocol, "th") == 0)
		return is_udp ? know_udp(payload, datagram, known) : MATCH_NO;
	if (strcmp(protocol, "esp") == 0)
		return is_udp ? MATCH_NO : MATCH_MAYBE;
	return is_of(protocol, others, ARRAY_SIZE(others)) ? MATCH_NO :
							     MATCH_MAYBE;
}

/* It begins a connection. */
static enum match know_left(struct json_object *left,
			    const struct datagram *datagram, struct known *known)
{
	struct json_object *meta = firewall_get(left, "meta");
	struct json_object *payload = firewall_get(left, "payload");

	if (meta)
		return know_meta(firewall_text(meta, "key"), datagram, known) ?
		       MATCH_YES : MATCH_MAYBE;
	if (payload)
		return know_payload(payload, datagram, known);
	if (strcmp(firewall_text(firewall_get(left, "ct"), "key"), "state") != 0)
		return MATCH_MAYBE;
	known->text = "new";
	return MATCH_YES;
}

static bool is_inside(const struct address *addr, const struct prefix *prefix)
{
	unsigned int bytes = prefix->len / 8, bits = prefix->len % 8;

	if (addr->len != prefix->addr.len ||
	    memcmp(addr->bytes, prefix->addr.bytes, bytes) != 0)
		return false;
	return !bits || !((addr->bytes[bytes] ^ prefix->addr.bytes[bytes]) >>
			  (8 - bits));
}

/* The members of a named set are not looked up. */
static enum match equals_text(const char *text, const struct known *known)
{
	size_t len = strlen(text);
	struct prefix prefix;

	if (*text == '@')
		return MATCH_MAYBE;
	if (known->is_device && !known->text)
		return strcmp(text, "lo") == 0 ? MATCH_NO : MATCH_MAYBE;
	if (known->addr)
		return parse_prefix(text, len, &prefix) ?
		       MATCH_MAYBE : match_of(is_inside(known->addr, &prefix));
	if (known->text && len && text[len - 1] == '*')
		return match_of(!strncmp(text, known->text, len - 1));
	return match_of(known->text && strcmp(text, known->text) == 0);
}

static enum match equals(struct json_object *right, const struct known *known);

static enum match equals_any(struct json_object *list, const struct known *known)
{
	enum match match = MATCH_NO, one;
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++) {
		one = equals(json_object_array_get_idx(list, i), known);
		if (one > match)
			match = one;
	}
	return match;
}

static enum match equals_prefix(struct json_object *object,
				const struct known *known)
{
	const char *text = firewall_text(object, "addr");
	struct prefix prefix;

	if (!known->addr || parse_address(text, strlen(text), &prefix.addr))
		return MATCH_MAYBE;
	prefix.len = json_object_get_int(firewall_get(object, "len"));
	return match_of(is_inside(known->addr, &prefix));
}

static enum match equals_range(struct json_object *range,
			       const struct known *known)
{
	struct json_object *first = json_object_array_get_idx(range, 0);
	struct json_object *last = json_object_array_get_idx(range, 1);

	if (known->number < 0 || !json_object_is_type(first, json_type_int))
		return MATCH_MAYBE;
	return match_of(json_object_get_int(first) <= known->number &&
			known->number <= json_object_get_int(last));
}

/* A value, or one of several. */
static enum match equals(struct json_object *right, const struct known *known)
{
	switch (json_object_get_type(right)) {
	case json_type_int:
		return match_of(json_object_get_int(right) == known->number);
	case json_type_string:
		return equals_text(json_object_get_string(right), known);
	case json_type_array:
		return equals_any(right, known);
	default:
		break;
	}
	if (firewall_get(right, "set"))
		return equals(firewall_get(right, "set"), known);
	if (firewall_get(right, "range"))
		return equals_range(firewall_get(right, "range"), known);
	if (firewall_get(right, "prefix"))
		return equals_prefix(firewall_get(right, "prefix"), known);
	if (firewall_get(right, "elem"))
		return equals(firewall_get(firewall_get(right, "elem"), "val"), known);
	return MATCH_MAYBE;
}

static enum match match_sides(struct json_object *match,
			      const struct datagram *datagram)
{
	struct known known = { .number = -1 };
	enum match left = know_left(firewall_get(match, "left"), datagram, &known);
	const char *op = firewall_text(match, "op");
	enum match right;

	if (left != MATCH_YES)
		return left;
	right = equals(firewall_get(match, "right"), &known);
	if (strcmp(op, "==") == 0 || strcmp(op, "in") == 0)
		return right;
	return strcmp(op, "!=") == 0 ? inverted(right) : MATCH_MAYBE;
}

/**
 * firewall_match - does an expression of a rule apply to a datagram
 * @expr: the expression
 * @datagram: the datagram
 *
 * Return: whether it does, as far as that can be known.
 */
enum match firewall_match(struct json_object *expr,
			  const struct datagram *datagram)
{
	static const char *const always[] = {
		"counter", "log", "mangle", "notrack", "ct helper", "accept",
		"drop", "reject", "return", "continue", "jump", "goto", "vmap",
	};

	if (firewall_get(expr, "match"))
		return match_sides(firewall_get(expr, "match"), datagram);
	json_object_object_foreach(expr, key, value) {
		(void)value;
		return is_of(key, always, ARRAY_SIZE(always)) ? MATCH_YES :
								MATCH_MAYBE;
	}
	return MATCH_MAYBE;
}
