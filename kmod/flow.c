// SPDX-License-Identifier: GPL-2.0
/*
 * Which flow an inner packet is of: its datagrams take the hash along, so that
 * whatever queues or spreads them sees the flows of a tunnel, and in GTP-U
 * those of its users. The hash is keyed and stays in the host, but for the ports
 * that are made of it where the operator wishes so.
 */
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/jhash.h>
#include <linux/net.h>
#include <linux/skbuff.h>
#include <linux/string.h>
#include <net/ip.h>

#include "compat.h"
#include "flow.h"

/* 3GPP TS 29.281 4.4.2. */
#define GTPU_PORT 2152
/* UDP's header, then flags, type and length of GTP-U's (TS 29.281 5.1). */
#define GTPU_TEID_OFFSET 12
/* RFC 6335 6: from here on ports are nobody's. */
#define PORT_MIN 49152

static u32 secret(void)
{
	static u32 random __read_mostly;

	net_get_random_once(&random, sizeof(random));
	return random;
}

/**
 * struct flow - what tells flows of two addresses apart
 * @ports: both, or an SPI; 0 where there is neither, as in fragments
 * @teid: of GTP-U
 * @protocol: behind the IP header
 */
struct flow {
	union {
		u32 word;
		struct {
			__be16 source;
			__be16 dest;
		};
	} ports;
	u32 teid;
	u8 protocol;
};

static inline u32 word_at(const struct sk_buff *skb, unsigned int offset)
{
	u32 copy, word = 0;
	const void *data;

	if (likely(skb_headlen(skb) >= offset + sizeof(copy)))
		data = skb->data + offset;
	else
		data = skb_header_pointer(skb, offset, sizeof(copy), &copy);
	if (data)
		memcpy(&word, data, sizeof(word));
	return word;
}

static void read_transport(const struct sk_buff *skb, unsigned int offset,
			   struct flow *flow)
{
	switch (flow->protocol) {
	case IPPROTO_AH:
		/* RFC 4302 2: the SPI is its second word */
		offset += 4;
		fallthrough;
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_ESP:
		flow->ports.word = word_at(skb, offset);
	}
	if (flow->protocol == IPPROTO_UDP &&
	    flow->ports.dest == htons(GTPU_PORT))
		flow->teid = word_at(skb, offset + GTPU_TEID_OFFSET);
}

static u8 protocol_in(const struct sk_buff *skb, bool is_ipv6)
{
	return is_ipv6 ? ipv6_hdr(skb)->nexthdr : ip_hdr(skb)->protocol;
}

/* Fragments are told apart by addresses alone, for most have no ports. */
static void read_flow(const struct sk_buff *skb, bool is_ipv6,
		      struct flow *flow)
{
	flow->protocol = protocol_in(skb, is_ipv6);
	if (is_ipv6)
		read_transport(skb, sizeof(struct ipv6hdr), flow);
	else if (!ip_is_fragment(ip_hdr(skb)))
		read_transport(skb, ip_hdrlen(skb), flow);
}

static u32 hash_of(const struct sk_buff *skb, bool is_ipv6,
		   const struct flow *flow)
{
	u32 initval = secret() ^ flow->teid ^ flow->protocol;

	if (is_ipv6)
		return jhash2((const u32 *)&ipv6_hdr(skb)->addrs, 8,
			      jhash_1word(flow->ports.word, initval));
	return jhash_3words((__force u32)ip_hdr(skb)->saddr,
			    (__force u32)ip_hdr(skb)->daddr,
			    flow->ports.word, initval);
}

/**
 * bhsec_flow_mark - give an inner packet the hash of its flow
 * @skb: the packet, with the IP header pulled
 * @is_ipv6: its family
 *
 * Whoever made or received the packet may have hashed addresses and ports; that
 * stays, and only GTP-U is looked into.
 *
 * Context: any.
 */
void bhsec_flow_mark(struct sk_buff *skb, bool is_ipv6)
{
	struct flow flow = {};
	u32 hash;

	if (skb->l4_hash && protocol_in(skb, is_ipv6) != IPPROTO_UDP)
		return;
	read_flow(skb, is_ipv6, &flow);
	if (skb->l4_hash && !flow.teid)
		return;
	if (skb->l4_hash)
		hash = jhash_2words(skb->hash, flow.teid, secret());
	else
		hash = hash_of(skb, is_ipv6, &flow);
	__skb_set_sw_hash(skb, hash, true);
}

/**
 * bhsec_flow_port - the UDP source port of a flow's datagrams
 * @skb: inner packet that bhsec_flow_mark() has seen
 *
 * Keyed once more: the hash may be one that an interface made of the headers,
 * by a key that is known.
 *
 * Context: any.
 * Return: network byte order.
 */
__be16 bhsec_flow_port(const struct sk_buff *skb)
{
	return htons(PORT_MIN + reciprocal_scale(jhash_1word(skb->hash, secret()),
						 U16_MAX + 1 - PORT_MIN));
}
