// SPDX-License-Identifier: GPL-2.0
/*
 * The request that asks where a packet would go.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netdevice.h>
#include <net/ip.h>

#include "compat.h"
#include "device.h"
#include "netlink.h"
#include "netlink_room.h"
#include "peer.h"
#include "sa.h"
#include "xmit.h"

/* Behind the IP header: the ports that every transport has there. */
#define PORTS_LEN 4

/**
 * struct explained - an answer
 * @bdev: the device, locked
 * @way: what the packet finds
 * @mtu: the largest packet that goes this way; 0 if there is no route
 * @drop: the counter of the reason why it would not go, or 0
 */
struct explained {
	struct bhsec_device *bdev;
	struct bhsec_way way;
	unsigned int mtu;
	unsigned int drop;
};

static int check_addresses(struct genl_info *info)
{
	const struct nlattr *src = info->attrs[BHSEC_A_WAY_SRC];
	const struct nlattr *dst = info->attrs[BHSEC_A_WAY_DST];

	if (!src || !dst) {
		NL_SET_ERR_MSG(info->extack,
			       "a packet has a source and a destination");
		return -EINVAL;
	}
	if (nla_len(src) != 4 && nla_len(src) != 16) {
		NL_SET_ERR_MSG_ATTR(info->extack, src,
				    "an address has 4 or 16 bytes");
		return -EINVAL;
	}
	if (nla_len(dst) == nla_len(src))
		return 0;
	NL_SET_ERR_MSG_ATTR(info->extack, dst,
			    "source and destination are not of one family");
	return -EINVAL;
}

static u8 tos_of(struct genl_info *info)
{
	const struct nlattr *dscp = info->attrs[BHSEC_A_WAY_DSCP];

	return dscp ? nla_get_u8(dscp) << 2 : 0;
}

static u8 protocol_of(struct genl_info *info)
{
	const struct nlattr *protocol = info->attrs[BHSEC_A_WAY_PROTOCOL];

	return protocol ? nla_get_u8(protocol) : IPPROTO_UDP;
}

/* Nothing of what is too large is asked to be cut. */
static void put_ipv4(struct sk_buff *skb, struct genl_info *info)
{
	struct iphdr *iph = ip_hdr(skb);

	skb->protocol = htons(ETH_P_IP);
	iph->version = 4;
	iph->ihl = sizeof(*iph) / 4;
	iph->tos = tos_of(info);
	iph->tot_len = htons(skb->len);
	iph->frag_off = htons(IP_DF);
	iph->protocol = protocol_of(info);
	iph->saddr = nla_get_in_addr(info->attrs[BHSEC_A_WAY_SRC]);
	iph->daddr = nla_get_in_addr(info->attrs[BHSEC_A_WAY_DST]);
}

static void put_ipv6(struct sk_buff *skb, struct genl_info *info)
{
	struct ipv6hdr *ip6h = ipv6_hdr(skb);

	skb->protocol = htons(ETH_P_IPV6);
	ip6_flow_hdr(ip6h, tos_of(info), 0);
	ip6h->payload_len = htons(skb->len - sizeof(*ip6h));
	ip6h->nexthdr = protocol_of(info);
	ip6h->saddr = nla_get_in6_addr(info->attrs[BHSEC_A_WAY_SRC]);
	ip6h->daddr = nla_get_in6_addr(info->attrs[BHSEC_A_WAY_DST]);
}

/* The packet that is asked about; zeros but for what look-ups read. */
static struct sk_buff *make_packet(struct bhsec_device *bdev,
				   struct genl_info *info)
{
	const struct nlattr *size = info->attrs[BHSEC_A_WAY_SIZE];
	const struct nlattr *dport = info->attrs[BHSEC_A_WAY_DPORT];
	bool is_ipv6 = nla_len(info->attrs[BHSEC_A_WAY_DST]) == 16;
	unsigned int header = is_ipv6 ? sizeof(struct ipv6hdr) :
					sizeof(struct iphdr);
	unsigned int len = header + PORTS_LEN;
	struct sk_buff *skb;
	__be16 port;

	if (size)
		len = max(len, nla_get_u32(size));
	skb = alloc_skb(len, GFP_KERNEL_ACCOUNT);
	if (!skb)
		return NULL;
	skb_put_zero(skb, len);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, header);
	skb->dev = bdev->dev;
	if (is_ipv6)
		put_ipv6(skb, info);
	else
		put_ipv4(skb, info);
	if (dport) {
		port = htons(nla_get_u16(dport));
		memcpy(skb_transport_header(skb) + sizeof(port), &port,
		       sizeof(port));
	}
	return skb;
}

static int put_outer(struct sk_buff *msg, const struct explained *explained)
{
	const struct bhsec_outer *outer = &explained->way.outer;
	unsigned int len = outer->is_ipv6 ? 16 : 4;

	if (!explained->mtu)
		return 0;
	if (outer->sport &&
	    (nla_put_u16(msg, BHSEC_A_WAY_OUTER_SPORT, ntohs(outer->sport)) ||
	     nla_put_u16(msg, BHSEC_A_WAY_OUTER_DPORT, ntohs(outer->dport))))
		return -EMSGSIZE;
	return nla_put(msg, BHSEC_A_WAY_OUTER_SRC, len, &outer->saddr) ?:
	       nla_put(msg, BHSEC_A_WAY_OUTER_DST, len, &outer->daddr) ?:
	       nla_put_u8(msg, BHSEC_A_WAY_DSCP, outer->tos >> 2) ?:
	       nla_put_u32(msg, BHSEC_A_WAY_MTU, explained->mtu);
}

static int put_explained(struct sk_buff *msg, void *object, u32 lacks)
{
	const struct explained *explained = object;
	const struct net_device *dev = explained->bdev->dev;
	const struct bhsec_peer *peer = explained->way.peer;
	struct bhsec_sa *sa = explained->way.sa;

	if (nla_put_u32(msg, BHSEC_A_WAY_IFINDEX, dev->ifindex) ||
	    nla_put_string(msg, BHSEC_A_WAY_IFNAME, dev->name) ||
	    (explained->drop &&
	     nla_put_u32(msg, BHSEC_A_WAY_DROP, explained->drop)) ||
	    (peer && nla_put_string(msg, BHSEC_A_WAY_PEER, peer->name)))
		return -EMSGSIZE;
	if (sa && (nla_put_u32(msg, BHSEC_A_WAY_SPI, be32_to_cpu(sa->spi)) ||
		   nla_put_u64_64bit(msg, BHSEC_A_WAY_SEQ, bhsec_sa_seq(sa),
				     BHSEC_A_WAY_PAD)))
		return -EMSGSIZE;
	return put_outer(msg, explained);
}

static int explain(struct bhsec_device *bdev, struct genl_info *info)
{
	struct explained explained = { .bdev = bdev };
	struct sk_buff *skb = make_packet(bdev, info);

	if (!skb)
		return -ENOMEM;
	explained.drop = bhsec_xmit_explain(bdev, skb, &explained.way,
					    &explained.mtu);
	kfree_skb(skb);
	return bhsec_nl_reply(info, put_explained, &explained, 0);
}

/**
 * bhsec_nl_explain - BHSEC_CMD_EXPLAIN
 * @skb: the request
 * @info: the request, parsed
 *
 * Return: 0 or a negative error.
 */
int bhsec_nl_explain(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr **attrs = info->attrs;
	struct bhsec_device *bdev;
	int err;

	err = check_addresses(info);
	if (err)
		return err;
	bdev = bhsec_nl_device(genl_info_net(info), attrs[BHSEC_A_WAY_IFINDEX],
			       attrs[BHSEC_A_WAY_IFNAME], info->extack);
	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	err = explain(bdev, info);
	bhsec_nl_device_put(bdev);
	return err;
}
