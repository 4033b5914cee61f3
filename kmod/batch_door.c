// SPDX-License-Identifier: GPL-2.0
/*
 * The batch door: what GRO has put together for a daemon's port (rx-gro-list) is
 * taken in one piece behind the firewall. The socket would get its datagrams one
 * by one.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/skbuff.h>
#include <linux/udp.h>
#include <net/l3mdev.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/udp.h>
#include <net/xfrm.h>

#include "arrival.h"
#include "batch_door.h"
#include "compat.h"
#include "door.h"
#include "early.h"
#include "esp.h"

/*
 * Datagrams of UDP, to which the headers of the first apply. Of a VRF's no socket
 * is looked up here, and connection tracking confirms a flow behind this hook.
 */
static bool is_batch(const struct sk_buff *skb)
{
	if (!skb_is_gso(skb) ||
	    !(skb_shinfo(skb)->gso_type & SKB_GSO_FRAGLIST) ||
	    netif_is_l3_master(skb->dev))
		return false;
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	if (skb_nfct(skb) &&
	    !nf_ct_is_confirmed((const struct nf_conn *)skb_nfct(skb)))
		return false;
#endif
	return ip_hdr(skb)->version == 6 ?
	       ipv6_hdr(skb)->nexthdr == IPPROTO_UDP :
	       ip_hdr(skb)->protocol == IPPROTO_UDP;
}

static struct sock *socket_of(const struct sk_buff *skb, const struct udphdr *uh)
{
	struct net *net = dev_net(skb->dev);

	return ip_hdr(skb)->version == 6 ?
	       udp6_lib_lookup(net, &ipv6_hdr(skb)->saddr, uh->source,
			       &ipv6_hdr(skb)->daddr, uh->dest, inet6_iif(skb)) :
	       udp4_lib_lookup(net, ip_hdr(skb)->saddr, uh->source,
			       ip_hdr(skb)->daddr, uh->dest, inet_iif(skb));
}

/* Would a daemon's socket have got it, and handed it to xfrm? */
static bool is_daemons(struct sk_buff *skb, const struct udphdr *uh)
{
	struct sock *sk = socket_of(skb, uh);
	bool is;

	if (!sk)
		return false;
	is = READ_ONCE(udp_sk(sk)->encap_type) == UDP_ENCAP_ESPINUDP &&
	     (ip_hdr(skb)->version == 6 ?
	      xfrm6_policy_check(sk, XFRM_POLICY_IN, skb) :
	      xfrm4_policy_check(sk, XFRM_POLICY_IN, skb));
	sock_put(sk);
	return is;
}

/**
 * bhsec_batch_door - LOCAL_IN of a netns that has bindings
 * @priv: not used
 * @skb: what comes in
 * @state: where it is
 *
 * Context: RCU read lock held, softirqs off.
 * Return: a verdict.
 */
unsigned int bhsec_batch_door(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	unsigned int offset = skb_transport_offset(skb) + sizeof(struct udphdr);
	struct bhsec_arrival arrival;

	if (likely(!is_batch(skb)) || !pskb_may_pull(skb, offset))
		return NF_ACCEPT;
	bhsec_arrival_note(&arrival, skb, udp_hdr(skb), skb->dev->ifindex);
	arrival.xfrm_next = true;
	/* where IKE, or what another state has, is among them the socket parts them */
	if (!bhsec_esp_takes(skb, offset, &arrival) ||
	    !is_daemons(skb, udp_hdr(skb)))
		return NF_ACCEPT;
	__skb_pull(skb, offset);
	skb = bhsec_early_split(skb);
	if (skb)
		skb = bhsec_esp_in(skb, &arrival);
	/* an SA has gone since it was looked at */
	if (skb)
		bhsec_door_refuse(skb, &arrival);
	return NF_STOLEN;
}

/* Behind all others. */
static const struct nf_hook_ops hooks[] = {
	{
		.hook = bhsec_batch_door,
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_LOCAL_IN,
		.priority = NF_IP_PRI_LAST,
	},
	{
		.hook = bhsec_batch_door,
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_LOCAL_IN,
		.priority = NF_IP6_PRI_LAST,
	},
};

/**
 * bhsec_batch_door_open - a netns gets its first binding
 * @net: the netns
 *
 * Context: may sleep.
 * Return: 0 or a negative error.
 */
int bhsec_batch_door_open(struct net *net)
{
	return nf_register_net_hooks(net, hooks, ARRAY_SIZE(hooks));
}

/**
 * bhsec_batch_door_close - a netns loses its last binding
 * @net: the netns
 *
 * Context: may sleep; packets may be inside for a grace period.
 */
void bhsec_batch_door_close(struct net *net)
{
	nf_unregister_net_hooks(net, hooks, ARRAY_SIZE(hooks));
}
