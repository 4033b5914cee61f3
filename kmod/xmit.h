/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_XMIT_H
#define BHSEC_XMIT_H

#include <linux/netdevice.h>

netdev_tx_t bhsec_xmit(struct sk_buff *skb, struct net_device *dev);

#endif
