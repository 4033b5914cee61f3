// SPDX-License-Identifier: GPL-2.0
/*
 * What the path says of our datagrams: ICMP errors, by kind. Anybody can forge
 * one, so the SPI and the endpoint in it have to be those of an SA of ours;
 * but for the path MTU they are for an operator's eyes alone.
 */
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>
#include <linux/udp.h>
#include <net/icmp.h>
#include <net/ipv6.h>

#include "arrival.h"
#include "device.h"
#include "netlink.h"
#include "outer.h"
#include "path_error.h"
#include "peer.h"
#include "sa.h"
#include "underlay.h"

/* A message that is no error of a kind that is counted. */
#define KIND_NONE U32_MAX

/* RFC 792, RFC 1812 5.2.7.1: codes of "destination unreachable". */
static const u8 unreachable_kinds[NR_ICMP_UNREACH + 1] = {
	[ICMP_NET_UNREACH] = BHSEC_EVENT_ICMP_NET,
	[ICMP_HOST_UNREACH] = BHSEC_EVENT_ICMP_HOST,
	/* nobody there has UDP's port, or takes ESP at all */
	[ICMP_PROT_UNREACH] = BHSEC_EVENT_ICMP_PORT,
	[ICMP_PORT_UNREACH] = BHSEC_EVENT_ICMP_PORT,
	[ICMP_FRAG_NEEDED] = BHSEC_EVENT_ICMP_TOO_BIG,
	[ICMP_SR_FAILED] = BHSEC_EVENT_ICMP_NET,
	[ICMP_NET_UNKNOWN] = BHSEC_EVENT_ICMP_NET,
	[ICMP_HOST_UNKNOWN] = BHSEC_EVENT_ICMP_HOST,
	[ICMP_HOST_ISOLATED] = BHSEC_EVENT_ICMP_HOST,
	[ICMP_NET_ANO] = BHSEC_EVENT_ICMP_PROHIBITED,
	[ICMP_HOST_ANO] = BHSEC_EVENT_ICMP_PROHIBITED,
	[ICMP_NET_UNR_TOS] = BHSEC_EVENT_ICMP_NET,
	[ICMP_HOST_UNR_TOS] = BHSEC_EVENT_ICMP_HOST,
	[ICMP_PKT_FILTERED] = BHSEC_EVENT_ICMP_PROHIBITED,
	[ICMP_PREC_VIOLATION] = BHSEC_EVENT_ICMP_PROHIBITED,
	[ICMP_PREC_CUTOFF] = BHSEC_EVENT_ICMP_PROHIBITED,
};

/* RFC 4443 3.1: the same of ICMPv6. */
static const u8 unreachable6_kinds[] = {
	[ICMPV6_NOROUTE] = BHSEC_EVENT_ICMP_NET,
	[ICMPV6_ADM_PROHIBITED] = BHSEC_EVENT_ICMP_PROHIBITED,
	[ICMPV6_NOT_NEIGHBOUR] = BHSEC_EVENT_ICMP_NET,
	[ICMPV6_ADDR_UNREACH] = BHSEC_EVENT_ICMP_HOST,
	[ICMPV6_PORT_UNREACH] = BHSEC_EVENT_ICMP_PORT,
	[ICMPV6_POLICY_FAIL] = BHSEC_EVENT_ICMP_PROHIBITED,
	[ICMPV6_REJECT_ROUTE] = BHSEC_EVENT_ICMP_PROHIBITED,
};

static u32 kind_of_icmp(const struct icmphdr *icmph)
{
	return icmph->type == ICMP_DEST_UNREACH &&
	       icmph->code < ARRAY_SIZE(unreachable_kinds) ?
	       unreachable_kinds[icmph->code] : KIND_NONE;
}

static u32 kind_of_icmpv6(u8 type, u8 code)
{
	if (type == ICMPV6_PKT_TOOBIG)
		return BHSEC_EVENT_ICMP_TOO_BIG;
	/* who takes no ESP at all: ICMPv6 has no code for a protocol */
	if (type == ICMPV6_PARAMPROB && code == ICMPV6_UNK_NEXTHDR)
		return BHSEC_EVENT_ICMP_PORT;
	return type == ICMPV6_DEST_UNREACH && code < ARRAY_SIZE(unreachable6_kinds) ?
	       unreachable6_kinds[code] : KIND_NONE;
}

/*
 * The SA that an error is about. Data starts at the IP header that was sent
 * back, @esp is the offset of the ESP header behind it.
 */
static struct bhsec_sa *sender_of(const struct net *net,
				  const struct sk_buff *skb, unsigned int esp)
{
	const struct ipv6hdr *ip6h = (const struct ipv6hdr *)skb->data;
	const struct iphdr *iph = (const struct iphdr *)skb->data;
	bool is_ipv6 = iph->version == 6;
	__be32 spi;

	if (skb_copy_bits(skb, esp, &spi, sizeof(spi)))
		return NULL;
	return bhsec_underlay_sender(net, spi,
				     is_ipv6 ? (void *)&ip6h->daddr :
					       (void *)&iph->daddr, is_ipv6);
}

/* The addresses of the datagram that was sent back. */
static void note_quoted(struct bhsec_arrival *quoted, const struct sk_buff *skb)
{
	const struct ipv6hdr *ip6h = (const struct ipv6hdr *)skb->data;
	const struct iphdr *iph = (const struct iphdr *)skb->data;

	quoted->is_ipv6 = iph->version == 6;
	if (quoted->is_ipv6) {
		quoted->saddr = ip6h->saddr;
		quoted->daddr = ip6h->daddr;
	} else {
		memcpy(&quoted->saddr, &iph->saddr, sizeof(iph->saddr));
		memcpy(&quoted->daddr, &iph->daddr, sizeof(iph->daddr));
	}
}

/* The network header is that of the ICMP message. */
static void count(struct bhsec_sa *sa, const struct sk_buff *skb, u32 kind,
		  unsigned int esp)
{
	struct bhsec_arrival quoted;
	struct ip_esp_hdr esph = {};
	const void *from;

	atomic64_inc(&sa->peer->path_errors[kind - BHSEC_EVENT_ICMP_PORT]);
	note_quoted(&quoted, skb);
	from = quoted.is_ipv6 ? (void *)&ipv6_hdr(skb)->saddr :
				(void *)&ip_hdr(skb)->saddr;
	/* a router may send back no more than eight bytes (RFC 792) */
	skb_copy_bits(skb, esp, &esph, sizeof(esph.spi) + sizeof(esph.seq_no));
	bhsec_event_path_error(kind, sa, ntohl(esph.seq_no), &quoted, from);
}

/**
 * bhsec_path_error_is_ours - encap_err_lookup() of our UDP sockets
 * @sk: the socket
 * @skb: data and network header are at the IP header that was sent back, the
 *	transport header is at its UDP header
 *
 * Context: RCU read lock held, softirqs off.
 * Return: 0 if a datagram of ours is meant.
 */
int bhsec_path_error_is_ours(struct sock *sk, struct sk_buff *skb)
{
	unsigned int esp = skb_transport_offset(skb) + sizeof(struct udphdr);

	return sender_of(sock_net(sk), skb, esp) ? 0 : -ENOENT;
}

/**
 * bhsec_path_error_udp - an ICMP error about a datagram of our UDP sockets
 * @net: their netns
 * @skb: data starts at the IP header that was sent back
 * @esp: offset of the ESP header that was sent back
 *
 * IPv6 has learned the path MTU by itself; IPv4 would for the class of the
 * socket, so bhsec_door_open() tells it not to.
 *
 * Context: RCU read lock held, softirqs off.
 */
void bhsec_path_error_udp(const struct net *net, struct sk_buff *skb,
			  unsigned int esp)
{
	const struct iphdr *iph = (const struct iphdr *)skb->data;
	struct bhsec_sa *sa;
	u32 kind;

	kind = iph->version == 4 ? kind_of_icmp(icmp_hdr(skb)) :
				   kind_of_icmpv6(icmp6_hdr(skb)->icmp6_type,
						  icmp6_hdr(skb)->icmp6_code);
	if (kind == KIND_NONE)
		return;
	sa = sender_of(net, skb, esp);
	if (!sa)
		return;
	count(sa, skb, kind, esp);
	if (iph->version == 4 && kind == BHSEC_EVENT_ICMP_TOO_BIG)
		bhsec_outer_learn_mtu(sa->peer, skb,
				      ntohs(icmp_hdr(skb)->un.frag.mtu));
}

/**
 * bhsec_path_error_esp4 - an ICMP error about raw ESP over IPv4
 * @skb: data starts at the IP header that was sent back
 * @info: the path MTU
 *
 * Context: RCU read lock held, softirqs off.
 * Return: 0 if a datagram of ours is meant.
 */
int bhsec_path_error_esp4(struct sk_buff *skb, u32 info)
{
	const struct iphdr *iph = (const struct iphdr *)skb->data;
	u32 kind = kind_of_icmp(icmp_hdr(skb));
	unsigned int esp = iph->ihl * 4;
	struct bhsec_sa *sa;

	sa = kind == KIND_NONE ? NULL : sender_of(dev_net(skb->dev), skb, esp);
	if (!sa)
		return -ENOENT;
	count(sa, skb, kind, esp);
	if (kind == BHSEC_EVENT_ICMP_TOO_BIG)
		bhsec_outer_learn_mtu(sa->peer, skb, info);
	return 0;
}

/**
 * bhsec_path_error_esp6 - an ICMPv6 error about raw ESP over IPv6
 * @skb: data starts at the IP header that was sent back
 * @opt: unused
 * @type: of the message
 * @code: of the message
 * @offset: of the ESP header that was sent back
 * @info: the path MTU, network byte order
 *
 * Context: RCU read lock held, softirqs off.
 * Return: 0 if a datagram of ours is meant.
 */
int bhsec_path_error_esp6(struct sk_buff *skb, struct inet6_skb_parm *opt,
			  u8 type, u8 code, int offset, __be32 info)
{
	u32 kind = kind_of_icmpv6(type, code);
	struct bhsec_sa *sa;

	sa = kind == KIND_NONE ? NULL : sender_of(dev_net(skb->dev), skb, offset);
	if (!sa)
		return -ENOENT;
	count(sa, skb, kind, offset);
	if (kind == BHSEC_EVENT_ICMP_TOO_BIG)
		bhsec_outer_learn_mtu(sa->peer, skb, ntohl(info));
	return 0;
}
