// SPDX-License-Identifier: GPL-2.0
/*
 * From an inner packet to an ESP datagram (RFC 4303 3.3).
 *
 * The datagram is built in a buffer of its own: the inner packet may be shared
 * with its socket, a capture or the page cache, and stays as it is.
 */
#include <linux/bottom_half.h>
#include <linux/skbuff.h>
#include <net/checksum.h>
#include <net/dst.h>
#include <linux/ip.h>

#include "aead.h"
#include "compat.h"
#include "device.h"
#include "esp.h"
#include "keepalive.h"
#include "outer.h"
#include "peer.h"
#include "sa.h"

static void drop(struct bhsec_sa *sa, struct sk_buff *skb, unsigned int counter)
{
	DEV_STATS_INC(sa->peer->bdev->dev, tx_dropped);
	bhsec_sa_count(sa, counter, 0);
	kfree_skb(skb);
}

/*
 * The sender's socket stays charged until the datagram has left, or TCP would
 * lose its back-pressure. ip6_output() looks into the owner as into an IP
 * socket, so there is no other.
 */
static void take_owner(struct sk_buff *skb, const struct sk_buff *inner)
{
	struct sock *sk = inner->sk;

	if (sk && (sk->sk_family == AF_INET || sk->sk_family == AF_INET6))
		skb_set_owner_w(skb, sk);
}

/* Copies a packet and finishes a checksum that was left to the device. */
static int copy_inner(const struct sk_buff *skb, u8 *to, unsigned int len)
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

/* RFC 4303 2.4: 1, 2, 3, then pad length and next header, to four bytes. */
static void put_trailer(u8 *tail, unsigned int pad, u8 next_header)
{
	unsigned int i;

	for (i = 0; i < pad; i++)
		tail[i] = i + 1;
	tail[pad] = pad;
	tail[pad + 1] = next_header;
}

static void put_header(struct bhsec_sa *sa, struct bhsec_aead_op *op,
		       struct sk_buff *skb)
{
	struct ip_esp_hdr *esph = skb_push(skb, BHSEC_ESP_HEAD);
	__be64 iv = cpu_to_be64(op->seq ^ sa->iv_mask);

	esph->spi = sa->spi;
	esph->seq_no = htonl(lower_32_bits(op->seq));
	memcpy(esph + 1, &iv, sizeof(iv));
	memcpy(op->iv, &iv, sizeof(iv));
}

/* The plaintext of ESP, with room for all headers before it and the ICV behind. */
static struct sk_buff *build(const struct sk_buff *inner_skb,
			     const struct bhsec_inner *inner,
			     const struct bhsec_outer *outer,
			     const struct dst_entry *dst)
{
	unsigned int pad = -(inner->len + 2) & 3;
	unsigned int headroom = bhsec_outer_headroom(outer, dst) + BHSEC_ESP_HEAD;
	struct sk_buff *skb;

	skb = alloc_skb(headroom + inner->len + pad + 2 + BHSEC_ICV_LEN,
			GFP_ATOMIC);
	if (!skb)
		return NULL;
	skb_reserve(skb, headroom);
	if (copy_inner(inner_skb, __skb_put(skb, inner->len), inner->len)) {
		kfree_skb(skb);
		return NULL;
	}
	put_trailer(__skb_put(skb, pad + 2), pad,
		    inner->is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IPIP);
	skb->priority = inner_skb->priority;
	skb_copy_queue_mapping(skb, inner_skb);
	*bhsec_outer(skb) = *outer;
	return skb;
}

/* Everything after the cipher, for both ways in which it completes. */
static void post(struct bhsec_aead_op *op, int err)
{
	struct bhsec_sa *sa = op->sa;
	struct net_device *dev = sa->peer->bdev->dev;
	unsigned int len = op->inner_len;
	struct sk_buff *skb = op->skb;
	struct net *underlay;

	kfree(op);
	local_bh_disable();
	rcu_read_lock();
	underlay = rcu_dereference(sa->peer->bdev->underlay);
	if (unlikely(err)) {
		drop(sa, skb, BHSEC_A_STATS_CRYPTO);
	} else if (unlikely(!underlay)) {
		drop(sa, skb, BHSEC_A_STATS_NO_ROUTE);
	} else {
		bhsec_sa_count(sa, BHSEC_A_STATS_TX_PACKETS, len);
		dev_sw_netstats_tx_add(dev, 1, len);
		bhsec_keepalive_sent(sa->peer);
		bhsec_outer_send(underlay, skb);
	}
	bhsec_sa_leave(sa);
	rcu_read_unlock();
	local_bh_enable();
}

static void sealed(bhsec_crypto_arg *arg, int err)
{
	/* a request that had waited in a queue now runs: not its end */
	if (err != -EINPROGRESS)
		post(bhsec_crypto_data(arg), err);
}

static void seal(struct bhsec_aead_op *op)
{
	struct sk_buff *skb = op->skb;
	unsigned int len = skb->len - BHSEC_ESP_HEAD - BHSEC_ICV_LEN;
	int err;

	err = bhsec_aead_op_map(op, 1, op->sa->spi, op->sa->esn, 0, len);
	if (!err) {
		aead_request_set_callback(&op->req, 0, sealed, op);
		err = crypto_aead_encrypt(&op->req);
	}
	if (err != -EINPROGRESS)
		post(op, err);
}

/**
 * bhsec_esp_out - seal an inner packet and send it
 * @sa: outbound SA; the caller has entered it
 * @skb: inner packet; a checksum that is left to us lies in it
 * @inner: what its header says
 * @outer: header of the datagram
 * @dst: route of the datagram; the reference is consumed
 *
 * Context: RCU read lock held.
 * Return: 0 if the packet was consumed and the SA is or will be left, or the
 * counter that says why not.
 */
unsigned int bhsec_esp_out(struct bhsec_sa *sa, struct sk_buff *skb,
			   const struct bhsec_inner *inner,
			   const struct bhsec_outer *outer,
			   struct dst_entry *dst)
{
	unsigned int counter = BHSEC_A_STATS_NOMEM;
	struct bhsec_aead_op *op;
	struct sk_buff *esp;

	esp = build(skb, inner, outer, dst);
	if (!esp) {
		dst_release(dst);
		return counter;
	}
	skb_dst_set(esp, dst);
	op = bhsec_aead_op_alloc(sa->tfm, 1);
	if (!op)
		goto free_esp;
	/* nothing that can fail comes between a number and its packet */
	counter = bhsec_sa_reserve(sa, inner->len, &op->seq);
	if (counter)
		goto free_esp;
	op->sa = sa;
	op->skb = esp;
	op->inner_len = inner->len;
	op->encrypt = true;
	take_owner(esp, skb);
	consume_skb(skb);
	put_header(sa, op, esp);
	__skb_put(esp, BHSEC_ICV_LEN);
	seal(op);
	return 0;

free_esp:
	kfree(op);
	kfree_skb(esp);
	return counter;
}
