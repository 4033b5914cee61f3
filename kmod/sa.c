// SPDX-License-Identifier: GPL-2.0
/*
 * Security associations (RFC 4301 4.1): SPI, key, sequence numbers, limits.
 *
 * An SA lives twice. Its transform lives as long as the SA is active and
 * packets are in it; the SA itself stays listed until it is deleted, so that
 * an expired one still says why nothing passes.
 */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/once.h>
#include <linux/random.h>
#include <linux/siphash.h>
#include <linux/wait_bit.h>

#include "aead.h"
#include "compat.h"
#include "device.h"
#include "netlink.h"
#include "peer.h"
#include "sa.h"
#include "trace.h"
#include "underlay.h"
#include "xfrm_bind.h"

/* Numbers that are never used leave room for reservations that run past the end. */
#define SEQ_LIMIT_ESN (U64_MAX - (1 << 20) + 1)

/* A long lifetime is waited for in steps: jiffies have an end. */
#define CLOCK_STEP_SECONDS 3600

/* All move along where a packet moves their peer. Classes need 64. */
#define OUTBOUND_MAX 1024

/* Frees transforms and objects; drained by rmmod. */
struct workqueue_struct *bhsec_workqueue;

/**
 * bhsec_sa_seq_limit - the last sequence number that an SA may use
 * @sa: the SA
 *
 * Return: the number.
 */
u64 bhsec_sa_seq_limit(const struct bhsec_sa *sa)
{
	return sa->esn ? SEQ_LIMIT_ESN : U32_MAX;
}

/**
 * bhsec_sa_key_digest - what tells that two keys are the same
 * @config: cipher and key
 *
 * Return: a keyed hash.
 */
u64 bhsec_sa_key_digest(const struct bhsec_sa_config *config)
{
	static siphash_key_t secret;

	get_random_once(&secret, sizeof(secret));
	return siphash(config->key, bhsec_aead_key_len(config->cipher), &secret);
}

static void sa_free(struct work_struct *work)
{
	struct bhsec_sa *sa = container_of(to_rcu_work(work), struct bhsec_sa,
					   end_work);

	bhsec_borrowed_return(sa->borrowed);
	bhsec_peer_inherit(sa->peer, sa);
	bhsec_peer_put(sa->peer);
	kfree(sa->drops);
	free_percpu(sa->traffic);
	kvfree(sa->replay.bitmap);
	kfree(sa);
}

static void sa_put(struct bhsec_sa *sa)
{
	if (refcount_dec_and_test(&sa->ref)) {
		INIT_RCU_WORK(&sa->end_work, sa_free);
		queue_rcu_work(bhsec_workqueue, &sa->end_work);
	}
}

/* The key is wiped here: crypto_free_aead() clears the transform's context. */
static void sa_free_transform(struct work_struct *work)
{
	struct bhsec_sa *sa = container_of(to_rcu_work(work), struct bhsec_sa,
					   end_work);
	atomic_t *transforms = sa->transforms;

	crypto_free_aead(sa->tfm);
	sa->tfm = NULL;
	sa_put(sa);
	/* last: who waits for it waits for what sa_put() has queued, too */
	if (transforms && atomic_dec_and_test(transforms))
		wake_up_var(transforms);
}

/**
 * bhsec_sa_leave - end what bhsec_sa_use() began
 * @sa: the SA
 *
 * Context: any.
 */
void bhsec_sa_leave(struct bhsec_sa *sa)
{
	if (refcount_dec_and_test(&sa->users)) {
		INIT_WORK(&sa->end_work.work, sa_free_transform);
		queue_work(bhsec_workqueue, &sa->end_work.work);
	}
}

/* Whoever found the SA active has left it, or become a user. */
static void sa_stopped(struct work_struct *work)
{
	bhsec_sa_leave(container_of(to_rcu_work(work), struct bhsec_sa,
				    end_work));
}

/*
 * Stop an SA for good. Whoever changes the state first is the one to tell; the
 * stopping of an SA that is deleted is told by nobody.
 */
static bool sa_stop(struct bhsec_sa *sa, int state)
{
	if (atomic_cmpxchg(&sa->state, BHSEC_SA_STATE_ACTIVE, state) !=
	    BHSEC_SA_STATE_ACTIVE)
		return false;
	INIT_RCU_WORK(&sa->end_work, sa_stopped);
	queue_rcu_work(bhsec_workqueue, &sa->end_work);
	return true;
}

static void sa_expire(struct bhsec_sa *sa)
{
	if (sa_stop(sa, BHSEC_SA_STATE_EXPIRED))
		bhsec_event_sa(BHSEC_EVENT_EXPIRED, sa);
}

static void sa_soften(struct bhsec_sa *sa)
{
	if (atomic_read(&sa->state) == BHSEC_SA_STATE_ACTIVE &&
	    !test_and_set_bit(0, &sa->soft_told))
		bhsec_event_sa(BHSEC_EVENT_SOFT, sa);
}

/**
 * bhsec_sa_age - how long ago an SA was added
 * @sa: the SA
 *
 * Return: the seconds that have passed in full.
 */
u64 bhsec_sa_age(const struct bhsec_sa *sa)
{
	return div_u64(ktime_get_boottime_ns() - sa->added, NSEC_PER_SEC);
}

/* Seconds from now to the next limit, 0 if there is none left to wait for. */
static u64 seconds_to_wait(const struct bhsec_sa *sa, u64 age)
{
	if (sa->soft.seconds > age)
		return sa->soft.seconds - age;
	if (sa->hard.seconds > age)
		return sa->hard.seconds - age;
	return 0;
}

static void sa_arm_clock(struct bhsec_sa *sa, u64 age)
{
	u64 wait = seconds_to_wait(sa, age);

	/* the jiffy that has begun is not a whole one */
	if (wait)
		queue_delayed_work(bhsec_workqueue, &sa->clock,
				   min_t(u64, wait, CLOCK_STEP_SECONDS) * HZ + 1);
}

static void sa_clock(struct work_struct *work)
{
	struct bhsec_sa *sa = container_of(to_delayed_work(work),
					   struct bhsec_sa, clock);
	u64 age = bhsec_sa_age(sa);

	if (sa->soft.seconds && age >= sa->soft.seconds)
		sa_soften(sa);
	if (sa->hard.seconds && age >= sa->hard.seconds)
		sa_expire(sa);
	else
		sa_arm_clock(sa, age);
}

static int sa_init_replay(struct bhsec_sa *sa,
			  const struct bhsec_sa_config *config)
{
	u64 *bitmap;

	spin_lock_init(&sa->replay_lock);
	if (sa->outbound)
		return 0;
	bitmap = kvcalloc(bhsec_replay_words(config->window), sizeof(*bitmap),
			  GFP_KERNEL_ACCOUNT);
	if (!bitmap)
		return -ENOMEM;
	bhsec_replay_init(&sa->replay, bitmap, config->window, config->seq);
	return 0;
}

static struct bhsec_sa *sa_alloc(struct bhsec_peer *peer,
				 const struct bhsec_sa_config *config,
				 struct netlink_ext_ack *extack)
{
	struct bhsec_sa *sa;
	int err = -ENOMEM;

	sa = kzalloc_obj(*sa, GFP_KERNEL_ACCOUNT);
	if (!sa)
		return ERR_PTR(err);
	sa->spi = cpu_to_be32(config->spi);
	sa->cipher = config->cipher;
	sa->layout = *bhsec_aead_layout(config->cipher);
	sa->encap = config->encap;
	sa->outbound = config->outbound;
	sa->esn = config->esn;
	sa->dscp_listed = config->dscp_listed;
	sa->cpu = config->cpu;
	sa->soft = config->soft;
	sa->hard = config->hard;
	sa->metered = sa->soft.packets || sa->soft.bytes || sa->hard.packets ||
		      sa->hard.bytes;
	sa->key_digest = bhsec_sa_key_digest(config);
	sa->added = ktime_get_boottime_ns();
	atomic_set(&sa->state, BHSEC_SA_STATE_ACTIVE);
	atomic64_set(&sa->seq, config->seq);
	refcount_set(&sa->users, 1);
	refcount_set(&sa->ref, 2);
	INIT_LIST_HEAD(&sa->list);
	INIT_DELAYED_WORK(&sa->clock, sa_clock);

	sa->traffic = bhsec_traffic_alloc();
	if (!sa->traffic)
		goto free_sa;
	err = sa_init_replay(sa, config);
	if (err)
		goto free_traffic;
	sa->tfm = bhsec_aead_alloc(config->cipher, config->esn, config->key,
				   extack);
	if (IS_ERR(sa->tfm)) {
		err = PTR_ERR(sa->tfm);
		NL_SET_BAD_ATTR(extack, config->attrs[err == -ENOENT ?
						      BHSEC_A_SA_CIPHER :
						      BHSEC_A_SA_KEY]);
		goto free_replay;
	}
	sa->peer = peer;
	refcount_inc(&peer->ref);
	if (config->borrowed)
		bhsec_borrowed_take(config->borrowed);
	sa->borrowed = config->borrowed;
	return sa;

free_replay:
	kvfree(sa->replay.bitmap);
free_traffic:
	free_percpu(sa->traffic);
free_sa:
	kfree(sa);
	return ERR_PTR(err);
}

static int check_unique(struct bhsec_peer *peer,
			const struct bhsec_sa_config *config,
			struct netlink_ext_ack *extack)
{
	u64 digest = bhsec_sa_key_digest(config);
	unsigned int outbound = 0;
	struct bhsec_sa *sa;

	if (config->outbound && bhsec_sa_find(peer, config->spi, true)) {
		NL_SET_ERR_MSG_ATTR(extack, config->attrs[BHSEC_A_SA_SPI],
				    "the peer already has an outbound SA with this SPI");
		return -EEXIST;
	}
	list_for_each_entry(sa, &peer->sas, list) {
		outbound += sa->outbound;
		if (sa->key_digest != digest ||
		    atomic_read(&sa->state) != BHSEC_SA_STATE_ACTIVE)
			continue;
		NL_SET_ERR_MSG_ATTR(extack, config->attrs[BHSEC_A_SA_KEY],
				    "another live SA of this peer has the same key");
		return -EEXIST;
	}
	if (config->outbound && outbound >= OUTBOUND_MAX) {
		NL_SET_ERR_MSG_ATTR(extack, config->attrs[BHSEC_A_SA_SPI],
				    "the peer already has 1024 outbound SAs");
		return -ENOSPC;
	}
	return 0;
}

/**
 * bhsec_sa_add - make an SA and put it to work
 * @peer: whose
 * @config: checked values
 * @extack: for the sentence of a refusal
 *
 * Context: may sleep; the device's lock is held.
 * Return: the SA, or an ERR_PTR; nothing has changed then.
 */
struct bhsec_sa *bhsec_sa_add(struct bhsec_peer *peer,
			      const struct bhsec_sa_config *config,
			      struct netlink_ext_ack *extack)
{
	struct bhsec_device *bdev = peer->bdev;
	struct bhsec_sa *sa;
	int err;

	lockdep_assert_held(&bdev->lock);
	/* of states xfrm knows what is new */
	err = config->borrowed ? 0 : check_unique(peer, config, extack);
	if (err)
		return ERR_PTR(err);
	sa = sa_alloc(peer, config, extack);
	if (IS_ERR(sa))
		return sa;
	err = bhsec_underlay_attach(bdev, sa, extack);
	if (err) {
		if (err == -EEXIST)
			NL_SET_BAD_ATTR(extack, config->attrs[BHSEC_A_SA_SPI]);
		sa_stop(sa, BHSEC_SA_STATE_EXPIRED);
		sa_put(sa);
		return ERR_PTR(err);
	}
	list_add_tail(&sa->list, &peer->sas);
	if (sa->outbound && !sa->borrowed)
		bhsec_sa_claim(sa, config->dscp);
	sa_arm_clock(sa, 0);
	bdev->live_sas++;
	bdev->generation++;
	bhsec_notify_sa(BHSEC_CMD_SA_ADD_NTF, sa);
	return sa;
}

/**
 * bhsec_sa_find - an SA of a peer
 * @peer: whose
 * @spi: host byte order
 * @outbound: direction
 *
 * Context: the device's lock is held.
 * Return: the SA or NULL.
 */
struct bhsec_sa *bhsec_sa_find(struct bhsec_peer *peer, u32 spi, bool outbound)
{
	struct bhsec_sa *sa;

	lockdep_assert_held(&peer->bdev->lock);
	list_for_each_entry(sa, &peer->sas, list)
		if (sa->spi == cpu_to_be32(spi) && sa->outbound == outbound)
			return sa;
	return NULL;
}

/**
 * bhsec_sa_del - take an SA out of use and drop the list's reference
 * @sa: the SA; not to be used afterwards
 *
 * Context: may sleep; the device's lock is held. Packets in the transform
 * still end as if the SA were there.
 */
void bhsec_sa_del(struct bhsec_sa *sa)
{
	struct bhsec_device *bdev = sa->peer->bdev;
	u32 *last = &sa->peer->last[sa->outbound];

	lockdep_assert_held(&bdev->lock);
	bhsec_notify_sa(BHSEC_CMD_SA_DEL_NTF, sa);
	if (sa->outbound)
		bhsec_sa_release(sa);
	bhsec_underlay_detach(bdev, sa);
	if (!sa->outbound)
		bhsec_bindings_retry(bdev);
	bhsec_peer_part(sa->peer, sa);
	cancel_delayed_work_sync(&sa->clock);
	sa_stop(sa, BHSEC_SA_STATE_EXPIRED);
	*last = max(*last, READ_ONCE(sa->last.second));
	bdev->live_sas--;
	bdev->generation++;
	sa_put(sa);
}

/**
 * bhsec_sa_seq - the last number sent, or the highest one received
 * @sa: the SA
 *
 * Context: any.
 * Return: the sequence number, 64 bits.
 */
u64 bhsec_sa_seq(struct bhsec_sa *sa)
{
	u64 seq;

	if (sa->outbound)
		return min_t(u64, atomic64_read(&sa->seq), bhsec_sa_seq_limit(sa));
	spin_lock_bh(&sa->replay_lock);
	seq = sa->replay.top;
	spin_unlock_bh(&sa->replay_lock);
	return seq;
}

/**
 * bhsec_sa_sum - add what an SA has counted
 * @sa: the SA
 * @sums: by netlink attribute, BHSEC_COUNTERS of them
 *
 * Context: any.
 */
void bhsec_sa_sum(const struct bhsec_sa *sa, u64 *sums)
{
	bhsec_traffic_sum(sa->traffic, sums + (sa->outbound ?
					       BHSEC_A_STATS_TX_PACKETS :
					       BHSEC_A_STATS_RX_PACKETS));
	if (READ_ONCE(sa->drops))
		bhsec_drops_sum(READ_ONCE(sa->drops), sums);
}

/* The counters of an SA's first drop; of its peer's where there is no memory. */
static struct bhsec_drops *first_drops(struct bhsec_sa *sa)
{
	struct bhsec_drops *drops = kzalloc_obj(*drops, GFP_ATOMIC), *others;

	if (!drops)
		return sa->peer->drops;
	others = cmpxchg(&sa->drops, NULL, drops);
	if (!others)
		return drops;
	kfree(drops);
	return others;
}

/**
 * bhsec_sa_count_drops - count what was dropped
 * @sa: the SA
 * @counter: BHSEC_A_STATS_*, why
 * @count: packets
 *
 * Context: any but hard interrupts.
 */
void bhsec_sa_count_drops(struct bhsec_sa *sa, unsigned int counter,
			  unsigned int count)
{
	bhsec_drops_add(READ_ONCE(sa->drops) ?: first_drops(sa), counter, count);
	trace_bhsec_drop(sa->peer->bdev->dev, sa->peer->name, sa->spi,
			 sa->outbound, counter, count);
}

/*
 * Spend @amount for @count packets, @unit for each but the last, which may cost
 * less. Returns how many of them lie within the hard limit.
 */
static unsigned int spend(struct bhsec_sa *sa, atomic64_t *used,
			  unsigned int count, unsigned int unit, u64 amount,
			  u64 soft, u64 hard)
{
	u64 total, before;

	if (!soft && !hard)
		return count;
	total = atomic64_add_return(amount, used);
	if (soft && total >= soft)
		sa_soften(sa);
	if (!hard || total < hard)
		return count;
	sa_expire(sa);
	if (total == hard)
		return count;
	before = total - amount;
	return before < hard ? div_u64(hard - before, unit) : 0;
}

/**
 * bhsec_sa_spend - spend packets of the SA's lifetimes
 * @sa: the SA, which is metered
 * @count: how many
 * @unit: inner bytes of each but the last, which may have less
 * @bytes: inner bytes of all
 *
 * The packet that reaches a hard limit exactly passes, and the SA ends with it.
 *
 * Context: any.
 * Return: how many lie within the hard limits; they are the first.
 */
unsigned int bhsec_sa_spend(struct bhsec_sa *sa, unsigned int count,
			    unsigned int unit, unsigned int bytes)
{
	unsigned int passed;

	passed = spend(sa, &sa->used_packets, count, 1, count, sa->soft.packets,
		       sa->hard.packets);
	if (unlikely(passed < count)) {
		count = passed;
		bytes = passed * unit;
	}
	return spend(sa, &sa->used_bytes, count, unit, bytes, sa->soft.bytes,
		     sa->hard.bytes);
}

/**
 * bhsec_sa_reserve - the next sequence numbers of an outbound SA
 * @sa: the SA
 * @count: of how many packets, at least one; becomes how many the lifetimes
 *	let pass, at least one
 * @unit: inner bytes of each packet but the last, which may have less
 * @bytes: inner bytes of all
 * @seq: where the first number goes
 *
 * A number is used once or not at all: past the limit the counter goes on and
 * is never rolled back (RFC 4303 3.3.3).
 *
 * Context: RCU read lock held.
 * Return: 0, or the counter that says why there is none.
 */
int bhsec_sa_reserve(struct bhsec_sa *sa, unsigned int *count,
		     unsigned int unit, unsigned int bytes, u64 *seq)
{
	u64 last;

	if (sa->borrowed)
		return bhsec_borrowed_reserve(sa, count, unit, bytes, seq);
	last = atomic64_add_return(*count, &sa->seq);
	if (unlikely(last > bhsec_sa_seq_limit(sa))) {
		if (sa_stop(sa, BHSEC_SA_STATE_EXHAUSTED))
			bhsec_event_sa(BHSEC_EVENT_EXHAUSTED, sa);
		return BHSEC_A_STATS_EXHAUSTED;
	}
	*seq = last - *count + 1;
	*count = bhsec_sa_account(sa, *count, unit, bytes);
	if (!*count)
		return BHSEC_A_STATS_EXPIRED;
	bhsec_stamp_now(&sa->last);
	return 0;
}
