/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_OWNER_H
#define BHSEC_OWNER_H

#include "device.h"
#include "esp.h"
#include "peer.h"
#include "xfrm_ports.h"

/**
 * bhsec_owner_find - the peer that an inner packet is to go to, or to come from
 * @bdev: the device
 * @skb: the packet; data starts at its IP header, which is linear
 * @inner: what that says
 * @outbound: direction
 * @found: the result, also where its local selectors do not have the other end;
 *	NULL if there is none
 *
 * RFC 4301 5.1 and 5.2: the policy of the best priority that names the packet's
 * protocol and ports, or else the longest prefix of the remote address.
 *
 * Context: RCU read lock held.
 * Return: 0, or the counter of the reason why no packet goes that way.
 */
static inline unsigned int bhsec_owner_find(const struct bhsec_device *bdev,
					    const struct sk_buff *skb,
					    const struct bhsec_inner *inner,
					    bool outbound,
					    struct bhsec_peer **found)
{
	const void *remote = outbound ? inner->dst : inner->src;
	const void *local = outbound ? inner->src : inner->dst;
	struct bhsec_peer *owner, *chosen;

	owner = bhsec_selector_lookup(&bdev->selectors, remote, inner->is_ipv6);
	chosen = bhsec_ports_peer(&bdev->ports, owner, skb, inner, outbound);
	*found = chosen ?: owner;
	if (chosen)
		return 0;
	if (!owner)
		return BHSEC_A_STATS_NO_PEER;
	return bhsec_peer_is_local(owner, local, inner->is_ipv6) ?
	       0 : BHSEC_A_STATS_SELECTOR;
}

#endif
