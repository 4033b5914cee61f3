/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_ARRIVAL_H
#define BHSEC_ARRIVAL_H

#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/skbuff.h>
#include <linux/string.h>
#include <linux/udp.h>
#include <net/dsfield.h>
#include <net/ipv6.h>

#include "uapi/bhsec.h"

/**
 * struct bhsec_arrival - what a door knows of a datagram's outer packet
 * @saddr: source; an IPv4 address fills the first four bytes
 * @daddr: destination
 * @sport: UDP source port, network byte order; 0 for raw ESP
 * @dport: UDP destination port
 * @ifindex: device that it came by; of a VRF the one below it
 * @tos: DSCP and ECN
 * @encap: BHSEC_ENCAP_*
 * @is_ipv6: outer family
 * @xfrm_next: xfrm is behind the door, and may have a state for it
 *
 * Behind a door nobody reads the outer header in the packet.
 */
struct bhsec_arrival {
	struct in6_addr saddr;
	struct in6_addr daddr;
	__be16 sport;
	__be16 dport;
	int ifindex;
	u8 tos;
	u8 encap;
	bool is_ipv6;
	bool xfrm_next;
};

/* Where it waits while a cipher keeps the packet. */
static inline struct bhsec_arrival *bhsec_arrival(const struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct bhsec_arrival) > sizeof(skb->cb));
	return (struct bhsec_arrival *)skb->cb;
}

/**
 * bhsec_address_equal - are two addresses of one family the same
 * @a: an IPv4 address fills the first four bytes
 * @b: likewise
 * @is_ipv6: their family
 *
 * Return: true if so.
 */
static inline bool bhsec_address_equal(const struct in6_addr *a,
				       const struct in6_addr *b, bool is_ipv6)
{
	return is_ipv6 ? ipv6_addr_equal(a, b) :
			 a->s6_addr32[0] == b->s6_addr32[0];
}

/**
 * bhsec_arrival_note - write down what the outer headers say
 * @arrival: is filled
 * @skb: its network header is the outer IP header
 * @uh: UDP header, NULL for raw ESP; its checksum was right, or none
 * @ifindex: device that the packet came by
 *
 * Context: any.
 */
static inline void bhsec_arrival_note(struct bhsec_arrival *arrival,
				      const struct sk_buff *skb,
				      const struct udphdr *uh, int ifindex)
{
	arrival->is_ipv6 = ip_hdr(skb)->version == 6;
	if (arrival->is_ipv6) {
		arrival->saddr = ipv6_hdr(skb)->saddr;
		arrival->daddr = ipv6_hdr(skb)->daddr;
		arrival->tos = ipv6_get_dsfield(ipv6_hdr(skb));
	} else {
		memcpy(&arrival->saddr, &ip_hdr(skb)->saddr, sizeof(__be32));
		memcpy(&arrival->daddr, &ip_hdr(skb)->daddr, sizeof(__be32));
		arrival->tos = ip_hdr(skb)->tos;
	}
	arrival->ifindex = ifindex;
	arrival->encap = uh ? BHSEC_ENCAP_UDP : BHSEC_ENCAP_ESP;
	arrival->sport = uh ? uh->source : 0;
	arrival->dport = uh ? uh->dest : 0;
	arrival->xfrm_next = false;
}

#endif
