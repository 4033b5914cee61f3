// SPDX-License-Identifier: GPL-2.0
/*
 * The way out: what is read of an inner packet, who it is for, whether it fits,
 * and what its sender is told.
 */
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <net/icmp.h>
#include <net/inet_ecn.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "compat.h"
#include "device.h"
#include "esp.h"
#include "outer.h"
#include "sa.h"
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

static u8 choose_tos(const struct bhsec_settings *settings, u8 inner_tos)
{
	/* RFC 6040 4.1: normal mode copies ECN, Congestion Experienced too */
	if (settings->dscp == BHSEC_DSCP_COPY)
		return inner_tos;
	return settings->dscp << 2 | (inner_tos & INET_ECN_MASK);
}

static bool choose_df(const struct bhsec_settings *settings,
		      const struct bhsec_inner *inner)
{
	return settings->df == BHSEC_DF_SET ||
	       (settings->df == BHSEC_DF_COPY && inner->df);
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
		icmp_ndo_send(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED,
			      htonl(mtu));
	}
}

static void tell_unreachable(struct sk_buff *skb)
{
	if (skb->protocol == htons(ETH_P_IP))
		icmp_ndo_send(skb, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0);
	else if (skb->protocol == htons(ETH_P_IPV6) && ipv6_mod_enabled())
		icmpv6_ndo_send(skb, ICMPV6_DEST_UNREACH, ICMPV6_ADDR_UNREACH, 0);
}

static void count_tx_drop(struct bhsec_device *bdev, struct bhsec_peer *peer,
			  struct bhsec_sa *sa, unsigned int drop)
{
	DEV_STATS_INC(bdev->dev, tx_dropped);
	if (sa)
		bhsec_sa_count(sa, drop, 0);
	else
		bhsec_stats_add(peer ? peer->stats : bdev->stats, drop, 0);
}

static int xmit_fragment(struct net *net, struct sock *sk, struct sk_buff *skb);

static unsigned int fragment_mtu(const struct dst_entry *dst)
{
	return dst->dev->mtu;
}

static struct dst_ops fragment_dst_ops = {
	.family = AF_INET,
	.mtu = fragment_mtu,
};

/*
 * RFC 4301 8.2.1: an inner packet whose sender allows it is fragmented before
 * ESP. ip_do_fragment() wants a route, which a packet from a packet socket or
 * tc has not; each fragment loses this one on its way through xmit_inner().
 */
static int fragment_inner(struct sk_buff *skb, struct net_device *dev,
			  unsigned int mtu)
{
	struct rtable route = {};

	dst_init(&route.dst, &fragment_dst_ops, NULL, DST_OBSOLETE_NONE,
		 DST_NOCOUNT);
	route.dst.dev = dev;
	skb_dst_drop(skb);
	skb_dst_set_noref(skb, &route.dst);
	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
	IPCB(skb)->frag_max_size = min(mtu, dev->mtu);
	return ip_do_fragment(dev_net(dev), NULL, skb, xmit_fragment);
}

/*
 * What is larger than its path: fragmented before ESP where its sender allows
 * it, or told to its sender, dropped and counted.
 */
static void xmit_too_big(struct sk_buff *skb, struct bhsec_sa *sa,
			 const struct bhsec_inner *inner, unsigned int mtu,
			 bool loops)
{
	struct bhsec_device *bdev = sa->peer->bdev;

	/* below that ip_do_fragment() makes no progress */
	if (!loops && !inner->df && mtu >= IPV4_MIN_MTU) {
		if (fragment_inner(skb, bdev->dev, mtu))
			count_tx_drop(bdev, sa->peer, NULL, BHSEC_A_STATS_NOMEM);
		return;
	}
	tell_too_big(skb, inner, mtu);
	count_tx_drop(bdev, sa->peer, sa, loops ? BHSEC_A_STATS_LOOP :
						  BHSEC_A_STATS_TOO_BIG);
	kfree_skb(skb);
}

/*
 * Become a user of the SA that carries a DSCP. One that is deleted has lost its
 * place before it ends: who found it there just before looks again, so that a
 * rekey drops nothing. Each turn needs another deletion.
 */
static unsigned int enter_sa(struct bhsec_peer *peer, unsigned int dscp,
			     struct bhsec_sa **found)
{
	struct bhsec_sa *sa;
	unsigned int drop;

	do {
		sa = rcu_dereference(peer->out[dscp]);
		*found = sa;
		drop = sa ? bhsec_sa_enter(sa) : BHSEC_A_STATS_NO_KEY;
	} while (unlikely(drop) && sa != rcu_access_pointer(peer->out[dscp]));
	return drop;
}

/*
 * Find peer, SA and route of a packet and whether it fits. What cannot go is
 * counted and freed, and its sender told: nothing ever leaves in clear.
 */
static void xmit_inner(struct sk_buff *skb, struct net_device *dev)
{
	struct bhsec_device *bdev = netdev_priv(dev);
	const struct bhsec_settings *settings;
	struct bhsec_peer *peer = NULL;
	struct bhsec_sa *sa = NULL;
	struct bhsec_outer outer = {};
	struct bhsec_inner inner;
	struct dst_entry *dst;
	unsigned int drop, mtu;

	drop = BHSEC_A_STATS_MALFORMED;
	if (!read_inner(skb, &inner) || !checksum_fits(skb, &inner))
		goto drop;

	drop = BHSEC_A_STATS_NO_ROUTE;
	if (!rcu_access_pointer(bdev->underlay))
		goto unreachable;
	peer = bhsec_selector_lookup(&bdev->selectors, inner.dst, inner.is_ipv6);
	if (!peer)
		goto unreachable;
	drop = BHSEC_A_STATS_SELECTOR;
	if (!bhsec_peer_is_local(peer, inner.src, inner.is_ipv6))
		goto unreachable;
	drop = enter_sa(peer, inner.tos >> 2, &sa);
	if (drop)
		goto unreachable;

	dst = bhsec_outer_route(peer, &outer, &drop);
	if (!dst)
		goto unreachable_leave;
	settings = rcu_dereference(bdev->settings);
	outer.tos = choose_tos(settings, inner.tos);
	outer.df = choose_df(settings, &inner);
	mtu = bhsec_outer_inner_max(&outer, dst_mtu(dst));
	if (inner.len > mtu) {
		/* going round, each turn larger: in pieces it would for ever */
		bool loops = bhsec_outer_is_ours(skb);

		/* RFC 2473 7.1: IPv6 hears of nothing below 1280 */
		outer.may_fragment = !loops && inner.is_ipv6 &&
				     inner.len <= IPV6_MIN_MTU;
		if (!outer.may_fragment) {
			dst_release(dst);
			bhsec_sa_leave(sa);
			xmit_too_big(skb, sa, &inner, mtu, loops);
			return;
		}
	}
	drop = bhsec_esp_out(sa, skb, &inner, &outer, dst);
	if (!drop)
		return;

unreachable_leave:
	bhsec_sa_leave(sa);
unreachable:
	if (drop != BHSEC_A_STATS_NOMEM)
		tell_unreachable(skb);
drop:
	count_tx_drop(bdev, peer, sa, drop);
	kfree_skb(skb);
}

static int xmit_fragment(struct net *net, struct sock *sk, struct sk_buff *skb)
{
	struct net_device *dev = skb_dst(skb)->dev;

	skb_dst_drop(skb);
	xmit_inner(skb, dev);
	return 0;
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
