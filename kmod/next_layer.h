/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_NEXT_LAYER_H
#define BHSEC_NEXT_LAYER_H

#include <linux/types.h>

struct sk_buff;

/**
 * struct bhsec_next_layer - what a packet has behind its IP header
 * @protocol: Next Layer Protocol of RFC 4301 4.4.1.1
 * @sport: source port, or the type of an ICMP or Mobility Header message;
 *	network byte order; 0 where there is none, as in fragments
 * @dport: destination port, or the code of an ICMP message; likewise
 */
struct bhsec_next_layer {
	u8 protocol;
	__be16 sport;
	__be16 dport;
};

void bhsec_next_layer_read(const struct sk_buff *skb, bool is_ipv6,
			   struct bhsec_next_layer *layer);

#endif
