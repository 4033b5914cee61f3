// SPDX-License-Identifier: GPL-2.0
/*
 * From an inner packet to ESP datagrams (RFC 4303 3.3): one for each of its
 * segments, through the cipher one after the other, and on their way together.
 *
 * A datagram is built in a buffer of its own where somebody else, a socket or a
 * capture, may hold the inner packet; else it becomes the datagram.
 */
#include <linux/bottom_half.h>
#include <linux/ip.h>
#include <linux/skbuff.h>
#include <net/dst.h>

#include "aead.h"
#include "buffer.h"
#include "compat.h"
#include "device.h"
#include "esp.h"
#include "iv.h"
#include "keepalive.h"
#include "outer.h"
#include "peer.h"
#include "sa.h"
#include "segment.h"
#include "train.h"

/* What follows the inner packet at most: padding, its length, next header, ICV. */
static unsigned int tail_max(const struct bhsec_sa *sa)
{
	return sa->layout.block - 1 + 2 + sa->layout.icv;
}

/**
 * struct datagrams - a list of sealed datagrams
 * @first: linked by their next
 * @end: where the next one is linked
 * @count: how many
 * @bytes: inner bytes of all
 */
struct datagrams {
	struct sk_buff *first;
	struct sk_buff **end;
	unsigned int count;
	unsigned int bytes;
};

static void begin(struct datagrams *list)
{
	list->first = NULL;
	list->end = &list->first;
	list->count = 0;
	list->bytes = 0;
}

static void append(struct datagrams *list, struct sk_buff *skb,
		   unsigned int bytes)
{
	*list->end = skb;
	list->end = &skb->next;
	list->count++;
	list->bytes += bytes;
}

static void count_drops(struct bhsec_sa *sa, unsigned int counter,
			unsigned int count)
{
	DEV_STATS_ADD(sa->peer->bdev->dev, tx_dropped, count);
	bhsec_sa_count_drops(sa, counter, count);
}

static void drop(struct bhsec_sa *sa, struct sk_buff *skb, unsigned int counter)
{
	count_drops(sa, counter, 1);
	kfree_skb_reason(skb, bhsec_drop_reason(counter));
}

/* ip6_output() looks into a packet's owner as into an IP socket. */
static bool may_own(const struct sock *sk)
{
	return sk && (sk->sk_family == AF_INET || sk->sk_family == AF_INET6);
}

/*
 * The sender's socket stays charged until the datagram has left, or TCP would
 * lose its back-pressure. Whatever its packet was to do at its end the datagram
 * does instead, with the same charge.
 */
static void take_owner(struct sk_buff *skb, struct sk_buff *inner)
{
	if (!may_own(inner->sk))
		return;
	skb->truesize = inner->truesize;
	swap(skb->sk, inner->sk);
	swap(skb->destructor, inner->destructor);
}

/*
 * A packet that nobody else holds, with room around it, becomes the datagram.
 * One that goes round is made larger by whoever forwards it, and its room, if
 * it kept that, would double at each turn.
 */
static bool can_become(const struct bhsec_segments *segments,
		       unsigned int headroom, unsigned int tailroom)
{
	const struct sk_buff *skb = segments->skb;
	unsigned int room = skb_end_pointer(skb) - skb_tail_pointer(skb);

	return !segments->payload && !skb_has_frag_list(skb) &&
	       !skb_shared(skb) && !skb_cloned(skb) &&
	       skb->len == segments->last && skb_headroom(skb) >= headroom &&
	       room >= skb->data_len + tailroom && room <= PAGE_SIZE;
}

/* Nothing of the inner packet but priority, queue and flow goes out with it. */
static struct sk_buff *become(struct bhsec_segments *segments)
{
	struct sk_buff *skb = segments->skb;

	/* there is room for it; a device's own memory cannot be read */
	if (skb->data_len && !__pskb_pull_tail(skb, skb->data_len)) {
		kfree_skb(skb);
		return NULL;
	}
	bhsec_segments_checksum(segments);
	if (!may_own(skb->sk))
		skb_orphan(skb);
	bhsec_scrub(skb);
	return skb;
}

/* The next segment, with room for all headers before it and the ICV behind. */
static struct sk_buff *build(struct bhsec_segments *segments,
			     unsigned int headroom, unsigned int tailroom)
{
	unsigned int len = bhsec_segments_len(segments);
	struct sk_buff *skb;

	headroom += BHSEC_OUTER_BELOW;
	skb = bhsec_buffer_alloc(headroom + len + tailroom);
	if (!skb)
		return NULL;
	skb_reserve(skb, headroom);
	if (bhsec_segments_read(segments, __skb_put(skb, len))) {
		kfree_skb(skb);
		return NULL;
	}
	skb->priority = segments->skb->priority;
	skb_copy_queue_mapping(skb, segments->skb);
	skb_copy_hash(skb, segments->skb);
	return skb;
}

/* RFC 4303 2.4: 1, 2, 3 ..., then pad length and next header. */
static void put_trailer(const struct bhsec_sa *sa, struct sk_buff *skb,
			u8 next_header)
{
	unsigned int pad = -(skb->len + 2) & (sa->layout.block - 1);
	u8 *tail = __skb_put(skb, pad + 2 + sa->layout.icv);
	unsigned int i;

	for (i = 0; i < pad; i++)
		tail[i] = i + 1;
	tail[pad] = pad;
	tail[pad + 1] = next_header;
}

static void put_header(const struct bhsec_sa *sa, struct sk_buff *skb, u64 seq)
{
	struct ip_esp_hdr *esph = __skb_push(skb, sa->layout.head);

	esph->spi = sa->spi;
	esph->seq_no = htonl(lower_32_bits(seq));
	bhsec_iv_put(sa, esph->enc_data, seq);
}

static void send(struct bhsec_sa *sa, const struct bhsec_outer *outer,
		 const struct datagrams *list)
{
	struct net *underlay = rcu_dereference(sa->peer->bdev->underlay);

	if (!list->count)
		return;
	if (unlikely(!underlay)) {
		count_drops(sa, BHSEC_A_STATS_NO_ROUTE, list->count);
		kfree_skb_list_reason(list->first,
				      SKB_DROP_REASON_IP_OUTNOROUTES);
		return;
	}
	bhsec_sa_count(sa, list->count, list->bytes);
	dev_sw_netstats_tx_add(sa->peer->bdev->dev, list->count, list->bytes);
	bhsec_keepalive_sent(sa->peer);
	bhsec_train_send(underlay, sa, outer, list->first, list->count);
}

/* Everything after the cipher but to send, for both ways in which it completes. */
static void post(struct bhsec_aead_op *op, int err, struct datagrams *list)
{
	struct bhsec_sa *sa = op->sa;
	struct sk_buff *skb = op->skb;

	bhsec_aead_op_finish(op, sa->esn);
	if (likely(!err))
		append(list, skb, op->inner_len);
	else
		drop(sa, skb, BHSEC_A_STATS_CRYPTO);
	bhsec_aead_op_put(op);
}

/* A datagram that the cipher has kept for a while goes alone. */
static void post_later(bhsec_crypto_arg *arg, int err)
{
	struct bhsec_aead_op *op = bhsec_crypto_data(arg);
	struct bhsec_sa *sa = op->sa;
	struct bhsec_outer outer;
	struct datagrams list;

	/* a request that had waited in a queue now runs: not its end */
	if (err == -EINPROGRESS)
		return;
	bhsec_outer_kept(op->skb, &outer);
	begin(&list);
	local_bh_disable();
	rcu_read_lock();
	post(op, err, &list);
	send(sa, &outer, &list);
	bhsec_sa_leave(sa);
	rcu_read_unlock();
	local_bh_enable();
}

static void seal(struct bhsec_sa *sa, struct sk_buff *skb,
		 unsigned int inner_len, u64 seq,
		 const struct bhsec_outer *outer, struct datagrams *list)
{
	bool may_wait = bhsec_aead_may_wait(sa->tfm);
	struct bhsec_aead_op *op;
	int err;

	if (may_wait && !bhsec_outer_keep(skb, outer)) {
		drop(sa, skb, BHSEC_A_STATS_NO_ROUTE);
		return;
	}
	op = bhsec_aead_op_get(sa->tfm);
	if (unlikely(!op)) {
		drop(sa, skb, BHSEC_A_STATS_NOMEM);
		return;
	}
	op->sa = sa;
	op->layout = &sa->layout;
	op->skb = skb;
	op->seq = seq;
	op->inner_len = inner_len;
	if (may_wait)
		bhsec_sa_use(sa);
	err = bhsec_aead_op_seal(op, sa->esn, post_later);
	if (err == -EINPROGRESS)
		return;
	if (may_wait)
		bhsec_sa_leave(sa);
	post(op, err, list);
}

static void seal_all(struct bhsec_sa *sa, struct bhsec_segments *segments,
		     unsigned int count, u64 seq, u8 next_header,
		     const struct bhsec_outer *outer, struct datagrams *list)
{
	unsigned int headroom = bhsec_outer_headroom(outer) + sa->layout.head;
	unsigned int tailroom = tail_max(sa);
	bool in_place = can_become(segments, bhsec_train_follows(outer) ?
				   headroom + BHSEC_OUTER_BELOW : headroom,
				   tailroom);
	unsigned int i, len;
	struct sk_buff *skb;

	for (i = 0; i < count; i++) {
		len = bhsec_segments_len(segments);
		skb = in_place ? become(segments) :
				 build(segments, headroom, tailroom);
		if (unlikely(!skb)) {
			count_drops(sa, BHSEC_A_STATS_NOMEM, count - i);
			break;
		}
		if (!in_place && !i)
			take_owner(skb, segments->skb);
		put_trailer(sa, skb, next_header);
		put_header(sa, skb, seq + i);
		seal(sa, skb, len, seq + i, outer, list);
	}
	if (in_place)
		return;
	bhsec_segments_end(segments);
	consume_skb(segments->skb);
}

/**
 * bhsec_esp_out - seal an inner packet and send it
 * @sa: the SA of its class, which has not ended
 * @segments: the inner packet's, which fit; none is read yet
 * @inner: what its header says
 * @outer: outer header and route
 *
 * Context: RCU read lock held, softirqs off.
 * Return: 0, the packet is consumed then; or the counter of the reason, it is
 * not then.
 */
unsigned int bhsec_esp_out(struct bhsec_sa *sa, struct bhsec_segments *segments,
			   const struct bhsec_inner *inner,
			   const struct bhsec_outer *outer)
{
	u8 next_header = inner->is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
	unsigned int counter, count = segments->count;
	struct datagrams list;
	u64 seq;

	counter = bhsec_sa_reserve(sa, &count, segments->unit,
				   bhsec_segments_bytes(segments), &seq);
	if (counter)
		return counter;
	if (unlikely(count < segments->count))
		count_drops(sa, BHSEC_A_STATS_EXPIRED, segments->count - count);
	begin(&list);
	seal_all(sa, segments, count, seq, next_header, outer, &list);
	send(sa, outer, &list);
	return 0;
}
