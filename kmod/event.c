// SPDX-License-Identifier: GPL-2.0
/*
 * Events out: RFC 4303's auditable events, and the ends of an SA's life.
 */
#include <linux/jiffies.h>
#include <linux/netdevice.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "compat.h"
#include "device.h"
#include "netlink.h"
#include "netlink_room.h"
#include "sa.h"
#include "underlay.h"

/* Anybody can send bad packets; an operator needs to see some of them. */
#define EVENTS_PER_SECOND 20

/*
 * May an event be sent now? @suppressed gets the number of those that were
 * held back since the last one.
 */
static bool within_limit(struct bhsec_event_limit *limit, u32 *suppressed)
{
	bool within;

	spin_lock_bh(&limit->lock);
	if (!limit->second || time_after(jiffies, limit->second + HZ)) {
		limit->second = jiffies ?: 1;
		limit->sent = 0;
	}
	within = limit->sent < EVENTS_PER_SECOND;
	if (within) {
		limit->sent++;
		*suppressed = limit->suppressed;
		limit->suppressed = 0;
	} else {
		limit->suppressed++;
	}
	spin_unlock_bh(&limit->lock);
	return within;
}

static int put_sa(struct sk_buff *msg, const struct bhsec_sa *sa)
{
	const struct net_device *dev = sa->peer->bdev->dev;

	if (nla_put_u32(msg, BHSEC_A_EVENT_IFINDEX, dev->ifindex) ||
	    nla_put_string(msg, BHSEC_A_EVENT_IFNAME, dev->name) ||
	    nla_put_string(msg, BHSEC_A_EVENT_PEER, sa->peer->name) ||
	    nla_put_u32(msg, BHSEC_A_EVENT_DIRECTION,
			sa->outbound ? BHSEC_DIRECTION_OUT : BHSEC_DIRECTION_IN))
		return -EMSGSIZE;
	return 0;
}

static int put_addresses(struct sk_buff *msg, const struct sk_buff *outer)
{
	if (ip_hdr(outer)->version == 4)
		return nla_put_in_addr(msg, BHSEC_A_EVENT_SRC, ip_hdr(outer)->saddr) ?:
		       nla_put_in_addr(msg, BHSEC_A_EVENT_DST, ip_hdr(outer)->daddr);
	return nla_put_in6_addr(msg, BHSEC_A_EVENT_SRC, &ipv6_hdr(outer)->saddr) ?:
	       nla_put_in6_addr(msg, BHSEC_A_EVENT_DST, &ipv6_hdr(outer)->daddr);
}

/**
 * bhsec_event - tell userspace
 * @event: BHSEC_EVENT_*
 * @underlay: netns of the datagram
 * @sa: whose event it is, NULL if nobody's
 * @spi: network byte order
 * @seq: sequence number, as far as it is known
 * @outer: datagram whose network header is the outer IP header, or NULL
 *
 * It goes to the netns of the device, or to the underlay's if there is none.
 *
 * Context: any but hard interrupts; RCU read lock held.
 */
void bhsec_event(u32 event, struct net *underlay, struct bhsec_sa *sa,
		 __be32 spi, u64 seq, const struct sk_buff *outer)
{
	struct net *net = sa ? dev_net(sa->peer->bdev->dev) : underlay;
	u32 suppressed = 0;
	struct sk_buff *msg;
	void *header;

	if (!genl_has_listeners(&bhsec_nl_family, net, 0))
		return;
	if (event < BHSEC_EVENT_LIMITED &&
	    !within_limit(&bhsec_net(underlay)->limits[event], &suppressed))
		return;
	msg = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_ATOMIC);
	if (!msg)
		return;
	header = genlmsg_put(msg, 0, 0, &bhsec_nl_family, 0, BHSEC_CMD_EVENT);
	if (!header || nla_put_u32(msg, BHSEC_A_EVENT_EVENT, event) ||
	    (sa && put_sa(msg, sa)) ||
	    nla_put_u32(msg, BHSEC_A_EVENT_SPI, be32_to_cpu(spi)) ||
	    nla_put_u64_64bit(msg, BHSEC_A_EVENT_SEQ, seq, BHSEC_A_EVENT_PAD) ||
	    (outer && put_addresses(msg, outer)) ||
	    nla_put_u32(msg, BHSEC_A_EVENT_SUPPRESSED, suppressed)) {
		nlmsg_free(msg);
		return;
	}
	genlmsg_end(msg, header);
	genlmsg_multicast_netns(&bhsec_nl_family, net, msg, 0, 0, GFP_ATOMIC);
}
