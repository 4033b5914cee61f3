// SPDX-License-Identifier: GPL-2.0
/*
 * The way out: what is read of an inner packet, who it is for, whether it fits,
 * and what its sender is told.
 */
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <net/dsfield.h>
#include <net/icmp.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "compat.h"
#include "device.h"
#include "esp.h"
#include "flow.h"
#include "outer.h"
#include "owner.h"
#include "sa.h"
#include "segment.h"
#include "trace.h"
#include "xfrm_bind.h"
#include "xmit.h"

/* Reads the inner header; false if there is none that can be believed. */
static bool read_inner(struct sk_buff *skb, struct bhsec_inner *inner)
{
	const struct ipv6hdr *ip6h;
	const struct iphdr *iph;

	/* an XDP program of an Ethernet device leaves its header before ours */
	if (skb_network_offset(skb))
		return false;
	if (skb->protocol == htons(ETH_P_IP) &&
	    pskb_network_may_pull(skb, sizeof(*iph))) {
		iph = ip_hdr(skb);
		if (iph->version != 4 || iph->ihl < 5 ||
		    !pskb_network_may_pull(skb, iph->ihl * 4))
			return false;
		iph = ip_hdr(skb);
		inner->is_ipv6 = false;
		inner->src = &iph->saddr;
		inner->dst = &iph->daddr;
		inner->tos = iph->tos;
		inner->df = iph->frag_off & htons(IP_DF);
		inner->len = ntohs(iph->tot_len);
		return inner->len >= iph->ihl * 4 && inner->len <= skb->len;
	}
	if (skb->protocol == htons(ETH_P_IPV6) &&
	    pskb_network_may_pull(skb, sizeof(*ip6h))) {
		ip6h = ipv6_hdr(skb);
		inner->is_ipv6 = true;
		inner->src = &ip6h->saddr;
		inner->dst = &ip6h->daddr;
		inner->tos = ipv6_get_dsfield(ip6h);
		inner->df = true;
		inner->len = sizeof(*ip6h) + ntohs(ip6h->payload_len);
		return ip6h->version == 6 && inner->len <= skb->len;
	}
	return false;
}

/*
 * Where a checksum goes that was left to the device is the word of whoever made
 * the packet, a virtual machine for one. It may not lie before the payload.
 */
static bool checksum_fits(const struct sk_buff *skb,
			  const struct bhsec_inner *inner)
{
	int start, header;

	if (skb->ip_summed != CHECKSUM_PARTIAL)
		return true;
	start = skb_checksum_start_offset(skb);
	header = inner->is_ipv6 ? sizeof(struct ipv6hdr) : ip_hdrlen(skb);
	return start >= header &&
	       start + skb->csum_offset + sizeof(__sum16) <= inner->len;
}

/* What cannot be known again where it goes round is not cut by others either. */
static bool choose_df(const struct bhsec_settings *settings,
		      const struct bhsec_inner *inner,
		      const struct bhsec_sa *sa)
{
	return !bhsec_sa_has_iv(sa) || settings->df == BHSEC_DF_SET ||
	       (settings->df == BHSEC_DF_COPY && inner->df);
}

static unsigned int borrowed_mtu(const struct dst_entry *dst)
{
	return dst->dev->mtu;
}

static struct dst_ops borrowed_ops = {
	.family = AF_INET,
	.mtu = borrowed_mtu,
};

/*
 * What the stack wants a route for, which a packet from a packet socket, tc or
 * XDP has not: the caller's, for as long as its call lasts.
 */
static void borrow_route(struct sk_buff *skb, struct rtable *route,
			 struct net_device *dev)
{
	memset(route, 0, sizeof(*route));
	dst_init(&route->dst, &borrowed_ops, NULL, DST_OBSOLETE_NONE,
		 DST_NOCOUNT);
	route->dst.dev = dev;
	skb_dst_drop(skb);
	skb_dst_set_noref(skb, &route->dst);
}

/*
 * What IP's input looks at before a packet has a route: RFC 1812 4.3.2.7 lets
 * nothing be said about other packets. The rest icmp_send() looks at itself.
 */
static bool may_be_told(const struct sk_buff *skb)
{
	struct net *net = dev_net(skb->dev);
	const struct iphdr *iph = ip_hdr(skb);
	unsigned int from, to;

	from = inet_addr_type_dev_table(net, skb->dev, iph->saddr);
	to = inet_addr_type_dev_table(net, skb->dev, iph->daddr);
	return from != RTN_BROADCAST && from != RTN_MULTICAST &&
	       !ipv4_is_loopback(iph->saddr) && to != RTN_BROADCAST &&
	       to != RTN_MULTICAST &&
	       !ip_fast_csum((const u8 *)iph, iph->ihl);
}

/* icmp_send() says nothing about a packet without a route, its IPv6 twin does. */
static void tell_ipv4(struct sk_buff *skb, int code, __be32 info)
{
	struct rtable route;

	if (skb_dst(skb)) {
		icmp_ndo_send(skb, ICMP_DEST_UNREACH, code, info);
	} else if (may_be_told(skb)) {
		borrow_route(skb, &route, skb->dev);
		icmp_ndo_send(skb, ICMP_DEST_UNREACH, code, info);
		skb_dst_drop(skb);
	}
}

/* RFC 4301 8.2.1: the sender learns how much fits. */
static void tell_too_big(struct sk_buff *skb, const struct bhsec_inner *inner,
			 unsigned int mtu)
{
	if (inner->is_ipv6) {
		/* nothing of IPv6 may be asked where ipv6.disable is set */
		if (!ipv6_mod_enabled())
			return;
		mtu = max_t(unsigned int, mtu, IPV6_MIN_MTU);
		skb_dst_update_pmtu_no_confirm(skb, mtu);
		icmpv6_ndo_send(skb, ICMPV6_PKT_TOOBIG, 0, mtu);
	} else {
		skb_dst_update_pmtu_no_confirm(skb, mtu);
		tell_ipv4(skb, ICMP_FRAG_NEEDED, htonl(mtu));
	}
}

static void tell_unreachable(struct sk_buff *skb)
{
	if (skb->protocol == htons(ETH_P_IP))
		tell_ipv4(skb, ICMP_HOST_UNREACH, 0);
	else if (skb->protocol == htons(ETH_P_IPV6) && ipv6_mod_enabled())
		icmpv6_ndo_send(skb, ICMPV6_DEST_UNREACH, ICMPV6_ADDR_UNREACH, 0);
}

/* A super-packet counts as the packets that it stands for. */
static unsigned int packets_of(const struct sk_buff *skb)
{
	return max_t(u16, skb_shinfo(skb)->gso_segs, 1);
}

static void count_tx_drop(struct bhsec_device *bdev, struct bhsec_peer *peer,
			  struct bhsec_sa *sa, unsigned int count,
			  unsigned int drop)
{
	DEV_STATS_ADD(bdev->dev, tx_dropped, count);
	if (sa) {
		bhsec_sa_count_drops(sa, drop, count);
		return;
	}
	bhsec_drops_add(peer ? peer->drops : &bdev->drops, drop, count);
	trace_bhsec_drop(bdev->dev, peer ? peer->name : NULL, 0, true, drop, count);
}

static int xmit_fragment(struct net *net, struct sock *sk, struct sk_buff *skb);

/*
 * RFC 4301 8.2.1: an inner packet whose sender allows it is fragmented before
 * ESP. Each fragment loses the route on its way through xmit_inner().
 */
static int fragment_inner(struct sk_buff *skb, struct net_device *dev,
			  unsigned int mtu)
{
	struct rtable route;

	borrow_route(skb, &route, dev);
	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
	IPCB(skb)->frag_max_size = min(mtu, dev->mtu);
	return ip_do_fragment(dev_net(dev), NULL, skb, xmit_fragment);
}

static void xmit_inner(struct sk_buff *skb, struct net_device *dev);

/* Segments that do not fit go one by one, to be fragmented each. */
static void xmit_apart(struct sk_buff *skb, struct bhsec_sa *sa)
{
	struct bhsec_device *bdev = sa->peer->bdev;
	struct sk_buff *segments, *next;

	segments = skb_gso_segment(skb, 0);
	if (IS_ERR_OR_NULL(segments)) {
		count_tx_drop(bdev, sa->peer, sa, packets_of(skb),
			      BHSEC_A_STATS_NOMEM);
		kfree_skb_reason(skb, SKB_DROP_REASON_NOMEM);
		return;
	}
	consume_skb(skb);
	skb_list_walk_safe(segments, skb, next) {
		skb_mark_not_on_list(skb);
		xmit_inner(skb, bdev->dev);
	}
}

/*
 * What is larger than its path: fragmented before ESP where its sender allows
 * it, or told to its sender, dropped and counted.
 */
static void xmit_too_big(struct sk_buff *skb, struct bhsec_sa *sa,
			 const struct bhsec_inner *inner, unsigned int mtu,
			 bool loops, bool may_cut)
{
	unsigned int drop = loops ? BHSEC_A_STATS_LOOP : BHSEC_A_STATS_TOO_BIG;
	struct bhsec_device *bdev = sa->peer->bdev;

	/* below that ip_do_fragment() makes no progress */
	if (may_cut && !inner->df && mtu >= IPV4_MIN_MTU) {
		if (skb_is_gso(skb))
			xmit_apart(skb, sa);
		else if (fragment_inner(skb, bdev->dev, mtu))
			count_tx_drop(bdev, sa->peer, NULL, 1,
				      BHSEC_A_STATS_NOMEM);
		return;
	}
	tell_too_big(skb, inner, mtu);
	count_tx_drop(bdev, sa->peer, sa, packets_of(skb), drop);
	kfree_skb_reason(skb, bhsec_drop_reason(drop));
}

/*
 * Find the SA that carries a DSCP from here. One that is deleted has lost its
 * place before it ends: who found it there just before looks again, so that a
 * rekey drops nothing. Each turn needs another deletion.
 */
static unsigned int find_sa(struct bhsec_peer *peer, unsigned int dscp,
			    struct bhsec_sa **found)
{
	struct bhsec_sa __rcu **out = bhsec_peer_out(peer);
	struct bhsec_sa *sa;
	unsigned int drop;

	do {
		sa = rcu_dereference(out[dscp]);
		*found = sa;
		drop = sa ? bhsec_sa_ended(sa) : BHSEC_A_STATS_NO_KEY;
	} while (unlikely(drop) && sa != rcu_access_pointer(out[dscp]));
	return drop;
}

/*
 * What class and flow of a packet make of the outside of its datagrams. Returns
 * the counter of the reason why there is no way, or 0.
 */
static unsigned int choose_outer(struct bhsec_peer *peer, struct sk_buff *skb,
				 const struct bhsec_inner *inner,
				 const struct bhsec_sa *sa,
				 struct bhsec_outer *outer)
{
	const struct bhsec_settings *settings = rcu_dereference(peer->bdev->settings);
	unsigned int drop;

	bhsec_flow_mark(skb, inner->is_ipv6);
	outer->tos = bhsec_outer_tos(settings, inner->tos);
	outer->df = choose_df(settings, inner, sa);
	drop = bhsec_outer_route(peer, outer);
	/* the route is one for all of them */
	if (outer->sport && READ_ONCE(peer->entropy))
		outer->sport = bhsec_flow_port(skb);
	return drop;
}

/* The one exception of RFC 2473 7.1: IPv6 hears of nothing below 1280. */
static bool may_go_in_pieces(const struct bhsec_sa *sa,
			     const struct bhsec_inner *inner, unsigned int len)
{
	return bhsec_sa_has_iv(sa) && inner->is_ipv6 && len <= IPV6_MIN_MTU;
}

/*
 * What does not fit into its path goes by that exception, or not at all. Returns
 * true if it does not go so; it is consumed.
 */
static bool is_too_big(struct sk_buff *skb, struct bhsec_sa *sa,
		       const struct bhsec_segments *segments,
		       const struct bhsec_inner *inner, struct bhsec_outer *outer)
{
	unsigned int mtu = bhsec_outer_inner_max(outer, &sa->layout);
	bool loops;

	if (likely(segments->unit <= mtu))
		return false;
	/*
	 * Going round, each turn larger: in pieces it would for ever. What will
	 * not be known again is not cut at all.
	 */
	loops = bhsec_outer_is_ours(skb);
	outer->may_fragment = !loops &&
			      may_go_in_pieces(sa, inner, segments->unit);
	if (outer->may_fragment)
		return false;
	xmit_too_big(skb, sa, inner, mtu, loops, !loops && bhsec_sa_has_iv(sa));
	return true;
}

/*
 * Find peer, SA and route of a packet. Returns the counter of the reason why it
 * cannot go, or 0. RCU read lock held, softirqs off.
 */
static unsigned int find_way(struct bhsec_device *bdev, struct sk_buff *skb,
			     const struct bhsec_inner *inner,
			     struct bhsec_way *way)
{
	unsigned int drop;

	if (!rcu_access_pointer(bdev->underlay))
		return BHSEC_A_STATS_NO_ROUTE;
	drop = bhsec_owner_find(bdev, skb, inner, true, &way->peer) ?:
	       find_sa(way->peer, inner->tos >> 2, &way->sa);
	return drop ?: choose_outer(way->peer, skb, inner, way->sa, &way->outer);
}

/*
 * Find the way of a packet and whether it fits. What cannot go is counted and
 * freed, and its sender told: nothing ever leaves in clear.
 */
static void xmit_inner(struct sk_buff *skb, struct net_device *dev)
{
	struct bhsec_device *bdev = netdev_priv(dev);
	struct bhsec_segments segments __uninitialized;
	struct bhsec_way way = {};
	struct bhsec_inner inner;
	unsigned int drop;

	drop = BHSEC_A_STATS_MALFORMED;
	if (!read_inner(skb, &inner) || !checksum_fits(skb, &inner) ||
	    !bhsec_segments_begin(&segments, skb, &inner))
		goto drop;

	drop = find_way(bdev, skb, &inner, &way);
	if (drop == BHSEC_A_STATS_NO_KEY) {
		if (bhsec_wait_for_key(way.peer, skb))
			return;
		bhsec_bound_ask(way.peer, skb, &inner);
	}
	if (drop)
		goto unreachable;
	if (unlikely(bhsec_peer_lacks_cpu(way.peer)))
		bhsec_bound_ask(way.peer, skb, &inner);
	if (is_too_big(skb, way.sa, &segments, &inner, &way.outer))
		return;
	drop = bhsec_esp_out(way.sa, &segments, &inner, &way.outer);
	if (drop == BHSEC_A_STATS_EXPIRED && way.sa->borrowed &&
	    bhsec_wait_out(way.peer, skb))
		drop = 0;
	if (!drop)
		return;
unreachable:
	if (drop != BHSEC_A_STATS_NOMEM)
		tell_unreachable(skb);
drop:
	count_tx_drop(bdev, way.peer, way.sa, packets_of(skb), drop);
	kfree_skb_reason(skb, bhsec_drop_reason(drop));
}

static int xmit_fragment(struct net *net, struct sock *sk, struct sk_buff *skb)
{
	struct net_device *dev = skb_dst(skb)->dev;

	skb_dst_drop(skb);
	xmit_inner(skb, dev);
	return 0;
}

/**
 * bhsec_xmit_explain - where a packet would go
 * @bdev: the device
 * @skb: the packet; it stays the caller's
 * @way: is filled as far as it gets; the route in it is no longer valid
 * @mtu: the largest packet that this way takes in bytes, 0 if it has no route
 *
 * Context: the device's lock is held, and holds peer and SA.
 * Return: the counter of the reason why it would not go, or 0.
 */
unsigned int bhsec_xmit_explain(struct bhsec_device *bdev, struct sk_buff *skb,
				struct bhsec_way *way, unsigned int *mtu)
{
	struct bhsec_inner inner;
	unsigned int drop;

	*mtu = 0;
	memset(way, 0, sizeof(*way));
	if (!read_inner(skb, &inner))
		return BHSEC_A_STATS_MALFORMED;
	local_bh_disable();
	rcu_read_lock();
	drop = find_way(bdev, skb, &inner, way);
	if (!drop) {
		*mtu = bhsec_outer_inner_max(&way->outer, &way->sa->layout);
		if (inner.len > *mtu &&
		    !may_go_in_pieces(way->sa, &inner, inner.len))
			drop = BHSEC_A_STATS_TOO_BIG;
	}
	rcu_read_unlock();
	local_bh_enable();
	return drop ?: netif_running(bdev->dev) ? 0 : BHSEC_A_STATS_DOWN;
}

/**
 * bhsec_xmit - send an inner packet through the tunnel
 * @skb: the packet; consumed
 * @dev: a bhsec device
 *
 * Context: softirqs off.
 * Return: NETDEV_TX_OK, for what cannot go is counted and freed.
 */
netdev_tx_t bhsec_xmit(struct sk_buff *skb, struct net_device *dev)
{
	rcu_read_lock();
	xmit_inner(skb, dev);
	rcu_read_unlock();
	return NETDEV_TX_OK;
}
