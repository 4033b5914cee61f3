/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_FLOW_H
#define BHSEC_FLOW_H

#include <linux/types.h>

struct sk_buff;

void bhsec_flow_mark(struct sk_buff *skb, bool is_ipv6);
__be16 bhsec_flow_port(const struct sk_buff *skb);

#endif
