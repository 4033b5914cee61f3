/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_XFRM_SAD_H
#define BHSEC_XFRM_SAD_H

#include <linux/types.h>

struct bhsec_arrival;
struct net;
struct sk_buff;
struct xfrm_state;

/* States or policies that a walk looks at before softirqs are on again. */
#define BHSEC_XFRM_STEP 8

bool bhsec_xfrm_is_inbound(struct net *net, const struct xfrm_state *x);
bool bhsec_xfrm_has_spi(struct net *net, __be32 spi);
struct xfrm_state *bhsec_xfrm_state_of(const struct sk_buff *skb, __be32 spi,
				       const struct bhsec_arrival *arrival);
bool bhsec_xfrm_takes(const struct sk_buff *skb, __be32 spi,
		      const struct bhsec_arrival *arrival);

#endif
