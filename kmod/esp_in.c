// SPDX-License-Identifier: GPL-2.0
/*
 * From an ESP datagram to an inner packet (RFC 4303 3.4): one way in for all
 * doors, and one post() for both ways in which a cipher completes.
 */
#include <linux/bottom_half.h>
#include <linux/skbuff.h>
#include <linux/ip.h>
#include <net/inet_ecn.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "aead.h"
#include "compat.h"
#include "device.h"
#include "endpoint.h"
#include "esp.h"
#include "netlink.h"
#include "peer.h"
#include "sa.h"

/* Pad length and next header. */
#define TRAILER_MIN 2

/* Counters that are also auditable events (RFC 4303, RFC 4301 5.2). */
static const u8 event_of[BHSEC_A_STATS_MAX + 1] = {
	[BHSEC_A_STATS_AUTH] = BHSEC_EVENT_AUTH,
	[BHSEC_A_STATS_REPLAY] = BHSEC_EVENT_REPLAY,
	[BHSEC_A_STATS_MALFORMED] = BHSEC_EVENT_MALFORMED,
	[BHSEC_A_STATS_SELECTOR] = BHSEC_EVENT_SELECTOR,
	[BHSEC_A_STATS_PADDING] = BHSEC_EVENT_PADDING,
	[BHSEC_A_STATS_FRAGMENT] = BHSEC_EVENT_FRAGMENT,
	[BHSEC_A_STATS_ENCAP] = BHSEC_EVENT_ENCAP,
};

static void drop(struct bhsec_sa *sa, struct sk_buff *skb, u64 seq,
		 unsigned int counter)
{
	struct net_device *dev = sa->peer->bdev->dev;
	struct net *underlay = rcu_dereference(sa->peer->bdev->underlay);

	DEV_STATS_INC(dev, rx_dropped);
	bhsec_sa_count(sa, counter, 0);
	if (event_of[counter] && underlay)
		bhsec_event(event_of[counter], underlay, sa, sa->spi, seq, skb);
	kfree_skb(skb);
}

/* RFC 4303 3.4.3: looked up before authentication, decided after it. */
static bool precheck_replay(struct bhsec_sa *sa, u32 low, u64 *seq)
{
	bool fresh;

	spin_lock_bh(&sa->replay_lock);
	*seq = sa->esn ? bhsec_replay_extend(&sa->replay, low) : low;
	fresh = bhsec_replay_check(&sa->replay, *seq);
	spin_unlock_bh(&sa->replay_lock);
	return fresh;
}

static bool update_replay(struct bhsec_sa *sa, u64 seq, bool *raised)
{
	bool fresh;

	spin_lock_bh(&sa->replay_lock);
	*raised = seq > sa->replay.top;
	fresh = bhsec_replay_update(&sa->replay, seq);
	spin_unlock_bh(&sa->replay_lock);
	return fresh;
}

/*
 * Make the packet's bytes ours alone before they are written over: a clone, a
 * capture or the page cache may hold them. Pages say nothing of who else does:
 * those of a segment are its aggregate's, whose clone may wait in a capture.
 * Returns scatterlist entries.
 */
static int own_data(struct sk_buff *skb)
{
	struct sk_buff *trailer;

	if (!skb_cloned(skb) && !skb_is_nonlinear(skb))
		return 1;
	return skb_cow_data(skb, 0, &trailer);
}

/*
 * RFC 4303 3.4.4: check the padding and cut off all that is not payload.
 * Returns 0 and the next header, or a counter.
 */
static unsigned int strip_esp(struct sk_buff *skb, u8 *next_header)
{
	unsigned int payload = skb->len - BHSEC_ESP_HEAD - BHSEC_ICV_LEN;
	u8 tail[TRAILER_MIN], padding[255];
	unsigned int pad, i;

	if (skb_copy_bits(skb, skb->len - BHSEC_ICV_LEN - TRAILER_MIN, tail,
			  sizeof(tail)))
		return BHSEC_A_STATS_MALFORMED;
	pad = tail[0];
	*next_header = tail[1];
	if (pad + TRAILER_MIN > payload)
		return BHSEC_A_STATS_PADDING;
	if (skb_copy_bits(skb, skb->len - BHSEC_ICV_LEN - TRAILER_MIN - pad,
			  padding, pad))
		return BHSEC_A_STATS_MALFORMED;
	for (i = 0; i < pad; i++)
		if (padding[i] != i + 1)
			return BHSEC_A_STATS_PADDING;
	if (pskb_trim(skb, skb->len - BHSEC_ICV_LEN - TRAILER_MIN - pad))
		return BHSEC_A_STATS_NOMEM;
	__skb_pull(skb, BHSEC_ESP_HEAD);
	return 0;
}

/*
 * The inner header, and the packet cut to the length it says: what lies behind
 * it is traffic flow confidentiality padding (RFC 4303 2.7).
 */
static bool parse_inner(struct sk_buff *skb, u8 next_header,
			struct bhsec_inner *inner)
{
	const struct ipv6hdr *ip6h;
	const struct iphdr *iph;

	if (next_header == IPPROTO_IPIP) {
		if (!pskb_may_pull(skb, sizeof(*iph)))
			return false;
		iph = (const struct iphdr *)skb->data;
		if (iph->version != 4 || iph->ihl < 5 ||
		    !pskb_may_pull(skb, iph->ihl * 4))
			return false;
		iph = (const struct iphdr *)skb->data;
		inner->len = ntohs(iph->tot_len);
		if (inner->len < iph->ihl * 4 || ip_fast_csum(iph, iph->ihl))
			return false;
		inner->is_ipv6 = false;
	} else if (next_header == IPPROTO_IPV6) {
		if (!pskb_may_pull(skb, sizeof(*ip6h)))
			return false;
		ip6h = (const struct ipv6hdr *)skb->data;
		if (ip6h->version != 6)
			return false;
		inner->len = sizeof(*ip6h) + ntohs(ip6h->payload_len);
		inner->is_ipv6 = true;
	} else {
		return false;
	}
	return inner->len <= skb->len && !pskb_trim(skb, inner->len);
}

static void read_header(const struct sk_buff *skb,
			struct bhsec_inner *inner)
{
	if (inner->is_ipv6) {
		inner->tos = ipv6_get_dsfield((const struct ipv6hdr *)skb->data);
		inner->src = &((const struct ipv6hdr *)skb->data)->saddr;
		inner->dst = &((const struct ipv6hdr *)skb->data)->daddr;
	} else {
		inner->tos = ((const struct iphdr *)skb->data)->tos;
		inner->src = &((const struct iphdr *)skb->data)->saddr;
		inner->dst = &((const struct iphdr *)skb->data)->daddr;
	}
}

static u8 tos_of_outer(const struct sk_buff *skb)
{
	return ip_hdr(skb)->version == 6 ? ipv6_get_dsfield(ipv6_hdr(skb)) :
					   ip_hdr(skb)->tos;
}

/* RFC 4301 5.2: the longest-prefix owner of the source must be this peer. */
static bool selectors_match(const struct bhsec_peer *peer,
			    const struct bhsec_inner *inner)
{
	return bhsec_selector_lookup(&peer->bdev->selectors, inner->src,
				     inner->is_ipv6) == peer &&
	       bhsec_peer_is_local(peer, inner->dst, inner->is_ipv6);
}

/* An authentic packet: what is in it decides. Returns 0 or a counter. */
static unsigned int open_payload(struct bhsec_sa *sa, struct sk_buff *skb,
				 struct bhsec_inner *inner)
{
	unsigned int counter;
	u8 next_header;

	counter = strip_esp(skb, &next_header);
	if (counter)
		return counter;
	if (next_header == IPPROTO_NONE)
		return BHSEC_A_STATS_DUMMY;
	if (!parse_inner(skb, next_header, inner))
		return BHSEC_A_STATS_MALFORMED;
	read_header(skb, inner);
	if (!selectors_match(sa->peer, inner))
		return BHSEC_A_STATS_SELECTOR;
	return 0;
}

/* RFC 6040 4.2: false where congestion was marked on what cannot carry it. */
static bool merge_ecn(struct sk_buff *skb, const struct bhsec_inner *inner,
		      u8 tos)
{
	int outer = skb_network_offset(skb);

	skb_reset_network_header(skb);
	skb->protocol = inner->is_ipv6 ? htons(ETH_P_IPV6) : htons(ETH_P_IP);
	if (INET_ECN_decapsulate(skb, tos, inner->tos) <= 1)
		return true;
	/* the event names the outer addresses */
	skb_set_network_header(skb, outer);
	return false;
}

/* Everything after the cipher, for both ways in which it completes. */
static void receive(struct bhsec_sa *sa, struct sk_buff *skb, u64 seq, int err)
{
	struct bhsec_inner inner = {};
	unsigned int counter;
	bool raised;
	u8 tos;

	if (unlikely(err)) {
		drop(sa, skb, seq, err == -EBADMSG ? BHSEC_A_STATS_AUTH :
						     BHSEC_A_STATS_CRYPTO);
		return;
	}
	if (!update_replay(sa, seq, &raised)) {
		drop(sa, skb, seq, BHSEC_A_STATS_REPLAY);
		return;
	}
	if (raised)
		bhsec_endpoint_learn(sa, skb, seq);
	tos = tos_of_outer(skb);
	counter = open_payload(sa, skb, &inner);
	if (counter) {
		drop(sa, skb, seq, counter);
		return;
	}
	if (!merge_ecn(skb, &inner, tos)) {
		drop(sa, skb, seq, BHSEC_A_STATS_MALFORMED);
		return;
	}
	if (!bhsec_sa_account(sa, inner.len)) {
		drop(sa, skb, seq, BHSEC_A_STATS_EXPIRED);
		return;
	}
	bhsec_device_deliver(sa, skb, inner.is_ipv6);
}

static void post(struct bhsec_aead_op *op, int err)
{
	struct bhsec_sa *sa = op->sa;
	struct sk_buff *skb = op->skb;
	u64 seq = op->seq;

	kfree(op);
	local_bh_disable();
	rcu_read_lock();
	receive(sa, skb, seq, err);
	bhsec_sa_leave(sa);
	rcu_read_unlock();
	local_bh_enable();
}

static void opened(bhsec_crypto_arg *arg, int err)
{
	/* a request that had waited in a queue now runs: not its end */
	if (err != -EINPROGRESS)
		post(bhsec_crypto_data(arg), err);
}

/* What a datagram that is not looked into says of itself, 0 if nothing. */
static u64 claimed_seq(const struct sk_buff *skb)
{
	struct ip_esp_hdr esph = {};

	skb_copy_bits(skb, 0, &esph, sizeof(esph));
	return ntohl(esph.seq_no);
}

/* Returns 0 if the operation went on its way, or a counter. */
static unsigned int open_datagram(struct bhsec_sa *sa, struct sk_buff *skb,
				  u64 seq)
{
	struct bhsec_aead_op *op;
	int pieces, err;

	pieces = own_data(skb);
	if (pieces < 0)
		return BHSEC_A_STATS_NOMEM;
	op = bhsec_aead_op_alloc(sa->tfm, pieces);
	if (!op)
		return BHSEC_A_STATS_NOMEM;
	op->sa = sa;
	op->skb = skb;
	op->seq = seq;
	op->encrypt = false;
	skb->ip_summed = CHECKSUM_NONE;
	skb_copy_bits(skb, 8, op->iv, BHSEC_IV_LEN);
	err = bhsec_aead_op_map(op, pieces, sa->spi, sa->esn, 0,
				skb->len - BHSEC_ESP_HEAD);
	if (!err) {
		aead_request_set_callback(&op->req, 0, opened, op);
		err = crypto_aead_decrypt(&op->req);
	}
	if (err != -EINPROGRESS)
		post(op, err);
	return 0;
}

/**
 * bhsec_esp_in - what every door does with an ESP datagram that is ours
 * @sa: inbound SA of its SPI
 * @skb: data starts at the ESP header, the network header at the outer IP
 *	header; consumed
 * @encap: BHSEC_ENCAP_*, how it came
 *
 * Context: RCU read lock held, softirqs off.
 */
void bhsec_esp_in(struct bhsec_sa *sa, struct sk_buff *skb, u32 encap)
{
	const struct ip_esp_hdr *esph;
	unsigned int counter;
	u64 seq = 0;

	counter = BHSEC_A_STATS_DOWN;
	if (!netif_running(sa->peer->bdev->dev))
		goto drop;
	counter = BHSEC_A_STATS_ENCAP;
	if (encap != sa->peer->encap)
		goto drop;
	counter = BHSEC_A_STATS_MALFORMED;
	if (skb->len < BHSEC_ESP_HEAD + TRAILER_MIN + BHSEC_ICV_LEN ||
	    !pskb_may_pull(skb, BHSEC_ESP_HEAD))
		goto drop;
	esph = (const struct ip_esp_hdr *)skb->data;
	counter = bhsec_sa_enter(sa);
	if (counter)
		goto drop;
	counter = BHSEC_A_STATS_REPLAY;
	if (precheck_replay(sa, ntohl(esph->seq_no), &seq))
		counter = open_datagram(sa, skb, seq);
	if (!counter)
		return;
	bhsec_sa_leave(sa);
drop:
	drop(sa, skb, seq ?: claimed_seq(skb), counter);
}
