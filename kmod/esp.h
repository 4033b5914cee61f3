/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_ESP_H
#define BHSEC_ESP_H

#include <linux/skbuff.h>
#include <linux/types.h>

struct bhsec_arrival;
struct bhsec_outer;
struct bhsec_sa;
struct bhsec_segments;

/**
 * struct bhsec_inner - what the header of an inner packet says
 * @src: source address, in the packet
 * @dst: destination address, in the packet
 * @len: length in bytes; the packet may be longer
 * @tos: DSCP and ECN
 * @is_ipv6: family
 * @df: must not be fragmented
 */
struct bhsec_inner {
	const void *src;
	const void *dst;
	unsigned int len;
	u8 tos;
	bool is_ipv6;
	bool df;
};

/**
 * bhsec_scrub - what was said of a packet is no word about what is around it, or
 * inside
 * @skb: a packet that becomes a datagram, or the reverse
 *
 * Its priority, queue and hash stay.
 *
 * Context: any.
 */
static inline void bhsec_scrub(struct sk_buff *skb)
{
	skb_scrub_packet(skb, true);
	skb_init_secmark(skb);
	skb_metadata_clear(skb);
	skb_reset_redirect(skb);
	skb->encapsulation = 0;
}

unsigned int bhsec_esp_out(struct bhsec_sa *sa, struct bhsec_segments *segments,
			   const struct bhsec_inner *inner,
			   const struct bhsec_outer *outer);
bool bhsec_esp_takes(const struct sk_buff *skb, unsigned int offset,
		     const struct bhsec_arrival *arrival);
struct sk_buff *bhsec_esp_in(struct sk_buff *list,
			     const struct bhsec_arrival *arrival);

#endif
