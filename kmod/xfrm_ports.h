/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_XFRM_PORTS_H
#define BHSEC_XFRM_PORTS_H

#include <linux/compiler.h>

#include "selector.h"

struct bhsec_inner;
struct bhsec_peer;
struct sk_buff;

/**
 * struct bhsec_ports - policies of a device that name a protocol or ports
 * @count: how many there are
 * @policies: remote prefix -> struct bhsec_port_policies; [0] inbound, [1]
 *	outbound
 *
 * Readers hold the RCU read lock, writers the lock of the device.
 */
struct bhsec_ports {
	unsigned int count;
	struct bhsec_selectors policies[2];
};

struct bhsec_peer *bhsec_ports_choose(const struct bhsec_ports *ports,
				      const struct bhsec_peer *owner,
				      const struct sk_buff *skb,
				      const struct bhsec_inner *inner,
				      bool outbound);

/**
 * bhsec_ports_peer - whose a packet is by its protocol and ports
 * @ports: of the device
 * @owner: whose it is by its addresses, or NULL
 * @skb: inner packet; data starts at its IP header, which is linear
 * @inner: what that says
 * @outbound: direction
 *
 * Context: RCU read lock held.
 * Return: the peer whose policy decides; NULL if @owner stays.
 */
static inline struct bhsec_peer *
bhsec_ports_peer(const struct bhsec_ports *ports, const struct bhsec_peer *owner,
		 const struct sk_buff *skb, const struct bhsec_inner *inner,
		 bool outbound)
{
	if (likely(!READ_ONCE(ports->count)))
		return NULL;
	return bhsec_ports_choose(ports, owner, skb, inner, outbound);
}

#endif
