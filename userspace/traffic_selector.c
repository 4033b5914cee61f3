// SPDX-License-Identifier: GPL-2.0
/*
 * Selectors of a peer that name a protocol or ports, in the words of RFC 4301
 * 4.4.1.1.
 */
#include <linux/genetlink.h>
#include <netinet/in.h>
#include <stdio.h>

#include "attr.h"
#include "nl.h"
#include "print.h"
#include "show.h"
#include "util.h"

#ifndef IPPROTO_MH
#define IPPROTO_MH 135
#endif

/* Two numbers and what is between them. */
#define PORTS_TEXT 24

/* By IANA's keywords; other protocols have a number. */
static const char *const protocols[] = {
	[IPPROTO_ICMP] = "icmp",
	[IPPROTO_TCP] = "tcp",
	[IPPROTO_UDP] = "udp",
	[IPPROTO_GRE] = "gre",
	[IPPROTO_ESP] = "esp",
	[IPPROTO_AH] = "ah",
	[IPPROTO_ICMPV6] = "ipv6-icmp",
	[IPPROTO_SCTP] = "sctp",
	[IPPROTO_MH] = "mobility-header",
	[IPPROTO_UDPLITE] = "udplite",
};

static void print_protocol(struct output *out, const struct nlattr *attr)
{
	char number[PORTS_TEXT];
	unsigned int protocol;

	if (!attr) {
		out_none(out, "protocol", "any");
		return;
	}
	protocol = number_of(attr);
	snprintf(number, sizeof(number), "%u", protocol);
	out_string(out, "protocol",
		   protocol < ARRAY_SIZE(protocols) && protocols[protocol] ?
		   protocols[protocol] : number);
}

static void print_prefix(struct output *out, const char *word,
			 const struct nlattr *prefix)
{
	char text[ADDRESS_TEXT];

	out_string(out, word, attr_prefix(prefix, text));
}

/* A daemon says a range by a mask, if it can; others are shown as they are. */
static void print_port(struct output *out, const char *word,
		       const struct nlattr *attr, const struct nlattr *mask_attr)
{
	unsigned int port, mask, rest;
	char text[PORTS_TEXT];

	if (!attr)
		return;
	port = number_of(attr);
	mask = number_of(mask_attr);
	rest = ~mask & 0xffff;
	if (!rest)
		snprintf(text, sizeof(text), "%u", port);
	else if (!(rest & (rest + 1)))
		snprintf(text, sizeof(text), "%u-%u", port & mask, port | rest);
	else
		snprintf(text, sizeof(text), "0x%04x/0x%04x", port, mask);
	out_string(out, word, text);
}

static void print_one(struct output *out, const struct nlattr *nest)
{
	const struct nlattr *attrs[BHSEC_A_TS_MAX + 1];

	nl_nested(nest, attrs, BHSEC_A_TS_MAX);
	out_object(out, NULL);
	out_word(out, "traffic-selector");
	print_protocol(out, attrs[BHSEC_A_TS_PROTOCOL]);
	print_number(out, "type", attrs[BHSEC_A_TS_TYPE]);
	print_number(out, "code", attrs[BHSEC_A_TS_CODE]);
	print_prefix(out, "local", attrs[BHSEC_A_TS_LOCAL]);
	print_port(out, "local-port", attrs[BHSEC_A_TS_LOCAL_PORT],
		   attrs[BHSEC_A_TS_LOCAL_PORT_MASK]);
	print_prefix(out, "remote", attrs[BHSEC_A_TS_REMOTE]);
	print_port(out, "remote-port", attrs[BHSEC_A_TS_REMOTE_PORT],
		   attrs[BHSEC_A_TS_REMOTE_PORT_MASK]);
	out_object_end(out);
}

/**
 * print_traffic_selectors - what a peer carries by protocol and ports
 * @out: the result
 * @nlh: the peer's message
 * @lines: text, each on a line of its own
 */
void print_traffic_selectors(struct output *out, const struct nlmsghdr *nlh,
			     bool lines)
{
	const struct nlattr *attr;

	out_array(out, "traffic_selectors");
	mnl_attr_for_each(attr, nlh, GENL_HDRLEN) {
		if (mnl_attr_get_type(attr) != BHSEC_A_PEER_TRAFFIC_SELECTOR)
			continue;
		if (lines)
			out_line(out, 2);
		print_one(out, attr);
	}
	out_array_end(out);
}
