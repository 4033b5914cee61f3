/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_OUTER_H
#define BHSEC_OUTER_H

#include <linux/in6.h>
#include <linux/skbuff.h>

struct bhsec_inner;
struct bhsec_peer;
struct dst_entry;

/**
 * struct bhsec_outer - the outer header of a packet to be, in skb->cb
 * @saddr: source; an IPv4 address fills the first four bytes
 * @daddr: destination
 * @sport: UDP source port, network byte order; 0 for raw ESP
 * @dport: UDP destination port
 * @mark: of the packet
 * @is_ipv6: outer family
 * @tos: DSCP and ECN
 * @df: the DF bit of an IPv4 header
 * @may_fragment: the one exception of RFC 2473 7.1
 */
struct bhsec_outer {
	struct in6_addr saddr;
	struct in6_addr daddr;
	__be16 sport;
	__be16 dport;
	u32 mark;
	u8 tos;
	bool is_ipv6;
	bool df;
	bool may_fragment;
};

static inline struct bhsec_outer *bhsec_outer(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct bhsec_outer) > sizeof(skb->cb));
	return (struct bhsec_outer *)skb->cb;
}

struct dst_entry *bhsec_outer_route(struct bhsec_peer *peer,
				    struct bhsec_outer *outer,
				    unsigned int *drop);
bool bhsec_outer_is_ours(const struct sk_buff *skb);
unsigned int bhsec_outer_inner_max(const struct bhsec_outer *outer,
				   unsigned int mtu);
unsigned int bhsec_outer_peer_mtu(struct bhsec_peer *peer);
unsigned int bhsec_outer_headroom(const struct bhsec_outer *outer,
				  const struct dst_entry *dst);
void bhsec_outer_learn_mtu(struct bhsec_peer *peer, struct sk_buff *skb,
			   unsigned int mtu);
void bhsec_outer_send(struct net *net, struct sk_buff *skb);

#endif
