// SPDX-License-Identifier: GPL-2.0
/*
 * What a packet takes from a borrowed state, and feeds it with: numbers, counts,
 * lifetimes, all under the state's lock, so that a daemon, or a copy of the
 * state, finds them true.
 */
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <net/dst.h>
#include <net/flow.h>

#include "arrival.h"
#include "compat.h"
#include "device.h"
#include "esp.h"
#include "netlink.h"
#include "next_layer.h"
#include "peer.h"
#include "sa.h"
#include "xfrm_bind.h"
#include "xfrm_room.h"

/**
 * struct number - a sequence number of a state
 * @low: its lower half
 * @high: its upper half, NULL without ESN
 */
struct number {
	u32 *low;
	u32 *high;
};

/* The last one sent, or the highest one received; the state's lock is held. */
static struct number number_of(struct xfrm_state *x, bool outbound)
{
	struct xfrm_replay_state_esn *esn = x->replay_esn;

	if (x->repl_mode == XFRM_REPLAY_MODE_LEGACY)
		return (struct number) {
			.low = outbound ? &x->replay.oseq : &x->replay.seq,
		};
	return (struct number) {
		.low = outbound ? &esn->oseq : &esn->seq,
		.high = x->repl_mode != XFRM_REPLAY_MODE_ESN ? NULL :
			outbound ? &esn->oseq_hi : &esn->seq_hi,
	};
}

static u64 get(struct number number)
{
	return (number.high ? (u64)*number.high << 32 : 0) | *number.low;
}

static void set(struct number number, u64 seq)
{
	*number.low = lower_32_bits(seq);
	if (number.high)
		*number.high = upper_32_bits(seq);
}

/* The window is ours. The kernel's, should it look, takes nothing in it. */
static void close_window(struct xfrm_state *x)
{
	if (x->replay_esn)
		memset(x->replay_esn->bmp, 0xff,
		       x->replay_esn->bmp_len * sizeof(x->replay_esn->bmp[0]));
	else
		x->replay.bitmap = ~0U;
}

/* The state's lock is held. */
static u64 raise(struct xfrm_state *x, bool outbound, u64 reached)
{
	struct number number = number_of(x, outbound);
	u64 seq = max(get(number), reached);

	set(number, seq);
	if (!outbound)
		close_window(x);
	return seq;
}

/**
 * bhsec_borrowed_begin - where the numbers of an SA begin
 * @borrowed: its state
 * @reached: the last number that is known otherwise
 *
 * Context: the device's lock is held.
 * Return: the last number sent, or the highest one received.
 */
u64 bhsec_borrowed_begin(struct bhsec_borrowed *borrowed, u64 reached)
{
	struct xfrm_state *x = bhsec_borrowed_state(borrowed);
	u64 seq;

	spin_lock_bh(&x->lock);
	seq = raise(x, borrowed->key.outbound, reached);
	spin_unlock_bh(&x->lock);
	return seq;
}

/**
 * bhsec_borrowed_end - no packet takes anything from a state any more
 * @borrowed: the state; its SA goes
 *
 * Context: the device's lock is held.
 * Return: the last number sent, or the highest one received.
 */
u64 bhsec_borrowed_end(struct bhsec_borrowed *borrowed)
{
	struct xfrm_state *x = bhsec_borrowed_state(borrowed);
	u64 seq;

	spin_lock_bh(&x->lock);
	borrowed->released = true;
	spin_unlock_bh(&x->lock);
	/* what the window has seen since stays refused, should the state go on */
	seq = bhsec_sa_seq(borrowed->sa);
	return bhsec_borrowed_begin(borrowed, seq);
}

/**
 * bhsec_borrowed_replace - a state's copy takes its place
 * @borrowed: the state
 * @x: the copy, held
 *
 * Whoever has copied it may have done so before its last packets: none takes a
 * number between the look at the old one and the new one.
 *
 * Context: the device's lock is held.
 */
void bhsec_borrowed_replace(struct bhsec_borrowed *borrowed, struct xfrm_state *x)
{
	struct xfrm_state *old = bhsec_borrowed_state(borrowed);
	u64 seq = bhsec_sa_seq(borrowed->sa);

	spin_lock_bh(&old->lock);
	spin_lock_nested(&x->lock, SINGLE_DEPTH_NESTING);
	if (borrowed->key.outbound)
		seq = max_t(u64, seq, atomic64_read(&borrowed->sa->seq));
	seq = max(seq, get(number_of(old, borrowed->key.outbound)));
	raise(x, borrowed->key.outbound, seq);
	rcu_assign_pointer(borrowed->x, x);
	spin_unlock(&x->lock);
	spin_unlock_bh(&old->lock);
}

static bool is_usable(const struct bhsec_borrowed *borrowed,
		      struct xfrm_state *x)
{
	return !borrowed->released && x->km.state == XFRM_STATE_VALID &&
	       !xfrm_state_check_expire(x);
}

/* Of @count packets those that the hard limit allows; the state's lock is held. */
static unsigned int allowed(const struct bhsec_borrowed *borrowed,
			    struct xfrm_state *x, unsigned int count)
{
	u64 left;

	if (unlikely(!is_usable(borrowed, x)))
		return 0;
	left = x->lft.hard_packet_limit - x->curlft.packets;
	return min_t(u64, count, left);
}

static void spend(struct xfrm_state *x, unsigned int count, unsigned int bytes)
{
	x->curlft.packets += count;
	x->curlft.bytes += bytes;
	x->lastused = ktime_get_real_seconds();
}

/* A daemon asks the policies when a peer was heard last. */
static void touch(struct bhsec_sa *sa)
{
	struct bhsec_bound *bound = sa->peer->bound;
	u32 now = READ_ONCE(sa->last.second);
	const struct bhsec_bound_policy *policy;

	if (likely(READ_ONCE(bound->touched[sa->outbound]) == now))
		return;
	WRITE_ONCE(bound->touched[sa->outbound], now);
	list_for_each_entry_rcu(policy, &bound->policies, list)
		if ((policy->key.dir == XFRM_POLICY_OUT) == sa->outbound)
			WRITE_ONCE(policy->xp->curlft.use_time,
				   ktime_get_real_seconds());
}

/**
 * bhsec_borrowed_reserve - the next sequence numbers of a state
 * @sa: its SA, outbound
 * @count: of how many packets; becomes how many the lifetimes let pass
 * @unit: inner bytes of each packet but the last, which may have less
 * @bytes: inner bytes of all
 * @seq: where the first number goes
 *
 * Context: RCU read lock held, softirqs off.
 * Return: 0, or the counter that says why there is none.
 */
int bhsec_borrowed_reserve(struct bhsec_sa *sa, unsigned int *count,
			   unsigned int unit, unsigned int bytes, u64 *seq)
{
	struct xfrm_state *x = rcu_dereference(sa->borrowed->x);
	u64 last, limit = bhsec_sa_seq_limit(sa);
	int drop = BHSEC_A_STATS_EXPIRED;
	unsigned int some;

	spin_lock(&x->lock);
	some = allowed(sa->borrowed, x, *count);
	if (likely(some)) {
		/* a daemon may set it back, what was sent stays sent */
		last = max_t(u64, get(number_of(x, true)),
			     atomic64_read(&sa->seq));
		drop = last <= limit && some <= limit - last ?
		       0 : BHSEC_A_STATS_EXHAUSTED;
	}
	if (likely(!drop)) {
		set(number_of(x, true), last + some);
		atomic64_set(&sa->seq, last + some);
		spend(x, some, min(bytes, some * unit));
	}
	spin_unlock(&x->lock);
	if (unlikely(drop)) {
		if (!some)
			bhsec_binding_lost(sa->peer->bound->binding, x);
		return drop;
	}
	*count = some;
	*seq = last + 1;
	bhsec_stamp_now(&sa->last);
	touch(sa);
	return 0;
}

/**
 * bhsec_borrowed_receive - packets came in by a state
 * @sa: its SA, inbound
 * @count: authentic packets
 * @bytes: inner bytes of all
 * @top: the highest number among them, if it is above all before; or 0
 *
 * Context: RCU read lock held, softirqs off.
 * Return: 0, or the counter that says why they cannot be taken.
 */
int bhsec_borrowed_receive(struct bhsec_sa *sa, unsigned int count,
			   unsigned int bytes, u64 top)
{
	struct xfrm_state *x = rcu_dereference(sa->borrowed->x);
	bool valid;

	spin_lock(&x->lock);
	valid = is_usable(sa->borrowed, x);
	if (likely(valid)) {
		spend(x, count, bytes);
		if (top > get(number_of(x, false)))
			set(number_of(x, false), top);
	}
	spin_unlock(&x->lock);
	if (unlikely(!valid)) {
		bhsec_binding_lost(sa->peer->bound->binding, x);
		return BHSEC_A_STATS_EXPIRED;
	}
	touch(sa);
	return 0;
}

/**
 * bhsec_bound_mapped - a peer's packet came from elsewhere than it is sent to
 * @sa: the SA that opened it
 * @arrival: its outer packet
 *
 * Its daemon decides whether that is a NAT's new mapping; RFC 7296 2.23.
 *
 * Context: RCU read lock held, softirqs off.
 */
void bhsec_bound_mapped(struct bhsec_sa *sa, const struct bhsec_arrival *arrival)
{
	struct xfrm_state *x = rcu_dereference(sa->borrowed->x);
	struct bhsec_bound *bound = sa->peer->bound;
	xfrm_address_t addr = {};

	if (!x->encap || arrival->encap != BHSEC_ENCAP_UDP ||
	    arrival->is_ipv6 != (x->props.family == AF_INET6) ||
	    bhsec_is_recent(READ_ONCE(bound->mapped)))
		return;
	memcpy(&addr, &arrival->saddr, arrival->is_ipv6 ? 16 : 4);
	/* a peer's CPUs may each have a port of their own, which no daemon knows */
	if (!x->encap->encap_sport &&
	    xfrm_addr_equal(&addr, &x->props.saddr, x->props.family))
		return;
	WRITE_ONCE(bound->mapped, jiffies);
	km_new_mapping(x, &addr, arrival->sport);
	bhsec_event(BHSEC_EVENT_MAPPING, xs_net(x), sa, sa->spi, 0, arrival);
}

/* What the policies are to be held against that name a protocol or ports. */
static void flow_of_next_layer(struct flowi *fl, const struct sk_buff *skb,
			       bool is_ipv6)
{
	union flowi_uli *uli = is_ipv6 ? &fl->u.ip6.uli : &fl->u.ip4.uli;
	struct bhsec_next_layer layer;

	bhsec_next_layer_read(skb, is_ipv6, &layer);
	fl->flowi_proto = layer.protocol;
	switch (layer.protocol) {
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		uli->icmpt.type = ntohs(layer.sport);
		uli->icmpt.code = ntohs(layer.dport);
		break;
	case IPPROTO_MH:
		uli->mht.type = ntohs(layer.sport);
		break;
	default:
		uli->ports.sport = layer.sport;
		uli->ports.dport = layer.dport;
	}
}

/* When it was last asked for an SA: of this CPU, where that is what is lacking. */
static unsigned long *asked_of(struct bhsec_bound *bound)
{
	return bhsec_peer_lacks_cpu(bound->peer) ?
	       &bhsec_peer_cpu(bound->peer)->asked : &bound->asked;
}

/**
 * bhsec_bound_ask - have a daemon negotiate, for there is no SA
 * @peer: who is to be sent to; of any origin
 * @skb: the packet that found none, or none of this CPU
 * @inner: what its header says
 *
 * An xfrm interface asks in this way: the kernel makes a larval state, tells
 * the daemon of it, and asks no more while that lasts. RFC 9611 2: of the CPU if
 * there is one of all already, and the policy wants that.
 *
 * Context: RCU read lock held, softirqs off.
 */
void bhsec_bound_ask(struct bhsec_peer *peer, struct sk_buff *skb,
		     const struct bhsec_inner *inner)
{
	struct bhsec_bound *bound = READ_ONCE(peer->bound);
	struct net *net = rcu_dereference(peer->bdev->underlay);
	struct dst_entry *dst = skb_dst(skb);
	struct flowi fl = {};
	unsigned long *asked;

	if (!bound || !net || !dst ||
	    dst->ops->family != (inner->is_ipv6 ? AF_INET6 : AF_INET))
		return;
	asked = asked_of(bound);
	if (bhsec_is_recent(READ_ONCE(*asked)))
		return;
	WRITE_ONCE(*asked, jiffies);
	flow_of_next_layer(&fl, skb, inner->is_ipv6);
	if (inner->is_ipv6) {
		memcpy(&fl.u.ip6.saddr, inner->src, sizeof(fl.u.ip6.saddr));
		memcpy(&fl.u.ip6.daddr, inner->dst, sizeof(fl.u.ip6.daddr));
	} else {
		memcpy(&fl.u.ip4.saddr, inner->src, sizeof(fl.u.ip4.saddr));
		memcpy(&fl.u.ip4.daddr, inner->dst, sizeof(fl.u.ip4.daddr));
	}
	dst_hold(dst);
	dst = xfrm_lookup_with_ifid(net, dst, &fl, NULL, 0, bound->binding->if_id);
	if (!IS_ERR(dst))
		dst_release(dst);
}
