// SPDX-License-Identifier: GPL-2.0
/*
 * What selectors of RFC 4301 4.4.1.1 are held against beside addresses: the next
 * layer's protocol, its ports, the type and code of ICMP. Read as xfrm does, for
 * whose policies they are.
 */
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "compat.h"
#include "next_layer.h"

/* Behind more extension headers nothing is looked for. */
#define EXTENSIONS_MAX 8

static void read_head(const struct sk_buff *skb, unsigned int offset,
		      struct bhsec_next_layer *layer)
{
	const u8 *head;
	u8 copy[4];

	head = skb_header_pointer(skb, offset, sizeof(copy), copy);
	if (!head)
		return;
	switch (layer->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
		memcpy(&layer->sport, head, sizeof(layer->sport));
		memcpy(&layer->dport, head + 2, sizeof(layer->dport));
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		layer->sport = htons(head[0]);
		layer->dport = htons(head[1]);
		break;
	case IPPROTO_MH:
		/* RFC 6275 6.1.1 */
		layer->sport = htons(head[2]);
		break;
	}
}

/*
 * Goes behind the extension headers. Returns where the next layer begins, or 0 in
 * a fragment: all of a packet are to take the same way, so that not even the
 * first one's ports count.
 */
static unsigned int skip_extensions(const struct sk_buff *skb, u8 *protocol)
{
	unsigned int count, offset = sizeof(struct ipv6hdr);
	const struct ipv6_opt_hdr *head;
	struct ipv6_opt_hdr copy;

	for (count = 0; count < EXTENSIONS_MAX; count++) {
		if (*protocol != NEXTHDR_HOP && *protocol != NEXTHDR_ROUTING &&
		    *protocol != NEXTHDR_DEST && *protocol != NEXTHDR_FRAGMENT)
			return offset;
		head = skb_header_pointer(skb, offset, sizeof(copy), &copy);
		if (!head)
			return 0;
		offset += ipv6_optlen(head);
		if (*protocol == NEXTHDR_FRAGMENT)
			offset = 0;
		*protocol = head->nexthdr;
		if (!offset)
			return 0;
	}
	return 0;
}

/**
 * bhsec_next_layer_read - what a packet has behind its IP header
 * @skb: the packet; data starts at its IP header, which is linear
 * @is_ipv6: family
 * @layer: is filled
 *
 * A super-packet is one flow. RFC 4301 7: fragments have no ports.
 *
 * Context: any.
 */
void bhsec_next_layer_read(const struct sk_buff *skb, bool is_ipv6,
			   struct bhsec_next_layer *layer)
{
	const struct iphdr *iph = (const struct iphdr *)skb->data;
	unsigned int offset;

	memset(layer, 0, sizeof(*layer));
	if (is_ipv6) {
		layer->protocol = ((const struct ipv6hdr *)skb->data)->nexthdr;
		offset = skip_extensions(skb, &layer->protocol);
	} else {
		layer->protocol = iph->protocol;
		offset = ip_is_fragment(iph) ? 0 : iph->ihl * 4;
	}
	if (offset)
		read_head(skb, offset, layer);
}
