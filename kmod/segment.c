// SPDX-License-Identifier: GPL-2.0
/*
 * An inner packet read as the packets that it stands for: TCP and UDP come from
 * the stack up to 64 KB long and leave in ESP at the size that their sender
 * chose. Headers and checksums are made for each while it is copied.
 *
 * net/tso.c is for devices: it leaves checksums to them, and knows no lists of
 * fragments, no fixed IP identification and no CWR.
 */
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/checksum.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/tcp.h>

#include "compat.h"
#include "esp.h"
#include "segment.h"

static __wsum pseudo_header(const struct bhsec_inner *inner, u8 protocol)
{
	__be32 saddr, daddr;

	if (inner->is_ipv6)
		return csum_unfold(~csum_ipv6_magic(inner->src, inner->dst, 0,
						    protocol, 0));
	memcpy(&saddr, inner->src, sizeof(saddr));
	memcpy(&daddr, inner->dst, sizeof(daddr));
	return csum_tcpudp_nofold(saddr, daddr, 0, protocol, 0);
}

/* Bytes of the transport header, 0 where it is not all there. */
static unsigned int transport_len(const struct sk_buff *skb,
				  unsigned int transport)
{
	const struct tcphdr *th;
	struct tcphdr copy;

	if (skb_shinfo(skb)->gso_type & SKB_GSO_UDP_L4)
		return sizeof(struct udphdr);
	th = skb_header_pointer(skb, transport, sizeof(copy), &copy);
	return th && th->doff * 4 >= sizeof(*th) ? th->doff * 4 : 0;
}

static bool begin_many(struct bhsec_segments *segments, struct sk_buff *skb,
		       const struct bhsec_inner *inner)
{
	bool udp = skb_shinfo(skb)->gso_type & SKB_GSO_UDP_L4;
	unsigned int size = skb_shinfo(skb)->gso_size;
	unsigned int header, payload;

	if (skb->ip_summed != CHECKSUM_PARTIAL || skb->len != inner->len)
		return false;
	/* behind extension headers too, which the stack's offset is not */
	segments->transport = skb_checksum_start_offset(skb);
	header = transport_len(skb, segments->transport);
	segments->payload = segments->transport + header;
	if (!header || skb->len <= segments->payload)
		return false;
	payload = skb->len - segments->payload;
	segments->count = DIV_ROUND_UP(payload, size);
	segments->unit = segments->payload + size;
	segments->last = skb->len - (segments->count - 1) * size;
	segments->pseudo = pseudo_header(inner, udp ? IPPROTO_UDP : IPPROTO_TCP);
	/* what bhsec_segments_end() looks at where nothing was read */
	segments->reader.frag_data = NULL;
	return true;
}

/**
 * bhsec_segments_begin - see what packets an inner packet stands for
 * @segments: is filled
 * @skb: inner packet of at least @inner->len bytes
 * @inner: what its header says
 *
 * Context: any.
 * Return: false if the packet is not what it says.
 */
bool bhsec_segments_begin(struct bhsec_segments *segments, struct sk_buff *skb,
			  const struct bhsec_inner *inner)
{
	segments->skb = skb;
	segments->done = 0;
	if (skb_is_gso(skb))
		return begin_many(segments, skb, inner);
	segments->payload = 0;
	segments->count = 1;
	segments->unit = inner->len;
	segments->last = inner->len;
	return true;
}

/**
 * bhsec_segments_end - stop reading
 * @segments: read or not
 *
 * Context: any.
 */
void bhsec_segments_end(struct bhsec_segments *segments)
{
	if (segments->payload)
		skb_abort_seq_read(&segments->reader);
}

/**
 * bhsec_segments_checksum - finish a checksum that was left to the device
 * @segments: of a packet that stays as it is, linear and nobody else's
 *
 * Context: any.
 */
void bhsec_segments_checksum(struct bhsec_segments *segments)
{
	struct sk_buff *skb = segments->skb;
	unsigned int start;
	__wsum sum;

	if (skb->ip_summed != CHECKSUM_PARTIAL)
		return;
	start = skb_checksum_start_offset(skb);
	sum = csum_partial(skb->data + start, segments->last - start, 0);
	/* zero means no checksum in UDP */
	*(__sum16 *)(skb->data + start + skb->csum_offset) = csum_fold(sum) ?:
							     CSUM_MANGLED_0;
	skb->ip_summed = CHECKSUM_NONE;
}

/* A lone packet, and the checksum that was left to the device. */
static int read_whole(const struct sk_buff *skb, u8 *to, unsigned int len)
{
	unsigned int start;
	__wsum sum;

	if (skb->ip_summed != CHECKSUM_PARTIAL)
		return skb_copy_bits(skb, 0, to, len);
	start = skb_checksum_start_offset(skb);
	if (skb_copy_bits(skb, 0, to, start))
		return -EINVAL;
	sum = skb_copy_and_csum_bits(skb, start, to + start, len - start);
	/* zero means no checksum in UDP */
	*(__sum16 *)(to + start + skb->csum_offset) = csum_fold(sum) ?:
						      CSUM_MANGLED_0;
	return 0;
}

static void begin_reading(struct bhsec_segments *segments)
{
	segments->left = 0;
	segments->used = 0;
	skb_prepare_seq_read(segments->skb, segments->payload,
			     segments->skb->len, &segments->reader);
}

/* Copies payload and sums it up on the way. */
static int read_payload(struct bhsec_segments *segments, u8 *to,
			unsigned int len, __wsum *sum)
{
	unsigned int part, done;

	*sum = 0;
	for (done = 0; done < len; done += part) {
		if (!segments->left) {
			segments->left = skb_seq_read(segments->used,
						      &segments->data,
						      &segments->reader);
			if (!segments->left)
				return -EINVAL;
			segments->used += segments->left;
		}
		part = min(len - done, segments->left);
		*sum = csum_block_add(*sum,
				      csum_partial_copy_nocheck(segments->data,
								to + done, part),
				      done);
		segments->data += part;
		segments->left -= part;
	}
	return 0;
}

static void put_ip(const struct bhsec_segments *segments, u8 *ip,
		   unsigned int len)
{
	struct iphdr *iph = (struct iphdr *)ip;

	if (iph->version == 6) {
		((struct ipv6hdr *)ip)->payload_len =
			htons(len - sizeof(struct ipv6hdr));
		return;
	}
	iph->tot_len = htons(len);
	if (!(skb_shinfo(segments->skb)->gso_type & SKB_GSO_TCP_FIXEDID))
		iph->id = htons(ntohs(iph->id) + segments->done);
	ip_send_check(iph);
}

/* RFC 3168 6.1.2: the sender says once that it has reduced its window. */
static void put_tcp(const struct bhsec_segments *segments, struct tcphdr *th)
{
	th->seq = htonl(ntohl(th->seq) + segments->done *
			skb_shinfo(segments->skb)->gso_size);
	if (segments->done)
		th->cwr = 0;
	if (segments->done + 1 < segments->count) {
		th->fin = 0;
		th->psh = 0;
	}
}

/* @sum: of the payload */
static void put_transport(const struct bhsec_segments *segments, u8 *header,
			  unsigned int len, __wsum sum)
{
	bool udp = skb_shinfo(segments->skb)->gso_type & SKB_GSO_UDP_L4;
	struct udphdr *uh = (struct udphdr *)header;
	struct tcphdr *th = (struct tcphdr *)header;
	unsigned int header_len = segments->payload - segments->transport;

	sum = csum_add(csum_add(sum, segments->pseudo),
		       (__force __wsum)htonl(len));
	if (udp) {
		uh->len = htons(len);
		uh->check = 0;
		/* zero means no checksum */
		uh->check = csum_fold(csum_partial(uh, header_len, sum)) ?:
			    CSUM_MANGLED_0;
		return;
	}
	put_tcp(segments, th);
	th->check = 0;
	th->check = csum_fold(csum_partial(th, header_len, sum));
}

/**
 * bhsec_segments_read - the next segment, with headers and checksums of its own
 * @segments: the segments
 * @to: room for bhsec_segments_len() bytes
 *
 * Context: any.
 * Return: 0 or a negative error.
 */
int bhsec_segments_read(struct bhsec_segments *segments, u8 *to)
{
	unsigned int len = bhsec_segments_len(segments);
	__wsum sum;

	if (!segments->payload)
		return read_whole(segments->skb, to, len);
	if (!segments->done)
		begin_reading(segments);
	if (skb_copy_bits(segments->skb, 0, to, segments->payload) ||
	    read_payload(segments, to + segments->payload,
			 len - segments->payload, &sum))
		return -EINVAL;
	put_ip(segments, to, len);
	put_transport(segments, to + segments->transport,
		      len - segments->transport, sum);
	segments->done++;
	return 0;
}
