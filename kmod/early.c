// SPDX-License-Identifier: GPL-2.0
/*
 * The early door: GRO of our own socket. A datagram is opened right where its
 * device hands it over, while nobody on its way to the socket would have seen
 * it; else GRO puts datagrams together, and they walk the stack as one.
 */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/percpu.h>
#include <net/addrconf.h>
#include <net/busy_poll.h>
#include <net/gro.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/net_namespace.h>
#include <net/route.h>
#include <net/xfrm.h>

#include "arrival.h"
#include "batch_door.h"
#include "compat.h"
#include "early.h"
#include "esp.h"

/* As much as UDP and GRO can say of a packet. */
#define AGGREGATE_MAX 64
#define AGGREGATE_BYTES_MAX 65000
#define AGGREGATE_TYPE							\
	(SKB_GSO_UDP_TUNNEL_CSUM | SKB_GSO_UDP_L4 | SKB_GSO_TUNNEL_REMCSUM)

/**
 * struct seen - a way in that the stack has been asked about
 * @saddr: source
 * @daddr: destination
 * @cookie: of the netns
 * @ifindex: device
 * @generation: of the routes of that family
 * @rp_filter: as it was set on the device
 * @tos: as the packet had it
 * @is_ipv6: family
 */
struct seen {
	struct in6_addr saddr;
	struct in6_addr daddr;
	u64 cookie;
	int ifindex;
	int generation;
	int rp_filter;
	u8 tos;
	bool is_ipv6;
};

#define SEEN_BITS 4

static DEFINE_PER_CPU(struct seen[1 << SEEN_BITS], seen);

/* Our own door for a daemon's port looks at nothing that is for our socket. */
static bool has_hook(struct nf_hook_entries __rcu *const *place)
{
	const struct nf_hook_entries *entries = rcu_dereference(*place);

	return entries && (entries->num_hook_entries > 1 ||
			   entries->hooks[0].hook != bhsec_batch_door);
}

/* Who would see the datagram on its way? For a generic XDP program GRO rests. */
static enum bhsec_door listener(const struct sk_buff *skb)
{
	struct net *net = dev_net(skb->dev);
	struct nf_hook_entries __rcu **hooks;

	hooks = skb->protocol == htons(ETH_P_IPV6) ? net->nf.hooks_ipv6 :
						     net->nf.hooks_ipv4;
	if (rcu_access_pointer(hooks[NF_INET_PRE_ROUTING]) ||
	    has_hook(&hooks[NF_INET_LOCAL_IN]))
		return BHSEC_DOOR_NETFILTER;
	if (bhsec_has_ingress(skb->dev))
		return BHSEC_DOOR_INGRESS;
	return bhsec_has_capture(net) ? BHSEC_DOOR_CAPTURE : BHSEC_DOOR_EARLY;
}

/* Would the datagram change its device, its CPU, or meet a policy? */
static enum bhsec_door detour(const struct sk_buff *skb)
{
	struct net *net = dev_net(skb->dev);

	if (netif_is_l3_slave(skb->dev))
		return BHSEC_DOOR_VRF;
	if (rcu_access_pointer(skb->dev->rx_handler))
		return BHSEC_DOOR_DEVICE;
	if (skb_vlan_tag_present(skb))
		return BHSEC_DOOR_VLAN;
	if (skb_dst(skb))
		return BHSEC_DOOR_TUNNEL;
	if (bhsec_has_rps())
		return BHSEC_DOOR_RPS;
	if (net->xfrm.policy_count[XFRM_POLICY_IN] ||
	    net->xfrm.policy_default[XFRM_POLICY_IN] == XFRM_USERPOLICY_BLOCK)
		return BHSEC_DOOR_POLICY;
	return BHSEC_DOOR_EARLY;
}

static bool routes_here4(struct sk_buff *skb)
{
	bool here;

	here = !bhsec_route_input4(skb, ip_hdr(skb)) &&
	       skb_rtable(skb)->rt_type == RTN_LOCAL;
	skb_dst_drop(skb);
	return here;
}

static bool routes_here6(struct sk_buff *skb)
{
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	struct flowi6 fl = {
		.flowi6_iif = skb->dev->ifindex,
		.daddr = ip6h->daddr,
		.saddr = ip6h->saddr,
		.flowlabel = ip6_flowinfo(ip6h),
		.flowi6_mark = skb->mark,
		.flowi6_proto = ip6h->nexthdr,
	};
	struct dst_entry *dst;
	bool here;

	/* RFC 4291 2.5.3, 2.7: neither is to be on the wire */
	if (ipv6_addr_loopback(&ip6h->saddr) ||
	    ipv6_addr_loopback(&ip6h->daddr) ||
	    ipv6_addr_is_multicast(&ip6h->saddr))
		return false;
	dst = ip6_route_input_lookup(dev_net(skb->dev), skb->dev, &fl, skb,
				     RT6_LOOKUP_F_HAS_SADDR);
	here = !dst->error && container_of(dst, struct rt6_info, dst)->rt6i_flags &
			      RTF_LOCAL;
	dst_release(dst);
	return here;
}

static int generation_of(const struct net *net, bool is_ipv6)
{
	return is_ipv6 ? rt_genid_ipv6(net) : rt_genid_ipv4(net);
}

static int rp_filter_of(const struct net_device *dev, bool is_ipv6)
{
	struct in_device *in_dev;

	in_dev = is_ipv6 ? NULL : __in_dev_get_rcu(dev);
	return in_dev ? IN_DEV_RPFILTER(in_dev) : 0;
}

static bool is_seen(const struct seen *way, const struct net_device *dev,
		    const struct bhsec_arrival *arrival)
{
	const struct net *net = dev_net(dev);
	bool is_ipv6 = arrival->is_ipv6;

	return way->cookie == net->net_cookie && way->ifindex == dev->ifindex &&
	       way->is_ipv6 == is_ipv6 && way->tos == arrival->tos &&
	       bhsec_address_equal(&way->saddr, &arrival->saddr, is_ipv6) &&
	       bhsec_address_equal(&way->daddr, &arrival->daddr, is_ipv6) &&
	       way->generation == generation_of(net, is_ipv6) &&
	       way->rp_filter == rp_filter_of(dev, is_ipv6);
}

/* Would the stack take it for this host's, reverse path filter and all? */
static bool routes_here(struct sk_buff *skb, const struct bhsec_arrival *arrival)
{
	u32 key = (__force u32)arrival->saddr.s6_addr32[arrival->is_ipv6 ? 3 : 0];
	struct seen *way = this_cpu_ptr(&seen[hash_32(key, SEEN_BITS)]);
	const struct net_device *dev = skb->dev;

	if (likely(is_seen(way, dev, arrival)))
		return true;
	*way = (struct seen) {
		.saddr = arrival->saddr,
		.daddr = arrival->daddr,
		.ifindex = dev->ifindex,
		.generation = generation_of(dev_net(dev), arrival->is_ipv6),
		.rp_filter = rp_filter_of(dev, arrival->is_ipv6),
		.tos = arrival->tos,
		.is_ipv6 = arrival->is_ipv6,
	};
	if (!(arrival->is_ipv6 ? routes_here6(skb) : routes_here4(skb)))
		return false;
	/* no netns has 0: until now the entry was nobody's */
	way->cookie = dev_net(dev)->net_cookie;
	return true;
}

/* IP and UDP header as they stand first, and all of the datagram behind them. */
static bool is_plain(struct sk_buff *skb, unsigned int offset)
{
	unsigned int ip_len = skb->protocol == htons(ETH_P_IPV6) ?
			      sizeof(struct ipv6hdr) : sizeof(struct iphdr);

	return !NAPI_GRO_CB(skb)->flush && !skb_is_gso(skb) &&
	       (skb->protocol == htons(ETH_P_IP) ||
		skb->protocol == htons(ETH_P_IPV6)) &&
	       offset == ip_len + sizeof(struct udphdr) &&
	       pskb_may_pull(skb, offset + sizeof(struct ip_esp_hdr));
}

/* As eth_type_trans() sees it, which napi_gro_frags() calls afterwards only. */
static bool is_to_host(const struct sk_buff *skb)
{
	return skb->dev->type == ARPHRD_ETHER ?
	       ether_addr_equal(eth_hdr(skb)->h_dest, skb->dev->dev_addr) :
	       skb->pkt_type == PACKET_HOST;
}

/* Is it one that the stack drops before it looks for a route? */
static bool is_refused(const struct sk_buff *skb)
{
	const struct inet6_dev *idev;

	if (!is_to_host(skb))
		return true;
	if (skb->protocol != htons(ETH_P_IPV6))
		return false;
	/* RFC 8200 8.1: its UDP has a checksum */
	idev = __in6_dev_get(skb->dev);
	return !udp_hdr(skb)->check || !idev ||
	       READ_ONCE(idev->cnf.disable_ipv6);
}

/* Returns true if the datagram was ours; else it is as it was. */
static bool take(const struct sock *sk, struct sk_buff *skb,
		 unsigned int offset)
{
	struct bhsec_arrival arrival __uninitialized;

	bhsec_arrival_note(&arrival, skb, udp_hdr(skb), skb->dev->ifindex);
	if (!routes_here(skb, &arrival)) {
		bhsec_early_note(sk, BHSEC_DOOR_ROUTE);
		return false;
	}
	bhsec_early_note(sk, BHSEC_DOOR_EARLY);
	skb_mark_not_on_list(skb);
	__skb_pull(skb, offset);
	if (!bhsec_esp_in(skb, &arrival))
		return true;
	__skb_push(skb, offset);
	return false;
}

/* Do two datagrams differ in nothing that the outer header of one says of both? */
static bool fits(const struct sk_buff *held, const struct sk_buff *skb)
{
	unsigned int len = ntohs(udp_hdr(skb)->len);

	if (len > ntohs(udp_hdr(held)->len) ||
	    held->len + len > AGGREGATE_BYTES_MAX ||
	    held->ip_summed != skb->ip_summed)
		return false;
	if (skb->protocol == htons(ETH_P_IPV6))
		return *(__be32 *)ipv6_hdr(held) == *(__be32 *)ipv6_hdr(skb) &&
		       ipv6_hdr(held)->hop_limit == ipv6_hdr(skb)->hop_limit;
	return ip_hdr(held)->tos == ip_hdr(skb)->tos &&
	       ip_hdr(held)->ttl == ip_hdr(skb)->ttl &&
	       ip_hdr(held)->frag_off == ip_hdr(skb)->frag_off;
}

/* As skb_gro_receive_list(), which modules cannot call. */
static void append(struct sk_buff *held, struct sk_buff *skb,
		   unsigned int offset)
{
	if (NAPI_GRO_CB(held)->last == held)
		skb_shinfo(held)->frag_list = skb;
	else
		NAPI_GRO_CB(held)->last->next = skb;
	skb_mark_not_on_list(skb);
	__skb_pull(skb, offset);
	/* the charge of an owner goes over with the size */
	skb->destructor = NULL;
	skb->sk = NULL;
	NAPI_GRO_CB(held)->last = skb;
	NAPI_GRO_CB(held)->count++;
	held->data_len += skb->len;
	held->truesize += skb->truesize;
	held->len += skb->len;
	NAPI_GRO_CB(skb)->same_flow = 1;
}

/* What only comes by goes on as it came. */
static bool is_local(const struct sk_buff *skb)
{
	struct net *net = dev_net(skb->dev);

	if (skb->protocol == htons(ETH_P_IPV6))
		return ipv6_chk_addr(net, &ipv6_hdr(skb)->daddr, NULL, 0);
	return inet_addr_type_dev_table(net, skb->dev, ip_hdr(skb)->daddr) ==
	       RTN_LOCAL;
}

/* Returns the aggregate that ends with this datagram or before it, or NULL. */
static struct sk_buff *aggregate(struct list_head *head, struct sk_buff *skb,
				 unsigned int offset)
{
	struct sk_buff *held;

	list_for_each_entry(held, head, list) {
		if (!NAPI_GRO_CB(held)->same_flow)
			continue;
		if (!fits(held, skb))
			return held;
		append(held, skb, offset);
		if (udp_hdr(skb)->len != udp_hdr(held)->len ||
		    NAPI_GRO_CB(held)->count >= AGGREGATE_MAX)
			return held;
		return NULL;
	}
	if (!is_local(skb))
		NAPI_GRO_CB(skb)->flush = 1;
	return NULL;
}

/**
 * bhsec_early_receive - GRO has a datagram for our socket
 * @sk: the socket
 * @head: what GRO holds
 * @skb: data starts at the IP header, GRO's offset is behind the UDP header
 *
 * Context: RCU read lock held, softirqs off.
 * Return: -EINPROGRESS if the datagram was taken, what GRO is to hand over now,
 * or NULL.
 */
struct sk_buff *bhsec_early_receive(struct sock *sk, struct list_head *head,
				    struct sk_buff *skb)
{
	unsigned int offset = skb_gro_offset(skb);
	enum bhsec_door door;

	if (!is_plain(skb, offset)) {
		if (skb_is_gso(skb))
			bhsec_early_note(sk, BHSEC_DOOR_BATCH);
		goto alone;
	}
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, offset - sizeof(struct udphdr));
	if (ntohs(udp_hdr(skb)->len) + offset - sizeof(struct udphdr) != skb->len)
		goto alone;
	door = listener(skb);
	if (door == BHSEC_DOOR_EARLY)
		door = detour(skb);
	if (door == BHSEC_DOOR_EARLY) {
		if (!is_refused(skb) && take(sk, skb, offset))
			return ERR_PTR(-EINPROGRESS);
		goto alone;
	}
	bhsec_early_note(sk, door);
	if (udp_hdr(skb)->check)
		return aggregate(head, skb, offset);
alone:
	NAPI_GRO_CB(skb)->flush = 1;
	return NULL;
}

/* A packet's NAPI has the place of the CPU that sent it. */
static bool came_by_napi(const struct sk_buff *skb)
{
#ifdef CONFIG_NET_RX_BUSY_POLL
	return skb->napi_id >= MIN_NAPI_ID;
#else
	return true;
#endif
}

/**
 * bhsec_early_missed - a datagram came to our socket by the stack
 * @sk: the socket
 * @skb: the datagram
 *
 * Says so where there is no GRO; what came by that was looked at there. Some
 * NAPIs have no number, so a packet without one may have come by either.
 *
 * Context: RCU read lock held.
 */
void bhsec_early_missed(const struct sock *sk, const struct sk_buff *skb)
{
	const struct bhsec_early *early = rcu_dereference_sk_user_data(sk);

	/* GRO has not always looked for a VRF's sockets */
	if (unlikely(netif_is_l3_master(skb->dev)))
		bhsec_early_note(sk, BHSEC_DOOR_VRF);
	else if (unlikely(netif_elide_gro(skb->dev)))
		bhsec_early_note(sk, rcu_access_pointer(skb->dev->xdp_prog) ?
				     BHSEC_DOOR_XDP : BHSEC_DOOR_GRO);
	else if (unlikely(!came_by_napi(skb)) && early &&
		 READ_ONCE(early->door) == BHSEC_DOOR_UNUSED)
		bhsec_early_note(sk, BHSEC_DOOR_GRO);
}

/**
 * bhsec_early_complete - GRO hands over what it has put together
 * @sk: the socket
 * @skb: the first datagram, the others are its list of fragments
 * @offset: where its UDP payload begins
 *
 * As a tunnel's it reaches our socket in one piece. Whoever sends it elsewhere
 * takes it apart as any of UDP, and no device does: none has what remcsum asks.
 *
 * Context: softirqs off.
 * Return: 0.
 */
int bhsec_early_complete(struct sock *sk, struct sk_buff *skb, int offset)
{
	skb->encapsulation = 0;
	skb_shinfo(skb)->gso_type = AGGREGATE_TYPE;
	skb_shinfo(skb)->gso_segs = NAPI_GRO_CB(skb)->count;
	/* what was right has made way for the pseudo header's */
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_headroom(skb) + offset - sizeof(struct udphdr);
	skb->csum_offset = offsetof(struct udphdr, check);
	return 0;
}

/**
 * bhsec_early_split - the datagrams that bhsec_early_complete() left in one, or
 * rx-gro-list
 * @skb: data starts at the first's payload
 *
 * A capture may hold the list too.
 *
 * Context: any but hard interrupts.
 * Return: the datagrams, linked by their next; NULL for want of memory, @skb is
 * freed then.
 */
struct sk_buff *bhsec_early_split(struct sk_buff *skb)
{
	struct sk_buff **link = &skb->next, *rest, *next;
	unsigned int head = skb_headlen(skb);

	/* other lists are of one datagram's parts, what fragments brought */
	if (!(skb_shinfo(skb)->gso_type &
	      (SKB_GSO_TUNNEL_REMCSUM | SKB_GSO_FRAGLIST))) {
		skb_mark_not_on_list(skb);
		return skb;
	}
	if (skb_unclone(skb, GFP_ATOMIC)) {
		kfree_skb(skb);
		return NULL;
	}
	rest = skb_shinfo(skb)->frag_list;
	skb_shinfo(skb)->frag_list = NULL;
	skb->len = skb_pagelen(skb);
	skb->data_len = skb->len - head;
	skb->truesize = SKB_TRUESIZE(skb_end_offset(skb)) + skb->data_len;
	skb_gso_reset(skb);
	while (rest) {
		next = rest->next;
		rest = skb_share_check(rest, GFP_ATOMIC);
		if (rest) {
			*link = rest;
			link = &rest->next;
		}
		rest = next;
	}
	*link = NULL;
	return skb;
}
