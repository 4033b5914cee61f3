/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_OUTER_H
#define BHSEC_OUTER_H

#include <linux/in6.h>
#include <linux/ipv6.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/udp.h>
#include <net/dst.h>
#include <net/inet_ecn.h>

#include "aead.h"
#include "device.h"

struct bhsec_inner;
struct bhsec_peer;

/*
 * What tunnels below may put before a datagram that leaves with others: where
 * the kernel takes them apart again it does not ask whether each has the room.
 */
#define BHSEC_OUTER_BELOW 128

/**
 * struct bhsec_outer - the outer header and the route of datagrams to be
 * @saddr: source; an IPv4 address fills the first four bytes
 * @daddr: destination
 * @sport: UDP source port, network byte order; 0 for raw ESP
 * @dport: UDP destination port
 * @tos: DSCP and ECN
 * @is_ipv6: outer family
 * @df: the DF bit of an IPv4 header
 * @may_fragment: the one exception of RFC 2473 7.1
 * @mark: of the packets; what stands before it fits into skb->cb
 * @dst: the route, valid until the RCU read lock is released, or with a reference
 */
struct bhsec_outer {
	struct in6_addr saddr;
	struct in6_addr daddr;
	__be16 sport;
	__be16 dport;
	u8 tos;
	bool is_ipv6;
	bool df;
	bool may_fragment;
	u32 mark;
	struct dst_entry *dst;
};

/**
 * bhsec_outer_protocol - what follows the outer IP header
 * @outer: the outer header
 *
 * Return: IPPROTO_*.
 */
static inline u8 bhsec_outer_protocol(const struct bhsec_outer *outer)
{
	return outer->sport ? IPPROTO_UDP : IPPROTO_ESP;
}

/**
 * bhsec_outer_ip_len - bytes of the outer IP header
 * @outer: family
 *
 * Return: the length.
 */
static inline unsigned int bhsec_outer_ip_len(const struct bhsec_outer *outer)
{
	return outer->is_ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
}

/**
 * bhsec_outer_udp_len - bytes of the outer UDP header
 * @outer: encapsulation
 *
 * Return: the length, 0 for raw ESP.
 */
static inline unsigned int bhsec_outer_udp_len(const struct bhsec_outer *outer)
{
	return outer->sport ? sizeof(struct udphdr) : 0;
}

/**
 * bhsec_outer_tos - DSCP and ECN outside
 * @settings: the device's
 * @inner_tos: those inside
 *
 * Return: the byte.
 */
static inline u8 bhsec_outer_tos(const struct bhsec_settings *settings,
				 u8 inner_tos)
{
	/* RFC 6040 4.1: normal mode copies ECN, Congestion Experienced too */
	if (settings->dscp == BHSEC_DSCP_COPY)
		return inner_tos;
	return settings->dscp << 2 | (inner_tos & INET_ECN_MASK);
}

/**
 * bhsec_outer_inner_max - the largest inner packet that the path takes
 * @outer: family, encapsulation and route
 * @layout: of the cipher
 *
 * ESP header, IV and ICV are outside the padding, the two bytes of pad length
 * and next header inside (RFC 4303 2).
 *
 * Return: bytes.
 */
static inline unsigned int
bhsec_outer_inner_max(const struct bhsec_outer *outer,
		      const struct bhsec_layout *layout)
{
	unsigned int mtu = dst_mtu(outer->dst);
	unsigned int around = bhsec_outer_ip_len(outer) + bhsec_outer_udp_len(outer) +
			      layout->head + layout->icv;

	return mtu >= around + layout->block ?
	       ((mtu - around) & -layout->block) - 2 : 0;
}

/**
 * bhsec_outer_headroom - bytes that go in front of ESP
 * @outer: family, encapsulation and route
 *
 * Return: bytes, link layer included.
 */
static inline unsigned int
bhsec_outer_headroom(const struct bhsec_outer *outer)
{
	return LL_RESERVED_SPACE(outer->dst->dev) + outer->dst->header_len +
	       bhsec_outer_ip_len(outer) + bhsec_outer_udp_len(outer);
}

unsigned int bhsec_outer_route(struct bhsec_peer *peer,
			       struct bhsec_outer *outer);
bool bhsec_outer_is_ours(const struct sk_buff *skb);
unsigned int bhsec_outer_peer_mtu(struct bhsec_peer *peer);
bool bhsec_outer_keep(struct sk_buff *skb, const struct bhsec_outer *outer);
void bhsec_outer_kept(struct sk_buff *skb, struct bhsec_outer *outer);
void bhsec_outer_learn_mtu(struct bhsec_peer *peer, struct sk_buff *skb,
			   unsigned int mtu);
void bhsec_outer_send(struct net *net, const struct bhsec_outer *outer,
		      struct sk_buff *list);

#endif
