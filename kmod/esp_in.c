// SPDX-License-Identifier: GPL-2.0
/*
 * From ESP datagrams to inner packets (RFC 4303 3.4): one way in for all doors,
 * of as many datagrams as a door has, and one post() for both ways in which a
 * cipher completes.
 */
#include <linux/bottom_half.h>
#include <linux/skbuff.h>
#include <linux/ip.h>
#include <net/inet_ecn.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/l3mdev.h>

#include "aead.h"
#include "arrival.h"
#include "compat.h"
#include "deliver.h"
#include "device.h"
#include "endpoint.h"
#include "esp.h"
#include "netlink.h"
#include "owner.h"
#include "peer.h"
#include "sa.h"
#include "underlay.h"
#include "xfrm_bind.h"

/* Pad length and next header. */
#define TRAILER_MIN 2

/* Instead of a counter: the cipher keeps the datagram for a while. */
#define KEPT UINT_MAX

/**
 * struct batch - datagrams of one SA that came together
 * @sa: the SA
 * @arrival: the outer packet that they came in
 * @raised: the highest sequence number that raised the top of the window, or 0
 */
struct batch {
	struct bhsec_sa *sa;
	const struct bhsec_arrival *arrival;
	u64 raised;
};

/**
 * struct datagram - what is known of one, in skb->cb
 * @seq: its sequence number, as far as it is known
 * @counter: why it is refused, 0 if it is not
 */
struct datagram {
	u64 seq;
	unsigned int counter;
};

static struct datagram *datagram(const struct sk_buff *skb)
{
	return (struct datagram *)skb->cb;
}

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

static void drop(struct batch *batch, struct sk_buff *skb, unsigned int counter)
{
	struct bhsec_sa *sa = batch->sa;
	struct net *underlay = rcu_dereference(sa->peer->bdev->underlay);

	/* anybody can send what is dropped here, from many CPUs at one peer */
	dev_core_stats_rx_dropped_inc(sa->peer->bdev->dev);
	bhsec_sa_count_drops(sa, counter, 1);
	if (event_of[counter] && underlay)
		bhsec_event(event_of[counter], underlay, sa, sa->spi,
			    datagram(skb)->seq, batch->arrival);
	kfree_skb_reason(skb, bhsec_drop_reason(counter));
}

/* Why a datagram is refused, 0 if it is not, or KEPT. */
typedef unsigned int (check_fn)(struct batch *batch, struct sk_buff *skb);

/* What is left of a list once each datagram that a check refuses is dropped. */
static __always_inline struct sk_buff *sift(struct batch *batch,
					    struct sk_buff *list, check_fn *check)
{
	struct sk_buff *first = NULL, **end = &first, *skb, *next;
	unsigned int counter;

	skb_list_walk_safe(list, skb, next) {
		counter = check(batch, skb);
		if (likely(!counter)) {
			*end = skb;
			end = &skb->next;
			continue;
		}
		if (counter == KEPT)
			continue;
		skb_mark_not_on_list(skb);
		drop(batch, skb, counter);
	}
	*end = NULL;
	return first;
}

static unsigned int refused(struct batch *batch, struct sk_buff *skb)
{
	return datagram(skb)->counter;
}

/* RFC 4303 3.4.3: looked up before authentication, decided after it. */
static void precheck_replay(struct bhsec_sa *sa, struct sk_buff *list)
{
	struct datagram *dgram;
	struct sk_buff *skb;

	spin_lock(&sa->replay_lock);
	for (skb = list; skb; skb = skb->next) {
		dgram = datagram(skb);
		if (unlikely(dgram->counter))
			continue;
		if (sa->esn)
			dgram->seq = bhsec_replay_extend(&sa->replay, dgram->seq);
		if (!bhsec_replay_check(&sa->replay, dgram->seq))
			dgram->counter = BHSEC_A_STATS_REPLAY;
	}
	spin_unlock(&sa->replay_lock);
}

static void update_replay(struct batch *batch, struct sk_buff *list)
{
	struct bhsec_sa *sa = batch->sa;
	struct datagram *dgram;
	struct sk_buff *skb;
	bool raises, heard = false;

	spin_lock(&sa->replay_lock);
	for (skb = list; skb; skb = skb->next) {
		dgram = datagram(skb);
		raises = dgram->seq > sa->replay.top;
		dgram->counter = bhsec_replay_update(&sa->replay, dgram->seq) ?
				 0 : BHSEC_A_STATS_REPLAY;
		if (raises && !dgram->counter)
			batch->raised = dgram->seq;
		heard |= !dgram->counter;
	}
	if (heard)
		bhsec_stamp_now(&sa->last);
	spin_unlock(&sa->replay_lock);
}

/*
 * RFC 4303 3.4.4: check the padding and cut off all that is not payload.
 * Returns 0 and the next header, or a counter.
 */
static unsigned int strip_esp(const struct bhsec_layout *layout,
			      struct sk_buff *skb, u8 *next_header)
{
	unsigned int payload = skb->len - layout->head - layout->icv;
	const u8 *tail = skb->data + layout->head + payload - TRAILER_MIN;
	unsigned int pad = tail[0], i;

	*next_header = tail[1];
	if (pad + TRAILER_MIN > payload)
		return BHSEC_A_STATS_PADDING;
	for (i = 0; i < pad; i++)
		if ((tail - pad)[i] != i + 1)
			return BHSEC_A_STATS_PADDING;
	__skb_trim(skb, layout->head + payload - TRAILER_MIN - pad);
	__skb_pull(skb, layout->head);
	return 0;
}

static bool read_ipv4(const struct sk_buff *skb, struct bhsec_inner *inner)
{
	const struct iphdr *iph = (const struct iphdr *)skb->data;

	if (skb->len < sizeof(*iph) || iph->version != 4 || iph->ihl < 5 ||
	    skb->len < iph->ihl * 4)
		return false;
	inner->src = &iph->saddr;
	inner->dst = &iph->daddr;
	inner->tos = iph->tos;
	inner->len = ntohs(iph->tot_len);
	inner->is_ipv6 = false;
	return inner->len >= iph->ihl * 4 && !ip_fast_csum(iph, iph->ihl);
}

static bool read_ipv6(const struct sk_buff *skb, struct bhsec_inner *inner)
{
	const struct ipv6hdr *ip6h = (const struct ipv6hdr *)skb->data;

	if (skb->len < sizeof(*ip6h) || ip6h->version != 6)
		return false;
	inner->src = &ip6h->saddr;
	inner->dst = &ip6h->daddr;
	inner->tos = ipv6_get_dsfield(ip6h);
	inner->len = sizeof(*ip6h) + ntohs(ip6h->payload_len);
	inner->is_ipv6 = true;
	return true;
}

/*
 * The inner header, and the packet cut to the length it says: what lies behind
 * it is traffic flow confidentiality padding (RFC 4303 2.7).
 */
static bool parse_inner(struct sk_buff *skb, u8 next_header,
			struct bhsec_inner *inner)
{
	if (next_header == IPPROTO_IPIP ? !read_ipv4(skb, inner) :
	    next_header != IPPROTO_IPV6 || !read_ipv6(skb, inner))
		return false;
	if (inner->len > skb->len)
		return false;
	__skb_trim(skb, inner->len);
	skb_reset_network_header(skb);
	skb->protocol = inner->is_ipv6 ? htons(ETH_P_IPV6) : htons(ETH_P_IP);
	return true;
}

/* RFC 4301 5.2: whose the packet is must be the peer whose SA has opened it. */
static bool selectors_match(const struct bhsec_peer *peer,
			    const struct sk_buff *skb,
			    const struct bhsec_inner *inner)
{
	struct bhsec_peer *owner;

	return !bhsec_owner_find(peer->bdev, skb, inner, false, &owner) &&
	       owner == peer;
}

/* An authentic packet: what is in it decides. */
static unsigned int open_payload(struct batch *batch, struct sk_buff *skb)
{
	struct bhsec_sa *sa = batch->sa;
	struct bhsec_inner inner = {};
	unsigned int counter = datagram(skb)->counter;
	u8 next_header;

	if (counter)
		return counter;
	counter = strip_esp(&sa->layout, skb, &next_header);
	if (counter)
		return counter;
	if (next_header == IPPROTO_NONE)
		return BHSEC_A_STATS_DUMMY;
	if (!parse_inner(skb, next_header, &inner))
		return BHSEC_A_STATS_MALFORMED;
	if (!selectors_match(sa->peer, skb, &inner))
		return BHSEC_A_STATS_SELECTOR;
	/* RFC 6040 4.2: congestion was marked on what cannot carry it */
	if (INET_ECN_decapsulate(skb, batch->arrival->tos, inner.tos) > 1)
		return BHSEC_A_STATS_MALFORMED;
	return bhsec_sa_account(sa, 1, inner.len, inner.len) ?
	       0 : BHSEC_A_STATS_EXPIRED;
}

/*
 * What the state of an SA is fed with, its window's top even if nothing that
 * raised it can be delivered; it may have ended meanwhile.
 */
static struct sk_buff *feed(struct batch *batch, struct sk_buff *list)
{
	unsigned int count = 0, bytes = 0, counter;
	struct sk_buff *skb;

	for (skb = list; skb; skb = skb->next) {
		count++;
		bytes += skb->len;
	}
	counter = bhsec_borrowed_receive(batch->sa, count, bytes, batch->raised);
	if (likely(!counter))
		return list;
	for (skb = list; skb; skb = skb->next)
		datagram(skb)->counter = counter;
	return sift(batch, list, refused);
}

/* Everything after the cipher, for both ways in which it completes. */
static void post(struct batch *batch, struct sk_buff *list)
{
	update_replay(batch, list);
	list = sift(batch, list, open_payload);
	if (batch->sa->borrowed && (list || batch->raised))
		list = feed(batch, list);
	if (batch->raised)
		bhsec_endpoint_learn(batch->sa, batch->arrival, batch->raised);
	if (list)
		bhsec_deliver(batch->sa, list);
}

/* The packet as it was around its payload, and what the cipher says of it. */
static unsigned int finish(struct bhsec_aead_op *op, int err)
{
	bhsec_aead_op_finish(op, op->sa->esn);
	datagram(op->skb)->seq = op->seq;
	bhsec_aead_op_put(op);
	if (likely(!err))
		return 0;
	return err == -EBADMSG ? BHSEC_A_STATS_AUTH : BHSEC_A_STATS_CRYPTO;
}

/* A datagram that the cipher has kept for a while is a batch of its own. */
static void post_later(bhsec_crypto_arg *arg, int err)
{
	struct bhsec_aead_op *op = bhsec_crypto_data(arg);
	struct sk_buff *skb = op->skb;
	struct batch batch = { .sa = op->sa };
	struct bhsec_arrival arrival;
	unsigned int counter;

	/* a request that had waited in a queue now runs: not its end */
	if (err == -EINPROGRESS)
		return;
	arrival = *bhsec_arrival(skb);
	batch.arrival = &arrival;
	local_bh_disable();
	rcu_read_lock();
	counter = finish(op, err);
	skb_mark_not_on_list(skb);
	if (counter)
		drop(&batch, skb, counter);
	else
		post(&batch, skb);
	bhsec_sa_leave(batch.sa);
	rcu_read_unlock();
	local_bh_enable();
}

/* What a datagram says of itself; a zero stands for what a short one lacks. */
static inline __be32 header_word(const struct sk_buff *skb, unsigned int offset)
{
	const __be32 *word;
	__be32 copy;

	if (likely(skb_headlen(skb) >= offset + sizeof(copy)))
		return *(const __be32 *)(skb->data + offset);
	word = skb_header_pointer(skb, offset, sizeof(copy), &copy);
	return word ? *word : 0;
}

/* @offset: of the ESP header. */
static __be32 spi_of(const struct sk_buff *skb, unsigned int offset)
{
	return header_word(skb, offset + offsetof(struct ip_esp_hdr, spi));
}

static u32 seq_of(const struct sk_buff *skb)
{
	return ntohl(header_word(skb, offsetof(struct ip_esp_hdr, seq_no)));
}

/*
 * The packet's bytes become ours alone before they are written over: a clone, a
 * capture or the page cache may hold them. Pages say nothing of who else does:
 * those of a segment are its aggregate's, whose clone may wait in a capture.
 */
static unsigned int inspect(const struct bhsec_layout *layout,
			    struct sk_buff *skb)
{
	unsigned int around = layout->head + layout->icv;

	if (skb->len < around + TRAILER_MIN)
		return BHSEC_A_STATS_MALFORMED;
	/* what no block cipher can have made; others do not ask */
	if (layout->block > 4 && (skb->len - around) % layout->block)
		return BHSEC_A_STATS_MALFORMED;
	if (skb_linearize_cow(skb))
		return BHSEC_A_STATS_NOMEM;
	skb->ip_summed = CHECKSUM_NONE;
	return 0;
}

static unsigned int open(struct batch *batch, struct sk_buff *skb)
{
	bool may_wait = bhsec_aead_may_wait(batch->sa->tfm);
	struct bhsec_aead_op *op;
	int err;

	if (datagram(skb)->counter)
		return datagram(skb)->counter;
	op = bhsec_aead_op_get(batch->sa->tfm);
	if (unlikely(!op))
		return BHSEC_A_STATS_NOMEM;
	op->sa = batch->sa;
	op->layout = &batch->sa->layout;
	op->skb = skb;
	op->seq = datagram(skb)->seq;
	if (may_wait) {
		*bhsec_arrival(skb) = *batch->arrival;
		bhsec_sa_use(batch->sa);
	}
	err = bhsec_aead_op_open(op, batch->sa->esn, post_later);
	if (err == -EINPROGRESS)
		return KEPT;
	if (may_wait)
		bhsec_sa_leave(batch->sa);
	return finish(op, err);
}

/* Did the datagram come by the device, or its VRF, that "dev" names? */
static bool came_by(const struct sk_buff *skb,
		    const struct bhsec_arrival *arrival, int ifindex)
{
	return !ifindex || arrival->ifindex == ifindex ||
	       l3mdev_master_ifindex_rcu(skb->dev) == ifindex;
}

static bool came_to(const struct bhsec_arrival *arrival,
		    const struct bhsec_settings *settings)
{
	if (arrival->is_ipv6)
		return ipv6_addr_any(&settings->local6) ||
		       ipv6_addr_equal(&arrival->daddr, &settings->local6);
	return !settings->local4 ||
	       !memcmp(&arrival->daddr, &settings->local4, sizeof(__be32));
}

/* The inbound SA of a datagram's SPI, NULL if it has come elsewhere. */
static struct bhsec_sa *addressee(const struct sk_buff *skb, __be32 spi,
				  const struct bhsec_arrival *arrival)
{
	const struct bhsec_settings *settings;
	struct bhsec_sa *sa;

	if (skb->pkt_type != PACKET_HOST)
		return NULL;
	sa = bhsec_underlay_find(dev_net(skb->dev), spi);
	if (!sa)
		return NULL;
	settings = rcu_dereference(sa->peer->bdev->settings);
	return came_by(skb, arrival, settings->ifindex) &&
	       came_to(arrival, settings) ? sa : NULL;
}

/*
 * Where xfrm comes next an SA keyed by hand takes raw ESP alone, if it has that:
 * all else may be for a state of xfrm's that has the same SPI.
 */
static bool is_for_xfrm(const struct bhsec_sa *sa,
			const struct bhsec_arrival *arrival)
{
	return arrival->xfrm_next && !sa->borrowed &&
	       (arrival->encap != BHSEC_ENCAP_ESP || sa->encap != BHSEC_ENCAP_ESP);
}

/* The SA that takes a datagram, NULL if it is not for us. */
static struct bhsec_sa *taker(const struct sk_buff *skb, __be32 spi,
			      const struct bhsec_arrival *arrival)
{
	struct bhsec_sa *sa = addressee(skb, spi, arrival);

	return sa && likely(!is_for_xfrm(sa, arrival)) ? sa : NULL;
}

/* Why none of an SA's datagrams can be taken, 0 if they can. */
static unsigned int objection(const struct bhsec_sa *sa,
			      const struct bhsec_arrival *arrival)
{
	if (!netif_running(sa->peer->bdev->dev))
		return BHSEC_A_STATS_DOWN;
	if (arrival->encap != READ_ONCE(sa->encap))
		return BHSEC_A_STATS_ENCAP;
	return bhsec_sa_ended(sa);
}

static void take(struct bhsec_sa *sa, struct sk_buff *list,
		 const struct bhsec_arrival *arrival)
{
	struct batch batch = { .sa = sa, .arrival = arrival };
	unsigned int counter = objection(sa, arrival);
	struct sk_buff *skb;

	for (skb = list; skb; skb = skb->next) {
		datagram(skb)->seq = seq_of(skb);
		datagram(skb)->counter = counter ?: inspect(&sa->layout, skb);
	}
	if (unlikely(counter)) {
		sift(&batch, list, refused);
		return;
	}
	precheck_replay(sa, list);
	list = sift(&batch, list, open);
	if (list)
		post(&batch, list);
}

/**
 * bhsec_esp_takes - are all datagrams of a batch ours
 * @skb: the first, the others are its list of fragments
 * @offset: where the ESP header of the first begins; those of the others are at
 *	their beginnings
 * @arrival: what the door knows of the outer packet that they came in
 *
 * Context: RCU read lock held, softirqs off.
 * Return: true if bhsec_esp_in() would consume each.
 */
bool bhsec_esp_takes(const struct sk_buff *skb, unsigned int offset,
		     const struct bhsec_arrival *arrival)
{
	__be32 spi = spi_of(skb, offset), last = spi;
	const struct sk_buff *next;

	if (!taker(skb, spi, arrival))
		return false;
	skb_walk_frags(skb, next) {
		spi = spi_of(next, 0);
		if (spi != last && !taker(next, spi, arrival))
			return false;
		last = spi;
	}
	return true;
}

/**
 * bhsec_esp_in - what every door does with ESP datagrams
 * @list: datagrams, linked by their next; data starts at the ESP header
 * @arrival: what the door knows of the outer packet that they came in
 *
 * Context: RCU read lock held, softirqs off.
 * Return: what is not ours, still linked and as it was; all others were consumed.
 */
struct sk_buff *bhsec_esp_in(struct sk_buff *list,
			     const struct bhsec_arrival *arrival)
{
	struct sk_buff *rest = NULL, **rest_end = &rest, **end, *ours;
	struct bhsec_sa *sa;
	__be32 spi, next;

	next = spi_of(list, 0);
	while (list) {
		spi = next;
		sa = taker(list, spi, arrival);
		ours = list;
		end = sa ? &ours : rest_end;
		/* as many as have the same SPI */
		do {
			*end = list;
			end = &list->next;
			list = list->next;
			if (list)
				next = spi_of(list, 0);
		} while (list && next == spi);
		*end = NULL;
		if (sa)
			take(sa, ours, arrival);
		else
			rest_end = end;
	}
	return rest;
}
