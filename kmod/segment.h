/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_SEGMENT_H
#define BHSEC_SEGMENT_H

#include <linux/skbuff.h>
#include <linux/types.h>

struct bhsec_inner;

/* What the device takes in one piece. */
#define BHSEC_SEGMENT_FEATURES						\
	(NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN |			\
	 NETIF_F_TSO_MANGLEID | NETIF_F_GSO_UDP_L4)

/**
 * struct bhsec_segments - an inner packet that leaves as several
 * @skb: the packet
 * @transport: where its transport header begins
 * @payload: where its payload begins; 0 for a packet that stays as it is
 * @count: how many it becomes
 * @unit: bytes of all but the last, headers included
 * @last: bytes of the last
 * @done: how many were read
 * @pseudo: checksum of the pseudo header, but for the length
 * @reader: where the payload is read from
 * @data: what is left of the piece that @reader is at
 * @left: bytes of @data
 * @used: bytes that @reader handed out and that were read
 */
struct bhsec_segments {
	struct sk_buff *skb;
	unsigned int transport;
	unsigned int payload;
	unsigned int count;
	unsigned int unit;
	unsigned int last;
	unsigned int done;
	__wsum pseudo;
	struct skb_seq_state reader;
	const u8 *data;
	unsigned int left;
	unsigned int used;
};

bool bhsec_segments_begin(struct bhsec_segments *segments, struct sk_buff *skb,
			  const struct bhsec_inner *inner);
int bhsec_segments_read(struct bhsec_segments *segments, u8 *to);
void bhsec_segments_checksum(struct bhsec_segments *segments);
void bhsec_segments_end(struct bhsec_segments *segments);

/**
 * bhsec_segments_len - bytes of the segment that is read next
 * @segments: not all of them were read
 *
 * Return: its length, headers included.
 */
static inline unsigned int bhsec_segments_len(const struct bhsec_segments *segments)
{
	return segments->done + 1 < segments->count ? segments->unit :
						      segments->last;
}

/**
 * bhsec_segments_bytes - bytes of all segments
 * @segments: the segments
 *
 * Return: the sum of their lengths.
 */
static inline unsigned int bhsec_segments_bytes(const struct bhsec_segments *segments)
{
	return (segments->count - 1) * segments->unit + segments->last;
}

#endif
