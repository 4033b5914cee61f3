// SPDX-License-Identifier: GPL-2.0
/*
 * The outside of a datagram: its headers, what fits inside.
 */
#include <net/dsfield.h>
#include <net/dst.h>
#include <net/inet_ecn.h>
#include <linux/ip.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
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
#include "sa.h"
#include "underlay.h"

/* Of a packet's first bytes, as many as other tunnels' headers may take. */
#define HEADERS_MAX 256
/* What GRO at the far end puts together at the most. */
#define TRAIN_MAX 64
/* With IP and UDP headers less than 64 KB. */
#define TRAIN_BYTES_MAX (65535 - 48)

/**
 * bhsec_outer_peer_mtu - the largest inner packet on a peer's path now
 * @peer: the peer; of its classes the one of DSCP 0 is meant
 *
 * Context: any but hard interrupts.
 * Return: bytes, 0 if no route leads there.
 */
unsigned int bhsec_outer_peer_mtu(struct bhsec_peer *peer)
{
	const struct bhsec_settings *settings;
	const struct bhsec_layout *layout;
	struct bhsec_outer outer = {};
	const struct bhsec_sa *sa;
	unsigned int mtu = 0;

	local_bh_disable();
	rcu_read_lock();
	settings = rcu_dereference(peer->bdev->settings);
	sa = rcu_dereference(peer->out[0]);
	layout = sa ? &sa->layout : bhsec_aead_layout(BHSEC_CIPHER_AES_GCM_256);
	outer.tos = bhsec_outer_tos(settings, 0);
	if (!bhsec_outer_route(peer, &outer))
		mtu = bhsec_outer_inner_max(&outer, layout);
	rcu_read_unlock();
	local_bh_enable();
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
 * Context: RCU read lock held; a look-up for each place where ESP could begin,
 * so not for every packet.
 * Return: true if so.
 */
bool bhsec_outer_is_ours(const struct sk_buff *skb)
{
	u8 copy[BHSEC_HEAD_MAX];
	const u8 *esp;
	int offset;

	/* an Ethernet header among them is 14 bytes */
	for (offset = 0; offset < HEADERS_MAX; offset += 2) {
		esp = skb_header_pointer(skb, offset, sizeof(copy), copy);
		if (!esp)
			return false;
		if (bhsec_underlay_any_sent(esp))
			return true;
	}
	return false;
}

/* Of the header that a router sent back. */
static u8 quoted_tos(const struct sk_buff *skb)
{
	const struct iphdr *iph = (const struct iphdr *)skb->data;

	return iph->version == 6 ?
	       ipv6_get_dsfield((const struct ipv6hdr *)iph) : iph->tos;
}

/**
 * bhsec_outer_learn_mtu - a router told how much a peer's path takes
 * @peer: the peer
 * @skb: data starts at the outer IP header that the router sent back
 * @mtu: bytes
 *
 * The route that it is learned for is the one that our packets take, by their
 * class, mark and device; ipv4_update_pmtu() would look for one that a reply
 * takes.
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

	outer.tos = quoted_tos(skb);
	if (bhsec_outer_route(peer, &outer))
		return;
	skb->dev = outer.dst->dev;
	skb->mark = outer.mark;
	skb_reset_network_header(skb);
	outer.dst->ops->update_pmtu(outer.dst, NULL, skb, mtu, false);
	skb_set_network_header(skb, header);
	skb->mark = mark;
	skb->dev = dev;
}

/**
 * bhsec_outer_keep - have a packet take its outer header and route along
 * @skb: the packet
 * @outer: both
 *
 * Context: RCU read lock held.
 * Return: false if the route has come to its end meanwhile.
 */
bool bhsec_outer_keep(struct sk_buff *skb, const struct bhsec_outer *outer)
{
	BUILD_BUG_ON(offsetof(struct bhsec_outer, mark) > sizeof(skb->cb));
	memcpy(skb->cb, outer, offsetof(struct bhsec_outer, mark));
	skb->mark = outer->mark;
	if (!dst_hold_safe(outer->dst))
		return false;
	skb_dst_set(skb, outer->dst);
	return true;
}

/**
 * bhsec_outer_kept - what bhsec_outer_keep() kept
 * @skb: the packet; its route stays its own
 * @outer: is filled
 *
 * Context: any.
 */
void bhsec_outer_kept(struct sk_buff *skb, struct bhsec_outer *outer)
{
	memcpy(outer, skb->cb, offsetof(struct bhsec_outer, mark));
	outer->mark = skb->mark;
	outer->dst = skb_dst(skb);
}

/**
 * struct headers - IP and UDP header as all datagrams of a batch have them
 * @bytes: both, one behind the other
 * @len: bytes of both
 * @ip_len: bytes of the IP header
 * @pseudo: sum of the UDP pseudo header, but for the length
 */
struct headers {
	u8 bytes[sizeof(struct ipv6hdr) + sizeof(struct udphdr)] __aligned(4);
	unsigned int len;
	unsigned int ip_len;
	__wsum pseudo;
};

static void make_ipv4(struct headers *headers, const struct bhsec_outer *outer)
{
	struct iphdr *iph = (struct iphdr *)headers->bytes;

	*iph = (struct iphdr) {
		.version = 4,
		.ihl = sizeof(*iph) / 4,
		.tos = outer->tos,
		.frag_off = outer->df && !outer->may_fragment ? htons(IP_DF) : 0,
		.ttl = ip4_dst_hoplimit(outer->dst),
		.protocol = bhsec_outer_protocol(outer),
	};
	memcpy(&iph->saddr, &outer->saddr, sizeof(iph->saddr));
	memcpy(&iph->daddr, &outer->daddr, sizeof(iph->daddr));
	headers->pseudo = csum_tcpudp_nofold(iph->saddr, iph->daddr, 0,
					     IPPROTO_UDP, 0);
}

static void make_ipv6(struct headers *headers, const struct bhsec_outer *outer)
{
	struct ipv6hdr *ip6h = (struct ipv6hdr *)headers->bytes;

	ip6_flow_hdr(ip6h, outer->tos, 0);
	ip6h->nexthdr = bhsec_outer_protocol(outer);
	ip6h->hop_limit = ip6_dst_hoplimit(outer->dst);
	ip6h->saddr = outer->saddr;
	ip6h->daddr = outer->daddr;
	headers->pseudo = csum_unfold(~csum_ipv6_magic(&ip6h->saddr, &ip6h->daddr,
						       0, IPPROTO_UDP, 0));
}

static void make_headers(struct headers *headers, const struct bhsec_outer *outer)
{
	struct udphdr *uh;

	headers->ip_len = bhsec_outer_ip_len(outer);
	headers->len = headers->ip_len + bhsec_outer_udp_len(outer);
	if (outer->is_ipv6)
		make_ipv6(headers, outer);
	else
		make_ipv4(headers, outer);
	if (!outer->sport)
		return;
	uh = (struct udphdr *)(headers->bytes + headers->ip_len);
	uh->source = outer->sport;
	uh->dest = outer->dport;
}

/*
 * The checksum is left to the device: GRO at the far end puts only datagrams
 * that have one together.
 */
static void put_udp(const struct headers *headers, struct sk_buff *skb,
		    unsigned int len)
{
	struct udphdr *uh = udp_hdr(skb);

	uh->len = htons(len);
	uh->check = ~csum_fold(csum_add(headers->pseudo,
					(__force __wsum)htonl(len)));
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_transport_header(skb) - skb->head;
	skb->csum_offset = offsetof(struct udphdr, check);
}

static void put_headers(const struct headers *headers,
			const struct bhsec_outer *outer, struct sk_buff *skb)
{
	u8 *to = __skb_push(skb, headers->len);

	/* a length that the compiler knows takes no call */
	if (headers->len == sizeof(struct iphdr) + sizeof(struct udphdr))
		memcpy(to, headers->bytes,
		       sizeof(struct iphdr) + sizeof(struct udphdr));
	else
		memcpy(to, headers->bytes, headers->len);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, headers->ip_len);
	if (outer->sport)
		put_udp(headers, skb, skb->len - headers->ip_len);
	if (outer->is_ipv6) {
		ipv6_hdr(skb)->payload_len = htons(skb->len - headers->ip_len);
		skb->protocol = htons(ETH_P_IPV6);
	} else {
		ip_hdr(skb)->tot_len = htons(skb->len);
		skb->protocol = htons(ETH_P_IP);
	}
}

static void send_one(struct net *net, const struct bhsec_outer *outer,
		     struct sk_buff *skb)
{
	memset(skb->cb, 0, sizeof(skb->cb));
	skb->mark = outer->mark;
	skb->ignore_df = outer->may_fragment;
	if (!skb_dst(skb))
		skb_dst_set_noref(skb, outer->dst);
	if (outer->is_ipv6) {
		ip6_local_out(net, NULL, skb);
	} else {
		ip_select_ident_segs(net, skb, NULL,
				     skb_shinfo(skb)->gso_segs ?: 1);
		ip_local_out(net, NULL, skb);
	}
}

/*
 * How many of a list can go as one: those of one flow and size, the last may be
 * shorter, each with room before it. More than UDP's length or GRO at the far
 * end takes go in several.
 */
static unsigned int count_train(const struct bhsec_outer *outer,
				const struct sk_buff *first)
{
	unsigned int bytes = 0, count = 0, headroom;
	const struct sk_buff *skb = first;

	if (!first->next || !outer->sport)
		return 1;
	headroom = bhsec_outer_headroom(outer) + BHSEC_OUTER_BELOW;
	do {
		bytes += skb->len;
		if (skb->len > first->len || count == TRAIN_MAX ||
		    bytes > TRAIN_BYTES_MAX)
			break;
		count++;
		if (skb->len < first->len)
			break;
		skb = skb->next;
	} while (skb && skb->hash == first->hash &&
		 skb_headroom(skb) >= headroom);
	return count;
}

/*
 * Several datagrams as one packet: the stack, and a device that can, carries
 * them as far as it goes in one piece. Each has its headers, which lie before
 * its data, and those of the first speak for all (as GRO leaves a list).
 * Returns what follows them.
 */
static struct sk_buff *couple(const struct headers *headers,
			      const struct bhsec_outer *outer,
			      struct sk_buff *first, unsigned int count)
{
	struct sk_buff **end = &skb_shinfo(first)->frag_list;
	unsigned int size = first->len, i;
	struct sk_buff *skb = first->next;

	skb_mark_not_on_list(first);
	put_headers(headers, outer, first);
	for (i = 1; i < count; i++) {
		*end = skb;
		end = &skb->next;
		/* who takes it apart would let go of an owner twice */
		skb_orphan(skb);
		put_headers(headers, outer, skb);
		__skb_pull(skb, headers->len);
		first->data_len += skb->len;
		skb = skb->next;
	}
	*end = NULL;
	if (count > 1) {
		first->len += first->data_len;
		udp_hdr(first)->len = htons(first->len - headers->ip_len);
		skb_shinfo(first)->gso_size = size;
		skb_shinfo(first)->gso_segs = count;
		skb_shinfo(first)->gso_type = SKB_GSO_UDP_L4 | SKB_GSO_FRAGLIST;
	}
	return skb;
}

/**
 * bhsec_outer_send - put the outer headers on and send
 * @net: underlay netns; the route's device may have left it meanwhile
 * @outer: headers and route, which stays the caller's
 * @list: packets, linked by their next; data starts at the ESP header; consumed
 *
 * DF is ours: the tunnel helpers of the kernel clear it where a path MTU is
 * locked, which a forged ICMP error can bring about.
 *
 * Context: RCU read lock held, softirqs off.
 */
void bhsec_outer_send(struct net *net, const struct bhsec_outer *outer,
		      struct sk_buff *list)
{
	struct headers headers __uninitialized;
	struct sk_buff *skb;

	make_headers(&headers, outer);
	while (list) {
		skb = list;
		list = couple(&headers, outer, skb, count_train(outer, skb));
		send_one(net, outer, skb);
	}
}
