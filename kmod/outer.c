// SPDX-License-Identifier: GPL-2.0
/*
 * The outside of a datagram: its route, its headers, what fits inside.
 */
#include <net/addrconf.h>
#include <net/dst.h>
#include <net/dst_cache.h>
#include <linux/ip.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>
#include <net/udp.h>

#include "aead.h"
#include "compat.h"
#include "device.h"
#include "endpoint.h"
#include "esp.h"
#include "outer.h"
#include "peer.h"
#include "underlay.h"

/* Of a packet's first bytes, as many as other tunnels' headers may take. */
#define HEADERS_MAX 256
/* Whoever fills a packet with an SPI of ours has no more of them looked up. */
#define SPIS_MAX 4

static unsigned int ip_header_len(const struct bhsec_outer *outer)
{
	return outer->is_ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
}

static unsigned int udp_header_len(const struct bhsec_outer *outer)
{
	return outer->sport ? sizeof(struct udphdr) : 0;
}

static u8 protocol_of(const struct bhsec_outer *outer)
{
	return outer->sport ? IPPROTO_UDP : IPPROTO_ESP;
}

static struct dst_entry *route4(struct net *underlay,
				const struct bhsec_settings *settings,
				struct bhsec_endpoint *endpoint,
				struct bhsec_outer *outer)
{
	struct flowi4 fl = {
		.daddr = endpoint->addr.v4,
		.saddr = settings->local4,
		.flowi4_oif = settings->ifindex,
		.flowi4_mark = outer->mark,
		.flowi4_proto = protocol_of(outer),
		.fl4_sport = outer->sport,
		.fl4_dport = outer->dport,
	};
	__be32 saddr;
	struct rtable *rt;

	rt = dst_cache_get_ip4(&endpoint->route, &saddr);
	if (!rt) {
		rt = ip_route_output_flow(underlay, &fl, NULL);
		if (IS_ERR(rt))
			return NULL;
		saddr = fl.saddr;
		dst_cache_set_ip4(&endpoint->route, &rt->dst, saddr);
	}
	memcpy(&outer->saddr, &saddr, sizeof(saddr));
	memcpy(&outer->daddr, &endpoint->addr.v4, sizeof(saddr));
	return &rt->dst;
}

static struct dst_entry *route6(struct net *underlay,
				const struct bhsec_settings *settings,
				struct bhsec_endpoint *endpoint,
				struct bhsec_outer *outer)
{
	struct flowi6 fl = {
		.daddr = endpoint->addr.v6,
		.saddr = settings->local6,
		.flowi6_oif = settings->ifindex,
		.flowi6_mark = outer->mark,
		.flowi6_proto = protocol_of(outer),
		.fl6_sport = outer->sport,
		.fl6_dport = outer->dport,
	};
	struct dst_entry *dst;

	dst = dst_cache_get_ip6(&endpoint->route, &outer->saddr);
	if (!dst) {
		dst = bhsec_route_ipv6(underlay, &fl);
		if (IS_ERR(dst))
			return NULL;
		/* for IPv4 the route's look-up asks whether it is ours */
		if (!ipv6_chk_addr(underlay, &fl.saddr, dst->dev, 0)) {
			dst_release(dst);
			return NULL;
		}
		outer->saddr = fl.saddr;
		dst_cache_set_ip6(&endpoint->route, dst, &fl.saddr);
	}
	outer->daddr = endpoint->addr.v6;
	return dst;
}

/* Why a route cannot be taken, 0 if it can. */
static unsigned int objection(const struct dst_entry *dst)
{
	/*
	 * A host-wide XFRM policy wants these packets: not past it. While it
	 * has no SA, what it gives discards them.
	 */
	if (dst->xfrm || READ_ONCE(dst->output) == dst_discard_out)
		return BHSEC_A_STATS_NO_ROUTE;
	if (bhsec_is_device(dst->dev))
		return BHSEC_A_STATS_LOOP;
	return 0;
}

/**
 * bhsec_outer_route - addresses, ports and route to a peer
 * @peer: the peer
 * @outer: is filled, but for what the inner packet decides
 * @drop: the counter of the reason, on failure
 *
 * Context: RCU read lock held.
 * Return: the route, with a reference, or NULL.
 */
struct dst_entry *bhsec_outer_route(struct bhsec_peer *peer,
				    struct bhsec_outer *outer,
				    unsigned int *drop)
{
	const struct bhsec_settings *settings = rcu_dereference(peer->bdev->settings);
	struct net *underlay = rcu_dereference(peer->bdev->underlay);
	struct bhsec_endpoint *endpoint = rcu_dereference(peer->endpoint);
	struct dst_entry *dst;

	*drop = BHSEC_A_STATS_NO_ENDPOINT;
	if (!endpoint)
		return NULL;
	outer->is_ipv6 = endpoint->is_ipv6;
	outer->mark = settings->mark;
	if (peer->encap == BHSEC_ENCAP_UDP) {
		outer->sport = htons(settings->port);
		outer->dport = endpoint->port ?: outer->sport;
	}
	*drop = BHSEC_A_STATS_NO_ROUTE;
	if (!underlay)
		return NULL;
	/* the route cache is per CPU and not for two softirqs at once */
	local_bh_disable();
	dst = outer->is_ipv6 ? route6(underlay, settings, endpoint, outer) :
			       route4(underlay, settings, endpoint, outer);
	local_bh_enable();
	if (!dst)
		return NULL;
	*drop = objection(dst);
	if (!*drop)
		return dst;
	dst_release(dst);
	return NULL;
}

/**
 * bhsec_outer_inner_max - the largest inner packet for an outer size
 * @outer: its family and encapsulation
 * @mtu: bytes that the path takes
 *
 * ESP header, IV and ICV are outside the padding to four bytes, the two bytes
 * of pad length and next header inside (RFC 4303 2).
 *
 * Return: bytes.
 */
unsigned int bhsec_outer_inner_max(const struct bhsec_outer *outer,
				   unsigned int mtu)
{
	unsigned int around = ip_header_len(outer) + udp_header_len(outer) +
			      BHSEC_ESP_HEAD + BHSEC_ICV_LEN;

	return mtu > around + 2 ? ((mtu - around) & ~3U) - 2 : 0;
}

/**
 * bhsec_outer_peer_mtu - the largest inner packet on a peer's path now
 * @peer: the peer
 *
 * Context: any but hard interrupts.
 * Return: bytes, 0 if no route leads there.
 */
unsigned int bhsec_outer_peer_mtu(struct bhsec_peer *peer)
{
	struct bhsec_outer outer = {};
	unsigned int drop, mtu = 0;
	struct dst_entry *dst;

	rcu_read_lock();
	dst = bhsec_outer_route(peer, &outer, &drop);
	if (dst) {
		mtu = bhsec_outer_inner_max(&outer, dst_mtu(dst));
		dst_release(dst);
	}
	rcu_read_unlock();
	return mtu;
}

/**
 * bhsec_outer_is_ours - has a tunnel of this host sent what is in a packet
 * @skb: inner packet; data starts at its header
 *
 * It has come round by another netns, or by a tunnel of another kind, where no
 * route tells. Ours is then one of the headers at its beginning. Its later
 * fragments are not known, but each is known a turn later.
 *
 * Context: RCU read lock held; not for every packet.
 * Return: true if so.
 */
bool bhsec_outer_is_ours(const struct sk_buff *skb)
{
	u8 copy[BHSEC_ESP_HEAD];
	unsigned int known = 0;
	const u8 *esp;
	int offset;

	/* an Ethernet header among them is 14 bytes */
	for (offset = 0; offset < HEADERS_MAX && known < SPIS_MAX; offset += 2) {
		esp = skb_header_pointer(skb, offset, sizeof(copy), copy);
		if (!esp)
			return false;
		if (bhsec_underlay_any_sent(esp, &known))
			return true;
	}
	return false;
}

/**
 * bhsec_outer_learn_mtu - a router told how much a peer's path takes
 * @peer: the peer
 * @skb: data starts at the outer IP header that the router sent back
 * @mtu: bytes
 *
 * The route that it is learned for is the one that our packets take, by their
 * mark and device; ipv4_update_pmtu() would look for one that a reply takes.
 *
 * Context: RCU read lock held.
 */
void bhsec_outer_learn_mtu(struct bhsec_peer *peer, struct sk_buff *skb,
			   unsigned int mtu)
{
	int header = skb_network_offset(skb);
	struct net_device *dev = skb->dev;
	struct bhsec_outer outer = {};
	u32 mark = skb->mark;
	struct dst_entry *dst;
	unsigned int drop;

	dst = bhsec_outer_route(peer, &outer, &drop);
	if (!dst)
		return;
	skb->dev = dst->dev;
	skb->mark = outer.mark;
	skb_reset_network_header(skb);
	dst->ops->update_pmtu(dst, NULL, skb, mtu, false);
	skb_set_network_header(skb, header);
	skb->mark = mark;
	skb->dev = dev;
	dst_release(dst);
}

/**
 * bhsec_outer_headroom - bytes that go in front of ESP
 * @outer: family and encapsulation
 * @dst: the route
 *
 * Return: bytes, link layer included.
 */
unsigned int bhsec_outer_headroom(const struct bhsec_outer *outer,
				  const struct dst_entry *dst)
{
	return LL_RESERVED_SPACE(dst->dev) + dst->header_len +
	       ip_header_len(outer) + udp_header_len(outer);
}

static void push_udp(struct sk_buff *skb, const struct bhsec_outer *outer)
{
	struct udphdr *uh = __skb_push(skb, sizeof(*uh));
	__be32 saddr, daddr;

	skb_reset_transport_header(skb);
	uh->source = outer->sport;
	uh->dest = outer->dport;
	uh->len = htons(skb->len);
	/* GRO at the far end puts only datagrams with a checksum together */
	if (outer->is_ipv6) {
		udp6_set_csum(false, skb, &outer->saddr, &outer->daddr, skb->len);
	} else {
		memcpy(&saddr, &outer->saddr, sizeof(saddr));
		memcpy(&daddr, &outer->daddr, sizeof(daddr));
		udp_set_csum(false, skb, saddr, daddr, skb->len);
	}
}

static void push_ipv4(struct net *net, struct sk_buff *skb,
		      const struct bhsec_outer *outer)
{
	struct dst_entry *dst = skb_dst(skb);
	struct iphdr *iph = __skb_push(skb, sizeof(*iph));

	skb_reset_network_header(skb);
	iph->version = 4;
	iph->ihl = sizeof(*iph) / 4;
	iph->tos = outer->tos;
	iph->frag_off = outer->df && !outer->may_fragment ? htons(IP_DF) : 0;
	iph->ttl = ip4_dst_hoplimit(dst);
	iph->protocol = protocol_of(outer);
	memcpy(&iph->saddr, &outer->saddr, sizeof(iph->saddr));
	memcpy(&iph->daddr, &outer->daddr, sizeof(iph->daddr));
	ip_select_ident(net, skb, NULL);
	skb->protocol = htons(ETH_P_IP);
}

static void push_ipv6(struct sk_buff *skb, const struct bhsec_outer *outer)
{
	struct ipv6hdr *ip6h = __skb_push(skb, sizeof(*ip6h));

	skb_reset_network_header(skb);
	ip6_flow_hdr(ip6h, outer->tos, 0);
	ip6h->nexthdr = protocol_of(outer);
	ip6h->hop_limit = ip6_dst_hoplimit(skb_dst(skb));
	ip6h->saddr = outer->saddr;
	ip6h->daddr = outer->daddr;
	skb->protocol = htons(ETH_P_IPV6);
}

/**
 * bhsec_outer_send - put the outer headers on and send
 * @net: underlay netns; the route's device may have left it meanwhile
 * @skb: data starts at the ESP header; the route is set; consumed
 *
 * DF is ours: the tunnel helpers of the kernel clear it where a path MTU is
 * locked, which a forged ICMP error can bring about.
 *
 * Context: RCU read lock held, softirqs off.
 */
void bhsec_outer_send(struct net *net, struct sk_buff *skb)
{
	struct bhsec_outer outer = *bhsec_outer(skb);

	memset(skb->cb, 0, sizeof(skb->cb));
	skb->mark = outer.mark;
	skb->ignore_df = outer.may_fragment;
	skb_reset_transport_header(skb);
	if (outer.sport)
		push_udp(skb, &outer);
	if (outer.is_ipv6) {
		push_ipv6(skb, &outer);
		ip6_local_out(net, NULL, skb);
	} else {
		push_ipv4(net, skb, &outer);
		ip_local_out(net, NULL, skb);
	}
}
