/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_XMIT_H
#define BHSEC_XMIT_H

#include <linux/netdevice.h>

#include "outer.h"

struct bhsec_device;
struct bhsec_sa;

/**
 * struct bhsec_way - what a packet finds on its way out
 * @peer: whose address its destination is, or NULL
 * @sa: that carries its class, or NULL
 * @outer: how it goes on; its route is NULL where there is none
 */
struct bhsec_way {
	struct bhsec_peer *peer;
	struct bhsec_sa *sa;
	struct bhsec_outer outer;
};

unsigned int bhsec_xmit_explain(struct bhsec_device *bdev, struct sk_buff *skb,
				struct bhsec_way *way, unsigned int *mtu);
netdev_tx_t bhsec_xmit(struct sk_buff *skb, struct net_device *dev);

#endif
